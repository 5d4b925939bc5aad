"""`kill -9` while a command waits for its transaction: run again, it pays once."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.commands import COMMAND, document, environment, holdfast
from tests.e2e.test_bad_input import free_port, running, until_answers
from tests.e2e.test_plan import PATIENCE_S, plan_of

pytestmark = pytest.mark.e2e

SLOW_MS = 3_000
"""Between blocks: what is sent waits for long enough to be killed."""


def killed_at_the_wait(home: Path, *arguments: str) -> None:
    """Start a command, and kill it when it has signed and the node may have it."""
    command = [*COMMAND, "--home", str(home), *arguments]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE_S
    while not list((home / "outbox").glob("*.sent")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was through already"


def said(home: Path, *arguments: str) -> str:
    """What a command tells the person that runs it, on one line."""
    done = holdfast(*arguments, home=home)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stderr.split())


def escrow(home: Path, plan: str) -> int:
    found: int = document("plan", "show", plan, "--json", home=home)["escrow_base"]
    return found


def test_who_is_killed_at_the_wait_and_pays_again_pays_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    account = document("init", "--json", home=home)["account"]
    made = holdfast(
        *("chain", "genesis", "--block-interval-ms", str(SLOW_MS)),
        *("--balance", f"{account}=10000000"),
        home=home,
    )
    assert made.returncode == 0
    port = free_port()
    (home / "holdfast.toml").write_text(f'chain.url = "http://127.0.0.1:{port}"\n')
    (tmp_path / "data.bin").write_bytes(os.urandom(100_000))
    feed = document("feed", "create", tmp_path / "data.bin", "--json", home=home)["feed"]
    order = ("plan", "create", feed, "--replicas", "2", "--epochs", "3", "--price", "1000")
    more = ("--epochs", "2", "--json")
    with running(home, "chain", "run", "--listen", f"127.0.0.1:{port}"):
        until_answers(port)
        with running(home, *order, "--listen", f"127.0.0.1:{free_port()}"):
            plan = str(plan_of(home, feed)["plan"])
        assert escrow(home, plan) == 6_000

        killed_at_the_wait(home, "plan", "topup", plan, *more)
        assert "nothing more is sent" in said(home, "plan", "topup", plan, *more)
        assert escrow(home, plan) == 10_000

        killed_at_the_wait(home, "plan", "topup", plan, *more)
        time.sleep(2 * SLOW_MS / 1_000)
        assert escrow(home, plan) == 14_000
        assert "finishing that first" in said(home, "plan", "pause", plan)
        assert document("plan", "topup", plan, *more, home=home)["escrow_base"] == 14_000
        assert document("plan", "topup", plan, *more, home=home)["escrow_base"] == 18_000

        killed_at_the_wait(home, "plan", "topup", plan, *more)
        assert document("--again", "plan", "topup", plan, *more, home=home)["escrow_base"] == 26_000
        assert not list((home / "outbox").iterdir())
