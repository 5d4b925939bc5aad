"""All members signed the same commitments: the coin is fixed."""

import pytest

from chain.bodies.challenges import ReportAbsent
from chain.reasons import Reason
from chain.rules.seal_coin import topic
from coinflip.messages import Echo, sign_body
from coinflip.opening import topic_id
from tests.builders import START_MS
from tests.chain.refusals import assert_refused
from tests.people import BLOCK_MS, STRANGER
from tests.stages import drawn, sealed


def test_a_seal_opens_the_window():
    world = drawn()
    seal = world.seal()
    world.must(STRANGER, seal)
    challenge, parameters = world.challenge, world.parameters
    assert (challenge.status, challenge.digest) == ("visiting", seal.digest)
    assert challenge.window_start == world.height
    assert challenge.window_end == world.height + parameters.window_blocks
    assert challenge.opening_deadline == challenge.window_end + parameters.opening_blocks
    assert challenge.window_opened_ms == START_MS + world.height * BLOCK_MS


def test_a_seal_in_the_deadlines_block_is_early_enough():
    world = drawn()
    world.pass_until(world.challenge.seal_deadline - 1)
    world.must(STRANGER, world.seal())
    assert world.challenge.status == "visiting"


def test_a_seal_settles_who_was_found_silent():
    world = drawn()
    first, second, *_ = world.members
    body = ReportAbsent(challenge=world.challenge.challenge, attempt=0, absent=(second.id,))
    world.must(first, body)
    world.must(STRANGER, world.seal())
    assert world.challenge.absences == ()


def test_the_window_closes_by_itself():
    world = sealed()
    world.pass_until(world.challenge.window_end - 1)
    assert world.challenge.status == "visiting"
    world.pass_blocks()
    assert world.challenge.status == "opening"
    assert world.challenge.window_closed_ms == START_MS + world.height * BLOCK_MS


def test_the_topic_binds_network_challenge_attempt_members_and_deadline():
    world = drawn()
    challenge = world.challenge
    expected = topic_id(
        world.network,
        challenge.challenge,
        challenge.attempt,
        challenge.members,
        challenge.seal_deadline,
    )
    assert topic(world.network, challenge) == expected
    for changes in (
        {"attempt": 1},
        {"members": challenge.members[1:]},
        {"seal_deadline": 99},
        {"challenge": b"c" * 32},
    ):
        assert topic(world.network, challenge.model_copy(update=changes)) != expected
    assert topic(b"n" * 32, challenge) != expected


def resigned(world, domain_topic):
    """Signatures that are good for another topic."""
    seal = world.seal()
    signatures = tuple(
        sign_body(member.account, world.network, domain_topic, Echo(digest=seal.digest)).signature
        for member in world.members
    )
    return seal.model_copy(update={"signatures": signatures})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w, s: {"challenge": b"c" * 32}, Reason.UNKNOWN_CHALLENGE),
        (lambda w, s: {"attempt": 1}, Reason.WRONG_ATTEMPT),
        (lambda w, s: {"digest": b"d" * 32}, Reason.BAD_SEAL),
        (lambda w, s: {"signatures": s.signatures[:-1]}, Reason.BAD_SEAL),
        (lambda w, s: {"signatures": (*s.signatures, s.signatures[0])}, Reason.BAD_SEAL),
        (lambda w, s: {"signatures": tuple(reversed(s.signatures))}, Reason.BAD_SEAL),
        (lambda w, s: {"signatures": (s.signatures[0],) * 4}, Reason.BAD_SEAL),
        (lambda w, s: {"signatures": (bytes(64), *s.signatures[1:])}, Reason.BAD_SEAL),
    ],
)
def test_a_seal_with_one_thing_wrong_is_refused(change, reason):
    world = drawn()
    seal = world.seal()
    body = seal.model_copy(update=change(world, seal))
    assert_refused(world, STRANGER, body, reason)


def test_signatures_for_another_attempt_are_refused():
    world = drawn()
    later = topic(world.network, world.challenge.model_copy(update={"attempt": 1}))
    assert_refused(world, STRANGER, resigned(world, later), Reason.BAD_SEAL)


def test_a_second_seal_is_refused():
    world = sealed()
    assert_refused(world, STRANGER, world.seal(), Reason.WRONG_PHASE)


def test_a_seal_of_a_missed_attempt_is_refused():
    world = drawn()
    late = world.seal()
    world.pass_until(world.challenge.seal_deadline)
    assert_refused(world, STRANGER, late, Reason.WRONG_ATTEMPT)
    world.must(STRANGER, world.seal())
    assert world.challenge.status == "visiting"
