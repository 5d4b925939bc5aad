"""What is due at a height: the next one with room, found in few steps however many are full."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from chain import schedule
from chain.records import DueItem, Table
from chain.state import Draft, Key, State
from wire.codec import Message

ROOM = 2


class Counting(State):
    """Counts how often what is due at a height is looked at."""

    looked = 0

    def get(self, key: Key) -> Message | None:
        self.looked += key[0] is Table.DUE
        return super().get(key)


@pytest.fixture(autouse=True)
def _little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "ROOM", ROOM)


def item(number: int = 0) -> DueItem:
    return DueItem(kind="unbond", id=number.to_bytes(4, "big"))


def fill(state: State, height: int, count: int = 1) -> list[int]:
    """One transaction after another has something due at a height: where it goes."""
    heights = []
    for _ in range(count):
        draft = Draft(state)
        heights.append(schedule.soon(draft, height, item()))
        state.commit(draft)
    return heights


def test_who_fills_height_after_height_makes_nobody_walk_them_all():
    state = Counting()
    heights = fill(state, 100, 1_000)
    assert heights == [100 + number // ROOM for number in range(1_000)]
    assert state.looked <= 5 * 1_000


def test_nor_when_each_comes_a_little_later():
    """As with coins that return: each block begins to look a height later, at one never left."""
    state = Counting()
    for begin in range(100, 300):
        fill(state, begin, 4 * ROOM)
    assert state.looked <= 5 * 200 * 4 * ROOM
    before = state.looked
    fill(state, 300)
    assert state.looked - before <= 20


def test_nor_when_heights_were_filled_one_by_one():
    state = Counting()
    for height in reversed(range(100, 400)):
        fill(state, height, ROOM)
    fill(state, 100)
    before = state.looked
    assert fill(state, 100, 100)[-1] == 400 + 100 // ROOM
    assert state.looked - before <= 5 * 100


@given(some.lists(some.tuples(some.booleans(), some.integers(1, 12)), max_size=60))
def test_it_is_always_the_next_height_with_room(steps):
    state, taken = State(), dict.fromkeys(range(100), 0)
    for now, (sends, ahead) in enumerate(steps):
        draft = Draft(state)
        assert len(schedule.take(draft, now)) == taken[now]
        if sends:
            expected = next(height for height in range(now + ahead, 100) if taken[height] < ROOM)
            assert schedule.soon(draft, now + ahead, item(now)) == expected
            taken[expected] += 1
        state.commit(draft)
