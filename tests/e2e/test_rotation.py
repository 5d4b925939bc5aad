"""A master seed that others may have seen: another speaks for the account, by one command."""

import shutil
from pathlib import Path

import pytest

from tests.e2e.commands import document, holdfast
from tests.e2e.test_bad_input import assert_one_line, running, until_answers
from tests.e2e.test_follow import network, until_height

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]

__all__ = ["network"]


def test_a_rotated_home_goes_on_and_a_copy_of_its_old_seed_does_not(
    tmp_path: Path, network: tuple[Path, int, str]
) -> None:
    home, port, account = network
    with running(home, "chain", "run"):
        until_answers(port)
        until_height(port, 3)
        stolen = tmp_path / "stolen"
        stolen.mkdir(mode=0o700)
        for name in ("seed", "genesis.cbor", "holdfast.toml"):
            shutil.copy2(home / name, stolen / name)

        found = document("rotate", "--json", home=home)
        assert found["account"] == account != found["signer"]
        assert document("id", "--json", home=home)["signer"] == found["signer"]
        assert (home / "seed.old").read_text() == (stolen / "seed").read_text()

        keep = ("chain", "leave", "--keep-stake", "--json")
        assert_one_line(holdfast(*keep, home=stolen), 1, "another key signs for this account")
        assert document(*keep, home=home)["account"] == account
        assert_one_line(holdfast("rotate", home=stolen), 1, "no longer signs for this account")


def test_a_rotation_that_was_interrupted_is_finished(
    tmp_path: Path, network: tuple[Path, int, str]
) -> None:
    home, port, account = network
    assert_one_line(holdfast("rotate", home=home), 1, "does not answer")
    following = (home / "seed.next").read_text()
    with running(home, "chain", "run"):
        until_answers(port)
        until_height(port, 1)
        assert document("rotate", "--json", home=home)["account"] == account
    assert (home / "seed").read_text() == following
    assert not (home / "seed.next").exists()
