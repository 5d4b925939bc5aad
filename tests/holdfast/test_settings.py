"""What one operator chooses: which source wins, and that no typing mistake is a silent default."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from holdfast.settings import CONFIG_NAME, Settings, load_settings
from wire.errors import Malformed


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("HOLDFAST_"):
            monkeypatch.delenv(name)


def write(home: Path, text: str) -> Path:
    (home / CONFIG_NAME).write_text(text)
    return home


def test_without_anything_there_are_defaults(tmp_path):
    settings = load_settings(tmp_path)
    assert settings == Settings()
    assert settings.chain.url == "http://127.0.0.1:4600"
    assert (settings.log.level, settings.log.format) == ("info", "text")
    assert settings.hoster.listen.port == 4610


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path, monkeypatch):
    home = write(tmp_path, "[log]\nlevel = 'warning'\nformat = 'json'\n")
    assert load_settings(home).log.level == "warning"
    monkeypatch.setenv("HOLDFAST_LOG__LEVEL", "error")
    assert load_settings(home).log.level == "error"
    chosen = load_settings(home, log={"level": "debug"})
    assert chosen.log.level == "debug"
    assert chosen.log.format == "json", "what a later source does not say stays"


def test_sources_are_joined_key_by_key(tmp_path, monkeypatch):
    home = write(tmp_path, "[hoster]\noperator = 'us'\n[hoster.listen]\nhost = '0.0.0.0'\n")
    monkeypatch.setenv("HOLDFAST_HOSTER__LISTEN__PORT", "99")
    monkeypatch.setenv("HOLDFAST_HOSTER__CAPACITY_BYTES", "1000")
    hoster = load_settings(home, hoster={"repair": False}).hoster
    assert (hoster.operator, hoster.listen.host, hoster.listen.port) == ("us", "0.0.0.0", 99)
    assert (hoster.capacity_bytes, hoster.repair) == (1000, False)


def test_dotted_keys_are_tables(tmp_path):
    home = write(tmp_path, 'chain.url = "http://a"\nchain.listen.port = 1\n')
    assert (load_settings(home).chain.url, load_settings(home).chain.listen.port) == ("http://a", 1)


def test_the_file_of_one_home_is_not_that_of_another(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for home in (one, other):
        home.mkdir()
    write(one, 'chain.url = "http://one"\n')
    assert load_settings(one).chain.url == "http://one"
    assert load_settings(other).chain.url == "http://127.0.0.1:4600"


WRONG_FILES = {
    "an unknown table": ("[chian]\nurl = 'x'\n", "chian"),
    "an unknown key": ("[chain]\nlrl = 'x'\n", "chain.lrl"),
    "an unknown key further in": ("[chain.listen]\nprot = 1\n", "chain.listen.prot"),
    "a key that is no table": ("chain = 'x'\n", "chain"),
    "a number for a text": ("chain.url = 5\n", "chain.url"),
    "a port beyond all": ("chain.listen.port = 65536\n", "chain.listen.port"),
    "no capacity": ("hoster.capacity_bytes = 0\n", "hoster.capacity_bytes"),
    "a level that there is not": ("log.level = 'loud'\n", "log.level"),
    "no TOML": ("[chain\n", "holdfast.toml"),
    "a key twice": ("log.level = 'info'\nlog.level = 'info'\n", "holdfast.toml"),
}


@pytest.mark.parametrize(("text", "word"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_wrong_file_is_named_with_the_key(tmp_path, text, word):
    with pytest.raises(Malformed) as wrong:
        load_settings(write(tmp_path, text))
    assert str(tmp_path / CONFIG_NAME) in str(wrong.value)
    assert word in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_file_that_is_not_text_is_named(tmp_path):
    (tmp_path / CONFIG_NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Malformed, match=CONFIG_NAME):
        load_settings(tmp_path)


WRONG_VARIABLES = {
    "an unknown table": ("HOLDFAST_CHIAN__URL", "x"),
    "an unknown key": ("HOLDFAST_CHAIN__LRL", "x"),
    "one underscore for two": ("HOLDFAST_CHAIN_URL", "http://x"),
    "a level that there is not": ("HOLDFAST_LOG__LEVEL", "loud"),
    "a port that is no number": ("HOLDFAST_CHAIN__LISTEN__PORT", "many"),
    "a table that is no JSON": ("HOLDFAST_CHAIN", "{"),
}


@pytest.mark.parametrize(("name", "value"), WRONG_VARIABLES.values(), ids=WRONG_VARIABLES)
def test_a_wrong_variable_is_named_and_not_the_file(tmp_path, monkeypatch, name, value):
    write(tmp_path, "log.format = 'json'\n")
    monkeypatch.setenv(name, value)
    with pytest.raises(Malformed) as wrong:
        load_settings(tmp_path)
    assert CONFIG_NAME not in str(wrong.value)
    assert name in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_wrong_flag_is_not_blamed_on_the_file(tmp_path):
    write(tmp_path, "log.level = 'info'\n")
    with pytest.raises(Malformed, match=r"log\.level") as wrong:
        load_settings(tmp_path, log={"level": "loud"})
    assert CONFIG_NAME not in str(wrong.value)


def test_other_variables_are_no_business_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    monkeypatch.setenv("HOLDFASTER", "x")
    monkeypatch.setenv("CHAIN__URL", "x")
    assert load_settings(tmp_path) == Settings()


def test_settings_do_not_change_once_they_are_read(tmp_path):
    settings = load_settings(tmp_path)
    with pytest.raises(ValidationError, match="frozen"):
        settings.log.level = "error"
