"""An owner ends a plan before its epochs are served."""

import pytest

from chain.bodies.plans import CancelPlan
from chain.reasons import Reason
from chain.records import RosterName, stake_key
from tests.chain.refusals import assert_refused
from tests.people import BY_ID, HOSTERS, OWNER, STRANGER, create_plan, register
from tests.stages import drawn, lined_up, planned, play, published, sealed, settled

PRICE = 10_000


def cancel(world):
    body = CancelPlan(plan=world.plan.plan)
    world.must(OWNER, body)
    return world


def unfilled():
    """A plan of four replicas, of which no hoster wants any."""
    world = published()
    for hoster in HOSTERS:
        world.must(hoster, register(hoster, offer=None))
    world.must(OWNER, create_plan(world.library.key, replicas=4))
    world.pass_blocks()
    assert (world.contracts, len(world.plan.vacancies)) == ([], 4)
    return world


def assert_over(world):
    """Nothing of the plan is left anywhere."""
    plan = world.plan
    assert (plan.status, plan.vacancies, plan.escrow_base) == ("ended", (), 0)
    assert world.draft.roster(RosterName.ACTIVE_CONTRACTS) == ()
    for contract in world.contracts:
        assert (contract.status, contract.collateral_base) == ("ended", 0)
        assert world.draft.stakes.at(stake_key("hoster", contract.hoster)).locked_base == 0
        assert world.draft.registrations.at(contract.hoster).hosted_bytes == 0
        assert world.draft.desks.at(contract.hoster).contracts == ()


def test_what_nobody_hosts_is_recovered_at_once():
    world = unfilled()
    before = world.balance(OWNER)
    cancel(world)
    assert_over(world)
    assert world.balance(OWNER) == before + 4 * 3 * PRICE - 10
    # What was due for the plan finds it ended.
    world.must(HOSTERS[0], register(HOSTERS[0]))
    world.pass_blocks(3 * world.parameters.acknowledge_blocks)
    assert_over(world)


def test_a_plan_that_has_not_begun_never_begins():
    world = published()
    before = world.balance(OWNER)
    world.must(OWNER, create_plan(world.library.key, start_height=world.height + 5))
    cancel(world)
    assert world.balance(OWNER) == before - 20
    world.pass_blocks(10)
    assert (world.plan.status, world.contracts) == ("ended", [])


def test_assigned_hosters_are_let_go_without_a_penalty():
    world = planned()
    before = world.balance(OWNER)
    cancel(world)
    assert_over(world)
    assert world.balance(OWNER) == before + 60_000 - 10
    contract = world.contracts[0]
    hoster, body = BY_ID[contract.hoster], world.acknowledge(contract)
    assert_refused(world, hoster, body, Reason.CONTRACT_CLOSED)
    world.pass_until(contract.acknowledge_by + 1)
    assert_over(world)


def test_with_no_challenge_under_way_hosted_contracts_end_at_once():
    world = settled()
    before = world.balance(OWNER)
    assert world.draft.meta.open_challenges == () and world.draft.line_ups.get(b"") is None
    cancel(world)
    assert_over(world)
    assert world.balance(OWNER) == before + 2 * 2 * PRICE - 10


@pytest.mark.parametrize("stage", [lined_up, drawn, sealed])
def test_a_challenge_under_way_is_concluded_and_paid(stage):
    world = stage()
    cancel(world)
    plan = world.plan
    latest = world.height + world.parameters.challenge_blocks
    assert (plan.status, plan.ends_at, plan.escrow_base) == ("ending", latest, 60_000)
    assert world.draft.roster(RosterName.ACTIVE_CONTRACTS) == ()
    play(world)
    assert world.challenge.epoch == 1
    assert [contract.earned_base for contract in world.contracts] == [7_000, 7_000]
    assert [contract.status for contract in world.contracts] == ["active", "active"]
    before = world.balance(OWNER)
    world.pass_until(latest - 1)
    # Nothing of it was drawn again, though an epoch has passed.
    assert world.draft.line_ups.get(b"") is None and world.draft.meta.epoch == 1
    assert world.plan.status == "ending"
    world.pass_blocks()
    assert_over(world)
    assert world.balance(OWNER) == before + 2 * 2 * PRICE


def test_the_last_epoch_of_a_cancelled_plan_ends_it_before_its_time():
    world = published()
    world.must(OWNER, create_plan(world.library.key, replicas=1, epochs=1))
    world.pass_blocks()
    (contract,) = world.contracts
    world.must(BY_ID[contract.hoster], world.acknowledge(contract))
    cancel(world)
    play(world)
    assert world.height < world.plan.ends_at
    assert_over(world)
    world.pass_until(world.plan.ends_at + 1)
    assert_over(world)


def test_a_fault_in_a_cancelled_plan_is_slashed_and_nobody_takes_the_place():
    world = cancel(drawn())
    play(world, lambda attestor, plan: "fault")
    assert_over(world)
    for contract in world.contracts:
        assert (
            world.draft.stakes.at(stake_key("hoster", contract.hoster)).amount_base == 2_000 - 301
        )
    assert len(world.contracts) == 2


def test_other_plans_go_on():
    world = planned()
    first = world.plan.plan
    world.must(OWNER, create_plan(world.library.key, replicas=1))
    world.must(OWNER, CancelPlan(plan=first))
    world.pass_blocks()
    assert world.draft.plans.at(first).status == "ended"
    assert (world.plan.status, len(world.contracts)) == ("running", 1)


@pytest.mark.parametrize(
    ("person", "stage", "reason"),
    [(STRANGER, drawn, Reason.NOT_THE_OWNER), (HOSTERS[0], planned, Reason.NOT_THE_OWNER)],
)
def test_only_the_owner_cancels(person, stage, reason):
    world = stage()
    assert_refused(world, person, CancelPlan(plan=world.plan.plan), reason)


def test_an_unknown_plan_is_refused():
    assert_refused(planned(), OWNER, CancelPlan(plan=b"p" * 32), Reason.UNKNOWN_PLAN)


def test_a_plan_is_cancelled_once():
    for world in (cancel(unfilled()), cancel(drawn())):
        assert_refused(world, OWNER, CancelPlan(plan=world.plan.plan), Reason.PLAN_CLOSED)
