"""What a command may offer when blocks are full: the flag, or else the settings, or the least."""

from pathlib import Path

import pytest

from chain.client.light_client import ChainClient
from holdfast import cli
from holdfast.cli import Session
from holdfast.following import wallet_of
from holdfast.home import Home
from holdfast.settings import Settings, load_settings
from tests.people import genesis


@pytest.mark.parametrize(
    ("flags", "file", "limit"),
    [
        ([], "", 0),
        ([], "[chain]\nfee_limit_base = 5\n", 5),
        (["--fee-limit", "77"], "[chain]\nfee_limit_base = 5\n", 77),
        (["--fee-limit", "0", "--log-level", "error"], "[chain]\nfee_limit_base = 5\n", 0),
    ],
)
def test_commands_offer_what_the_flag_or_the_settings_say(
    flags: list[str], file: str, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    home.create()
    home.write_genesis(genesis())
    (home.path / "holdfast.toml").write_text(file)
    used: list[Settings] = []

    def load(path: Path, **found: object) -> Settings:
        used.append(load_settings(path, **found))
        return used[-1]

    monkeypatch.setattr(cli, "load_settings", load)
    assert cli.run(["--home", str(home.path), *flags, "id"]) == 0
    wallet = wallet_of(Session(home, False, used[-1]), ChainClient("http://[::1]:1", genesis()))
    assert wallet._fee_limit_base == limit
    assert wallet.account == home.account()
