"""What strangers may try on a listener: each is dropped for a reason, and harms nobody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from swarm.peers import Drop, Limits
from swarm.protomux import MAX_BATCH_MESSAGES
from swarm.server import Listener
from swarm.tcp import EncryptedSocket, dial
from tests.swarm.sockets import HOST, QUICK, collect, dial_alice, echo_listener, until
from tests.swarm.streams import ALICE, BOB, alice, bob
from wire.errors import Malformed, Unavailable
from wire.keys import KeyPair
from wire.ports import ChannelMessage


@asynccontextmanager
async def raw(
    listener: Listener,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare socket to the listener."""
    reader, writer = await asyncio.open_connection(HOST, listener.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All that still comes before the listener hangs up, rudely or not."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := await reader.read(65536):
            data += more
    return data


@asynccontextmanager
async def watched(**options: object) -> AsyncIterator[Listener]:
    """An echo listener that must still serve an honest peer when the block is over."""
    async with echo_listener(**options) as listener:
        connection = await dial_alice(listener)
        channel = await connection.open("echo", b"")
        yield listener
        channel.send(1, b"unharmed")
        assert await collect(channel, 1) == [ChannelMessage(1, b"unharmed")]


async def shake_hands(
    listener: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
):  # type: ignore[no-untyped-def]
    """A hand-driven initiator behind a finished handshake."""
    stream = alice()
    writer.write(stream.start())
    while not stream.ready:
        stream.receive(await reader.read(1000))
        writer.write(b"".join(stream.take_answers()))
    return stream


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        bytes(1000),
        b"\xff" * 1000,
        b"\x20\x00\x00" + bytes(32),
        b"\x20\x00\x00" + b"\x01" + bytes(31),
    ],
)
async def test_garbage_is_dropped(garbage: bytes) -> None:
    async with watched() as listener, raw(listener) as (reader, writer):
        writer.write(garbage)
        assert await rest(reader) == b""
        await until(lambda: listener.drops == {Drop.MALFORMED: 1})


async def test_a_silent_peer_is_dropped_in_time() -> None:
    limits = Limits(handshake_timeout_s=0.05)
    async with watched(limits=limits) as listener, raw(listener) as (reader, _):
        assert await rest(reader) == b""
        await until(lambda: listener.drops == {Drop.HANDSHAKE_TIMEOUT: 1})


async def test_a_peer_that_stops_within_the_handshake_is_dropped_in_time() -> None:
    limits = Limits(handshake_timeout_s=0.05)
    async with watched(limits=limits) as listener, raw(listener) as (reader, writer):
        writer.write(alice().start())
        assert len(await rest(reader)) == 99
        await until(lambda: listener.drops == {Drop.HANDSHAKE_TIMEOUT: 1})


async def test_a_peer_that_falls_silent_is_dropped_in_time() -> None:
    limits = Limits(keepalive_s=0.02, idle_timeout_s=0.08)
    async with echo_listener(limits=limits) as listener, raw(listener) as (reader, writer):
        await shake_hands(listener, reader, writer)
        await rest(reader)
        await until(lambda: listener.drops == {Drop.IDLE: 1})


async def test_a_byte_now_and_then_does_not_hold_a_connection() -> None:
    limits = Limits(keepalive_s=0.02, idle_timeout_s=0.08)
    async with echo_listener(limits=limits) as listener, raw(listener) as (reader, writer):
        await shake_hands(listener, reader, writer)
        writer.write(b"\xff\xff\xff")
        while not listener.drops:
            writer.write(b"x")
            await asyncio.sleep(0.005)
        assert listener.drops == {Drop.IDLE: 1}


async def test_a_frame_that_does_not_authenticate_ends_the_connection() -> None:
    async with watched() as listener, raw(listener) as (reader, writer):
        stream = await shake_hands(listener, reader, writer)
        frame = stream.seal(b"\x01\x00hello")
        writer.write(frame[:-1] + bytes([frame[-1] ^ 1]))
        await rest(reader)
        await until(lambda: listener.drops == {Drop.MALFORMED: 1})


@pytest.mark.parametrize(
    "frame",
    [
        b"\x00\x01\x09\x01p\x00",
        b"\x00\x02\x07",
        b"\x00\x00\x00" + b"\x02\x00\x00" * 3,
        b"\x00\x00\x01" + b"\x01\x00" * (MAX_BATCH_MESSAGES + 1),
    ],
)
async def test_fatal_frames_end_the_connection(frame: bytes) -> None:
    async with watched() as listener, raw(listener) as (reader, writer):
        stream = await shake_hands(listener, reader, writer)
        writer.write(stream.seal(frame))
        await rest(reader)
        await until(lambda: listener.drops == {Drop.MALFORMED: 1})


