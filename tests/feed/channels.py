"""Two ends of a connection in memory: `wire.ports` over lists, for tests of shells."""

import asyncio
from collections.abc import Callable, Sequence

from wire.errors import Unavailable
from wire.ports import Channel, ChannelMessage

Tamper = Callable[[ChannelMessage], list[ChannelMessage]]
"""What a hostile or broken line makes of one message."""


class MemoryChannel:
    """One end of a channel."""

    def __init__(self) -> None:
        self.other: MemoryChannel | None = None
        self.remote_handshake = b""
        self.tamper: Tamper | None = None
        self.closed = False
        self.readable = asyncio.Event()
        self.read = asyncio.Event()
        self.read.set()
        self.inbox: list[ChannelMessage] = []
        self.batched = 0
        """Nothing is batched here."""

    def send(self, kind: int, payload: bytes) -> None:
        """Queue one message for the other end."""
        assert self.other is not None
        if self.closed or self.other.closed:
            return
        message = ChannelMessage(kind, payload)
        self.other.inbox += [message] if self.tamper is None else self.tamper(message)
        self.other.readable.set()
        self.read.clear()

    def cork(self) -> None:
        """There is nothing to keep."""

    def uncork(self) -> None:
        """There is nothing to let go."""

    async def drain(self) -> None:
        """Wait until the other end has read everything."""
        if not self.closed:
            await self.read.wait()
        if self.closed:
            raise Unavailable("the channel is closed")

    async def receive(self) -> list[ChannelMessage]:
        """Wait for messages; none when the channel is closed."""
        if not self.inbox and not self.closed:
            await self.readable.wait()
        self.readable.clear()
        taken, self.inbox = self.inbox, []
        if self.other is not None:
            self.other.read.set()
        return taken

    def close(self) -> None:
        """Close both ends."""
        for end in (self, self.other):
            if end is not None and not end.closed:
                end.closed = True
                end.readable.set()
                end.read.set()


class MemoryConnection:
    """One end of a connection; `connect` makes both."""

    def __init__(self, *, initiator: bool, handshake_hash: bytes, remote_key: bytes) -> None:
        self.initiator = initiator
        self.handshake_hash = handshake_hash
        self.remote_key = remote_key
        self.other: MemoryConnection | None = None
        self.tamper: Tamper | None = None
        self.waiting: dict[tuple[str, bytes], tuple[MemoryChannel, bytes, asyncio.Event]] = {}

    async def open(
        self, protocol: str, id: bytes, handshake: bytes = b"", aliases: Sequence[str] = ()
    ) -> Channel:
        """Open a channel and wait for the other side's open."""
        assert self.other is not None
        channel = MemoryChannel()
        channel.tamper = self.tamper
        names = [name for name in (protocol, *aliases) if (name, id) in self.other.waiting]
        theirs = self.other.waiting.pop((names[0], id)) if names else None
        if theirs is None:
            opened = asyncio.Event()
            self.waiting[(protocol, id)] = (channel, handshake, opened)
            async with asyncio.timeout(5):
                await opened.wait()
        else:
            other, channel.remote_handshake, opened = theirs
            other.remote_handshake = handshake
            channel.other, other.other = other, channel
            opened.set()
        return channel

    async def close(self) -> None:
        """Nothing to close."""


def connect() -> tuple[MemoryConnection, MemoryConnection]:
    """The dialling end and the listening end of a new connection."""
    ends = (
        MemoryConnection(initiator=True, handshake_hash=bytes(64), remote_key=b"L" * 32),
        MemoryConnection(initiator=False, handshake_hash=bytes(64), remote_key=b"D" * 32),
    )
    ends[0].other, ends[1].other = ends[1], ends[0]
    return ends
