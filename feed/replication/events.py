"""What a replication core tells its shell, beside the messages to send.

Times are microseconds of one clock that only goes forward; where it starts does not matter.
"""

from enum import StrEnum
from typing import NamedTuple

from feed.messages import Message


class Grown(NamedTuple):
    """A new signed head was verified and stored."""

    fork: int
    length: int


class Conflicted(NamedTuple):
    """The owner has signed two histories of the first `length` chunks: `feed.conflict`."""

    fork: int
    length: int


class Arrived(NamedTuple):
    """A chunk was asked for, came, was verified and is stored."""

    chunk: int
    leaf_hash: bytes
    data: bytes
    asked_us: int
    came_us: int


class Wrong(NamedTuple):
    """A chunk came that is not the feed's, or with a path that is not; told only when asked for."""

    chunk: int
    leaf_hash: bytes
    data: bytes
    asked_us: int
    came_us: int


class Stray(NamedTuple):
    """A chunk came with a path that ends at nothing stored, and is asked for again: the peer left
    out an answer that others were to build on. Told only when asked for.
    """

    chunk: int
    leaf_hash: bytes
    data: bytes
    asked_us: int
    came_us: int


class Failure(StrEnum):
    """Why a chunk did not come."""

    NOT_AVAILABLE = "not available"
    INVALID_REQUEST = "invalid request"
    TIMEOUT = "timeout"


class Lost(NamedTuple):
    """A chunk was asked for and did not come."""

    chunk: int
    failure: Failure
    asked_us: int
    lost_us: int


class Served(NamedTuple):
    """A chunk is on its way to the peer, after the message before this event."""

    chunk: int
    leaf_hash: bytes
    data: bytes


class Damaged(NamedTuple):
    """A chunk had rotted on disk and was dropped from the store instead of being served."""

    chunk: int


class Heard(NamedTuple):
    """The peer sent an extension message."""

    name: str
    payload: bytes


class Drop(NamedTuple):
    """The peer breaks the protocol: end the connection."""

    reason: str


class GiveUp(NamedTuple):
    """The peer is silent: end the channel."""

    reason: str


Event = (
    Arrived | Served | Grown | Conflicted | Wrong | Stray | Lost | Damaged | Heard | Drop | GiveUp
)
"""The first two are told once a chunk, so they are looked for first."""

Effect = Message | Event
"""A message to send, or an event to tell; effects are carried out in their order."""
