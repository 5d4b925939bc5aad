"""A hoster says that it holds an assigned feed."""

import pytest

from chain.bodies.coins import Stake, Unstake
from chain.bodies.feeds import UpdateHead
from chain.reasons import Reason
from chain.records import RosterName, stake_key
from tests.chain.refusals import assert_refused
from tests.people import BY_ID, OFFER, OWNER, STRANGER, Library, create_plan, register
from tests.stages import drawn, planned


def hoster_of(contract):
    return BY_ID[contract.hoster]


def lengthen(world, chunks):
    longer = Library("library", chunks)
    body = UpdateHead(feed=longer.key, head=longer.head(), source=OWNER.endpoint)
    world.must(OWNER, body)


def test_collateral_makes_an_assigned_contract_active():
    world = planned()
    contract = world.contracts[0]
    assert (contract.status, contract.head) == ("assigned", None)
    world.must(hoster_of(contract), world.acknowledge(contract))
    contract = world.contracts[0]
    assert (contract.status, contract.collateral_base) == ("active", 301)
    assert contract.head == world.draft.feeds.at(contract.feed).head
    stake = world.draft.stakes.at(stake_key("hoster", contract.hoster))
    assert (stake.amount_base, stake.locked_base) == (2_000, 301)
    assert world.draft.roster(RosterName.ACTIVE_CONTRACTS) == (contract.contract,)


def test_an_active_contract_follows_the_head_without_more_collateral():
    world = drawn()
    lengthen(world, 50)
    contract = world.contracts[0]
    assert contract.head.length == 40
    world.must(hoster_of(contract), world.acknowledge(contract))
    assert world.contracts[0].head.length == 50
    stake = world.draft.stakes.at(stake_key("hoster", contract.hoster))
    assert stake.locked_base == 301


def test_the_last_block_before_the_deadline_is_early_enough():
    world = planned()
    contract = world.contracts[0]
    world.pass_until(contract.acknowledge_by - 1)
    world.must(hoster_of(contract), world.acknowledge(contract))
    assert world.contracts[0].status == "active"


def grown(world, chunks=50):
    """The library grows; its new size."""
    lengthen(world, chunks)
    return world.draft.feeds.at(world.library.key).head.byte_length


def hosted(world, contract):
    return world.draft.registrations.at(contract.hoster).hosted_bytes


def offer(world, hoster, **changes):
    body = register(hoster, offer=OFFER.model_copy(update=changes))
    world.must(hoster, body)


def test_a_grown_feed_counts_against_the_offer_with_its_new_size():
    for world in (planned(), drawn()):
        size = grown(world)
        contract = world.contracts[0]
        assert hosted(world, contract) == contract.bytes < size
        world.must(hoster_of(contract), world.acknowledge(contract))
        assert world.contracts[0].bytes == hosted(world, contract) == size
        assert world.contracts[1].bytes == hosted(world, world.contracts[1]) < size


def test_a_feed_that_was_cut_short_leaves_room_again():
    world = drawn()
    contract = world.contracts[0]
    shorter = Library("library", 10)
    body = UpdateHead(feed=shorter.key, head=shorter.head(fork=1), source=OWNER.endpoint)
    world.must(OWNER, body)
    world.must(hoster_of(contract), world.acknowledge(contract))
    size = world.draft.feeds.at(shorter.key).head.byte_length
    assert world.contracts[0].bytes == hosted(world, contract) == size < contract.bytes


SIZE = sum(len(f"chunk {number} of this library") for number in range(50))
DEAREST = 10_000 * (1 << 30) // SIZE


@pytest.mark.parametrize("stage", [planned, drawn])
@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({"capacity_bytes": SIZE}, True),
        ({"capacity_bytes": SIZE - 1}, False),
        ({"price_base_per_gib": DEAREST}, True),
        ({"price_base_per_gib": DEAREST + 1}, False),
        (None, False),
    ],
)
def test_growth_beyond_the_offer_is_refused(stage, change, fits):
    world = stage()
    assert grown(world) == SIZE
    contract = world.contracts[0]
    hoster, body = hoster_of(contract), world.acknowledge(contract)
    offered = None if change is None else OFFER.model_copy(update=change)
    world.must(hoster, register(hoster, offer=offered))
    if fits:
        world.must(hoster, body)
    else:
        assert_refused(world, hoster, body, Reason.BEYOND_OFFER)


