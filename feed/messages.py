"""The ten messages of Hypercore's replication channel, and the handshake that opens it.

The fields are those of WIRE.md section 8; `codec.py` turns them into bytes and back. Requests,
data and their parts are named tuples, because one of each is made for every chunk.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final, NamedTuple

from feed.manifest import Manifest
from feed.tree import Node

PROTOCOL: Final = "hypercore/alpha"
"""The name of the channel; its id is the feed's discovery key."""

PROTOCOL_ALIAS: Final = "hypercore"
"""An older name of the same channel: accepted, never sent."""


class Kind(IntEnum):
    """A message's type number on the channel."""

    SYNC = 0
    REQUEST = 1
    CANCEL = 2
    DATA = 3
    NO_DATA = 4
    WANT = 5
    UNWANT = 6
    BITFIELD = 7
    RANGE = 8
    EXTENSION = 9


class Reason(IntEnum):
    """Why there is no data."""

    UNKNOWN = 0
    NOT_AVAILABLE = 1
    INVALID_REQUEST = 2


@dataclass(frozen=True, slots=True)
class Handshake:
    """The payload of the channel's open: a proof of knowing the key."""

    capability: bytes
    seeks: bool = True


@dataclass(frozen=True, slots=True)
class Sync:
    """The sender's state; `remote_length` is the length it believes the receiver has."""

    kind: ClassVar[Kind] = Kind.SYNC
    fork: int
    length: int
    remote_length: int = 0
    can_upgrade: bool = False
    uploading: bool = True
    downloading: bool = True
    has_manifest: bool = False
    allow_push: bool = False


class PathRequest(NamedTuple):
    """A chunk (or, in `hash`, a tree node) and how many levels of its path to send."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    nodes: int


class SeekRequest(NamedTuple):
    """The path towards a byte offset; `padding` bytes of each chunk do not count."""

    byte_offset: int
    padding: int = 0


class UpgradeRequest(NamedTuple):
    """From the tree of `start` chunks to the one of `start + length`."""

    start: int
    length: int


class Request(NamedTuple):
    """One question with up to four parts; `id` is the asker's own and is used again."""

    id: int
    fork: int
    chunk: PathRequest | None = None
    hash: PathRequest | None = None
    seek: SeekRequest | None = None
    upgrade: UpgradeRequest | None = None
    manifest: bool = False
    priority: int = 0

    @property
    def kind(self) -> Kind:
        """The message's type number."""
        return Kind.REQUEST


@dataclass(frozen=True, slots=True)
class Cancel:
    """The asker no longer needs the answer; it may still come."""

    kind: ClassVar[Kind] = Kind.CANCEL
    request: int


class ChunkPart(NamedTuple):
    """A chunk and its uncles, bottom up."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    value: bytes
    nodes: tuple[Node, ...]


class HashPart(NamedTuple):
    """A tree node, then its uncles, bottom up."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    nodes: tuple[Node, ...]


class SeekPart(NamedTuple):
    """A node towards a byte offset, then its siblings upward."""

    byte_offset: int
    nodes: tuple[Node, ...]


class UpgradePart(NamedTuple):
    """What makes a tree of `start` chunks into one of `start + length`, and a signature.

    The signature covers the tree that `additional_nodes` then lead to.
    """

    start: int
    length: int
    nodes: tuple[Node, ...]
    additional_nodes: tuple[Node, ...]
    signature: bytes | None


class Data(NamedTuple):
    """The answer to one request."""

    request: int
    fork: int
    chunk: ChunkPart | None = None
    hash: HashPart | None = None
    seek: SeekPart | None = None
    upgrade: UpgradePart | None = None
    manifest: Manifest | None = None

    @property
    def kind(self) -> Kind:
        """The message's type number."""
        return Kind.DATA


@dataclass(frozen=True, slots=True)
class NoData:
    """The request will not be answered. A reason this program does not know is kept as it is."""

    kind: ClassVar[Kind] = Kind.NO_DATA
    request: int
    reason: int = Reason.UNKNOWN


@dataclass(frozen=True, slots=True)
class Want:
    """Tell me which chunks of this stretch you have; `any`: only whether you have some."""

    kind: ClassVar[Kind] = Kind.WANT
    start: int
    length: int
    any: bool = False


@dataclass(frozen=True, slots=True)
class Unwant:
    """Takes a want back."""

    kind: ClassVar[Kind] = Kind.UNWANT
    start: int
    length: int
    any: bool = False


@dataclass(frozen=True, slots=True)
class Bitfield:
    """Which chunks from `start` on the sender has: bit b of byte k is chunk start + 8k + b.

    `start` is a multiple of 32; `bits` is a multiple of four bytes long.
    """

    kind: ClassVar[Kind] = Kind.BITFIELD
    start: int
    bits: bytes


@dataclass(frozen=True, slots=True)
class Range:
    """The sender has (or, with `drop`, no longer has) these chunks."""

    kind: ClassVar[Kind] = Kind.RANGE
    start: int
    length: int
    drop: bool = False


@dataclass(frozen=True, slots=True)
class Extension:
    """A message of another protocol; an empty name repeats the sender's last one."""

    kind: ClassVar[Kind] = Kind.EXTENSION
    name: str
    payload: bytes


Message = Sync | Request | Cancel | Data | NoData | Want | Unwant | Bitfield | Range | Extension
