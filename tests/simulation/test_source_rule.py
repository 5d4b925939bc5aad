"""Why the flip does not follow its source to the letter: what two do to the source's rule."""

import pytest

from holdfast.simulation.source import MAGIC, abort, copy, hash_of_list, rush, secret

COUNT = 10
"""The source's usual number of attestors."""


def test_two_colluders_choose_every_byte_of_a_xor_coin_at_once() -> None:
    wanted = b"whatever the two of them like !!"
    assert all(rush(seed, 0, COUNT, wanted, "xor", 1) == wanted for seed in range(50))


@pytest.mark.parametrize("magic", ["hash of list", "hash of xor"])
def test_two_colluders_grind_a_hashed_coin_bit_by_bit(magic: str) -> None:
    for run in range(20):
        assert rush(1, run, COUNT, b"\x07", magic, 4096)[0] == 7


def test_a_copied_commitment_cancels_under_xor_and_under_a_hash_of_it() -> None:
    assert {copy(1, run, "xor") for run in range(20)} == {bytes(32)}
    assert len({copy(1, run, "hash of xor") for run in range(20)}) == 1
    assert len({copy(1, run, "hash of list") for run in range(20)}) == 20


def test_one_who_reveals_last_and_may_try_again_gets_its_bit_15_times_in_16() -> None:
    coins = [abort(1, run, COUNT, 4, lambda coin: coin[0] >= 128)[0] for run in range(400)]
    assert 360 <= sum(coin[0] >= 128 for coin in coins) <= 390
    honest = [abort(1, run, COUNT, 1, lambda coin: coin[0] >= 128)[0] for run in range(400)]
    assert 170 <= sum(coin[0] >= 128 for coin in honest) <= 230


def test_a_hash_of_the_list_does_not_depend_on_its_order() -> None:
    secrets = [secret(place) for place in range(3)]
    assert hash_of_list(secrets) == hash_of_list(secrets[::-1])
    assert len({magic(secrets) for magic in MAGIC.values()}) == 3
