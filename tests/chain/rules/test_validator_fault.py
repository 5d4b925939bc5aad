"""A validator is proven to have signed two things that contradict each other."""

import pytest

from chain.blocks import Block
from chain.bodies.coins import Unstake
from chain.ledger import Ledger
from chain.reasons import Reason
from chain.records import RosterName
from tests.chain.refusals import assert_refused
from tests.chain.test_faults import FAULTS, FORGED, LEGAL
from tests.chain.test_ledger import proposal
from tests.people import genesis
from tests.stages import funded
from tests.validators import (
    MANY,
    candidate,
    end_term,
    fault,
    members,
    stake_of,
    stand,
    vote,
    world_of,
)
from wire.codec import decode, encode
from wire.keys import KeyPair, Use

ACCUSED, REPORTER = MANY[1], MANY[6]


def kinds(world):
    """The faults of `tests.chain.test_faults`, signed by the accused."""
    return {
        kind: fault(
            world,
            ACCUSED,
            first=again(world, first),
            second=again(world, second),
        )
        for kind, (first, second) in FAULTS.items()
    }


def again(world, signed):
    said = signed.vote
    fields = {"height": said.height, "block": said.block, "view": said.view, "term": said.term}
    return vote(world, ACCUSED, said.kind, 0, **fields)


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.name)
def test_every_fault_slashes_and_ends_the_service(kind):
    world = world_of(4)
    others = (REPORTER, ACCUSED, MANY[2], MANY[3])
    before, burnt = [world.balance(one) for one in others], world.draft.meta.burnt_base
    world.must(REPORTER, kinds(world)[kind])
    # Half of 5 000; a quarter of that is for the other three, and what does not divide is burnt.
    assert stake_of(world, ACCUSED).amount_base == 2_500
    gains = (-10, 0, 208, 208)
    after = [one + gain for one, gain in zip(before, gains, strict=True)]
    assert [world.balance(one) for one in others] == after
    assert world.draft.meta.burnt_base == burnt + 1_876
    convicted = candidate(world, ACCUSED)
    assert (convicted.listed, convicted.faults) == (False, 1)
    assert world.draft.validator_keys.at(convicted.validator.key).convicted
    assert ACCUSED.id not in world.draft.roster(RosterName.CANDIDATES)


def test_the_accused_keeps_its_place_until_the_term_is_over():
    world = world_of(4)
    world.must(REPORTER, fault(world, ACCUSED))
    assert ACCUSED in members(world)
    end_term(world)
    assert members(world) == {MANY[0], MANY[2], MANY[3]}


def test_who_was_convicted_before_has_no_part_of_what_another_loses():
    world = world_of(4)
    world.must(REPORTER, fault(world, MANY[2]))
    before = [world.balance(one) for one in (MANY[2], MANY[3])]
    world.must(REPORTER, fault(world, ACCUSED))
    assert world.balance(MANY[2]) == before[0]
    assert world.balance(MANY[3]) == before[1] + 312


def test_an_earlier_key_brings_its_account_nothing():
    world = world_of(4)
    world.must(ACCUSED, stand(world, ACCUSED, KeyPair(b"n" * 32)))
    end_term(world)
    assert ACCUSED in members(world)
    before = world.balance(ACCUSED)
    world.must(REPORTER, fault(world, ACCUSED))
    assert world.balance(ACCUSED) == before


def test_the_last_one_s_loss_is_burnt():
    world = world_of(1)
    before, burnt = world.balance(REPORTER), world.draft.meta.burnt_base
    world.must(REPORTER, fault(world, MANY[0]))
    assert world.balance(REPORTER) == before - 10
    assert world.draft.meta.burnt_base == burnt + 2_500


def test_a_key_is_convicted_once_by_whatever_evidence():
    world = world_of(4)
    bodies = [*kinds(world).values()]
    world.must(REPORTER, bodies[0])
    for body in bodies:
        assert_refused(world, MANY[2], body, Reason.ALREADY_CONVICTED)
    assert stake_of(world, ACCUSED).amount_base == 2_500


