"""A hoster leaves with notice: no new contracts, and somebody else for those at hand."""

import pytest

from chain.bodies.hosting import Drain
from chain.bodies.plans import CancelPlan, TopUpPlan
from chain.reasons import Reason
from chain.records import RosterName, stake_key
from tests.chain.refusals import assert_refused
from tests.people import BY_ID, HOSTERS, OWNER, STRANGER, create_plan, register
from tests.stages import drawn, lined_up, planned, play, published, settled


def ordered(epochs=5, replicas=1):
    """A plan whose hosters are active."""
    world = published()
    world.must(OWNER, create_plan(world.library.key, epochs=epochs, replicas=replicas))
    world.pass_blocks()
    world.block(*(world.sign(BY_ID[c.hoster], world.acknowledge(c)) for c in world.contracts))
    return world


def drain(world, person, *contracts, on=True):
    world.must(person, Drain(on=on, leave=tuple(one.contract for one in contracts)))
    return world


def states(world):
    return [(one.status, one.leaving, one.epochs_left) for one in world.contracts]


def locked(world, person):
    return world.draft.stakes.at(stake_key("hoster", person.id)).locked_base


def test_who_drains_gets_no_new_contract():
    world = published()
    for hoster in HOSTERS[1:]:
        drain(world, hoster)
    world.must(OWNER, create_plan(world.library.key, replicas=3))
    world.pass_blocks(world.parameters.acknowledge_blocks + 1)
    assert [contract.hoster for contract in world.contracts] == [HOSTERS[0].id]
    assert world.draft.roster(RosterName.HOSTERS) == (HOSTERS[0].id,)


def test_a_daemon_that_registers_again_goes_on_draining():
    world = drain(published(), HOSTERS[0])
    world.must(HOSTERS[0], register(HOSTERS[0], operator="Other"))
    assert world.draft.registrations.at(HOSTERS[0].id).draining
    assert HOSTERS[0].id not in world.draft.roster(RosterName.HOSTERS)


def test_who_comes_back_is_as_new_to_the_list():
    """Else it could join an assignment whose seed it knows."""
    world = drain(drain(published(), HOSTERS[0]), HOSTERS[0], on=False)
    registration = world.draft.registrations.at(HOSTERS[0].id)
    assert (registration.draining, registration.since_height) == (False, world.height)
    assert HOSTERS[0].id in world.draft.roster(RosterName.HOSTERS)


def test_to_say_it_twice_changes_nothing():
    world = published()
    before = world.draft.registrations.at(HOSTERS[0].id)
    drain(world, HOSTERS[0], on=False)
    assert world.draft.registrations.at(HOSTERS[0].id) == before


def test_somebody_else_is_sought_while_the_hoster_serves_on():
    world = ordered()
    (contract,) = world.contracts
    hoster = BY_ID[contract.hoster]
    drain(world, hoster, contract)
    assert (states(world), world.plan.vacancies) == ([("active", True, 2)], (3,))
    # Not in this block: the hoster knew the beacon that would choose.
    world.pass_blocks()
    assert states(world) == [("active", True, 2), ("assigned", False, 3)]
    assert locked(world, hoster) == 301
    world.must(BY_ID[world.contracts[1].hoster], world.acknowledge(world.contracts[1]))
    for _ in range(2):
        play(world)
    assert [one.status for one in world.contracts] == ["ended", "active"]
    assert world.contracts[0].earned_base == 2 * 7_000
    assert (locked(world, hoster), world.plan.status) == (0, "running")


def test_all_that_was_ordered_is_served_and_no_more():
    world = ordered(epochs=3)
    drain(world, BY_ID[world.contracts[0].hoster], world.contracts[0])
    world.pass_blocks()
    world.must(BY_ID[world.contracts[1].hoster], world.acknowledge(world.contracts[1]))
    while world.plan.status == "running":
        play(world)
    assert [one.earned_base for one in world.contracts] == [2 * 7_000, 7_000]
    assert world.plan.escrow_base == 0


@pytest.mark.parametrize("stage", [lined_up, drawn])
def test_to_leave_dodges_nothing_that_is_lined_up(stage):
    world = stage()
    goes = world.contracts[0]
    drain(world, BY_ID[goes.hoster], goes)
    play(world, lambda attestor, plan: "fault")
    stake = world.draft.stakes.at(stake_key("hoster", goes.hoster))
    assert (stake.amount_base, stake.locked_base) == (2_000 - 301, 0)
    # The replica had been handed over already: only what the other left is sought beside it.
    taken = [one.epochs_left for one in world.contracts[2:] if one.status != "lapsed"]
    assert sorted((*taken, *world.plan.vacancies)) == [1, 2]


def test_an_assignment_that_is_not_wanted_lapses_at_once():
    world = planned()
    goes = world.contracts[0]
    drain(world, BY_ID[goes.hoster], goes)
    assert world.contracts[0].status == "lapsed"
    assert world.draft.desks.at(goes.hoster).contracts == ()
    assert world.plan.vacancies == (3,)
    world.pass_blocks()
    assert len(world.contracts) == 3


def test_a_contract_in_its_last_epochs_ends_as_it_would_have():
    world = settled()
    goes = world.contracts[0]
    drain(world, BY_ID[goes.hoster], goes)
    assert (states(world)[0], world.plan.vacancies) == (("active", True, 2), ())
    for _ in range(2):
        play(world)
    assert world.plan.status == "ended"


def test_a_top_up_is_for_the_next_in_the_place():
    """The replicas that are paid for are as many as were ordered, whoever leaves."""
    world = ordered()
    goes = world.contracts[0]
    drain(world, BY_ID[goes.hoster], goes)
    before = world.plan.escrow_base
    world.must(OWNER, TopUpPlan(plan=world.plan.plan, epochs=4))
    world.pass_blocks()
    assert [left for _, _, left in states(world)] == [2, 7]
    assert world.plan.escrow_base == before + 4 * 10_000

    world = settled()
    goes = world.contracts[0]
    drain(world, BY_ID[goes.hoster], goes)
    world.must(OWNER, TopUpPlan(plan=world.plan.plan, epochs=4))
    world.pass_blocks()
    assert [left for _, _, left in states(world)] == [2, 6, 4]


def test_what_is_not_the_hosters_to_leave_is_refused():
    world = planned()
    first, second = world.contracts
    hoster, other = BY_ID[first.hoster], BY_ID[second.hoster]
    for person, contract, reason in (
        (other, first.contract, Reason.NOT_THE_HOSTER),
        (hoster, b"c" * 32, Reason.UNKNOWN_CONTRACT),
        (STRANGER, first.contract, Reason.NOT_REGISTERED),
    ):
        assert_refused(world, person, Drain(on=True, leave=(contract,)), reason)
    world.must(hoster, world.acknowledge(first))
    body = Drain(on=False, leave=(first.contract,))
    assert_refused(
        world, hoster, body.model_copy(update={"leave": body.leave * 2}), Reason.ALREADY_LEAVING
    )
    world.must(hoster, body)
    assert_refused(world, hoster, body, Reason.ALREADY_LEAVING)
    drain(world, other, second)
    body = Drain(on=True, leave=(second.contract,))
    assert_refused(world, other, body, Reason.CONTRACT_CLOSED)


def test_a_contract_of_a_cancelled_plan_ends_by_itself():
    world = drawn()
    world.must(OWNER, CancelPlan(plan=world.plan.plan))
    goes = world.contracts[0]
    body = Drain(on=True, leave=(goes.contract,))
    assert_refused(world, BY_ID[goes.hoster], body, Reason.ALREADY_LEAVING)
