"""The tree nodes of one stored feed, read through a bounded cache.

Reading the file for each step of each proof would take longer than all hashing. That a node is
not stored is remembered too: a reader asks that once for every chunk that it lacks. Mutable, owned
by one `Feed`.
"""

from collections.abc import Iterable

from feed.tables import CHUNK_BITS, NODE_BITS, Tables
from feed.tree import Node

MAX_CACHED = 1 << 15
"""Nodes kept in memory a feed (about 8 MiB), enough for the paths of all that is in flight."""

AROUND_CHUNKS = 128
"""Chunks whose nodes are read at once for who goes through all: the cost of the question shrinks
to nothing, and a page of the cache stays far larger."""


class Nodes:
    """`known` is for looking up first; `read` is for what is not in it."""

    def __init__(self, tables: Tables, id: int) -> None:
        self.known: dict[int, Node | None] = {}
        self._tables = tables
        self._id = id

    def read(self, index: int, *, is_chunk: bool) -> Node | None:
        """The stored node; the leaf of a chunk that `is_chunk` here lies beside it."""
        if is_chunk:
            query = "SELECT size, hash FROM chunk WHERE id = ?"
            row_id = self._id << CHUNK_BITS | index >> 1
        else:
            query = "SELECT size, hash FROM node WHERE id = ?"
            row_id = self._id << NODE_BITS | index
        row = self._tables.run(query, (row_id,)).fetchone()
        node = None if row is None else Node(index, row[0], row[1])
        self._make_room()
        self.known[index] = node
        return node

    def read_around(self, chunk: int) -> None:
        """Read all that is stored among the nodes around a chunk, if that was not done just now."""
        first = chunk - chunk % AROUND_CHUNKS
        indices = range(2 * first, 2 * (first + AROUND_CHUNKS))
        self._make_room()
        found: dict[int, Node | None] = dict.fromkeys(indices)
        run, base = self._tables.run, self._id << NODE_BITS
        rows = run(
            "SELECT id, size, hash FROM node WHERE id BETWEEN ? AND ?",
            (base | indices[0], base | indices[-1]),
        ).fetchall()
        found.update((row[0] - base, Node(row[0] - base, row[1], row[2])) for row in rows)
        base = self._id << CHUNK_BITS
        rows = run(
            "SELECT id, size, hash FROM chunk WHERE id BETWEEN ? AND ?",
            (base | first, base | first + AROUND_CHUNKS - 1),
        ).fetchall()
        for row_id, size, digest in rows:
            leaf = 2 * (row_id - base)
            found[leaf] = Node(leaf, size, digest)
        self.known.update(found)

    def remember(self, nodes: Iterable[Node]) -> None:
        """These are stored now."""
        self._make_room()
        self.known.update([(node.index, node) for node in nodes])

    def clear(self) -> None:
        """Something is no longer as it was."""
        self.known.clear()

    def _make_room(self) -> None:
        if len(self.known) > MAX_CACHED:
            self.known.clear()
