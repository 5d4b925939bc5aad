"""Acting out a disguise: asking a hoster for chunks as the reader would whom it copies."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

from attestor.disguise import (
    NODE_IN_FLIGHT,
    WHOLE_CHUNKS,
    Disguise,
    Habit,
    node_work,
    start_us,
    think_us,
)
from attestor.witness_session import Witness
from feed.feed import Feed
from feed.replication.manner import Manner
from feed.replication.session import Session
from wire.prng import Stream

MILLION = 1_000_000


def manner_of(disguise: Disguise) -> Manner:
    """How the session goes about it."""
    if disguise.habit is Habit.CLONE:
        return Manner(keep_wrong=True)
    return Manner(
        in_flight=NODE_IN_FLIGHT,
        scatter=Stream(disguise.seed, b"order").below,
        keep_wrong=True,
        work=node_work(disguise.seed),
    )


async def act(
    disguise: Disguise, session: Session, witness: Witness, feed: Feed, room_bytes: int
) -> None:
    """Ask for everything that the reader would. Returns when all is asked for, not when it came."""
    session.fetch(())
    await witness.head()
    if witness.is_over:
        return
    if (pause_us := start_us(disguise)) > 0:  # a clone asks in the same breath
        await asyncio.sleep(pause_us / MILLION)
    if feed.byte_length > room_bytes or feed.length > WHOLE_CHUNKS:
        # It has grown since the draw.
        disguise = replace(disguise, habit=Habit.LOOKUPS)
    if disguise.habit is not Habit.LOOKUPS:
        witness.want(range(feed.length))
        session.fetch_all()
    else:
        witness.want(disguise.lookups)
        chunks = iter(disguise.lookups)
        thoughts = Stream(disguise.seed, b"thoughts")
        async with asyncio.TaskGroup() as tasks:
            for _ in range(disguise.at_once):
                tasks.create_task(_look_up(chunks, disguise.think_ms, thoughts, session, witness))


async def _look_up(
    chunks: Iterator[int], think_ms: int, thoughts: Stream, session: Session, witness: Witness
) -> None:
    for chunk in chunks:
        if witness.is_over:
            return
        session.fetch([chunk])
        await witness.answered(chunk)
        await asyncio.sleep(think_us(thoughts, think_ms) / MILLION)
