"""The coin flip among loss, crashes and adversaries: one coin or none, and exact blame."""

import os
from functools import partial
from random import Random

import pytest

from coinflip.events import Landed, Malicious, Offline
from coinflip.flip import resume
from holdfast.simulation import adversaries
from holdfast.simulation.adversaries import (
    EXCLUDED,
    GUILTY_AFTER_THE_SEAL,
    GUILTY_BEFORE_THE_SEAL,
    HARMLESS,
    SILENT_BEFORE_THE_SEAL,
    Copier,
    Crook,
    FalsePinger,
    FalseRevealer,
    Impostor,
    LateChooser,
    MuteCommitter,
    Rusher,
    Withholder,
)
from holdfast.simulation.table import LIMIT_MS, Player, play, sit_down
from holdfast.simulation.world import Weather

SEEDS = int(os.environ.get("SEEDS") or 40)
"""Random histories of the mixed test; `SEEDS=2000` for a long run."""

STORM = Weather(delay_ms=(5, 400), loss_ppm=200_000, duplicate_ppm=100_000)
SAYS_NOTHING_TRUE_AFTER_THE_SEAL = (Withholder, LateChooser, FalseRevealer)


def honest(players: list[Player]) -> list[Player]:
    return [player for player in players if player.honest]


def landed(players: list[Player]) -> Landed:
    play(players)
    outcomes = [player.flip.outcome for player in honest(players)]
    assert all(isinstance(outcome, Landed) for outcome in outcomes), outcomes
    first = outcomes[0]
    assert isinstance(first, Landed)
    return first


@pytest.mark.parametrize("count", range(2, 11))
def test_honest_members_land_one_coin_without_recovery(count: int) -> None:
    outcome = landed(sit_down(1, count))
    assert outcome.recovered == outcome.excluded == ()


@pytest.mark.parametrize("seed", range(4))
def test_a_storm_of_loss_delay_and_doubles_changes_nothing(seed: int) -> None:
    assert landed(sit_down(seed, 6, weather=STORM)).coin == landed(sit_down(seed, 6)).coin


def test_the_same_seed_gives_the_same_history() -> None:
    traces = []
    for seed in (5, 5, 6):
        players = sit_down(seed, 5, weather=STORM)
        play(players)
        traces.append(players[0].world.trace)
    assert traces[0] == traces[1] != traces[2]


@pytest.mark.parametrize("count", [3, 4, 7, 10])
def test_a_silent_minority_neither_stops_nor_bends_the_coin(count: int) -> None:
    tolerated = (count - 1) // 2
    outcome = landed(sit_down(3, count, dict.fromkeys(range(tolerated), Withholder)))
    assert len(outcome.recovered) == tolerated
    assert outcome.coin == landed(sit_down(3, count)).coin


def test_a_silent_majority_stops_the_coin_and_is_named() -> None:
    players = sit_down(3, 4, dict.fromkeys(range(3), Withholder))
    play(players)
    for player in honest(players):
        assert player.flip.outcome == Offline(tuple(players[i].key for i in range(3)))


@pytest.mark.parametrize("crook", SILENT_BEFORE_THE_SEAL[:4])
@pytest.mark.parametrize("count", [2, 5])
def test_silence_before_the_seal_ends_the_flip_and_names_the_silent(
    crook: type[Player], count: int
) -> None:
    players = sit_down(4, count, {1: crook})
    play(players)
    for player in honest(players):
        assert player.flip.outcome == Offline((players[1].key,))


@pytest.mark.parametrize("crook", GUILTY_BEFORE_THE_SEAL)
@pytest.mark.parametrize("count", [3, 6])
def test_fraud_before_the_seal_ends_the_flip_for_all_with_evidence(
    crook: type[Player], count: int
) -> None:
    players = sit_down(5, count, {1: crook})
    play(players)
    for player in honest(players):
        outcome = player.flip.outcome
        assert isinstance(outcome, Malicious)
        assert outcome.accused == players[1].key
        assert isinstance(outcome.evidence, crook.crimes)


@pytest.mark.parametrize("crook", GUILTY_AFTER_THE_SEAL)
@pytest.mark.parametrize("count", [3, 6])
def test_fraud_after_the_seal_is_proven_and_the_coin_stands(
    crook: type[Player], count: int
) -> None:
    players = sit_down(6, count, {1: crook})
    outcome = landed(players)
    assert outcome.coin == landed(sit_down(6, count)).coin
    for player in honest(players):
        assert list(player.flip.convicted) == [players[1].key]


@pytest.mark.parametrize("crook", EXCLUDED)
@pytest.mark.parametrize("count", [3, 6])
def test_a_bad_dealing_is_excluded_and_proven(crook: type[Player], count: int) -> None:
    players = sit_down(7, count, {1: crook})
    outcome = landed(players)
    assert outcome.excluded == (players[1].key,)
    for player in honest(players):
        assert isinstance(player.flip.convicted[players[1].key], crook.crimes)


@pytest.mark.parametrize("crook", HARMLESS)
def test_what_is_no_provable_fraud_convicts_nobody_and_changes_nothing(
    crook: type[Player],
) -> None:
    players = sit_down(8, 5, {1: crook, 3: crook})
    assert landed(players).coin == landed(sit_down(8, 5)).coin
    assert not any(player.flip.convicted for player in honest(players))


def test_who_speaks_for_others_takes_no_proof_of_theirs_away() -> None:
    players = sit_down(8, 5, {1: Impostor, 3: Impostor})
    landed(players)
    for player in honest(players):
        shown = {player.seat.members[proof.member] for proof in player.flip.reveals}
        assert shown >= {other.key for other in honest(players)}


