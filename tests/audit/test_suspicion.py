"""What visits hint at: relays, and several hosters on one store."""

from dataclasses import replace
from random import Random

import pytest

from audit.suspicion import OneStore, Timed, clusters, one_store, relays

ATTESTORS = [bytes([number]) * 32 for number in range(10)]
HOSTERS = [bytes([100 + number]) * 32 for number in range(6)]


def visits(rounds, *, beyond=None, beside=None, seed=1):
    """Visits of all attestors to all hosters.

    `beyond` has hosters that fetch from so many µs away; `beside` which stand where another does.
    """
    chance = Random(seed)
    lines = {(a, h): chance.randrange(2_000, 90_000) for a in ATTESTORS for h in HOSTERS}
    made = []
    for number in range(rounds):
        for attestor in ATTESTORS:
            for hoster in HOSTERS:
                place = (beside or {}).get(hoster, hoster)
                trip = lines[attestor, place] + chance.randrange(300)
                service = chance.randrange(1_000, 9_000) + (beyond or {}).get(hoster, 0)
                made.append(Timed(bytes([number]) * 32, attestor, hoster, 2 * trip, trip + service))
    return made


def failing(rounds, rates, together=(), seed=2):
    """Whether each hoster failed in each round; those `together` fail with the first of them."""
    chance = Random(seed)
    made = {}
    for number in range(rounds):
        bad = {h: chance.random() < rates.get(h, 0) for h in HOSTERS}
        if together:
            bad |= dict.fromkeys(together, bad[together[0]])
        made[bytes([number]) * 32] = bad
    return made


def test_a_relay_30_ms_away_is_named_after_one_round():
    for seed in range(20):
        (found,) = relays(visits(1, beyond={HOSTERS[2]: 30_000}, seed=seed))
        assert (found.hoster, found.visits) == (HOSTERS[2], 10)
        assert found.slow >= 9
        assert 20_000 < found.extra_us < 40_000


def test_an_honest_hoster_is_never_named_for_its_distance():
    for seed in range(20):
        assert relays(visits(5, seed=seed)) == []


def test_a_relay_next_door_is_not_noticed_and_no_claim_is_made():
    assert relays(visits(20, beyond={HOSTERS[2]: 3_000})) == []


def test_a_few_slow_visits_are_no_relay():
    made = visits(1)
    slow = [
        replace(visit, first_byte_us=visit.first_byte_us + 80_000)
        if visit.hoster == HOSTERS[0] and visit.attestor in ATTESTORS[:4]
        else visit
        for visit in made
    ]
    assert relays(slow) == []


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_visits_name_nobody(count):
    assert relays([Timed(b"r", b"a", b"h", 1_000, 500_000)] * count) == []


def test_three_names_on_one_store_are_one_cluster():
    store = HOSTERS[1]
    beside = {HOSTERS[3]: store, HOSTERS[4]: store}
    for seed in range(10):
        pairs = one_store(visits(3, beside=beside, seed=seed), {})
        assert clusters(pairs) == [(HOSTERS[1], HOSTERS[3], HOSTERS[4])]


def test_hosters_in_places_of_their_own_are_not_paired():
    for seed in range(10):
        assert one_store(visits(3, seed=seed), failing(60, dict.fromkeys(HOSTERS, 0.1))) == []


def test_those_that_always_fail_together_are_paired_though_their_lines_differ():
    rates = dict.fromkeys(HOSTERS, 0.2)
    for seed in range(10):
        bad = failing(120, rates, together=HOSTERS[:2], seed=seed)
        (pair,) = one_store([], bad)
        assert pair.hosters == (HOSTERS[0], HOSTERS[1])
        assert pair.rounds_failed_together > 12
        assert pair.rounds_failed_apart == 0


def test_a_few_failures_in_common_pair_nobody():
    bad = failing(20, {HOSTERS[0]: 0.3}, together=HOSTERS[:2])
    assert 0 < sum(each[HOSTERS[0]] for each in bad.values()) < 13
    assert one_store([], bad) == []


def test_clusters_join_what_pairs_link():
    a, b, c, d, e = HOSTERS[:5]
    linked = [OneStore(pair, 9, 0, 0, 0) for pair in ((d, e), (a, b), (b, c))]
    assert clusters(linked) == [(a, b, c), (d, e)]
    assert clusters([]) == []
