"""Connections over real loopback sockets: exchange, back-pressure, close, errors."""

import asyncio
import contextlib
import socket

import pytest
import uvloop

from swarm.peers import Drop, Limits
from swarm.server import listen
from swarm.session import TcpChannel, TcpConnection
from swarm.tcp import dial
from tests.swarm.sockets import (
    HOST,
    QUICK,
    collect,
    dial_alice,
    echo,
    echo_listener,
    serving,
    until,
)
from tests.swarm.streams import ALICE, BOB
from wire.errors import Malformed, Unavailable
from wire.ports import ChannelMessage, Connection


async def test_two_ends_prove_their_keys_and_exchange_messages() -> None:
    async with echo_listener() as listener:
        connection = await dial_alice(listener, expected_remote=BOB.public)
        assert connection.initiator
        assert connection.remote_key == BOB.public
        channel = await connection.open("echo", b"id", b"hello")
        assert channel.remote_handshake == b"echo"
        (accepted,) = listener.connections
        assert not accepted.initiator
        assert accepted.remote_key == ALICE.public
        assert accepted.handshake_hash == connection.handshake_hash
        sent = [ChannelMessage(number, bytes([number]) * number) for number in range(100)]
        for kind, payload in sent:
            channel.send(kind, payload)
        assert await collect(channel, 100) == sent
        await connection.close()
        await connection.close()
        assert await channel.receive() == []
        assert connection.dropped is Drop.CLOSED_HERE


async def exchange_much() -> None:
    """Eight MiB in one message, then 64 MiB in many, there and back."""
    async with echo_listener() as listener:
        connection = await dial_alice(listener)
        channel = await connection.open("echo", b"")
        large = bytes(range(256)) * (8 * 4096)
        channel.send(5, large)
        assert await collect(channel, 1) == [ChannelMessage(5, large)]
        chunk = bytes(64 * 1024)

        async def send() -> None:
            for _ in range(1024):
                channel.send(1, chunk)
                await channel.drain()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send())
            assert await collect(channel, 1024) == [ChannelMessage(1, chunk)] * 1024
        await connection.close()


async def test_large_and_many_messages_pass() -> None:
    await exchange_much()


def test_large_and_many_messages_pass_on_uvloop() -> None:
    uvloop.run(exchange_much())


async def test_messages_queued_together_travel_as_one_frame() -> None:
    frames: list[int] = []

    async def serve(connection: Connection, protocol: str, id: bytes) -> None:
        channel = await connection.open(protocol, id)
        while messages := await channel.receive():
            frames.append(len(messages))

    async with listen(HOST, 0, BOB, on_open=serving(serve, "p")) as listener:
        channel = await (await dial_alice(listener)).open("p", b"")
        for number in range(50):
            channel.send(number, b"")
        await until(lambda: sum(frames) == 50)
        assert frames == [50]


async def test_messages_that_are_not_batched_have_frames_of_their_own() -> None:
    frames: list[bytes] = []
    async with echo_listener() as listener:
        connection = await dial_alice(listener)
        connection.batches = False
        channel = await connection.open("echo", b"")
        write = connection._line.write
        connection._line.write = lambda sent: (frames.extend(sent), write(sent))  # type: ignore
        channel.send(1, b"one")
        channel.send(2, b"two")
        assert len(await collect(channel, 2)) == 2
        channel.cork()
        channel.send(3, b"three")
        await asyncio.sleep(0.01)
        channel.send(4, b"four")
        assert len(frames) == 2
        channel.uncork()
        assert [message.kind for message in await channel.receive()] == [3, 4]
        assert channel.batched == 2, "they came in one frame"
        channel.send(5, b"five")
        assert [message.kind for message in await channel.receive()] == [5]
        assert not channel.batched
        await connection.close()
    assert frames[:2] == [b"\x01\x01one", b"\x01\x02two"]
    assert frames[2][:2] == bytes(2), "a batch"
    assert len(frames) == 4


async def test_a_reader_that_lags_stops_the_sender() -> None:
    limits = Limits(receive_bytes=64 * 1024, send_buffer_bytes=64 * 1024)
    release = asyncio.Event()
    held: list[TcpChannel] = []

    async def serve(connection: Connection, protocol: str, id: bytes) -> None:
        channel = await connection.open(protocol, id)
        held.append(channel)  # type: ignore[arg-type]
        await release.wait()
        total = 0
        while messages := await channel.receive():
            total += sum(len(message.payload) for message in messages)
            channel.send(0, total.to_bytes(8, "little"))

    async with listen(HOST, 0, BOB, on_open=serving(serve, "p"), limits=limits) as listener:
        connection = await dial_alice(listener, limits=limits)
        channel = await connection.open("p", b"")
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < 64 * 1024 * 1024:
                channel.send(0, bytes(16 * 1024))
                sent += 16 * 1024
                await channel.drain()

        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(send())
            await until(lambda: connection.congested)
            (full,) = held
            assert not sending.done()
            assert sent < 32 * 1024 * 1024
            assert full._inbox_bytes < 1024 * 1024
            release.set()
            while int.from_bytes((await channel.receive())[-1].payload, "little") != 64 * 2**20:
                pass


