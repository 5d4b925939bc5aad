"""Small fetches beside a visit, as another ordinary reader with a key of its own.

fetch_truth    from other peers, what a visit left open
fetch_chunk    to compare it with what others say of it in their reports
reaches_any    whether our own line carries anything: a chunk from hosters that are not suspected
"""

import asyncio
from collections.abc import Iterable, Sequence
from secrets import token_bytes

import structlog

from attestor.itinerary import Control
from chain.endpoint import Endpoint
from feed.feed import Feed
from feed.replication.session import open_session
from feed.store import FeedStore
from swarm.peers import Limits
from swarm.tcp import dial
from wire.errors import HoldfastError
from wire.keys import KeyPair

log = structlog.get_logger()


async def fetch_truth(
    feed: Feed, chunks: Sequence[int], peers: Iterable[Endpoint], seconds: float, limits: Limits
) -> None:
    """Get chunks from the first peer that gives them all; what came before stays."""
    for endpoint in peers:
        if await _fetch(feed, chunks, endpoint, seconds, limits):
            return


async def fetch_chunk(
    feed: bytes, chunk: int, peers: Iterable[Endpoint], seconds: float
) -> bytes | None:
    """A chunk of a feed from the first peer that gives it."""
    with FeedStore(":memory:") as store:
        kept = store.create(feed)
        await fetch_truth(kept, [chunk], peers, seconds, Limits())
        return kept.chunk(chunk).value if kept.has(chunk) else None


async def reaches_any(controls: Sequence[Control], seconds: float, limits: Limits) -> bool:
    """Whether one of these can be fetched now: if none can, the fault is our own line."""
    async with asyncio.TaskGroup() as tasks:
        found = [tasks.create_task(_reaches(each, seconds, limits)) for each in controls]
    return any(task.result() for task in found)


async def _reaches(control: Control, seconds: float, limits: Limits) -> bool:
    with FeedStore(":memory:") as store:
        feed = store.create(control.feed)
        return await _fetch(feed, [control.chunk], control.endpoint, seconds, limits)


async def _fetch(
    feed: Feed, chunks: Sequence[int], endpoint: Endpoint, seconds: float, limits: Limits
) -> bool:
    came = False
    try:
        async with asyncio.timeout(seconds):
            connection = await dial(
                endpoint.host,
                endpoint.port,
                KeyPair(token_bytes(32)),
                expected_remote=endpoint.swarm_key,
                limits=limits,
            )
            try:
                session = await open_session(connection, feed)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(session.replicate())
                    for chunk in chunks:
                        await session.chunk(chunk)
                    came = True
                    session.close()
            finally:
                await connection.close()
    except* (HoldfastError, TimeoutError) as group:
        log.debug("could not be fetched elsewhere", reason=str(group.exceptions[0]))
    return came
