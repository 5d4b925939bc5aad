"""All members signed the same commitments: the coin is fixed, and the visits begin."""

from chain import schedule
from chain.bodies.challenges import SealCoin
from chain.challenge_records import ChallengeRecord
from chain.context import BlockContext
from chain.reasons import Reason
from chain.records import DueItem
from chain.state import Draft
from coinflip import opening
from wire.errors import Malformed, Rejected


def topic(network: bytes, challenge: ChallengeRecord) -> bytes:
    """The flip topic of a challenge's present attempt."""
    return opening.topic_id(
        network,
        challenge.challenge,
        challenge.attempt,
        challenge.voices(challenge.members),
        challenge.seal_deadline,
    )


def apply(draft: Draft, block: BlockContext, body: SealCoin) -> None:
    """Fix the digest of the commitments. Anybody may send it: the signatures carry it."""
    challenge = draft.challenges.require(body.challenge, Reason.UNKNOWN_CHALLENGE)
    if challenge.status != "flipping":
        raise Rejected(Reason.WRONG_PHASE, challenge.status)
    if challenge.attempt != body.attempt:
        raise Rejected(Reason.WRONG_ATTEMPT, f"this is attempt {challenge.attempt}")
    try:
        opening.verify_seal(
            block.network,
            topic(block.network, challenge),
            challenge.voices(challenge.members),
            body.digest,
            body.signatures,
        )
    except Malformed as error:
        raise Rejected(Reason.BAD_SEAL, str(error)) from None
    begin_window(draft, block, body.challenge, body.digest)


def begin_window(draft: Draft, block: BlockContext, challenge: bytes, digest: bytes) -> None:
    """The coin of this challenge is fixed: its members visit from now on."""
    window_end = block.height + block.parameters.window_blocks
    draft.challenges.change(
        challenge,
        status="visiting",
        digest=digest,
        window_start=block.height,
        window_end=window_end,
        window_opened_ms=block.time_ms,
        opening_deadline=window_end + block.parameters.opening_blocks,
        absences=(),
    )
    schedule.at(draft, window_end, DueItem(kind="window_end", id=challenge))
