"""One round after another: drawn, planned, visited, reported and settled by the chain's rules."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from audit.entries import LISTED_BYTES, UNCLE_BYTES
from audit.messages import Evidence, ReportedVisit, VisitSummary, report_commitment
from audit.plan import Eligible, VisitPlan, plan_input, visit_plans
from audit.suspicion import Timed
from chain import money, penalties
from chain.bodies.challenges import CommitReport, OpenReport
from chain.bodies.data import AnswerData
from chain.bodies.hosting import Acknowledge
from chain.challenge_records import JudgedVisit, ReportRecord, VerdictRecord
from chain.challenges import data_requests
from chain.challenges.judging import targets_of
from chain.context import BlockContext
from chain.fees import least_fee_base
from chain.genesis import Parameters
from chain.hosting_records import DataRequest
from chain.messages import Body, Transaction
from chain.records import ContractRecord
from chain.rules import acknowledge, commit_report, digest_fault, open_coin, open_report, seal_coin
from chain.state import Draft
from coinflip.opening import Coin
from holdfast.simulation.audits.attestors import Account, Errand
from holdfast.simulation.audits.founding import (
    PARAMETERS,
    Cast,
    found,
    genesis_of,
    key_pair,
    point,
)
from holdfast.simulation.audits.hosters import (
    CHUNK_BYTES,
    MILLION,
    Found,
    Line,
    Way,
    answer,
    can_show,
)
from holdfast.simulation.audits.ledger import Ledger, Step
from wire import vrf
from wire.codec import encode
from wire.errors import Rejected
from wire.primitives import blake2b_256, tagged_hash
from wire.prng import Stream

VISIT_BYTES = 700
"""Of the evidence of one visit, beside its chunks: summary, receipt, keys and signatures."""

UNREAD = bytes(48)
"""In place of what only a verifier reads of a VRF proof."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything there is."""

    rounds: int
    chunks: int = 4_096
    samples: int = 30


@dataclass(slots=True)
class Tally:
    """What became of an attestor's duties."""

    due: int = 0
    """Rounds that it was drawn for."""
    away: int = 0
    withheld: int = 0
    void: int = 0
    opened: int = 0
    convicted: int = 0
    """Reports that it was convicted of having made up."""


