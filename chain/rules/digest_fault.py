"""An opened report is proven to have a digest that nobody can have made of the chunk's bytes."""

from audit.entries import fresh_key
from audit.faults import FalseDigest, false_digest, vouched_id
from audit.messages import ShownChunk
from chain import penalties
from chain.bodies.faults import DigestFault
from chain.challenge_records import ChallengeRecord, ReportRecord
from chain.challenges import conduct
from chain.context import BlockContext
from chain.reasons import Reason
from chain.rules import claim
from chain.rules.receipt_fault import convict_hoster
from chain.state import Draft
from wire.codec import decode
from wire.errors import Malformed, Rejected


def apply(
    draft: Draft, block: BlockContext, sender: bytes, body: DigestFault, sidecar: bytes
) -> None:
    """Convict the attestor, that vouched for the digest, and the hoster where it signed for it.

    Whoever has the bytes can show it: a spot check that costs a chunk.
    """
    challenge = draft.challenges.require(body.challenge, Reason.UNKNOWN_CHALLENGE)
    report = draft.reports.require(body.challenge + body.attestor, Reason.NO_SUCH_REPORT)
    if block.time_ms > challenge.window_opened_ms + block.parameters.evidence_ms:
        raise Rejected(Reason.WRONG_PHASE, "the report is too old")
    try:
        shown: ShownChunk = decode(ShownChunk, sidecar)
    except Malformed as error:
        raise Rejected(Reason.EVIDENCE_MISMATCH, str(error)) from None
    named = {visit.contract: visit.vouched for visit in report.visits}
    if named.get(body.contract) != vouched_id(shown.vouched, shown.vouched.listed):
        raise Rejected(Reason.EVIDENCE_MISMATCH, "the report does not vouch for this")
    if sender in (body.attestor, shown.vouched.hoster):
        raise Rejected(Reason.BAD_EVIDENCE, "nobody is rewarded for its own fault")
    found = _found(challenge, body, shown)
    claim.require(draft, block, sender, body)

    convicted = found.hoster and convict_hoster(draft, block, shown.vouched, sender)
    if not convict_attestor(draft, block, report, sender) and not convicted:
        raise Rejected(Reason.ALREADY_CONVICTED)


def convict_attestor(
    draft: Draft, block: BlockContext, report: ReportRecord, reporter: bytes
) -> bool:
    """Slash the attestor that made a report up, once; False if it was already."""
    if report.forged:
        return False
    draft.reports.change(report.challenge + report.attestor, forged=True)
    _keep_out(draft, draft.challenges.at(report.challenge), report.attestor)
    penalties.report_forged(draft, block, report, reporter)
    conduct.offend(draft, block, report.attestor, "forged")
    return True


def _found(challenge: ChallengeRecord, body: DigestFault, shown: ShownChunk) -> FalseDigest:
    assert challenge.coin is not None, "there are no reports before the coin"
    key = fresh_key(body.challenge, challenge.coin, body.contract, body.attestor)
    try:
        return false_digest(shown.vouched, key, shown.data)
    except Malformed as error:
        raise Rejected(Reason.BAD_EVIDENCE, str(error)) from None


def _keep_out(draft: Draft, challenge: ChallengeRecord, attestor: bytes) -> None:
    """Where the challenge is not settled yet the report does not count, nor can it come again."""
    if challenge.status == "opening":
        draft.challenges.change(
            challenge.challenge,
            voided=(*challenge.voided, attestor),
            opened=tuple(member for member in challenge.opened if member != attestor),
        )
