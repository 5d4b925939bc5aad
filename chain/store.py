"""The chain on disk: blocks, certificates and the records of the present state, in SQLite.

One transaction a run of blocks, synchronous FULL: when `commit` returns, they survive a power
cut; killed before, they never were. Records are written as they change, so a start reads the
present state instead of executing history; its root is compared with the last header's.

What a block held is kept apart from its header: it can be pruned, and headers are needed longer.

Reads have a connection of their own: the writer's would show a block that is not yet kept, and
whoever was shown one could see it contradicted after a crash.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import aiosqlite

from chain.block_store import BlockStore, Changed, Transactions, damaged, one
from chain.blocks import Header, Notice, RecordName
from chain.consensus.port import Decided, Prepared
from chain.genesis import Genesis, Parameters
from chain.records import RECORDS, Table
from chain.state import Key, State
from chain.votes import Certificate
from wire.codec import Message, decode, encode
from wire.errors import Malformed, Unavailable

SCHEMA_VERSION = 2
APPLICATION_ID = 0x484F4C43
"""`HOLC`: marks the file as a validator's."""

_SCHEMA = f"""
CREATE TABLE network (id BLOB PRIMARY KEY) STRICT;
CREATE TABLE header (height INTEGER PRIMARY KEY, header BLOB NOT NULL, certificate BLOB) STRICT;
CREATE TABLE body (
    height INTEGER PRIMARY KEY, transactions BLOB NOT NULL, changed BLOB NOT NULL
) STRICT;
CREATE TABLE outcome (
    transaction_id BLOB PRIMARY KEY, height INTEGER NOT NULL, position INTEGER NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outcome_by_height ON outcome (height, position);
CREATE TABLE sidecar (
    height INTEGER NOT NULL, position INTEGER NOT NULL, bytes BLOB NOT NULL,
    PRIMARY KEY (height, position)
) STRICT;
CREATE TABLE step (term INTEGER PRIMARY KEY, step BLOB NOT NULL) STRICT;
CREATE TABLE record (
    tab INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (tab, key)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""


def least_kept(parameters: Parameters) -> int:
    """The fewest last blocks that a node may keep: what is under way needs proofs of them.

    A challenge's evidence is asked for until it is settled and stakes are free, and what became
    of a transaction for as long as it could have waited.
    """
    return max(parameters.unbonding_blocks, parameters.transaction_lifetime_blocks)


PRUNED_AT_ONCE = 1_000
"""Heights in one transaction: a validator that writes blocks meanwhile does not wait long."""


class ChainStore(BlockStore):
    """The blocks and records of one network. One task writes; reads may overlap."""

    def __init__(
        self,
        database: aiosqlite.Connection,
        reader: aiosqlite.Connection,
        path: Path,
        genesis: Genesis,
    ) -> None:
        super().__init__(reader, path)
        self._database = database
        self._term_blocks = genesis.parameters.term_blocks

    @classmethod
    async def open(cls, path: Path, genesis: Genesis) -> Self:
        """Open or create the database; raises `Unavailable` with what to do when it cannot."""
        async with AsyncExitStack() as opened:
            try:
                # Where this fails, aiosqlite would leave a thread behind that outlives the loop.
                sqlite3.connect(path).close()
                database = await aiosqlite.connect(path, isolation_level=None)
                opened.push_async_callback(database.close)
                await cls._prepare(database, path, genesis)
                reader = await aiosqlite.connect(path, isolation_level=None)
                opened.push_async_callback(reader.close)
                await reader.execute("PRAGMA query_only = 1")
            except sqlite3.OperationalError as error:
                raise Unavailable(f"cannot open the chain's database {path}: {error}") from None
            except sqlite3.DatabaseError as error:
                raise damaged(path, error) from None
            opened.pop_all()
        return cls(database, reader, path, genesis)

    @staticmethod
    async def _prepare(database: aiosqlite.Connection, path: Path, genesis: Genesis) -> None:
        mark = await one(database, "PRAGMA application_id")
        version = await one(database, "PRAGMA user_version")
        tables = await one(database, "SELECT count(*) FROM sqlite_master")
        if mark != APPLICATION_ID and (mark or tables):
            raise Unavailable(f"{path} is another program's database: choose another --home")
        if mark == APPLICATION_ID and version != SCHEMA_VERSION:
            raise Unavailable(
                f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}: "
                "use the version of holdfast that wrote it, or move the file away and let the "
                "node fetch the chain from others"
            )
        if mark != APPLICATION_ID:  # before there is any table, or it takes no effect
            await database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        await database.execute("PRAGMA journal_mode = WAL")
        await database.execute("PRAGMA synchronous = FULL")
        if mark != APPLICATION_ID:
            named = f"INSERT INTO network VALUES (x'{genesis.network.hex()}');"  # noqa: S608
            await database.executescript(f"BEGIN; {_SCHEMA} {named} COMMIT;")
        if await one(database, "SELECT id FROM network") != genesis.network:
            raise Unavailable(
                f"{path} belongs to another network: choose another --home, or the genesis "
                "file it was made with"
            )

    async def close(self) -> None:
        """Close the database."""
        await self._reader.close()
        await self._database.close()

    async def load(self, genesis_state: State) -> tuple[State, Header | None]:
        """The stored state and its header, or the genesis state where nothing is stored."""
        try:
            last = await one(
                self._database, "SELECT header FROM header ORDER BY height DESC LIMIT 1"
            )
            if last is None:
                return genesis_state, None
            records: dict[Key, Message] = {}
            async with self._database.execute("SELECT tab, key, value FROM record") as cursor:
                async for number, key, value in cursor:
                    table = Table(number)
                    records[table, key] = decode(RECORDS[table], value)
            state, header = State.of(records), decode(Header, last)
        except (sqlite3.DatabaseError, Malformed, ValueError) as error:
            raise damaged(self._path, error) from None
        if state.root != header.state_root:
            raise damaged(self._path, "its records do not match its last block")
        return state, header

    # writing

    async def commit(
        self,
        run: Sequence[Decided],
        *,
        first: bool,
        genesis_state: State,
        step: tuple[int, bytes] | None = None,
    ) -> list[Notice]:
        """Store final blocks that follow one another and all they change, in one transaction.

        The last has a certificate, and `step` leads to the term that follows it, where it ends
        one. `first`: nothing is stored yet. Raises `Unavailable`.
        """
        assert run and run[-1].certificate is not None
        headers = [decided.prepared.block.header for decided in run]
        changed = [_changed(decided.prepared) for decided in run]
        records: dict[Key, Message | None] = dict(genesis_state.records) if first else {}
        for decided in run:
            records.update(decided.prepared.draft.changes)
        try:
            await self._database.execute("BEGIN IMMEDIATE")
            await self._database.executemany(
                "INSERT INTO header VALUES (?, ?, ?)",
                [
                    (header.height, encode(header), _certificate_bytes(decided.certificate))
                    for header, decided in zip(headers, run, strict=True)
                ],
            )
            await self._database.executemany(
                "INSERT INTO body VALUES (?, ?, ?)",
                [
                    (
                        header.height,
                        encode(_without_sidecars(decided.prepared.block.transactions)),
                        encode(names),
                    )
                    for header, decided, names in zip(headers, run, changed, strict=True)
                ],
            )
            await self._put_transactions([decided.prepared for decided in run])
            await self._put_records(records)
            if step is not None:
                await self._database.execute("INSERT OR REPLACE INTO step VALUES (?, ?)", step)
            await self._database.execute("COMMIT")
        except sqlite3.Error as error:
            # Nothing was promised: the validator stops rather than sign what it cannot keep.
            raise Unavailable(
                f"cannot write block {headers[0].height} to {self._path}: {error}"
            ) from None
        return _notices(headers, changed, [decided.certificate for decided in run])

    async def _put_transactions(self, run: Sequence[Prepared]) -> None:
        sidecars = [
            (prepared.block.header.height, position, signed.sidecar)
            for prepared in run
            for position, signed in enumerate(prepared.block.transactions)
            if signed.sidecar
        ]
        outcomes = [
            (
                outcome.transaction,
                prepared.block.header.height,
                position,
                outcome.reason,
                outcome.detail,
            )
            for prepared in run
            for position, outcome in enumerate(prepared.outcomes)
        ]
        if sidecars:
            await self._database.executemany("INSERT INTO sidecar VALUES (?, ?, ?)", sidecars)
        if outcomes:
            await self._database.executemany("INSERT INTO outcome VALUES (?, ?, ?, ?, ?)", outcomes)

    async def _put_records(self, records: Mapping[Key, Message | None]) -> None:
        await self._database.executemany(
            "INSERT OR REPLACE INTO record VALUES (?, ?, ?)",
            [(*key, encode(record)) for key, record in records.items() if record is not None],
        )
        gone = [key for key, record in records.items() if record is None]
        if gone:
            await self._database.executemany("DELETE FROM record WHERE tab = ? AND key = ?", gone)

    async def put_step(self, term: int, step: bytes) -> None:
        """Keep what leads a light client from the term before to this one."""
        try:
            await self._database.execute("INSERT OR REPLACE INTO step VALUES (?, ?)", (term, step))
        except sqlite3.Error as error:
            raise Unavailable(f"cannot write to {self._path}: {error}") from None

    async def put_snapshot(
        self, header: Header, certificate: Certificate, records: Mapping[Key, Message]
    ) -> None:
        """Begin an empty store at a final block, with the records of its state."""
        try:
            await self._database.execute("BEGIN IMMEDIATE")
            await self._database.execute(
                "INSERT INTO header VALUES (?, ?, ?)",
                (header.height, encode(header), encode(certificate)),
            )
            await self._put_records(records)
            await self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise Unavailable(f"cannot write the state to {self._path}: {error}") from None

    async def prune(self, below: int) -> int:
        """Drop what blocks below a height held, and their headers but the last of each term.

        Returns how many blocks it took. Proofs of transactions, evidence and events of these
        heights are gone; the state and its proofs are not touched. Freed pages return to the
        file system.
        """
        taken = 0
        try:
            while (lowest := await self.lowest()) is not None and lowest < below:
                end = min(below, lowest + PRUNED_AT_ONCE)
                await self._database.execute("BEGIN IMMEDIATE")
                for table in ("body", "sidecar", "outcome"):
                    gone = f"DELETE FROM {table} WHERE height < ?"  # noqa: S608 - names of ours
                    await self._database.execute(gone, (end,))
                await self._database.execute(
                    "DELETE FROM header WHERE height < ? AND height % ? != 0",
                    (end, self._term_blocks),
                )
                await self._database.execute("COMMIT")
                # Only a script is stepped to its end: `execute` would free a single page.
                await self._database.executescript("PRAGMA incremental_vacuum")
                taken += end - lowest
        except sqlite3.Error as error:
            raise Unavailable(f"cannot prune {self._path}: {error}") from None
        return taken


def _changed(prepared: Prepared) -> Changed:
    """What followers are told of: schedules are nobody's business."""
    return tuple(
        RecordName(table=table, key=key)
        for table, key in prepared.draft.changes
        if table is not Table.DUE
    )


def _notices(
    headers: Sequence[Header],
    changed: Sequence[Changed],
    certificates: Sequence[Certificate | None],
) -> list[Notice]:
    """What followers hear of each block of a run, with what makes it final."""
    notices: list[Notice] = []
    by, end = certificates[-1], len(headers)
    for place in range(len(headers) - 1, -1, -1):
        if certificates[place] is not None:
            by, end = certificates[place], place + 1
        assert by is not None
        notices.append(
            Notice(
                header=headers[place],
                certificate=by,
                changed=changed[place],
                descendants=tuple(headers[place + 1 : end]),
            )
        )
    return notices[::-1]


def _certificate_bytes(certificate: Certificate | None) -> bytes | None:
    return None if certificate is None else encode(certificate)


def _without_sidecars(transactions: Transactions) -> Transactions:
    """Evidence is kept beside its block: it can be large, and headers and ids do not cover it."""
    return tuple(
        signed.model_copy(update={"sidecar": b""}) if signed.sidecar else signed
        for signed in transactions
    )
