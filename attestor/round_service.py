"""One member's part in one challenge.

    flipping   play the flip with the other members; report whom it found silent
    visiting   derive the plan from the coin, make each visit at its time, commit the report
    opening    open the coin if nobody has, then open the report

Each step is saved before it is shown, and the chain says which is due: killed at any line,
the daemon reads the challenge again and goes on, with the same words and the same report.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from attestor.court_service import Court
from attestor.flip_service import FlipTable
from attestor.identity import Identity
from attestor.itinerary import VISIT_BYTES, VisitTask, tasks_of
from attestor.messages import ReportKept
from attestor.schedule import elapsed_ms, elsewhere_ms, join_at_ms, longest_visit_ms, report_height
from attestor.session import Patience, make_visit
from attestor.store import AttestorStore
from attestor.visit import skipped
from audit.messages import (
    Evidence,
    PeerMetric,
    ReportedVisit,
    report_commitment,
)
from audit.plan import plan_input, visit_plans
from chain.bodies.challenges import CommitReport, OpenCoin, OpenReport
from chain.bodies.faults import ReceiptFault
from chain.challenge_records import ChallengeRecord, DrawRecord
from chain.challenges.judging import targets_of
from chain.client.claim_client import Claimant
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.messages import MAX_SIDECAR_BYTES, Body
from chain.records import FeedRecord, Registration, Table
from coinflip.messages import CoinOpening
from swarm.service import Swarm
from wire import vrf, zbase32
from wire.codec import decode, encode
from wire.errors import Rejected
from wire.primitives import blake2b_256

log = structlog.get_logger()

OPEN_TURN_BLOCKS = 2
"""Members open the coin in turns, so that one transaction suffices."""


@dataclass(frozen=True, slots=True)
class Itinerary:
    """The visits that the coin and our VRF ask for, and what each needs."""

    plan_proof: bytes
    tasks: tuple[VisitTask, ...]


class Round:
    """One challenge, from the draw to its end. Its tasks end with `play`."""

    def __init__(
        self,
        challenge: bytes,
        chain: ChainClient,
        wallet: Wallet,
        store: AttestorStore,
        swarm: Swarm,
        identity: Identity,
        claimant: Claimant,
        room_bytes: int = VISIT_BYTES,
    ) -> None:
        self._id = challenge
        self._chain = chain
        self._wallet = wallet
        self._store = store
        self._swarm = swarm
        self._identity = identity
        self._claimant = claimant
        self._room_bytes = room_bytes
        self._parameters = chain.genesis.parameters
        self._peers: tuple[PeerMetric, ...] = ()
        self._log = log.bind(challenge=challenge.hex()[:8])

    async def play(self) -> None:
        """Do what each phase asks until the challenge is over."""
        async with asyncio.TaskGroup() as tasks:
            court = self._court = Court(
                self._id, self._chain, self._wallet, self._store, self._identity, tasks
            )
            court.sit()
            flips = FlipTable(
                self._chain, self._wallet, self._store, self._swarm, self._identity, court, tasks
            )
            try:
                while (record := await self._record()).status not in ("settled", "failed"):
                    if self._wallet.account not in record.members:
                        self._log.info("excluded from the round")
                        break
                    if record.status == "flipping":
                        await self._flip(record, flips)
                    elif record.status == "visiting":
                        await self._visit(record, flips)
                    else:
                        await self._open(record)
                self._log.info("round over", status=record.status)
            finally:
                flips.leave()
        self._store.forget(self._id)

    async def _record(self) -> ChallengeRecord:
        return await self._chain.need(ChallengeRecord, Table.CHALLENGE, self._id)

    async def _news(self, record: ChallengeRecord) -> ChallengeRecord:
        """Wait until the challenge is in another phase or attempt."""
        return await self._chain.wait(
            ChallengeRecord,
            Table.CHALLENGE,
            self._id,
            lambda now: (now.status, now.attempt) != (record.status, record.attempt),
        )

    async def _flip(self, record: ChallengeRecord, flips: FlipTable) -> None:
        """Play the present attempt; a coin that landed is kept."""
        if not self._is_as_drawn(record):
            await self._news(record)
            return
        attempt = await flips.play(record)
        self._peers = attempt.peers or self._peers
        if attempt.coin is not None:
            self._store.keep_coin(self._id, attempt.coin)
            self._log.info("coin landed", recovered=attempt.recovered)
            return
        self._log.info("flip failed")
        await self._news(record)

    def _is_as_drawn(self, record: ChallengeRecord) -> bool:
        """Whether our keys are those we were drawn with: no others speak in the flip, or prove
        what our plan was."""
        return self._identity.account.public in record.voices(record.members)

    async def _visit(self, record: ChallengeRecord, flips: FlipTable) -> None:
        """Make the visits and commit the report while the window is open."""
        if self._store.coin(self._id) is None:
            # Restarted between the seal and the coin: the others still tell it.
            await self._while_it_lasts(record, self._flip(record, flips))
        coin = self._store.coin(self._id)
        if coin is not None and self._store.report(self._id) is None and self._is_as_drawn(record):
            itinerary = await self._itinerary(record, coin.coin)
            await self._make_visits(record, itinerary)
            self._store.keep_report(self._id, self._write_report(itinerary))
        kept = self._store.report(self._id)
        if kept is not None and not self._has_committed(record):
            network, hidden = self._chain.genesis.network, blake2b_256(kept.evidence)
            commitment = report_commitment(network, self._wallet.account, self._id, hidden)
            body = CommitReport(challenge=self._id, commitment=commitment)
            if await self._try(body, by_height=record.window_end):
                self._log.info("report committed")
        await self._news(record)

    def _has_committed(self, record: ChallengeRecord) -> bool:
        return any(known.member == self._wallet.account for known in record.commitments)

    async def _try(self, body: Body, sidecar: bytes = b"", *, by_height: int) -> bool:
        """Send a transaction that others or a deadline may have made pointless."""
        try:
            await self._wallet.send(body, sidecar, by_height=by_height)
        except Rejected as rejected:
            self._log.info("not taken by the chain", kind=body.kind, reason=str(rejected))
            return False
        return True

    async def _itinerary(self, record: ChallengeRecord, coin: bytes) -> Itinerary:
        """Our plan. All eligible hosters and feeds are read, so the node learns nothing."""
        network = self._chain.genesis.network
        draw = await self._chain.need(DrawRecord, Table.DRAW, self._id)
        hosters = sorted({drawn.hoster for drawn in draw.eligible})
        feeds = sorted({drawn.feed for drawn in draw.eligible})
        registrations = dict(
            zip(
                hosters,
                await self._chain.records(Registration, Table.REGISTRATION, hosters),
                strict=True,
            )
        )
        records = dict(
            zip(feeds, await self._chain.records(FeedRecord, Table.FEED, feeds), strict=True)
        )
        proof = vrf.prove(self._identity.vrf, plan_input(network, self._id, coin))
        targets = targets_of(self._parameters, draw, coin)
        plans = visit_plans(coin, record.members, self._wallet.account, proof, targets)
        tasks = tasks_of(
            network,
            record,
            draw,
            self._wallet.account,
            coin,
            proof,
            plans,
            registrations,
            records,
            self._room_bytes,
        )
        return Itinerary(proof, tasks)

    async def _make_visits(self, record: ChallengeRecord, itinerary: Itinerary) -> None:
        """Each visit at its own time; what is not done when the report is due is left out."""
        done = self._store.visits(self._id)
        deadline = report_height(record.window_start, self._parameters.window_blocks)
        async with asyncio.TaskGroup() as visits:
            running = [
                visits.create_task(self._visit_at_its_time(record, task))
                for task in itinerary.tasks
                if task.plan.contract not in done
            ]
            cutting = visits.create_task(self._cut_off(deadline, running))
            if running:
                await asyncio.wait(running)
            cutting.cancel()

    async def _cut_off(self, height: int, running: Sequence[asyncio.Task[None]]) -> None:
        await self._chain.reach(height)
        for task in running:
            task.cancel()

    async def _visit_at_its_time(self, record: ChallengeRecord, task: VisitTask) -> None:
        blocks, interval_ms = self._parameters.window_blocks, self._parameters.block_interval_ms
        longest_ms = longest_visit_ms(task.allowance_ms, blocks, interval_ms)
        join_ms = join_at_ms(task.plan, blocks, interval_ms, longest_ms)
        passed_ms = elapsed_ms(self._chain.height, record.window_start, interval_ms)
        await asyncio.sleep(max(join_ms - passed_ms, 0) / 1_000)
        key = self._identity.visit_key(self._id, task.plan.contract)
        patience = Patience(truth_s=elsewhere_ms(longest_ms) / 1_000)
        result = await make_visit(task, key, longest_ms / 1_000, patience, self._accuse)
        self._store.keep_visit(self._id, result)
        self._log.info(
            "visited",
            outcome=result.summary.outcome.name.lower(),
            served=result.summary.served,
            planned=result.summary.planned,
            bytes=result.summary.bytes,
            habit=task.disguise.habit.value,
        )

    def _accuse(self, fault: ReceiptFault) -> None:
        """A hoster has signed what cannot all be true in one of the visits."""
        self._log.warning(
            "receipts contradict each other", hoster=zbase32.encode(fault.first.receipt.hoster)
        )
        self._claimant.accuse(fault, after=self._id)

    def _write_report(self, itinerary: Itinerary) -> ReportKept:
        done = self._store.visits(self._id)
        results = [done.get(task.plan.contract) for task in itinerary.tasks]
        visits = [
            ReportedVisit(summary=result.summary, evidence=result.evidence)
            if result
            else ReportedVisit(summary=skipped(task.plan), evidence=None)
            for result, task in zip(results, itinerary.tasks, strict=True)
        ]
        while len(evidence := encode(self._evidence(itinerary, visits))) > MAX_SIDECAR_BYTES:
            # It does not fit: leave out the largest visit, and say that it is nobody's fault.
            sizes = [len(encode(visit)) for visit in visits]
            largest = sizes.index(max(sizes))
            summary = skipped(itinerary.tasks[largest].plan)
            visits[largest] = ReportedVisit(summary=summary, evidence=None)
        return ReportKept(evidence=evidence)

    def _evidence(self, itinerary: Itinerary, visits: Sequence[ReportedVisit]) -> Evidence:
        return Evidence(
            salt=self._identity.report_salt(self._id),
            plan_proof=itinerary.plan_proof,
            visits=tuple(visits),
            peers=self._peers,
        )

    async def _open(self, record: ChallengeRecord) -> None:
        """Show the coin, unless somebody was faster, then the report."""
        if record.coin is None:
            record = await self._open_coin(record)
        kept = self._store.report(self._id)
        due = self._has_committed(record) and self._wallet.account not in record.opened
        if kept is not None and due and record.status == "opening":
            body = OpenReport(challenge=self._id, evidence=blake2b_256(kept.evidence))
            if await self._try(body, kept.evidence, by_height=record.opening_deadline):
                self._log.info("report opened")
        if record.status == "opening":
            await self._news(record)

    async def _open_coin(self, record: ChallengeRecord) -> ChallengeRecord:
        """Wait for the coin to be opened, by ourselves when our turn comes."""

        def opened(now: ChallengeRecord) -> bool:
            return now.coin is not None or now.status != "opening"

        watched = (ChallengeRecord, Table.CHALLENGE, self._id, opened)
        turn = OPEN_TURN_BLOCKS * record.members.index(self._wallet.account)
        record = await self._chain.wait(*watched, by_height=record.window_end + turn)
        coin = self._store.coin(self._id)
        if coin is not None and not opened(record):
            opening: CoinOpening = decode(CoinOpening, coin.opening)
            reveals = self._court.proofs(record)
            body = OpenCoin(challenge=self._id, opening=opening, reveals=reveals)
            await self._try(body, by_height=record.opening_deadline)
        return await self._chain.wait(*watched)

    async def _while_it_lasts(
        self, record: ChallengeRecord, work: Coroutine[Any, Any, None]
    ) -> None:
        """Do `work`, but no longer than the challenge stays in its phase."""

        async def cut() -> None:
            await self._news(record)
            working.cancel()

        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(work)
            cutting = tasks.create_task(cut())
            working.add_done_callback(lambda _: cutting.cancel())
