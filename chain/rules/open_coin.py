"""Show the coin after the visiting window."""

from chain import lottery
from chain.context import BlockContext
from chain.messages import OpenCoin
from chain.reasons import Reason
from chain.rules.seal_coin import topic
from chain.state import Draft
from coinflip import opening
from wire.errors import Malformed, Rejected


def apply(draft: Draft, block: BlockContext, body: OpenCoin) -> None:
    """Recompute the coin from the sealed commitments. Anybody may send it: hashes carry it."""
    challenge = draft.challenges.require(body.challenge, Reason.UNKNOWN_CHALLENGE)
    if challenge.status != "opening":
        raise Rejected(Reason.WRONG_PHASE, challenge.status)
    if challenge.coin is not None:
        raise Rejected(Reason.ALREADY_OPENED)
    assert challenge.digest is not None, "a challenge past its flip has a digest"
    try:
        coin = opening.open_coin(
            topic(block.network, challenge),
            challenge.members,
            challenge.digest,
            body.opening,
        )
    except Malformed as error:
        raise Rejected(Reason.BAD_OPENING, str(error)) from None

    draft.challenges.change(
        body.challenge, coin=coin.value, excluded=(*challenge.excluded, *coin.excluded)
    )
    lottery.fold_coin(draft, coin.value)
