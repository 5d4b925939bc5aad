"""What fails while a hoster is away as it has announced is not held against it."""

import pytest

from attestor.schedule import MILLION, join_at_ms, longest_visit_ms
from audit.plan import VisitPlan
from chain.bodies.data import Maintain
from chain.challenges.judging import was_away
from chain.hosting_records import Absence
from tests.people import BY_ID, PARAMETERS, genesis
from tests.stages import drawn, lined_up, play


def silent_to(world, hoster, how="silent"):
    name = next(one.contract for one in world.contracts if one.hoster == hoster)
    return lambda attestor, plan: how if plan.contract == name else "served"


def verdict(world, hoster):
    contract = next(one.contract for one in world.contracts if one.hoster == hoster)
    return world.draft.verdicts.at(world.challenge.challenge + contract)


@pytest.mark.parametrize(
    ("how", "found"), [("silent", "skipped"), ("served", "served"), ("fault", "fault")]
)
def test_who_is_away_as_announced_loses_nothing_by_it_but_the_epoch(how, found):
    world = lined_up()
    world.genesis = genesis(PARAMETERS.model_copy(update={"maintenance_blocks": 100}))
    hoster = world.contracts[0].hoster
    begins = world.height + 1 + world.parameters.challenge_blocks
    world.must(BY_ID[hoster], Maintain(from_height=begins, blocks=60))
    world.pass_until(begins)
    before = world.contracts[0]
    play(world, silent_to(world, hoster, how))
    (listed,) = [one for one in world.draw.eligible if one.contract == before.contract]
    assert listed.absences == (Absence(from_height=begins, until_height=begins + 60),)
    assert verdict(world, hoster).verdict == found
    after = world.contracts[0]
    if found == "skipped":
        assert after.epochs_left == before.epochs_left and after.warned is None
        assert verdict(world, hoster).reports == 0
    other = world.contracts[1].hoster
    assert verdict(world, other).verdict == "served"


def test_what_is_announced_during_a_challenge_begins_after_it():
    world = lined_up()
    world.pass_until(world.line_up.draw_height)
    hoster = world.contracts[0].hoster
    begins = world.height + 1 + PARAMETERS.challenge_blocks
    world.must(BY_ID[hoster], Maintain(from_height=begins, blocks=3))
    assert all(not one.absences for one in world.draw.eligible)
    play(world, silent_to(world, hoster))
    assert world.challenge.opening_deadline < begins
    assert verdict(world, hoster).verdict == "unproven"


@pytest.mark.parametrize("join_ppm", [0, 1, 250_000, 999_999])
@pytest.mark.parametrize("window", [5, 48, 200, 10_000])
@pytest.mark.parametrize("allowance_ms", [0, 30_000, 10**9])
def test_attestors_begin_when_the_chain_says_that_they_do(join_ppm, window, allowance_ms):
    plan = VisitPlan(b"c" * 32, join_ppm, (0,))
    longest_ms = longest_visit_ms(allowance_ms, window, 1_000)
    begins = 100 + join_at_ms(plan, window, 1_000, longest_ms) // 1_000
    first, last = plan.heights(100, window)
    assert first <= begins <= last
    assert last - 100 <= window * join_ppm // MILLION


@pytest.mark.parametrize(
    ("join_ppm", "absence", "away"),
    [
        (500_000, (100, 130), False),
        (500_000, (100, 131), True),
        (500_000, (130, 131), True),
        (500_000, (200, 201), True),
        (500_000, (201, 300), False),
        (0, (100, 101), True),
        (0, (101, 300), False),
        (0, (90, 100), False),
    ],
)
def test_a_visit_is_excused_only_when_it_may_have_begun_in_the_absence(join_ppm, absence, away):
    """Half a window of 200 blocks on, from height 100: between 130 and 200."""
    world = drawn()
    challenge = world.challenge.model_copy(update={"window_start": 100, "window_end": 300})
    begins, ends = absence
    contract = world.draw.eligible[0].model_copy(
        update={"absences": (Absence(from_height=begins, until_height=ends),)}
    )
    plan = VisitPlan(contract.contract, join_ppm, (0,))
    assert was_away(challenge, contract, plan) is away
    assert not was_away(challenge, contract.model_copy(update={"absences": ()}), plan)


def test_absences_that_are_over_are_not_drawn():
    world = lined_up()
    hoster = world.contracts[0].hoster
    begins = world.height + 1 + PARAMETERS.challenge_blocks
    world.must(BY_ID[hoster], Maintain(from_height=begins, blocks=1))
    world.pass_until(begins + PARAMETERS.challenge_blocks)
    play(world)
    assert world.draw.height > begins
    assert all(not one.absences for one in world.draw.eligible)
