"""Bind an attestor to its report while the window is open."""

from chain.bodies.challenges import CommitReport
from chain.challenges.committee import MemberHash
from chain.reasons import Reason
from chain.state import Draft
from wire.errors import Rejected


def apply(draft: Draft, sender: bytes, body: CommitReport) -> None:
    """Note the commitment, once per member; what it hides is opened after the window."""
    challenge = draft.challenges.require(body.challenge, Reason.UNKNOWN_CHALLENGE)
    if sender not in challenge.members or sender in challenge.convicted:
        raise Rejected(Reason.NOT_A_MEMBER)
    if challenge.status != "visiting":
        raise Rejected(Reason.WRONG_PHASE, challenge.status)
    if any(known.member == sender for known in challenge.commitments):
        raise Rejected(Reason.ALREADY_COMMITTED)

    ours = MemberHash(member=sender, commitment=body.commitment)
    draft.challenges.change(body.challenge, commitments=(*challenge.commitments, ours))