def test_a_copied_commitment_erases_nobodys_entropy() -> None:
    coins = set()
    for seed in range(5):
        players = sit_down(seed, 3, {0: Copier})
        coins.add(landed(players).coin)
        assert all(players[0].key in player.flip.convicted for player in honest(players))
    assert len(coins) == 5


def test_two_who_commit_last_and_withhold_at_will_force_nothing() -> None:
    for seed in range(20):
        crooks = {0: LateChooser, 1: LateChooser}
        assert landed(sit_down(seed, 5, crooks)).coin == landed(sit_down(seed, 5)).coin


@pytest.mark.parametrize("victim", [0, 3])
def test_a_member_killed_at_any_step_restarts_and_says_nothing_new(victim: int) -> None:
    coin = landed(sit_down(9, 4)).coin
    for fuse in range(40):
        players = sit_down(9, 4)
        players[victim].fuse = fuse
        assert landed(players).coin == coin
        assert players[victim].fuse is None, "the flip was over before the kill"
        assert not any(player.flip.convicted for player in players)


def test_all_members_killed_again_and_again_land_the_same_coin() -> None:
    coin = landed(sit_down(10, 5)).coin
    players = sit_down(10, 5)
    for player in players:
        player.fuse = 3
        player.outages_ms = [400, 30, 900]
    assert landed(players).coin == coin


def test_a_log_replayed_is_the_flip_itself() -> None:
    players = sit_down(11, 4, {2: adversaries.FalseRevealer}, weather=STORM)
    play(players)
    for player in players:
        assert resume(player.seat, player.disk) == player.flip


def test_a_partition_delays_the_coin_and_never_makes_two() -> None:
    for cut_ms in (100, 200, 300, 500, 800):
        players = sit_down(12, 6)
        world = players[0].world
        world.after(cut_ms, partial(world.split, [0, 1, 2]))
        world.after(cut_ms + 1_500, world.heal)
        landed(players)


def test_a_partition_that_never_heals_makes_no_second_coin() -> None:
    for cut_ms in range(50, 1_500, 150):
        players = sit_down(14, 5)
        world = players[0].world
        world.after(cut_ms, partial(world.split, [0, 1]))
        world.run(LIMIT_MS)
        outcomes = [player.flip.outcome for player in players]
        assert None not in outcomes
        assert not any(isinstance(outcome, Malicious) for outcome in outcomes)
        assert len({outcome.coin for outcome in outcomes if isinstance(outcome, Landed)}) <= 1


def test_two_rushers_never_see_a_secret_to_choose_by() -> None:
    for seed in range(10):
        players = sit_down(seed, 5, {0: Rusher, 4: MuteCommitter})
        play(players)
        for player in honest(players):
            assert player.flip.outcome == Offline((players[0].key, players[4].key))


def test_the_strict_flag_gives_the_coin_up_as_the_source_does() -> None:
    for crook, kind in ((Withholder, Offline), (adversaries.FalseRevealer, Malicious)):
        players = sit_down(13, 4, {1: crook}, strict=True)
        play(players)
        assert {type(player.flip.outcome) for player in honest(players)} == {kind}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_minorities_of_random_crooks_in_random_weather(seed: int) -> None:
    random = Random(seed)
    count = random.randint(2, 8)
    kinds = (
        SILENT_BEFORE_THE_SEAL
        + GUILTY_BEFORE_THE_SEAL
        + GUILTY_AFTER_THE_SEAL * 4
        + EXCLUDED * 4
        + HARMLESS * 4
    )
    names = random.sample(range(count), random.randint(0, (count - 1) // 2))
    crooks: dict[int, type[Player]] = {name: random.choice(kinds) for name in names}
    weather = random.choice([Weather(), STORM])
    players = sit_down(seed, count, crooks, weather)
    for player in players:
        if random.random() < 0.3:
            player.fuse = random.randrange(40)
    play(players)
    outcome = honest(players)[0].flip.outcome
    if all(kind in GUILTY_AFTER_THE_SEAL + EXCLUDED + HARMLESS for kind in crooks.values()):
        assert isinstance(outcome, Landed)
    if isinstance(outcome, Landed):
        assert_blame_is_complete(players, outcome)


def assert_blame_is_complete(players: list[Player], outcome: Landed) -> None:
    """`play` has checked that nobody is blamed for what it did not do; here nobody is missed."""
    bad = {player.key: type(player) for player in players if not player.honest}
    assert set(outcome.excluded) == {key for key, kind in bad.items() if kind in EXCLUDED}
    if Impostor not in bad.values():  # which says what the silent should have said
        silent = {key for key, kind in bad.items() if kind in SAYS_NOTHING_TRUE_AFTER_THE_SEAL}
        assert silent <= set(outcome.recovered)
    proven = {key for key, kind in bad.items() if kind in (*EXCLUDED, FalseRevealer, FalsePinger)}
    for player in honest(players):
        assert proven <= player.flip.convicted.keys()


def test_every_adversary_is_in_a_row() -> None:
    rows = SILENT_BEFORE_THE_SEAL + GUILTY_BEFORE_THE_SEAL + GUILTY_AFTER_THE_SEAL
    named = {
        kind.__name__
        for kind in vars(adversaries).values()
        if isinstance(kind, type) and issubclass(kind, Crook)
    }
    bases = {"Silent", "TwoFaced", "Distorter"}
    assert named - bases == {kind.__name__ for kind in rows + EXCLUDED + HARMLESS}
