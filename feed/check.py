"""Recheck every stored byte of a feed, up to the owner's signature.

A disk forgets quietly. Chunks that no longer have their hash are counted, so that
`Feed.forget` can drop them and a peer send them again; a tree that contradicts itself cannot be
mended from within and is an error.
"""

from collections.abc import Iterator
from typing import NamedTuple

from feed import flat_tree
from feed.feed import Feed
from feed.signature import verify_head
from feed.tree import Node, leaf_hash, parent, tree_hash
from wire.errors import Malformed

STEP_CHUNKS = 64
"""Chunks between two signs of life: at most some 50 ms."""


class Progress(NamedTuple):
    """How far a check is; the last one has `chunks == total`."""

    chunks: int
    total: int
    bytes: int
    damaged: tuple[int, ...]


def check(feed: Feed) -> Iterator[Progress]:
    """Check signature, tree and all chunks that are here, telling of progress as it goes.

    Raises `Malformed` when the signature or the tree is bad.
    """
    feed.reload()
    if feed.length:
        verify_head(
            feed.key,
            feed.manifest,
            feed.signature,
            fork=feed.fork,
            length=feed.length,
            tree_hash=tree_hash(feed.roots),
        )
    total, checked, size = feed.held.count, 0, 0
    damaged: list[int] = []
    for leaf in _leaves(feed):
        chunk = feed.chunk(leaf.index >> 1)
        if (len(chunk.value), leaf_hash(chunk.value)) != (leaf.size, chunk.hash):
            damaged.append(leaf.index >> 1)
        checked += 1
        size += len(chunk.value)
        if checked % STEP_CHUNKS == 0:
            yield Progress(checked, total, size, tuple(damaged))
    yield Progress(checked, total, size, tuple(damaged))


def larger_chunk(feed: Feed, limit_bytes: int) -> Node | None:
    """The leaf of a chunk of more than `limit_bytes`, if there is one: no chunk is read."""
    stack = list(feed.roots)
    while stack:
        node = stack.pop()
        if node.size > limit_bytes and not node.index & 1:
            return node
        if node.size > limit_bytes:
            halves = (flat_tree.left_child(node.index), flat_tree.right_child(node.index))
            stack += [half for half in map(feed.node, halves) if half is not None]
    return None


def _leaves(feed: Feed) -> Iterator[Node]:
    """The leaves of all chunks that are here, each proven by the roots, left to right."""
    stack = list(reversed(feed.roots))
    while stack:
        node = stack.pop()
        if not node.index & 1:
            if feed.has(node.index >> 1):
                yield node
            continue
        left = feed.node(flat_tree.left_child(node.index))
        right = feed.node(flat_tree.right_child(node.index))
        if left is not None and right is not None:
            if parent(left, right) != node:
                raise Malformed(f"node {node.index} of a stored tree is damaged; clone again")
            stack += (right, left)
            continue
        first, last = flat_tree.span(node.index)
        if left is not right or any(feed.held.within(first >> 1, (last >> 1) + 1)):
            raise Malformed(f"nodes under {node.index} of a stored tree are lost; clone again")
