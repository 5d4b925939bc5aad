"""An owner has a plan rest: neither audited nor paid, and not for ever."""

import pytest

from chain.bodies.plans import CancelPlan, PausePlan, ResumePlan, TopUpPlan
from chain.reasons import Reason
from chain.records import RosterName, stake_key
from chain.rules.pause_plan import PAUSED_EPOCHS_MAXIMUM
from tests.chain.refusals import assert_refused
from tests.people import BY_ID, HOSTERS, OWNER, STRANGER, create_plan, register
from tests.stages import drawn, lined_up, planned, play, published, sealed, settled

PRICE = 10_000


def pause(world):
    world.must(OWNER, PausePlan(plan=world.plan.plan))
    return world


def resume(world):
    world.must(OWNER, ResumePlan(plan=world.plan.plan))
    return world


def listed(world):
    return len(world.draft.roster(RosterName.ACTIVE_CONTRACTS))


def epochs(world, count):
    return count * world.parameters.epoch_blocks


def rested(world):
    """The plan has been paused once, for nearly as long as it may be, and runs again."""
    pause(world)
    world.pass_until(world.plan.ends_at - 1)
    resume(world)
    assert world.plan.paused_epochs == PAUSED_EPOCHS_MAXIMUM
    return world


def test_a_plan_that_rests_is_not_drawn_and_not_paid():
    world = pause(settled())
    assert (world.plan.status, listed(world)) == ("paused", 0)
    before = world.plan.escrow_base
    world.pass_blocks(epochs(world, 3))
    assert world.draft.line_ups.get(b"") is None and world.draft.meta.epoch == 1
    assert (world.plan.status, world.plan.escrow_base) == ("paused", before)
    assert [contract.epochs_left for contract in world.contracts] == [2, 2]


def test_it_goes_on_where_it_was():
    world = pause(settled())
    world.pass_blocks(5)
    resume(world)
    assert (world.plan.status, world.plan.ends_at, listed(world)) == ("running", 0, 2)
    play(world)
    assert [contract.earned_base for contract in world.contracts] == [14_000, 14_000]


@pytest.mark.parametrize("stage", [lined_up, drawn, sealed])
def test_a_pause_dodges_nothing_that_is_lined_up(stage):
    """To pause between line-up and draw, or after, leaves out the next challenge, not this one."""
    world = pause(stage())
    play(world)
    assert [contract.earned_base for contract in world.contracts] == [7_000, 7_000]
    assert world.plan.status == "paused"
    world.pass_blocks(epochs(world, 2))
    assert world.draft.meta.epoch == 1


def test_a_fault_is_slashed_during_a_pause_and_the_place_filled_after_it():
    world = pause(drawn())
    play(world, lambda attestor, plan: "fault")
    assert world.plan.status == "paused"
    assert len(world.plan.vacancies) == 2
    assert {contract.status for contract in world.contracts} == {"ended"}
    for contract in world.contracts:
        stake = world.draft.stakes.at(stake_key("hoster", contract.hoster))
        assert (stake.amount_base, stake.locked_base) == (2_000 - 301, 0)
    world.pass_blocks(epochs(world, 1))
    assert len(world.contracts) == 2
    resume(world)
    # Not in this block: its owner knew the beacon that would choose.
    assert len(world.contracts) == 2
    world.pass_blocks()
    assert [contract.status for contract in world.contracts[2:]] == ["assigned"]


def test_the_last_epoch_ends_a_plan_that_rests():
    world = published()
    world.must(OWNER, create_plan(world.library.key, replicas=1, epochs=1))
    world.pass_blocks()
    (contract,) = world.contracts
    world.must(BY_ID[contract.hoster], world.acknowledge(contract))
    pause(world)
    over = world.plan.ends_at
    play(world)
    assert (world.plan.status, world.plan.escrow_base) == ("ended", 0)
    world.pass_until(over + 1)
    assert world.plan.status == "ended"


def test_what_is_acknowledged_during_a_pause_is_drawn_after_it():
    world = pause(planned())
    for contract in world.contracts:
        world.must(BY_ID[contract.hoster], world.acknowledge(contract))
    assert [contract.collateral_base for contract in world.contracts] == [301, 301]
    assert listed(world) == 0
    assert listed(resume(world)) == 2


def test_what_is_not_acknowledged_during_a_pause_is_sought_after_it():
    world = pause(planned())
    world.pass_until(world.contracts[0].acknowledge_by)
    assert [contract.status for contract in world.contracts] == ["lapsed", "lapsed"]
    assert world.plan.vacancies == (3, 3)
    world.pass_blocks(2 * world.parameters.acknowledge_blocks)
    assert len(world.contracts) == 2
    resume(world)
    world.pass_blocks()
    assert len(world.contracts) == 3


def test_a_search_that_waits_is_not_doubled():
    """Nobody can have hosters looked for more often by pausing and resuming."""
    world = published()
    for hoster in HOSTERS:
        world.must(hoster, register(hoster, offer=None))
    world.must(OWNER, create_plan(world.library.key))
    world.pass_blocks()
    due = world.plan.retry_at
    assert due > world.height + 2
    resume(pause(world))
    assert world.plan.retry_at == due
    items = [
        item for (table, _), record in world.state.records.items() if table.name == "DUE"
        for item in record.items if item.kind == "assign"
    ]  # fmt: skip
    assert len(items) == 1


