"""Anybody adds epochs to a plan, and gets back what of it is not spent."""

import pytest

from chain.bodies.hosting import Offer
from chain.bodies.plans import MAX_EPOCHS, CancelPlan, TopUpPlan
from chain.reasons import Reason
from chain.sponsors import SPONSORS_MAXIMUM, Sponsor
from tests.asking import answer_warnings
from tests.chain.refusals import assert_refused
from tests.people import ATTESTORS, BY_ID, HOSTERS, OFFER, OWNER, create_plan, register
from tests.stages import drawn, lined_up, planned, play, published, sealed, settled

PRICE = 10_000
SPONSOR = ATTESTORS[0]


def top_up(world, person, epochs=1):
    world.must(person, TopUpPlan(plan=world.plan.plan, epochs=epochs))
    return world


def cancel(world):
    world.must(OWNER, CancelPlan(plan=world.plan.plan))
    world.pass_blocks(world.parameters.challenge_blocks)
    assert (world.plan.status, world.plan.escrow_base) == ("ended", 0)


def lefts(world):
    return [contract.epochs_left for contract in world.contracts]


def test_the_price_of_every_replica_goes_into_escrow():
    world = planned()
    before = world.balance(SPONSOR)
    top_up(world, SPONSOR, 2)
    assert world.balance(SPONSOR) == before - 2 * 2 * PRICE - 10
    assert world.plan.escrow_base == 60_000 + 40_000
    assert world.plan.sponsors == (
        Sponsor(account=OWNER.id, part_base=60_000),
        Sponsor(account=SPONSOR.id, part_base=40_000),
    )
    assert lefts(world) == [5, 5]
    # By its terms an owner knows its order again: a stranger does not change them.
    assert world.plan.epochs == 3


def test_a_plan_that_waits_begins_with_more_epochs():
    world = published()
    world.must(OWNER, create_plan(world.library.key, start_height=world.height + 5))
    top_up(world, SPONSOR, 4)
    assert world.plan.vacancies == (7, 7)
    world.pass_until(world.plan.start_height)
    assert lefts(world) == [7, 7]


def test_more_epochs_are_served_and_paid():
    world = top_up(settled(), SPONSOR)
    assert lefts(world) == [3, 3]
    for _ in range(3):
        assert world.plan.status == "running"
        play(world)
    assert world.plan.status == "ended"
    assert [contract.earned_base for contract in world.contracts] == [4 * 7_000] * 2


def test_the_unspent_returns_in_proportion_to_what_was_unspent():
    """Two thirds of the owner's part are left when the sponsor comes; then an epoch is spent."""
    world = settled()
    left = world.plan.escrow_base
    top_up(world, SPONSOR, 3)
    play(world)
    owner, sponsor, escrow = world.balance(OWNER), world.balance(SPONSOR), world.plan.escrow_base
    mine = escrow * left // (left + 60_000)
    cancel(world)
    assert world.balance(OWNER) == owner + mine - 10
    assert world.balance(SPONSOR) == sponsor + escrow - mine


def test_a_plan_that_ends_by_itself_pays_all_sponsors_back():
    """Nobody is paid for silence in full: coins are left when the epochs are over."""
    world = top_up(drawn(), SPONSOR)
    for _ in range(4):
        assert world.plan.status == "running"
        sponsor = world.balance(SPONSOR)
        play(world, lambda attestor, plan: "silent")
        answer_warnings(world)
    assert world.plan.status == "ended"
    assert world.plan.escrow_base == 0
    # It paid a quarter; silence costs a plan less than a fifth of the price.
    assert world.balance(SPONSOR) > sponsor + 20_000 * 8 // 10


def test_what_was_added_is_spent_for_a_challenge_under_way_as_agreed():
    for stage in (lined_up, drawn, sealed):
        world = play(top_up(stage(), SPONSOR))
        assert lefts(world) == [3, 3]
        assert [contract.earned_base for contract in world.contracts] == [7_000, 7_000]


def test_a_replica_that_has_been_served_is_vacant_again():
    """One hoster is faster than the other: its place is over while the plan goes on."""
    world = published()
    world.must(OWNER, create_plan(world.library.key, epochs=1))
    world.pass_blocks()
    first, second = world.contracts
    world.must(BY_ID[first.hoster], world.acknowledge(first))
    world.must(BY_ID[second.hoster], world.acknowledge(second))
    play(world)
    assert [one.status for one in world.contracts] == ["ended", "active"]
    top_up(world, SPONSOR, 2)
    assert (world.plan.vacancies, len(world.contracts)) == ((2,), 2)
    # By the beacon of this block, which the sponsor could not know.
    world.pass_blocks()
    assert [one.epochs_left for one in world.contracts] == [0, 3, 2]
    assert world.contracts[2].status == "assigned"
    assert world.contracts[2].hoster not in (first.hoster, second.hoster)


