"""Publish an account's keys, address and offer."""

from chain.messages import Endpoint, Offer
from chain.reasons import Reason
from chain.records import RosterName
from tests.chain.refusals import assert_refused
from tests.people import ATTESTORS, BY_ID, HOSTERS, OWNER, STRANGER, register
from tests.stages import funded, planned, staffed

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


def test_a_swarm_key_of_another_account_is_taken():
    body = register(STRANGER, endpoint=HOSTER.endpoint)
    assert_refused(staffed(), STRANGER, body, Reason.KEY_TAKEN)


def test_a_swarm_key_stays_its_accounts_for_ever():
    world = staffed()
    new = Endpoint(host="example.org", port=1, swarm_key=b"n" * 32)
    world.must(HOSTER, register(HOSTER, endpoint=new))
    assert_refused(world, OWNER, register(OWNER, endpoint=HOSTER.endpoint), Reason.KEY_TAKEN)
    assert_refused(world, OWNER, register(OWNER, endpoint=new), Reason.KEY_TAKEN)
    world.must(HOSTER, register(HOSTER))
