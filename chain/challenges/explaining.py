"""Why a challenge ended as it did: who did what, whose fault it was, and each coin that was paid.

From proven records and evidence alone, so that a node, and a file on a machine with no network,
give the same account. Nothing here decides anything: `chain.judging` and `chain.verdicts` do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from audit.messages import Evidence, Outcome
from audit.plan import VisitPlan
from chain.challenge_records import (
    ChallengeRecord,
    DrawRecord,
    JudgedVisit,
    ReportRecord,
    VerdictRecord,
)
from chain.challenges import bands, verdicts
from chain.challenges.judging import plans_of
from chain.genesis import Genesis, Parameters
from chain.hosting_records import DataRequest
from chain.records import PlanRecord
from wire.codec import decode

MILLION = 1_000_000

Conduct = Literal["reported", "missing", "late", "void", "convicted", "silent in the flip"]
Blame = Literal[
    "nobody",
    "nobody, for the hoster was away as announced",
    "hoster, proven",
    "hoster, by the attestor's word",
    "attestor",
]

BLAME: dict[Outcome, Blame] = {
    Outcome.SERVED: "nobody",
    Outcome.FAULT: "hoster, proven",
    Outcome.SKIPPED: "attestor",
}
"""All others are what the attestor says of the hoster, and nothing shows."""

MEANINGS = {
    Outcome.SERVED: "every planned chunk was served and signed for",
    Outcome.FAULT: "the hoster signed for bytes that are not the feed's",
    Outcome.CHUNKS_MISSING: "planned chunks did not come, or were not signed for",
    Outcome.CONNECT_REFUSED: "nobody listened at the hoster's address",
    Outcome.CONNECT_TIMEOUT: "the hoster's address did not answer",
    Outcome.HANDSHAKE_FAILED: "the connection was not what it should be",
    Outcome.WRONG_KEY: "somebody else answered at the hoster's address",
    Outcome.FEED_REFUSED: "the hoster does not serve the feed",
    Outcome.HEAD_UNPROVEN: "the hoster showed no head as long as it had acknowledged",
    Outcome.TOO_SLOW: "the visit's time was over before all chunks had come",
    Outcome.DISCONNECTED: "the hoster broke off",
    Outcome.BAD_DATA: "chunks did not fit the owner's signature, and no receipt shows it",
    Outcome.RECEIPT_MISSING: "chunks came, and no receipt for them",
    Outcome.RECEIPT_WRONG: "the receipt was for something else than what came",
    Outcome.SKIPPED: "the attestor's own side failed: this visit does not count",
}


@dataclass(frozen=True, slots=True)
class MemberStory:
    """One member of the committee: what it did, and all that its reports earned it."""

    account: bytes
    conduct: Conduct
    paid_base: int


@dataclass(frozen=True, slots=True)
class VisitStory:
    """One visit: when it was due, what was asked for, how it ended, and what it was paid."""

    attestor: bytes
    task: VisitPlan | None
    """When it was due and what was to be asked for; None where the evidence is not at hand."""
    judged: JudgedVisit
    blame: Blame
    paid_base: int
    rewarded_base: int
    """Its part of a forfeited collateral."""


@dataclass(frozen=True, slots=True)
class VerdictStory:
    """One target: what was concluded, and where the price of its epoch went."""

    verdict: VerdictRecord
    plan: PlanRecord
    visits: tuple[VisitStory, ...]
    full_base: int
    """What perfect service would have paid the hoster."""
    score_pay_ppm: int
    speed_ppm: int
    speed_pay_ppm: int
    validator_base: int
    kept_base: int
    """Stays in the plan's escrow."""
    slashed_base: int
    warning: DataRequest | None = None
    """What the chain asked for because of it."""


