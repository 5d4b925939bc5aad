"""Channels of one connection as coroutines see them: the shell around `swarm.protomux`.

It implements `wire.ports.Connection` and `Channel` over a `Line`, which is the encrypted socket of
`swarm.tcp`. Nothing here is a task: the line hands in frames as they come, and coroutines of
others wait in `open`, `receive` and `drain`.

Back-pressure, outwards: `drain` waits while the socket takes no more. Inwards: while a channel's
reader lags the socket is not read, so that TCP slows the peer; this holds up the connection's
other channels too, so every channel must have a reader.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

import structlog

from swarm.noise import Established
from swarm.peers import Drop, Limits
from swarm.protomux import (
    BATCH_BYTES,
    MESSAGE_OVERHEAD_BYTES,
    Closed,
    Event,
    Messages,
    Opened,
    Protomux,
    Wanted,
)
from wire.errors import HoldfastError, Malformed, Unavailable
from wire.ports import ChannelMessage, Connection

BACKLOG_BYTES = 32 * 1024
"""Messages for channels not yet opened here, as in npm protomux; beyond it nothing is read."""

log = structlog.get_logger(__name__)

OnOpen = Callable[[str, bytes, Connection], Coroutine[Any, Any, None] | None]
"""Asked when the peer opens (protocol, id): a coroutine that opens and serves it, or None."""

Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Starts a coroutine as a task of whoever owns the connection."""


class Line(Protocol):
    """The encrypted socket under a connection."""

    @property
    def peer(self) -> str:
        """The peer's address, and the start of its key once known, for people."""

    @property
    def initiator(self) -> bool:
        """Whether this side dialled."""

    @property
    def established(self) -> Established | None:
        """What the handshake yielded, once it has."""

    @property
    def dropped(self) -> Drop | None:
        """Why the line is over, once it is."""

    def write(self, plaintexts: list[bytes]) -> None:
        """Send frames; nothing happens once the line is over."""

    @property
    def congested(self) -> bool:
        """Whether `drain` would wait."""

    def set_wanted(self, wanted: bool) -> None:
        """Whether more frames are wanted at the moment."""

    async def drain(self) -> None:
        """Wait until the socket takes more; `Unavailable` once it never will."""

    def drop(self, reason: Drop, detail: str = "") -> None:
        """Cut the line and say why; the first reason stays."""

    async def close(self) -> None:
        """Let what was written leave, then close; closing twice is harmless."""

    def error(self) -> HoldfastError:
        """What ended the line, to be raised to who used it."""


class Load(NamedTuple):
    """What a batch of frames cost: messages, and channels opened by the other side."""

    messages: int
    opens: int