@pytest.mark.parametrize(
    "offer",
    [
        None,
        OFFER.model_copy(update={"capacity_bytes": 1}),
        Offer(capacity_bytes=1 << 30, price_base_per_gib=1 << 40),
    ],
)
def test_no_hoster_is_held_to_a_price_that_it_offers_no_more(offer):
    world = settled()
    goes = world.contracts[1]
    world.must(BY_ID[goes.hoster], register(BY_ID[goes.hoster], offer=offer))
    top_up(world, SPONSOR, 2)
    assert lefts(world) == [4, 2]
    assert [one.handed_on for one in world.contracts] == [0, 2]
    play(world)
    play(world)
    assert [one.status for one in world.contracts] == ["active", "ended"]
    assert world.plan.vacancies == (2,)
    world.pass_blocks()
    assert [one.epochs_left for one in world.contracts] == [2, 0, 2]
    cancel(world)


def test_a_fault_hands_on_what_its_hoster_was_not_held_to():
    world = drawn()
    for contract in world.contracts:
        hoster = BY_ID[contract.hoster]
        world.must(hoster, register(hoster, offer=None))
    top_up(world, SPONSOR, 2)
    play(world, lambda attestor, plan: "fault")
    served = [contract.epochs_left for contract in world.contracts[2:]]
    assert sorted((*world.plan.vacancies, *served)) == [4, 4]


def test_the_last_epoch_of_a_cancelled_plan_is_not_handed_on():
    world = published()
    world.must(OWNER, create_plan(world.library.key, replicas=1, epochs=1))
    world.pass_blocks()
    (contract,) = world.contracts
    hoster = BY_ID[contract.hoster]
    world.must(hoster, world.acknowledge(contract))
    world.must(hoster, register(hoster, offer=None))
    top_up(world, SPONSOR)
    world.must(OWNER, CancelPlan(plan=world.plan.plan))
    play(world)
    assert (world.plan.status, world.plan.vacancies, world.plan.escrow_base) == ("ended", (), 0)


def test_so_many_epochs_lie_ahead_of_a_replica_and_no_more():
    world = published()
    world.must(OWNER, create_plan(world.library.key, replicas=1, price_base=1))
    top_up(world, SPONSOR, MAX_EPOCHS - 3)
    assert lefts(world) == [MAX_EPOCHS]
    body = TopUpPlan(plan=world.plan.plan, epochs=1)
    assert_refused(world, OWNER, body, Reason.TOO_MANY_EPOCHS)
    (contract,) = world.contracts
    hoster = BY_ID[contract.hoster]
    world.must(hoster, register(hoster, offer=None))
    assert_refused(world, OWNER, body, Reason.TOO_MANY_EPOCHS)


def test_an_unknown_plan_is_refused():
    assert_refused(planned(), OWNER, TopUpPlan(plan=b"p" * 32, epochs=1), Reason.UNKNOWN_PLAN)


@pytest.mark.parametrize("stage", [planned, drawn])
def test_a_plan_that_ends_takes_no_coins(stage):
    world = stage()
    world.must(OWNER, CancelPlan(plan=world.plan.plan))
    assert_refused(world, OWNER, TopUpPlan(plan=world.plan.plan, epochs=1), Reason.PLAN_CLOSED)


def test_nobody_adds_what_it_does_not_have():
    world = planned()
    body = TopUpPlan(plan=world.plan.plan, epochs=MAX_EPOCHS)
    assert_refused(world, HOSTERS[0], body, Reason.INSUFFICIENT_BALANCE)


def test_a_place_among_the_sponsors_is_not_for_small_change():
    world = published()
    world.must(OWNER, create_plan(world.library.key, epochs=SPONSORS_MAXIMUM + 1, price_base=100))
    body = TopUpPlan(plan=world.plan.plan, epochs=1)
    assert_refused(world, SPONSOR, body, Reason.TOP_UP_TOO_SMALL)
    world.must(OWNER, body)
    top_up(world, SPONSOR, 2)


def test_a_plan_has_so_many_sponsors_and_no_more():
    world = planned()
    full = tuple(
        Sponsor(account=bytes([number]) * 32, part_base=1) for number in range(SPONSORS_MAXIMUM)
    )
    key = next(key for key in world.state.records if key[0].name == "PLAN")
    world.state.records[key] = world.plan.model_copy(update={"sponsors": full})
    body = TopUpPlan(plan=world.plan.plan, epochs=1)
    assert_refused(world, SPONSOR, body, Reason.TOO_MANY_SPONSORS)
