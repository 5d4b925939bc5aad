"""Row 17: an attestor that stays at home and says that nobody answered.

Whatever up to a third of a committee say like that, an honest hoster's score is what it was, it is
paid in full, and they earn less than it costs to say so.
"""

import pytest

from chain.challenges.verdicts import attestor_pay_base, score_of
from tests.chain.challenges.test_settlement import verdicts, visits
from tests.people import ATTESTORS
from tests.stages import drawn, play, settled


def silent_at(*places):
    lazy = {drawn().members[place] for place in places}
    return lambda attestor, plan: "silent" if attestor in lazy else "served"


@pytest.mark.parametrize("place", range(4))
def test_silence_moves_no_score_and_earns_less_than_work(place):
    before, world = drawn(), settled(silent_at(place))
    honest = settled()
    for verdict, other in zip(verdicts(world), verdicts(honest), strict=True):
        assert (verdict.verdict, verdict.score_ppm) == (other.verdict, other.score_ppm)
        assert verdict.paid_base == other.paid_base
        # What it kept from being looked at is not claimed.
        assert verdict.distinct == other.distinct - 3
        assert verdict.lower_bound_ppm < other.lower_bound_ppm
    lazy = world.members[place]
    assert world.balance(lazy) - before.balance(lazy) == -20, "two fees, and nothing earned"


def test_where_most_are_silent_work_is_worth_four_times_as_much():
    world = settled(silent_at(0, 1))
    for verdict in verdicts(world):
        assert verdict.verdict == "unproven"
        paid = [
            attestor_pay_base(world.parameters, world.plan, verdict, visit)
            for member in world.challenge.members
            for visit in world.draft.reports.at(world.challenge.challenge + member).visits
            if visit.contract == verdict.contract
        ]
        assert sorted(paid) == [156, 156, 625, 625]


def test_silence_is_never_taken_for_misconduct_or_for_a_fault():
    world = settled(silent_at(*range(4)))
    for member in world.challenge.members:
        assert world.draft.standings.at(member).strikes == 0
    for contract in world.contracts:
        assert contract.status == "active"
        assert contract.collateral_base == 301


def test_one_that_is_lazy_for_ever_moves_no_score_in_any_round():
    world, lazy = drawn(), ATTESTORS[0]
    for _ in range(3):
        play(world, lambda attestor, plan: "silent" if attestor == lazy else "served")
        for verdict in verdicts(world):
            assert (verdict.verdict, verdict.score_ppm) == ("served", 1_000_000)


def test_of_ten_three_silent_leave_the_median_where_it_is():
    assert score_of(visits(*[3] * 7, *[0] * 3)) == score_of(visits(*[3] * 10))
