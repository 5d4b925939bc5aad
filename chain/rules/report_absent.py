"""A member found others silent in the flip."""

from chain.bodies.challenges import ReportAbsent
from chain.challenges.committee import AbsenceVote
from chain.reasons import Reason
from chain.state import Draft
from wire.errors import Rejected


def apply(draft: Draft, sender: bytes, body: ReportAbsent) -> None:
    """Count one vote per member and attempt; the majority decides at the seal's deadline."""
    challenge = draft.challenges.require(body.challenge, Reason.UNKNOWN_CHALLENGE)
    if sender not in challenge.members or not set(body.absent) <= set(challenge.members):
        raise Rejected(Reason.NOT_A_MEMBER)
    if challenge.status != "flipping":
        raise Rejected(Reason.WRONG_PHASE, challenge.status)
    if challenge.attempt != body.attempt:
        raise Rejected(Reason.WRONG_ATTEMPT, f"this is attempt {challenge.attempt}")
    if any(vote.voter == sender for vote in challenge.absences):
        raise Rejected(Reason.ALREADY_VOTED)

    vote = AbsenceVote(voter=sender, absent=body.absent)
    draft.challenges.change(body.challenge, absences=(*challenge.absences, vote))
