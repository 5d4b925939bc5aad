"""Unbiased choices from 32 secret or public bytes: a keyed BLAKE2b counter stream.

Block i of the stream with a seed and a label is `BLAKE2b-512(key = seed, u64(i) || label)`.
Labels make independent sub-streams of one seed. Ranges are drawn by rejection, so no value
is likelier than another; there are no floats, so every machine draws the same.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


class Stream:
    """An endless deterministic stream of bytes; the order of calls matters."""

    def __init__(self, seed: bytes, label: bytes) -> None:
        assert len(seed) == 32
        self._seed = seed
        self._label = label
        self._counter = 0
        self._buffer = b""
        self._used = 0

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        end = self._used + length
        if end > len(self._buffer):
            self._refill(length)
            end = length
        taken = self._buffer[self._used : end]
        self._used = end
        return taken

    def _refill(self, length: int) -> None:
        kept = self._buffer[self._used :]
        first, key, label = self._counter, self._seed, self._label
        self._counter += -(-(length - len(kept)) // 64)
        blocks = [
            blake2b(count.to_bytes(8, "little") + label, key=key, digest_size=64).digest()
            for count in range(first, self._counter)
        ]
        self._buffer, self._used = b"".join((kept, *blocks)), 0

    def below(self, bound: int) -> int:
        """A uniform integer in 0..bound-1, by rejection of the topmost partial range."""
        assert bound > 0
        width = (bound.bit_length() + 7) >> 3
        last = (1 << (width << 3)) - bound
        while True:
            start, end = self._used, self._used + width
            if end > len(self._buffer):
                self._refill(width)
                start, end = 0, width
            buffer, self._used = self._buffer, end
            # Most bounds are small, and samples of visits draw a great many.
            value = buffer[start] if width == 1 else int.from_bytes(buffer[start:end], "big")
            chosen = value % bound
            if value - chosen <= last:  # else it is of the topmost range, which is not whole
                return chosen

    def all_below(self, bound: int, count: int) -> list[int]:
        """The next `count` integers of `below(bound)`, in a fraction of the time."""
        width = (bound.bit_length() + 7) >> 3
        last = (1 << (width << 3)) - bound
        block = self.take(width * count)
        values = [int.from_bytes(block[i : i + width], "big") for i in range(0, len(block), width)]
        chosen = [value % bound for value in values if value - value % bound <= last]
        return chosen + [self.below(bound) for _ in range(count - len(chosen))]

    def sample(self, population: int, count: int) -> list[int]:
        """`count` different integers of 0..population-1, in the order drawn.

        A sparse Fisher-Yates shuffle: memory grows with `count`, not with `population`.
        """
        assert 0 <= count <= population
        moved: dict[int, int] = {}
        drawn = []
        below = self.below
        for position in range(count):
            other = position + below(population - position)
            drawn.append(moved.get(other, other))
            moved[other] = moved.get(position, position)
        return drawn

    def shuffle(self, items: Sequence[T]) -> list[T]:
        """All of `items` in a uniformly random order."""
        return [items[index] for index in self.sample(len(items), len(items))]

    def weighted_sample(self, weights: Sequence[int], count: int) -> list[int]:
        """`count` different indices, each drawn in proportion to the weights still left.

        Indices of weight zero are never drawn; fewer than `count` come back when no more
        have weight.
        """
        return list(islice(self.weighted_order(weights), count))

    def weighted_order(self, weights: Sequence[int]) -> Iterator[int]:
        """The same one by one, for whoever does not know how many it takes."""
        left, total = list(weights), sum(weights)
        # A Fenwick tree: sums[i] is over the i & -i weights up to place i, counted from 1.
        sums = [0, *weights]
        for place in range(1, len(sums)):
            if (above := place + (place & -place)) < len(sums):
                sums[above] += sums[place]
        while total > 0:
            index = _find(sums, self.below(total))
            taken, left[index] = left[index], 0
            total -= taken
            place = index + 1
            while place < len(sums):
                sums[place] -= taken
                place += place & -place
            yield index


def _find(sums: list[int], point: int) -> int:
    """The first index up to which the weights add up to more than `point`."""
    index, step = 0, 1 << len(sums).bit_length()
    while step := step >> 1:
        if index + step < len(sums) and sums[index + step] <= point:
            index += step
            point -= sums[index]
    return index