async def test_a_flood_of_opens_is_slowed() -> None:
    limits = Limits(opens_per_s=0.001, opens_burst=50)
    async with watched(limits=limits) as listener, raw(listener) as (reader, writer):
        stream = await shake_hands(listener, reader, writer)
        await until(lambda: len(listener.connections) == 2)
        flooded = listener.connections[1]._line
        assert isinstance(flooded, EncryptedSocket)
        # Each open is rejected, so that its number may be used for the next.
        for _ in range(51):
            writer.write(stream.seal(b"\x00\x01\x01\x01q\x00"))
        await until(lambda: not flooded._reading)
        assert not flooded.dropped


async def test_messages_for_a_channel_not_yet_open_are_bounded() -> None:
    limits = Limits(unclaimed_open_s=30)
    async with echo_listener() as listener:
        connection = await dial(HOST, listener.port, ALICE, limits=limits)
        await until(lambda: bool(listener.connections))
        (accepted,) = listener.connections
        opening = asyncio.create_task(accepted.open("late", b""))
        await asyncio.sleep(0)
        (number,) = accepted._channels
        for _ in range(500):
            accepted._mux.send(number, 0, bytes(1000))
            accepted._flush()
            await asyncio.sleep(0)
        assert connection._mux.backlog_bytes < 400 * 1024
        channel = await connection.open("late", b"")
        assert len(await collect(channel, 500)) == 500
        (await opening).close()


async def test_a_key_that_is_not_allowed_is_refused() -> None:
    async with echo_listener(allow=lambda key: key == ALICE.public) as listener:
        stranger = await dial(HOST, listener.port, KeyPair(b"s" * 32))
        await stranger.wait_over()
        with pytest.raises(Unavailable):
            await stranger.open("echo", b"")
        assert listener.drops == {Drop.NOT_ADMITTED: 1}
        await (await dial_alice(listener)).open("echo", b"")


async def test_a_dialler_refuses_another_key_than_it_expects() -> None:
    async with echo_listener() as listener:
        with pytest.raises(Unavailable, match="not admitted"):
            await dial(HOST, listener.port, ALICE, expected_remote=ALICE.public)
        await until(lambda: listener.drops == {Drop.CLOSED_THERE: 1})


async def test_dialling_something_else_is_malformed_or_times_out() -> None:
    closed = asyncio.Event()

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await rest(reader)
        writer.close()
        closed.set()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await rest(reader)
        writer.close()
        closed.set()

    for serve, expected in ((babble, Malformed), (silent, Unavailable)):
        server = await asyncio.start_server(serve, HOST, 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(expected):
                await dial(HOST, port, ALICE, limits=QUICK)
            await closed.wait()
            closed.clear()


async def test_connections_from_one_address_are_limited() -> None:
    async with watched(limits=Limits(connections_per_address=2)) as listener:
        second = await dial_alice(listener)
        with pytest.raises(Unavailable):
            await dial_alice(listener)
        assert listener.drops == {Drop.CROWDED_ADDRESS: 1}
        await second.close()
        await until(lambda: len(listener.connections) == 1)
        await dial_alice(listener)


async def test_a_crowd_without_keys_gives_way_to_those_with() -> None:
    limits = Limits(connections=3, handshaking=2)
    async with watched(limits=limits) as listener:
        writers = [(await asyncio.open_connection(HOST, listener.port))[1] for _ in range(10)]
        connection = await dial_alice(listener)
        await connection.open("echo", b"")
        assert listener.drops[Drop.CROWDED] >= 7
        for writer in writers:
            writer.close()


async def test_arrivals_from_one_address_are_limited_in_rate() -> None:
    limits = Limits(arrivals_per_s=0.001, arrivals_burst=3)
    async with watched(limits=limits) as listener:
        await dial_alice(listener)
        await dial_alice(listener)
        with pytest.raises(Unavailable):
            await dial_alice(listener)
        assert listener.drops == {Drop.TOO_FAST: 1}


async def test_a_listener_that_answers_with_damage_is_malformed_to_the_dialler() -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = bob()
        stream.receive(await reader.readexactly(35))
        answer = bytearray(b"".join(stream.take_answers()))
        answer[50] ^= 1
        writer.write(answer)
        await rest(reader)
        writer.close()
        closed.set()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        with pytest.raises(Malformed, match="authenticate"):
            await dial(HOST, server.sockets[0].getsockname()[1], ALICE, expected_remote=BOB.public)
        await closed.wait()
