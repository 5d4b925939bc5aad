"""The field types that messages are made of: fixed bytes and bounded integers.

Inside they are plain `bytes` and `int`; in JSON for people a key is z-base-32 and other
bytes are hexadecimal. Integers stop at 2^63-1, which SQLite and JSON readers can hold.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Annotated

from pydantic import Field, PlainSerializer

from wire import zbase32

MAX_INT = 2**63 - 1
MAX_HEIGHT = 2**53
"""The last height that anybody may name: what is counted from it stays below `MAX_INT`."""


def _hex(value: bytes) -> str:
    return value.hex()


_AsHex = PlainSerializer(_hex, return_type=str, when_used="json")
_AsKey = PlainSerializer(zbase32.encode, return_type=str, when_used="json")

Bytes = Annotated[bytes, Field(max_length=1 << 20), _AsHex]
Hash = Annotated[bytes, Field(min_length=32, max_length=32), _AsHex]
PublicKey = Annotated[bytes, Field(min_length=32, max_length=32), _AsKey]
Signature = Annotated[bytes, Field(min_length=64, max_length=64), _AsHex]
Natural = Annotated[int, Field(ge=0, le=MAX_INT)]
Height = Annotated[int, Field(ge=0, le=MAX_HEIGHT)]
"""Of a block that somebody names."""
Positive = Annotated[int, Field(ge=1, le=MAX_INT)]
Ppm = Annotated[int, Field(ge=0, le=1_000_000)]
"""Parts per million: the only fractions there are."""


def blake2b_256(*parts: bytes) -> bytes:
    """BLAKE2b with a 32-byte digest over the joined parts: Hypercore's hash, and ours."""
    return blake2b(b"".join(parts), digest_size=32).digest()


def tagged_hash(tag: str, *parts: bytes) -> bytes:
    """A hash that no other use can produce: the tag and every part carry their length."""
    return _begin(tag, *parts).digest()


def tagged_hashes(tag: str, first: bytes, rows: Sequence[bytes]) -> Iterator[bytes]:
    """`tagged_hash(tag, first, row)` for each row, in half the time; all are equally long."""
    state = _begin(tag, first)
    state.update(len(rows[0]).to_bytes(8, "little"))
    for row in rows:
        copy = state.copy()
        copy.update(row)
        yield copy.digest()


def _begin(tag: str, *parts: bytes) -> blake2b:
    return blake2b(_framed((tag.encode(), *parts)), digest_size=32, person=b"holdfast/v1")


def _framed(parts: Iterable[bytes]) -> bytes:
    return b"".join([len(part).to_bytes(8, "little") + part for part in parts])
