"""How much samples say, against exact fractions and figures known from elsewhere."""

from fractions import Fraction
from math import ceil, comb, floor, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import confidence
from audit.confidence import MILLION, SAMPLES_COUNTED, detection_ppm, lower_bound_ppm


def chance_of_more(served, missed, share_ppm):
    """That more than `served` of one try more succeed, exactly."""
    tries, fails = served + missed + 1, MILLION - share_ppm
    ways = sum(
        comb(tries, failing) * fails**failing * share_ppm ** (tries - failing)
        for failing in range(missed + 1)
    )
    return Fraction(ways, MILLION**tries)


def is_bound(served, missed, bound):
    """Whether it is the largest share that is ruled out in no more than 5 % of cases."""
    limit = Fraction(1, 20)
    return (
        chance_of_more(served, missed, bound) <= limit < chance_of_more(served, missed, bound + 1)
    )


KNOWN = [
    # served, missed, per mille: from tables of the Beta distribution
    (194, 6, 942),
    (200, 0, 985),
    (2_990, 10, 994),
    (59, 0, 951),
    (299, 0, 990),
    (598, 0, 995),
    (2_995, 0, 999),
]


@pytest.mark.parametrize(("served", "missed", "per_mille"), KNOWN)
def test_the_lower_bound_is_what_tables_say(served, missed, per_mille):
    assert round(lower_bound_ppm(served, missed), -3) == per_mille * 1_000


def test_the_lower_bound_is_exact_for_all_few_samples():
    for served in range(24):
        for missed in range(24):
            assert is_bound(served, missed, lower_bound_ppm(served, missed)), (served, missed)


@given(st.integers(0, 700), st.integers(0, 700))
@settings(max_examples=25, deadline=None)
def test_the_lower_bound_is_exact(served, missed):
    assert is_bound(served, missed, lower_bound_ppm(served, missed))


@pytest.mark.parametrize("counts", [(4_090, 6), (6, 4_090), (2_048, 2_048), (4_096, 0)])
def test_the_lower_bound_is_exact_up_to_the_most_samples(counts):
    assert is_bound(*counts, lower_bound_ppm(*counts))


def test_of_nothing_known_every_share_is_as_likely():
    assert lower_bound_ppm(0, 0) == 50_000


@given(st.integers(0, 400), st.integers(0, 400))
@settings(max_examples=25, deadline=None)
def test_another_chunk_served_never_lowers_it_and_one_missed_never_lifts_it(served, missed):
    bound = lower_bound_ppm(served, missed)
    assert lower_bound_ppm(served, missed + 1) <= bound <= lower_bound_ppm(served + 1, missed)


def test_the_lower_bound_is_below_what_was_served():
    for served, missed in ((1, 0), (9, 1), (300, 0), (299, 1), (10**9, 10**7)):
        assert lower_bound_ppm(served, missed) * (served + missed) < served * MILLION


def test_very_many_samples_are_bounded_work_and_never_count_for_more():
    bound = lower_bound_ppm(10**15, 0)
    assert bound == lower_bound_ppm(SAMPLES_COUNTED, 0) < MILLION
    # Half a sample that is left over counts as missed.
    assert lower_bound_ppm(2 * SAMPLES_COUNTED - 1, 1) == lower_bound_ppm(SAMPLES_COUNTED - 1, 1)


def power(length, asked):
    """The same as it is defined, chunk by chunk."""
    lost = ceil(Fraction(length, 100))
    missed = prod(
        (Fraction(max(length - lost - place, 0), length - place) for place in range(asked)),
        start=Fraction(1),
    )
    return floor((1 - missed) * MILLION)


def test_the_power_is_exact_for_all_short_feeds():
    for length in range(1, 131):
        for asked in range(length + 1):
            assert detection_ppm(length, asked) == power(length, asked), (length, asked)


@given(st.integers(1, 100_000), st.integers(0, 400))
@settings(max_examples=100, deadline=None)
def test_the_power_is_exact(length, asked):
    asked = min(asked, length)
    assert detection_ppm(length, asked) == power(length, asked)


POWERS = [
    # chunks, asked for, ppm: of long feeds 1 - 0.99 ** asked
    (1 << 40, 30, 260_299),
    (1 << 40, 300, 950_959),
    (1 << 40, 299, 950_463),
    (1 << 40, 459, 990_079),
    (1_000, 300, 972_296),
    (1_000, 0, 0),
    (40, 12, 300_000),
    (40, 40, MILLION),
    (1, 1, MILLION),
    (1 << 40, SAMPLES_COUNTED, MILLION - 1),
    (1 << 40, 409_600, MILLION - 1),
    (409_700, 409_600, MILLION),
]


@pytest.mark.parametrize(("length", "asked", "expected"), POWERS)
def test_the_power_of_samples(length, asked, expected):
    assert detection_ppm(length, asked) == expected


def test_only_what_must_show_is_certain(monkeypatch):
    assert detection_ppm(1_000, 990) < MILLION == detection_ppm(1_000, 991)
    # The short way is the long one's result.
    monkeypatch.setattr(confidence, "SAMPLES_COUNTED", 10**9)
    assert detection_ppm.__wrapped__(1 << 20, 4_500) == MILLION - 1
