"""What is offered for room in a block: the least, then ever more, never above the limit."""

from hypothesis import given
from hypothesis import strategies as some

from chain.fees import offer_base, replacement_base

LEAST, LIMIT = 1_330, 10_000


def offers(begun: int, by_height: int) -> list[int]:
    """What is offered for each of the blocks up to the deadline."""
    return [offer_base(LEAST, LIMIT, begun, by_height, now) for now in range(begun, by_height)]


def test_a_quarter_of_the_time_the_least_and_in_the_other_half_the_limit():
    made = offers(100, 120)
    assert made[:6] == [LEAST] * 6
    assert made[6:10] == [LEAST, 2 * LEAST, 2 * LEAST, 4 * LEAST]
    assert made[10:] == [LIMIT] * 10


def test_who_keeps_a_report_out_pays_several_times_what_the_least_fee_would_cost_it():
    made = offers(100, 120)
    assert sum(made) > 4 * len(made) * LEAST


def test_one_block_is_left_and_all_is_offered_that_may_be():
    assert offers(100, 101) == [LIMIT]


@given(
    some.integers(0, 10**6), some.integers(0, 10**9), some.integers(0, 99), some.integers(1, 600)
)
def test_offers_never_fall_and_stay_between_the_least_and_the_limit(least, limit, begun, blocks):
    made = [offer_base(least, limit, begun, begun + blocks, begun + n) for n in range(blocks)]
    assert made == sorted(made)
    assert all(least <= each <= max(least, limit) for each in made)


def test_a_tenth_more_replaces_rounded_up():
    assert [replacement_base(each) for each in (0, 1, 10, 11, 1_000)] == [0, 2, 11, 13, 1_100]
