"""Copies of a chain, by commands: block by block, from a state in parts, killed, and pruned."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.e2e.commands import document, holdfast
from tests.e2e.test_bad_input import assert_one_line, free_port, running, until_answers
from tests.e2e.test_validators import read

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]

QUICK = (
    "term_blocks=20", "flip_blocks=1", "flip_attempts=1", "window_blocks=2", "opening_blocks=2",
    "unbonding_blocks=30", "transaction_lifetime_blocks=30", "validator_unbonding_blocks=100",
)  # fmt: skip


def settings(home: Path, port: int, url: int) -> None:
    (home / "holdfast.toml").write_text(
        f'chain.url = "http://127.0.0.1:{url}"\nchain.listen.port = {port}\n'
        f"chain.gossip.port = {free_port()}\n"
    )


@pytest.fixture
def network(tmp_path: Path) -> tuple[Path, int, str]:
    """A validator's home, its port, and its account."""
    home, port = tmp_path / "validator", free_port()
    account = document("init", "--json", home=home)["account"]
    settings(home, port, port)
    parameters = [part for name in QUICK for part in ("--parameter", name)]
    document("chain", "genesis", "--block-interval-ms", "50", *parameters, "--json", home=home)
    return home, port, account


def joined(tmp_path: Path, name: str, network: tuple[Path, int, str]) -> tuple[Path, int]:
    """Another home of the network, and its port."""
    home, port = tmp_path / name, free_port()
    done = holdfast("init", "--genesis", network[0] / "genesis.cbor", home=home)
    assert done.returncode == 0, done.stderr
    settings(home, port, port)
    return home, port


def wait(condition: Callable[[], bool], limit_s: float = 60) -> None:
    """Until something holds; a generous limit ends a vain wait."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def until_height(port: int, height: int) -> None:
    wait(lambda: read(port, "/status")["height"] >= height)


def block(port: int, height: int) -> Any:
    return read(port, f"/blocks/{height}")


def test_a_copy_follows_through_kills_and_proves_what_the_validator_does(
    tmp_path: Path, network: tuple[Path, int, str]
) -> None:
    home, port, account = network
    copy, own = joined(tmp_path, "copy", network)
    follow = ("chain", "follow", "--from", f"http://127.0.0.1:{port}")
    with running(home, "chain", "run"):
        until_answers(port)
        until_height(port, 25)
        reached = 0
        for _ in range(3):
            with running(copy, *follow) as process:
                until_answers(own)
                until_height(own, max(25, reached + 3))
                reached = read(own, "/status")["height"]
                process.send_signal(signal.SIGKILL)
        with running(copy, *follow):
            until_answers(own)
            until_height(own, reached + 3)
            for height in (1, 20, 21, reached):
                assert block(own, height) == block(port, height)
            found = document("chain", "account", account, "--verify", "--json", home=copy)
            assert found["verified"]["height"] >= 25
    done = holdfast("chain", "replay", home=copy)
    assert done.returncode == 0, done.stderr
    assert "all is as stored" in done.stdout


def test_a_copy_begins_at_a_state_and_old_blocks_are_dropped(
    tmp_path: Path, network: tuple[Path, int, str]
) -> None:
    home, port, account = network
    copy, own = joined(tmp_path, "copy", network)
    with running(home, "chain", "run"):
        until_answers(port)
        until_height(port, 45)
        wait(lambda: any(int(each.stem) >= 40 for each in (home / "snapshots").glob("*.state")))
        url = f"http://127.0.0.1:{port}"
        for _ in range(2):  # the second time it goes on
            with running(copy, "chain", "follow", "--snapshot", "--from", url):
                until_answers(own)
                until_height(own, 46)
                found = document("chain", "account", account, "--verify", "--json", home=copy)
                assert found["verified"]["height"] >= 46
        assert_one_line(holdfast("chain", "replay", home=copy), 1, "chain.db")
        until_height(port, read(port, "/status")["height"] + 35)  # the copy stopped before these
        assert_one_line(
            holdfast("chain", "prune", "--keep", "29", home=home), 1, "needs the last 30 blocks"
        )
        pruned = document("chain", "prune", "--keep", "30", "--json", home=home)
        assert pruned["pruned_blocks"] == pruned["height"] - 30
        until_height(port, pruned["height"] + 5)
        with running(copy, "chain", "follow", "--from", url):  # it is too far behind by now
            until_answers(own)
            wait(lambda: "is not kept here" in health(own))
        for path in copy.glob("chain.db*"):
            path.unlink()
        with running(copy, "chain", "follow", "--snapshot", "--from", url):
            until_answers(own)
            until_height(own, pruned["height"] + 5)


def health(port: int) -> str:
    """Why a node is not healthy."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=20):
            return ""
    except HTTPError as error:
        return str(json.load(error)["reason"])


def test_what_cannot_be_followed_is_told_in_one_line(
    tmp_path: Path, network: tuple[Path, int, str]
) -> None:
    copy, _ = joined(tmp_path, "copy", network)
    nobody = ("chain", "follow", "--snapshot", "--from", f"http://127.0.0.1:{free_port()}")
    done = holdfast(*nobody, home=copy)
    assert done.returncode == 1
    assert "error: no peer gave a whole state" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    with (copy / "holdfast.toml").open("a") as file:
        file.write("chain.keep_blocks = 5\n")
    assert_one_line(holdfast("chain", "follow", home=copy), 1, "chain.keep_blocks", "30 blocks")
    assert_one_line(
        holdfast("chain", "prune", "--keep", "50", home=tmp_path / "none"), 3, "genesis"
    )
