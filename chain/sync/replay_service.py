"""Execute a stored chain again from its genesis, and compare all that it says of itself.

Nothing is written, and a node may go on with the same database meanwhile: what is read is the
chain as it was at the beginning.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import aiosqlite

from chain.block_store import BlockStore, all_of, one
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.light import verify_certificate
from chain.records import Table
from chain.transition import genesis_state
from chain.trust import TermStep, Trust
from chain.validators import ends_term
from wire.codec import decode, encode
from wire.errors import Malformed, NotFound, Unavailable


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was found to be as stored."""

    height: int
    transactions: int
    certificates: int
    terms: int
    records: int
    state_root: bytes


async def replay(genesis: Genesis, path: Path, tell: Callable[[int, int], None]) -> Replayed:
    """Replay the database at `path`; `tell` hears (height, heights in all).

    Raises `Malformed` at the first thing that is not as stored, `NotFound` where there is
    nothing to replay, `Unavailable` where not all blocks are kept.
    """
    async with _reading(path) as database:
        store = BlockStore(database, path)
        if await one(database, "SELECT id FROM network") != genesis.network:
            raise Unavailable(f"{path} belongs to another network than this home's genesis")
        top = await one(database, "SELECT max(height) FROM header")
        lowest = await store.lowest()
        if top is None or lowest is None:
            raise NotFound(f"{path} holds no blocks yet")
        if lowest > 1:
            raise Unavailable(
                f"{path} keeps blocks from {lowest} on: only one that keeps all can be replayed"
            )
        found = await _replay(genesis, store, top, tell)
        await _compare_records(database, found)
    ledger = found.ledger
    return Replayed(
        height=ledger.height,
        transactions=found.transactions,
        certificates=found.certificates,
        terms=found.trust.term + 1,
        records=len(ledger.state.records),
        state_root=ledger.state.root,
    )


@asynccontextmanager
async def _reading(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    """One unchanging view of the database."""
    place = f"file:{quote(str(path))}?mode=ro"
    try:
        # Where this fails, aiosqlite would leave a thread behind that outlives the loop.
        sqlite3.connect(place, uri=True).close()
        async with aiosqlite.connect(place, uri=True, isolation_level=None) as database:
            await database.execute("BEGIN")
            yield database
    except sqlite3.DatabaseError as error:
        raise Unavailable(f"cannot read the chain's database {path}: {error}") from None


@dataclass(slots=True)
class _Found:
    ledger: Ledger
    trust: Trust
    transactions: int = 0
    certificates: int = 0


async def _replay(
    genesis: Genesis, store: BlockStore, top: int, tell: Callable[[int, int], None]
) -> _Found:
    ledger = Ledger(genesis, genesis_state(genesis), None)
    found = _Found(ledger, Trust(genesis))
    bare = 0
    """The first block that is still without a certificate of its own or of a later one."""
    for height in range(1, top + 1):
        try:
            final = await store.block(height)
            prepared = ledger.validate(final.block)
            outcomes = [(o.transaction, o.reason, o.detail) for o in prepared.outcomes]
            stored = await store.block_outcomes(height)
            if outcomes != [(name, reason, detail) for name, _, _, reason, detail in stored]:
                raise Malformed("its transactions had other outcomes")
            header = final.block.header
            if final.certificate is not None:
                verify_certificate(genesis.network, ledger.validators, header, final.certificate)
                found.certificates += 1
                bare = 0
            else:
                bare = bare or height
            ledger.commit(prepared)
            found.transactions += len(outcomes)
            if ends_term(height, genesis.parameters.term_blocks):
                if bare:
                    raise Malformed("it ends a term and has no certificate")
                found.trust.advance(decode(TermStep, await store.step(header.term + 1)))
                if found.trust.validators(found.trust.term) != ledger.validators:
                    raise Malformed("the step to the next term is of another")
        except (Malformed, NotFound) as error:
            raise Malformed(f"block {height} does not hold: {error}") from None
        tell(height, top)
    if bare:
        raise Malformed(f"nothing makes block {bare} final")
    return found


async def _compare_records(database: aiosqlite.Connection, found: _Found) -> None:
    """The records on disk must be those that the blocks lead to, and no others."""
    records = found.ledger.state.records
    count = 0
    for number, key, value in await all_of(database, "SELECT tab, key, value FROM record"):
        record = records.get((Table(number), key))
        if record is None or encode(record) != value:
            raise Malformed(f"the stored {Table(number).name.lower()} {key.hex()} is another")
        count += 1
    if count != len(records):
        raise Malformed(f"{len(records) - count} records are missing on disk")
