"""What is typed to ask a hoster, and to announce that it will be away."""

import pytest

from holdfast.commands.duty_cli import blocks_of, parse_contract
from wire.errors import Malformed


@pytest.mark.parametrize(
    ("text", "interval_ms", "blocks"),
    [("20m", 2_000, 600), ("90s", 2_000, 45), ("1h", 250, 14_400), ("1s", 2_000, 1)],
)
def test_a_duration_is_so_many_blocks(text, interval_ms, blocks):
    assert blocks_of(text, interval_ms) == blocks


@pytest.mark.parametrize("text", ["", "m", "20", "0m", "-1m", "1.5h", "20 m", "2d", "1234567s"])
def test_what_is_no_duration_is_told_in_one_line(text):
    with pytest.raises(Malformed, match="a number and s, m or h, such as 20m") as refused:
        blocks_of(text, 2_000)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "ab", "zz" * 32, "00" * 33])
def test_what_is_no_id_is_told_in_one_line(text):
    with pytest.raises(Malformed, match="64 hexadecimal digits"):
        parse_contract(text)
    assert parse_contract("ab" * 32) == b"\xab" * 32
