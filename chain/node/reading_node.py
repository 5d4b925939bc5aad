"""What every node does with final blocks: keep them, prove what they lead to, tell of them.

A validator and a node that only follows are both a `Reader`. Order matters in `keep`: store,
commit, tell. A kill between any two of them leaves either no trace of a block, or all of it.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import structlog

from chain.blocks import (
    FinalBlock,
    Header,
    Notice,
    RecordName,
    StateProof,
    TransactionProof,
)
from chain.bodies.challenges import OpenReport
from chain.challenge_records import ReportRecord
from chain.consensus.port import Decided
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.messages import SignedTransaction
from chain.proving import proven, term_step
from chain.records import Table
from chain.state import State
from chain.store import ChainStore
from chain.sync import snapshot
from chain.sync.snapshot_store import SnapshotStore
from chain.transition import genesis_state
from chain.trust import STEPS_AT_ONCE, TermStep
from chain.validators import ends_term
from chain.votes import Certificate
from wire import merkle
from wire.codec import decode, encode
from wire.errors import NotFound, Rejected, Unavailable

log = structlog.get_logger()

FOLLOWER_QUEUE_BLOCKS = 256
"""A follower that falls further behind is cut off; it resumes from the store by height."""

PRUNE_EVERY = 100
"""Blocks between two times that old ones are dropped."""

MAX_FOLLOWERS = 1_000
"""Each costs a queue and an open response."""


class Reader(ABC):
    """The final chain of one network as this node has it. Its one owner task calls `keep`."""

    def __init__(
        self, genesis: Genesis, store: ChainStore, ledger: Ledger, certificate: Certificate | None
    ) -> None:
        """`certificate` is the tip's, None before the first block."""
        self.genesis = genesis
        self.store = store
        self.ledger = ledger
        self.state = ledger.state.copy()
        """The state that is shown: after the last block that is stored, and never more."""
        self.tip = ledger.tip
        """The header of that block."""
        self._followers: set[asyncio.Queue[Notice | None]] = set()
        self._certificate = certificate
        self._genesis_state = genesis_state(genesis)
        self.keep_blocks: int | None = None
        """How many of the last blocks to keep whole, at least `least_kept`; None: all of them."""
        self.snapshots: SnapshotStore | None = None
        """Where this node offers its state to those that begin; None: it does not."""
        self._snapshot: asyncio.Task[None] | None = None
        self._offers = False
        """Whether there is a snapshot already."""

    @property
    def height(self) -> int:
        """Height of the last block that is stored; 0 before the first."""
        return self.tip.height if self.tip else 0

    @property
    def waiting(self) -> int:
        """Transactions that wait here for a block."""
        return 0

    @property
    def consensus(self) -> dict[str, object]:
        """Where this node stands in consensus, for people; empty for one that has no part in it."""
        return {}

    @property
    @abstractmethod
    def healthy(self) -> str:
        """Why no blocks are coming; empty while they are."""

    @abstractmethod
    async def run(self) -> None:
        """Keep the chain going, or follow it, until cancelled."""

    @abstractmethod
    async def accept(self, signed: SignedTransaction) -> bytes:
        """Have a transaction wait for a block; its id. Raises `Rejected` or `Unavailable`."""

    async def accept_all(self, transactions: Sequence[SignedTransaction]) -> list[str]:
        """As `accept`, for many: for each why it was refused, or nothing."""
        refusals: list[str] = []
        for signed in transactions:
            try:
                await self.accept(signed)
            except (Rejected, Unavailable) as refused:
                refusals.append(str(refused))
            else:
                refusals.append("")
        return refusals

    def is_waiting(self, transaction: bytes) -> bool:
        """Whether a transaction waits here for a block."""
        return False

    async def close(self) -> None:
        """Close the store; the chain goes on where it stopped."""
        if self._snapshot is not None:
            await asyncio.wait([self._snapshot])
        await self.store.close()

    # final blocks

    async def keep(self, run: Sequence[Decided]) -> None:
        """Store final blocks that follow the tip, commit them, and tell whoever follows.

        The last of the run has a certificate. Raises `Unavailable` when the disk does not take
        them: nothing is shown then that is not kept, and the node must stop.
        """
        term_blocks, start = self.genesis.parameters.term_blocks, 0
        for place, decided in enumerate(run, start=1):
            height = decided.prepared.block.header.height
            if ends_term(height, term_blocks) or place == len(run):
                await self._keep(run[start:place])
                start = place

    async def _keep(self, run: Sequence[Decided]) -> None:
        """As `keep`, for blocks of one term."""
        first = self.tip is None
        notices = await self.store.commit(
            run, first=first, genesis_state=self._genesis_state, step=self._step(run[-1])
        )
        for decided in run:
            if self.ledger.prepared(decided.prepared.block.header.id) is decided.prepared:
                self.ledger.commit(decided.prepared)
            self.state.follow(decided.prepared.draft)
        self.tip = run[-1].prepared.block.header
        self._certificate = run[-1].certificate
        for notice in notices:
            for queue in list(self._followers):
                if not _offer(queue, notice):
                    self._followers.discard(queue)
        if self.keep_blocks and self.height % PRUNE_EVERY < len(run):
            await self.store.prune(self.height - self.keep_blocks + 1)
        self._offer_state()

    def _offer_state(self) -> None:
        """At the end of a term, or when there is none, make a snapshot beside all else."""
        if self.snapshots is None or (self._snapshot and not self._snapshot.done()):
            return
        header, certificate = self._final()
        self._offers = self._offers or bool(self.snapshots.heights)
        if ends_term(header.height, self.genesis.parameters.term_blocks) or not self._offers:
            self._offers = True
            work = _take(self.snapshots, header, certificate, self.state.copy())
            self._snapshot = asyncio.create_task(work)

    def require_snapshots(self) -> SnapshotStore:
        """Where the snapshots are; raises `NotFound` where none are made."""
        if self.snapshots is None:
            raise NotFound("this node offers no snapshots")
        return self.snapshots

    def _step(self, decided: Decided) -> tuple[int, bytes] | None:
        """What leads a light client to the next term, where a block ends one."""
        header = decided.prepared.block.header
        if not ends_term(header.height, self.genesis.parameters.term_blocks):
            return None
        assert decided.certificate is not None, "nothing is built on it before it is final"
        step = term_step(decided.prepared.draft, header, decided.certificate)
        return header.term + 1, encode(step)

    async def steps(self, term: int, count: int) -> tuple[TermStep, ...]:
        """What leads light clients to this term and the next ones; those that are here."""
        found: list[TermStep] = []
        with suppress(NotFound):
            for each in range(term, term + min(count, STEPS_AT_ONCE)):
                found.append(decode(TermStep, await self.store.step(each)))  # noqa: PERF401
        return tuple(found)

    def end_followers(self) -> None:
        """Tell whoever follows that nothing more comes."""
        for queue in self._followers:
            _offer(queue, None)

    async def block(self, height: int) -> FinalBlock:
        """A block as it is passed on; raises `NotFound`."""
        return await self.store.block(height)

    # proofs

    def prove(self, names: Iterable[RecordName]) -> StateProof:
        """Records, or their absence, as of the last block, with all that proves them."""
        header, certificate = self._final()
        records = tuple(proven(self.state, name) for name in names)
        return StateProof(header=header, certificate=certificate, records=records)

    def _final(self) -> tuple[Header, Certificate]:
        tip, certificate = self.tip, self._certificate
        if tip is None or certificate is None:
            raise Unavailable("the chain has no block yet")
        return tip, certificate

    async def prove_transaction(self, transaction: bytes) -> TransactionProof:
        """Where a transaction stands and what became of it; raises `NotFound`."""
        _, height, position, reason, detail = await self.store.outcome(transaction)
        block = (await self.store.block(height)).block
        header, descendants, certificate = await self.store.certified(height)
        outcomes = await self.store.block_outcomes(height)
        ids = [signed.transaction.id for signed in block.transactions]
        leaves = [encode((outcome[0], outcome[3])) for outcome in outcomes]
        return TransactionProof(
            header=header,
            certificate=certificate,
            position=position,
            count=len(ids),
            reason=reason,
            detail=detail,
            transaction_path=merkle.inclusion_proof(ids, position),
            outcome_path=merkle.inclusion_proof(leaves, position),
            descendants=descendants,
        )

    async def evidence(self, challenge: bytes, attestor: bytes) -> bytes:
        """What came beside an opened report; raises `NotFound`."""
        record = self.state.get((Table.REPORT, challenge + attestor))
        if not isinstance(record, ReportRecord):
            raise NotFound("the chain has no such report")
        final = await self.store.block(record.height)
        for signed in final.block.transactions:
            body = signed.transaction.body
            if isinstance(body, OpenReport) and body.evidence == record.evidence:
                return signed.sidecar
        raise NotFound("the evidence is no longer kept")

    # followers

    async def follow(self, after: int) -> AsyncGenerator[Notice]:
        """Every block above `after`, stored ones first, then each as it becomes final."""
        with self._following() as queue:
            height = after
            while height < self.height:
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

    async def require_kept(self, height: int) -> None:
        """Raise `NotFound` when a final block's events are no longer kept."""
        if height <= self.height:
            await self.store.notice(height)

    @contextmanager
    def _following(self) -> Iterator[asyncio.Queue[Notice | None]]:
        self.require_room()
        queue: asyncio.Queue[Notice | None] = asyncio.Queue(FOLLOWER_QUEUE_BLOCKS)
        self._followers.add(queue)
        try:
            yield queue
        finally:
            self._followers.discard(queue)


async def _take(
    store: SnapshotStore, header: Header, certificate: Certificate, state: State
) -> None:
    """Write a snapshot; that it fails is no reason to stop."""
    try:
        bodies = snapshot.take(header, certificate, state.records, state.tree)
        await asyncio.to_thread(store.write, header.height, bodies)
    except Unavailable as error:
        log.warning("no snapshot was made", why=str(error))


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
