"""Parameters of a new network, as they are typed."""

import pytest

from chain.genesis import Parameters
from holdfast.genesis_cli import parameters_of
from wire.errors import Malformed


def test_parameters_are_numbers_by_name() -> None:
    chosen = parameters_of({"block_interval_ms": 100}, ["epoch_blocks=7", "window_blocks=9"])
    assert chosen == Parameters(block_interval_ms=100, epoch_blocks=7, window_blocks=9)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nonsense=1", "NAME=NUMBER"),
        ("window_blocks=many", "NAME=NUMBER"),
        ("epoch_blocks=0", "epoch_blocks: Input should be greater"),
        ("flip_blocks=1000", "--parameter: stake could leave"),
    ],
)
def test_parameters_that_cannot_work_are_told_in_one_line(text: str, why: str) -> None:
    with pytest.raises(Malformed, match=why) as refused:
        parameters_of({}, [text])
    assert "\n" not in str(refused.value)
