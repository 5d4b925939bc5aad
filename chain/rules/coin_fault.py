"""A member of a flip is proven to have cheated."""

from chain import penalties
from chain.bodies.challenges import CoinFault
from chain.challenge_records import ChallengeRecord
from chain.challenges import lottery
from chain.challenges.committee import FlipAttempt
from chain.context import BlockContext
from chain.reasons import Reason
from chain.state import Draft
from coinflip.evidence import verify_evidence
from coinflip.opening import topic_id
from wire.errors import Malformed, Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: CoinFault) -> None:
    """Slash the accused, once a challenge, and before the seal go on without it.

    After the seal the coin stands whatever its members do: the accused brings no report any
    more, and nothing else changes. Only members of the attempt report; nobody else can know.
    """
    challenge = draft.challenges.require(body.challenge, Reason.UNKNOWN_CHALLENGE)
    attempt = _attempt(challenge, body.attempt)
    if sender not in attempt.members:
        raise Rejected(Reason.NOT_A_MEMBER)
    latest = challenge.drawn_height + block.parameters.unbonding_blocks
    if block.height > latest:
        raise Rejected(Reason.WRONG_PHASE, f"faults were punished until height {latest}")
    voices = challenge.voices(attempt.members)
    topic = topic_id(
        block.network, challenge.challenge, body.attempt, voices, attempt.seal_deadline
    )
    try:
        voice = verify_evidence(block.network, topic, voices, body.evidence)
    except Malformed as error:
        raise Rejected(Reason.BAD_EVIDENCE, str(error)) from None
    (accused,) = challenge.speakers([voice])
    if accused == sender:
        raise Rejected(Reason.BAD_EVIDENCE, "nobody is rewarded for its own fault")
    if accused in challenge.convicted:
        raise Rejected(Reason.ALREADY_CONVICTED)

    convicted = (*challenge.convicted, accused)
    draft.challenges.change(body.challenge, convicted=convicted)
    slash_ppm = block.parameters.coin_fault_slash_ppm
    others = [member for member in attempt.members if member not in convicted]
    penalties.fault(draft, block, "attestor", accused, slash_ppm, others)
    if challenge.status == "flipping" and accused in challenge.members:
        lottery.try_again(draft, block, body.challenge, (accused,))


def _attempt(challenge: ChallengeRecord, number: int) -> FlipAttempt:
    """One attempt of the challenge, this one or an earlier one."""
    if number >= len(challenge.attempts):
        raise Rejected(Reason.WRONG_ATTEMPT, f"this is attempt {challenge.attempt}")
    return challenge.attempts[number]
