"""Many feeds in one SQLite file, written so that `kill -9` loses nothing acknowledged.

One thread owns a store and calls SQLite directly, not through aiosqlite: a chunk is read in
15 µs from the system's cache, a hop to another thread and back costs ten times that, and
a batch is small enough that its commit does not hold up an event loop. Only what waits for the
disk has a thread of its own (`feed.checkpoint_store`). Other processes may have the same file
open; `FeedStore.refresh` takes in what they wrote.

The file is in WAL mode and a transaction is one batch of chunks with its nodes, held ranges and
head, so it never tells of a chunk that it lacks. What is fetched is committed with `synchronous
= NORMAL`: a power cut may undo the last batches, which are then fetched again. What an owner
signs is committed with `FULL` before anybody can see the signature: an owner who forgot a
signed head would sign another one of the same length, and that is fraud.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from typing import NamedTuple, Self

from feed.checkpoint_store import Checkpointer
from feed.feed import Feed
from feed.manifest import Manifest, encode_manifest, require_manifest
from feed.tables import MAX_FEEDS, SCHEMA, UPGRADES, Rows, StoreFailure, StoreFull, erase
from wire.errors import HoldfastError, Malformed, NotFound, Unavailable

APPLICATION_ID = 0x484F4C44
"""`HOLD`: marks the file as ours, so that nobody else's database is ever written to."""

SCHEMA_VERSION = 2

PAGE_BYTES = 16384
"""Chunks of 64 KiB are written twice as fast as with SQLite's 4096, small ones faster too."""

WAL_PAGES = 32768
"""At 512 MiB of write-ahead log, when the disk is far behind, a commit waits for it."""

LOG_BYTES = 64 << 20
"""What the emptied log may keep of the disk: writing over it is faster than growing it again."""

CACHE_KIB = 8192
"""SQLite's own cache, for the inner pages; chunks are in the system's."""

BUSY_TIMEOUT_S = 5
"""How long to wait for another process's transaction, which is one batch."""


class FeedInfo(NamedTuple):
    """One line of a list of feeds."""

    key: bytes
    fork: int
    length: int
    byte_length: int
    held_chunks: int
    held_bytes: int


class Space(NamedTuple):
    """What a store takes on disk: the whole file, the part of it free for new data, its chunks."""

    file_bytes: int
    free_bytes: int
    chunk_bytes: int


