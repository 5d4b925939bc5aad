"""Publish an account's keys, address and offer."""

import pytest

from chain.bodies.hosting import Offer, claim_swarm_key
from chain.endpoint import Endpoint
from chain.reasons import Reason
from chain.records import RosterName
from tests.chain.refusals import assert_refused
from tests.people import ATTESTORS, BY_ID, HOSTERS, OWNER, STRANGER, genesis, register
from tests.stages import funded, planned, staffed
from wire.keys import KeyPair, Use
from wire.signing import sign

HOSTER = HOSTERS[0]


def test_a_registration_is_written_as_sent():
    world = funded()
    body = register(HOSTER, operator="Acme")
    world.must(HOSTER, body)
    record = world.draft.registrations.at(HOSTER.id)
    assert record.account == HOSTER.id
    for field in ("endpoint", "vrf_key", "receipt_key", "operator", "offer", "attests"):
        assert getattr(record, field) == getattr(body, field)
    holder = world.draft.swarm_keys.at(body.endpoint.swarm_key)
    assert holder.account == HOSTER.id


def test_a_change_keeps_what_is_hosted():
    world = planned()
    contract = world.contracts[0]
    hoster = BY_ID[contract.hoster]
    world.must(hoster, register(hoster, offer=Offer(capacity_bytes=1, price_base_per_gib=9)))
    record = world.draft.registrations.at(hoster.id)
    assert record.hosted_bytes == contract.bytes > 0
    assert record.offer.capacity_bytes == 1


def test_a_new_address_makes_no_offer_young_again():
    world = staffed()
    since = world.draft.registrations.at(HOSTER.id).since_height
    world.must(HOSTER, register(HOSTER, NEW, NEW))
    assert world.draft.registrations.at(HOSTER.id).since_height == since < world.height
    for changes in ({"operator": "Acme"}, {"offer": None}, {}):
        world.must(HOSTER, register(HOSTER, NEW, **changes))
        assert world.draft.registrations.at(HOSTER.id).since_height == world.height


def test_withdrawing_the_offer_unlists_the_hoster():
    world = staffed()
    world.must(HOSTER, register(HOSTER, offer=None))
    assert HOSTER.id not in world.draft.roster(RosterName.HOSTERS)
    world.must(HOSTER, register(HOSTER))
    assert HOSTER.id in world.draft.roster(RosterName.HOSTERS)


def test_an_attestor_can_stop_attesting():
    world = staffed()
    world.must(ATTESTORS[0], register(ATTESTORS[0], attests=False))
    assert ATTESTORS[0].id not in world.draft.roster(RosterName.ATTESTORS)


OLD, NEW = HOSTER.key(Use.SWARM), KeyPair(b"n" * 32)


def test_a_swarm_key_of_another_account_is_taken():
    assert_refused(staffed(), STRANGER, register(STRANGER, OLD), Reason.KEY_TAKEN)


def test_a_swarm_key_stays_its_accounts_for_ever():
    world = staffed()
    world.must(HOSTER, register(HOSTER, NEW))
    assert_refused(world, OWNER, register(OWNER, OLD), Reason.KEY_TAKEN)
    assert_refused(world, OWNER, register(OWNER, NEW), Reason.KEY_TAKEN)
    world.must(HOSTER, register(HOSTER))


@pytest.mark.parametrize(
    "proof",
    [
        bytes(64),
        register(HOSTER).swarm_proof,
        register(STRANGER).swarm_proof,
        claim_swarm_key(HOSTER.account, genesis().network, STRANGER.id),
        claim_swarm_key(OLD, b"x" * 32, STRANGER.id),
        sign(OLD, "transaction", genesis().network, STRANGER.id),
    ],
)
def test_a_swarm_key_is_registered_only_by_who_has_it(proof):
    world = funded()
    body = register(STRANGER, OLD, swarm_proof=proof)
    assert_refused(world, STRANGER, body, Reason.KEY_UNPROVEN)
    assert world.draft.swarm_keys.get(OLD.public) is None


def test_another_key_in_place_of_the_proven_one_is_refused():
    endpoint = Endpoint(host="example.org", port=1, swarm_key=NEW.public)
    assert_refused(funded(), HOSTER, register(HOSTER, endpoint=endpoint), Reason.KEY_UNPROVEN)
