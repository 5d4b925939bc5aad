"""One visit: join a hoster's swarm as an ordinary reader, look, linger, leave.

The opening, the sync and the requests are those of every reader, because the code is that of
every reader (`feed.session`). What differs is kept here: times, and the hoster's receipts.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_bytes

import structlog

from attestor.messages import VisitResult
from attestor.visit import Arrival, Visit, conclude
from audit.entries import chunk_digest, entry_of, fresh_key
from audit.evidence import Target, Task, judge_visit
from audit.messages import RECEIPT_EXTENSION, Outcome, SignedReceipt
from audit.plan import VisitPlan
from audit.receipts import SessionBinding, is_receipt_of
from chain.endpoint import Endpoint
from feed import flat_tree
from feed.events import Arrived, Event, Heard, Lost, Wrong
from feed.feed import Feed
from feed.manifest import decode_manifest
from feed.session import Session, open_session
from feed.store import FeedStore
from swarm.peers import Drop, Limits
from swarm.tcp import dial
from wire.codec import decode
from wire.errors import HoldfastError, Malformed, Rejected, Unavailable
from wire.keys import KeyPair
from wire.ports import Connection

log = structlog.get_logger()

IN_FLIGHT = 4
"""Requests at once, as of a reader that plays a file; more would measure our own queue."""

LEAST_RATE = 128 << 10
"""Bytes per second below which a line counts as dead: a chunk comes whole or not at all."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a visit waits for what."""

    quiet_s: float = 3.0
    """With nothing coming for so long, what is still open is not coming: chunks that a hoster does
    not announce are asked for by telling it so, and to that there need not be an answer."""
    linger_s: float = 2.0
    """After the last chunk: longer than a hoster waits before it signs for what was served."""
    truth_s: float = 10.0
    """For fetching from one peer what the visit left open."""
    limits: Limits = field(default_factory=Limits)
    """Of the connections."""


@dataclass(frozen=True, slots=True)
class VisitTask:
    """Everything that one visit needs to know."""

    network: bytes
    challenge: bytes
    attestor: bytes
    target: Target
    plan: VisitPlan
    coin: bytes
    opened_ms: int
    """Block time at which the visiting window opened."""
    chunk_bytes: int
    """Of a chunk of the feed, on average."""
    manifest: bytes
    endpoint: Endpoint
    elsewhere: tuple[Endpoint, ...]
    """Other peers that have the feed: asked only for what the visit left open."""


def _now_us() -> int:
    return time.monotonic_ns() // 1_000


async def make_visit(
    task: VisitTask, key: KeyPair, deadline_s: float, patience: Patience | None = None
) -> VisitResult:
    """Visit one hoster with a key that is used only here."""
    patience = patience or Patience()
    visit = Visit(started_us=_now_us())
    with FeedStore(":memory:") as store:
        manifest = decode_manifest(task.manifest) if task.manifest else None
        feed = store.create(task.target.feed, manifest)
        try:
            async with asyncio.timeout(deadline_s):
                await _look(visit, task, key, feed, patience)
        except TimeoutError:
            visit.trouble = visit.trouble or Outcome.TOO_SLOW
        except HoldfastError as error:
            visit.trouble = visit.trouble or _trouble(visit, error)
            log.debug("visit cut short", reason=str(error))
        visit.ended_us = _now_us()
        unproven = _unproven(visit, task, feed)
        if unproven:
            await _fetch_truth(task, feed, unproven, patience)
        summary, evidence = conclude(
            visit,
            task.plan,
            task.target,
            feed.node,
            network=task.network,
            challenge=task.challenge,
            attestor=task.attestor,
            key=key,
        )
    result = VisitResult(contract=task.plan.contract, summary=summary, evidence=evidence)
    return result if _holds(task, result) else _without_evidence(result)


def _holds(task: VisitTask, result: VisitResult) -> bool:
    """Whether the chain will accept this visit: one bad receipt must not void a whole report."""
    now_ms = time.time_ns() // 1_000_000
    terms = Task(task.challenge, task.attestor, task.opened_ms, now_ms)
    try:
        judge_visit(task.network, terms, task.target, task.plan, result.summary, result.evidence)
    except Rejected as rejected:
        log.info("evidence of a visit does not hold", reason=str(rejected))
        return False
    return True


def _without_evidence(result: VisitResult) -> VisitResult:
    summary = result.summary.model_copy(update={"outcome": Outcome.RECEIPT_WRONG, "served": 0})
    return VisitResult(contract=result.contract, summary=summary, evidence=None)


async def _look(
    visit: Visit, task: VisitTask, key: KeyPair, feed: Feed, patience: Patience
) -> None:
    """The visit itself; raises what ended it early."""
    connection = await _dial(task.endpoint, key, patience)
    try:
        visit.connected_us = _now_us()
        witness = _Witness(visit, task, connection, key, patience)
        session = await open_session(
            connection, feed, witness.on_event, in_flight=IN_FLIGHT, keep_wrong=True
        )
        session.fetch(task.plan.indices)
        async with asyncio.TaskGroup() as tasks:
            replicating = tasks.create_task(session.replicate())
            replicating.add_done_callback(witness.session_over)
            await witness.all_answered()
            await witness.linger()
            session.close()
        if witness.open_chunks:
            raise session.failure or Unavailable("the hoster hung up before it had answered")
    finally:
        await connection.close()


async def _dial(endpoint: Endpoint, key: KeyPair, patience: Patience) -> Connection:
    return await dial(
        endpoint.host,
        endpoint.port,
        key,
        expected_remote=endpoint.swarm_key,
        limits=patience.limits,
    )


