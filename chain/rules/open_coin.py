"""Show the coin after the visiting window."""

from chain import schedule
from chain.bodies.challenges import OpenCoin
from chain.challenge_records import ChallengeRecord
from chain.challenges import lottery
from chain.challenges.committee import Unrevealed
from chain.context import BlockContext
from chain.reasons import Reason
from chain.records import DueItem
from chain.rules.seal_coin import topic
from chain.state import Draft
from coinflip import opening
from coinflip.messages import Secret
from wire.errors import Malformed, Rejected


def apply(draft: Draft, block: BlockContext, body: OpenCoin) -> None:
    """Recompute the coin from the sealed commitments. Anybody may send it: hashes carry it.

    Whose x it shows without the proof that its owner revealed it, is asked for that proof.
    """
    challenge = draft.challenges.require(body.challenge, Reason.UNKNOWN_CHALLENGE)
    if challenge.status != "opening":
        raise Rejected(Reason.WRONG_PHASE, challenge.status)
    if challenge.coin is not None:
        raise Rejected(Reason.ALREADY_OPENED)
    assert challenge.digest is not None, "a challenge past its flip has a digest"
    try:
        coin = opening.open_coin(
            topic(block.network, challenge),
            challenge.voices(challenge.members),
            challenge.digest,
            body.opening,
        )
    except Malformed as error:
        raise Rejected(Reason.BAD_OPENING, str(error)) from None

    unrevealed = _unrevealed(block.network, challenge, body)
    show(draft, block, body.challenge, coin, unrevealed)


def show(
    draft: Draft,
    block: BlockContext,
    challenge_id: bytes,
    coin: opening.Coin,
    unrevealed: tuple[Unrevealed, ...],
) -> None:
    """The coin is known to all: plans can be checked, and the beacon takes it in."""
    challenge = draft.challenges.at(challenge_id)
    deadline = block.height + block.parameters.opening_blocks
    draft.challenges.change(
        challenge_id,
        coin=coin.value,
        excluded=(*challenge.excluded, *challenge.speakers(coin.excluded)),
        unrevealed=unrevealed,
        reveal_deadline=deadline,
    )
    if unrevealed:
        schedule.at(draft, deadline, DueItem(kind="reveals", id=challenge_id))
    lottery.fold_coin(draft, coin.value)


def _unrevealed(
    network: bytes, challenge: ChallengeRecord, body: OpenCoin
) -> tuple[Unrevealed, ...]:
    """Whose Reveal is to be shown yet. Who dealt what no x fits has none, and is slashed."""
    secrets = {
        place: part.value
        for place, part in enumerate(body.opening.parts)
        if isinstance(part, Secret)
    }
    try:
        proven = opening.verify_reveals(
            network,
            topic(network, challenge),
            challenge.voices(challenge.members),
            secrets,
            body.reveals,
        )
    except Malformed as error:
        raise Rejected(Reason.BAD_REVEAL, str(error)) from None
    return tuple(
        Unrevealed(member=challenge.members[place], secret=secret)
        for place, secret in secrets.items()
        if place not in proven
    )