@dataclass(frozen=True, slots=True)
class Task:
    """One member's report in one challenge."""

    challenge: bytes
    member: bytes
    length: int
    """Chunks of each feed."""
    plan_proof: bytes
    plans: Sequence[VisitPlan]
    account: Account

    @property
    def visits(self) -> tuple[JudgedVisit, ...]:
        """What the chain finds in a report whose evidence is in order."""
        return tuple(
            JudgedVisit(contract=plan.contract, summary=summary(visit), unproven=visit.unproven[:4])
            for plan, visit in zip(self.plans, self.account.visits, strict=True)
        )

    @property
    def sidecar(self) -> bytes:
        """The report as it travels when no visit has anything to show."""
        return encode(
            Evidence(
                salt=tagged_hash("simulate/salt", self.challenge, self.member),
                plan_proof=self.plan_proof,
                visits=tuple(
                    ReportedVisit(summary=summary(visit), evidence=None)
                    for visit in self.account.visits
                ),
                peers=(),
            )
        )

    @property
    def evidence_bytes(self) -> int:
        """About as many as the evidence takes: fees are paid for them."""
        if self.account.forged:
            return len(self.sidecar)
        shown = [(visit.served, self.length) for visit in self.account.visits if visit.served]
        return sum(
            VISIT_BYTES + served * (LISTED_BYTES + UNCLE_BYTES * (length // served).bit_length())
            for served, length in shown
        )

    @property
    def evidence(self) -> bytes:
        """What the report commits to."""
        if self.account.forged:
            return blake2b_256(self.sidecar)
        return tagged_hash("simulate/evidence", self.challenge, self.member)


def summary(visit: Found) -> VisitSummary:
    """What a report says of a visit."""
    return VisitSummary(
        outcome=visit.outcome,
        planned=visit.planned,
        served=visit.served,
        bytes=visit.bytes,
        connect_us=visit.connect_us,
        first_byte_us=visit.latency_us,
        latency_p50_us=visit.latency_us,
        latency_p95_us=visit.latency_us,
        throughput_bytes_per_s=visit.throughput_bytes_per_s,
    )


@dataclass(slots=True)
class Arena:
    """A network under attack, or at peace."""

    seed: bytes
    cast: Cast
    size: Size
    line: Line = field(default_factory=Line)
    checked_ppm: int = 100_000
    """How many of the opened visits somebody checks that holds the feed as well."""
    parameters: Parameters = PARAMETERS
    rounds: int = 0
    verdicts: list[VerdictRecord] = field(default_factory=list)
    """All that were written, in the order of rounds."""
    flaws: Counter[str] = field(default_factory=Counter)
    """Why reports were void."""
    ledger: Ledger = field(init=False)
    tallies: dict[bytes, Tally] = field(init=False)
    _seeds: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        genesis = genesis_of(self.cast, self.size.rounds, self.seed, self.parameters)
        self.ledger = Ledger(genesis, self.seed)
        self.tallies = {member: Tally() for member in self.cast.attestors}
        self.ledger.write(
            lambda draft: found(
                draft,
                self.cast,
                parameters=self.parameters,
                epochs=self.size.rounds,
                chunks=self.size.chunks,
                samples=self.size.samples,
                seed=self.seed,
            )
        )

    def play(self) -> None:
        """One round, from the line-up to the verdicts."""
        ledger = self.ledger
        ledger.block(*self._tend())
        while not ledger.draft.meta.open_challenges:
            ledger.block()
        challenges = ledger.draft.meta.open_challenges
        # Names of challenges follow from the network's parameters: chance shall not.
        for place, challenge in enumerate(challenges):
            number = self.rounds << 16 | place
            self._seeds[challenge] = tagged_hash(
                "simulate/challenge", self.seed, number.to_bytes(8, "big")
            )
        ledger.block(*(self._seal(challenge) for challenge in challenges))
        tasks = [task for challenge in challenges for task in self._attend(challenge)]
        ledger.block(*(self._commit(task) for task in tasks))
        while ledger.draft.challenges.at(challenges[0]).status == "visiting":
            ledger.block()
        ledger.block(*(self._show(challenge) for challenge in challenges))
        ledger.block(*(self._open(task) for task in tasks if self._opens(task)))
        while ledger.draft.meta.open_challenges:
            ledger.block()
        self._collect(challenges)
        ledger.block(*(step for task in tasks for step in self._check(task)))
        self.rounds += 1

    def _tend(self) -> list[Step]:
        """What hosters do: acknowledge what they are assigned, and show what they are asked for.

        Whoever does not hold a feed says that it does all the same, and can show nothing.
        What it could not show once, it never can.
        """
        steps = []
        for record in self.ledger.state.take_written():
            if isinstance(record, ContractRecord) and record.status == "assigned":
                steps.append(self._acknowledge(record))
            elif isinstance(record, DataRequest) and record.status == "open":
                way = self.cast.hosters[record.hoster].way
                if can_show(way, record.contract, record.head.length, record.left):
                    steps.append(self._answer(record))
        return steps

    def _answer(self, request: DataRequest) -> Step:
        body = AnswerData(request=request.request, evidence=request.request)
        size = len(request.left) * CHUNK_BYTES

        def step(draft: Draft, block: BlockContext) -> None:
            self._charge(draft, request.hoster, body, size)
            data_requests.show(draft, block, request, request.left)

        return step

    def _acknowledge(self, contract: ContractRecord) -> Step:
        head = self.ledger.draft.feeds.at(contract.feed).head
        body = Acknowledge(
            contract=contract.contract,
            fork=head.fork,
            length=head.length,
            tree_hash=head.tree_hash,
        )
        return lambda draft, block: acknowledge.apply(draft, block, contract.hoster, body)

    def coin(self, challenge: bytes) -> bytes:
        """The coin of a challenge, which its members know once it is sealed."""
        return tagged_hash("simulate/coin", self._seeds[challenge])

    def _seal(self, challenge: bytes) -> Step:
        digest = tagged_hash("simulate/digest", self.coin(challenge))
        return lambda draft, block: seal_coin.begin_window(draft, block, challenge, digest)

    def _show(self, challenge: bytes) -> Step:
        coin = Coin(self.coin(challenge), ())
        return lambda draft, block: open_coin.show(draft, block, challenge, coin, ())

    def _attend(self, challenge: bytes) -> Iterator[Task]:
        draft = self.ledger.draft
        record, draw = draft.challenges.at(challenge), draft.draws.at(challenge)
        coin = self.coin(challenge)
        targets = targets_of(self.parameters, draw, coin)
        by_id = {target.contract: target for target in targets}
        for member in record.members:
            seat, tally = self.cast.attestors[member], self.tallies[member]
            chance = Stream(tagged_hash("simulate/round", self._seeds[challenge], member), b"")
            proof = self._prove(challenge, coin, member)
            plans = visit_plans(coin, record.members, member, proof, targets)
            errands = [self._errand(plan, by_id[plan.contract], chance) for plan in plans]
            tally.due += 1
            account = seat.ways.attend(errands, chance)
            if account is None:
                tally.away += 1
            else:
                yield Task(challenge, member, self.size.chunks, proof, plans, account)

    def _prove(self, challenge: bytes, coin: bytes, member: bytes) -> bytes:
        """The proof that a plan follows from; a good one only where the chain's judge reads it."""
        if not self.cast.attestors[member].ways.forges:
            return point(self._seeds[challenge], member) + UNREAD
        alpha = plan_input(self.ledger.network, challenge, coin)
        return vrf.prove(key_pair(member), alpha)

    def _errand(self, plan: VisitPlan, target: Eligible, chance: Stream) -> Errand:
        hoster = self.cast.hosters[target.hoster]

        def look() -> Found:
            return answer(hoster.way, self.line, plan.contract, target.length, plan.indices, chance)

        return Errand(plan, hoster.group, look)

    def _commit(self, task: Task) -> Step:
        """Bind a member to its report; a copycat repeats what the first of the others sent."""

        def step(draft: Draft, _: BlockContext) -> None:
            known = draft.challenges.at(task.challenge).commitments
            commitment = report_commitment(
                self.ledger.network, task.member, task.challenge, task.evidence
            )
            if task.account.forged == "copied" and known:
                commitment = known[0].commitment
            body = CommitReport(challenge=task.challenge, commitment=commitment)
            self._charge(draft, task.member, body, 0)
            commit_report.apply(draft, task.member, body)

        return step

    def _check(self, task: Task) -> Iterator[Step]:
        """Whoever else has a feed looks at some digests of a report, and claims what is false."""
        draft = self.ledger.draft
        if draft.reports.get(task.challenge + task.member) is None:
            return
        seed = tagged_hash("simulate/check", self._seeds[task.challenge], task.member)
        chance = Stream(seed, b"")
        for plan, visit in zip(task.plans, task.account.visits, strict=True):
            looks = chance.below(MILLION) < self.checked_ppm
            if looks and visit.made_up and (checker := self._other_holder(plan.contract)):
                yield self._claim(task, draft.contracts.at(plan.contract), checker)

    def _other_holder(self, contract: bytes) -> bytes | None:
        """Who has all chunks of a contract's feed, and no reason to keep quiet."""
        draft = self.ledger.draft
        plan = draft.plans.at(draft.contracts.at(contract).plan)
        for other in map(draft.contracts.at, plan.contracts):
            if other.status == "active" and self.cast.hosters[other.hoster].way == Way():
                return other.hoster
        return None

    def _claim(self, task: Task, contract: ContractRecord, checker: bytes) -> Step:
        def step(draft: Draft, block: BlockContext) -> None:
            report = draft.reports.at(task.challenge + task.member)
            if digest_fault.convict_attestor(draft, block, report, checker):
                self.tallies[task.member].convicted += 1
            penalties.receipts_false(draft, block, contract.hoster, contract.feed, checker)

        return step

    def _charge(self, draft: Draft, member: bytes, body: Body, sidecar_bytes: int) -> None:
        """Take the fee that such a transaction costs at least."""
        transaction = Transaction(
            network=self.ledger.network,
            sender=member,
            nonce=self.rounds,
            fee_base=0,
            valid_until=self.ledger.height,
            body=body,
        )
        fee_base = least_fee_base(self.parameters, transaction, bytes(sidecar_bytes))
        money.debit(draft, member, fee_base)
        money.credit(draft, self.ledger.genesis.validators[0].account, fee_base)

    def _opens(self, task: Task) -> bool:
        self.tallies[task.member].withheld += not task.account.opens
        return task.account.opens

    def _open(self, task: Task) -> Step:
        """Open a report; one that cannot be sound goes before the chain's own judge."""

        def step(draft: Draft, block: BlockContext) -> None:
            tally = self.tallies[task.member]
            body = OpenReport(challenge=task.challenge, evidence=task.evidence)
            self._charge(draft, task.member, body, task.evidence_bytes)
            above = draft.draft()
            try:
                if task.account.forged:
                    open_report.apply(above, block, task.member, body, task.sidecar)
                else:
                    open_report.require_turn(above, block, task.member, body)
                    open_report.keep(above, block, task.member, body, task.visits)
            except Rejected as rejected:
                if isinstance(rejected, open_report.Void):
                    open_report.leave_trace(draft, block, task.member, body)
                tally.void += 1
                self.flaws[rejected.reason.value] += 1
                return
            draft.merge(above)
            tally.opened += 1

        return step

    def _collect(self, challenges: Sequence[bytes]) -> None:
        draft = self.ledger.draft
        for challenge in challenges:
            coin = self.coin(challenge)
            for target in targets_of(self.parameters, draft.draws.at(challenge), coin):
                verdict = draft.verdicts.get(challenge + target.contract)
                if verdict is not None:
                    self.verdicts.append(verdict)

    def timed(self) -> Iterator[Timed]:
        """All visits that brought chunks, as opened reports tell of them."""
        draft = self.ledger.draft
        for record in self.ledger.state.records.values():
            if isinstance(record, ReportRecord):
                for visit in record.visits:
                    if visit.served:
                        hoster = draft.contracts.at(visit.contract).hoster
                        times = visit.summary.connect_us, visit.summary.first_byte_us
                        yield Timed(record.challenge, record.attestor, hoster, *times)

    def requests(self) -> list[DataRequest]:
        """What hosters were asked on the chain, and what became of it."""
        records = self.ledger.state.records.values()
        return [record for record in records if isinstance(record, DataRequest)]
