"""Sets of chunk indices: every operation agrees with a plain set of integers."""

from hypothesis import given
from hypothesis import strategies as st

from feed.ranges import Ranges, runs

_stretch = st.tuples(st.integers(0, 80), st.integers(0, 20)).map(lambda p: (p[0], p[0] + p[1]))
_steps = st.lists(st.tuples(st.booleans(), _stretch), max_size=25)


def _play(steps: list[tuple[bool, tuple[int, int]]]) -> tuple[Ranges, set[int]]:
    ranges, plain = Ranges(), set[int]()
    for adds, (start, stop) in steps:
        if adds:
            ranges.add(start, stop)
            plain |= set(range(start, stop))
        else:
            ranges.remove(start, stop)
            plain -= set(range(start, stop))
    return ranges, plain


@given(_steps)
def test_ranges_hold_what_a_set_holds(steps: list[tuple[bool, tuple[int, int]]]) -> None:
    ranges, plain = _play(steps)
    assert [index for start, stop in ranges for index in range(start, stop)] == sorted(plain)
    assert ranges.count == len(plain)
    assert {index for index in range(110) if index in ranges} == plain
    assert list(ranges) == list(runs(sorted(plain)))


@given(_steps, _stretch)
def test_gaps_and_parts_of_a_stretch_together_make_the_stretch(
    steps: list[tuple[bool, tuple[int, int]]], stretch: tuple[int, int]
) -> None:
    ranges, plain = _play(steps)
    inside = {i for start, stop in ranges.within(*stretch) for i in range(start, stop)}
    outside = {i for start, stop in ranges.gaps(*stretch) for i in range(start, stop)}
    assert inside == plain & set(range(*stretch))
    assert outside == set(range(*stretch)) - plain


@given(_steps, _stretch)
def test_a_bitfield_has_the_bits_of_the_set(
    steps: list[tuple[bool, tuple[int, int]]], stretch: tuple[int, int]
) -> None:
    ranges, plain = _play(steps)
    bits = ranges.bits(*stretch)
    number = int.from_bytes(bits, "little")
    assert len(bits) % 4 == 0
    assert {stretch[0] + i for i in range(8 * len(bits)) if number >> i & 1} == plain & set(
        range(*stretch)
    )


@given(_steps, st.integers(100, 110))
def test_what_is_complete_up_to_the_end_begins_behind_the_last_gap(
    steps: list[tuple[bool, tuple[int, int]]], stop: int
) -> None:
    ranges, plain = _play(steps)
    missing = set(range(stop)) - plain
    assert ranges.complete_from(stop) == max(missing, default=-1) + 1
    assert all(
        ranges.around(index) == (start, end) for start, end in ranges for index in (start, end - 1)
    )


@given(_steps, st.integers(0, 100))
def test_contiguous_is_the_first_index_that_is_missing(
    steps: list[tuple[bool, tuple[int, int]]], start: int
) -> None:
    ranges, plain = _play(steps)
    assert ranges.contiguous(start) == next(i for i in range(start, 200) if i not in plain)


def test_adding_tells_the_stretch_that_grew() -> None:
    ranges = Ranges([(0, 2), (4, 6)])
    assert ranges.add(2, 4) == (0, 6)
    assert list(ranges) == [(0, 6)]
