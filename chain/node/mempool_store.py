"""What waits in a node's pool, on disk, so that a killed node still has it.

    file  = "HOLDFASTPOOL1\\n" network id (32)  frame*
    frame = u32 length  u32 CRC-32  bytes of a SignedTransaction

What is accepted is handed to the operating system before it is confirmed, without waiting for
the disk: a killed process loses nothing, a power cut may. Then the client hears that the
transaction is unknown and sends it again; a nonce is used once, so that is harmless.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import structlog

from chain.messages import SignedTransaction
from chain.node.mempool import Mempool
from wire.codec import MAX_MESSAGE_BYTES, decode
from wire.errors import Malformed, Unavailable

log = structlog.get_logger()

MAGIC = b"HOLDFASTPOOL1\n"
_FRAME = struct.Struct(">II")

SLACK_BYTES = 4 << 20
"""The file is written anew when it is this much larger than twice what waits."""


class MempoolStore:
    """An append-only file with one writer: the node's event loop."""

    def __init__(self, path: Path, network: bytes) -> None:
        self._path = path
        self._start = MAGIC + network
        self._file = -1
        self._size = 0

    @classmethod
    def open(cls, path: Path, network: bytes) -> tuple[Self, list[SignedTransaction]]:
        """The file and what it held, in order; call `rewrite` with what of it is still good.

        Another program's or network's file is put aside, and what cannot be read of ours left
        out; both are logged. Raises `Unavailable` when the disk refuses.
        """
        try:
            data = path.read_bytes() if path.exists() else b""
            start = MAGIC + network
            if data[: len(start)] != start[: len(data)]:
                aside = path.with_name(path.name + ".other")
                path.replace(aside)
                log.warning("not this network's file of waiting transactions", moved_to=str(aside))
                data = b""
        except OSError as error:
            raise _unusable(path, error) from None
        found, end = [], len(start)
        for signed, after in _frames(data, len(start)):
            found.append(signed)
            end = after
        if end < len(data):
            log.warning(
                "the end of the file of waiting transactions cannot be read: left out",
                path=str(path),
                left_out_bytes=len(data) - end,
            )
        return cls(path, network), found

    def append(self, accepted: Iterable[SignedTransaction]) -> None:
        """Add what was accepted, in one write; raises `Unavailable`, and then nothing is added."""
        frames = b"".join(_frame(signed.encoded) for signed in accepted)
        try:
            written = os.write(self._file, frames)
            if written < len(frames):
                raise OSError(0, "no room for all of it")
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise _unusable(self._path, error) from None
        self._size += len(frames)

    def rewrite(self, waiting: Iterable[SignedTransaction]) -> None:
        """Make the file hold exactly what waits; killed in between, it is the old one."""
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            fresh.write_bytes(self._start + b"".join(_frame(signed.encoded) for signed in waiting))
            file = os.open(fresh, os.O_WRONLY | os.O_APPEND)
            fresh.replace(self._path)
        except OSError as error:
            raise _unusable(self._path, error) from None
        self.close()
        self._file, self._size = file, os.fstat(file).st_size

    def tidy(self, pool: Mempool) -> None:
        """After a block: write the file anew if most of it waits no more."""
        if self._size > 2 * pool.size_bytes + SLACK_BYTES:
            try:
                self.rewrite(pool)
            except Unavailable as error:
                log.warning("the file of waiting transactions stays long", why=str(error))

    def close(self) -> None:
        """Close the file; what it holds is there at the next start."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _frame(data: bytes) -> bytes:
    return _FRAME.pack(len(data), zlib.crc32(data)) + data


def _frames(data: bytes, start: int) -> Iterator[tuple[SignedTransaction, int]]:
    """Each transaction that can be read, and where its frame ends."""
    while start + _FRAME.size <= len(data):
        length, check = _FRAME.unpack_from(data, start)
        start += _FRAME.size
        body = data[start : start + length]
        if length > MAX_MESSAGE_BYTES or len(body) < length or zlib.crc32(body) != check:
            return
        try:
            signed = decode(SignedTransaction, body)
        except Malformed:
            return
        start += length
        yield signed, start


def _unusable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(f"cannot keep transactions in {path}: {error.strerror}")
