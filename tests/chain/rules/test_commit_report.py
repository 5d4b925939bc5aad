"""Bind an attestor to its report while the window is open."""

from chain.bodies.challenges import CommitReport
from chain.reasons import Reason
from tests.chain.refusals import assert_refused
from tests.people import ATTESTORS, STRANGER
from tests.stages import drawn, opening, sealed


def commit(world, **changes):
    body = CommitReport(challenge=world.challenge.challenge, commitment=b"y" * 32)
    return body.model_copy(update=changes)


def test_a_commitment_is_noted():
    world = sealed()
    member = world.members[2]
    world.must(member, commit(world))
    (known,) = world.challenge.commitments
    assert (known.member, known.commitment) == (member.id, b"y" * 32)


def test_the_windows_last_block_is_early_enough():
    world = sealed()
    world.pass_until(world.challenge.window_end - 1)
    world.must(world.members[0], commit(world))


def test_two_members_may_commit_to_the_same():
    world = sealed()
    world.must(world.members[0], commit(world))
    world.must(world.members[1], commit(world))


def test_an_unknown_challenge_is_refused():
    world = sealed()
    body = commit(world, challenge=b"c" * 32)
    assert_refused(world, world.members[0], body, Reason.UNKNOWN_CHALLENGE)


def test_only_members_commit():
    world = sealed()
    outsider = next(person for person in ATTESTORS if person not in world.members)
    for person in (outsider, STRANGER):
        assert_refused(world, person, commit(world), Reason.NOT_A_MEMBER)


def test_before_and_after_the_window_is_refused():
    for world in (drawn(), opening(silent=[0])):
        assert_refused(world, world.members[0], commit(world), Reason.WRONG_PHASE)


def test_a_member_commits_once():
    world = sealed()
    world.must(world.members[0], commit(world))
    body = commit(world, commitment=b"z" * 32)
    assert_refused(world, world.members[0], body, Reason.ALREADY_COMMITTED)
