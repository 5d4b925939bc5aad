"""What a protocol core's shell needs of a connection, so that `feed` need not know `swarm`.

`swarm` implements these over Noise on TCP; a test implements them over a pair of lists.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class ChannelMessage(NamedTuple):
    """One message on a channel: its type number in the channel's protocol, and its bytes."""

    kind: int
    payload: bytes


class Channel(Protocol):
    """One channel of a connection, already opened by both sides."""

    @property
    def remote_handshake(self) -> bytes:
        """The handshake bytes of the other side's open."""

    def send(self, kind: int, payload: bytes) -> None:
        """Queue one message; messages queued in one go of the event loop travel as a batch."""

    def cork(self) -> None:
        """Keep on this side what is sent on any channel of the connection, until `uncork`."""

    def uncork(self) -> None:
        """Have it leave, as one batch."""

    async def drain(self) -> None:
        """Wait until the connection's send buffer is below its high-water mark."""

    async def receive(self) -> list[ChannelMessage]:
        """Wait for messages and return all that came; an empty list: the channel is closed."""

    @property
    def batched(self) -> int:
        """How many of them, from the first, came until the end of the last frame with several."""

    def close(self) -> None:
        """Close the channel for both directions; closing twice is harmless."""


class Connection(Protocol):
    """An encrypted connection to one peer, identified by its Noise static key."""

    @property
    def initiator(self) -> bool:
        """Whether this side dialled."""

    @property
    def handshake_hash(self) -> bytes:
        """64 bytes that are the same on both sides and unique to this connection."""

    @property
    def remote_key(self) -> bytes:
        """The other side's 32-byte Noise static key."""

    async def open(
        self, protocol: str, id: bytes, handshake: bytes = b"", aliases: Sequence[str] = ()
    ) -> Channel:
        """Open a channel and wait for the other side's open.

        If the other side was first and used one of the `aliases`, it is answered by that name.
        Raises `Unavailable` when the other side rejects, closes or stays silent.
        """

    async def close(self) -> None:
        """Close the connection and everything on it; closing twice is harmless."""
