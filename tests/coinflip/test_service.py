"""The topic as a flip's transport, over loopback connections."""

import asyncio

from coinflip.service import Members
from swarm.service import open_swarm
from swarm.topic import HISTORY_MESSAGES
from wire.keys import KeyPair

TOPIC = bytes(32)
FIRST, SECOND = KeyPair(bytes([1]) * 32), KeyPair(bytes([2]) * 32)


async def test_what_was_said_is_not_said_again_so_that_a_late_member_gets_all_of_it() -> None:
    async with (
        asyncio.timeout(20),
        open_swarm(FIRST, "127.0.0.1", 0) as first,
        open_swarm(SECOND, "127.0.0.1", 0) as second,
    ):
        places = {
            FIRST.public: ("127.0.0.1", first.listener.port),
            SECOND.public: ("127.0.0.1", second.listener.port),
        }
        speaker = Members(first.join(TOPIC, places))
        await speaker.broadcast(b"said before all repetitions")
        for _ in range(HISTORY_MESSAGES):
            await speaker.broadcast(b"said again at every stall")
        await speaker.broadcast(b"said last")
        listener = Members(second.join(TOPIC, places))
        heard = [await listener.receive() for _ in range(3)]
        assert heard == [
            (FIRST.public, b"said before all repetitions"),
            (FIRST.public, b"said again at every stall"),
            (FIRST.public, b"said last"),
        ]
