"""Judge one opened report against the challenge it belongs to. Needs no state but records.

The ledger does this when a report is opened; whoever holds an exported bundle does it again.
"""

from audit.evidence import Target, Task, judge_visit, require_plan_length
from audit.faults import vouched_id
from audit.messages import Evidence, Outcome, VisitEvidence
from audit.plan import (
    Eligible,
    VisitPlan,
    as_bits,
    draw_targets,
    may_overlap,
    plan_input,
    visit_plans,
)
from chain.challenge_records import ChallengeRecord, DrawnContract, DrawRecord, JudgedVisit
from chain.genesis import Parameters
from chain.reasons import Reason
from wire import vrf
from wire.codec import decode
from wire.errors import Malformed, Rejected


def judge_report(
    network: bytes,
    parameters: Parameters,
    challenge: ChallengeRecord,
    draw: DrawRecord,
    attestor: bytes,
    sidecar: bytes,
) -> tuple[JudgedVisit, ...]:
    """What a report proves, visit by visit; raises `Rejected` when it is void.

    `sidecar` has the bytes of its `Evidence`.
    """
    assert challenge.coin is not None
    try:
        evidence: Evidence = decode(Evidence, sidecar)
    except Malformed as error:
        raise Rejected(Reason.EVIDENCE_UNREADABLE, str(error)) from None
    plans = plans_of(network, parameters, challenge, draw, attestor, evidence.plan_proof)
    require_plan_length(len(evidence.visits), plans)
    task = Task(
        challenge.challenge, attestor, challenge.window_opened_ms, challenge.window_closed_ms
    )
    drawn = {one.contract: one for one in drawn_of(parameters, draw, challenge.coin)}
    judged = []
    for plan, reported in zip(plans, evidence.visits, strict=True):
        contract, summary = drawn[plan.contract], reported.summary
        target = target_of(contract)
        visit = judge_visit(network, task, target, plan, summary, reported.evidence)
        unproven = () if summary.outcome is Outcome.SKIPPED else visit.unproven
        asked = b""
        if may_overlap(target.length, contract.samples, len(challenge.members)):
            asked = as_bits(plan.indices, target.length)
        judged.append(
            JudgedVisit(
                contract=plan.contract,
                summary=summary,
                vouched=_vouched_id(reported.evidence),
                asked=asked,
                unproven=unproven,
                excused=summary.served < summary.planned
                and not visit.fault
                and was_away(challenge, contract, plan),
            )
        )
    return tuple(judged)


def _vouched_id(evidence: VisitEvidence | None) -> bytes | None:
    if evidence is None:
        return None
    return vouched_id(evidence.receipt.receipt, evidence.listed)


def was_away(challenge: ChallengeRecord, contract: DrawnContract, plan: VisitPlan) -> bool:
    """Whether a visit may have begun while the hoster was away as it had announced."""
    window_blocks = challenge.window_end - challenge.window_start
    first, last = plan.heights(challenge.window_start, window_blocks)
    return any(
        absence.from_height <= last and first < absence.until_height
        for absence in contract.absences
    )


def plans_of(
    network: bytes,
    parameters: Parameters,
    challenge: ChallengeRecord,
    draw: DrawRecord,
    attestor: bytes,
    proof: bytes,
) -> list[VisitPlan]:
    """What an attestor had to do, from its VRF proof and the opened coin; or `Rejected`."""
    assert challenge.coin is not None
    alpha = plan_input(network, challenge.challenge, challenge.coin)
    vrf_key = next(drawn.vrf_key for drawn in draw.attestors if drawn.account == attestor)
    try:
        vrf.verify(vrf_key, alpha, proof)
    except Malformed as error:
        raise Rejected(Reason.BAD_PLAN_PROOF, str(error)) from None
    targets = targets_of(parameters, draw, challenge.coin)
    return visit_plans(challenge.coin, challenge.members, attestor, proof, targets)


def drawn_of(parameters: Parameters, draw: DrawRecord, coin: bytes) -> list[DrawnContract]:
    """The contracts that the coin sends the committee to, in the order drawn."""
    return draw_targets(coin, draw.eligible, parameters.challenge_targets)


def targets_of(parameters: Parameters, draw: DrawRecord, coin: bytes) -> list[Eligible]:
    """The same as plans are made for them."""
    return [
        Eligible(drawn.contract, drawn.hoster, drawn.owner, drawn.head.length, drawn.samples)
        for drawn in drawn_of(parameters, draw, coin)
    ]


def target_of(drawn: DrawnContract) -> Target:
    """A drawn contract as the judge of evidence reads it."""
    return Target(
        contract=drawn.contract,
        hoster=drawn.hoster,
        receipt_key=drawn.receipt_key,
        feed=drawn.feed,
        fork=drawn.head.fork,
        length=drawn.head.length,
        tree_hash=drawn.head.tree_hash,
    )