def test_growth_counts_beside_what_else_is_hosted():
    world = drawn()
    first = world.contracts[0]
    hoster = hoster_of(first)
    offer(world, hoster, capacity_bytes=first.bytes + SIZE)
    world.must(OWNER, create_plan(first.feed, replicas=3))
    world.pass_blocks()
    second = next(one for one in world.contracts if one.hoster == first.hoster)
    grown(world)
    world.must(hoster, world.acknowledge(first))
    assert_refused(world, hoster, world.acknowledge(second), Reason.BEYOND_OFFER)
    offer(world, hoster, capacity_bytes=2 * SIZE)
    world.must(hoster, world.acknowledge(second))
    assert hosted(world, first) == 2 * SIZE


def test_what_was_assigned_may_be_acknowledged_whatever_is_offered_now():
    world = planned()
    contract = world.contracts[0]
    hoster = hoster_of(contract)
    world.must(hoster, register(hoster, offer=None))
    world.must(hoster, world.acknowledge(contract))
    assert world.contracts[0].status == "active"


def test_an_unknown_contract_is_refused():
    world = planned()
    contract = world.contracts[0]
    body = world.acknowledge(contract, contract=b"c" * 32)
    assert_refused(world, hoster_of(contract), body, Reason.UNKNOWN_CONTRACT)


def test_another_ones_contract_is_refused():
    world = planned()
    first, second = world.contracts
    for person in (STRANGER, OWNER, hoster_of(second)):
        assert_refused(world, person, world.acknowledge(first), Reason.NOT_THE_HOSTER)


def test_a_lapsed_contract_is_refused():
    world = planned()
    contract = world.contracts[0]
    world.pass_until(contract.acknowledge_by)
    assert world.contracts[0].status == "lapsed"
    body = world.acknowledge(contract)
    assert_refused(world, hoster_of(contract), body, Reason.CONTRACT_CLOSED)


def test_another_head_than_the_feeds_is_refused():
    world = planned()
    contract = world.contracts[0]
    stale = world.acknowledge(contract)
    for changes in ({"fork": 1}, {"length": 41}, {"tree_hash": b"t" * 32}):
        body = stale.model_copy(update=changes)
        assert_refused(world, hoster_of(contract), body, Reason.STALE_HEAD)
    lengthen(world, 41)
    assert_refused(world, hoster_of(contract), stale, Reason.STALE_HEAD)


def test_the_same_head_twice_is_refused():
    world = drawn()
    contract = world.contracts[0]
    body = world.acknowledge(contract)
    assert_refused(world, hoster_of(contract), body, Reason.ALREADY_ACKNOWLEDGED)


def test_collateral_of_other_contracts_is_not_free_stake():
    world = planned()
    first = world.contracts[0]
    hoster = hoster_of(first)
    world.must(OWNER, create_plan(first.feed, replicas=3))
    world.pass_blocks()
    second = next(one for one in world.contracts if one.hoster == first.hoster)
    world.must(hoster, Unstake(role="hoster", amount_base=2_000 - 601))
    world.must(hoster, world.acknowledge(first))
    assert_refused(world, hoster, world.acknowledge(second), Reason.INSUFFICIENT_STAKE)
    world.must(hoster, Stake(role="hoster", amount_base=1))
    world.must(hoster, world.acknowledge(second))
    stake = world.draft.stakes.at(stake_key("hoster", hoster.id))
    assert stake.locked_base == stake.amount_base == 602


def test_a_hoster_without_free_stake_is_refused():
    world = planned()
    contract = world.contracts[0]
    world.must(hoster_of(contract), Unstake(role="hoster", amount_base=2_000 - 300))
    body = world.acknowledge(contract)
    assert_refused(world, hoster_of(contract), body, Reason.INSUFFICIENT_STAKE)
