"""Private topics among real members on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from swarm.peers import Drop
from swarm.service import Swarm, Topic, open_swarm
from swarm.tcp import dial
from swarm.topic import MAX_MESSAGE_BYTES, MESSAGE, PROTOCOL, Endpoint
from tests.swarm.sockets import HOST, until
from wire.errors import Unavailable
from wire.keys import KeyPair

KEYS = sorted((KeyPair(bytes([number]) * 32) for number in range(6)), key=lambda key: key.public)
TOPIC = b"t" * 32


@asynccontextmanager
async def member(key: KeyPair, port: int = 0) -> AsyncIterator[Swarm]:
    """One member's swarm; it retries at once."""
    async with open_swarm(key, HOST, port, jitter=lambda: 0.0) as swarm:
        yield swarm


@asynccontextmanager
async def members(count: int) -> AsyncIterator[list[Swarm]]:
    """So many swarms, in the order of their keys."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(member(key)) for key in KEYS[:count]]


def endpoints(swarms: Iterable[Swarm]) -> dict[bytes, Endpoint]:
    return {swarm.listener.key.public: (HOST, swarm.listener.port) for swarm in swarms}


async def gathered(topics: Iterable[Topic]) -> None:
    """Wait until every member has every other."""
    await until(lambda: all(topic.connected == topic.members for topic in topics))


async def heard(topic: Topic, count: int) -> list[tuple[bytes, bytes]]:
    return [await topic.receive() for _ in range(count)]


async def test_every_member_hears_every_other() -> None:
    async with members(4) as swarms:
        where = endpoints(swarms)
        topics = [swarm.join(TOPIC, where) for swarm in swarms]
        for key, topic in zip(KEYS, topics, strict=False):
            topic.broadcast(b"from " + key.public)
        for key, topic in zip(KEYS, topics, strict=False):
            others = {other.public for other in KEYS[:4]} - {key.public}
            assert set(await heard(topic, 3)) == {(other, b"from " + other) for other in others}
        # Both sides of a pair open the topic at once; that must not say anything twice.
        for topic in topics:
            topic.broadcast(b"more")
        for topic in topics:
            assert [payload for _, payload in await heard(topic, 3)] == [b"more"] * 3


async def test_a_message_to_one_is_heard_by_one() -> None:
    async with members(3) as swarms:
        one, other, third = (swarm.join(TOPIC, endpoints(swarms)) for swarm in swarms)
        one.send(KEYS[1].public, b"for you")
        one.broadcast(b"for all")
        assert await heard(other, 2) == [(KEYS[0].public, b"for you"), (KEYS[0].public, b"for all")]
        assert await heard(third, 1) == [(KEYS[0].public, b"for all")]


async def test_topics_share_one_connection_of_each_pair() -> None:
    async with members(2) as swarms:
        where = endpoints(swarms)
        first = [swarm.join(TOPIC, where) for swarm in swarms]
        await gathered(first)
        second = [swarm.join(b"u" * 32, where) for swarm in swarms]
        await gathered(second)
        second[0].broadcast(b"second")
        first[0].broadcast(b"first")
        assert await heard(first[1], 1) == [(KEYS[0].public, b"first")]
        assert await heard(second[1], 1) == [(KEYS[0].public, b"second")]
        assert len(swarms[1].listener.connections) == 1
        assert not swarms[0].listener.connections
        second[1].leave()
        await until(lambda: not second[0].connected)
        assert first[0].connected


@pytest.mark.parametrize("late", [0, 1])
async def test_a_member_that_joins_late_hears_all_that_was_said(late: int) -> None:
    async with members(2) as swarms:
        where = endpoints(swarms)
        early = swarms[1 - late].join(TOPIC, where)
        # Another topic has already connected the two, so the early one's open was rejected.
        await gathered([swarm.join(b"u" * 32, where) for swarm in swarms])
        early.broadcast(b"one")
        early.broadcast(b"two")
        topic = swarms[late].join(TOPIC, where)
        speaker = KEYS[1 - late].public
        assert await heard(topic, 2) == [(speaker, b"one"), (speaker, b"two")]


@pytest.mark.parametrize("crashing", [0, 1])
async def test_after_a_crash_everything_is_said_again(crashing: int) -> None:
    staying = 1 - crashing
    async with member(KEYS[staying]) as swarm:
        where = endpoints([swarm])
        async with member(KEYS[crashing]) as other:
            where |= endpoints([other])
            port = other.listener.port
            topic = swarm.join(TOPIC, where)
            topic.broadcast(b"said before")
            assert await heard(other.join(TOPIC, where), 1) == [
                (KEYS[staying].public, b"said before")
            ]
        await until(lambda: not topic.connected)
        topic.broadcast(b"said meanwhile")
        async with member(KEYS[crashing], port) as again:
            restarted = again.join(TOPIC, where)
            assert [payload for _, payload in await heard(restarted, 2)] == [
                b"said before",
                b"said meanwhile",
            ]


async def test_a_dropped_connection_is_made_again() -> None:
    async with members(2) as swarms:
        topics = [swarm.join(TOPIC, endpoints(swarms)) for swarm in swarms]
        topics[0].broadcast(b"hello")
        assert await heard(topics[1], 1) == [(KEYS[0].public, b"hello")]
        (connection,) = swarms[1].listener.connections
        connection.drop(Drop.IDLE)
        assert await heard(topics[1], 1) == [(KEYS[0].public, b"hello")]
        assert len(swarms[1].listener.connections) == 1


async def test_a_member_that_moved_is_found() -> None:
    async with members(2) as swarms:
        where = endpoints(swarms)
        topic = swarms[0].join(TOPIC, {**where, KEYS[1].public: (HOST, 1)})
        other = swarms[1].join(TOPIC, where)
        topic.broadcast(b"hello")
        topic.update_member(KEYS[1].public, where[KEYS[1].public])
        assert await heard(other, 1) == [(KEYS[0].public, b"hello")]


async def test_strangers_are_refused() -> None:
    async with members(2) as swarms:
        topics = [swarm.join(TOPIC, endpoints(swarms)) for swarm in swarms]
        await gathered(topics)
        for swarm in swarms:
            stranger = await dial(HOST, swarm.listener.port, KEYS[5])
            with pytest.raises(Unavailable):
                await stranger.open(PROTOCOL, TOPIC)
            assert swarm.listener.drops[Drop.NOT_ADMITTED] == 1
        assert all(topic.connected == topic.members for topic in topics)


async def test_a_member_of_one_topic_cannot_enter_another() -> None:
    async with members(3) as swarms:
        where = endpoints(swarms)
        private = swarms[1].join(TOPIC, endpoints(swarms[1:]))
        both = swarms[:2]
        shared = [swarm.join(b"u" * 32, endpoints(both)) for swarm in both]
        await gathered(shared)
        nosy = swarms[0].join(TOPIC, where)
        nosy.broadcast(b"let me in")
        private.broadcast(b"secret")
        shared[0].broadcast(b"fence")
        assert await heard(shared[1], 1) == [(KEYS[0].public, b"fence")]
        assert KEYS[0].public not in private.connected
        assert not nosy.connected


async def test_a_member_that_says_nonsense_is_dropped_and_others_go_on() -> None:
    rogue = KEYS[2]
    async with member(KEYS[3]) as swarm, member(KEYS[4]) as friend:
        where = endpoints([swarm, friend]) | {rogue.public: (HOST, 1)}
        topic = swarm.join(TOPIC, where)
        friendly = friend.join(TOPIC, where)
        connection = await dial(HOST, swarm.listener.port, rogue)
        channel = await connection.open(PROTOCOL, TOPIC)
        channel.send(MESSAGE, b"fair")
        assert await topic.receive() == (rogue.public, b"fair")
        channel.send(MESSAGE, bytes(MAX_MESSAGE_BYTES + 1))
        await connection.wait_over()
        await until(lambda: swarm.listener.drops[Drop.MALFORMED] == 1)
        friendly.broadcast(b"unharmed")
        while await topic.receive() != (KEYS[4].public, b"unharmed"):
            pass


async def test_a_member_that_should_wait_to_be_dialled_is_refused() -> None:
    async with member(KEYS[0]) as swarm:
        swarm.join(TOPIC, {KEYS[1].public: (HOST, 1)})
        await (await dial(HOST, swarm.listener.port, KEYS[1])).wait_over()
        assert swarm.listener.drops == {Drop.NOT_ADMITTED: 1}


async def test_a_member_that_connects_again_replaces_its_older_connection() -> None:
    async with member(KEYS[1]) as swarm:
        topic = swarm.join(TOPIC, {KEYS[0].public: (HOST, 1)})
        first = await dial(HOST, swarm.listener.port, KEYS[0])
        await first.open(PROTOCOL, TOPIC)
        second = await dial(HOST, swarm.listener.port, KEYS[0])
        channel = await second.open(PROTOCOL, TOPIC)
        await first.wait_over()
        channel.send(MESSAGE, b"back again")
        assert await topic.receive() == (KEYS[0].public, b"back again")
        await until(lambda: swarm.listener.drops == {Drop.SUPERSEDED: 1})


async def test_members_are_measured() -> None:
    async with members(2) as swarms:
        topics = [swarm.join(TOPIC, endpoints(swarms)) for swarm in swarms]
        assert topics[0].measurements() == {}

        def measured() -> bool:
            figures = [list(topic.measurements().values()) for topic in topics]
            return all(found and found[0].bytes_per_s > 0 for found in figures)

        await until(measured)
        (figures,) = topics[0].measurements().values()
        assert 0 < figures.rtt_us < 5_000_000
        assert figures.loss_ppm == 0


async def test_a_topic_without_a_reader_stops_its_members_not_its_memory() -> None:
    async with members(2) as swarms:
        one, other = (swarm.join(TOPIC, endpoints(swarms)) for swarm in swarms)
        for number in range(7):
            one.broadcast(bytes([number]) * (4 * 1024 * 1024))
        await until(lambda: other._received_bytes > 16 * 1024 * 1024)
        assert other._received_bytes < 24 * 1024 * 1024
        assert [payload[0] for _, payload in await heard(other, 7)] == list(range(7))


async def test_a_topic_that_was_left_says_so() -> None:
    async with members(2) as swarms:
        topics = [swarm.join(TOPIC, endpoints(swarms)) for swarm in swarms]
        await gathered(topics)
        topics[0].leave()
        topics[0].leave()
        with pytest.raises(Unavailable):
            await topics[0].receive()
        await until(lambda: not topics[1].connected)
        await until(lambda: not swarms[1].listener.connections)
        await gathered([swarms[0].join(TOPIC, endpoints(swarms)), topics[1]])


async def test_a_swarm_ends_while_members_are_unreachable_and_messages_wait() -> None:
    async with asyncio.timeout(5), member(KEYS[0]) as swarm:
        topic = swarm.join(TOPIC, {key.public: (HOST, 1) for key in KEYS})
        topic.broadcast(b"anybody?")
        await asyncio.sleep(0)


async def test_the_members_of_a_topic_change_and_who_stays_does_not_notice() -> None:
    async with asyncio.timeout(10), members(3) as swarms:
        where = endpoints(swarms)
        topics = [swarm.join(TOPIC, where) for swarm in swarms]
        others = [swarm.join(b"o" * 32, where) for swarm in swarms]
        await gathered([*topics, *others])
        topics[0].change_members(endpoints(swarms[:2]))
        assert topics[0].connected == topics[0].members == {KEYS[1].public}
        topics[0].broadcast(b"among us")
        assert await heard(topics[1], 1) == [(KEYS[0].public, b"among us")]
        await until(lambda: KEYS[0].public not in topics[2].connected)
        others[0].broadcast(b"among all")
        assert await heard(others[2], 1) == [(KEYS[0].public, b"among all")]
        assert not topics[2]._received
        topics[0].change_members(where)
        await gathered([*topics, *others])
        assert await heard(topics[2], 1) == [(KEYS[0].public, b"among us")]
