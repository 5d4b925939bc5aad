"""What a daemon's command hands to the process that it becomes."""

from pathlib import Path

import pytest

from attestor.service import Attestor, AttestorTerms
from attestor.store import AttestorStore
from chain.client.found_store import FoundStore
from chain.client.light_client import ChainClient
from feed.store import FeedStore
from holdfast.__main__ import run
from holdfast.commands import role_cli
from holdfast.home import Home
from holdfast.role import Terms
from hoster.service import Hoster, HosterTerms
from tests.people import PARAMETERS, genesis

DEFAULTS = {
    "host": PARAMETERS.contract_collateral_base // 4,
    "attest": PARAMETERS.unopened_penalty_base,
}


def terms(home: Path, role: str, monkeypatch: pytest.MonkeyPatch) -> Terms:
    """Of this role's daemon in a new home."""
    made: list[Terms] = []
    monkeypatch.setattr(role_cli, "become", lambda _, __, terms: made.append(terms))
    place = Home(home)
    if not home.exists():
        place.create()
        place.write_genesis(genesis())
    assert run(["--home", str(home), role, "run"]) == 0
    return made[0]


@pytest.mark.parametrize("role", DEFAULTS)
def test_a_daemon_offers_what_is_at_stake_or_what_its_operator_says(role, tmp_path, monkeypatch):
    home = tmp_path / "home"
    assert terms(home, role, monkeypatch).role["fee_limit_base"] == DEFAULTS[role]
    section = {"host": "hoster", "attest": "attestor"}[role]
    (home / "holdfast.toml").write_text(f"[{section}]\nfee_limit_base = 0\n")
    assert terms(home, role, monkeypatch).role["fee_limit_base"] == 0


async def test_the_limit_is_that_of_the_daemons_wallet(tmp_path, monkeypatch):
    chain = ChainClient("http://127.0.0.1:1", genesis())
    found = terms(tmp_path / "home", "host", monkeypatch).role | {"fee_limit_base": 77}
    lies = FoundStore(tmp_path / "found")
    with FeedStore(":memory:") as store:
        hoster = Hoster(chain, bytes(32), store, HosterTerms(**found), found=lies)
        assert hoster._wallet._fee_limit_base == 77
    found = terms(tmp_path / "home", "attest", monkeypatch).role | {"fee_limit_base": 77}
    with AttestorStore(tmp_path / "a.db") as kept:
        attestor = Attestor(chain, bytes(32), kept, AttestorTerms(**found), found=lies)
        assert attestor._wallet._fee_limit_base == 77
