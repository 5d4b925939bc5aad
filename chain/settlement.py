"""What a challenge concludes: a verdict for each target, and who is paid.

Three classes are never mixed. *Served*: a quorum of sound reports proves that at least the
agreed share of the chunks they asked for was served. *Fault*: at least one proves that the
hoster signed wrong bytes. *Unproven*: neither, which may be silence, loss or refusal. With too
few reports that count, nothing is concluded (*skipped*) and no epoch of the plan is used up.

Medians, not means: one report cannot move a figure. Integers only, remainders stay in escrow.
"""

from dataclasses import dataclass
from statistics import median_low

from audit.confidence import lower_bound_ppm
from audit.messages import VisitSummary
from chain import assignment, bands, data_requests, lottery, money, penalties
from chain.challenge_records import (
    Availability,
    ChallengeRecord,
    JudgedVisit,
    ReportRecord,
    VerdictClass,
    VerdictRecord,
)
from chain.context import BlockContext
from chain.judging import targets_of
from chain.records import ContractRecord, PlanRecord
from chain.state import Draft

MILLION = 1_000_000
AVAILABILITY_KEPT = 4096
"""Verdicts that a feed's index lists: years of hourly audits of a few hosters."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One counted visit: who made it, what the chain found in it, what it measured."""

    attestor: bytes
    judged: JudgedVisit
    summary: VisitSummary


def quorum(members: int) -> int:
    """How many of `members` must agree: more than two thirds."""
    return members - (members - 1) // 3


