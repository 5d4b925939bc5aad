"""Real loopback connections, for tests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from swarm.peers import Limits
from swarm.server import Listener, listen
from swarm.session import OnOpen, TcpChannel, TcpConnection
from swarm.tcp import dial
from tests.swarm.streams import ALICE, BOB
from wire.ports import ChannelMessage, Connection

HOST = "127.0.0.1"


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; the caller's time limit ends a vain wait."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
            await asyncio.sleep(0.002)


Work = Coroutine[Any, Any, None]


def serving(serve: Callable[[Connection, str, bytes], Work], *protocols: str) -> OnOpen:
    """An `on_open` that serves these protocols and rejects others."""

    def on_open(protocol: str, id: bytes, connection: Connection) -> Work | None:
        return serve(connection, protocol, id) if protocol in protocols else None

    return on_open


async def echo(connection: Connection, protocol: str, id: bytes) -> None:
    """Open what the other side opened and return every message."""
    channel = await connection.open(protocol, id, b"echo")
    while messages := await channel.receive():
        for kind, payload in messages:
            channel.send(kind, payload)
        await channel.drain()


@asynccontextmanager
async def echo_listener(**options: object) -> AsyncIterator[Listener]:
    """Bob, who serves "echo"."""
    on_open = serving(echo, "echo")
    async with listen(HOST, 0, BOB, on_open=on_open, **options) as listener:  # type: ignore[arg-type]
        yield listener


async def dial_alice(listener: Listener, **options: object) -> TcpConnection:
    """Alice dials a listener."""
    return await dial(HOST, listener.port, ALICE, **options)  # type: ignore[arg-type]


async def collect(channel: TcpChannel, count: int) -> list[ChannelMessage]:
    """The next `count` messages."""
    found: list[ChannelMessage] = []
    while len(found) < count:
        messages = await channel.receive()
        assert messages, "the channel closed early"
        found += messages
    return found


QUICK = Limits(
    handshake_timeout_s=0.1,
    keepalive_s=0.02,
    idle_timeout_s=0.1,
    stall_timeout_s=0.2,
    open_timeout_s=0.1,
    unclaimed_open_s=0.02,
)
"""Small timeouts, for tests that wait for them."""
