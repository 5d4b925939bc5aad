"""Open a committed report: every claim in it is checked against its evidence, here."""

from audit.messages import report_commitment
from chain import schedule
from chain.bodies.challenges import OpenReport
from chain.challenge_records import JudgedVisit, ReportRecord
from chain.challenges import judging
from chain.context import BlockContext
from chain.reasons import Reason
from chain.records import DueItem
from chain.state import Draft
from wire.errors import Rejected
from wire.primitives import blake2b_256


class Void(Rejected):
    """What the sender had committed to does not hold: unlike any other refusal, that is final."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__(rejected.reason, rejected.detail)


def apply(
    draft: Draft, block: BlockContext, sender: bytes, body: OpenReport, sidecar: bytes
) -> None:
    """Keep a sound report; a void one is refused, earns nothing, and is remembered."""
    require_turn(draft, block, sender, body)
    if blake2b_256(sidecar) != body.evidence:
        raise Rejected(Reason.EVIDENCE_MISMATCH, "the sidecar is not the evidence named")
    challenge, draw = draft.challenges.at(body.challenge), draft.draws.at(body.challenge)
    try:
        judged = judging.judge_report(
            block.network, block.parameters, challenge, draw, sender, sidecar
        )
    except Rejected as rejected:
        raise Void(rejected) from None
    keep(draft, block, sender, body, judged)


def keep(
    draft: Draft,
    block: BlockContext,
    sender: bytes,
    body: OpenReport,
    visits: tuple[JudgedVisit, ...],
) -> None:
    """Write down what a sound report proves; the last one that is waited for settles."""
    challenge = draft.challenges.at(body.challenge)
    record = ReportRecord(
        challenge=body.challenge,
        attestor=sender,
        height=block.height,
        evidence=body.evidence,
        visits=visits,
    )
    draft.reports.put(body.challenge + sender, record)
    draft.challenges.change(body.challenge, opened=(*challenge.opened, sender))
    _settle_when_all_are_in(draft, block, body.challenge)


def leave_trace(draft: Draft, block: BlockContext, sender: bytes, body: OpenReport) -> None:
    """A report that was committed to and is void has been opened: nobody waits for a better one."""
    challenge = draft.challenges.at(body.challenge)
    draft.challenges.change(body.challenge, voided=(*challenge.voided, sender))
    _settle_when_all_are_in(draft, block, body.challenge)


def _settle_when_all_are_in(draft: Draft, block: BlockContext, challenge_id: bytes) -> None:
    challenge = draft.challenges.at(challenge_id)
    waited_for = {known.member for known in challenge.commitments} - {*challenge.convicted}
    if waited_for <= {*challenge.opened, *challenge.voided}:
        # The last report is in: no need to wait for the deadline.
        item = DueItem(kind="opening_deadline", id=challenge_id)
        schedule.at(draft, block.height, item)


def require_turn(draft: Draft, block: BlockContext, sender: bytes, body: OpenReport) -> None:
    """Raise `Rejected` unless this report is the one that its sender committed to, in time."""
    challenge = draft.challenges.require(body.challenge, Reason.UNKNOWN_CHALLENGE)
    if challenge.status != "opening":
        raise Rejected(Reason.WRONG_PHASE, challenge.status)
    if challenge.coin is None:
        raise Rejected(Reason.COIN_NOT_OPEN)
    if sender in challenge.convicted:
        raise Rejected(Reason.NOT_A_MEMBER, "convicted of a fault in the flip")
    if sender in challenge.opened or sender in challenge.voided:
        raise Rejected(Reason.ALREADY_OPENED)
    committed = {known.member: known.commitment for known in challenge.commitments}
    if sender not in committed:
        raise Rejected(Reason.NOT_COMMITTED)
    if committed[sender] != report_commitment(block.network, sender, body.challenge, body.evidence):
        raise Rejected(Reason.COMMITMENT_MISMATCH)
