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
    roots, low, used = [], 0, 0
    try:
        for root in flat_tree.full_roots(length):
            high = bisect_left(wanted, (flat_tree.span(root)[1] >> 1) + 1, low)
            depth = flat_tree.depth(root)
            size, digest, used = _climb(depth, wanted[low:high], leaves, uncles, used)
            roots.append(Node(root, size, digest))
            low = high
    except IndexError:
        raise Malformed("the proof has too few uncles") from None
    if used != len(uncles):
        raise Malformed("the proof has uncles left over")
    return tree_hash(roots)


def _climb(
    depth: int,
    wanted: list[int],
    leaves: Mapping[int, Part],
    uncles: Sequence[Part],
    used: int,
) -> tuple[int, bytes, int]:
    """The root over 2^depth chunks, some of them wanted, and how many uncles are used then.

    Each wanted leaf climbs to where its path meets that of the next. It is hot.
    """
    if not wanted:
        return *uncles[used], used + 1
    lefts: list[Part] = []  # whose right siblings are not climbed yet, the lowest last
    below = depth
    for place, following in zip(wanted, (*wanted[1:], None), strict=True):
        count = (place & (1 << below) - 1).bit_count()
        lefts += uncles[used : used + count]
        used += count
        below = depth if following is None else (place ^ following).bit_length() - 1
        size, digest = leaves[place]
        path = place
        for _ in range(below):
            if path & 1:
                other, uncle = lefts.pop()
                size += other
                data = _PARENT(1, size, uncle, digest)
            else:
                other, uncle = uncles[used]
                used += 1
                size += other
                data = _PARENT(1, size, digest, uncle)
            digest = blake2b(data, digest_size=32).digest()
            path >>= 1
        lefts.append((size, digest))
    return *lefts.pop(), used


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