def detection_ppm(samples: int) -> int:
    """The chance that `samples` random chunks show a loss of 1 %, rounded down."""
    samples = min(samples, 4096)
    missed: int = -(-(99**samples) * MILLION // 100**samples)
    return MILLION - missed


def settle(draft: Draft, block: BlockContext, challenge_id: bytes, beacon: bytes) -> None:
    """Conclude a challenge whose reports are in, or whose time is over."""
    challenge = draft.challenges.at(challenge_id)
    if challenge.status != "opening":
        return
    if challenge.coin is None:
        # Nobody opened the coin: whom they visited stays unknown, and nobody is paid.
        penalties.coin_unopened(draft, block, challenge)
        draft.challenges.change(challenge_id, status="failed")
        lottery.close_challenge(draft, challenge_id)
        return
    draw = draft.draws.at(challenge_id)
    reports = [draft.reports.at(challenge_id + member) for member in challenge.opened]
    visits = _visits_by_contract(reports)
    targets = targets_of(block.parameters, draw, challenge.coin)
    for target in targets:
        contract = draft.contracts.at(target.contract)
        counted = [v for v in visits.get(target.contract, []) if not v.judged.skipped]
        _conclude(draft, block, challenge, contract, counted, beacon)
    draft.challenges.change(challenge_id, status="settled")
    lottery.close_challenge(draft, challenge_id)


def _visits_by_contract(reports: list[ReportRecord]) -> dict[bytes, list[Visit]]:
    visits: dict[bytes, list[Visit]] = {}
    for record in reports:
        for judged in record.visits:
            visit = Visit(record.attestor, judged, judged.summary)
            visits.setdefault(judged.contract, []).append(visit)
    return visits


def _conclude(
    draft: Draft,
    block: BlockContext,
    challenge: ChallengeRecord,
    contract: ContractRecord,
    visits: list[Visit],
    beacon: bytes,
) -> None:
    plan = draft.plans.at(contract.plan)
    score = score_of(visits)
    verdict = classify(visits, len(challenge.members), plan.sla.availability_ppm)
    record = _describe(block, challenge, contract, plan, visits, verdict, score)
    # A contract can have ended since the draw; what was seen is still worth publishing.
    if contract.status == "active" and verdict != "skipped":
        hoster_base = _pay(draft, block, contract, plan, record, visits)
        record = record.model_copy(update={"paid_base": hoster_base})
        contract = draft.contracts.change(
            contract.contract,
            epochs_left=contract.epochs_left - 1,
            earned_base=contract.earned_base + hoster_base,
        )
        data_requests.warn(draft, block, record, [visit.judged for visit in visits], beacon)
        if verdict == "fault":
            provers = [visit.attestor for visit in visits if visit.judged.fault]
            assignment.slash(draft, block, contract.contract, provers, beacon)
        elif not contract.epochs_left:
            assignment.finish(draft, block, contract.contract)
    _publish(draft, record)


def score_of(visits: list[Visit]) -> int:
    """The median share of chunks proven served, in ppm; 0 of no visits."""
    shares = [visit.judged.served * MILLION // visit.judged.planned for visit in visits]
    return median_low(shares or [0])


def classify(visits: list[Visit], members: int, availability_ppm: int) -> VerdictClass:
    """The class of one hoster in one challenge, from the visits that count.

    A quorum of visits at or above `availability_ppm` has its median there too, so *served*
    never comes with a score below what was agreed.
    """
    if any(visit.judged.fault for visit in visits):
        return "fault"
    if 2 * len(visits) <= members:
        return "skipped"
    proven = sum(_is_available(visit.judged, availability_ppm) for visit in visits)
    return "served" if proven >= quorum(len(visits)) else "unproven"


def _is_available(judged: JudgedVisit, availability_ppm: int) -> bool:
    # Whoever asks for nothing gets something still: silence never proves service.
    return judged.served > 0 and judged.served * MILLION >= availability_ppm * judged.planned


def _describe(
    block: BlockContext,
    challenge: ChallengeRecord,
    contract: ContractRecord,
    plan: PlanRecord,
    visits: list[Visit],
    verdict: VerdictClass,
    score: int,
) -> VerdictRecord:
    measured = [visit.summary for visit in visits if visit.judged.served]
    latency_p95 = median_low([summary.latency_p95_us for summary in measured] or [0])
    throughput = median_low([summary.throughput_bytes_per_s for summary in measured] or [0])
    samples = sum(visit.judged.planned for visit in visits)
    missing = samples - sum(visit.judged.served for visit in visits)
    return VerdictRecord(
        challenge=challenge.challenge,
        epoch=challenge.epoch,
        height=block.height,
        contract=contract.contract,
        plan=contract.plan,
        feed=contract.feed,
        hoster=contract.hoster,
        verdict=verdict,
        score_ppm=score,
        reports=len(visits),
        samples=samples,
        missing=missing,
        latency_p50_us=median_low([summary.latency_p50_us for summary in measured] or [0]),
        latency_p95_us=latency_p95,
        first_byte_us=median_low([summary.first_byte_us for summary in measured] or [0]),
        throughput_bytes_per_s=throughput,
        lower_bound_ppm=lower_bound_ppm(samples - missing, missing),
        detection_ppm=detection_ppm(samples),
        within_sla=verdict == "served"
        and latency_p95 <= plan.sla.latency_us
        and throughput >= plan.sla.throughput_bytes_per_s,
        paid_base=0,
    )


def _speed(plan: PlanRecord, record: VerdictRecord) -> int:
    sla = plan.sla
    return bands.speed_ppm(
        record.latency_p95_us,
        sla.latency_us,
        record.throughput_bytes_per_s,
        sla.throughput_bytes_per_s,
    )


def _pay(
    draft: Draft,
    block: BlockContext,
    contract: ContractRecord,
    plan: PlanRecord,
    record: VerdictRecord,
    visits: list[Visit],
) -> int:
    """Pay for one epoch of one contract out of the plan's escrow; the hoster's part returns.

    Attestors are paid for evidence they bring, not for agreeing; for honest silence they get
    less, so never leaving home does not pay.
    """
    parameters = block.parameters
    price = plan.price_base
    hoster_base = 0
    if record.verdict == "served":
        hoster_base = price * parameters.hoster_share_ppm // MILLION
        for quality, scale in (
            (record.score_ppm, parameters.score_bands),
            (_speed(plan, record), parameters.speed_bands),
        ):
            hoster_base = hoster_base * bands.pay_ppm(scale, quality) // MILLION
    full_base = price * parameters.attestor_share_ppm // MILLION // len(visits)
    silent_base = full_base * parameters.silence_share_ppm // MILLION
    paid = hoster_base
    money.credit(draft, contract.hoster, hoster_base)
    for visit in visits:
        proves = visit.judged.served > 0 or visit.judged.fault
        share = full_base if proves else silent_base if record.verdict == "unproven" else 0
        money.credit(draft, visit.attestor, share)
        report = draft.reports.at(record.challenge + visit.attestor)
        draft.reports.change(record.challenge + visit.attestor, paid_base=report.paid_base + share)
        paid += share
    validator_base = price * parameters.validator_share_ppm // MILLION
    money.credit(draft, block.proposer, validator_base)
    escrow = plan.escrow_base - paid - validator_base
    draft.plans.change(contract.plan, escrow_base=escrow)
    return hoster_base


def _publish(draft: Draft, record: VerdictRecord) -> None:
    draft.verdicts.put(record.challenge + record.contract, record)
    listed = draft.availability.get(record.feed) or Availability()
    verdicts = (*listed.verdicts, record.challenge, record.contract)
    kept = verdicts[-2 * AVAILABILITY_KEPT :]
    draft.availability.put(record.feed, Availability(verdicts=kept))
