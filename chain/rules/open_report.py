"""Open a committed report: every claim in it is checked against its evidence, here."""

from audit import evidence as evidence_rules
from audit.evidence import Target, Task
from audit.messages import Evidence, Outcome, Report, report_commitment
from audit.plan import Eligible, VisitPlan, draw_targets, plan_input, visit_plans
from chain import schedule
from chain.context import BlockContext
from chain.messages import OpenReport
from chain.reasons import Reason
from chain.records import ChallengeRecord, DrawnContract, DrawRecord, DueItem, JudgedVisit
from chain.records import ReportRecord as Record
from chain.state import Draft
from wire import codec, vrf
from wire.errors import Malformed, Rejected
from wire.primitives import blake2b_256


def apply(
    draft: Draft, block: BlockContext, sender: bytes, body: OpenReport, sidecar: bytes
) -> None:
    """Keep a sound report; a void one is refused and earns nothing."""
    report = body.report
    challenge = draft.challenges.require(report.challenge, Reason.UNKNOWN_CHALLENGE)
    _check_turn(block.network, challenge, sender, body)
    if blake2b_256(sidecar) != report.evidence:
        raise Rejected(Reason.EVIDENCE_MISMATCH, "the sidecar is not the evidence named")
    draw = draft.draws.at(report.challenge)
    plans = _plan(block, challenge, draw, sender, report)
    judged = _judge(block.network, challenge, draw, sender, report, plans, sidecar)

    record = Record(
        challenge=report.challenge,
        attestor=sender,
        height=block.height,
        report=report,
        visits=judged,
    )
    draft.reports.put(report.challenge + sender, record)
    opened = (*challenge.opened, sender)
    draft.challenges.change(report.challenge, opened=opened)
    if len(opened) == len(challenge.commitments):
        # The last report is in: no need to wait for the deadline.
        item = DueItem(kind="opening_deadline", id=report.challenge)
        schedule.at(draft, block.height, item)


def _check_turn(
    network: bytes, challenge: ChallengeRecord, sender: bytes, body: OpenReport
) -> None:
    if challenge.status != "opening":
        raise Rejected(Reason.WRONG_PHASE, challenge.status)
    if challenge.coin is None:
        raise Rejected(Reason.COIN_NOT_OPEN)
    if sender in challenge.opened:
        raise Rejected(Reason.ALREADY_OPENED)
    committed = {known.member: known.commitment for known in challenge.commitments}
    if sender not in committed:
        raise Rejected(Reason.NOT_COMMITTED)
    if committed[sender] != report_commitment(network, sender, body.report, body.salt):
        raise Rejected(Reason.COMMITMENT_MISMATCH)


def eligible_of(draw: DrawRecord) -> list[Eligible]:
    """A draw as the audit plan reads it."""
    return [
        Eligible(drawn.contract, drawn.hoster, drawn.owner, drawn.head.length, drawn.samples)
        for drawn in draw.eligible
    ]


def _plan(
    block: BlockContext,
    challenge: ChallengeRecord,
    draw: DrawRecord,
    attestor: bytes,
    report: Report,
) -> list[VisitPlan]:
    """What the attestor had to do, from its VRF proof and the opened coin."""
    assert challenge.coin is not None
    alpha = plan_input(block.network, challenge.challenge, challenge.coin)
    vrf_key = next(drawn.vrf_key for drawn in draw.attestors if drawn.account == attestor)
    try:
        vrf.verify(vrf_key, alpha, report.plan_proof)
    except Malformed as error:
        raise Rejected(Reason.BAD_PLAN_PROOF, str(error)) from None
    eligible = eligible_of(draw)
    targets = draw_targets(challenge.coin, eligible, block.parameters.challenge_targets)
    return visit_plans(challenge.coin, challenge.members, attestor, report.plan_proof, targets)


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


def _judge(
    network: bytes,
    challenge: ChallengeRecord,
    draw: DrawRecord,
    attestor: bytes,
    report: Report,
    plans: list[VisitPlan],
    sidecar: bytes,
) -> tuple[JudgedVisit, ...]:
    try:
        evidence = codec.decode(Evidence, sidecar)
    except Malformed as error:
        raise Rejected(Reason.EVIDENCE_MISMATCH, str(error)) from None
    evidence_rules.require_plan_length(report, plans)
    if len(evidence.visits) != len(plans):
        raise Rejected(Reason.EVIDENCE_MISMATCH, f"evidence of {len(evidence.visits)} visits")
    task = Task(
        challenge.challenge, attestor, challenge.window_opened_ms, challenge.window_closed_ms
    )
    drawn = {contract.contract: contract for contract in draw.eligible}
    judged = []
    for plan, summary, shown in zip(plans, report.visits, evidence.visits, strict=True):
        target = target_of(drawn[plan.contract])
        visit = evidence_rules.judge_visit(network, task, target, plan, summary, shown)
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
