"""Lock coins behind a role, and take them back."""

import pytest

from chain.bodies.coins import Stake, Unstake
from chain.reasons import Reason
from chain.records import RosterName, stake_key
from tests.chain.refusals import assert_refused
from tests.people import ATTESTORS, BALANCE, BY_ID, HOSTERS, STRANGER, VALIDATOR, register
from tests.stages import drawn, funded, staffed

HOSTER, ATTESTOR = HOSTERS[0], ATTESTORS[0]


def stake_of(world, role, person):
    return world.draft.stakes.at(stake_key(role, person.id))


def test_coins_are_locked_from_this_height_on():
    world = funded()
    world.must(ATTESTOR, Stake(role="attestor", amount_base=1_500))
    record = stake_of(world, "attestor", ATTESTOR)
    assert (record.amount_base, record.since_height) == (1_500, world.height)
    assert world.balance(ATTESTOR) == BALANCE - 1_500 - 10


def test_the_roles_have_separate_stakes():
    world = funded()
    world.must(ATTESTOR, Stake(role="attestor", amount_base=1_500))
    assert world.draft.stakes.get(stake_key("hoster", ATTESTOR.id)) is None


def test_more_stake_starts_its_age_anew():
    world = staffed()
    world.must(ATTESTOR, Stake(role="attestor", amount_base=1))
    record = stake_of(world, "attestor", ATTESTOR)
    assert (record.amount_base, record.since_height) == (2_001, world.height)


def test_more_than_enough_stake_makes_no_hoster_young_again():
    world = staffed()
    since = stake_of(world, "hoster", HOSTER).since_height
    world.must(HOSTER, Stake(role="hoster", amount_base=500))
    assert stake_of(world, "hoster", HOSTER).since_height == since
    world.must(HOSTER, Unstake(role="hoster", amount_base=1_501))
    world.must(HOSTER, Stake(role="hoster", amount_base=1))
    assert stake_of(world, "hoster", HOSTER).since_height == world.height


def test_enough_stake_and_a_registration_are_listed_in_either_order():
    for first, second in (
        (register(ATTESTOR), Stake(role="attestor", amount_base=1_000)),
        (Stake(role="attestor", amount_base=1_000), register(ATTESTOR)),
    ):
        world = funded()
        world.must(ATTESTOR, first)
        assert ATTESTOR.id not in world.draft.roster(RosterName.ATTESTORS)
        world.must(ATTESTOR, second)
        assert ATTESTOR.id in world.draft.roster(RosterName.ATTESTORS)
        assert ATTESTOR.id not in world.draft.roster(RosterName.HOSTERS)


def test_too_little_stake_is_not_listed():
    world = funded()
    world.must(HOSTER, register(HOSTER))
    world.must(HOSTER, Stake(role="hoster", amount_base=999))
    assert HOSTER.id not in world.draft.roster(RosterName.HOSTERS)
    world.must(HOSTER, Stake(role="hoster", amount_base=1))
    assert HOSTER.id in world.draft.roster(RosterName.HOSTERS)


def test_more_than_the_balance_cannot_be_staked():
    body = Stake(role="hoster", amount_base=BALANCE)
    assert_refused(funded(), HOSTER, body, Reason.INSUFFICIENT_BALANCE)


def test_stake_comes_back_after_the_unbonding_time():
    world = staffed()
    before = world.balance(ATTESTOR)
    since = stake_of(world, "attestor", ATTESTOR).since_height
    world.must(ATTESTOR, Unstake(role="attestor", amount_base=500))
    record = stake_of(world, "attestor", ATTESTOR)
    assert (record.amount_base, record.unbonding_base) == (1_500, 500)
    assert record.since_height == since
    assert world.balance(ATTESTOR) == before - 10
    world.pass_blocks(world.parameters.unbonding_blocks - 1)
    assert world.balance(ATTESTOR) == before - 10
    world.pass_blocks()
    assert world.balance(ATTESTOR) == before - 10 + 500
    record = stake_of(world, "attestor", ATTESTOR)
    assert (record.amount_base, record.unbonding_base) == (1_500, 0)


def test_several_withdrawals_return_each_at_its_time():
    world = staffed()
    before = world.balance(HOSTER)
    for amount in (100, 30):
        world.must(HOSTER, Unstake(role="hoster", amount_base=amount))
    world.pass_blocks(world.parameters.unbonding_blocks - 1)
    assert world.balance(HOSTER) == before - 20 + 100
    world.pass_blocks()
    assert world.balance(HOSTER) == before - 20 + 130


def test_an_account_with_too_little_stake_left_is_not_listed():
    world = staffed()
    world.must(ATTESTOR, Unstake(role="attestor", amount_base=1_000))
    assert ATTESTOR.id in world.draft.roster(RosterName.ATTESTORS)
    world.must(ATTESTOR, Unstake(role="attestor", amount_base=1))
    assert ATTESTOR.id not in world.draft.roster(RosterName.ATTESTORS)


@pytest.mark.parametrize(
    ("person", "role", "amount"),
    [(STRANGER, "hoster", 1), (ATTESTOR, "hoster", 1), (HOSTER, "hoster", 2_001)],
)
def test_more_than_the_stake_cannot_be_taken(person, role, amount):
    body = Unstake(role=role, amount_base=amount)
    assert_refused(staffed(), person, body, Reason.INSUFFICIENT_STAKE)


def test_collateral_cannot_be_taken():
    world = drawn()
    hoster = BY_ID[world.contracts[0].hoster]
    assert_refused(world, hoster, Unstake(role="hoster", amount_base=1_700), Reason.STAKE_LOCKED)
    world.must(hoster, Unstake(role="hoster", amount_base=2_000 - 301))
    assert_refused(world, hoster, Unstake(role="hoster", amount_base=1), Reason.STAKE_LOCKED)


def test_a_validators_stake_comes_back_later():
    world = funded()
    before = world.balance(VALIDATOR)
    world.must(VALIDATOR, Unstake(role="validator", amount_base=500))
    world.pass_blocks(world.parameters.validator_unbonding_blocks - 1)
    assert world.balance(VALIDATOR) == before
    world.pass_blocks()
    assert world.balance(VALIDATOR) == before + 500
    assert stake_of(world, "validator", VALIDATOR).amount_base == 4_500