class TcpChannel:
    """A channel of a `TcpConnection`; see `wire.ports.Channel`."""

    def __init__(self, connection: "TcpConnection", number: int) -> None:
        self.number = number
        self.closed = False
        self.batched = self._batched = 0
        self._connection = connection
        self._remote_handshake: bytes | None = None
        self._inbox: list[ChannelMessage] = []
        self._inbox_bytes = 0
        self._full = False
        self._wake: asyncio.Future[None] | None = None

    @property
    def remote_handshake(self) -> bytes:
        """The handshake bytes of the other side's open."""
        assert self._remote_handshake is not None, "the channel is handed out once it is up"
        return self._remote_handshake

    def send(self, kind: int, payload: bytes) -> None:
        """Queue one message; dropped silently when the channel has closed."""
        if not self.closed:
            self._connection.queue(self.number, kind, payload)

    def cork(self) -> None:
        """Keep on this side what is sent on any channel of the connection, until `uncork`."""
        self._connection.cork()

    def uncork(self) -> None:
        """Have it leave, as one batch."""
        self._connection.uncork()

    async def drain(self) -> None:
        """Wait until the send buffer is below its high-water mark; `Unavailable` once closed."""
        await self._connection.drain()
        if self.closed:
            raise Unavailable("the channel is closed")

    async def receive(self) -> list[ChannelMessage]:
        """All messages that came, waiting for one; an empty list: the channel is closed."""
        if not self._inbox and not self.closed:
            await self.wait()
        taken, self._inbox = self._inbox, []
        self.batched, self._batched = self._batched, 0
        self._inbox_bytes = 0
        if self._full:
            self._full = False
            self._connection.channel_is_full(-1)
        return taken

    def close(self) -> None:
        """Close the channel for both directions; closing twice is harmless."""
        if not self.closed:
            self._connection.close_channel(self)

    @property
    def is_up(self) -> bool:
        """Whether the other side has opened it too."""
        return self._remote_handshake is not None

    async def wait(self) -> None:
        """Wait for anything to happen to the channel."""
        assert self._wake is None, "a channel has one reader"
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def put(self, messages: list[ChannelMessage], limit_bytes: int) -> None:
        """The connection received these."""
        self._inbox += messages
        if len(messages) > 1:
            self._batched = len(self._inbox)
        for message in messages:
            self._inbox_bytes += len(message.payload) + MESSAGE_OVERHEAD_BYTES
        if self._inbox_bytes > limit_bytes and not self._full:
            self._full = True
            self._connection.channel_is_full(1)
        self._notify()

    def rise(self, handshake: bytes) -> None:
        """The connection received the other side's open."""
        self._remote_handshake = handshake
        self._notify()

    def end(self) -> None:
        """The channel, or the connection under it, is over."""
        self.closed = True
        self._notify()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class TcpConnection:
    """One end of one connection; see `wire.ports.Connection`. Made by `swarm.tcp` only."""

    def __init__(
        self, line: Line, limits: Limits, *, on_open: OnOpen | None, spawn: Spawn | None
    ) -> None:
        self._line = line
        self._limits = limits
        self._on_open = on_open
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._mux = Protomux()
        self._channels: dict[int, TcpChannel] = {}
        self._full_channels = 0
        self._flush_due = False
        self._yield_due = False
        self.batches = True
        """Whether messages sent in one go of the event loop travel in one frame; to be set.

        Else they do only between `cork` and `uncork`, as with npm protomux."""
        self._corked = False
        self._over = asyncio.Event()

    @property
    def initiator(self) -> bool:
        """Whether this side dialled."""
        return self._line.initiator

    @property
    def handshake_hash(self) -> bytes:
        """64 bytes that are the same on both sides and unique to this connection."""
        assert self._line.established is not None
        return self._line.established.handshake_hash

    @property
    def remote_key(self) -> bytes:
        """The other side's 32-byte Noise static key."""
        assert self._line.established is not None
        return self._line.established.remote_key

    @property
    def peer(self) -> str:
        """The peer's address and the start of its key, for people."""
        return self._line.peer

    @property
    def dropped(self) -> Drop | None:
        """Why the connection ended, once it has."""
        return self._line.dropped

    async def open(
        self, protocol: str, id: bytes, handshake: bytes = b"", aliases: Sequence[str] = ()
    ) -> TcpChannel:
        """Open a channel and wait for the other side's open; `Unavailable` if it does not come."""
        if self._line.dropped:
            raise self._line.error()
        number, events = self._mux.open(protocol, id, handshake, aliases)
        channel = self._channels[number] = TcpChannel(self, number)
        self._dispatch(events)
        self._settle()
        try:
            async with asyncio.timeout(self._limits.open_timeout_s):
                while not channel.is_up and not channel.closed:
                    await channel.wait()
        except TimeoutError as error:
            raise Unavailable(f"{self.peer} did not answer the open of {protocol}") from error
        finally:
            if not channel.is_up:
                channel.close()
        if channel.is_up:
            return channel
        if self._line.dropped:
            raise self._line.error()
        raise Unavailable(f"{self.peer} rejects {protocol}")

    async def close(self) -> None:
        """Send what is queued, then close; closing twice is harmless."""
        self._corked = False
        self._flush()
        await self._line.close()

    def drop(self, reason: Drop, detail: str = "") -> None:
        """Cut the connection at once and say why; the first reason stays."""
        self._line.drop(reason, detail)

    @property
    def congested(self) -> bool:
        """Whether `drain` would wait."""
        return self._line.congested

    async def wait_over(self) -> None:
        """Wait until the connection is over, for whatever reason."""
        await self._over.wait()

    async def drain(self) -> None:
        """Wait until the socket takes more; `Unavailable` once it never will."""
        if self._yield_due:
            # A socket that takes everything must not starve the tasks beside this one.
            self._yield_due = False
            await asyncio.sleep(0)
        await self._line.drain()

    def queue(self, number: int, kind: int, payload: bytes) -> None:
        """Queue a channel's message; all that is queued leaves at the end of the loop's turn."""
        self._mux.send(number, kind, payload)
        if self._mux.queued_bytes >= BATCH_BYTES:
            self._flush()
            self._yield_due = True
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def cork(self) -> None:
        """Keep on this side what is queued, until `uncork`."""
        self._corked = True

    def uncork(self) -> None:
        """Have it leave, as one batch."""
        self._corked = False
        frames = self._mux.flush(batch=True)
        if frames:
            self._line.write(frames)

    def close_channel(self, channel: TcpChannel) -> None:
        """Close one channel at both ends."""
        self._mux.close(channel.number)
        self._channels.pop(channel.number, None)
        channel.end()
        self._settle()

    def channel_is_full(self, change: int) -> None:
        """One channel more, or one less, holds as much as it may."""
        self._full_channels += change
        self._settle()

    def receive(self, frames: list[bytes]) -> Load:
        """The line received these frames; raises `Malformed`."""
        messages = opens = 0
        for frame in frames:
            events = self._mux.receive(frame)
            for event in events:
                if type(event) is Messages:
                    messages += len(event.messages)
                elif type(event) is Wanted:
                    opens += 1
            self._dispatch(events)
        self._settle()
        return Load(messages + len(frames), opens)

    def end(self) -> None:
        """The line is over: so is every channel."""
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.end()
        self._over.set()

    def _dispatch(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Wanted):
                self._answer(event)
                continue
            channel = self._channels.get(event.channel)
            if channel is None:
                continue  # whoever answered an earlier event has ended it
            match event:
                case Messages():
                    channel.put(event.messages, self._limits.receive_bytes)
                case Opened():
                    channel.rise(event.handshake)
                case Closed():
                    del self._channels[event.channel]
                    channel.end()

    def _answer(self, wanted: Wanted) -> None:
        if self._on_open is None:
            self._loop.call_later(self._limits.unclaimed_open_s, self._reject, wanted.ticket)
            return
        serve = self._on_open(wanted.protocol, wanted.id, self)
        if serve is None:
            self._reject(wanted.ticket)
            return
        assert self._spawn is not None, "who serves opens owns a task group"
        self._spawn(self._serve(wanted.ticket, serve))
        self._loop.call_later(self._limits.open_timeout_s, self._reject, wanted.ticket)

    async def _serve(self, ticket: int, serve: Coroutine[Any, Any, None]) -> None:
        try:
            await serve
        except Malformed as error:
            self.drop(Drop.MALFORMED, str(error))
        except HoldfastError as error:
            log.info("channel ended", peer=self.peer, reason=str(error))
        finally:
            self._reject(ticket)

    def _reject(self, ticket: int) -> None:
        self._mux.reject(ticket)
        self._settle()

    def _settle(self) -> None:
        """Have sent what is queued, and more read if there is room for it."""
        if not self._flush_due and self._mux.queued_bytes:
            self._flush_due = True
            self._loop.call_soon(self._flush)
        full = self._full_channels > 0 or self._mux.backlog_bytes > BACKLOG_BYTES
        self._line.set_wanted(not full)

    def _flush(self) -> None:
        self._flush_due = False
        if self._corked:
            return
        frames = self._mux.flush(apart=not self.batches)
        if frames:
            self._line.write(frames)
