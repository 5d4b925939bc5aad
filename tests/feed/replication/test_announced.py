"""What a peer announced: agrees with a plain set, and stays small whatever is sent."""

from hypothesis import given
from hypothesis import strategies as st

from feed.replication.announced import MAX_PAGES, MAX_STRETCHES, Announced

_stretch = st.tuples(st.integers(0, 70_000), st.integers(0, 40_000)).map(
    lambda pair: (pair[0], pair[0] + pair[1])
)
_words = st.tuples(st.integers(0, 2100).map(lambda word: 32 * word), st.binary(max_size=64))
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), _stretch),
        st.tuples(st.just("drop"), _stretch),
        st.tuples(st.just("bits"), _words),
    ),
    max_size=12,
)


@given(_steps, st.lists(st.integers(0, 120_000), max_size=50))
def test_it_holds_what_was_announced_last(
    steps: list[tuple[str, tuple[int, int]] | tuple[str, tuple[int, bytes]]], probes: list[int]
) -> None:
    announced, plain = Announced(), set[int]()
    for name, (start, rest) in steps:
        if isinstance(rest, bytes):
            announced.add_bits(start, rest)
            for i in range(8 * len(rest)):
                (plain.add if rest[i >> 3] >> (i & 7) & 1 else plain.discard)(start + i)
        elif name == "add":
            announced.add(start, rest)
            plain |= set(range(start, rest))
        else:
            announced.drop(start, rest)
            plain -= set(range(start, rest))
    edges = [edge for _, (start, _) in steps for edge in (start - 1, start, start + 1)]
    for index in [*probes, *edges]:
        assert (index in announced) == (index in plain)
        after = min((i for i in plain if max(index, 0) <= i < 100_000), default=None)
        assert announced.next(max(index, 0), 100_000) == after


def test_a_peer_that_announces_every_other_chunk_costs_bounded_memory() -> None:
    announced = Announced()
    for index in range(0, 6 * MAX_STRETCHES, 2):
        announced.add(index, index + 1)
    assert 0 in announced and 1 not in announced
    assert 6 * MAX_STRETCHES - 2 not in announced
    announced.drop(0, 1)
    assert 0 not in announced


def test_a_peer_that_sends_endless_bitfields_costs_bounded_memory() -> None:
    announced = Announced()
    for number in range(MAX_PAGES + 9):
        announced.add_bits(number << 15, b"\x01\x00\x00\x00")
    assert (MAX_PAGES - 1) << 15 in announced
    assert (MAX_PAGES + 1) << 15 not in announced
