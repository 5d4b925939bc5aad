"""Fund the hosting of a feed."""

import pytest

from chain import schedule
from chain.bodies.plans import CancelPlan, CreatePlan
from chain.reasons import Reason
from chain.records import Due, DueItem, Table, height_key
from chain.rules.create_plan import PLANS_LISTED
from tests.chain.refusals import assert_refused
from tests.people import BALANCE, BY_ID, OWNER, STRANGER, Library, create_plan
from tests.stages import play, published
from wire.codec import decode, encode
from wire.errors import Malformed
from wire.primitives import MAX_HEIGHT, MAX_INT

FEED = Library("library", 40).key


def test_the_whole_price_goes_into_escrow():
    world = published()
    before = world.balance(OWNER)
    world.must(OWNER, create_plan(FEED, replicas=2, epochs=3, price_base=10_000))
    plan = world.plan
    assert (plan.escrow_base, plan.status) == (60_000, "waiting")
    assert plan.vacancies == (3, 3)
    assert (plan.owner, plan.feed, plan.contracts) == (OWNER.id, FEED, ())
    assert world.balance(OWNER) == before - 60_000 - 10


def test_a_plan_without_a_start_begins_with_the_next_block():
    world = published()
    world.must(OWNER, create_plan(FEED))
    assert world.plan.start_height == world.height + 1
    world.pass_blocks()
    assert world.plan.status == "running"
    assert len(world.plan.contracts) == 2


def test_a_plan_begins_at_the_height_it_names():
    world = published()
    start = world.height + 5
    world.must(OWNER, create_plan(FEED, start_height=start))
    world.pass_until(start - 1)
    assert world.plan.status == "waiting"
    world.pass_blocks()
    assert world.plan.status == "running"


def test_this_very_height_means_the_next():
    world = published()
    world.must(OWNER, create_plan(FEED, start_height=world.height + 1))
    assert world.plan.start_height == world.height + 1


def test_a_plan_may_ask_for_the_most_samples():
    world = published()
    world.must(OWNER, create_plan(FEED, samples=world.parameters.samples_maximum))
    assert world.plan.samples == world.parameters.samples_maximum


def test_anybody_may_pay_for_a_feed():
    world = published()
    world.must(STRANGER, create_plan(FEED, replicas=1, epochs=1, price_base=1))
    assert world.plan.owner == STRANGER.id


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"feed": b"f" * 32}, Reason.UNKNOWN_FEED),
        ({"samples": 9}, Reason.TOO_MANY_SAMPLES),
        ({"start_height": 1}, Reason.START_IN_PAST),
        ({"price_base": BALANCE // 6 + 1}, Reason.INSUFFICIENT_BALANCE),
        ({"replicas": 64, "epochs": 10**6, "price_base": 2**63 - 1}, Reason.INSUFFICIENT_BALANCE),
    ],
)
def test_a_plan_with_one_thing_wrong_is_refused(changes, reason):
    assert_refused(published(), OWNER, create_plan(FEED, **changes), reason)


def test_a_height_that_is_full_moves_the_start():
    world = published()
    full = world.height + 4
    item = DueItem(kind="unbond", id=b"h" + STRANGER.id)
    world.state.records[Table.DUE, height_key(full)] = Due(items=(item,) * schedule.ROOM)
    world.must(OWNER, create_plan(FEED, start_height=full))
    assert world.plan.start_height == full + 1


def test_the_last_height_that_can_be_named_has_room_behind_it():
    """A start that is no height would stop every node that let it into a block."""
    world = published()
    item = DueItem(kind="unbond", id=b"h" + STRANGER.id)
    full = Due(items=(item,) * schedule.ROOM)
    world.state.records[Table.DUE, height_key(MAX_HEIGHT)] = full
    body = create_plan(FEED, start_height=MAX_HEIGHT)
    world.must(OWNER, body)
    assert world.plan.start_height == MAX_HEIGHT + 1
    with pytest.raises(Malformed, match="start_height"):
        decode(CreatePlan, encode(body.model_copy(update={"start_height": MAX_INT})))


def test_a_feed_names_its_newest_plans():
    world = published()
    body = create_plan(FEED, replicas=1, epochs=1, price_base=1)
    nonce = world.draft.accounts.at(OWNER.id).nonce
    signed = [world.sign(OWNER, body, nonce=nonce + number) for number in range(PLANS_LISTED + 3)]
    world.block(*signed)
    plans = world.draft.feeds.at(FEED).plans
    assert plans == tuple(one.transaction.id for one in signed[3:])


def test_a_plan_that_expires_is_cancelled_and_what_is_unspent_returns():
    world = published()
    before = world.balance(OWNER)
    expires = world.height + 9
    world.must(OWNER, create_plan(FEED, epochs=3, expires_height=expires))
    world.pass_until(expires - 1)
    assert world.plan.status == "running"
    world.pass_blocks()
    assert world.plan.status == "ended"
    assert world.balance(OWNER) == before - 10
    assert all(contract.status != "active" for contract in world.contracts)


def test_what_is_drawn_when_a_plan_expires_is_paid_as_agreed():
    world = published()
    expires = world.height + 12
    world.must(OWNER, create_plan(FEED, epochs=3, expires_height=expires))
    world.pass_blocks()
    world.block(*(world.sign(BY_ID[c.hoster], world.acknowledge(c)) for c in world.contracts))
    play(world)
    assert world.height >= expires and world.plan.status in ("ending", "ended")
    assert [contract.earned_base for contract in world.contracts] == [7_000, 7_000]
    world.pass_until(world.plan.ends_at)
    assert (world.plan.status, world.plan.escrow_base) == ("ended", 0)


def test_a_plan_does_not_expire_before_it_begins():
    world = published()
    begins = world.height + 5
    body = create_plan(FEED, start_height=begins, expires_height=begins)
    assert_refused(world, OWNER, body, Reason.EXPIRES_TOO_SOON)
    at_once = create_plan(FEED, expires_height=world.height + 2)
    assert_refused(world, OWNER, at_once, Reason.EXPIRES_TOO_SOON)
    world.must(OWNER, body.model_copy(update={"expires_height": begins + 1}))


def test_what_has_ended_before_it_expires_has_ended():
    world = published()
    expires = world.height + 9
    world.must(OWNER, create_plan(FEED, expires_height=expires))
    world.must(OWNER, CancelPlan(plan=world.plan.plan))
    before = world.balance(OWNER)
    world.pass_until(expires + 1)
    assert (world.plan.status, world.balance(OWNER)) == ("ended", before)