@dataclass(frozen=True, slots=True)
class Story:
    """One challenge."""

    challenge: ChallengeRecord
    members: tuple[MemberStory, ...]
    verdicts: tuple[VerdictStory, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known of one settled challenge."""

    challenge: ChallengeRecord
    draw: DrawRecord
    reports: Sequence[ReportRecord]
    evidence: Mapping[bytes, bytes]
    """Of reports, by attestor, as far as it is at hand."""
    concluded: Sequence[tuple[VerdictRecord, PlanRecord]]
    warnings: Sequence[DataRequest] = ()
    """What the chain asked for because of it, as far as it is at hand."""


def explain(genesis: Genesis, case: Case) -> Story:
    """What happened in a settled challenge."""
    challenge, draw, reports = case.challenge, case.draw, case.reports
    plans = {
        attestor: _plans(genesis, challenge, draw, attestor, shown)
        for attestor, shown in case.evidence.items()
    }
    paid = {report.attestor: report.paid_base for report in reports}
    accounts = (*challenge.members, *challenge.excluded)
    members = tuple(
        MemberStory(account, _conduct(challenge, account), paid.get(account, 0))
        for account in dict.fromkeys(accounts)
    )
    stories = tuple(
        replace(
            _verdict(genesis.parameters, verdict, plan, reports, plans),
            warning=next((w for w in case.warnings if w.contract == verdict.contract), None),
        )
        for verdict, plan in case.concluded
    )
    return Story(challenge, members, stories)


def _plans(
    genesis: Genesis, challenge: ChallengeRecord, draw: DrawRecord, attestor: bytes, shown: bytes
) -> dict[bytes, VisitPlan]:
    evidence: Evidence = decode(Evidence, shown)
    plans = plans_of(
        genesis.network, genesis.parameters, challenge, draw, attestor, evidence.plan_proof
    )
    return {plan.contract: plan for plan in plans}


def _blame(judged: JudgedVisit) -> Blame:
    if judged.excused:
        return "nobody, for the hoster was away as announced"
    return BLAME.get(judged.summary.outcome, "hoster, by the attestor's word")


def _conduct(challenge: ChallengeRecord, account: bytes) -> Conduct:
    if account in challenge.convicted:
        return "convicted"
    if account not in challenge.members:
        return "silent in the flip"
    if account in challenge.opened:
        return "reported"
    if account in challenge.voided:
        return "void"
    committed = account in {known.member for known in challenge.commitments}
    return "late" if committed else "missing"


def _verdict(
    parameters: Parameters,
    verdict: VerdictRecord,
    plan: PlanRecord,
    reports: Sequence[ReportRecord],
    plans: Mapping[bytes, Mapping[bytes, VisitPlan]],
) -> VerdictStory:
    found = [
        (report.attestor, judged)
        for report in reports
        for judged in report.visits
        if judged.contract == verdict.contract
    ]
    slashed = verdict.verdict == "fault" and verdict.epoch_used
    collateral_base = parameters.contract_collateral_base if slashed else 0
    provers = sum(judged.fault for _, judged in found)
    reward_base = collateral_base // 2 // provers if provers else 0

    def visit(attestor: bytes, judged: JudgedVisit) -> VisitStory:
        paid_base = 0
        if verdict.epoch_used and not judged.skipped:
            paid_base = verdicts.attestor_pay_base(parameters, plan, verdict, judged)
        return VisitStory(
            attestor=attestor,
            task=plans.get(attestor, {}).get(verdict.contract),
            judged=judged,
            blame=_blame(judged),
            paid_base=paid_base,
            rewarded_base=reward_base if judged.fault else 0,
        )

    visits = tuple(visit(*one) for one in found)
    validator_base = verdicts.validator_pay_base(parameters, plan) if verdict.epoch_used else 0
    spent_base = verdict.paid_base + validator_base + sum(one.paid_base for one in visits)
    speed_ppm = verdicts.speed_ppm(plan, verdict)
    return VerdictStory(
        verdict=verdict,
        plan=plan,
        visits=visits,
        full_base=plan.price_base * parameters.hoster_share_ppm // MILLION,
        score_pay_ppm=bands.pay_ppm(parameters.score_bands, verdict.score_ppm),
        speed_ppm=speed_ppm,
        speed_pay_ppm=bands.pay_ppm(parameters.speed_bands, speed_ppm),
        validator_base=validator_base,
        kept_base=plan.price_base - spent_base if verdict.epoch_used else 0,
        slashed_base=collateral_base,
    )
