"""Another key signs for an account, and the one before never does again."""

import pytest

from chain.bodies.coins import Transfer
from chain.bodies.keys import Rotate, rotate_to
from chain.messages import sign_transaction
from chain.reasons import Reason
from tests.chain.refusals import assert_refused
from tests.people import ATTESTORS, BY_ID, OWNER, STRANGER, Library, create_plan
from tests.reports import account_of
from tests.stages import coin_opened, drawn, funded, play, published, staffed
from wire.errors import Rejected
from wire.keys import KeyPair

NEW, NEWER = KeyPair(b"n" * 32), KeyPair(b"m" * 32)
SEND = Transfer(to=STRANGER.id, amount_base=7)


def with_key(world, key):
    """A transfer of the owner's, whoever signs it."""
    account = world.draft.accounts.at(OWNER.id)
    return world.sign(OWNER, SEND, nonce=account.nonce).transaction.model_copy(
        update={"signer": key.public if key is not OWNER.account else None}
    )


def refused(world, key):
    with pytest.raises(Rejected) as error:
        world.block(sign_transaction(key, with_key(world, key)))
    return error.value.reason


def test_the_account_stays_and_only_the_new_key_speaks_for_it():
    world = funded()
    before = world.balance(OWNER)
    world.rotate(OWNER, NEW)
    world.must(OWNER, SEND)
    assert world.balance(OWNER) == before - 7 - 20
    assert refused(world, OWNER.account) == Reason.KEY_RETIRED
    assert refused(world, NEWER) == Reason.KEY_RETIRED


def test_each_key_retires_the_one_before():
    world = funded()
    world.rotate(OWNER, NEW)
    world.rotate(OWNER, NEWER)
    assert refused(world, NEW) == Reason.KEY_RETIRED
    world.must(OWNER, SEND)


def test_a_key_that_nobody_appointed_says_nothing():
    assert refused(funded(), NEW) == Reason.KEY_RETIRED


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (Rotate(key=NEW.public, proof=bytes(64)), Reason.KEY_UNPROVEN),
        (rotate_to(NEW, bytes(32), OWNER.id), Reason.KEY_UNPROVEN),
        (rotate_to(NEW, funded().network, STRANGER.id), Reason.KEY_UNPROVEN),
        (rotate_to(OWNER.account, funded().network, OWNER.id), Reason.KEY_TAKEN),
    ],
)
def test_a_key_has_to_be_fresh_and_to_agree(body, reason):
    assert_refused(funded(), OWNER, body, reason)


def test_a_key_that_has_spoken_for_an_account_of_its_own_is_taken():
    world = funded()
    world.must(STRANGER, Transfer(to=OWNER.id, amount_base=1))
    body = rotate_to(STRANGER.account, world.network, OWNER.id)
    assert_refused(world, OWNER, body, Reason.KEY_TAKEN)


def test_nobody_keeps_a_key_from_being_rotated_to_by_sending_it_coins():
    world = funded()
    world.must(STRANGER, Transfer(to=NEW.public, amount_base=1))
    world.rotate(OWNER, NEW)
    world.must(OWNER, SEND)


def test_the_present_key_cannot_be_rotated_to():
    world = funded()
    world.rotate(OWNER, NEW)
    assert world.do(OWNER, rotate_to(NEW, world.network, OWNER.id)) == Reason.KEY_TAKEN


def test_members_that_have_rotated_play_and_are_paid_like_others():
    world = published()
    for number, attestor in enumerate(ATTESTORS):
        world.rotate(attestor, KeyPair(bytes([number + 1]) * 32))
    world.must(OWNER, create_plan(world.library.key))
    world.pass_blocks()
    world.block(*(world.sign(BY_ID[c.hoster], world.acknowledge(c)) for c in world.contracts))
    before = {person: world.balance(person) for person in ATTESTORS}
    play(world)
    assert list(world.voices) == sorted(world.voices) != sorted(world.challenge.members)
    assert world.challenge.coin is not None and not world.challenge.excluded
    assert all(world.balance(member) > before[member] for member in world.members)


def test_a_member_speaks_with_the_key_that_it_was_lined_up_with():
    """Who takes a key back in the middle of a flip changes nothing for the others."""
    world = drawn()
    voices = world.voices
    world.must(world.members[0], rotate_to(NEW, world.network, world.members[0].id))
    assert world.voices == voices
    world.must(STRANGER, world.seal())
    assert world.challenge.status == "visiting"


def test_a_report_of_a_retired_key_is_refused():
    world = coin_opened()
    attestor = world.members[0]
    report = account_of(world, attestor)
    world.rotate(attestor, NEW)
    new = world.keys.pop(attestor.id)
    with pytest.raises(Rejected) as error:
        world.do(attestor, report.open(), report.sidecar)
    assert error.value.reason == Reason.KEY_RETIRED
    world.keys[attestor.id] = new
    world.must(attestor, report.open(), report.sidecar)


def test_two_accounts_with_one_key_are_lined_up_as_one():
    """Else one voice would take two places in a flip."""
    world = staffed()
    for attestor in ATTESTORS[:2]:
        world.rotate(attestor, NEW)
    world.libraries["library"] = Library("library", 40)
    world.must(OWNER, world.library.publish())
    world.must(OWNER, create_plan(world.library.key))
    world.pass_blocks()
    world.block(*(world.sign(BY_ID[c.hoster], world.acknowledge(c)) for c in world.contracts))
    signers = [one.signer for one in world.line_up.attestors]
    assert len(signers) == len(ATTESTORS) - 1 and signers.count(NEW.public) == 1
