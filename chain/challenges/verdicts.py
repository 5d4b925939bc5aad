"""What the visits to one hoster come to: its verdict, and what each is paid for it.

Three classes are never mixed. *Served*: a quorum of sound reports proves that at least the
agreed share of the chunks they asked for was served. *Fault*: at least one proves that the
hoster signed wrong bytes. *Unproven*: neither, which may be silence, loss or refusal. With too
few reports that count, nothing is concluded (*skipped*) and no epoch of the plan is used up.

Medians, not means: one report cannot move a figure. Integers only, remainders stay in escrow.
The ledger does this when a challenge settles; whoever holds an exported bundle does it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

from audit import confidence
from chain.challenge_records import (
    ChallengeRecord,
    DrawnContract,
    JudgedVisit,
    ReportRecord,
    VerdictClass,
    VerdictRecord,
)
from chain.challenges import bands
from chain.genesis import Parameters
from chain.records import PlanRecord

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Visit:
    """One counted visit: who made it, and what the chain found in it."""

    attestor: bytes
    judged: JudgedVisit


def visits_to(contract: bytes, reports: Sequence[ReportRecord]) -> list[Visit]:
    """The visits to one target that count."""
    return [visit for visit in expected_of(contract, reports) if not visit.judged.skipped]


def expected_of(contract: bytes, reports: Sequence[ReportRecord]) -> list[Visit]:
    """Those and the skipped ones: all for which the hoster had not announced to be away."""
    return [
        Visit(record.attestor, judged)
        for record in reports
        for judged in record.visits
        if judged.contract == contract and not judged.excused
    ]


def quorum(members: int) -> int:
    """How many of `members` must agree: more than two thirds."""
    return members - (members - 1) // 3


def score_of(visits: Sequence[Visit]) -> int:
    """The median share of chunks proven served, in ppm; 0 of no visits."""
    shares = [visit.judged.served * MILLION // visit.judged.planned for visit in visits]
    return median_low(shares or [0])


def classify(visits: Sequence[Visit], members: int, availability_ppm: int) -> VerdictClass:
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


def distinct_chunks(visits: Sequence[Visit]) -> int:
    """How many different chunks were looked at: planned in a visit that proves something.

    Silence has shown nothing, though it may have been asked.
    """
    proving = [visit.judged for visit in visits if proves(visit.judged)]
    overlapping = 0
    for judged in proving:
        overlapping |= int.from_bytes(judged.asked, "little")
    return overlapping.bit_count() + sum(one.planned for one in proving if not one.asked)


def proves(judged: JudgedVisit) -> bool:
    """Whether a visit shows anything at all."""
    return judged.served > 0 or judged.fault


def conclude(
    challenge: ChallengeRecord,
    drawn: DrawnContract,
    plan: PlanRecord,
    visits: Sequence[Visit],
    height: int,
) -> VerdictRecord:
    """The verdict on a target from the visits that count, as if nobody were paid."""
    measured = [visit.judged.summary for visit in visits if visit.judged.served]
    samples = sum(visit.judged.planned for visit in visits)
    missing = samples - sum(visit.judged.served for visit in visits)
    distinct = distinct_chunks(visits)
    record = VerdictRecord(
        challenge=challenge.challenge,
        epoch=challenge.epoch,
        height=height,
        contract=drawn.contract,
        plan=plan.plan,
        feed=drawn.feed,
        hoster=drawn.hoster,
        verdict=classify(visits, len(challenge.members), plan.sla.availability_ppm),
        score_ppm=score_of(visits),
        reports=len(visits),
        samples=samples,
        missing=missing,
        distinct=distinct,
        latency_p50_us=median_low([summary.latency_p50_us for summary in measured] or [0]),
        latency_p95_us=median_low([summary.latency_p95_us for summary in measured] or [0]),
        first_byte_us=median_low([summary.first_byte_us for summary in measured] or [0]),
        throughput_bytes_per_s=median_low([s.throughput_bytes_per_s for s in measured] or [0]),
        lower_bound_ppm=confidence.lower_bound_ppm(samples - missing, missing),
        detection_ppm=confidence.detection_ppm(drawn.head.length, distinct),
        within_sla=False,
        epoch_used=False,
        paid_base=0,
    )
    as_agreed = record.verdict == "served" and speed_ppm(plan, record) == MILLION
    return record.model_copy(update={"within_sla": as_agreed})


def speed_ppm(plan: PlanRecord, verdict: VerdictRecord) -> int:
    """How much of the speed that a plan agreed on came."""
    return bands.speed_ppm(
        verdict.latency_p95_us,
        plan.sla.latency_us,
        verdict.throughput_bytes_per_s,
        plan.sla.throughput_bytes_per_s,
    )


def hoster_pay_base(parameters: Parameters, plan: PlanRecord, verdict: VerdictRecord) -> int:
    """What an epoch with this verdict pays the hoster."""
    if verdict.verdict != "served":
        return 0
    pay = plan.price_base * parameters.hoster_share_ppm // MILLION
    pay = pay * bands.pay_ppm(parameters.score_bands, verdict.score_ppm) // MILLION
    return pay * bands.pay_ppm(parameters.speed_bands, speed_ppm(plan, verdict)) // MILLION


def attestor_pay_base(
    parameters: Parameters, plan: PlanRecord, verdict: VerdictRecord, judged: JudgedVisit
) -> int:
    """What one of its counted visits pays who made it.

    Evidence is paid for, not agreement; honest silence less, so never leaving home does not pay.
    """
    full_base = plan.price_base * parameters.attestor_share_ppm // MILLION // verdict.reports
    if proves(judged):
        return full_base
    unproven = verdict.verdict == "unproven"
    return full_base * parameters.silence_share_ppm // MILLION if unproven else 0


def validator_pay_base(parameters: Parameters, plan: PlanRecord) -> int:
    """What an epoch that is concluded pays the writer of the block."""
    return plan.price_base * parameters.validator_share_ppm // MILLION
