"""Colluders learn the coin before the others do, and spoil every coin that they dislike.

Under the source's rule one is enough: it reveals last, or not at all, and everybody tries again.
Under ours a minority falls silent in vain. A majority can rebuild every secret from its shares,
so it knows the coin before the seal and can keep an echo back: a choice between this coin and
the next attempt, as often as the chain opens one. It still cannot choose a coin.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from coinflip.events import Landed, Offline
from coinflip.messages import CoinOpening, Secret
from coinflip.opening import open_coin, seal_digest
from coinflip.seat import Seat
from coinflip.shamir import tolerated
from holdfast.simulation import source
from holdfast.simulation.cabal import Cabal, Schemer
from holdfast.simulation.result import Bar, Result, Tell
from holdfast.simulation.table import CALM_STALL_MS, arrange, play, seats

COUNT = 10
MINORITY = tolerated(COUNT)
MAJORITY = 6
ATTEMPTS = 4
"""What the chain opens by default; the source sets no limit."""

DEADLINE_MS = 6_000
"""Time to seal: honest members of a simulated flip need one second."""


def pleases(coin: bytes) -> bool:
    """Half of all coins: those whose first bit is set."""
    return coin[0] >= 128


@dataclass(frozen=True, slots=True)
class Played:
    """A challenge of ours: the coin that landed, and the one that the first secrets had made."""

    coin: bytes
    fixed: bytes
    attempts: int


def run(seed: int, runs: int, tell: Tell) -> Result:
    """Play the source's rule with one aborter, ours with a minority and with a majority."""
    counts = Counter[str]()
    for number in range(runs):
        coin, aborted = source.abort(seed, number, COUNT, ATTEMPTS, pleases)
        counts["source forced"] += aborted > 0
        counts["source wanted"] += pleases(coin)
        for name, colluders in (("ours", MINORITY), ("majority", MAJORITY)):
            played = play_ours(seed * 1_000_003 + number, COUNT, colluders, pleases)
            counts[f"{name} forced"] += played.coin != played.fixed
            counts[f"{name} wanted"] += pleases(played.coin)
        tell(number + 1, runs)
    return Result(
        title="Colluders spoil every coin whose first bit displeases them",
        question="share of runs in which the bit fell as they wanted",
        bars=(
            Bar("source: 1 of 10 aborts", counts["source wanted"], runs, 0.5),
            Bar(f"ours: {MINORITY} of 10 abort", counts["ours wanted"], runs, 0.5),
            Bar(f"ours: {MAJORITY} of 10 abort", counts["majority wanted"], runs, 0.5),
        ),
        document={
            "runs": runs,
            **{
                name: {key: counts[f"{name} {key}"] for key in ("forced", "wanted")}
                for name in ("source", "ours", "majority")
            },
        },
        remarks=(
            f"coins that aborting replaced: source {counts['source forced']}, "
            f"{MINORITY} of 10 {counts['ours forced']}, {MAJORITY} of 10 "
            f"{counts['majority forced']}",
        ),
    )


def play_ours(
    seed: int,
    count: int,
    colluders: int,
    likes: Callable[[bytes], bool],
    attempts: int = ATTEMPTS,
) -> Played:
    """One challenge: attempts in new topics until a coin lands, as the chain opens them.

    As on the chain, whom more than half of the members missed is left out of the next attempt.
    A majority takes the last attempt's coin as it comes: no coin at all pleases it no better.
    """
    cabal_keys = [seat.key.public for seat in seats(seed, count)][:colluders]
    left_out: set[bytes] = set()
    fixed = b""
    for attempt in range(attempts):
        seated = seats(seed, count, attempt=attempt, left_out=left_out)
        fixed = fixed or fixed_coin(seated)
        plotting = [seat for seat in seated if seat.key.public in cabal_keys]
        gives_in = attempt == attempts - 1 and len(plotting) > tolerated(len(seated))
        cabal = Cabal(plotting, (lambda _: True) if gives_in else likes)
        cast = {seat.position: partial(Schemer, cabal) for seat in plotting}
        players = arrange(seed, seated, cast, deadline_ms=DEADLINE_MS, stall_ms=CALM_STALL_MS)
        play(players)
        honest = [player.flip.outcome for player in players if player.honest]
        if isinstance(honest[0], Landed):
            return Played(honest[0].coin, fixed, attempt + 1)
        missed = Counter(key for each in honest if isinstance(each, Offline) for key in each.who)
        left_out |= {key for key, votes in missed.items() if 2 * votes > len(seated)}
    raise AssertionError("a cabal that gives in lets the last coin land")


def fixed_coin(seated: list[Seat]) -> bytes:
    """The coin that these secrets make if everybody reveals."""
    members, topic = seated[0].members, seated[0].topic
    commits = tuple(seat.commit() for seat in seated)
    parts = tuple(Secret(value=seat.secret) for seat in seated)
    opening = CoinOpening(commits=commits, parts=parts)
    return open_coin(topic, members, seal_digest(topic, members, commits), opening).value