async def test_a_sender_that_never_drains_is_cut_off_from_a_peer_that_never_reads() -> None:
    limits = Limits(receive_bytes=1, send_buffer_bytes=1024, send_limit_bytes=8 * 1024 * 1024)

    async def serve(connection: Connection, protocol: str, id: bytes) -> None:
        channel = await connection.open(protocol, id)
        await channel.wait()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with listen(HOST, 0, BOB, on_open=serving(serve, "p"), limits=limits) as listener:
        connection = await dial_alice(listener, limits=limits)
        channel = await connection.open("p", b"")
        while not connection.dropped:
            channel.send(0, bytes(1024 * 1024))
            await asyncio.sleep(0)
        assert connection.dropped is Drop.STALLED
        with pytest.raises(Unavailable):
            await channel.drain()


async def test_a_peer_that_does_not_read_is_dropped_in_time() -> None:
    limits = Limits(receive_bytes=1, send_buffer_bytes=1024, idle_timeout_s=60)
    quick = Limits(send_buffer_bytes=1024, keepalive_s=0.02, stall_timeout_s=0.1)

    async def serve(connection: Connection, protocol: str, id: bytes) -> None:
        await connection.open(protocol, id)
        await asyncio.Event().wait()

    async with listen(HOST, 0, BOB, on_open=serving(serve, "p"), limits=limits) as listener:
        connection = await dial_alice(listener, limits=quick)
        channel = await connection.open("p", b"")
        with contextlib.suppress(Unavailable):
            while True:
                channel.send(0, bytes(1024 * 1024))
                await channel.drain()
        assert connection.dropped is Drop.STALLED


async def test_keepalives_hold_a_quiet_connection() -> None:
    async with echo_listener(limits=QUICK) as listener:
        connection = await dial_alice(listener, limits=QUICK)
        channel = await connection.open("echo", b"")
        await asyncio.sleep(3 * QUICK.idle_timeout_s)
        channel.send(0, b"still here")
        assert await collect(channel, 1) == [ChannelMessage(0, b"still here")]


async def test_what_is_not_served_is_rejected() -> None:
    async with echo_listener() as listener:
        connection = await dial_alice(listener)
        with pytest.raises(Unavailable, match="rejects other"):
            await connection.open("other", b"")
        await connection.open("echo", b"")


async def test_an_open_that_nobody_claims_is_rejected_after_a_moment() -> None:
    async def serve(connection: TcpConnection) -> None:
        with pytest.raises(Unavailable):
            await connection.open("unknown", b"")
        done.set()

    done = asyncio.Event()
    limits = Limits(unclaimed_open_s=0.02)
    async with listen(HOST, 0, BOB, on_connection=serve) as listener:
        await dial_alice(listener, limits=limits)
        async with asyncio.timeout(5):
            await done.wait()


async def test_both_sides_may_open_without_serving() -> None:
    async def serve(connection: TcpConnection) -> None:
        channel = await connection.open("chat", b"x", b"from bob")
        channel.send(0, b"hi")
        await channel.receive()

    async with listen(HOST, 0, BOB, on_connection=serve) as listener:
        connection = await dial_alice(listener)
        channel = await connection.open("chat", b"x", b"from alice")
        assert channel.remote_handshake == b"from bob"
        assert await collect(channel, 1) == [ChannelMessage(0, b"hi")]


async def test_the_dialler_can_serve_what_the_listener_opens() -> None:
    echoed: asyncio.Queue[ChannelMessage] = asyncio.Queue()

    async def ask(connection: TcpConnection) -> None:
        channel = await connection.open("echo", b"")
        channel.send(3, b"over here")
        (message,) = await channel.receive()
        await echoed.put(message)

    serve = listen(HOST, 0, BOB, on_connection=ask)
    async with asyncio.TaskGroup() as tasks, serve as listener:
        on_open = serving(echo, "echo")
        await dial_alice(listener, on_open=on_open, spawn=tasks.create_task)
        assert await echoed.get() == ChannelMessage(3, b"over here")


