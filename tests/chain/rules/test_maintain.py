"""A hoster says when it will be away, too early to know what it would miss."""

import pytest

from chain.bodies.data import Maintain
from chain.challenges.data_requests import answer_deadline
from chain.hosting_records import Absence, Maintenance
from chain.reasons import Reason
from tests.asking import asked
from tests.chain.refusals import assert_refused
from tests.people import BY_ID, HOSTERS, PARAMETERS, STRANGER
from tests.stages import lined_up, staffed
from wire.codec import decode, encode
from wire.errors import Malformed
from wire.primitives import MAX_HEIGHT, MAX_INT

AHEAD = PARAMETERS.challenge_blocks


def announced(world, person=HOSTERS[0], ahead=AHEAD, blocks=3):
    """An absence that begins so many blocks after the block that announces it."""
    return person, Maintain(from_height=world.height + 1 + ahead, blocks=blocks)


def test_an_absence_is_announced():
    world = staffed()
    world.must(*announced(world))
    begins = world.height + AHEAD
    absence = Absence(from_height=begins, until_height=begins + 3)
    assert world.draft.maintenance.at(HOSTERS[0].id).absences == (absence,)


def test_bad_announcements_are_refused():
    world = staffed()
    for reason, changed in (
        (Reason.ANNOUNCED_TOO_LATE, {"ahead": AHEAD - 1}),
        (Reason.ABSENT_TOO_LONG, {"blocks": 4}),
        (Reason.NOT_REGISTERED, {"person": STRANGER}),
    ):
        assert_refused(world, *announced(world, **changed), reason)
    world.must(*announced(world))
    assert_refused(world, *announced(world, ahead=10 * AHEAD), Reason.ABSENT_TOO_OFTEN)


def test_absences_rest_between():
    world = staffed()
    world.must(*announced(world))
    (first,) = world.draft.maintenance.at(HOSTERS[0].id).absences
    world.pass_until(first.until_height - 2)
    assert_refused(world, *announced(world, ahead=2 * AHEAD), Reason.ABSENT_TOO_OFTEN)
    world.pass_blocks()
    early = Maintain(from_height=first.until_height + 39, blocks=1)
    assert_refused(world, HOSTERS[0], early, Reason.ABSENT_TOO_OFTEN)
    world.must(HOSTERS[0], early.model_copy(update={"from_height": first.until_height + 40}))
    assert len(world.draft.maintenance.at(HOSTERS[0].id).absences) == 2


def absences(*stretches):
    return Maintenance(
        absences=tuple(Absence(from_height=one, until_height=two) for one, two in stretches)
    )


@pytest.mark.parametrize(
    ("stretches", "deadline"),
    [
        ((), 112),
        (((90, 100),), 112),
        (((90, 103),), 115),
        (((100, 103),), 115),
        (((105, 108),), 115),
        (((112, 115),), 115),
        (((113, 116),), 112),
        (((105, 108), (114, 116)), 117),
        (((105, 108), (116, 118)), 115),
    ],
)
def test_the_time_to_answer_stands_still_meanwhile(stretches, deadline):
    assert answer_deadline(PARAMETERS, absences(*stretches), 100) == deadline
    assert answer_deadline(PARAMETERS, None, 100) == 112


def test_a_request_waits_for_who_is_away():
    world = lined_up()
    contract = world.contracts[0]
    world.must(*announced(world, person=BY_ID[contract.hoster]))
    (absence,) = world.draft.maintenance.at(contract.hoster).absences
    world.pass_until(absence.from_height - 4)
    request = asked(world, contract, 1)
    assert request.deadline == world.height + PARAMETERS.answer_blocks + 3


def test_an_absence_beyond_all_heights_is_no_message():
    """Its end would be no height: every node that let it into a block would stop there."""
    world = staffed()
    person, body = announced(world)
    latest = body.model_copy(update={"from_height": MAX_HEIGHT})
    assert decode(Maintain, encode(latest)) == latest
    world.must(person, latest)
    for height in (MAX_HEIGHT + 1, MAX_INT):
        with pytest.raises(Malformed, match="from_height"):
            decode(Maintain, encode(body.model_copy(update={"from_height": height})))
