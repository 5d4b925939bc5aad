"""Listening for peers: who is let in, who is dropped, and what serves them.

    async with listen("0.0.0.0", 4001, key, on_open=serve) as listener: ...

`swarm.peers` decides; what is not protected: a peer that holds its connection open politely costs
a place in `Limits.connections`.
"""

import asyncio
import errno
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import structlog

from swarm.peers import Drop, Limits, PeerBook
from swarm.session import OnOpen, TcpConnection
from swarm.tcp import EncryptedSocket
from wire.errors import HoldfastError, Malformed, Unavailable
from wire.keys import KeyPair

LISTEN_BACKLOG = 128
"""Connections the system completes before we accept them: a test network's worth."""

log = structlog.get_logger(__name__)

OnConnection = Callable[[TcpConnection], Coroutine[Any, Any, None]]
"""Serves one accepted connection, which is closed when it returns."""


class _Accepted(EncryptedSocket):
    """A socket that reports to the listener that accepted it."""

    def __init__(self, listener: "Listener", number: int) -> None:
        super().__init__(
            listener.key,
            listener.limits,
            initiator=False,
            admit=listener.admits,
            on_open=listener.on_open,
            spawn=listener.spawn,
        )
        self.number = number
        self._listener = listener

    def arrived(self, host: str) -> None:
        self._listener.arrived(self, host)

    def proved(self) -> None:
        self._listener.proved(self)

    def left(self) -> None:
        self._listener.left(self)


class Listener:
    """Accepts connections on one address; made by `listen`."""

    def __init__(
        self,
        key: KeyPair,
        limits: Limits,
        tasks: asyncio.TaskGroup,
        allow: Callable[[bytes], bool] | None,
        on_connection: OnConnection | None,
        on_open: OnOpen | None,
    ) -> None:
        self.key = key
        self.limits = limits
        self._tasks = tasks
        self.on_open = on_open
        self.host = ""
        self.port = 0
        self.drops: Counter[Drop] = Counter()
        """How many accepted connections ended for each reason."""
        self._allow = allow
        self._on_connection = on_connection
        self._book = PeerBook(limits)
        self._sockets: dict[int, _Accepted] = {}
        self._numbers = count()
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._closing = False
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> list[TcpConnection]:
        """The accepted connections whose peers are known and not gone."""
        return [
            socket.connection
            for socket in self._sockets.values()
            if socket.established and not socket.dropped
        ]

    async def start(self, host: str, port: int) -> None:
        """Listen; `Unavailable` says what to do if that cannot be."""
        try:
            self._server = await self._loop.create_server(
                lambda: _Accepted(self, next(self._numbers)), host, port, backlog=LISTEN_BACKLOG
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Unavailable(
                    f"port {port} on {host} is already in use: stop the other process "
                    "or choose another with --listen"
                ) from error
            reason = error.strerror or error
            raise Unavailable(f"cannot listen on {host}:{port}: {reason}") from error
        self.host, self.port = self._server.sockets[0].getsockname()[:2]

    async def close(self) -> None:
        """Accept no more, close every connection, and end what serves them."""
        self._closing = True
        if self._server is not None:
            self._server.close()
        async with asyncio.TaskGroup() as closing:
            for socket in list(self._sockets.values()):
                closing.create_task(socket.connection.close())
        for task in self._serving:
            task.cancel()

    def admits(self, key: bytes) -> bool:
        """Whether a peer of this key may connect: not banned for earlier faults, and allowed."""
        if self._book.banned(key, self._loop.time()):
            return False
        return self._allow is None or self._allow(key)

    def arrived(self, socket: _Accepted, host: str) -> None:
        """A socket was accepted from this address."""
        if self._closing:
            socket.drop(Drop.CLOSED_HERE)
            return
        arrival = self._book.arrive(socket.number, host, self._loop.time())
        if arrival.refused:
            socket.drop(arrival.refused)
            return
        if arrival.evict is not None:
            self._sockets[arrival.evict].drop(Drop.CROWDED)
        self._sockets[socket.number] = socket

    def proved(self, socket: _Accepted) -> None:
        """A socket's peer proved an admitted key."""
        self._book.prove(socket.number)
        if self._on_connection is not None:
            self.spawn(self._serve(socket.connection, self._on_connection))

    def left(self, socket: _Accepted) -> None:
        """A socket is closed."""
        assert socket.dropped is not None
        self.drops[socket.dropped] += 1
        self._book.leave(socket.number)
        self._sockets.pop(socket.number, None)
        if socket.dropped is Drop.MALFORMED and socket.established:
            self._book.offend(socket.established.remote_key, self._loop.time())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run in the listener's task group, until it closes."""
        task = self._tasks.create_task(work)
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, connection: TcpConnection, serve: OnConnection) -> None:
        try:
            await serve(connection)
        except Malformed as error:
            connection.drop(Drop.MALFORMED, str(error))
        except HoldfastError as error:
            log.info("connection failed", peer=connection.peer, reason=str(error))
        finally:
            await connection.close()


@asynccontextmanager
async def plain_task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that lets its block's own error out as it is; the block ends its tasks."""
    failed: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        try:
            yield tasks
        except Exception as error:
            failed = error
    if failed is not None:
        raise failed


@asynccontextmanager
async def listen(
    host: str,
    port: int,
    key: KeyPair,
    *,
    on_connection: OnConnection | None = None,
    on_open: OnOpen | None = None,
    allow: Callable[[bytes], bool] | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Listener]:
    """Accept peers until the block ends, then close every connection and end every task.

    `allow` is asked about each proven key; port 0 picks a free one, see `Listener.port`. What
    `on_connection` and `on_open` return runs in the listener's task group: an error of theirs that
    is not a `HoldfastError` is a bug, and ends the block. `Unavailable` if the port cannot be had.
    """
    async with plain_task_group() as tasks:
        listener = Listener(key, limits or Limits(), tasks, allow, on_connection, on_open)
        try:
            await listener.start(host, port)
            yield listener
        finally:
            await listener.close()