async def test_a_service_that_fails_takes_only_its_channel() -> None:
    async def serve(connection: Connection, protocol: str, id: bytes) -> None:
        raise Unavailable("not today")

    async with listen(HOST, 0, BOB, on_open=serving(serve, "p")) as listener:
        connection = await dial_alice(listener)
        with pytest.raises(Unavailable, match="rejects"):
            await connection.open("p", b"")
        assert not connection.dropped


async def test_a_service_that_finds_nonsense_drops_the_peer_and_bans_its_key() -> None:
    async def serve(connection: Connection, protocol: str, id: bytes) -> None:
        await (await connection.open(protocol, id)).receive()
        raise Malformed("no honest peer says that")

    async with listen(HOST, 0, BOB, on_open=serving(serve, "p")) as listener:
        connection = await dial_alice(listener)
        channel = await connection.open("p", b"")
        channel.send(0, b"nonsense")
        assert await channel.receive() == []
        await until(lambda: listener.drops == {Drop.MALFORMED: 1})
        again = await dial_alice(listener)
        await again.wait_over()
        assert listener.drops[Drop.NOT_ADMITTED] == 1


async def test_a_bug_in_a_service_ends_the_listener() -> None:
    async def serve(connection: Connection, protocol: str, id: bytes) -> None:
        raise AssertionError("a bug")

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012  # the block is what ends
        async with listen(HOST, 0, BOB, on_open=serving(serve, "p")) as listener:
            connection = await dial_alice(listener)
            with contextlib.suppress(Unavailable):
                await connection.open("p", b"")
            await asyncio.Event().wait()
    assert isinstance(caught.value.exceptions[0], AssertionError)


async def test_closing_a_channel_leaves_the_connection() -> None:
    async with echo_listener() as listener:
        connection = await dial_alice(listener)
        first = await connection.open("echo", b"1")
        second = await connection.open("echo", b"2")
        first.close()
        first.close()
        first.send(0, b"dropped")
        assert await first.receive() == []
        with pytest.raises(Unavailable):
            await first.drain()
        second.send(0, b"alive")
        assert await collect(second, 1) == [ChannelMessage(0, b"alive")]


async def test_what_was_sent_before_a_close_arrives() -> None:
    received: list[bytes] = []
    over = asyncio.Event()

    async def serve(connection: Connection, protocol: str, id: bytes) -> None:
        channel = await connection.open(protocol, id)
        while messages := await channel.receive():
            received.extend(message.payload for message in messages)
        over.set()

    async with listen(HOST, 0, BOB, on_open=serving(serve, "p")) as listener:
        connection = await dial_alice(listener)
        channel = await connection.open("p", b"")
        for _ in range(20):
            channel.send(0, bytes(100_000))
        await connection.close()
        async with asyncio.timeout(5):
            await over.wait()
        assert received == [bytes(100_000)] * 20


async def test_closing_the_listener_ends_everything_it_serves() -> None:
    async with echo_listener() as listener:
        connection = await dial_alice(listener)
        channel = await connection.open("echo", b"")
    async with asyncio.timeout(5):
        assert await channel.receive() == []
        await connection.wait_over()
    with pytest.raises(Unavailable):
        await connection.open("echo", b"")
    with pytest.raises(Unavailable):
        await dial(HOST, listener.port, ALICE)


async def test_an_open_that_is_not_answered_in_time_is_unavailable() -> None:
    async def serve(connection: Connection, protocol: str, id: bytes) -> None:
        await asyncio.Event().wait()

    async with listen(HOST, 0, BOB, on_open=serving(serve, "p")) as listener:
        connection = await dial_alice(listener, limits=Limits(open_timeout_s=0.05))
        with pytest.raises(Unavailable, match="did not answer"):
            await connection.open("p", b"")
        assert not connection.dropped


async def test_a_port_in_use_is_said_clearly() -> None:
    async with echo_listener() as listener:
        line = (
            f"port {listener.port} on {HOST} is already in use: stop the other process or choose "
            "another with --listen"
        )
        with pytest.raises(Unavailable) as caught:
            async with listen(HOST, listener.port, ALICE):
                pass
        assert str(caught.value) == line


async def test_an_address_that_is_not_ours_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        async with listen("203.0.113.1", 0, BOB):
            pass


async def test_nobody_listening_is_unavailable() -> None:
    with socket.socket() as free:
        free.bind((HOST, 0))
        with pytest.raises(Unavailable, match="cannot reach"):
            await dial(HOST, free.getsockname()[1], ALICE)
