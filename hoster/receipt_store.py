"""Copies of the receipts that a hoster has signed: its answer to whoever doubts what it served.

What a power cut takes is no loss: of a session each receipt says all that those before it said.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from audit.faults import session_id
from audit.messages import SignedReceipt
from wire.codec import decode, encode
from wire.errors import Malformed, Unavailable

SCHEMA_VERSION = 1
APPLICATION_ID = 0x484F4C52
"""`HOLR`: marks the file as a hoster's receipts."""

KEEP_DAYS = 30
MOST = 1_000_000
"""Receipts that are kept: some 400 MB, for 1 TB served in chunks of 64 KiB."""

PRUNE_EVERY = 1_024

_DAY_MS = 86_400_000
_SCHEMA = f"""
CREATE TABLE receipt (
    number INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, feed BLOB NOT NULL,
    session BLOB NOT NULL, signed BLOB NOT NULL) STRICT;
CREATE INDEX by_time ON receipt (time_ms);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""


class ReceiptStore:
    """One hoster's receipts, the oldest dropped first. One process writes, others may read."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; raises `Unavailable` or `Malformed` with what to do."""
        self._path = path
        self._added = 0
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            (mark,) = self._database.execute("PRAGMA application_id").fetchone()
            (tables,) = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if mark == 0 and tables == 0:
                self._database.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
            elif mark != APPLICATION_ID:
                self._database.close()
                raise Malformed(f"{path} is another program's database; choose another --home")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = OFF")
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def keep(self, signed: SignedReceipt) -> None:
        """Remember a receipt that was just signed."""
        receipt = signed.receipt
        values = (receipt.time_ms, receipt.feed, session_id(receipt), encode(signed))
        try:
            self._database.execute(
                "INSERT INTO receipt (time_ms, feed, session, signed) VALUES (?, ?, ?, ?)", values
            )
        except sqlite3.Error as error:
            raise self._failed(error) from None
        self._added += 1
        if self._added % PRUNE_EVERY == 0:
            self.prune(receipt.time_ms)

    def prune(self, now_ms: int) -> None:
        """Drop what is older than a month, and the oldest of too many."""
        try:
            self._database.execute(
                "DELETE FROM receipt WHERE time_ms < ? OR number <= "
                "(SELECT coalesce(max(number), 0) FROM receipt) - ?",
                (now_ms - KEEP_DAYS * _DAY_MS, MOST),
            )
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def receipts(
        self, feed: bytes | None = None, *, every: bool = False, limit: int | None = None
    ) -> Iterator[SignedReceipt]:
        """Newest first: the last one of each session, or every one."""
        newest = "" if every else "AND number IN (SELECT max(number) FROM receipt GROUP BY session)"
        try:
            rows = self._database.execute(
                f"SELECT signed FROM receipt WHERE (?1 IS NULL OR feed = ?1) {newest} "  # noqa: S608 - our own words
                "ORDER BY number DESC LIMIT ?2",
                (feed, -1 if limit is None else limit),
            )
            for (signed,) in rows:
                yield decode(SignedReceipt, signed)
        except (sqlite3.Error, Malformed) as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> Malformed | Unavailable:
        if isinstance(error, sqlite3.OperationalError):
            return Unavailable(f"{self._path}: {error}; free the disk or the file, then try again")
        return Malformed(f"{self._path} is damaged ({error}): move it away; receipts are lost")
