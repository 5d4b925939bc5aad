"""Strikes of an attestor: one warns, more suspend, clean rounds take them back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.genesis import Parameters
from chain.standing import STRIKES, Standing, after_clean_round, after_offence

PARAMETERS = Parameters(epoch_blocks=100, suspension_epochs_maximum=8, cooling_rounds=3)
OFFENCES = st.sampled_from(sorted(STRIKES))


def after(*events, start=None, height=1_000):
    """The standing after these, all at one height; `clean` is a clean round."""
    standing = start or Standing()
    for event in events:
        if event == "clean":
            standing = after_clean_round(standing, PARAMETERS)
        else:
            standing = after_offence(standing, event, PARAMETERS, height)
    return standing


ESCALATION = [
    # offences, strikes, epochs of rest
    ([], 0, 0),
    (["late"], 1, 0),
    (["late", "missing"], 2, 1),
    (["missing"] * 3, 3, 2),
    (["void"] * 4, 4, 4),
    (["void"] * 5, 5, 8),
    (["void"] * 6, 5, 8),
    (["missing"] * 100, 5, 8),
    (["forged"], 3, 2),
    (["forged", "forged"], 5, 8),
    (["late", "forged"], 4, 4),
]


@pytest.mark.parametrize(("offences", "strikes", "epochs"), ESCALATION)
def test_offences_escalate_from_a_warning_to_a_longest_rest(offences, strikes, epochs):
    standing = after(*offences)
    assert standing.strikes == strikes
    assert standing.suspended_until == (1_000 + epochs * 100 if epochs else 0)


@pytest.mark.parametrize("longest", [1, 2, 3, 6, 8, 9, 1 << 20])
def test_the_longest_rest_is_as_long_as_the_network_says(longest):
    parameters = Parameters(epoch_blocks=100, suspension_epochs_maximum=longest)
    standing = Standing()
    for _ in range(40):
        standing = after_offence(standing, "void", parameters, 1_000)
    assert standing.suspended_until == 1_000 + 100 * longest


def test_the_first_offence_only_warns():
    standing = after("missing")
    assert standing.says(1_000) == "warned"
    assert Standing().says(1_000) == "good"


def test_a_suspension_ends_at_its_height_and_the_warning_stays():
    standing = after("missing", "missing")
    assert [standing.says(height) for height in (1_099, 1_100)] == ["suspended", "warned"]


def test_clean_rounds_take_back_one_strike_at_a_time():
    standing = after("late", "late", *["clean"] * 2)
    assert (standing.strikes, standing.clean_rounds) == (2, 2)
    standing = after("clean", start=standing)
    assert (standing.strikes, standing.clean_rounds) == (1, 0)
    standing = after(*["clean"] * 3, start=standing)
    assert (standing.strikes, standing.says(10**9)) == (0, "good")
    assert standing.late == 2


def test_an_offence_begins_the_cooling_anew():
    standing = after("late", "clean", "clean", "late", "clean", "clean")
    assert (standing.strikes, standing.clean_rounds) == (2, 2)


def test_clean_rounds_before_an_offence_excuse_none():
    assert after(*["clean"] * 100, "void", "void").strikes == 2


def test_a_later_offence_never_shortens_a_rest():
    long = after(*["void"] * 5)
    cooled = after(*["clean"] * 9, start=long)
    assert cooled.strikes == 2
    assert after("late", start=cooled).suspended_until == long.suspended_until


@given(st.lists(st.one_of(OFFENCES, st.just("clean")), max_size=60))
def test_every_offence_is_counted_by_its_kind(events):
    standing = after(*events)
    for offence in STRIKES:
        assert getattr(standing, offence) == events.count(offence)
    assert standing.suspended_until <= 1_000 + 8 * 100
    assert standing.strikes <= 5


@given(st.lists(OFFENCES, max_size=30))
def test_enough_clean_rounds_forgive_everything(offences):
    standing = after(*offences, *["clean"] * (5 * PARAMETERS.cooling_rounds))
    assert standing.strikes == 0
