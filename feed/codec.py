"""The replication messages as bytes (WIRE.md section 8).

Nothing is allocated before the bytes for it are known to be there. Unknown flags and bytes left
over are ignored, as Node does, so a message has many spellings: compare messages, never bytes.
"""

from collections.abc import Callable
from typing import Any, Final

from feed.manifest import put_manifest, read_manifest
from feed.messages import (
    Bitfield,
    Cancel,
    ChunkPart,
    Data,
    Extension,
    Handshake,
    HashPart,
    Kind,
    Message,
    NoData,
    PathRequest,
    Range,
    Reason,
    Request,
    SeekPart,
    SeekRequest,
    Sync,
    Unwant,
    UpgradePart,
    UpgradeRequest,
    Want,
)
from feed.tree import Node, new_node
from wire.compact import MAX_UINT, Reader, put_buffer, put_string, put_uint
from wire.errors import Malformed

MAX_NODES = 256
"""Nodes in one list: a path has at most 53, an upgrade twice that, in any feed there can be."""

MAX_BITFIELD_WORDS = 1 << 16
"""Words in one bitfield: 2^21 chunks, the most that one answer to a want covers."""

MAX_NAME_BYTES = 256
"""Bytes in the name of an extension."""

_NODE_BYTES = 34
"""The fewest bytes that a node takes: two uints and a hash."""


def encode(message: Message) -> bytes:
    """The payload of a message; its type number is `message.kind`."""
    if isinstance(message, Data) and message.chunk is not None and message[3:] == _NO_MORE_PARTS:
        return _encode_chunk(message, message.chunk)
    out = bytearray()
    _WRITERS[message.kind](out, message)
    return bytes(out)


def decode(kind: int, payload: bytes) -> Message | None:
    """The message of a type number; None for a type this protocol lacks, to be ignored.

    Raises `Malformed`.
    """
    parse = _PARSERS.get(kind)
    return None if parse is None else parse(Reader(payload))


# uint flags (1 seeks) | fixed32 capability
def encode_handshake(handshake: Handshake) -> bytes:
    """The payload of the channel's open."""
    return bytes([1 if handshake.seeks else 0]) + handshake.capability


def decode_handshake(payload: bytes) -> Handshake:
    """The payload of the other side's open; raises `Malformed`."""
    reader = Reader(payload)
    flags = reader.uint()
    return Handshake(reader.fixed(32), bool(flags & 1))


# uint flags (1 can upgrade, 2 uploading, 4 downloading, 8 has manifest, 16 allow push)
# | uint fork | uint length | uint remote length
def _put_sync(out: bytearray, sync: Sync) -> None:
    out.append(
        (1 if sync.can_upgrade else 0)
        | (2 if sync.uploading else 0)
        | (4 if sync.downloading else 0)
        | (8 if sync.has_manifest else 0)
        | (16 if sync.allow_push else 0)
    )
    put_uint(out, sync.fork)
    put_uint(out, sync.length)
    put_uint(out, sync.remote_length)


def _read_sync(reader: Reader) -> Sync:
    flags = reader.uint()
    return Sync(
        fork=reader.uint(),
        length=reader.uint(),
        remote_length=reader.uint(),
        can_upgrade=bool(flags & 1),
        uploading=bool(flags & 2),
        downloading=bool(flags & 4),
        has_manifest=bool(flags & 8),
        allow_push=bool(flags & 16),
    )


# uint flags (1 chunk, 2 hash, 4 seek, 8 upgrade, 16 manifest, 32 priority) | uint id | uint fork
# | [chunk: uint index, uint nodes] | [hash: uint tree index, uint nodes]
# | [seek: uint byte offset, uint padding] | [upgrade: uint start, uint length] | [uint priority]
def _put_request(out: bytearray, request: Request) -> None:
    id_, fork, chunk, hash_, seek, upgrade, manifest, priority = request
    out.append(
        (1 if chunk is not None else 0)
        | (2 if hash_ is not None else 0)
        | (4 if seek is not None else 0)
        | (8 if upgrade is not None else 0)
        | (16 if manifest else 0)
        | (32 if priority else 0)
    )
    put_uint(out, id_)
    put_uint(out, fork)
    for part in (chunk, hash_, seek, upgrade):
        if part is not None:
            put_uint(out, part[0])
            put_uint(out, part[1])
    if priority:
        put_uint(out, priority)


