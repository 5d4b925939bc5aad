"""The state root: a Merkle trie over all records, with short proofs of presence and absence.

    empty = 32 zero bytes
    leaf  = H("leaf", key, value hash)        H is a tagged BLAKE2b-256
    inner = H("node", left, right)

A record's place is the hash of its key, bit by bit from the top; a subtree with one record is
that record's leaf, so depth follows log2 of the number of records. The tree is persistent: an
update makes new nodes along one path and shares the rest, so a draft costs nothing to drop.
The same records give the same root in whatever order they were written.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wire.errors import Malformed
from wire.primitives import tagged_hash

EMPTY = bytes(32)
MAX_DEPTH = 256


@dataclass(frozen=True, slots=True)
class Leaf:
    """A subtree that holds one record."""

    key: bytes
    value: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Inner:
    """A subtree that holds two records or more."""

    left: "Tree"
    right: "Tree"
    hash: bytes


Tree = Leaf | Inner | None


def root(tree: Tree) -> bytes:
    """The hash of a whole tree."""
    return EMPTY if tree is None else tree.hash


def leaf(key: bytes, value: bytes) -> Leaf:
    """The leaf of one record: `key` is its hashed key, `value` the hash of its bytes."""
    return Leaf(key, value, tagged_hash("state/leaf", key, value))


def _inner(left: Tree, right: Tree) -> Tree:
    """Two subtrees as one; what is left of one record moves up to where it would stand alone."""
    if left is None and not isinstance(right, Inner):
        return right
    if right is None and not isinstance(left, Inner):
        return left
    return Inner(left, right, tagged_hash("state/node", root(left), root(right)))


def _bit(key: bytes, depth: int) -> int:
    return key[depth >> 3] >> (7 - (depth & 7)) & 1


def put(tree: Tree, key: bytes, value: bytes, depth: int = 0) -> Tree:
    """The tree with `key` set to `value`."""
    if tree is None:
        return leaf(key, value)
    if isinstance(tree, Leaf):
        if tree.key == key:
            return leaf(key, value)
        return _split(tree, leaf(key, value), depth)
    if _bit(key, depth):
        return _inner(tree.left, put(tree.right, key, value, depth + 1))
    return _inner(put(tree.left, key, value, depth + 1), tree.right)


def _split(old: Leaf, new: Leaf, depth: int) -> Tree:
    old_bit, new_bit = _bit(old.key, depth), _bit(new.key, depth)
    if old_bit == new_bit:
        below = _split(old, new, depth + 1)
        return _inner(None, below) if old_bit else _inner(below, None)
    return _inner(new, old) if old_bit else _inner(old, new)


def remove(tree: Tree, key: bytes, depth: int = 0) -> Tree:
    """The tree without `key`; the same tree when it is not there."""
    if tree is None or isinstance(tree, Leaf):
        return None if tree is not None and tree.key == key else tree
    if _bit(key, depth):
        return _inner(tree.left, remove(tree.right, key, depth + 1))
    return _inner(remove(tree.left, key, depth + 1), tree.right)


def build(leaves: Sequence[Leaf], depth: int = 0) -> Tree:
    """The tree over leaves that are sorted by key and differ in it, all under one place.

    `depth` is that place's: the keys agree in so many first bits.
    """
    if not leaves:
        return None
    if len(leaves) == 1:
        return leaves[0]
    middle = bisect_left(leaves, 1, key=lambda leaf: _bit(leaf.key, depth))
    return _inner(build(leaves[:middle], depth + 1), build(leaves[middle:], depth + 1))


def cut(tree: Tree, depth: int, level: int = 0) -> list[Tree]:
    """The 2^depth subtrees at a depth, from left to right; a record alone stands at its key."""
    if depth == 0:
        return [tree]
    if isinstance(tree, Inner):
        return cut(tree.left, depth - 1, level + 1) + cut(tree.right, depth - 1, level + 1)
    trees: list[Tree] = [None] * (1 << depth)
    if tree is not None:
        trees[first_bits(tree.key, level + depth) & (1 << depth) - 1] = tree
    return trees


def join(trees: Sequence[Tree]) -> Tree:
    """The tree that was cut."""
    while len(trees) > 1:
        trees = [_inner(trees[n], trees[n + 1]) for n in range(0, len(trees), 2)]
    return trees[0]


def first_bits(key: bytes, count: int) -> int:
    """A key's first bits as a number."""
    return int.from_bytes(key, "big") >> (8 * len(key) - count)


def update(tree: Tree, changes: Iterable[tuple[bytes, bytes | None]]) -> Tree:
    """The tree after many writes at once, each (key, value) or (key, None) to remove.

    The same as one after the other, but every inner node is hashed once.
    """
    return _update(tree, sorted(changes), 0)


Changes = list[tuple[bytes, bytes | None]]
"""Sorted, with one entry for a key."""


def _update(tree: Tree, changes: Changes, depth: int) -> Tree:
    if not changes:
        return tree
    if isinstance(tree, Inner):
        left, right = _parted(changes, depth)
        return _inner(_update(tree.left, left, depth + 1), _update(tree.right, right, depth + 1))
    leaves = [leaf(key, value) for key, value in changes if value is not None]
    if tree is not None and all(key != tree.key for key, _ in changes):
        leaves = sorted([*leaves, tree], key=lambda one: one.key)
    return build(leaves, depth)


def _parted(changes: Changes, depth: int) -> tuple[Changes, Changes]:
    """Those for the left and the right of a node at `depth`."""
    middle = bisect_left(changes, 1, key=lambda change: _bit(change[0], depth))
    return changes[:middle], changes[middle:]


@dataclass(frozen=True, slots=True)
class Proof:
    """The siblings from the root down to where a key's path ends, and the leaf met there."""

    siblings: tuple[bytes, ...]
    met: tuple[bytes, bytes] | None
    """(key, value) of the leaf at the end of the path; nothing when the place is empty."""


def prove(tree: Tree, key: bytes) -> Proof:
    """What shows `key`'s value, or that it has none, to a holder of the root."""
    siblings = []
    depth = 0
    while isinstance(tree, Inner):
        if _bit(key, depth):
            siblings.append(root(tree.left))
            tree = tree.right
        else:
            siblings.append(root(tree.right))
            tree = tree.left
        depth += 1
    return Proof(tuple(siblings), None if tree is None else (tree.key, tree.value))


def verify(expected_root: bytes, key: bytes, proof: Proof) -> bytes | None:
    """The value that the state with `expected_root` has for `key`, or None: it has none.

    Raises `Malformed` when the proof does not lead to the root.
    """
    depth = len(proof.siblings)
    if depth > MAX_DEPTH:
        raise Malformed(f"state proof of {depth} siblings")
    met = proof.met
    if met is None:
        current = EMPTY
    else:
        if len(met[0]) != len(key):
            raise Malformed("state proof ends at a key of another length")
        if any(_bit(met[0], level) != _bit(key, level) for level in range(depth)):
            raise Malformed("state proof ends at a leaf off the key's path")
        current = leaf(*met).hash
    for level in range(depth - 1, -1, -1):
        sibling = proof.siblings[level]
        pair = (sibling, current) if _bit(key, level) else (current, sibling)
        current = tagged_hash("state/node", *pair)
    if current != expected_root:
        raise Malformed("state proof does not lead to the state root")
    return met[1] if met is not None and met[0] == key else None