class _Witness:
    """Notes what happens in one session."""

    def __init__(
        self,
        visit: Visit,
        task: VisitTask,
        connection: Connection,
        key: KeyPair,
        patience: Patience,
    ) -> None:
        self._visit = visit
        self._open = set(task.plan.indices)
        self._signer = task.target.receipt_key
        self._binding = SessionBinding(
            network=task.network,
            hoster=task.target.hoster,
            handshake_hash=connection.handshake_hash,
            peer=key.public,
            feed=task.target.feed,
        )
        self._fresh_key = fresh_key(task.challenge, task.coin, task.target.contract, task.attestor)
        self._news = asyncio.Event()
        self._over = False
        self._quiet_s = patience.quiet_s + IN_FLIGHT * task.chunk_bytes / LEAST_RATE
        self._linger_s = patience.linger_s

    @property
    def open_chunks(self) -> bool:
        """Whether a planned chunk has neither come nor been refused."""
        return bool(self._open)

    def session_over(self, _: asyncio.Task[None]) -> None:
        """The hoster closed the channel, or was dropped."""
        self._over = True
        self._news.set()

    def on_event(self, _: Session, event: Event) -> None:
        """Told of everything by the session, in the order of the wire."""
        match event:
            case Arrived(chunk, leaf_hash, data, asked_us, came_us) | Wrong(
                chunk, leaf_hash, data, asked_us, came_us
            ):
                entry = entry_of(chunk, leaf_hash, data, self._binding.handshake_hash)
                fresh = chunk_digest(self._fresh_key, data)
                self._visit.arrivals.append(Arrival(entry, fresh, asked_us, came_us))
                self._open.discard(chunk)
                if isinstance(event, Wrong):
                    self._visit.trouble = self._visit.trouble or Outcome.BAD_DATA
            case Lost(chunk):
                self._open.discard(chunk)
                self._visit.trouble = self._visit.trouble or Outcome.CHUNKS_MISSING
            case Heard(name, payload) if name == RECEIPT_EXTENSION:
                self._hear_receipt(payload)
            case _:
                pass
        self._news.set()

    def _hear_receipt(self, payload: bytes) -> None:
        try:
            signed: SignedReceipt = decode(SignedReceipt, payload)
        except Malformed:
            self._visit.trouble = self._visit.trouble or Outcome.RECEIPT_WRONG
            return
        newest = self._visit.receipt
        if not is_receipt_of(self._binding, self._signer, signed):
            self._visit.trouble = self._visit.trouble or Outcome.RECEIPT_WRONG
        elif newest is None or signed.receipt.sequence > newest.receipt.sequence:
            self._visit.receipt = signed

    async def all_answered(self) -> None:
        """Wait until every planned chunk came or was refused, or nothing more comes."""
        while self._open and not self._over:
            self._news.clear()
            try:
                async with asyncio.timeout(self._quiet_s):
                    await self._news.wait()
            except TimeoutError:
                self._visit.trouble = self._visit.trouble or Outcome.CHUNKS_MISSING
                return

    async def linger(self) -> None:
        """Stay as readers do; leave early only when all is signed for."""
        try:
            async with asyncio.timeout(self._linger_s):
                while not self._all_signed() and not self._over:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass

    def _all_signed(self) -> bool:
        receipt = self._visit.receipt
        return receipt is not None and receipt.receipt.count == len(self._visit.arrivals)


def _unproven(visit: Visit, task: VisitTask, feed: Feed) -> list[int]:
    """Chunks whose true leaves and paths the evidence needs, and that the visit did not bring."""
    came = {arrival.entry.chunk for arrival in visit.arrivals}
    lacking = {index for index in came if feed.node(2 * index) is None}
    fork, length = task.target.fork, task.target.length
    has_grown = feed.fork == fork and feed.length > length
    if has_grown and any(feed.node(root) is None for root in flat_tree.full_roots(length)):
        # The feed has grown since the draw. On the path of the last chunk of then lie all roots
        # that it had then, from which the evidence leads to the head that the chain knows.
        lacking.add(length - 1)
    return sorted(lacking)


async def _fetch_truth(
    task: VisitTask, feed: Feed, chunks: Sequence[int], patience: Patience
) -> None:
    """Get from other peers, as another reader, what the visit left open.

    The hoster itself is asked last: it cannot prove falsehoods, and may be the only one.
    """
    for endpoint in (*task.elsewhere, task.endpoint):
        reader = KeyPair(token_bytes(32))
        try:
            async with asyncio.timeout(patience.truth_s):
                connection = await _dial(endpoint, reader, patience)
                try:
                    session = await open_session(connection, feed)
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(session.replicate())
                        for chunk in chunks:
                            await session.chunk(chunk)
                        session.close()
                finally:
                    await connection.close()
            return
        except* (HoldfastError, TimeoutError) as group:
            log.debug("could not compare elsewhere", reason=str(group.exceptions[0]))


def _trouble(visit: Visit, error: HoldfastError) -> Outcome:
    """The outcome that an error stands for."""
    cause = error.__cause__
    if visit.connected_us:
        if isinstance(error, Malformed):
            return Outcome.BAD_DATA
        return Outcome.DISCONNECTED if visit.arrivals else Outcome.FEED_REFUSED
    if isinstance(cause, TimeoutError):
        return Outcome.CONNECT_TIMEOUT
    if isinstance(cause, (OSError, ValueError)):
        return Outcome.CONNECT_REFUSED
    return Outcome.WRONG_KEY if Drop.NOT_ADMITTED in str(error) else Outcome.HANDSHAKE_FAILED
