"""What a hoster sees of an attestor is what it sees of a reader."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from attestor.disguise import MORE_LOOKUPS, WHOLE_CHUNKS, Habit, put_on
from benchmarks.detectability import Session, attestor_of, made, over
from benchmarks.line import Line, lined
from benchmarks.reader import attest, clone
from benchmarks.seen import Seen, hosting
from feed.feed import Feed
from feed.messages import Data, Extension, Message, Request
from feed.replication.manner import LINGER_MS
from feed.store import FeedStore

LENGTH, BYTES = 120, 500
PLANNED = (7, 31, 0, 119, 12, 64)


@asynccontextmanager
async def library() -> AsyncIterator[Feed]:
    with FeedStore(":memory:") as store:
        yield made(store, 0, LENGTH, BYTES)


async def seen_of(feed: Feed, session: Session) -> Seen:
    """What a hoster sees of one session."""
    named = {"id": 0, "key": feed.key.hex(), "length": feed.length, "habit": ""} | session
    async with (
        hosting([feed]) as (listener, all_seen),
        lined(Line(0.001, 1e9), listener.port) as line,
    ):
        act = clone if session["role"] == "clone" else attest
        assert await act(named | {"port": line.port}) == "served"
        return await over(all_seen, line.outgoing[0])


def words(seen: Seen) -> list[Message]:
    return [message for _, _, message in seen.heard]


def asked(seen: Seen) -> list[int]:
    found = [m.chunk.index for m in words(seen) if isinstance(m, Request) and m.chunk is not None]
    assert len(set(found)) == len(found)
    return found


def stayed_ms(seen: Seen) -> float:
    served = [at for at, m in seen.said if isinstance(m, Data) and m.chunk is not None]
    return (seen.ended_s - served[-1]) * 1_000


async def test_an_attestor_that_clones_says_word_for_word_what_a_clone_says():
    async with library() as feed:
        session = attestor_of(feed, Habit.CLONE, list(PLANNED), random.Random(1))
        reader, attestor = await seen_of(feed, {"role": "clone"}), await seen_of(feed, session)
    assert words(attestor) == words(reader)
    assert asked(attestor) == list(range(LENGTH))
    assert attestor.closed_channel == reader.closed_channel
    for seen in (reader, attestor):
        assert stayed_ms(seen) >= LINGER_MS[0], "longer than the hoster waits before it signs"


@pytest.mark.parametrize("habit", Habit)
async def test_planned_chunks_are_hidden_among_others_and_receipts_not_asked_for(habit):
    async with library() as feed:
        seen = await seen_of(feed, attestor_of(feed, habit, list(PLANNED), random.Random(2)))
    assert set(asked(seen)) >= set(PLANNED)
    assert len(asked(seen)) > len(PLANNED)
    assert not any(isinstance(message, Extension) for message in words(seen))
    priorities = {m.priority for m in words(seen) if isinstance(m, Request) and m.chunk is not None}
    assert priorities == {1 if habit is Habit.LOOKUPS else 0}


def test_each_visit_chooses_its_disguise_by_itself_and_makes_it_again():
    seeds = [bytes([number]) * 32 for number in range(200)]
    worn = [put_on(seed, PLANNED, LENGTH, LENGTH * BYTES, 1 << 20) for seed in seeds]
    assert worn == [put_on(seed, PLANNED, LENGTH, LENGTH * BYTES, 1 << 20) for seed in seeds]
    for habit in Habit:
        assert 40 < sum(each.habit is habit for each in worn) < 95, "a third of 200"
    assert len({each.linger_ms for each in worn}) > 150
    assert len({each.lookups for each in worn}) == 200


@pytest.mark.parametrize(
    ("length", "byte_length", "room_bytes"),
    [(LENGTH, 10**6, 10**6 - 1), (WHOLE_CHUNKS + 1, 10**5, 10**6), (10**9, 10**15, 0)],
)
def test_what_is_too_large_is_looked_up_within_the_room(length, byte_length, room_bytes):
    chunk_bytes = byte_length // length
    for number in range(100):
        worn = put_on(bytes([number]) * 32, PLANNED, length, byte_length, room_bytes)
        assert worn.habit is Habit.LOOKUPS
        assert set(PLANNED) <= set(worn.lookups)
        assert len(set(worn.lookups)) == len(worn.lookups) <= len(PLANNED) + MORE_LOOKUPS
        assert len(worn.lookups) * chunk_bytes <= max(room_bytes, len(PLANNED) * chunk_bytes)


def test_planned_chunks_come_at_any_place():
    places = [
        worn.lookups.index(chunk) / len(worn.lookups)
        for number in range(200)
        for worn in [put_on(bytes([number]) * 32, PLANNED, 10**6, 10**9, 10**6)]
        for chunk in PLANNED
    ]
    assert 0.45 < sum(places) / len(places) < 0.5, "the middle, less half a place"
