"""Evidence for many chunks at once, in which every tree node that they share is given once.

The nodes beside the paths of the wanted chunks (the uncles) have one order, so no index
travels: go down from the feed's full roots, left to right; a subtree without a wanted chunk is
the next uncle, a wanted leaf is known, and all else is the parent of its two halves.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from feed import flat_tree
from feed.tree import MAX_LENGTH, Appender, Node, tree_hash
from wire.compact import MAX_UINT
from wire.errors import Malformed, NotFound

MAX_CHUNKS = 4096
"""Chunks in one proof: with at most 40 uncles each, checking takes less than a second."""

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
    tree = Appender()
    rest = iter(uncles)
    for index, wanted in _tiles(length, leaves):
        part = leaves[index >> 1] if wanted else next(rest, None)
        if part is None:
            raise Malformed("the proof has too few uncles")
        size, digest = part
        if not 0 <= size <= MAX_UINT or len(digest) != 32:
            raise Malformed("a part of the proof is no tree node")
        tree.push(Node(index, size, digest))
    if next(rest, None) is not None:
        raise Malformed("the proof has uncles left over")
    return tree_hash(tree.roots)


def _tiles(length: int, indices: Collection[int]) -> Iterator[tuple[int, bool]]:
    """Tree nodes that cover the feed, left to right; True marks the leaves of `indices`."""
    if not 0 < length <= MAX_LENGTH or len(indices) > MAX_CHUNKS:
        raise Malformed(f"a proof of {len(indices)} chunks of {length}")
    leaves = sorted({2 * index for index in indices})
    if leaves and not 0 <= leaves[0] <= leaves[-1] < 2 * length:
        raise Malformed("a chunk in the proof is beyond the feed")
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
