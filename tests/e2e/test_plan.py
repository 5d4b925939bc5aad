"""Order the hosting of a feed that is already there, pay for more of it with somebody else, let it
rest, think better of it, and get the coins back."""

import os
import time
from pathlib import Path

import pytest

from tests.e2e.commands import document, holdfast
from tests.e2e.test_bad_input import assert_one_line, free_port, running, until_answers

pytestmark = pytest.mark.e2e

PATIENCE_S = 30


def test_a_plan_that_nobody_takes_is_cancelled_and_paid_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    account = document("init", "--json", home=home)["account"]
    sponsor = tmp_path / "sponsor"
    payer = document("init", "--json", home=sponsor)["account"]
    coins = ("--balance", f"{account}=10000000", "--balance", f"{payer}=100000")
    made = holdfast("chain", "genesis", "--block-interval-ms", "100", *coins, home=home)
    assert made.returncode == 0
    (sponsor / "genesis.cbor").write_bytes((home / "genesis.cbor").read_bytes())
    port = free_port()
    for each in (home, sponsor):
        (each / "holdfast.toml").write_text(f'chain.url = "http://127.0.0.1:{port}"\n')
    (tmp_path / "data.bin").write_bytes(os.urandom(100_000))
    feed = document("feed", "create", tmp_path / "data.bin", "--json", home=home)["feed"]
    order = ("plan", "create", feed, "--replicas", "2", "--epochs", "3", "--price", "1000")
    with running(home, "chain", "run", "--listen", f"127.0.0.1:{port}"):
        until_answers(port)
        with running(home, *order, "--listen", f"127.0.0.1:{free_port()}"):
            plan = plan_of(home, feed)
        assert document("feed", "hosters", feed, "--json", home=home) == []
        assert "no hoster has the feed yet" in holdfast("feed", "hosters", feed, home=home).stdout
        assert_one_line(holdfast("feed", "hosters", account, home=home), 3, "no such feed")
        assert (plan["status"] in ("waiting", "running"), plan["escrow_base"]) == (True, 6_000)
        add_rest_and_resume(home, sponsor, plan["plan"], account, payer)
        before = document("chain", "account", account, "--json", home=home)["balance_base"]
        paid = document("chain", "account", payer, "--json", home=home)["balance_base"]
        ended = document("plan", "cancel", plan["plan"], "--json", home=home)
        assert (ended["status"], ended["escrow_base"]) == ("ended", 0)
        after = document("chain", "account", account, "--json", home=home)["balance_base"]
        # The one validator earns its own fees.
        assert after == before + 6_000
        back = document("chain", "account", payer, "--json", home=home)["balance_base"]
        assert back == paid + 4_000
        assert "ended" in holdfast("plan", "show", plan["plan"], home=sponsor).stdout
        late = holdfast("plan", "topup", plan["plan"], "--epochs", "2", home=sponsor)
        assert_one_line(late, 1, "plan_closed")
        assert_one_line(holdfast("plan", "cancel", plan["plan"], home=home), 1, "plan_closed")
        assert_one_line(holdfast("plan", "cancel", "nonsense", home=home), 1, "64")

        reader = tmp_path / "reader"
        assert holdfast("init", "--genesis", home / "genesis.cbor", home=reader).returncode == 0
        serving = free_port()
        with running(home, "feed", "serve", "--listen", f"127.0.0.1:{serving}"):
            until_answers(serving)
            source = ("--from", f"127.0.0.1:{serving}")
            assert holdfast("feed", "clone", feed, *source, home=reader).returncode == 0
        assert_one_line(holdfast(*order, home=reader), 1, "did not make", feed)


def add_rest_and_resume(home: Path, sponsor: Path, plan: str, account: str, payer: str) -> None:
    added = document("plan", "topup", plan, "--epochs", "2", "--json", home=sponsor)
    assert (added["escrow_base"], added["epochs"], added["vacancies"]) == (10_000, 3, [5, 5])
    assert_one_line(holdfast("plan", "pause", plan, home=sponsor), 1, "not_the_owner")
    assert_one_line(holdfast("plan", "resume", plan, home=home), 1, "running, not paused")
    assert document("plan", "pause", plan, "--json", home=home)["status"] == "paused"
    assert_one_line(holdfast("plan", "pause", plan, home=home), 1, "paused, not running")
    assert "unless it is resumed" in holdfast("plan", "show", plan, home=home).stdout
    shown = document("plan", "show", plan, "--json", home=sponsor)
    assert (shown["status"], shown["owner"], shown["contracts"]) == ("paused", account, [])
    assert shown["sponsors"] == [
        {"account": account, "unspent_base": 6_000},
        {"account": payer, "unspent_base": 4_000},
    ]
    resumed = holdfast("plan", "resume", plan, home=home)
    assert (resumed.returncode, resumed.stdout) == (0, "running\n")
    assert_one_line(holdfast("plan", "show", "00" * 32, home=home), 3, "no such plan")


def plan_of(home: Path, feed: str) -> dict[str, object]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        listed = holdfast("plan", "list", feed, "--json", home=home)
        if listed.returncode == 0 and (
            plans := document("plan", "list", feed, "--json", home=home)
        ):
            found: dict[str, object] = plans[0]
            return found
        time.sleep(0.1)
    raise AssertionError("no plan was made")
