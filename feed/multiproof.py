"""Evidence for many chunks at once, in which every tree node that they share is given once.

The nodes beside the paths of the wanted chunks (the uncles) have one order, so no index
travels: go down from the feed's full roots, left to right; a subtree without a wanted chunk is
the next uncle, a wanted leaf is known, and all else is the parent of its two halves.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from hashlib import blake2b
from struct import Struct

from feed import flat_tree
from feed.tree import MAX_LENGTH, Node, tree_hash
from wire.compact import MAX_UINT
from wire.errors import Malformed, NotFound

MAX_CHUNKS = 4096
"""Chunks in one proof: with at most 40 uncles each, checking takes less than a second."""

_PARENT = Struct("<BQ32s32s").pack

Part = tuple[int, bytes]
"""Size and hash of a node."""


def make(
    length: int, indices: Collection[int], node: Callable[[int], Node | None]
) -> tuple[Part, ...]:
    """The uncles that prove the chunks `indices` of a feed of `length` chunks.

    Raises `NotFound` when a node of the tree is not stored.
    """
    uncles = []
    for index, wanted in _tiles(length, indices):
        if not wanted:
            stored = node(index)
            if stored is None:
                raise NotFound(f"node {index} is not held")
            uncles.append((stored.size, stored.hash))
    return tuple(uncles)


def verify(length: int, leaves: Mapping[int, Part], uncles: Sequence[Part]) -> bytes:
    """The tree hash of the feed of `length` chunks that has these leaves, by chunk index.

    The caller compares it with a signed one. Raises `Malformed` when uncles are missing or left
    over. A leaf's hash is then proven; its size only if the caller computed it from the chunk,
    for bytes could be moved between a claimed leaf and its sibling.
    """
    wanted = _wanted(length, leaves)
    _require_nodes([*leaves.values(), *uncles])
    climb = _Climb([leaves[chunk] for chunk in wanted], wanted, uncles)
    roots = []
    try:
        for root in flat_tree.full_roots(length):
            first, last = flat_tree.span(root)
            low, high = bisect_left(wanted, first >> 1), bisect_left(wanted, (last >> 1) + 1)
            roots.append(Node(root, *climb.up(first >> 1, flat_tree.depth(root), low, high)))
    except IndexError:
        raise Malformed("the proof has too few uncles") from None
    if climb.used != len(uncles):
        raise Malformed("the proof has uncles left over")
    return tree_hash(roots)


class _Climb:
    """From leaves and uncles up to a root. Mutable, owned by one `verify`, and it is hot."""

    def __init__(self, leaves: list[Part], wanted: list[int], uncles: Sequence[Part]) -> None:
        self._leaves = leaves
        self._wanted = wanted
        self._uncles = uncles
        self.used = 0

    def up(self, first: int, depth: int, low: int, high: int) -> Part:
        """The node over 2^depth chunks from `first` on, of which low..high-1 are wanted."""
        if low == high:
            self.used += 1
            return self._uncles[self.used - 1]
        if high - low == 1:
            return self._path(self._wanted[low] - first, depth, self._leaves[low])
        middle = first + (1 << depth - 1)
        split = bisect_left(self._wanted, middle, low, high)
        size, left = self.up(first, depth - 1, low, split)
        other, right = self.up(middle, depth - 1, split, high)
        size += other
        return size, blake2b(_PARENT(1, size, left, right), digest_size=32).digest()

    def _path(self, bits: int, depth: int, leaf: Part) -> Part:
        """One wanted leaf: uncles left of its path come first, from the top, then the others."""
        size, digest = leaf
        right = self.used + bits.bit_count()
        left = right - 1
        self.used += depth
        uncles = self._uncles
        for _ in range(depth):
            if bits & 1:
                other, uncle = uncles[left]
                size += other
                data = _PARENT(1, size, uncle, digest)
                left -= 1
            else:
                other, uncle = uncles[right]
                size += other
                data = _PARENT(1, size, digest, uncle)
                right += 1
            digest = blake2b(data, digest_size=32).digest()
            bits >>= 1
        return size, digest


def _require_nodes(parts: Sequence[Part]) -> None:
    """Raise `Malformed` unless all are tree nodes, and of one feed: no sum of sizes overflows."""
    sizes, digests = zip(*parts, strict=True) if parts else ((), ())
    if min(sizes, default=0) < 0 or sum(sizes) > MAX_UINT or not {*map(len, digests)} <= {32}:
        raise Malformed("a part of the proof is no tree node, or all are too large")


def _wanted(length: int, indices: Collection[int]) -> list[int]:
    """The chunks in ascending order, if a proof of them can be."""
    if not 0 < length <= MAX_LENGTH or len(indices) > MAX_CHUNKS:
        raise Malformed(f"a proof of {len(indices)} chunks of {length}")
    wanted = sorted({*indices})
    if wanted and not 0 <= wanted[0] <= wanted[-1] < length:
        raise Malformed("a chunk in the proof is beyond the feed")
    return wanted


def _tiles(length: int, indices: Collection[int]) -> Iterator[tuple[int, bool]]:
    """Tree nodes that cover the feed, left to right; True marks the leaves of `indices`."""
    leaves = [2 * index for index in _wanted(length, indices)]
    stack = []
    for root in reversed(flat_tree.full_roots(length)):
        first, last = flat_tree.span(root)
        stack.append((root, bisect_left(leaves, first), bisect_left(leaves, last + 1)))
    while stack:
        index, low, high = stack.pop()
        if low == high or not index & 1:
            yield index, low != high
            continue
        middle = bisect_left(leaves, index, low, high)
        stack.append((flat_tree.right_child(index), middle, high))
        stack.append((flat_tree.left_child(index), low, middle))
