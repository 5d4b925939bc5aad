"""Reading the chain's database: blocks, what makes them final, outcomes, steps between terms."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiosqlite

from chain.blocks import (
    MAX_DESCENDANTS,
    Block,
    FinalBlock,
    Header,
    Notice,
    RecordName,
)
from chain.messages import SignedTransaction
from chain.runs import run_bytes
from chain.votes import Certificate
from wire.codec import NOTHING, array, decode, encode
from wire.errors import NotFound, Unavailable

Changed = tuple[RecordName, ...]
Transactions = tuple[SignedTransaction, ...]
Outcome = tuple[bytes, int, int, str, str]
"""(transaction id, height, position, reason, detail)"""
Certified = tuple[Header, tuple[Header, ...], Certificate]
"""(header, its descendants up to the first with a certificate, that certificate)"""

MAX_STORED_BYTES = 1 << 24
"""What we wrote ourselves may be larger than a message that a peer sends."""


class BlockStore:
    """Reads over a connection that sees only what is kept."""

    def __init__(self, reader: aiosqlite.Connection, path: Path) -> None:
        self._reader = reader
        self._path = path

    async def height(self) -> int | None:
        """The last final height that is stored; None in an empty store."""
        found: int | None = await one(self._reader, "SELECT max(height) FROM header")
        return found

    async def lowest(self) -> int | None:
        """The lowest height whose block is kept; None where there is none."""
        found: int | None = await one(self._reader, "SELECT min(height) FROM body")
        return found

    async def block(self, height: int) -> FinalBlock:
        """A block as it is passed on; raises `NotFound`."""
        row = await self._row(
            "SELECT header, transactions, certificate FROM header JOIN body USING (height) "
            "WHERE height = ?",
            height,
        )
        transactions = list(decode(Transactions, row[1], limit_bytes=MAX_STORED_BYTES))
        for position, sidecar in await all_of(
            self._reader, "SELECT position, bytes FROM sidecar WHERE height = ?", (height,)
        ):
            whole = transactions[position].model_copy(update={"sidecar": sidecar})
            transactions[position] = whole
        block = Block(header=decode(Header, row[0]), transactions=tuple(transactions))
        certificate = None if row[2] is None else decode(Certificate, row[2])
        return FinalBlock(block=block, certificate=certificate)

    async def certified(self, height: int) -> Certified:
        """A header and what makes its block final; raises `NotFound`."""
        await self._row("SELECT height FROM header WHERE height = ?", height)
        headers: list[Header] = []
        for header, certificate in await all_of(
            self._reader,
            "SELECT header, certificate FROM header WHERE height >= ? ORDER BY height LIMIT ?",
            (height, MAX_DESCENDANTS + 1),
        ):
            headers.append(decode(Header, header))
            if certificate is not None:
                return headers[0], tuple(headers[1:]), decode(Certificate, certificate)
        raise damaged(self._path, f"nothing makes block {height} final")

    async def notice(self, height: int) -> Notice:
        """What followers were told of a block; raises `NotFound`."""
        row = await self._row("SELECT changed FROM body WHERE height = ?", height)
        header, descendants, certificate = await self.certified(height)
        changed = decode(Changed, row[0], limit_bytes=MAX_STORED_BYTES)
        return Notice(
            header=header, certificate=certificate, changed=changed, descendants=descendants
        )

    async def run(self, start: int, count: int, limit_bytes: int, tip: int) -> bytes:
        """The bytes of a `BlockRun` from a height on; `tip` is told as this node's height.

        It ends at the last block with a certificate that is within the limits, where there is
        one. Raises `NotFound` where these blocks are no longer kept.
        """
        sizes = await all_of(
            self._reader,
            "SELECT height, length(header) + length(transactions) + ifnull(length(certificate), 0)"
            " + (SELECT ifnull(sum(length(bytes)), 0) FROM sidecar WHERE height = body.height),"
            " certificate IS NOT NULL FROM header JOIN body USING (height) "
            "WHERE height >= ? ORDER BY height LIMIT ?",
            (start, count),
        )
        last, certified, total = start - 1, start - 1, 0
        for height, size, has_certificate in sizes:
            total += size
            if height != last + 1 or (total > limit_bytes and last >= start):
                break
            last, certified = height, height if has_certificate else certified
        if last < start:
            if start <= tip:
                await self._row("SELECT height FROM body WHERE height = ?", start)  # says why
            return run_bytes((), (), None, tip)
        if certified >= start:
            return run_bytes(await self._encoded(start, certified), (), None, tip)
        _, descendants, certificate = await self.certified(last)
        return run_bytes(await self._encoded(start, last), descendants, certificate, tip)

    async def _encoded(self, start: int, end: int) -> list[bytes]:
        """The bytes of each `FinalBlock` of a range: put together, not decoded."""
        evident = {
            height
            for (height,) in await all_of(
                self._reader,
                "SELECT DISTINCT height FROM sidecar WHERE height BETWEEN ? AND ?",
                (start, end),
            )
        }
        rows = await all_of(
            self._reader,
            "SELECT height, header, transactions, certificate FROM header JOIN body "
            "USING (height) WHERE height BETWEEN ? AND ? ORDER BY height",
            (start, end),
        )
        return [
            encode(await self.block(height))
            if height in evident
            else array((array((header, transactions)), certificate or NOTHING))
            for height, header, transactions, certificate in rows
        ]

    async def _row(self, question: str, height: int) -> Any:
        """The row about one height; raises `NotFound` that tells what is there."""
        for row in await all_of(self._reader, question, (height,)):
            return row
        lowest, last = await self.lowest(), await self.height()
        if last is None or height > last:
            raise NotFound(f"there is no block {height} yet")
        raise NotFound(
            f"block {height} is not kept here: this node keeps blocks from {lowest or last + 1} on"
        )

    async def outcome(self, transaction: bytes) -> Outcome:
        """Where a transaction was included and what became of it; raises `NotFound`."""
        for row in await all_of(
            self._reader,
            "SELECT transaction_id, height, position, reason, detail FROM outcome "
            "WHERE transaction_id = ?",
            (transaction,),
        ):
            return (row[0], row[1], row[2], row[3], row[4])
        raise NotFound("no block that is kept here holds this transaction")

    async def block_outcomes(self, height: int) -> list[Outcome]:
        """The outcomes of one block's transactions, in order."""
        rows = await all_of(
            self._reader,
            "SELECT transaction_id, height, position, reason, detail FROM outcome "
            "WHERE height = ? ORDER BY position",
            (height,),
        )
        return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]

    async def step(self, term: int) -> bytes:
        """What leads a light client from the term before to this one; raises `NotFound`."""
        for (step,) in await all_of(self._reader, "SELECT step FROM step WHERE term = ?", (term,)):
            found: bytes = step
            return found
        raise NotFound(f"this node has no step to term {term}")


async def one(database: aiosqlite.Connection, question: str) -> Any:
    """The one value that answers a question, None where there is no row."""
    for row in await all_of(database, question):
        return row[0]
    return None


async def all_of(
    database: aiosqlite.Connection, question: str, values: tuple[object, ...] = ()
) -> Iterable[Any]:
    """All rows that answer a question."""
    return await database.execute_fetchall(question, values)


def damaged(path: Path, why: object) -> Unavailable:
    """The database is not what we wrote."""
    return Unavailable(
        f"the chain's database {path} is damaged ({why}): move it away and restore a copy, or "
        "let the node fetch the chain from others; nothing was changed"
    )
