"""What a receipt is over: one entry of 64 bytes for each chunk that crossed the wire.

    entry = u64 chunk || u64 size || leaf hash (32) || digest (16)

The digest is BLAKE2b of the chunk's bytes, keyed with the session's handshake hash. Leaf hashes
are public; the digest can be made by nobody who does not have the bytes, and checked by all who
have them. Packed, not messages: a judge reads thousands of them.
"""

from collections.abc import Iterable
from hashlib import blake2b, sha256
from struct import Struct
from typing import NamedTuple

from wire.errors import Malformed
from wire.primitives import tagged_hash

DIGEST_BYTES = 16
_ENTRY = Struct(">QQ32s16s")
_LISTED = Struct(">QQQ32s16s16s")
_SHOWN = Struct(">QQQ32s32x")
_LEAF = Struct(">QQ32s")
_UNCLE = Struct(">Q32s")

LISTED_BYTES = _LISTED.size
LEAF_BYTES = _LEAF.size
UNCLE_BYTES = _UNCLE.size


class Entry(NamedTuple):
    """One chunk that crossed the wire: number, byte length, Hypercore leaf hash, keyed digest."""

    chunk: int
    size: int
    hash: bytes
    digest: bytes

    @property
    def packed(self) -> bytes:
        """The bytes that a receipt's root is over."""
        return _ENTRY.pack(*self)


class Listed(NamedTuple):
    """An entry that evidence shows: its place in the receipt's list, and the attestor's word."""

    place: int
    entry: Entry
    fresh: bytes
    """The chunk's digest under `fresh_key`."""


class Leaf(NamedTuple):
    """What a feed truly has of one chunk: byte length and leaf hash."""

    chunk: int
    size: int
    hash: bytes


def chunk_digest(key: bytes, data: bytes) -> bytes:
    """The digest by which who serves or reads a chunk shows that it has its bytes."""
    return blake2b(data, digest_size=DIGEST_BYTES, key=key).digest()


def fresh_key(challenge: bytes, coin: bytes, contract: bytes, attestor: bytes) -> bytes:
    """The key of the digests that an attestor makes itself, unknown before the coin was.

    Who picks the handshake hash, as an attestor and a hoster can together, could keep digests
    under it instead of the chunks; under this key nobody can.
    """
    return tagged_hash("audit/fresh", challenge, coin, contract, attestor)


def entry_of(chunk: int, leaf_hash: bytes, data: bytes, handshake_hash: bytes) -> Entry:
    """The entry of a chunk that crosses the wire in the session of this handshake."""
    return Entry(chunk, len(data), leaf_hash, chunk_digest(handshake_hash, data))


def pack_listed(listed: Iterable[Listed]) -> bytes:
    """Entries with their places in the receipt's list, for evidence."""
    return b"".join([_LISTED.pack(place, *entry, fresh) for place, entry, fresh in listed])


def unpack_listed(data: bytes) -> list[Listed]:
    """The entries that evidence lists."""
    _require_whole(data, LISTED_BYTES)
    return [
        Listed(place, Entry(chunk, size, leaf, digest), fresh)
        for place, chunk, size, leaf, digest, fresh in _LISTED.iter_unpack(data)
    ]


Shown = tuple[int, tuple[int, bytes]]
"""A chunk, and what its entry says: byte length and leaf hash."""


def unpack_shown(data: bytes) -> tuple[list[int], list[bytes], list[Shown]]:
    """The same as a judge reads it: places, leaves of the receipt's list, what entries say."""
    _require_whole(data, LISTED_BYTES)
    rows = list(_SHOWN.iter_unpack(data))
    places = [row[0] for row in rows]
    shown = [(chunk, (size, leaf)) for _, chunk, size, leaf in rows]
    starts = range(8, len(data), LISTED_BYTES)
    leaves = [sha256(b"\x00" + data[at : at + 64]).digest() for at in starts]
    return places, leaves, shown


def pack_leaves(leaves: Iterable[Leaf]) -> bytes:
    """True leaves, for evidence."""
    return b"".join([_LEAF.pack(*leaf) for leaf in leaves])


def unpack_leaves(data: bytes) -> list[Leaf]:
    """The true leaves that evidence shows."""
    _require_whole(data, LEAF_BYTES)
    return [Leaf(*fields) for fields in _LEAF.iter_unpack(data)]


def pack_uncles(uncles: Iterable[tuple[int, bytes]]) -> bytes:
    """Sizes and hashes of a multiproof over a feed's tree."""
    return b"".join([_UNCLE.pack(*uncle) for uncle in uncles])


def unpack_uncles(data: bytes) -> list[tuple[int, bytes]]:
    """The multiproof over a feed's tree."""
    _require_whole(data, UNCLE_BYTES)
    return list(_UNCLE.iter_unpack(data))


def unpack_hashes(data: bytes) -> list[bytes]:
    """Hashes of 32 bytes, one after the other."""
    _require_whole(data, 32)
    return [data[start : start + 32] for start in range(0, len(data), 32)]


def _require_whole(data: bytes, size: int) -> None:
    if len(data) % size:
        raise Malformed(f"{len(data)} bytes are no whole number of {size}")
