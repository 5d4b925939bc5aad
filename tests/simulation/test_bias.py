"""The coin's distribution, whoever aborts: uniform with a minority, biased with a majority.

Seeds are fixed, so these tests give one answer for ever; the limit is what a fair coin passes
in 999 of 1,000 cases. The same test must reject a biased coin, or it would show nothing.
"""

import os
from collections import Counter
from functools import partial
from hashlib import sha256

import pytest

from holdfast.simulation import source
from holdfast.simulation.abort import ATTEMPTS, fixed_coin, play_ours, pleases
from holdfast.simulation.adversaries import SilentOtherDealer, SilentSteepDealer, Withholder
from holdfast.simulation.cabal import Cabal, Schemer
from holdfast.simulation.table import CALM_STALL_MS, arrange, play, seats

RUNS = max(160, int(os.environ.get("SEEDS") or 0) // 5)
"""Flips a test; `SEEDS=10000` plays 2,000."""

BUCKETS = 8
CRITICAL = 24.32
"""Chi-square with 7 degrees of freedom: a fair coin is above it once in a thousand tests."""

COUNT, MINORITY, MAJORITY = 5, 2, 3


def chi_square(coins: list[bytes]) -> float:
    """How far the first three bits are from even."""
    found = Counter(coin[0] * BUCKETS // 256 for coin in coins)
    expected = len(coins) / BUCKETS
    return sum((found[bucket] - expected) ** 2 / expected for bucket in range(BUCKETS))


def test_a_minority_that_spoils_every_coin_it_dislikes_changes_nothing() -> None:
    played = [play_ours(run, COUNT, MINORITY, pleases) for run in range(RUNS)]
    assert all(each.coin == each.fixed and each.attempts == 1 for each in played)
    assert chi_square([each.coin for each in played]) < CRITICAL


class Guesser(Schemer):
    """Refuses to echo when a hash of all it knows before the seal tells it to."""

    def refuses(self) -> bool:
        shares = b"".join(share.value for share in self.flip.shares.values())
        return bool(sha256(self.seat.secret + shares).digest()[0] & 1)


def test_a_minority_that_aborts_before_the_seal_only_guesses() -> None:
    coins, aborted = [], 0
    for run in range(RUNS):
        for attempt in range(ATTEMPTS):
            seated = seats(run, COUNT, attempt=attempt)
            cabal = Cabal(seated[:MINORITY], pleases)
            cast = {0: partial(Guesser, cabal), 1: partial(Schemer, cabal)}
            players = arrange(run, seated, cast, deadline_ms=6_000, stall_ms=CALM_STALL_MS)
            play(players)
            outcome = players[-1].flip.outcome
            if coin := getattr(outcome, "coin", None):
                coins.append(coin)
                break
            aborted += 1
    assert len(coins) > RUNS * 3 // 4 and aborted > RUNS // 2
    assert chi_square(coins) < CRITICAL


@pytest.mark.parametrize("crook", [Withholder, SilentSteepDealer, SilentOtherDealer])
def test_the_coin_is_as_even_without_those_who_fell_silent(crook: type[Withholder]) -> None:
    coins = []
    for run in range(RUNS // 2):
        players = arrange(run, seats(run, 4), {run % 4: crook}, stall_ms=CALM_STALL_MS)
        play(players)
        coins.append(players[run % 4 - 1].flip.outcome.coin)  # type: ignore[union-attr]
        if crook is Withholder:
            assert coins[-1] == fixed_coin(seats(run, 4))
    assert chi_square(coins) < CRITICAL


def test_a_majority_gets_its_bit_and_nothing_more() -> None:
    played = [play_ours(run, COUNT, MAJORITY, pleases) for run in range(RUNS)]
    coins = [each.coin for each in played]
    assert chi_square(coins) > CRITICAL, "this test would not see a bias"
    wanted = sum(pleases(coin) for coin in coins) / RUNS
    assert 0.85 < wanted < 0.99, "it chooses among as many coins as there are attempts"
    rest = [bytes([coin[0] << 1 & 255]) for coin in coins]
    assert chi_square(rest) < CRITICAL, "the bits that it did not look at stay even"


def test_the_source_s_rule_is_biased_by_one() -> None:
    coins = [source.abort(1, run, COUNT, ATTEMPTS, pleases)[0] for run in range(RUNS)]
    assert chi_square(coins) > CRITICAL