def test_coins_on_their_way_back_are_slashed_too():
    world = world_of(4)
    world.must(ACCUSED, Unstake(role="validator", amount_base=4_900))
    world.must(REPORTER, fault(world, ACCUSED))
    stake = stake_of(world, ACCUSED)
    assert (stake.amount_base, stake.unbonding_base) == (0, 2_500)


def test_who_left_is_punished_as_long_as_its_coins_are_here():
    world = world_of(4)
    world.must(ACCUSED, Unstake(role="validator", amount_base=5_000))
    end_term(world)
    assert ACCUSED not in members(world)
    world.pass_blocks(40)
    before = world.balance(ACCUSED)
    world.must(REPORTER, fault(world, ACCUSED))
    world.pass_blocks(60)
    assert world.balance(ACCUSED) == before + 2_500


def test_an_earlier_key_convicts_its_account():
    world = world_of(4)
    world.must(ACCUSED, stand(world, ACCUSED, KeyPair(b"n" * 32)))
    world.must(REPORTER, fault(world, ACCUSED))
    assert stake_of(world, ACCUSED).amount_base == 2_500
    assert not candidate(world, ACCUSED).listed
    assert not world.draft.validator_keys.at(KeyPair(b"n" * 32).public).convicted


def test_a_key_convicts_nobody_when_it_was_replaced_longer_ago_than_coins_take_to_return():
    """Who stole the seed that it came from would have the account slashed for ever, and be paid."""
    world = world_of(4)
    world.must(ACCUSED, stand(world, ACCUSED, KeyPair(b"n" * 32)))
    replaced, blocks = world.height, world.genesis.parameters.validator_unbonding_blocks
    world.pass_until(replaced + blocks - 1)
    last = world.execute(world.sign(REPORTER, fault(world, ACCUSED)))
    assert last.outcomes[0].reason == ""
    world.block()
    assert_refused(world, REPORTER, fault(world, ACCUSED), Reason.KEY_RETIRED)


def test_a_key_that_is_taken_up_again_convicts_for_whatever_it_signed():
    world = world_of(4)
    world.must(ACCUSED, stand(world, ACCUSED, KeyPair(b"n" * 32)))
    world.pass_blocks(world.genesis.parameters.validator_unbonding_blocks + 1)
    world.must(ACCUSED, stand(world, ACCUSED))
    world.must(REPORTER, fault(world, ACCUSED))
    assert stake_of(world, ACCUSED).amount_base == 2_500


def test_who_never_had_stake_has_nothing_to_lose():
    world = world_of(4)
    world.must(MANY[7], stand(world, MANY[7]))
    before = world.balance(REPORTER)
    world.must(REPORTER, fault(world, MANY[7]))
    assert world.balance(REPORTER) == before - 10
    assert not candidate(world, MANY[7]).listed


@pytest.mark.parametrize("votes", [*LEGAL.values(), *FORGED.values()], ids=[*LEGAL, *FORGED])
def test_what_is_no_contradiction_is_refused(votes):
    world = world_of(1)
    body = fault(world, MANY[0], first=votes[0], second=votes[1])
    assert_refused(world, REPORTER, body, Reason.BAD_EVIDENCE)


def test_a_key_that_nobody_enlisted_is_refused():
    world = world_of(4)
    assert_refused(world, REPORTER, fault(world, MANY[8]), Reason.UNKNOWN_VALIDATOR)


def test_votes_of_another_validator_are_refused():
    world = world_of(4)
    key = MANY[2].key(Use.VALIDATOR).public
    assert_refused(world, REPORTER, fault(world, ACCUSED, key=key), Reason.BAD_EVIDENCE)


def test_nobody_is_rewarded_for_its_own_fault():
    world = world_of(4)
    assert_refused(world, ACCUSED, fault(world, ACCUSED), Reason.BAD_EVIDENCE)


def test_evidence_travels_in_a_block():
    world = funded()
    signed = world.sign(MANY[0], fault(world, MANY[0]))
    ledger = Ledger(genesis(), world.state, None)
    made = ledger.propose(ledger.root, proposal(1), ())
    block = Block(header=made.block.header, transactions=(signed,))
    assert decode(Block, encode(block)) == block