class FeedStore:
    """An open store; close it, or use it with `with`."""

    def __init__(self, path: str | PathLike[str], *, max_bytes: int | None = None) -> None:
        """Open the file, or make it if there is none.

        What would make the file larger than `max_bytes` is refused with `StoreFull`; its
        write-ahead log comes on top. Raises `Malformed` when it is not a store (it is left as it
        is), and `StoreFailure` when it is damaged or cannot be opened.
        """
        self.path = fspath(path)
        self.max_bytes = max_bytes
        self._feeds: dict[bytes, Feed] = {}
        self._durable = False
        self._checkpointer = Checkpointer(self.path)
        try:
            self._connection = sqlite3.connect(
                self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None
            )
        except sqlite3.Error as error:
            raise self._failed(error) from None
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        (mark,) = self.run("PRAGMA application_id").fetchone()
        (version,) = self.run("PRAGMA user_version").fetchone()
        if mark != APPLICATION_ID and (mark or self._has_tables()):
            raise Malformed(f"{self.path} is another program's database; choose another path")
        if mark == APPLICATION_ID and version > SCHEMA_VERSION:
            raise Unavailable(f"{self.path} was written by a newer version; update this program")
        if mark != APPLICATION_ID:
            self.run(f"PRAGMA page_size = {PAGE_BYTES}")
            self.run("PRAGMA auto_vacuum = INCREMENTAL")
        self.run("PRAGMA journal_mode = WAL")
        self.run("PRAGMA synchronous = NORMAL")
        self.run(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        self.run(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        self.run(f"PRAGMA cache_size = -{CACHE_KIB}")
        if mark != APPLICATION_ID:
            self._create()
        elif version < SCHEMA_VERSION:
            self._upgrade()
        if self.max_bytes is not None:
            self.run(f"PRAGMA max_page_count = {max(1, self.max_bytes // PAGE_BYTES)}")
        (self._data_version,) = self.run("PRAGMA data_version").fetchone()

    def _has_tables(self) -> bool:
        (count,) = self.run("SELECT count(*) FROM sqlite_master").fetchone()
        return bool(count)

    def _create(self) -> None:
        with self.transaction(durable=True):
            if self._has_tables():
                return  # another process was faster
            for statement in SCHEMA.split(";"):
                self.run(statement)
            self.run(f"PRAGMA application_id = {APPLICATION_ID}")
            self.run(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _upgrade(self) -> None:
        with self.transaction(durable=True):
            (version,) = self.run("PRAGMA user_version").fetchone()
            for older in range(version, SCHEMA_VERSION):
                self.run(UPGRADES[older])
            self.run(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; feeds of this store can no longer be used."""
        self._checkpointer.close()
        self._connection.close()

    def create(self, key: bytes, manifest: Manifest | None = None) -> Feed:
        """The feed of a key, made empty if it is not here.

        Raises `Malformed` when the manifest is another feed's. Without one, a feed whose key is
        not a public key gets it from the first peer that has it.
        """
        if manifest is not None:
            require_manifest(key, manifest)
        try:
            feed = self.open(key)
            if manifest is None or feed.manifest is not None:
                return feed
        except NotFound:
            pass
        with self.transaction(durable=True):
            self.run(
                "INSERT INTO feed (key, manifest, fork, length, byte_length, held_bytes)"
                " VALUES (?, ?, 0, 0, 0, 0)"
                " ON CONFLICT DO UPDATE SET manifest = coalesce(manifest, excluded.manifest)",
                (key, None if manifest is None else encode_manifest(manifest)),
            )
            (last,) = self.run("SELECT max(id) FROM feed").fetchone()
            if last > MAX_FEEDS:
                raise Unavailable(f"{self.path} is full; begin a new store")
        feed = self.open(key)
        feed.reload()
        return feed

    def open(self, key: bytes) -> Feed:
        """The feed of a key, the same object every time; raises `NotFound`."""
        feed = self._feeds.get(key)
        if feed is None:
            row = self.run("SELECT id FROM feed WHERE key = ?", (key,)).fetchone()
            if row is None:
                raise NotFound(f"no feed {key.hex()} in {self.path}")
            feed = self._feeds[key] = Feed(self, row[0])
        return feed

    def feeds(self) -> list[FeedInfo]:
        """All feeds, in the order they were created."""
        rows = self.run(
            "SELECT key, fork, length, byte_length,"
            " coalesce((SELECT sum(stop - start) FROM held WHERE feed = id), 0), held_bytes"
            " FROM feed ORDER BY id"
        )
        return [FeedInfo(*row) for row in rows.fetchall()]

    def delete(self, key: bytes) -> None:
        """Delete a feed and give its space back; a `Feed` in use answers `NotFound` from now on."""
        with self.transaction():
            row = self.run("SELECT id FROM feed WHERE key = ?", (key,)).fetchone()
            if row is None:
                raise NotFound(f"no feed {key.hex()} in {self.path}")
            erase(self, row[0])
            self.run("DELETE FROM metadata WHERE feed = ?", row)
            self.run("DELETE FROM feed WHERE id = ?", row)
        self._feeds.pop(key, None)
        try:
            # One step a page: `execute` would take a single step.
            self._connection.executescript("PRAGMA incremental_vacuum")
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def space(self) -> Space:
        """What the store takes on disk."""
        (pages,) = self.run("PRAGMA page_count").fetchone()
        (free,) = self.run("PRAGMA freelist_count").fetchone()
        (chunks,) = self.run("SELECT coalesce(sum(held_bytes), 0) FROM feed").fetchone()
        return Space(pages * PAGE_BYTES, free * PAGE_BYTES, chunks)

    def refresh(self) -> bool:
        """Take in what other processes changed, and tell whether they did; cheap when not."""
        (version,) = self.run("PRAGMA data_version").fetchone()
        if version == self._data_version:
            return False
        self._data_version = version
        for key, feed in list(self._feeds.items()):
            try:
                feed.reload()
            except NotFound:
                del self._feeds[key]
        return True

    def flush(self) -> None:
        """Have all that was stored on the disk, against a power cut too."""
        self.run("PRAGMA wal_checkpoint(FULL)").fetchall()

    def sync(self) -> None:
        """Have all that was committed on the disk, against a power cut too; from any thread.

        The log holds whatever SQLite has not synced elsewhere itself. The main file must not be
        opened here: closing it again would let go of SQLite's locks.
        """
        try:
            log = os.open(f"{self.path}-wal", os.O_RDONLY)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreFailure(f"{self.path}-wal: {error.strerror}") from None
        try:
            os.fsync(log)
        except OSError as error:
            raise StoreFailure(f"{self.path}-wal: {error.strerror}; replace the disk") from None
        finally:
            os.close(log)

    def run(self, statement: str, values: Sequence[object] = ()) -> Rows:
        """Execute one statement; for `Feed`."""
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def run_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Execute one statement for each row; for `Feed`."""
        try:
            self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def wrote(self, count: int) -> None:
        """So many bytes of chunks and nodes were committed; for `Feed`."""
        self._checkpointer.wrote(count)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Many questions, for which the file is locked and looked at once; for `Feed`."""
        self.run("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self.run("ROLLBACK")

    @contextmanager
    def transaction(self, durable: bool = False) -> Iterator[None]:
        """All or nothing; with `durable`, on the disk when it ends; for `Feed`."""
        if durable != self._durable:
            self.run(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self.run("ROLLBACK")
            raise

    def damaged(self, what: str) -> StoreFailure:
        """The error to raise when the file contradicts itself; for `Feed`."""
        return StoreFailure(
            f"{self.path} is damaged ({what}): move it away, then clone or create its feeds again"
        )

    def _failed(self, error: sqlite3.Error) -> HoldfastError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            return Malformed(f"{self.path} is not a feed store; choose another path")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_MISMATCH) or (
            isinstance(error, sqlite3.OperationalError) and code == sqlite3.SQLITE_ERROR
        ):
            return self.damaged(str(error))
        if code == sqlite3.SQLITE_FULL:
            limit = "" if self.max_bytes is None else f"its limit is {self.max_bytes} bytes; "
            return StoreFull(
                f"{self.path} cannot grow: {limit}raise the limit, free the disk or delete a feed"
            )
        return StoreFailure(f"{self.path}: {error}; free the disk or the file, then try again")