def test_a_plan_that_rests_too_long_ends():
    world = settled()
    before = world.plan.escrow_base
    pause(world)
    over = world.height + epochs(world, PAUSED_EPOCHS_MAXIMUM)
    assert world.plan.ends_at == over
    world.pass_until(over - 1)
    owner = world.balance(OWNER)
    assert world.plan.status == "paused"
    world.pass_blocks()
    assert (world.plan.status, world.plan.escrow_base) == ("ended", 0)
    assert world.balance(OWNER) == owner + before
    for contract in world.contracts:
        stake = world.draft.stakes.at(stake_key("hoster", contract.hoster))
        assert (contract.status, stake.locked_base) == ("ended", 0)


def test_all_pauses_together_are_bounded():
    world = rested(settled())
    assert_refused(world, OWNER, PausePlan(plan=world.plan.plan), Reason.NO_PAUSE_LEFT)
    world.pass_blocks(5)
    assert world.plan.status == "running"


def test_each_pause_counts():
    world = settled()
    for number in range(3):
        resume(pause(world))
        assert world.plan.paused_epochs == number + 1


def test_what_is_only_assigned_is_not_drawn_after_a_pause():
    world = resume(pause(planned()))
    assert [contract.status for contract in world.contracts] == ["assigned", "assigned"]
    assert listed(world) == 0


def test_a_top_up_buys_no_pause():
    world = rested(settled())
    world.must(OWNER, TopUpPlan(plan=world.plan.plan, epochs=5))
    assert_refused(world, OWNER, PausePlan(plan=world.plan.plan), Reason.NO_PAUSE_LEFT)


@pytest.mark.parametrize(
    ("blocks", "counted"), [(1, 1), (11, 1), (12, 2), (13, 2), (23, 2), (24, 3)]
)
def test_a_pause_counts_the_line_ups_that_it_can_have_left_out(blocks, counted):
    """To rest for no more than the block of each line-up spares nothing."""
    world = pause(settled())
    assert world.parameters.epoch_blocks == 12
    world.pass_blocks(blocks - 1)
    resume(world)
    assert (world.plan.status, world.plan.paused_epochs) == ("running", counted)
    pause(world)
    left = PAUSED_EPOCHS_MAXIMUM - counted
    assert world.plan.ends_at == world.height + epochs(world, left)


def test_the_end_of_an_earlier_pause_does_not_end_a_later_one():
    world = pause(settled())
    first = world.plan.ends_at
    world.pass_blocks(2)
    resume(world)
    world.pass_blocks(2 * world.parameters.epoch_blocks)
    play(world)
    pause(world)
    assert world.plan.ends_at > first
    world.pass_until(first)
    assert world.plan.status == "paused"


def test_a_plan_that_rests_is_topped_up_and_cancelled():
    world = pause(settled())
    over, before = world.plan.ends_at, world.balance(OWNER)
    left = world.plan.escrow_base
    world.must(OWNER, TopUpPlan(plan=world.plan.plan, epochs=1))
    assert [contract.epochs_left for contract in world.contracts] == [3, 3]
    assert listed(world) == 0
    world.must(OWNER, CancelPlan(plan=world.plan.plan))
    assert (world.plan.status, world.plan.escrow_base) == ("ended", 0)
    assert world.balance(OWNER) == before + left - 20
    world.pass_until(over + 1)
    assert world.plan.status == "ended"


@pytest.mark.parametrize("body", [PausePlan, ResumePlan])
def test_only_the_owner_has_it_rest_or_go_on(body):
    world = planned() if body is PausePlan else pause(planned())
    for person in (STRANGER, BY_ID[world.contracts[0].hoster]):
        assert_refused(world, person, body(plan=world.plan.plan), Reason.NOT_THE_OWNER)
    assert_refused(world, OWNER, body(plan=b"p" * 32), Reason.UNKNOWN_PLAN)


def test_who_only_pays_has_no_say():
    world = planned()
    world.must(HOSTERS[0], TopUpPlan(plan=world.plan.plan, epochs=1))
    assert_refused(world, HOSTERS[0], PausePlan(plan=world.plan.plan), Reason.NOT_THE_OWNER)


def test_only_what_runs_rests_and_only_what_rests_goes_on():
    world = published()
    world.must(OWNER, create_plan(world.library.key, start_height=world.height + 5))
    assert_refused(world, OWNER, PausePlan(plan=world.plan.plan), Reason.WRONG_STATUS)
    world = planned()
    assert_refused(world, OWNER, ResumePlan(plan=world.plan.plan), Reason.WRONG_STATUS)
    pause(world)
    assert_refused(world, OWNER, PausePlan(plan=world.plan.plan), Reason.WRONG_STATUS)
    world.must(OWNER, CancelPlan(plan=world.plan.plan))
    for body in (PausePlan, ResumePlan):
        assert_refused(world, OWNER, body(plan=world.plan.plan), Reason.PLAN_CLOSED)
