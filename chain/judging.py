"""Judge one opened report against the challenge it belongs to. Needs no state but records.

The ledger does this when a report is opened; whoever holds an exported bundle does it again.
"""

from audit.evidence import Target, Task, judge_visit, require_plan_length
from audit.messages import Evidence, Outcome, Report
from audit.plan import Eligible, VisitPlan, draw_targets, plan_input, visit_plans
from chain.challenge_records import ChallengeRecord, DrawnContract, DrawRecord, JudgedVisit
from chain.genesis import Parameters
from chain.reasons import Reason
from wire import vrf
from wire.codec import decode
from wire.errors import Malformed, Rejected
from wire.primitives import blake2b_256


def judge_report(
    network: bytes,
    parameters: Parameters,
    challenge: ChallengeRecord,
    draw: DrawRecord,
    attestor: bytes,
    report: Report,
    sidecar: bytes,
) -> tuple[JudgedVisit, ...]:
    """What the report's evidence proves, visit by visit; raises `Rejected` when it is void."""
    if blake2b_256(sidecar) != report.evidence:
        raise Rejected(Reason.EVIDENCE_MISMATCH, "the sidecar is not the evidence named")
    plans = _plans(network, parameters, challenge, draw, attestor, report)
    require_plan_length(report, plans)
    try:
        evidence: Evidence = decode(Evidence, sidecar)
    except Malformed as error:
        raise Rejected(Reason.EVIDENCE_MISMATCH, str(error)) from None
    if len(evidence.visits) != len(plans):
        raise Rejected(Reason.EVIDENCE_MISMATCH, f"evidence of {len(evidence.visits)} visits")
    task = Task(
        challenge.challenge, attestor, challenge.window_opened_ms, challenge.window_closed_ms
    )
    drawn = {contract.contract: contract for contract in draw.eligible}
    judged = []
    for plan, summary, shown in zip(plans, report.visits, evidence.visits, strict=True):
        target = target_of(drawn[plan.contract])
        visit = judge_visit(network, task, target, plan, summary, shown)
        judged.append(
            JudgedVisit(
                contract=plan.contract,
                planned=visit.planned,
                served=visit.served,
                fault=visit.fault,
                skipped=summary.outcome is Outcome.SKIPPED,
            )
        )
    return tuple(judged)


def _plans(
    network: bytes,
    parameters: Parameters,
    challenge: ChallengeRecord,
    draw: DrawRecord,
    attestor: bytes,
    report: Report,
) -> list[VisitPlan]:
    """What the attestor had to do, from its VRF proof and the opened coin."""
    assert challenge.coin is not None
    alpha = plan_input(network, challenge.challenge, challenge.coin)
    vrf_key = next(drawn.vrf_key for drawn in draw.attestors if drawn.account == attestor)
    try:
        vrf.verify(vrf_key, alpha, report.plan_proof)
    except Malformed as error:
        raise Rejected(Reason.BAD_PLAN_PROOF, str(error)) from None
    targets = targets_of(parameters, draw, challenge.coin)
    return visit_plans(challenge.coin, challenge.members, attestor, report.plan_proof, targets)


def targets_of(parameters: Parameters, draw: DrawRecord, coin: bytes) -> list[Eligible]:
    """The contracts that the coin sends the committee to, in the order drawn."""
    eligible = [
        Eligible(drawn.contract, drawn.hoster, drawn.owner, drawn.head.length, drawn.samples)
        for drawn in draw.eligible
    ]
    return draw_targets(coin, eligible, parameters.challenge_targets)


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
