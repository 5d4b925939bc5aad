"""The whole network, as `holdfast demo` runs it: honest, and with one bad hoster."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.commands import COMMAND, document, environment

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]

HOSTER_SHARE = 700_000
FOLDER_CHUNKS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A megabyte in a few files: enough chunks that losing a tenth of them is noticed."""
    root = tmp_path_factory.mktemp("data")
    for number in range(4):
        (root / f"part-{number}.bin").write_bytes(os.urandom(8192 * FOLDER_CHUNKS // 4))
    return root


def demo(folder: Path, sabotage: str) -> dict[str, Any]:
    return document("demo", "--path", folder, "--sabotage", sabotage, "--json")


def by_name(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (challenge,) = found["challenges"]
    assert challenge["exit"] == 1
    return {verdict["name"]: verdict for verdict in challenge["verdicts"]}


def assert_untouched(verdicts: dict[str, dict[str, Any]], *names: str) -> None:
    for name in names:
        verdict = verdicts[name]
        assert (verdict["class"], verdict["score_ppm"]) == ("served", 1_000_000), name
        assert verdict["missing"] == 0
        assert verdict["paid_base"] == HOSTER_SHARE


def test_honest_hosters_are_served_and_paid(folder: Path) -> None:
    found = demo(folder, "none")
    assert_untouched(by_name(found), "hoster-1", "hoster-2", "hoster-3")
    assert found["challenges"][0]["reports"] == found["challenges"][0]["attestors"] == 10
    assert found["supply_before"] == found["supply_after"]
    earned = [a["after"] - a["before"] for a in found["accounts"] if a["role"] == "hoster"]
    assert all(change > 0 for change in earned), "paid, less the fees"
    assert found["feed"]["chunks"] >= FOLDER_CHUNKS


def test_an_offline_hoster_is_unproven_and_not_paid(folder: Path) -> None:
    found = demo(folder, "offline")
    verdicts = by_name(found)
    assert_untouched(verdicts, "hoster-1", "hoster-2")
    bad = verdicts["hoster-3"]
    assert (bad["class"], bad["score_ppm"], bad["paid_base"]) == ("unproven", 0, 0)
    assert bad["missing"] == bad["samples"]
    assert found["supply_before"] == found["supply_after"]


def test_a_hoster_that_lost_a_tenth_is_unproven_and_not_paid(folder: Path) -> None:
    found = demo(folder, "drop")
    verdicts = by_name(found)
    assert_untouched(verdicts, "hoster-1", "hoster-2")
    bad = verdicts["hoster-3"]
    assert (bad["class"], bad["paid_base"]) == ("unproven", 0)
    assert 0 < bad["missing"] < bad["samples"] // 2
    assert found["supply_before"] == found["supply_after"]


def test_a_hoster_that_signs_false_chunks_is_at_fault_and_slashed(folder: Path) -> None:
    found = demo(folder, "corrupt")
    verdicts = by_name(found)
    assert_untouched(verdicts, "hoster-1", "hoster-2")
    bad = verdicts["hoster-3"]
    assert (bad["class"], bad["paid_base"]) == ("fault", 0)
    assert found["supply_before"] == found["supply_after"]
    changes = sorted(a["after"] - a["before"] for a in found["accounts"] if a["role"] == "hoster")
    assert changes[0] < -90_000, "its collateral is gone"
    assert changes[1] > 0


def test_ctrl_c_leaves_no_process_and_no_file_behind(folder: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "demo", "--path", str(folder), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(), "TMPDIR": str(tmp_path)},
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "published" in line:
            break
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 14
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
    assert not list(tmp_path.iterdir()), "a temporary folder stayed behind"
