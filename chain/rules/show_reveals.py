"""Members that seemed to have withheld their secrets had revealed them."""

from chain.bodies.challenges import ShowReveals
from chain.context import BlockContext
from chain.reasons import Reason
from chain.rules.seal_coin import topic
from chain.state import Draft
from coinflip.opening import verify_reveals
from wire.errors import Malformed, Rejected


def apply(draft: Draft, block: BlockContext, body: ShowReveals) -> None:
    """Take those off the list whose own signatures are shown. Anybody may answer for anybody."""
    challenge = draft.challenges.require(body.challenge, Reason.UNKNOWN_CHALLENGE)
    if challenge.coin is None:
        raise Rejected(Reason.COIN_NOT_OPEN)
    if block.height > challenge.reveal_deadline:
        raise Rejected(
            Reason.WRONG_PHASE, f"reveals were taken until height {challenge.reveal_deadline}"
        )
    members = challenge.members
    secrets = {members.index(asked.member): asked.secret for asked in challenge.unrevealed}
    try:
        proven = verify_reveals(
            block.network,
            topic(block.network, challenge),
            challenge.voices(members),
            secrets,
            body.reveals,
        )
    except Malformed as error:
        raise Rejected(Reason.BAD_REVEAL, str(error)) from None
    if not proven:
        raise Rejected(Reason.ALREADY_REVEALED, "nobody asks for these")
    left = tuple(
        asked for asked in challenge.unrevealed if members.index(asked.member) not in proven
    )
    draft.challenges.change(body.challenge, unrevealed=left)
