"""The tables of a feed store, and how a feed's rows are found in them.

    feed      one row a feed; `signature` is null until the first head is signed
    held      the stretches of chunks that are here
    chunk     id = feed << 40 | chunk index, size and hash of the leaf, checksum, the bytes
    node      id = feed << 41 | node index, size, hash; no row for a leaf whose chunk is here
    metadata  named bytes for the programs above

A feed's rows lie together in order and need no second index.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from feed.tree import MAX_LENGTH
from wire.errors import Unavailable

CHUNK_BITS = 40
NODE_BITS = 41
NODE_MASK = (1 << NODE_BITS) - 1
assert MAX_LENGTH <= 1 << CHUNK_BITS

MAX_FEEDS = (1 << 63 - NODE_BITS) - 1
"""Feeds ever created in one file: what fits beside a node index in SQLite's integers."""

SCHEMA = """
CREATE TABLE feed (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, manifest BLOB,
    fork INTEGER NOT NULL, length INTEGER NOT NULL, byte_length INTEGER NOT NULL,
    signature BLOB, held_bytes INTEGER NOT NULL) STRICT;
CREATE TABLE held (
    feed INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    PRIMARY KEY (feed, start)) STRICT, WITHOUT ROWID;
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY, size INTEGER NOT NULL, hash BLOB NOT NULL, checksum INTEGER,
    bytes BLOB NOT NULL) STRICT;
CREATE TABLE node (id INTEGER PRIMARY KEY, size INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TABLE metadata (
    feed INTEGER NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (feed, name)) STRICT, WITHOUT ROWID
"""


UPGRADES = {1: "ALTER TABLE chunk ADD COLUMN checksum INTEGER"}
"""What makes a file of an older version one of the next; chunks without a checksum are hashed."""

NODE_BYTES = 64
"""What a node takes in the file, and what a chunk takes beside its bytes: about so much."""


class StoreFailure(Unavailable):
    """Our own file is damaged, locked or full; no peer is to blame."""


class StoreFull(StoreFailure):
    """The store has reached the size that its operator or the disk allows it."""


class Rows(Protocol):
    """What a statement gives back."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""


class Tables(Protocol):
    """The open file; every method raises `StoreFailure` for what SQLite raises."""

    def run(self, statement: str, values: Sequence[object] = ()) -> Rows:
        """Execute one statement."""

    def run_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Execute one statement for each row."""

    def reading(self) -> AbstractContextManager[None]:
        """Questions that see one state of the file, and cost less; nothing is written meanwhile."""

    def transaction(self, durable: bool = False) -> AbstractContextManager[None]:
        """All or nothing; with `durable`, on the disk when it ends."""

    def wrote(self, count: int) -> None:
        """So many bytes of chunks and nodes were committed."""

    def damaged(self, what: str) -> StoreFailure:
        """The error to raise when the file contradicts itself."""


def erase(tables: Tables, id: int) -> None:
    """Delete a feed's chunks, nodes and held ranges, inside a transaction."""
    for table, bits in (("chunk", CHUNK_BITS), ("node", NODE_BITS)):
        tables.run(
            f"DELETE FROM {table} WHERE id >= ? AND id < ?",  # noqa: S608 - names above
            (id << bits, id + 1 << bits),
        )
    tables.run("DELETE FROM held WHERE feed = ?", (id,))


def cut(tables: Tables, id: int, length: int) -> None:
    """Delete a feed's chunks from `length` on, and its nodes over any of them."""
    tables.run(
        "DELETE FROM chunk WHERE id >= ? AND id < ?",
        ((id << CHUNK_BITS) + length, (id << CHUNK_BITS) + MAX_LENGTH),
    )
    # The last leaf under a node is its index plus its lowest zero-bit, less one.
    tables.run(
        "DELETE FROM node WHERE id >= ?1 AND id <= ?1 + ?2"
        " AND (id & ?2) + (((id & ?2) + 1) & ~(id & ?2)) - 1 >= ?3",
        (id << NODE_BITS, NODE_MASK, 2 * length),
    )
