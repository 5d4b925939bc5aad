"""Members withhold their secrets once the coin is sealed: the coin is the same, and they pay.

Whatever makes an honest member look as if it had withheld is played as well: an opener that
leaves everybody's Reveal out, a member that was cut off from the others, one that is cut off
from the chain. None of them pays: its own signature is shown, by itself or by who heard it.
"""

from collections import Counter
from hashlib import sha256

from coinflip.events import Landed, Sealed
from coinflip.messages import Reveal, RevealProof, Signed
from coinflip.shamir import tolerated
from holdfast.simulation import source
from holdfast.simulation.abort import ATTEMPTS, fixed_coin, pleases
from holdfast.simulation.adversaries import Crook, Withholder
from holdfast.simulation.result import Bar, Result, Tell
from holdfast.simulation.table import CALM_STALL_MS, Player, arrange, play, seats
from holdfast.simulation.tribunal import Tribunal
from wire.prng import Stream

COUNT = 10


class CutOff(Crook):
    """Follows the protocol, but from the seal on no word passes between it and the others."""

    absent = True

    def tell(self, message: Signed) -> None:
        """Speak while there is a line."""
        if not isinstance(self.chain.verdict, Sealed):
            super().tell(message)

    def receive(self, sender: int, data: bytes) -> None:
        """Hear while there is a line."""
        if not isinstance(self.chain.verdict, Sealed):
            super().receive(sender, data)


def run(seed: int, runs: int, tell: Tell) -> Result:
    """Play the source's rule with one withholder, and ours with up to a minority of them."""
    counts = Counter[str]()
    for number in range(runs):
        counts["source forced"] += source.abort(seed, number, COUNT, ATTEMPTS, pleases)[1] > 0
        counts.update(play_ours(seed * 1_000_003 + number))
        tell(number + 1, runs)
    withheld, honest = counts["withheld"], counts["honest"]
    return Result(
        title="Members withhold their secrets after the seal",
        question="share of coins that were replaced, and of members that paid for it",
        bars=(
            Bar("source: coins replaced", counts["source forced"], runs, 0.0),
            Bar("ours: coins replaced", counts["forced"], runs, 0.0),
            Bar("ours: withholders that paid", counts["fined"], withheld, 0.0),
            Bar("ours: honest members that paid", counts["honest fined"], honest, 0.0),
        ),
        document={
            "runs": runs,
            "source": {"forced": counts["source forced"]},
            "ours": {
                "forced": counts["forced"],
                "withheld": withheld,
                "fined": counts["fined"],
                "honest": honest,
                "honest_fined": counts["honest fined"],
                "asked": counts["asked"],
                "answers": counts["answers"],
            },
        },
        remarks=(
            f"ours: {counts['asked']} honest members had to be answered for, in "
            f"{counts['answers']} transactions",
        ),
    )


def play_ours(seed: int) -> dict[str, int]:
    """One flip with one to t withholders, up to the deadline by which Reveals may be shown."""
    chances = Stream(sha256(str(seed).encode()).digest(), b"withholding")
    seated = seats(seed, COUNT)
    cut_off, unplugged, *others = chances.sample(COUNT, tolerated(COUNT) + 2)
    withholders = others[: 1 + chances.below(len(others))]
    cast: dict[int, type[Player]] = dict.fromkeys(withholders, Withholder)
    if chances.below(2):
        cast[cut_off] = CutOff
    players = arrange(seed, seated, cast, stall_ms=CALM_STALL_MS)
    play(players)
    heard = [player for player in players if player.honest]
    landed = heard[0].flip.outcome
    assert isinstance(landed, Landed)
    assert heard[0].flip.digest

    tribunal = Tribunal(seed, seated, heard[0].flip.digest)
    spiteful = chances.below(2)
    opener = next(player for player in heard if player.name != unplugged)
    tribunal.open(landed.opening, () if spiteful else opener.flip.reveals)
    asked = tribunal.asked
    answers = 0
    # As `attestor.court_service`: first those that are asked, then the others.
    online = [player for player in players if player.name not in (*withholders, unplugged)]
    for player in sorted(online, key=lambda each: each.name not in asked):
        if known := [proof for proof in _proofs(player) if proof.member in tribunal.asked]:
            assert tribunal.answer(known)
            answers += 1
    fined = tribunal.close()
    return {
        "forced": landed.coin != fixed_coin(seated),
        "withheld": len(withholders),
        "fined": len(fined & set(withholders)),
        "honest": COUNT - len(withholders),
        "honest fined": len(fined - set(withholders)),
        "asked": len(asked - set(withholders)),
        "answers": answers,
    }


def _proofs(player: Player) -> tuple[RevealProof, ...]:
    """What a member can show: all Reveals that it heard, and its own, which needs no line."""
    own = player.seat.sign(Reveal(secret=player.seat.secret)).signature
    heard = [proof for proof in player.flip.reveals if proof.member != player.name]
    return (*heard, RevealProof(member=player.name, signature=own))
