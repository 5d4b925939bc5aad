"""An attestor whose own line is dead blames nobody: it fetches something else right then.

And a hoster that is slow, or gone, is not excused by that.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from attestor.itinerary import Control
from audit.messages import Outcome
from chain.endpoint import Endpoint
from feed.messages import Data, Message
from swarm.peers import Limits
from tests.attestor.hosters import (
    HOST,
    HOSTER,
    HURRIED,
    OTHER,
    QUICK,
    hosting,
    on_chunk,
    stored,
    visit,
)
from tests.feed.owner import KEY
from wire.keys import Use

GONE = Endpoint(host=HOST, port=1, swarm_key=HOSTER.key(Use.SWARM).public)
DEADLINE_S = 2.4
"""For six chunks, of which one comes every 0.6 seconds."""


PATIENCE = replace(QUICK, quiet_s=1.0, limits=Limits(handshake_timeout_s=1.0, open_timeout_s=1.0))
"""For machines that do other work too: an honest control must not be late."""


@asynccontextmanager
async def silent() -> AsyncIterator[Endpoint]:
    """Somebody who takes the connection and says nothing."""
    over = asyncio.Event()

    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with await asyncio.start_server(wait, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Endpoint(host=HOST, port=port, swarm_key=HOSTER.key(Use.SWARM).public)
        over.set()


@asynccontextmanager
async def dripping() -> AsyncIterator[Endpoint]:
    """A hoster that is reached, and whose chunks come now and then."""
    loop = asyncio.get_running_loop()
    async with hosting(stored()) as hoster:
        dripped = 0

        def drip(data: Data) -> Sequence[Message]:
            nonlocal dripped
            dripped += 1
            loop.call_later(0.6 * dripped, hoster.channels[-1].send_plain, data)
            return []

        hoster.bend = on_chunk(drip)
        yield hoster.endpoint


@asynccontextmanager
async def nobody() -> AsyncIterator[Endpoint]:
    """A port where nobody listens."""
    yield GONE


FAILURES = {
    "nobody": (nobody, Outcome.CONNECT_REFUSED),
    "silent": (silent, Outcome.CONNECT_TIMEOUT),
    "dripping": (dripping, Outcome.TOO_SLOW),
}


async def visited(how: str, controls: tuple[Control, ...]) -> Outcome:
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(FAILURES[how][0]())
        result, judged = await visit(
            endpoint, controls=controls, deadline_s=DEADLINE_S, patience=PATIENCE
        )
        assert judged.served < judged.planned
        assert result.evidence is None or result.summary.outcome is not Outcome.SKIPPED
        return result.summary.outcome


def control(endpoint: Endpoint) -> Control:
    return Control(endpoint, KEY, chunk=3)


@pytest.mark.parametrize("how", FAILURES)
async def test_who_reaches_nobody_else_either_skips_the_visit(how):
    assert await visited(how, (control(GONE), control(GONE))) is Outcome.SKIPPED


@pytest.mark.parametrize("how", FAILURES)
async def test_who_reaches_one_other_tells_what_it_saw(how):
    async with hosting(stored(), hoster=OTHER) as other:
        found = await visited(how, (control(GONE), control(other.endpoint)))
    assert found is FAILURES[how][1]


@pytest.mark.parametrize("how", FAILURES)
async def test_where_there_is_nobody_else_silence_is_told(how):
    assert await visited(how, ()) is FAILURES[how][1]


async def test_who_answers_that_it_has_nothing_is_not_excused_by_our_line():
    feed = stored()
    feed.forget(range(feed.length))
    async with hosting(feed) as hoster:
        result, _ = await visit(hoster.endpoint, controls=(control(GONE),), patience=HURRIED)
    assert result.summary.outcome is Outcome.CHUNKS_MISSING


async def test_a_byte_now_and_then_is_too_slow_and_counted():
    async with hosting(stored(), hoster=OTHER) as other:
        assert await visited("dripping", (control(other.endpoint),)) is Outcome.TOO_SLOW
