"""Parameters of a new network, as they are typed."""

import pytest

from chain.challenges.bands import bands
from chain.genesis import Parameters
from holdfast.commands.genesis_cli import parameters_of
from wire.errors import Malformed


def test_parameters_are_numbers_by_name() -> None:
    chosen = parameters_of({"block_interval_ms": 100}, ["epoch_blocks=7", "window_blocks=9"])
    assert chosen == Parameters(block_interval_ms=100, epoch_blocks=7, window_blocks=9)


def test_bands_are_pairs_best_first() -> None:
    chosen = parameters_of({}, ["score_bands=1000000:1000000,900000:500000"])
    assert chosen.score_bands == bands((1_000_000, 1_000_000), (900_000, 500_000))
    assert chosen.speed_bands == Parameters().speed_bands


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nonsense=1", "NAME=NUMBER"),
        ("window_blocks=many", "NAME=NUMBER"),
        ("epoch_blocks=0", "epoch_blocks: Input should be greater"),
        ("score_bands=900000", "LEAST:PAY"),
        ("score_bands=", "LEAST:PAY"),
        ("score_bands=1:2:3", "LEAST:PAY"),
        ("speed_bands=1000001:1", "least_ppm: Input should be less"),
        ("speed_bands=500000:1,900000:1", "best down"),
        ("speed_bands=900000:1,900000:1", "best down"),
        ("score_bands=900000:1,800000:2", "none pays more"),
        ("flip_blocks=1000", "--parameter: stake could leave"),
    ],
)
def test_parameters_that_cannot_work_are_told_in_one_line(text: str, why: str) -> None:
    with pytest.raises(Malformed, match=why) as refused:
        parameters_of({}, [text])
    assert "\n" not in str(refused.value)