def _read_request(reader: Reader) -> Request:
    flags, uint = reader.uint(), reader.uint
    return Request(
        uint(),
        uint(),
        PathRequest(uint(), uint()) if flags & 1 else None,
        PathRequest(uint(), uint()) if flags & 2 else None,
        SeekRequest(uint(), uint()) if flags & 4 else None,
        UpgradeRequest(uint(), uint()) if flags & 8 else None,
        bool(flags & 16),
        uint() if flags & 32 else 0,
    )


# uint flags (1 chunk, 2 hash, 4 seek, 8 upgrade, 16 manifest) | uint request id | uint fork
# | [chunk: uint index, buffer value, nodes] | [hash: uint tree index, nodes]
# | [seek: uint byte offset, nodes]
# | [upgrade: uint start, uint length, nodes, additional nodes, buffer signature] | [manifest]
# nodes: array of {uint index, uint size, fixed32 hash}
_NO_MORE_PARTS = (None,) * 4
"""The parts of a data message that holds a chunk and nothing else."""


def _encode_chunk(data: Data, part: ChunkPart) -> bytes:
    """The usual data message, its chunk copied once."""
    head, tail = bytearray(b"\x01"), bytearray()
    put_uint(head, data.request)
    put_uint(head, data.fork)
    put_uint(head, part.index)
    put_uint(head, len(part.value))
    _put_nodes(tail, part.nodes)
    return b"".join((head, part.value, tail))


def _put_data(out: bytearray, data: Data) -> None:
    request, fork, chunk, hash_, seek, upgrade, manifest = data
    out.append(
        (1 if chunk is not None else 0)
        | (2 if hash_ is not None else 0)
        | (4 if seek is not None else 0)
        | (8 if upgrade is not None else 0)
        | (16 if manifest is not None else 0)
    )
    put_uint(out, request)
    put_uint(out, fork)
    if chunk is not None:
        put_uint(out, chunk.index)
        put_buffer(out, chunk.value)
        _put_nodes(out, chunk.nodes)
    for part in (hash_, seek):
        if part is not None:
            put_uint(out, part[0])
            _put_nodes(out, part[1])
    if upgrade is not None:
        put_uint(out, upgrade.start)
        put_uint(out, upgrade.length)
        _put_nodes(out, upgrade.nodes)
        _put_nodes(out, upgrade.additional_nodes)
        put_buffer(out, upgrade.signature or b"")
    if manifest is not None:
        put_manifest(out, manifest)


def _read_data(reader: Reader) -> Data:
    flags, uint = reader.uint(), reader.uint
    return Data(
        uint(),
        uint(),
        ChunkPart(uint(), reader.buffer(), _read_nodes(reader)) if flags & 1 else None,
        HashPart(uint(), _read_nodes(reader)) if flags & 2 else None,
        SeekPart(uint(), _read_nodes(reader)) if flags & 4 else None,
        _read_upgrade(reader) if flags & 8 else None,
        read_manifest(reader) if flags & 16 else None,
    )


def _read_upgrade(reader: Reader) -> UpgradePart:
    start, length = reader.uint(), reader.uint()
    nodes, additional = _read_nodes(reader), _read_nodes(reader)
    return UpgradePart(start, length, nodes, additional, reader.buffer() or None)


def _put_nodes(out: bytearray, nodes: tuple[Node, ...]) -> None:
    put_uint(out, len(nodes))
    for index, size, digest in nodes:
        put_uint(out, index)
        put_uint(out, size)
        out += digest


def _read_nodes(reader: Reader) -> tuple[Node, ...]:
    count = reader.uint()
    if count > MAX_NODES or count * _NODE_BYTES > reader.left:
        raise Malformed(f"a list of {count} nodes in {reader.left} bytes")
    uint, fixed = reader.uint, reader.fixed
    return tuple([new_node(Node, (uint(), uint(), fixed(32))) for _ in range(count)])


