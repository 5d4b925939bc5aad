"""Validators' messages between real sockets: who hears what, and what changes do to that."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from structlog.testing import capture_logs

from chain.consensus.gossip import Status
from chain.endpoint import Endpoint
from chain.node.gossip_service import MAX_MALFORMED, GossipService
from tests.chain.nodes import HOST, free_port, until
from wire.codec import Message
from wire.errors import Malformed
from wire.keys import KeyPair

NETWORK = b"n" * 32
KEYS = sorted((KeyPair(bytes([n]) * 32) for n in range(1, 5)), key=lambda key: key.public)


@asynccontextmanager
async def services(count: int) -> AsyncIterator[tuple[list[GossipService], list[Endpoint]]]:
    """So many, not gathered yet, in the order of their keys: the first dials all others."""
    where = [Endpoint(host=HOST, port=free_port(), swarm_key=k.public) for k in KEYS[:count]]
    async with asyncio.timeout(20), AsyncExitStack() as stack:
        found = [
            await stack.enter_async_context(GossipService(key, NETWORK, HOST, at.port))
            for key, at in zip(KEYS, where, strict=False)
        ]
        yield found, where


def status(view: int) -> Status:
    return Status(term=0, view=view, height=0)


async def heard(service: GossipService, count: int) -> list[tuple[bytes, Message]]:
    found: list[tuple[bytes, Message]] = []
    while len(found) < count:
        found += service.take(count - len(found))
        await asyncio.sleep(0.002)
    return found


async def gathered(services: Sequence[GossipService], where: Sequence[Endpoint]) -> None:
    for service in services:
        await service.gather(tuple(where))
    await until(lambda: all(each.connected == len(where) - 1 for each in services))


async def test_all_hear_what_is_said_to_all_and_one_what_is_said_to_one() -> None:
    async with services(3) as ((one, two, three), where):
        await gathered((one, two, three), where)
        one.say(None, status(1))
        one.say(where[1].swarm_key, status(2))
        assert await heard(two, 2) == [(KEYS[0].public, status(view)) for view in (1, 2)]
        two.say(where[2].swarm_key, status(3))
        found = await heard(three, 2)
        assert {message.view for _, message in found} == {1, 3}


async def test_who_stays_hears_on_while_others_come_move_and_go() -> None:
    async with services(4) as ((one, two, three, four), where):
        await gathered((one, two), where[:2])
        for view, others in enumerate((where[:3], where, where[:2], where[:3]), start=1):
            for service in (one, two):
                await service.gather(tuple(others))
                assert service.connected, "the connection between them was not given up"
            one.say(where[1].swarm_key, status(view))
            assert await heard(two, 1) == [(KEYS[0].public, status(view))]
        await three.gather(tuple(where[:3]))
        await until(lambda: one.connected == two.connected == three.connected == 2)
        moved = Endpoint(host=HOST, port=free_port(), swarm_key=KEYS[2].public)
        for service in (one, two):
            await service.gather((*where[:2], moved))
            assert service.connected == 2
        await four.gather(tuple(where))
        assert four.connected == 0, "it is no member for the others"


async def test_who_left_is_not_heard_any_more_and_can_come_back() -> None:
    async with services(3) as ((one, two, three), where):
        await gathered((one, two, three), where)
        for service in (one, two):
            await service.gather(tuple(where[:2]))
        await until(lambda: not three.connected)
        three.say(None, status(1))
        one.say(where[2].swarm_key, status(2))
        one.say(None, status(3))
        assert await heard(two, 1) == [(KEYS[0].public, status(3))]
        await gathered((one, two, three), where)
        assert (KEYS[2].public, status(1)) in await heard(one, 1)


async def test_who_sends_nonsense_again_and_again_is_not_listened_to() -> None:
    async with services(2) as ((one, two), where):
        await gathered((one, two), where)
        structlog.configure(cache_logger_on_first_use=False)
        with capture_logs() as logs:
            for _ in range(MAX_MALFORMED - 2):
                one.say_encoded(None, b"nonsense")
            one.say(None, status(1))
            assert await heard(two, 1) == [(KEYS[0].public, status(1))]
            two.refuse(KEYS[0].public, Malformed("a lie"))
            for _ in range(MAX_MALFORMED):
                one.say_encoded(None, b"nonsense")
            one.say(None, status(2))
            await until(lambda: two._is_barred(KEYS[0].public))
            await asyncio.sleep(0.1)
            assert two.take(9) == []
        assert len([each for each in logs if each["log_level"] == "warning"]) == MAX_MALFORMED
