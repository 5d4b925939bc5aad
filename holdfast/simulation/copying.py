"""One of two posts the other's commitment as its own, and later repeats the other's secret.

Under xor the two cancel, and the coin is known before it is tossed. Ours binds a commitment to
its member, so a copy opens to nothing: the copier is convicted, and its part does not count.
"""

from collections import Counter

from coinflip.events import Landed
from holdfast.simulation import source
from holdfast.simulation.adversaries import Copier
from holdfast.simulation.result import Bar, Result, Tell
from holdfast.simulation.table import arrange, play, seats

KNOWN = source.secret("any secret at all")
EXPECTED = {name: magic([KNOWN, KNOWN]) for name, magic in source.MAGIC.items()}
"""What the copier says the coin will be, before anybody has committed."""


def run(seed: int, runs: int, tell: Tell) -> Result:
    """Play the source's rule with each of its three ways to make the coin, and ours."""
    foretold = Counter[str]()
    convicted = 0
    for number in range(runs):
        for magic in source.MAGIC:
            foretold[magic] += source.copy(seed, number, magic) == EXPECTED[magic]
        coin, is_proven = _ours(seed * 1_000_003 + number, copier=number % 2)
        foretold["ours"] += coin in EXPECTED.values()
        convicted += is_proven
        tell(number + 1, runs)
    return Result(
        title="One of two commits to a copy of the other's secret",
        question="share of runs in which it had foretold the coin",
        bars=(
            *(Bar(f"source, {magic}", foretold[magic], runs, 0.0) for magic in source.MAGIC),
            Bar("ours", foretold["ours"], runs, 0.0),
        ),
        document={
            "runs": runs,
            "source": {"forced": foretold["xor"]}
            | {magic.replace(" ", "_"): foretold[magic] for magic in source.MAGIC},
            "ours": {"forced": foretold["ours"], "convicted": convicted},
        },
        remarks=(f"ours: the copier was convicted in {convicted} of {runs} runs",),
    )


def _ours(seed: int, copier: int) -> tuple[bytes, bool]:
    players = arrange(seed, seats(seed, 2), {copier: Copier})
    play(players)
    honest = players[1 - copier].flip
    assert isinstance(honest.outcome, Landed)
    return honest.outcome.coin, players[copier].key in honest.convicted
