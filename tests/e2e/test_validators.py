"""Stand for validator and step down, and read from a node that nobody trusts, by commands."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.e2e.commands import document, holdfast
from tests.e2e.test_bad_input import assert_one_line, free_port, running, until_answers

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]

TERM_BLOCKS = 20


def validator(home: Path, account: str) -> dict[str, Any]:
    found = document("chain", "validators", "--json", home=home)
    (one,) = [each for each in found["validators"] if each["account"] == account]
    return dict(one)


def read(port: int, path: str) -> Any:
    """What the node says, with no program of ours between."""
    with urlopen(f"http://127.0.0.1:{port}/api/v1{path}", timeout=20) as response:
        return json.load(response)


def until_height(port: int, height: int) -> None:
    while read(port, "/status")["height"] < height:
        time.sleep(0.1)


def test_candidates_come_and_go_and_proofs_go_with_them(tmp_path: Path) -> None:
    homes = {name: tmp_path / name for name in ("validator", "other")}
    ids = {name: document("init", "--json", home=home)["account"] for name, home in homes.items()}
    port = free_port()
    for home in homes.values():
        (home / "holdfast.toml").write_text(
            f'chain.url = "http://127.0.0.1:{port}"\nchain.listen.port = {port}\n'
            f"chain.gossip.port = {free_port()}\n"
        )
    made = document(
        *("chain", "genesis", "--block-interval-ms", "50", "--stake", "3000000", "--json"),
        *("--parameter", f"term_blocks={TERM_BLOCKS}"),
        # The one that runs stays the only one: a chain waits for those who joined.
        *("--parameter", "validators_maximum=1"),
        *("--balance", f"{ids['other']}=10000000"),
        home=homes["validator"],
    )
    assert holdfast("init", "--genesis", made["genesis"], home=homes["other"]).returncode == 0
    other, account = homes["other"], ids["other"]
    with running(homes["validator"], "chain", "run"):
        until_answers(port)

        (only,) = document("chain", "validators", "--json", home=other)["validators"]
        assert (only["account"], only["place"], only["standing"]) == (ids["validator"], 0, True)
        assert_one_line(holdfast("chain", "leave", home=other), 3, "never stood")
        short = holdfast("chain", "join", "--stake", "999999", home=other)
        assert_one_line(short, 1, "1000000 at least")

        joined = document("chain", "join", "--stake", "2000000", "--json", home=other)
        assert (joined["listed"], joined["stake_base"], joined["serves"]) == (
            True,
            2_000_000,
            False,
        )
        again = document("chain", "join", "--stake", "2000000", "--json", home=other)
        assert again["stake_base"] == 2_000_000
        mine = validator(other, account)
        assert (mine["place"], mine["standing"], mine["stake_base"]) == (None, True, 2_000_000)
        shown = holdfast("chain", "validators", home=other).stdout
        assert account[:12] in shown
        assert "stands" in shown

        # What a node says is one thing, what it proves another.
        plain = document("chain", "account", account, "--json", home=other)
        proven = document("chain", "account", account, "--verify", "--json", home=other)
        assert proven["balance_base"] == plain["balance_base"] < 8_000_000
        assert proven["verified"]["network"] == made["network"]
        nobody = holdfast("chain", "account", "y" * 52, "--verify", home=other)
        assert_one_line(nobody, 3, "proves", "no such account")
        enlisted = [
            transaction
            for block in range(1, proven["verified"]["height"] + 1)
            for transaction in read(port, f"/blocks/{block}")["transactions"]
        ]
        assert [each["kind"] for each in enlisted] == ["enlist", "stake"]
        found = document("chain", "tx", enlisted[0]["id"], "--verify", "--json", home=other)
        assert (found["outcome"], found["verified"]["height"]) == ("applied", found["height"])
        assert_one_line(holdfast("chain", "tx", "00" * 32, home=other), 3, "no final block")
        assert_one_line(holdfast("chain", "tx", "nonsense", home=other), 1, "64 hexadecimal")

        # Over borders, from the genesis and from where this home has come to.
        until_height(port, 2 * TERM_BLOCKS + 1)
        text = holdfast("chain", "account", account, "--verify", home=other).stdout
        assert "verified" in text
        later = document("chain", "account", account, "--verify", "--json", home=other)["verified"]
        assert later["followed_from_term"] >= 2
        old = document("chain", "tx", enlisted[0]["id"], "--verify", "--json", home=other)
        assert old["verified"]["followed_from_term"] == 0
        assert old["height"] == found["height"]

        left = document("chain", "leave", "--json", home=other)
        assert (left["listed"], left["stake_base"]) == (False, 0)
        assert left["unbonding_base"] == 2_000_000

        replayed = document("chain", "replay", "--json", home=homes["validator"])
        assert replayed["height"] > 2 * TERM_BLOCKS
        assert replayed["transactions"] == 4
    assert_one_line(holdfast("chain", "replay", home=other), 3, "no node")
    assert_one_line(holdfast("chain", "validators", home=other), 1, "no node answers")
