"""A validator: one task owns the ledger and writes blocks; the API reads and submits.

Order matters in `_write_block`: decide, store, commit, tell. A kill between any two of them
leaves either no trace of the block, or all of it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import structlog

from chain.blocks import (
    Block,
    Certificate,
    Header,
    MetLeaf,
    Notice,
    ProvenRecord,
    RecordName,
    StateProof,
    TransactionProof,
)
from chain.consensus.solo import Solo
from chain.genesis import Genesis
from chain.ledger import MAX_BLOCK_BYTES, Ledger
from chain.mempool import Mempool
from chain.messages import OpenReport, SignedTransaction
from chain.records import ReportRecord, Table
from chain.state import State, tree_key
from chain.statetree import prove
from chain.store import ChainStore
from chain.transition import genesis_state
from wire import merkle
from wire.codec import encode
from wire.errors import NotFound, Unavailable
from wire.keys import KeyPair, Use

log = structlog.get_logger()

FOLLOWER_QUEUE_BLOCKS = 256
"""A follower that falls further behind is cut off; it resumes from the store by height."""

MAX_FOLLOWERS = 1_000
"""Each costs a queue and an open response."""


STALLED_S = 10
"""A block that is so late is not coming: the disk hangs, or the machine is overloaded."""


class Node:
    """One validator of one network."""

    def __init__(self, genesis: Genesis, store: ChainStore, ledger: Ledger, engine: Solo) -> None:
        self.genesis = genesis
        self.store = store
        self.ledger = ledger
        self._engine = engine
        self._pool = Mempool()
        self._followers: set[asyncio.Queue[Notice | None]] = set()
        self._certificate: Certificate | None = None
        self._genesis_state = genesis_state(genesis)
        self._condition = "starting"
        self._written_at = time.monotonic()

    @classmethod
    async def open(cls, genesis: Genesis, master: bytes, database: Path) -> Self:
        """Load the chain from disk; raises `Unavailable` with what to do."""
        store = await ChainStore.open(database, genesis)
        try:
            state, tip = await store.load(genesis_state(genesis))
            ledger = Ledger(genesis, state, tip)
            engine = Solo(
                genesis,
                ledger,
                KeyPair.derive(master, Use.VALIDATOR),
                KeyPair.derive(master, Use.VRF),
            )
            node = cls(genesis, store, ledger, engine)
            if tip is not None:
                _, node._certificate = await store.block(tip.height)
        except BaseException:
            await store.close()
            raise
        return node

    @property
    def state(self) -> State:
        """The state after the last final block."""
        return self.ledger.state

    @property
    def waiting(self) -> int:
        """Transactions that wait for a block."""
        return len(self._pool)

    @property
    def healthy(self) -> str:
        """Why no blocks are being written; empty while they are."""
        late_s = time.monotonic() - self._written_at
        interval_s = self.genesis.parameters.block_interval_ms / 1000
        if not self._condition and late_s > interval_s + STALLED_S:
            return f"no block for {late_s:.0f} s"
        return self._condition

    async def run(self) -> None:
        """Write a block every interval until cancelled."""
        interval_s = self.genesis.parameters.block_interval_ms / 1000
        next_at = time.monotonic()
        try:
            while True:
                await self._write_block()
                self._condition = ""
                self._written_at = time.monotonic()
                next_at = max(next_at + interval_s, time.monotonic())
                await asyncio.sleep(next_at - time.monotonic())
        finally:
            self._condition = "stopped"
            for queue in self._followers:
                _offer(queue, None)

    async def close(self) -> None:
        """Close the store; the chain goes on where it stopped."""
        await self.store.close()

    async def _write_block(self) -> None:
        limit = self.genesis.parameters.block_transactions_maximum
        chosen = self._pool.select(limit, MAX_BLOCK_BYTES)
        decided = self._engine.decide(time.time_ns() // 1_000_000, chosen)
        first = self.ledger.tip is None
        notice = await self.store.commit(decided, first=first, genesis_state=self._genesis_state)
        self.ledger.commit(decided.prepared)
        self._certificate = decided.certificate
        self._pool.settle(chosen, self.ledger.height, self.ledger.check)
        for outcome in decided.prepared.outcomes:
            if outcome.reason:
                log.info(
                    "transaction rejected",
                    transaction=outcome.transaction.hex(),
                    reason=outcome.reason,
                    detail=outcome.detail,
                )
        for queue in list(self._followers):
            if not _offer(queue, notice):
                self._followers.discard(queue)

    def submit(self, signed: SignedTransaction) -> bytes:
        """Take a transaction into the pool and return its id; raises `Rejected`."""
        return self._pool.add(signed, self.ledger.check)

    def is_waiting(self, transaction: bytes) -> bool:
        """Whether a transaction is in the pool."""
        return transaction in self._pool

    def prove(self, names: Iterable[RecordName]) -> StateProof:
        """Records, or their absence, as of the last block, with all that proves them."""
        header, certificate = self._final()
        records = tuple(self._proven(name) for name in names)
        return StateProof(header=header, certificate=certificate, records=records)

    def _proven(self, name: RecordName) -> ProvenRecord:
        table = Table(name.table)
        proof = prove(self.state.tree, tree_key(table, name.key))
        record = self.state.get((table, name.key))
        return ProvenRecord(
            table=name.table,
            key=name.key,
            record=None if record is None else encode(record),
            siblings=proof.siblings,
            met=None if proof.met is None else MetLeaf(key=proof.met[0], value=proof.met[1]),
        )

    async def evidence(self, challenge: bytes, attestor: bytes) -> bytes:
        """What came beside an opened report; raises `NotFound`."""
        record = self.state.get((Table.REPORT, challenge + attestor))
        if not isinstance(record, ReportRecord):
            raise NotFound("the chain has no such report")
        block, _ = await self.store.block(record.height)
        for signed in block.transactions:
            body = signed.transaction.body
            if isinstance(body, OpenReport) and body.report == record.report:
                return signed.sidecar
        raise NotFound("the evidence is no longer kept")

    async def prove_transaction(self, transaction: bytes) -> TransactionProof:
        """Where a transaction stands and what became of it; raises `NotFound`."""
        _, height, position, reason, detail = await self.store.outcome(transaction)
        block, certificate = await self.store.block(height)
        outcomes = await self.store.block_outcomes(height)
        ids = [signed.transaction.id for signed in block.transactions]
        leaves = [encode((outcome[0], outcome[3])) for outcome in outcomes]
        return TransactionProof(
            header=block.header,
            certificate=certificate,
            position=position,
            count=len(ids),
            reason=reason,
            detail=detail,
            transaction_path=merkle.inclusion_proof(ids, position),
            outcome_path=merkle.inclusion_proof(leaves, position),
        )

    async def block(self, height: int) -> tuple[Block, Certificate]:
        """A block and its certificate; raises `NotFound`."""
        return await self.store.block(height)

    async def follow(self, after: int) -> AsyncIterator[Notice]:
        """Every block above `after`, stored ones first, then each as it becomes final."""
        with self._following() as queue:
            height = after
            while height < self.ledger.height:
                height += 1
                yield await self.store.notice(height)
            while (notice := await queue.get()) is not None:
                if notice.header.height > height:
                    height = notice.header.height
                    yield notice

    def require_room(self) -> None:
        """Raise `Unavailable` when no more followers are taken."""
        if len(self._followers) >= MAX_FOLLOWERS:
            raise Unavailable("too many followers: try another node")

    @contextmanager
    def _following(self) -> Iterator[asyncio.Queue[Notice | None]]:
        self.require_room()
        queue: asyncio.Queue[Notice | None] = asyncio.Queue(FOLLOWER_QUEUE_BLOCKS)
        self._followers.add(queue)
        try:
            yield queue
        finally:
            self._followers.discard(queue)

    def _final(self) -> tuple[Header, Certificate]:
        tip, certificate = self.ledger.tip, self._certificate
        if tip is None or certificate is None:
            raise Unavailable("the chain has no block yet")
        return tip, certificate


def _offer(queue: asyncio.Queue[Notice | None], notice: Notice | None) -> bool:
    """Hand a notice to a follower; one that does not keep up hears that it ended."""
    try:
        queue.put_nowait(notice)
    except asyncio.QueueFull:
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)
        return False
    return True
