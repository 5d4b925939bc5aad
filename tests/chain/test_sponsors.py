"""The parts of several sponsors add up, and nobody pays for who came before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.reasons import Reason
from chain.sponsors import SPONSORS_MAXIMUM, Sponsor, joined, parts
from wire.errors import Rejected

COINS = st.integers(1, 2**62)


def account(number):
    return number.to_bytes(32, "big")


def sharing(*shares):
    return tuple(Sponsor(account=account(n), part_base=share) for n, share in enumerate(shares))


def shares_of(sponsors):
    return [sponsor.part_base for sponsor in sponsors]


@pytest.mark.parametrize(
    ("escrow", "shares", "found"),
    [
        (100, (100,), (100,)),
        (7, (100,), (7,)),
        (0, (30, 70), (0, 0)),
        (50, (30, 70), (15, 35)),
        (10, (1, 1, 1), (3, 3, 4)),
        (2, (1, 1, 1), (0, 1, 1)),
        (1, (2**62, 1), (0, 1)),
    ],
)
def test_parts_are_in_proportion_and_leave_nothing(escrow, shares, found):
    assert parts(escrow, sharing(*shares)) == found


@given(st.lists(COINS, min_size=1, max_size=SPONSORS_MAXIMUM), st.data())
def test_each_part_is_within_one_unit_of_its_proportion(shares, data):
    escrow = data.draw(st.integers(0, sum(shares)))
    found = parts(escrow, sharing(*shares))
    assert sum(found) == escrow
    for part, share in zip(found, shares, strict=True):
        assert abs(part * sum(shares) - escrow * share) < sum(shares)
        assert 0 <= part <= share


@given(st.lists(COINS, min_size=1, max_size=SPONSORS_MAXIMUM), st.data())
def test_splitting_again_with_nothing_spent_changes_nothing(shares, data):
    escrow = data.draw(st.integers(1, sum(shares)))
    once = parts(escrow, sharing(*shares))
    assert parts(escrow, sharing(*once)) == once


def test_who_comes_late_does_not_pay_back_who_came_first():
    """The first has had 990 of its 1,000 units' worth: 10 are left to return, not half."""
    both = joined(sharing(1_000), 10, account(1), 1_000)
    assert shares_of(both) == [10, 1_000]
    assert parts(1_010, both) == (10, 1_000)


def test_a_sponsor_that_adds_keeps_its_place():
    again = joined(sharing(40, 60), 50, account(0), 5)
    assert again == sharing(25, 30)


def test_a_newcomer_brings_a_64th_of_the_escrow():
    assert shares_of(joined(sharing(6_401), 6_401, account(1), 101)) == [6_401, 101]
    with pytest.raises(Rejected) as refused:
        joined(sharing(6_401), 6_401, account(1), 100)
    assert refused.value.reason == Reason.TOP_UP_TOO_SMALL
    assert joined(sharing(6_401), 6_401, account(0), 1) == sharing(6_402)


def test_there_is_room_for_so_many_and_those_may_always_add():
    full = sharing(*[10] * SPONSORS_MAXIMUM)
    with pytest.raises(Rejected) as refused:
        joined(full, 640, account(64), 10_000)
    assert refused.value.reason == Reason.TOO_MANY_SPONSORS
    assert shares_of(joined(full, 640, account(63), 1))[-1] == 11
    assert len(joined(full[1:], 630, account(64), 10)) == SPONSORS_MAXIMUM


def test_to_take_all_places_costs_more_than_the_escrow():
    sponsors, escrow = sharing(10**9), 10**9
    for number in range(1, SPONSORS_MAXIMUM):
        least = -(-escrow // SPONSORS_MAXIMUM)
        sponsors = joined(sponsors, escrow, account(number), least)
        escrow += least
    assert escrow - 10**9 > 10**9
