"""Stand for validator, and step down."""

import pytest

from chain.bodies.coins import Stake, Unstake
from chain.bodies.hosting import claim_swarm_key
from chain.bodies.validators import Delist, vrf_claim
from chain.reasons import Reason
from chain.records import RosterName
from tests.chain.refusals import assert_refused
from tests.validators import MANY, TERMS, candidate, fault, stand, world_of
from wire import vrf
from wire.keys import KeyPair, Use
from wire.signing import sign

LEAST = TERMS.validator_stake_base
FIRST, NEWCOMER, OTHER = MANY[1], MANY[4], MANY[5]
NEW_KEY = KeyPair(b"n" * 32)


def listed(world, person):
    return person.id in world.draft.roster(RosterName.CANDIDATES)


def test_validators_of_the_genesis_are_candidates():
    world = world_of(4)
    assert set(world.draft.roster(RosterName.CANDIDATES)) == {one.id for one in MANY[:4]}
    for person, member in zip(MANY, world.genesis.first_set.members, strict=False):
        assert candidate(world, person).validator == member
        assert world.draft.validator_keys.at(member.key).account == person.id
        assert world.draft.swarm_keys.at(member.endpoint.swarm_key).account == person.id


def test_who_enlists_and_has_stake_is_listed_in_either_order():
    stake = Stake(role="validator", amount_base=LEAST)
    for first in (True, False):
        world = world_of(4)
        bodies = (stand(world, NEWCOMER), stake)
        world.must(NEWCOMER, bodies[not first])
        assert not listed(world, NEWCOMER)
        world.must(NEWCOMER, bodies[first])
        assert listed(world, NEWCOMER)
    assert candidate(world, NEWCOMER).validator.key == NEWCOMER.key(Use.VALIDATOR).public


def test_too_little_stake_is_not_listed():
    world = world_of(4)
    world.must(NEWCOMER, stand(world, NEWCOMER))
    world.must(NEWCOMER, Stake(role="validator", amount_base=LEAST - 1))
    assert not listed(world, NEWCOMER)
    world.must(FIRST, Unstake(role="validator", amount_base=1))
    assert not listed(world, FIRST)


def test_to_step_down_and_to_stand_again():
    world = world_of(4)
    world.must(FIRST, Delist())
    assert not listed(world, FIRST)
    assert_refused(world, FIRST, Delist(), Reason.NOT_LISTED)
    world.must(FIRST, stand(world, FIRST))
    assert listed(world, FIRST)


def test_who_never_stood_cannot_step_down():
    assert_refused(world_of(4), NEWCOMER, Delist(), Reason.NOT_LISTED)


def test_a_change_of_keys_keeps_what_is_held_against_a_candidate():
    world = world_of(4)
    before = candidate(world, FIRST)
    world.failing = 20
    world.pass_blocks()
    counted = candidate(world, FIRST)
    assert counted.failed_views > before.failed_views
    world.must(FIRST, stand(world, FIRST, NEW_KEY))
    after = candidate(world, FIRST)
    assert after.validator.key == NEW_KEY.public
    assert after.failed_views == counted.failed_views
    assert after.turns >= counted.turns


def test_a_signing_key_stays_its_accounts_for_ever():
    world = world_of(4)
    world.must(FIRST, stand(world, FIRST, NEW_KEY))
    for pair in (NEW_KEY, FIRST.key(Use.VALIDATOR)):
        assert_refused(world, OTHER, stand(world, OTHER, pair), Reason.KEY_TAKEN)
    world.must(FIRST, stand(world, FIRST))


def test_a_convicted_key_is_never_listed_again_but_a_new_one_is():
    world = world_of(4)
    world.must(OTHER, fault(world, FIRST))
    assert_refused(world, FIRST, stand(world, FIRST), Reason.ALREADY_CONVICTED)
    world.must(FIRST, Stake(role="validator", amount_base=LEAST))
    assert not listed(world, FIRST)
    world.must(FIRST, stand(world, FIRST, NEW_KEY))
    assert listed(world, FIRST)


def unproven(world):
    network, other = world.network, OTHER.id
    key, vrf_key, swarm = (FIRST.key(use) for use in (Use.VALIDATOR, Use.VRF, Use.SWARM))
    return {
        "key_proof": [
            bytes(64),
            stand(world, FIRST).key_proof,
            stand(world_of(1), OTHER, key).key_proof,
            sign(key, "swarm", network, other),
            sign(OTHER.account, "validator", network, other),
        ],
        "vrf_proof": [
            bytes(80),
            stand(world, FIRST).vrf_proof,
            vrf.prove(vrf_key, vrf_claim(world_of(1).network, other)),
            vrf.prove(OTHER.account, vrf_claim(network, other)),
        ],
        "swarm_proof": [
            bytes(64),
            stand(world, FIRST).swarm_proof,
            claim_swarm_key(OTHER.account, network, other),
            claim_swarm_key(swarm, world_of(1).network, other),
        ],
    }


@pytest.mark.parametrize("field", ["key_proof", "vrf_proof", "swarm_proof"])
def test_keys_are_listed_only_by_who_has_them(field):
    world = world_of(4)
    # With the keys of the first validator, as somebody who has none of them.
    keys = {
        "key_proof": {"key": FIRST.key(Use.VALIDATOR).public},
        "vrf_proof": {"vrf_key": FIRST.key(Use.VRF).public},
        "swarm_proof": {"endpoint": FIRST.endpoint},
    }[field]
    for proof in unproven(world)[field]:
        body = stand(world, OTHER, **keys, **{field: proof})
        assert_refused(world, OTHER, body, Reason.KEY_UNPROVEN)
    assert world.draft.candidates.get(OTHER.id) is None


def test_a_swarm_key_of_another_account_is_taken():
    world = world_of(4)
    proof = claim_swarm_key(FIRST.key(Use.SWARM), world.network, OTHER.id)
    body = stand(world, OTHER, endpoint=FIRST.endpoint, swarm_proof=proof)
    assert_refused(world, OTHER, body, Reason.KEY_TAKEN)
