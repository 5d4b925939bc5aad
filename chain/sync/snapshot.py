"""A final state in parts, so that a node can begin without executing history.

The head names the roots of 2^depth subtrees of the state tree; they join to the state root that
a certificate makes final. Each part is the records of one subtree, and is checked against its
root when it comes: whoever sends a wrong one is found out by that one part.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from chain import statetree
from chain.blocks import Header, MetLeaf
from chain.records import RECORDS, Table
from chain.state import Key, State, tree_key
from chain.statetree import Inner, Leaf, Tree
from chain.votes import Certificate
from wire.codec import Message, decode, encode
from wire.errors import Malformed
from wire.primitives import Bytes, Hash, Natural, blake2b_256

MAX_DEPTH = 14
"""16,384 parts: a head with so many is 1 MiB."""

PART_BYTES = 1 << 20
"""A tree is cut so deep that parts are smaller, where `MAX_DEPTH` allows it."""

MAX_PART_RECORDS = 1 << 16
"""The smallest records take more than 64 bytes of a part's 4 MiB."""


class Subtree(Message):
    """The root of one part, as the tree over all parts needs it; neither: it has no record."""

    hash: Hash | None
    """Of two records or more."""
    leaf: MetLeaf | None
    """The one record."""


class SnapshotHead(Message):
    """Which state it is, what makes it final, and the root of each part."""

    header: Header
    certificate: Certificate
    depth: Annotated[int, Field(ge=0, le=MAX_DEPTH)]
    subtrees: Annotated[tuple[Subtree, ...], Field(max_length=1 << MAX_DEPTH)]


class SnapshotRecord(Message):
    """One record as it is stored."""

    table: Natural
    key: Bytes
    record: Bytes


class SnapshotPart(Message):
    """All records of one subtree, by their places in it."""

    records: Annotated[tuple[SnapshotRecord, ...], Field(max_length=MAX_PART_RECORDS)]


def take(
    header: Header, certificate: Certificate, records: Mapping[Key, Message], tree: Tree
) -> Iterator[bytes]:
    """The bytes of a snapshot: first those of its head, then those of each part.

    `records` and `tree` are the state that the header leads to, and must not change meanwhile.
    """
    placed = sorted((tree_key(*key), encode(record), key) for key, record in records.items())
    depth = _depth([(place, len(body)) for place, body, _ in placed])
    subtrees = tuple(_summary(each) for each in statetree.cut(tree, depth))
    head = SnapshotHead(header=header, certificate=certificate, depth=depth, subtrees=subtrees)
    yield encode(head)
    parts: list[list[SnapshotRecord]] = [[] for _ in subtrees]
    for place, body, (table, key) in placed:
        record = SnapshotRecord(table=int(table), key=key, record=body)
        parts[statetree.first_bits(place, depth)].append(record)
    for part in parts:
        yield encode(SnapshotPart(records=tuple(part)))


def _depth(sizes: Sequence[tuple[bytes, int]]) -> int:
    """How deep to cut so that parts are small."""
    for depth in range(MAX_DEPTH):
        totals = Counter[int]()
        for place, size in sizes:
            totals[statetree.first_bits(place, depth)] += size
        if max(totals.values(), default=0) <= PART_BYTES:
            return depth
    return MAX_DEPTH


def _summary(tree: Tree) -> Subtree:
    if isinstance(tree, Leaf):
        return Subtree(hash=None, leaf=MetLeaf(key=tree.key, value=tree.value))
    return Subtree(hash=None if tree is None else tree.hash, leaf=None)


class Assembly:
    """A state that is put together from parts. Whose head it is has been checked before."""

    def __init__(self, head: SnapshotHead) -> None:
        """Raises `Malformed` where the subtrees do not join to the header's state root."""
        self.head = head
        if len(head.subtrees) != 1 << head.depth:
            raise Malformed(f"{len(head.subtrees)} subtrees at depth {head.depth}")
        self._roots = [_root(subtree, n, head.depth) for n, subtree in enumerate(head.subtrees)]
        if statetree.root(statetree.join(self._roots)) != head.header.state_root:
            raise Malformed("the snapshot's parts do not join to the block's state")
        self._trees: list[Tree] = [None] * len(self._roots)
        self._records: dict[Key, Message] = {}
        self._missing = dict.fromkeys(n for n, tree in enumerate(self._roots) if tree)

    @property
    def missing(self) -> tuple[int, ...]:
        """Which parts are still to come."""
        return tuple(self._missing)

    def add(self, number: int, part: SnapshotPart) -> None:
        """Take a part; raises `Malformed`, and then nothing of it is kept."""
        leaves: list[Leaf] = []
        for stored in part.records:
            if stored.table not in RECORDS:
                raise Malformed(f"there is no table {stored.table}")
            place = tree_key(Table(stored.table), stored.key)
            if statetree.first_bits(place, self.head.depth) != number or (
                leaves and leaves[-1].key >= place
            ):
                raise Malformed(f"part {number} has a record out of its place")
            leaves.append(statetree.leaf(place, blake2b_256(stored.record)))
        tree = statetree.build(leaves, self.head.depth)
        if statetree.root(tree) != statetree.root(self._roots[number]):
            raise Malformed(f"part {number} is not that of the state")
        self._trees[number] = tree
        for stored in part.records:  # read only now that they are known to be the state's
            table = Table(stored.table)
            self._records[table, stored.key] = decode(RECORDS[table], stored.record)
        self._missing.pop(number, None)

    def state(self) -> State:
        """The whole state, when nothing is missing."""
        assert not self._missing
        state = State()
        state.records, state.tree = self._records, statetree.join(self._trees)
        assert state.root == self.head.header.state_root
        return state


def _root(subtree: Subtree, number: int, depth: int) -> Tree:
    """What stands for a subtree until its records are here."""
    if subtree.leaf is None:
        return None if subtree.hash is None else Inner(None, None, subtree.hash)
    if subtree.hash is not None or statetree.first_bits(subtree.leaf.key, depth) != number:
        raise Malformed(f"subtree {number} is not one")
    return statetree.leaf(subtree.leaf.key, subtree.leaf.value)
