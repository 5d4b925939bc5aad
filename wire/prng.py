"""Unbiased choices from 32 secret or public bytes: a keyed BLAKE2b counter stream.

Block i of the stream with a seed and a label is `BLAKE2b-512(key = seed, u64(i) || label)`.
Labels make independent sub-streams of one seed. Ranges are drawn by rejection, so no value
is likelier than another; there are no floats, so every machine draws the same.
"""

from collections.abc import Sequence
from hashlib import blake2b
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

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        while len(self._buffer) < length:
            block = self._counter.to_bytes(8, "little") + self._label
            self._buffer += blake2b(block, key=self._seed, digest_size=64).digest()
            self._counter += 1
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        return taken

    def below(self, bound: int) -> int:
        """A uniform integer in 0..bound-1, by rejection of the topmost partial range."""
        assert bound > 0
        width = (bound.bit_length() + 7) // 8
        limit = (256**width // bound) * bound
        while True:
            value = int.from_bytes(self.take(width), "big")
            if value < limit:
                return value % bound

    def sample(self, population: int, count: int) -> list[int]:
        """`count` different integers of 0..population-1, in the order drawn.

        A sparse Fisher-Yates shuffle: memory grows with `count`, not with `population`.
        """
        assert 0 <= count <= population
        moved: dict[int, int] = {}
        drawn = []
        for position in range(count):
            other = position + self.below(population - position)
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
        left = list(weights)
        total = sum(left)
        drawn: list[int] = []
        while len(drawn) < count and total > 0:
            point = self.below(total)
            index = 0
            while point >= left[index]:
                point -= left[index]
                index += 1
            drawn.append(index)
            total -= left[index]
            left[index] = 0
        return drawn
