"""An availability report as one file, and its judgement with no network.

A bundle holds a final header, its certificate, records proven under its state root, and the
evidence of every report. Whoever knows the network id needs nothing else: signatures, VRF
proofs, Merkle proofs and receipts are all checked again, and each verdict is drawn anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import Field

from chain.blocks import Header, StateProof
from chain.challenge_records import (
    Availability,
    ChallengeRecord,
    DrawRecord,
    ReportRecord,
    VerdictRecord,
)
from chain.challenges.explaining import Case
from chain.challenges.judging import judge_report
from chain.challenges.verdicts import conclude, hoster_pay_base, visits_to
from chain.genesis import Genesis, Parameters
from chain.records import FeedRecord, PlanRecord, Table
from chain.trust import Checkpoint, TermStep, Trust, verify_state
from feed.tree import MAX_LENGTH
from wire.codec import Message
from wire.errors import Malformed, Rejected
from wire.primitives import Bytes, Hash, PublicKey, blake2b_256

MAX_REPORTS = 1024
"""Reports in one bundle: about a hundred challenges of ten attestors."""

MAX_BUNDLE_STEPS = 10_000
"""Terms from the genesis to the report: with default parameters about eight months."""

MAX_BUNDLE_BYTES = 64 << 20
"""What `holdfast verify` reads: hundreds of reports on large feeds."""

R = TypeVar("R", bound=Message)


class ReportEvidence(Message):
    """The evidence beside one opened report, as it was on the chain."""

    challenge: Hash
    attestor: PublicKey
    evidence: Bytes


class Bundle(Message):
    """A report on one feed as of one final block. Compare the network id with yours."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    genesis: Genesis
    feed: PublicKey
    steps: Annotated[tuple[TermStep, ...], Field(max_length=MAX_BUNDLE_STEPS)]
    """From the genesis to the validators that made the state final."""
    state: StateProof
    evidence: Annotated[tuple[ReportEvidence, ...], Field(max_length=MAX_REPORTS)]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a bundle proves."""

    network: bytes
    header: Header
    feed: FeedRecord
    cases: tuple[Case, ...]
    """Oldest first."""
    listed: int
    """Verdicts that the chain lists for the feed; a bundle may show only the newest."""

    @property
    def verdicts(self) -> tuple[VerdictRecord, ...]:
        """All that it shows."""
        return tuple(verdict for case in self.cases for verdict, _ in case.concluded)

    @property
    def reports(self) -> tuple[ReportRecord, ...]:
        """All reports that lead to them."""
        return tuple(report for case in self.cases for report in case.reports)

    @property
    def samples(self) -> int:
        """Planned chunks in the visits that these verdicts count."""
        return sum(verdict.samples for verdict in self.verdicts)


def check_bundle(bundle: Bundle, trusted: Checkpoint | None = None) -> Checked:
    """What a bundle proves; raises `Malformed` at the first thing that does not hold.

    `trusted` is a place in the chain that the history must pass, where it is one's own.
    """
    records = _Records(bundle, trusted)
    feed = records.need(FeedRecord, Table.FEED, bundle.feed)
    listed = records.need(Availability, Table.AVAILABILITY, bundle.feed).verdicts
    if len(listed) % 2:
        raise Malformed("the list of verdicts names half of one")
    shown: dict[bytes, list[bytes]] = {}
    for challenge, contract in zip(listed[::2], listed[1::2], strict=True):
        if records.has(Table.VERDICT, challenge + contract):
            shown.setdefault(challenge, []).append(contract)
    evidence = {(e.challenge, e.attestor): e.evidence for e in bundle.evidence}
    cases = [
        _check_case(bundle.genesis, records, challenge, contracts, evidence)
        for challenge, contracts in shown.items()
    ]
    return Checked(
        network=bundle.genesis.network,
        header=bundle.state.header,
        feed=feed,
        cases=tuple(cases),
        listed=len(listed) // 2,
    )


def _check_case(
    genesis: Genesis,
    records: "_Records",
    challenge_id: bytes,
    contracts: list[bytes],
    evidence: dict[tuple[bytes, bytes], bytes],
) -> Case:
    challenge = records.need(ChallengeRecord, Table.CHALLENGE, challenge_id)
    draw = records.need(DrawRecord, Table.DRAW, challenge_id)
    _require_sound(genesis.parameters, challenge, draw)
    opened = [
        records.need(ReportRecord, Table.REPORT, challenge_id + member)
        for member in challenge.opened
    ]
    authors = tuple(report.attestor for report in opened)
    if (challenge.challenge, authors) != (challenge_id, challenge.opened):
        raise Malformed("a record is not what its key says")
    for report in opened:
        _judge_again(genesis, challenge, draw, report, evidence)
    concluded = []
    for contract in contracts:
        verdict = records.need(VerdictRecord, Table.VERDICT, challenge_id + contract)
        plan = records.need(PlanRecord, Table.PLAN, verdict.plan)
        _conclude_again(genesis.parameters, challenge, draw, plan, opened, verdict)
        concluded.append((verdict, plan))
    shown = {author: evidence[challenge_id, author] for author in authors}
    return Case(challenge, draw, opened, shown, concluded)


class _Records:
    """The proven records of a bundle by name."""

    def __init__(self, bundle: Bundle, trusted: Checkpoint | None) -> None:
        trust = Trust(bundle.genesis)
        for step in bundle.steps:
            trust.advance(step)
        if trusted is not None:
            _require_history(trust, trusted)
        proven = verify_state(trust, bundle.state)
        self._found = {
            (name.table, name.key): record
            for name, record in zip(bundle.state.records, proven, strict=True)
        }

    def has(self, table: Table, key: bytes) -> bool:
        """Whether the bundle shows a record."""
        return self._found.get((int(table), key)) is not None

    def need(self, kind: type[R], table: Table, key: bytes) -> R:
        """A record that the bundle must show."""
        record = self._found.get((int(table), key))
        if record is None:
            raise Malformed(f"the bundle lacks {table.name.lower()} {key.hex()[:16]}…")
        assert isinstance(record, kind)
        return record


def _require_history(trust: Trust, trusted: Checkpoint) -> None:
    """Raise `Malformed` unless the history goes through a checkpoint."""
    if trusted.network != trust.network:
        raise Malformed("the checkpoint is of another network")
    if trusted.validators.term > trust.term:
        raise Malformed(
            f"it ends in term {trust.term}, before the checkpoint of term {trusted.validators.term}"
        )
    trust.require_passes(trusted)


def _require_sound(parameters: Parameters, challenge: ChallengeRecord, draw: DrawRecord) -> None:
    """Raise `Malformed` for records that no ledger writes.

    Whoever made the file may have made its network too, and all that is judged below takes for
    granted what the rules of a ledger see to.
    """
    known = {attestor.account for attestor in draw.attestors}.intersection(challenge.members)
    contracts = {drawn.contract for drawn in draw.eligible}
    if not known.issuperset(challenge.opened) or len(set(challenge.opened)) < len(challenge.opened):
        raise Malformed("a report was opened by somebody who was not drawn, or twice")
    if len(contracts) < len(draw.eligible):
        raise Malformed("a contract was drawn twice")
    for drawn in draw.eligible:
        if not (0 < drawn.head.length <= MAX_LENGTH):
            raise Malformed(f"a feed of {drawn.head.length} chunks was drawn")
        if not 0 < drawn.samples <= parameters.samples_maximum:
            raise Malformed(f"{drawn.samples} samples are more than the network allows")


def _judge_again(
    genesis: Genesis,
    challenge: ChallengeRecord,
    draw: DrawRecord,
    report: ReportRecord,
    evidence: dict[tuple[bytes, bytes], bytes],
) -> None:
    sidecar = evidence.get((challenge.challenge, report.attestor))
    if sidecar is None or blake2b_256(sidecar) != report.evidence:
        raise Malformed("the bundle lacks the evidence of a report")
    if challenge.coin is None:
        raise Malformed("a challenge with reports has no coin")
    try:
        judged = judge_report(
            genesis.network,
            genesis.parameters,
            challenge,
            draw,
            report.attestor,
            sidecar,
        )
    except Rejected as rejected:
        raise Malformed(f"a report does not hold: {rejected}") from None
    if judged != report.visits:
        raise Malformed("a report's evidence proves something else than the chain says")


def _conclude_again(
    parameters: Parameters,
    challenge: ChallengeRecord,
    draw: DrawRecord,
    plan: PlanRecord,
    opened: Sequence[ReportRecord],
    verdict: VerdictRecord,
) -> None:
    drawn = next((one for one in draw.eligible if one.contract == verdict.contract), None)
    if drawn is None or verdict.contract not in plan.contracts:
        raise Malformed("a verdict is on a contract that was not drawn, or not of its plan")
    visits = visits_to(verdict.contract, opened)
    concluded = conclude(challenge, drawn, plan, visits, verdict.height)
    used = verdict.epoch_used and concluded.verdict != "skipped"
    paid = hoster_pay_base(parameters, plan, concluded) if used else 0
    if concluded.model_copy(update={"epoch_used": used, "paid_base": paid}) != verdict:
        raise Malformed("the reports lead to another verdict than the chain's")
