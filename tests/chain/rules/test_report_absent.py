"""A member found others silent in the flip."""

import pytest

from chain.bodies.challenges import ReportAbsent
from chain.reasons import Reason
from tests.chain.refusals import assert_refused
from tests.people import ATTESTORS, STRANGER
from tests.stages import drawn, sealed


def absent(world, *people, **changes):
    body = ReportAbsent(
        challenge=world.challenge.challenge,
        attempt=world.challenge.attempt,
        absent=tuple(person.id for person in people),
    )
    return body.model_copy(update=changes)


def test_a_vote_is_noted():
    world = drawn()
    first, second, third, _ = world.members
    world.must(first, absent(world, second, third))
    (vote,) = world.challenge.absences
    assert (vote.voter, vote.absent) == (first.id, (second.id, third.id))
    assert world.challenge.status == "flipping"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"challenge": b"c" * 32}, Reason.UNKNOWN_CHALLENGE),
        ({"attempt": 1}, Reason.WRONG_ATTEMPT),
        ({"absent": (STRANGER.id,)}, Reason.NOT_A_MEMBER),
    ],
)
def test_a_vote_with_one_thing_wrong_is_refused(changes, reason):
    world = drawn()
    first, second, *_ = world.members
    assert_refused(world, first, absent(world, second, **changes), reason)


def test_only_members_vote():
    world = drawn()
    outsider = next(person for person in ATTESTORS if person not in world.members)
    assert_refused(world, outsider, absent(world, world.members[0]), Reason.NOT_A_MEMBER)


def test_a_member_votes_once_an_attempt():
    world = drawn()
    first, second, third, _ = world.members
    world.must(first, absent(world, second))
    assert_refused(world, first, absent(world, third), Reason.ALREADY_VOTED)
    assert_refused(world, first, absent(world, second), Reason.ALREADY_VOTED)
    world.pass_until(world.challenge.seal_deadline)
    world.must(first, absent(world, third))


def test_a_sealed_flip_takes_no_votes():
    world = sealed()
    first, second, *_ = world.members
    assert_refused(world, first, absent(world, second), Reason.WRONG_PHASE)
