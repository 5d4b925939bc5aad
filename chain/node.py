"""A validator: one task owns the ledger and writes blocks; the API reads and submits."""

import asyncio
import time
from pathlib import Path
from typing import Self

import structlog

from chain.blocks import Certificate
from chain.consensus.port import Decided
from chain.consensus.solo import Solo
from chain.genesis import Genesis
from chain.ledger import MAX_BLOCK_BYTES, Ledger
from chain.mempool import Mempool
from chain.messages import SignedTransaction
from chain.reading_node import Reader
from chain.store import ChainStore
from chain.transition import genesis_state
from wire.keys import KeyPair, Use

log = structlog.get_logger()

STALLED_S = 10
"""A block that is so late is not coming: the disk hangs, or the machine is overloaded."""


class Node(Reader):
    """One validator of one network."""

    def __init__(
        self,
        genesis: Genesis,
        store: ChainStore,
        ledger: Ledger,
        engine: Solo,
        certificate: Certificate | None = None,
    ) -> None:
        super().__init__(genesis, store, ledger, certificate)
        self._engine = engine
        self._pool = Mempool()
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
            certificate: Certificate | None = None
            if tip is not None:
                _, _, certificate = await store.certified(tip.height)
        except BaseException:
            await store.close()
            raise
        return cls(genesis, store, ledger, engine, certificate)

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
            self.end_followers()

    async def _write_block(self) -> None:
        limit = self.genesis.parameters.block_transactions_maximum
        chosen = self._pool.select(limit, MAX_BLOCK_BYTES)
        decided = self._engine.decide(time.time_ns() // 1_000_000, chosen)
        await self.keep((decided,))
        self._pool.settle(chosen, self.ledger.height, self.ledger.check)
        _log_rejected(decided)

    async def accept(self, signed: SignedTransaction) -> bytes:
        """Take a transaction into the pool and return its id; raises `Rejected`."""
        return self.submit(signed)

    def submit(self, signed: SignedTransaction) -> bytes:
        """As `accept`, at once."""
        return self._pool.add(signed, self.ledger.check)

    def is_waiting(self, transaction: bytes) -> bool:
        """Whether a transaction is in the pool."""
        return transaction in self._pool


def _log_rejected(decided: Decided) -> None:
    for outcome in decided.prepared.outcomes:
        if outcome.reason:
            log.info(
                "transaction rejected",
                transaction=outcome.transaction.hex(),
                reason=outcome.reason,
                detail=outcome.detail,
            )