# uint request id
def _put_cancel(out: bytearray, cancel: Cancel) -> None:
    put_uint(out, cancel.request)


def _read_cancel(reader: Reader) -> Cancel:
    return Cancel(reader.uint())


# uint request id | [uint flags (1 reason)] | [uint reason]; version 10 sends the id only
def _put_no_data(out: bytearray, no_data: NoData) -> None:
    put_uint(out, no_data.request)
    out.append(1 if no_data.reason else 0)
    if no_data.reason:
        put_uint(out, no_data.reason)


def _read_no_data(reader: Reader) -> NoData:
    request = reader.uint()
    flags = reader.uint() if reader.left else 0
    return NoData(request, reader.uint() if flags & 1 else Reason.UNKNOWN)


# uint start | uint length | [uint flags (1 any)]
def _put_stretch(out: bytearray, stretch: Want | Unwant) -> None:
    put_uint(out, stretch.start)
    put_uint(out, stretch.length)
    if stretch.any:
        out.append(1)


def _read_stretch(reader: Reader) -> tuple[int, int, bool]:
    start, length = reader.uint(), reader.uint()
    return start, length, bool(reader.left and reader.uint() & 1)


# uint start | uint count | count words of four bytes, little-endian
def _put_bitfield(out: bytearray, bitfield: Bitfield) -> None:
    put_uint(out, bitfield.start)
    put_uint(out, len(bitfield.bits) // 4)
    out += bitfield.bits


def _read_bitfield(reader: Reader) -> Bitfield:
    start, count = reader.uint(), reader.uint()
    if count > MAX_BITFIELD_WORDS or start % 32:
        raise Malformed(f"a bitfield of {count} words from chunk {start}")
    return Bitfield(start, reader.fixed(4 * count))


# uint flags (1 drop, 2 length is one) | uint start | [uint length]
def _put_range(out: bytearray, stretch: Range) -> None:
    one = stretch.length == 1
    out.append((1 if stretch.drop else 0) | (2 if one else 0))
    put_uint(out, stretch.start)
    if not one:
        put_uint(out, stretch.length)


def _read_range(reader: Reader) -> Range:
    flags, start = reader.uint(), reader.uint()
    length = 1 if flags & 2 else reader.uint()
    if start + length > MAX_UINT:
        raise Malformed(f"a range of {length} chunks from chunk {start}")
    return Range(start, length, bool(flags & 1))


# string name | raw payload
def _put_extension(out: bytearray, extension: Extension) -> None:
    put_string(out, extension.name)
    out += extension.payload


def _read_extension(reader: Reader) -> Extension:
    name = reader.string()
    if len(name) > MAX_NAME_BYTES:
        raise Malformed(f"an extension name of {len(name)} characters")
    return Extension(name, reader.rest())


_WRITERS: Final[dict[Kind, Callable[[bytearray, Any], None]]] = {
    Kind.SYNC: _put_sync,
    Kind.REQUEST: _put_request,
    Kind.CANCEL: _put_cancel,
    Kind.DATA: _put_data,
    Kind.NO_DATA: _put_no_data,
    Kind.WANT: _put_stretch,
    Kind.UNWANT: _put_stretch,
    Kind.BITFIELD: _put_bitfield,
    Kind.RANGE: _put_range,
    Kind.EXTENSION: _put_extension,
}

_PARSERS: Final[dict[int, Callable[[Reader], Message]]] = {
    Kind.SYNC: _read_sync,
    Kind.REQUEST: _read_request,
    Kind.CANCEL: _read_cancel,
    Kind.DATA: _read_data,
    Kind.NO_DATA: _read_no_data,
    Kind.WANT: lambda reader: Want(*_read_stretch(reader)),
    Kind.UNWANT: lambda reader: Unwant(*_read_stretch(reader)),
    Kind.BITFIELD: _read_bitfield,
    Kind.RANGE: _read_range,
    Kind.EXTENSION: _read_extension,
}
