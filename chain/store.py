"""The chain on disk: blocks, certificates and the records of the present state, in SQLite.

One transaction a block, synchronous FULL: when `commit` returns, the block survives a power
cut; killed before, the block never was. Records are written as they change, so a start reads
the present state instead of executing history; its root is compared with the last header's.

Reads have a connection of their own: the writer's would show a block that is not yet kept, and
whoever was shown one could see it contradicted after a crash.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import aiosqlite

from chain.blocks import Block, Certificate, Header, Notice, RecordName
from chain.consensus.port import Decided, Prepared
from chain.genesis import Genesis
from chain.records import RECORDS, Table
from chain.state import Key, State
from wire.codec import Message, decode, encode
from wire.errors import Malformed, NotFound, Unavailable

SCHEMA_VERSION = 1
APPLICATION_ID = 0x484F4C43
"""`HOLC`: marks the file as a validator's."""

_SCHEMA = f"""
CREATE TABLE network (id BLOB PRIMARY KEY) STRICT;
CREATE TABLE block (
    height INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,
    block BLOB NOT NULL, certificate BLOB NOT NULL, changed BLOB NOT NULL
) STRICT;
CREATE TABLE outcome (
    transaction_id BLOB PRIMARY KEY, height INTEGER NOT NULL, position INTEGER NOT NULL,
    sender BLOB NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outcome_by_height ON outcome (height, position);
CREATE TABLE sidecar (
    height INTEGER NOT NULL, position INTEGER NOT NULL, bytes BLOB NOT NULL,
    PRIMARY KEY (height, position)
) STRICT;
CREATE TABLE record (
    tab INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (tab, key)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

Changed = tuple[RecordName, ...]
Outcome = tuple[bytes, int, int, str, str]
"""(transaction id, height, position, reason, detail)"""


class ChainStore:
    """The blocks and records of one network. One task writes; reads may overlap."""

    def __init__(
        self, database: aiosqlite.Connection, reader: aiosqlite.Connection, path: Path
    ) -> None:
        self._database = database
        self._reader = reader
        self._path = path

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
                raise _damaged(path, error) from None
            opened.pop_all()
        return cls(database, reader, path)

    @staticmethod
    async def _prepare(database: aiosqlite.Connection, path: Path, genesis: Genesis) -> None:
        mark = await _one(database, "PRAGMA application_id")
        version = await _one(database, "PRAGMA user_version")
        tables = await _one(database, "SELECT count(*) FROM sqlite_master")
        if mark != APPLICATION_ID and (mark or tables):
            raise Unavailable(f"{path} is another program's database: choose another --home")
        if mark == APPLICATION_ID and version != SCHEMA_VERSION:
            raise Unavailable(
                f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}: "
                "use the version of holdfast that wrote it"
            )
        await database.execute("PRAGMA journal_mode = WAL")
        await database.execute("PRAGMA synchronous = FULL")
        if mark != APPLICATION_ID:
            named = f"INSERT INTO network VALUES (x'{genesis.network.hex()}');"  # noqa: S608
            await database.executescript(f"BEGIN; {_SCHEMA} {named} COMMIT;")
        if await _one(database, "SELECT id FROM network") != genesis.network:
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
            async with self._database.execute(
                "SELECT block FROM block ORDER BY height DESC LIMIT 1"
            ) as cursor:
                row = await cursor.fetchone()
            if row is None:
                return genesis_state, None
            state = State()
            async with self._database.execute("SELECT tab, key, value FROM record") as cursor:
                async for number, key, value in cursor:
                    table = Table(number)
                    state.load(table, key, decode(RECORDS[table], value))
            header = decode(Block, row[0]).header
        except (sqlite3.DatabaseError, Malformed, ValueError) as error:
            raise _damaged(self._path, error) from None
        if state.root != header.state_root:
            raise _damaged(self._path, "its records do not match its last block")
        return state, header

    async def commit(self, decided: Decided, *, first: bool, genesis_state: State) -> Notice:
        """Store a final block and all that it changes, in one transaction."""
        prepared = decided.prepared
        header = prepared.block.header
        changes = prepared.draft.changes
        changed = tuple(
            RecordName(table=table, key=key) for table, key in changes if table is not Table.DUE
        )
        try:
            await self._database.execute("BEGIN IMMEDIATE")
            if first:
                await self._put_records(genesis_state.records)
            await self._database.execute(
                "INSERT INTO block VALUES (?, ?, ?, ?, ?)",
                (
                    header.height,
                    header.id,
                    encode(_without_sidecars(prepared.block)),
                    encode(decided.certificate),
                    encode(changed),
                ),
            )
            await self._put_transactions(prepared)
            await self._put_records(changes)
            await self._database.execute("COMMIT")
        except sqlite3.Error as error:
            # Nothing was promised: the validator stops rather than sign what it cannot keep.
            raise Unavailable(
                f"cannot write block {header.height} to {self._path}: {error}"
            ) from None
        return Notice(header=header, certificate=decided.certificate, changed=changed)

    async def _put_transactions(self, prepared: Prepared) -> None:
        height, transactions = prepared.block.header.height, prepared.block.transactions
        await self._database.executemany(
            "INSERT INTO sidecar VALUES (?, ?, ?)",
            [
                (height, position, signed.sidecar)
                for position, signed in enumerate(transactions)
                if signed.sidecar
            ],
        )
        await self._database.executemany(
            "INSERT INTO outcome VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    outcome.transaction,
                    height,
                    position,
                    signed.transaction.sender,
                    signed.transaction.body.kind,
                    outcome.reason,
                    outcome.detail,
                )
                for position, (signed, outcome) in enumerate(
                    zip(transactions, prepared.outcomes, strict=True)
                )
            ],
        )

    async def _put_records(self, records: Mapping[Key, Message | None]) -> None:
        await self._database.executemany(
            "INSERT OR REPLACE INTO record VALUES (?, ?, ?)",
            [(*key, encode(record)) for key, record in records.items() if record is not None],
        )
        await self._database.executemany(
            "DELETE FROM record WHERE tab = ? AND key = ?",
            [key for key, record in records.items() if record is None],
        )

    async def block(self, height: int) -> tuple[Block, Certificate]:
        """A block and its certificate; raises `NotFound`."""
        async with self._reader.execute(
            "SELECT block, certificate FROM block WHERE height = ?", (height,)
        ) as cursor:
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"there is no block {height} yet")
        block: Block = decode(Block, row[0])
        transactions = list(block.transactions)
        async with self._reader.execute(
            "SELECT position, bytes FROM sidecar WHERE height = ?", (height,)
        ) as cursor:
            async for position, sidecar in cursor:
                whole = transactions[position].model_copy(update={"sidecar": sidecar})
                transactions[position] = whole
        return (
            block.model_copy(update={"transactions": tuple(transactions)}),
            decode(Certificate, row[1]),
        )

    async def notice(self, height: int) -> Notice:
        """What followers were told of a block; raises `NotFound`."""
        async with self._reader.execute(
            "SELECT block, certificate, changed FROM block WHERE height = ?", (height,)
        ) as cursor:
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"there is no block {height} yet")
        return Notice(
            header=decode(Block, row[0]).header,
            certificate=decode(Certificate, row[1]),
            changed=decode(Changed, row[2]),
        )

    async def outcome(self, transaction: bytes) -> Outcome:
        """Where a transaction was included and what became of it; raises `NotFound`."""
        async with self._reader.execute(
            "SELECT transaction_id, height, position, reason, detail FROM outcome "
            "WHERE transaction_id = ?",
            (transaction,),
        ) as cursor:
            row = await cursor.fetchone()
        if row is None:
            raise NotFound("no block holds this transaction")
        return (row[0], row[1], row[2], row[3], row[4])

    async def block_outcomes(self, height: int) -> list[Outcome]:
        """The outcomes of one block's transactions, in order."""
        async with self._reader.execute(
            "SELECT transaction_id, height, position, reason, detail FROM outcome "
            "WHERE height = ? ORDER BY position",
            (height,),
        ) as cursor:
            return [(row[0], row[1], row[2], row[3], row[4]) async for row in cursor]


async def _one(database: aiosqlite.Connection, question: str) -> Any:
    """The one value that answers a question, None where there is no row."""
    async with database.execute(question) as cursor:
        row = await cursor.fetchone()
    return None if row is None else row[0]


def _without_sidecars(block: Block) -> Block:
    """Evidence is kept beside its block, so that it can be pruned without touching it."""
    bare = tuple(
        signed.model_copy(update={"sidecar": b""}) if signed.sidecar else signed
        for signed in block.transactions
    )
    return block.model_copy(update={"transactions": bare})


def _damaged(path: Path, why: object) -> Unavailable:
    return Unavailable(
        f"the chain's database {path} is damaged ({why}): move it away and restore a copy; "
        "nothing was changed"
    )
