"""Two of ten commit after they have learned all other secrets, and choose the coin.

Against ours they wait for a secret in vain: none leaves a member before the chain has sealed all
commitments. Half of the runs they wait until the time is up; in the other half they give up and
commit at the last moment, blindly.
"""

from collections import Counter

from coinflip.events import Input, Landed, Malicious, Offline, Outcome, Phase, Start
from holdfast.simulation import source
from holdfast.simulation.adversaries import Crook, Rusher
from holdfast.simulation.result import Bar, Result, Tell
from holdfast.simulation.table import CALM_STALL_MS, PATIENCE_MS, arrange, play, seats

COUNT = 10
LAST_MOMENT_MS = PATIENCE_MS[Phase.COMMIT] - 1_000
PREFIX = b"\x07"
TRIES = 4_096
"""Hashes that a colluder tries for a wanted first byte; about 256 are enough."""


class Hesitant(Crook):
    """Waits as long as it dares for an honest secret, then commits blindly."""

    def take(self, given: Input) -> None:
        """Put the Commit off."""
        if isinstance(given, Start) and self.world.now_ms < LAST_MOMENT_MS:
            wait_ms = LAST_MOMENT_MS - self.world.now_ms
            self.world.after(wait_ms, lambda: self.take(Start()), owner=self.name)
            return
        super().take(given)


def run(seed: int, runs: int, tell: Tell) -> Result:
    """Play both rules `runs` times."""
    forced = Counter[str]()
    exits = Counter[type[Outcome]]()
    for number in range(runs):
        wanted = source.secret(seed, number, "wanted")
        forced["source"] += source.rush(seed, number, COUNT, wanted, "xor", 1) == wanted
        for magic in source.MAGIC:
            coin = source.rush(seed, number, COUNT, PREFIX, magic, TRIES)
            forced[magic] += coin.startswith(PREFIX)
        outcome = _ours(seed * 1_000_003 + number, Rusher if number % 2 else Hesitant)
        exits[type(outcome)] += 1
        coin = outcome.coin if isinstance(outcome, Landed) else b""
        forced["ours"] += coin == wanted
        forced["our prefix"] += coin.startswith(PREFIX)
        tell(number + 1, runs)
    by_luck = 1 / 256
    return Result(
        title="Two of ten commit last, knowing all other secrets",
        question="share of runs in which they got the coin that they had wanted",
        bars=(
            Bar("source, xor: all 32 bytes", forced["source"], runs, 0.0),
            Bar("source, hash of xor: 1 byte", forced["hash of xor"], runs, by_luck),
            Bar("source, hash of list: 1 byte", forced["hash of list"], runs, by_luck),
            Bar("ours: all 32 bytes", forced["ours"], runs, 0.0),
            Bar("ours: 1 byte", forced["our prefix"], runs, by_luck),
        ),
        document={
            "runs": runs,
            "source": {"forced": forced["source"]},
            "ours": {"forced": forced["ours"]},
        },
        remarks=(
            f"ours: {exits[Offline]} ended offline, naming the two; {exits[Landed]} landed; "
            f"{exits[Malicious]} malicious",
        ),
    )


def _ours(seed: int, rusher: type[Crook]) -> Outcome:
    players = arrange(
        seed, seats(seed, COUNT), {0: rusher, COUNT - 1: rusher}, stall_ms=CALM_STALL_MS
    )
    play(players)
    outcome = players[1].flip.outcome
    assert outcome is not None
    return outcome
