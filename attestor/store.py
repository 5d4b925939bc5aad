"""What an attestor must not forget: its flips' words, its coins, visits and reports.

Everything is on disk before it is sent, so an attestor that is killed and restarted says
the same again: it never commits twice, visits twice or reports twice.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Self, TypeVar, cast

from attestor.messages import CoinKept, FaultKept, ReportKept, VisitResult
from wire.codec import Message, decode, encode
from wire.errors import Malformed, Unavailable

SCHEMA_VERSION = 2
APPLICATION_ID = 0x484F4C41
"""`HOLA`: marks the file as an attestor's."""

M = TypeVar("M", bound=Message)

_FAULTS = """
CREATE TABLE fault (
    challenge BLOB NOT NULL, accused BLOB NOT NULL, kept BLOB NOT NULL,
    PRIMARY KEY (challenge, accused)) STRICT, WITHOUT ROWID;
"""
_SCHEMA = f"""
CREATE TABLE flip (
    topic BLOB NOT NULL, challenge BLOB NOT NULL, position INTEGER NOT NULL, entry BLOB NOT NULL,
    PRIMARY KEY (topic, position)) STRICT, WITHOUT ROWID;
CREATE TABLE coin (challenge BLOB PRIMARY KEY, coin BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE visit (
    challenge BLOB NOT NULL, contract BLOB NOT NULL, result BLOB NOT NULL,
    PRIMARY KEY (challenge, contract)) STRICT, WITHOUT ROWID;
CREATE TABLE report (challenge BLOB PRIMARY KEY, report BLOB NOT NULL) STRICT, WITHOUT ROWID;
{_FAULTS}
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""


class AttestorStore:
    """One attestor's database. Entries are small and few, so each is its own transaction."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; raises `Unavailable` or `Malformed` with what to do."""
        self._path = path
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
        except sqlite3.Error as error:
            raise Unavailable(f"cannot open {path}: {error}") from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._database.close()
            raise self._failed(error) from None
        except BaseException:
            self._database.close()
            raise

    def _prepare(self) -> None:
        (mark,) = self._database.execute("PRAGMA application_id").fetchone()
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if mark != APPLICATION_ID and (mark or self._has_tables()):
            raise Malformed(f"{self._path} is another program's database; choose another --home")
        if version > SCHEMA_VERSION:
            raise Unavailable(f"{self._path} was written by a newer version; update holdfast")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        if mark == 0:
            self._database.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        elif version == 1:
            update = f"{_FAULTS} PRAGMA user_version = {SCHEMA_VERSION};"
            self._database.executescript(f"BEGIN; {update} COMMIT;")

    def _has_tables(self) -> bool:
        (count,) = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return bool(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add_flip_entry(self, challenge: bytes, topic: bytes, entry: bytes) -> None:
        """Append to the log of one attempt of a challenge's flip."""
        self._write(
            "INSERT INTO flip (topic, challenge, position, entry) "
            "SELECT ?1, ?2, coalesce(max(position) + 1, 0), ?3 FROM flip WHERE topic = ?1",
            (topic, challenge, entry),
        )

    def flip_log(self, topic: bytes) -> list[bytes]:
        """A flip's log in order."""
        rows = self._read("SELECT entry FROM flip WHERE topic = ? ORDER BY position", (topic,))
        return [row[0] for row in rows]

    def keep_coin(self, challenge: bytes, coin: CoinKept) -> None:
        """Remember a coin; the first one stays."""
        self._put("coin", (challenge,), coin)

    def coin(self, challenge: bytes) -> CoinKept | None:
        """The coin of a challenge, if it has landed."""
        row = self._one("SELECT coin FROM coin WHERE challenge = ?", (challenge,))
        return None if row is None else self._decode(CoinKept, row)

    def keep_visit(self, challenge: bytes, result: VisitResult) -> None:
        """Remember a finished visit; the first result stays."""
        self._put("visit", (challenge, result.contract), result)

    def visits(self, challenge: bytes) -> dict[bytes, VisitResult]:
        """Finished visits by contract."""
        rows = self._read("SELECT contract, result FROM visit WHERE challenge = ?", (challenge,))
        return {contract: self._decode(VisitResult, result) for contract, result in rows}

    def keep_report(self, challenge: bytes, report: ReportKept) -> ReportKept:
        """Remember a report before it is committed; returns the first one ever kept."""
        self._put("report", (challenge,), report)
        kept = self.report(challenge)
        assert kept is not None
        return kept

    def report(self, challenge: bytes) -> ReportKept | None:
        """The report of a challenge, if one was made."""
        row = self._one("SELECT report FROM report WHERE challenge = ?", (challenge,))
        return None if row is None else self._decode(ReportKept, row)

    def keep_fault(self, challenge: bytes, fault: FaultKept) -> bool:
        """Remember evidence until the chain has it; False if there was some against the same."""
        return self._put("fault", (challenge, fault.accused), fault)

    def faults(self, challenge: bytes) -> list[FaultKept]:
        """The evidence of a challenge's flip that the chain may not have."""
        rows = self._read("SELECT kept FROM fault WHERE challenge = ?", (challenge,))
        return [self._decode(FaultKept, row[0]) for row in rows]

    def drop_fault(self, challenge: bytes, accused: bytes) -> None:
        """The chain has judged this one."""
        self._write("DELETE FROM fault WHERE challenge = ? AND accused = ?", (challenge, accused))

    def unfinished(self) -> list[bytes]:
        """Challenges that were not forgotten, or whose evidence the chain may not have."""
        rows = self._read("SELECT challenge FROM flip UNION SELECT challenge FROM fault", ())
        return [row[0] for row in rows]

    def forget(self, challenge: bytes) -> None:
        """Drop what a settled challenge no longer needs; its report stays for `why`."""
        self._write("DELETE FROM flip WHERE challenge = ?", (challenge,))
        self._write("DELETE FROM visit WHERE challenge = ?", (challenge,))

    def _put(self, table: str, key: tuple[bytes, ...], value: Message) -> bool:
        """Whether there was nothing at this key."""
        places = ", ".join("?" * (len(key) + 1))
        return self._write(
            f"INSERT OR IGNORE INTO {table} VALUES ({places})",  # noqa: S608 - our own names
            (*key, encode(value)),
        )

    def _one(self, statement: str, values: Sequence[bytes]) -> bytes | None:
        rows = self._read(statement, values)
        return rows[0][0] if rows else None

    def _read(self, statement: str, values: Sequence[bytes]) -> list[tuple[bytes, ...]]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def _write(self, statement: str, values: Sequence[bytes]) -> bool:
        """Whether a row changed."""
        try:
            return self._database.execute(statement, values).rowcount > 0
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def _decode(self, kind: type[M], data: bytes) -> M:
        try:
            return cast("M", decode(kind, data))
        except Malformed as error:
            raise self._damaged(error) from None

    def _failed(self, error: sqlite3.Error) -> Malformed | Unavailable:
        if isinstance(error, sqlite3.OperationalError):
            return Unavailable(f"{self._path}: {error}; free the disk or the file, then try again")
        return self._damaged(error)

    def _damaged(self, why: Exception) -> Malformed:
        return Malformed(
            f"{self._path} is damaged ({why}): move it away; rounds under way are then missed"
        )
