"""A feed's Merkle tree: hashes of chunks, of pairs of nodes, and of the roots.

    leaf    H(00 || u64 size || chunk)                      size = bytes in the chunk
    parent  H(01 || u64 size || left hash || right hash)    size = left size + right size
    tree    H(02 || for each root: hash || u64 index || u64 size)

H is BLAKE2b-256; u64 is little-endian. Source: WIRE.md section 4. Inner sizes are bound only
as sums: who charges by the byte must have seen the leaf or the root.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from feed import flat_tree
from wire.compact import MAX_UINT
from wire.errors import Malformed

MAX_LENGTH = 2**40
"""The most chunks of a feed that proofs are made or read for: a trillion, and depth stays 40."""


SMALL_BYTES = 4096
"""Below this, copying a chunk behind its prefix is faster than hashing in two steps."""


class Node(NamedTuple):
    """A node of the tree: its index, the bytes in all chunks under it, and its hash."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    size: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The state of a feed that one signature covers, with the bytes in all its chunks."""

    fork: int
    length: int
    byte_length: int
    tree_hash: bytes


new_node = tuple.__new__
"""`new_node(Node, (index, size, hash))` is `Node(index, size, hash)` in half the time."""


def leaf_hash(chunk: bytes) -> bytes:
    """The hash of a chunk as a leaf."""
    prefix = b"\x00" + len(chunk).to_bytes(8, "little")
    if len(chunk) < SMALL_BYTES:
        return blake2b(prefix + chunk, digest_size=32).digest()
    state = blake2b(prefix, digest_size=32)
    state.update(chunk)
    return state.digest()


def leaf(chunk_index: int, chunk: bytes) -> Node:
    """The leaf of the `chunk_index`-th chunk; its node index is twice that."""
    return new_node(Node, (2 * chunk_index, len(chunk), leaf_hash(chunk)))


def parent(left: Node, right: Node) -> Node:
    """The node over two siblings, in this order; raises `Malformed` when their size overflows."""
    size = left.size + right.size
    if size > MAX_UINT:
        raise Malformed(f"a tree node of {size} bytes")
    data = b"\x01" + size.to_bytes(8, "little") + left.hash + right.hash
    index = flat_tree.parent(left.index)
    return new_node(Node, (index, size, blake2b(data, digest_size=32).digest()))


def parent_of(one: Node, other: Node) -> Node:
    """The node over two siblings, in either order."""
    return parent(one, other) if one.index < other.index else parent(other, one)


def tree_hash(roots: Iterable[Node]) -> bytes:
    """The hash that a signature covers, from the full roots left to right."""
    state = blake2b(b"\x02", digest_size=32)
    for index, size, digest in roots:
        state.update(digest + index.to_bytes(8, "little") + size.to_bytes(8, "little"))
    return state.digest()


def length_of(roots: Iterable[Node]) -> int:
    """How many chunks lie under these roots."""
    return sum(flat_tree.leaves(root.index) for root in roots)


def size_of(roots: Iterable[Node]) -> int:
    """How many bytes lie under these roots; raises `Malformed` when they overflow."""
    size = sum(root.size for root in roots)
    if size > MAX_UINT:
        raise Malformed(f"a feed of {size} bytes")
    return size


class Appender:
    """Grows a tree from its roots; mutable because appending is the hottest loop of a feed.

    `roots` is replaced by nothing but `push`; copy it (`tuple(appender.roots)`) to keep it.
    """

    __slots__ = ("byte_length", "length", "roots")

    def __init__(self, roots: Sequence[Node] = ()) -> None:
        self.roots = list(roots)
        self.length = length_of(roots)
        self.byte_length = size_of(roots)

    def append(self, chunk: bytes) -> list[Node]:
        """Add one chunk; the new nodes are its leaf, then the parents it completed, bottom up."""
        return self.push(Node(2 * self.length, len(chunk), leaf_hash(chunk)))

    def extend(self, chunks: Iterable[bytes]) -> tuple[list[Node], list[Node]]:
        """Add many chunks; the leaves, and the parents that they completed, bottom up.

        `append` in one loop, with the hashes of `leaf_hash` and `parent` written out.
        """
        roots, length, total = self.roots, self.length, self.byte_length
        leaves: list[Node] = []
        parents: list[Node] = []
        for chunk in chunks:
            size = len(chunk)
            if size < SMALL_BYTES:
                data = b"\x00" + size.to_bytes(8, "little") + chunk
                digest = blake2b(data, digest_size=32).digest()
            else:
                digest = leaf_hash(chunk)
            index, total = 2 * length, total + size
            node = new_node(Node, (index, size, digest))
            leaves.append(node)
            low, completed = 1, length
            while completed & 1:
                left = roots.pop()
                size += left.size
                data = b"\x01" + size.to_bytes(8, "little") + left.hash + digest
                digest = blake2b(data, digest_size=32).digest()
                index -= low
                node = new_node(Node, (index, size, digest))
                parents.append(node)
                low, completed = low << 1, completed >> 1
            roots.append(node)
            length += 1
        if total > MAX_UINT:
            raise Malformed(f"a feed of {total} bytes")
        self.length, self.byte_length = length, total
        return leaves, parents

    def push(self, root: Node) -> list[Node]:
        """Add a whole subtree to the right of all; returns it and the parents it completed."""
        self.length += flat_tree.leaves(root.index)
        self.byte_length += root.size
        roots = self.roots
        added = [root]
        while roots and flat_tree.sibling(root.index) == roots[-1].index:
            root = parent(roots.pop(), root)
            added.append(root)
        roots.append(root)
        return added

    def head(self, fork: int) -> Head:
        """What the owner signs after the last append."""
        return Head(fork, self.length, self.byte_length, tree_hash(self.roots))
