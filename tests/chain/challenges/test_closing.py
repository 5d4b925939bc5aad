"""What is left of a challenge in the state, and for how long."""

import pytest

from chain.genesis import Parameters
from chain.records import Table
from tests.builders import BLOCK_MS, World
from tests.stages import committed, drawn, play

MEMORY_MS = 60_000
OF_CHALLENGES = (Table.DRAW, Table.CHALLENGE, Table.REPORT, Table.VERDICT)


@pytest.fixture(autouse=True)
def _short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Parameters, "evidence_ms", MEMORY_MS)


def kept(world: World, challenge: bytes) -> list[int]:
    """How many records of each table are of this challenge."""
    names = [name for name in world.state.records if name[1].startswith(challenge)]
    return [sum(table is each for table, _ in names) for each in OF_CHALLENGES]


def test_what_a_verdict_rests_on_is_forgotten_when_it_can_convict_nobody():
    world = play(drawn())
    challenge, over = world.challenge.challenge, world.height
    assert kept(world, challenge) == [1, 1, 4, 2]
    world.pass_until(over + MEMORY_MS // BLOCK_MS)
    assert kept(world, challenge) == [1, 1, 4, 2]
    world.pass_blocks()
    assert kept(world, challenge) == [0, 0, 0, 2]
    listed = world.draft.availability.at(world.library.key).verdicts
    assert listed[::2].count(challenge) == 2


def test_a_challenge_that_failed_is_forgotten_as_well():
    world = drawn()
    challenge = world.challenge.challenge
    world.pass_until(world.challenge.seal_deadline)
    while world.draft.challenges.at(challenge).status != "failed":
        world.pass_blocks()
    world.pass_blocks(MEMORY_MS // BLOCK_MS + 1)
    assert kept(world, challenge) == [0, 0, 0, 0]


def test_so_is_one_whose_coin_nobody_opened():
    world = committed()
    challenge = world.challenge.challenge
    while world.draft.challenges.at(challenge).status != "failed":
        world.pass_blocks()
    world.pass_blocks(MEMORY_MS // BLOCK_MS)
    assert kept(world, challenge) == [1, 1, 0, 0]
    world.pass_blocks()
    assert kept(world, challenge) == [0, 0, 0, 0]


@pytest.mark.parametrize("later_ms", [0, BLOCK_MS, MEMORY_MS])
def test_when_blocks_come_faster_than_time_it_is_kept_until_the_time_is_over(later_ms):
    world = play(drawn())
    challenge = world.challenge.challenge
    opened_ms = world.context().time_ms + later_ms
    draft = world.draft
    draft.challenges.change(challenge, window_opened_ms=opened_ms)
    world.state.commit(draft)
    while world.context().time_ms <= opened_ms + MEMORY_MS:
        world.block()
        assert kept(world, challenge) == [1, 1, 4, 2]
    world.block()
    assert kept(world, challenge) == [0, 0, 0, 2]


def test_a_later_challenge_stays():
    world = play(drawn())
    first = world.challenge.challenge
    play(world)
    second = world.challenge.challenge
    while any(kept(world, first)[:3]):
        world.pass_blocks()
    assert kept(world, second) == [1, 1, 4, 2]
