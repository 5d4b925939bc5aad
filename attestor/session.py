"""One visit: join a hoster's swarm as an ordinary reader, look, linger, leave.

The opening, the sync and the requests are those of every reader, because the code is that of
every reader (`feed.replication.session`), and what is asked for hides the planned chunks
(`attestor.disguise`). What differs is kept here: times, and the hoster's receipts.
"""

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from attestor.acting_session import act, manner_of
from attestor.disguise import Habit
from attestor.errand_session import fetch_truth, reaches_any
from attestor.itinerary import LEAST_RATE, VisitTask
from attestor.messages import VisitResult
from attestor.visit import Visit, conclude, skipped
from attestor.witness_session import Accuse, Witness
from audit.entries import fresh_key
from audit.evidence import Task, judge_visit
from audit.messages import Outcome
from audit.receipts import SessionBinding
from feed import flat_tree
from feed.feed import Feed
from feed.replication.session import open_session
from feed.store import FeedStore
from swarm.peers import Drop, Limits
from swarm.tcp import dial
from wire.errors import HoldfastError, Malformed, Rejected, Unavailable
from wire.keys import KeyPair

log = structlog.get_logger()

LAST_THOUGHT_S = 0.5
"""How long the reader that is copied may be busy with the last chunk."""

IN_A_ROW = 4
"""Chunks that may be under way before the one that is waited for."""

OUR_LINE_PERHAPS = frozenset(
    {
        Outcome.CONNECT_REFUSED,
        Outcome.CONNECT_TIMEOUT,
        Outcome.HANDSHAKE_FAILED,
        Outcome.TOO_SLOW,
        Outcome.DISCONNECTED,
    }
)
"""What a dead line of our own looks like as well."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a visit waits for what."""

    quiet_s: float = 8.0
    """With nothing coming for so long, what is still open is not coming: chunks that a hoster does
    not announce are asked for by telling it so, and to that there need not be an answer."""
    linger_s: float | None = None
    """None: as long as the disguise says."""
    truth_s: float = 10.0
    """For fetching from one peer what the visit left open, and for a control fetch."""
    limits: Limits = field(default_factory=Limits)
    """Of the connections."""


def _now_us() -> int:
    return time.monotonic_ns() // 1_000


async def make_visit(
    task: VisitTask,
    key: KeyPair,
    deadline_s: float,
    patience: Patience | None = None,
    accuse: Accuse | None = None,
) -> VisitResult:
    """Visit one hoster, with a key that is used only here; for `deadline_s` and what is fetched
    elsewhere then. `accuse` is told of receipts that cannot both be true.
    """
    patience = patience or Patience()
    visit = Visit(started_us=_now_us())
    with FeedStore(":memory:") as store:
        feed = store.create(task.target.feed)
        try:
            await _look(visit, task, key, feed, deadline_s, patience, accuse)
        except TimeoutError:
            visit.trouble = visit.trouble or Outcome.TOO_SLOW
        except HoldfastError as error:
            visit.trouble = visit.trouble or _trouble(visit, error)
            log.debug("visit cut short", reason=str(error))
        visit.ended_us = _now_us()
        if await _is_our_own_fault(visit, task, patience):
            log.warning("no hoster can be reached: the visit is skipped")
            summary = skipped(task.plan)
            return VisitResult(contract=task.plan.contract, summary=summary, evidence=None)
        unproven = _unproven(visit, task, feed)
        if unproven:
            # The hoster itself is asked last: it cannot prove falsehoods, and may be the only one.
            peers = (*task.elsewhere, task.endpoint)
            await fetch_truth(feed, unproven, peers, patience.truth_s, patience.limits)
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


async def _is_our_own_fault(visit: Visit, task: VisitTask, patience: Patience) -> bool:
    if visit.trouble not in OUR_LINE_PERHAPS or not task.controls:
        return False
    return not await reaches_any(task.controls, patience.truth_s, patience.limits)


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
    visit: Visit,
    task: VisitTask,
    key: KeyPair,
    feed: Feed,
    deadline_s: float,
    patience: Patience,
    accuse: Accuse | None,
) -> None:
    """The visit itself; raises what ended it early."""
    loop = asyncio.get_running_loop()
    linger_s = task.disguise.linger_ms / 1_000 if patience.linger_s is None else patience.linger_s
    linger_s = min(linger_s, deadline_s / 2)
    deadline = loop.time() + deadline_s - linger_s
    async with asyncio.timeout_at(deadline):
        connection = await dial(
            task.endpoint.host,
            task.endpoint.port,
            key,
            expected_remote=task.endpoint.swarm_key,
            limits=patience.limits,
        )
    connection.batches = task.disguise.habit is Habit.CLONE
    try:
        visit.connected_us = _now_us()
        binding = SessionBinding(
            network=task.network,
            hoster=task.target.hoster,
            handshake_hash=connection.handshake_hash,
            peer=key.public,
            feed=task.target.feed,
        )
        fresh = fresh_key(task.challenge, task.coin, task.target.contract, task.attestor)
        signer = task.target.receipt_key
        witness = Witness(visit, task.plan.indices, signer, binding, fresh, accuse)
        disguise = task.disguise
        async with asyncio.timeout_at(deadline):
            session = await open_session(
                connection, feed, witness.on_event, manner=manner_of(disguise)
            )
        quiet_s = patience.quiet_s + IN_A_ROW * task.chunk_bytes / LEAST_RATE
        try:
            async with asyncio.TaskGroup() as tasks:
                replicating = tasks.create_task(session.replicate())
                replicating.add_done_callback(witness.session_over)
                acting = tasks.create_task(act(disguise, session, witness, feed, task.room_bytes))
                stall_s = {Habit.DOWNLOAD: quiet_s / 3, Habit.LOOKUPS: quiet_s}.get(disguise.habit)
                await witness.all_answered(session, quiet_s, deadline, stall_s)
                if not witness.open_chunks:
                    await asyncio.wait([acting], timeout=LAST_THOUGHT_S)
                acting.cancel()
                await witness.linger(linger_s)
                if disguise.habit is Habit.CLONE:
                    session.close()
                else:
                    await connection.close()  # as Node programs do, channels and all
        finally:
            witness.catch_up()
        if witness.open_chunks:
            raise session.failure or Unavailable("the hoster hung up before it had answered")
    finally:
        await connection.close()


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
