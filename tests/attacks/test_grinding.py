"""Rows 7 and 8: nobody gets into a committee by coming late, nor much by refusing one choice."""

from math import isqrt

import pytest

from chain.challenge_records import LineUp
from chain.challenges import lottery
from chain.records import RosterName
from tests.attacks.test_sybil_attestors import HONEST, attestors
from tests.people import ATTESTORS, BY_ID, OWNER, PARAMETERS, genesis
from tests.stages import lined_up
from wire.primitives import blake2b_256

DRAWS = 400
SIZE = 6
WIDE = PARAMETERS.model_copy(update={"committee_members": SIZE, "committee_minimum": 4})


def seats(share, number, world):
    """How many seats one with a third of the attestors gets, by the beacon of this number."""
    theirs = attestors(HONEST[: len(HONEST) * share // 12], 1_000)
    others = attestors(HONEST[len(theirs) :], 1_000)
    draft = world.draft
    everybody = sorted((*theirs, *others), key=lambda one: one.account)
    fixed = LineUp(
        height=world.height,
        draw_height=world.height + 2,
        attestors=tuple(everybody),
        contracts=draft.roster(RosterName.ACTIVE_CONTRACTS),
    )
    draft.line_ups.put(b"", fixed)
    lottery.draw_challenges(draft, world.context(), blake2b_256(number.to_bytes(4, "big")))
    (challenge,) = draft.meta.open_challenges
    members = set(draft.challenges.at(challenge).members)
    return len(members & {one.account for one in theirs})


@pytest.fixture(scope="module")
def world():
    made = lined_up()
    made.genesis = genesis(WIDE)
    return made


@pytest.mark.parametrize("share", [3, 4, 6])
def test_the_share_of_seats_is_the_share_of_stake(world, share):
    taken = sum(seats(share, number, world) for number in range(DRAWS))
    expected = DRAWS * SIZE * share // 12
    # Four standard deviations of so many draws, and they are without replacement.
    assert abs(taken - expected) < 4 * isqrt(DRAWS * SIZE * share * (12 - share) // 144)


def test_to_refuse_one_output_gains_less_than_one_seat_in_six(world):
    once = twice = 0
    for number in range(DRAWS):
        first, second = (seats(4, 2 * number + which, world) for which in (0, 1))
        once, twice = once + first, twice + max(first, second)
    # A leader may let its own block fail and see the next one's beacon: the better of two.
    assert once < twice < once + DRAWS * SIZE // 6


def test_who_stakes_or_registers_after_the_line_up_is_not_in_the_draw():
    world = lined_up()
    late = OWNER
    draft = world.draft
    stake = draft.stakes.get(b"a" + ATTESTORS[0].id).model_copy(update={"amount_base": 10**6})
    draft.stakes.put(b"a" + late.id, stake)
    registration = draft.registrations.at(ATTESTORS[0].id)
    draft.registrations.put(late.id, registration.model_copy(update={"account": late.id}))
    draft.set_listed(RosterName.ATTESTORS, late.id, True)
    for number in range(50):
        above = draft.draft()
        lottery.draw_challenges(above, world.context(), blake2b_256(bytes([number])))
        (challenge,) = above.meta.open_challenges
        assert late.id not in above.challenges.at(challenge).members
        assert all(BY_ID[one] in ATTESTORS for one in above.challenges.at(challenge).members)
