"""A set of chunk indices kept as disjoint stretches: what a peer holds of a feed.

A complete feed is one stretch, an auditor's few chunks are a few dozen, so memory follows how
scattered the set is, never how long the feed is. Mutable, because one chunk after another is
added; `stretches` are half-open `(start, stop)` pairs, ascending, never touching.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """A mutable set of indices; adding, removing and asking cost a binary search."""

    __slots__ = ("_starts", "_stops", "count")

    def __init__(self, stretches: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self.count = 0
        for start, stop in stretches:
            self.add(start, stop)

    def __contains__(self, index: int) -> bool:
        position = bisect_right(self._starts, index)
        return position > 0 and index < self._stops[position - 1]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._stops, strict=True)

    def __len__(self) -> int:
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Ranges({list(self)})"

    def add(self, start: int, stop: int) -> tuple[int, int]:
        """Put `start..stop-1` in; returns the stretch that they are now part of."""
        if start >= stop:
            return start, stop
        first = bisect_left(self._stops, start)
        last = bisect_right(self._starts, stop)
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        self._replace(first, last, [(start, stop)])
        return start, stop

    def remove(self, start: int, stop: int) -> None:
        """Take `start..stop-1` out."""
        first = bisect_right(self._stops, start)
        last = bisect_left(self._starts, stop)
        if start >= stop or first >= last:
            return
        left, right = self._starts[first], self._stops[last - 1]
        kept = [(left, start)] if left < start else []
        if stop < right:
            kept.append((stop, right))
        self._replace(first, last, kept)

    def _replace(self, first: int, last: int, stretches: list[tuple[int, int]]) -> None:
        for position in range(first, last):
            self.count -= self._stops[position] - self._starts[position]
        self._starts[first:last] = [start for start, _ in stretches]
        self._stops[first:last] = [stop for _, stop in stretches]
        self.count += sum(stop - start for start, stop in stretches)

    def contiguous(self, start: int = 0) -> int:
        """The first index from `start` on that is not in the set."""
        position = bisect_right(self._starts, start)
        if position > 0 and start < self._stops[position - 1]:
            return self._stops[position - 1]
        return start

    def complete_from(self, stop: int) -> int:
        """The index from which on all are in the set up to `stop`, which none of it lies beyond."""
        if self._stops and self._stops[-1] == stop:
            return self._starts[-1]
        return stop

    def around(self, index: int) -> tuple[int, int]:
        """The stretch that an index of the set is part of."""
        position = bisect_right(self._starts, index) - 1
        return self._starts[position], self._stops[position]

    def within(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The parts of the set that lie in `start..stop-1`."""
        for position in range(bisect_right(self._stops, start), len(self._starts)):
            if self._starts[position] >= stop or start >= stop:
                return
            yield max(start, self._starts[position]), min(stop, self._stops[position])

    def gaps(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The parts of `start..stop-1` that are not in the set."""
        for inside_start, inside_stop in self.within(start, stop):
            if start < inside_start:
                yield start, inside_start
            start = inside_stop
        if start < stop:
            yield start, stop

    def bits(self, start: int, stop: int) -> bytes:
        """`start..stop-1` as a bitfield, lowest bit first, padded to 32-bit words."""
        out = bytearray(-(-(stop - start) // 32) * 4)
        for inside_start, inside_stop in self.within(start, stop):
            low, high = inside_start - start, inside_stop - start - 1
            first, last = low >> 3, high >> 3
            from_low, to_high = 0xFF << (low & 7) & 0xFF, 0xFF >> 7 - (high & 7)
            if first == last:
                out[first] |= from_low & to_high
                continue
            out[first] |= from_low
            out[first + 1 : last] = b"\xff" * (last - first - 1)
            out[last] |= to_high
        return bytes(out)


def runs(indices: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ascending indices as stretches; an index may repeat."""
    start = stop = -1
    for index in indices:
        if index > stop:
            if start >= 0:
                yield start, stop
            start = index
        stop = index + 1
    if start >= 0:
        yield start, stop
