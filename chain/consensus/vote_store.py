"""A validator's memory of what it has said: on disk before anything of it leaves the machine.

    file   = frame*                the first frame is a `_Head`, the others are `_Record`s
    frame  = u32 length (little-endian) || 8 bytes BLAKE2b of the payload || payload (CBOR)

Whoever forgets a vote may contradict it, and loses its stake. So a log that is damaged, or gone
while the chain's database is not, is set aside, and its validator votes again only in the next
term: whatever was lost was said in this one.
"""

import os
from collections.abc import Iterable
from errno import ENOSPC
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Self

import structlog

from chain.blocks import Block
from chain.consensus.engine import Remembered
from chain.votes import Certificate, SignedVote
from wire.codec import Message, decode, encode
from wire.errors import Malformed, Unavailable
from wire.file_store import write_whole
from wire.primitives import Hash, Natural

log = structlog.get_logger()

ROTATE_BYTES = 32 << 20
"""Beyond this the log is written anew without what is final; at the next chance."""

Kept = SignedVote | Block | Certificate

CHECK_BYTES = 8
FRAME_BYTES = 4 + CHECK_BYTES


class _Head(Message):
    network: Hash
    votes_from_term: Natural
    height: Natural = 0
    """Votes on blocks up to here were dropped, once these were final and stored."""
    lost: bool = False
    """It was begun because none was found where a validator starts: perhaps on a new disk."""


class _Record(Message):
    """One vote, the block that a vote is about, or a decision that later votes build on."""

    vote: SignedVote | None = None
    block: Block | None = None
    certificate: Certificate | None = None


class VoteStore:
    """An append-only file with one writer. Its calls block: the caller has threads.

    Who is cancelled while a thread of its writes may close the file: that waits for the thread.
    """

    def __init__(self, path: Path, head: _Head) -> None:
        self._path = path
        self._head = head
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._size = os.fstat(self._file).st_size
        self._long = ROTATE_BYTES
        self._closed = False
        self._using = Lock()

    @classmethod
    def create(cls, path: Path, network: bytes) -> None:
        """Begin a log, for a validator that has never said anything on this network.

        Raises `Unavailable` when it cannot be written.
        """
        _write_anew(path, _Head(network=network, votes_from_term=0), ())

    @classmethod
    def open(cls, path: Path, network: bytes, term: int) -> tuple[Self, Remembered]:
        """The log and what it says; raises `Unavailable` for another network's.

        `term` is the present one as the chain's database has it.
        """
        if not path.exists():
            # Either all is new here or a disk was lost: the engine finds out which.
            from_term = term + 1 if term else 0
            _write_anew(path, _Head(network=network, votes_from_term=from_term, lost=True), ())
        try:
            head, records, sound = _read(path)
        except OSError as error:
            raise Unavailable(f"cannot read the log of votes {path}: {error.strerror}") from None
        if head is not None and head.network != network:
            raise Unavailable(f"{path} holds votes on another network: choose another --home")
        if head is None or not sound:
            # With the chain's database gone as well, nothing here says which term that is.
            head = _Head(network=network, votes_from_term=term + 1, lost=not term)
            aside = path.with_name(path.name + ".damaged")
            log.error(
                "the log of votes is damaged: this validator votes again from the next term on",
                kept_as=str(aside),
                term=head.votes_from_term,
            )
            os.replace(path, aside)
            records = ()
            _write_anew(path, head, records)
        remembered = Remembered(
            spoken=tuple(record.vote for record in records if record.vote is not None),
            blocks=tuple(record.block for record in records if record.block is not None),
            certificates=tuple(r.certificate for r in records if r.certificate is not None),
            votes_from_term=head.votes_from_term,
            votes_from_height=head.height,
            fresh=head.lost and not records,  # it may have been killed before it found out
        )
        return cls(path, head), remembered

    def append(self, said: Iterable[Kept]) -> None:
        """Write votes, and the blocks they are about, and wait until the disk has them.

        Raises `Unavailable` when it does not take them: then nothing of it may be said.
        """
        frames = b"".join(_frame(_record(each)) for each in said)
        with self._using:
            if self._closed:
                raise Unavailable(f"the log of votes {self._path} is closed")
            try:
                written = os.write(self._file, frames)
                if written < len(frames):
                    raise OSError(ENOSPC, os.strerror(ENOSPC))
                os.fdatasync(self._file)
            except OSError as error:
                self._cut_back()
                raise Unavailable(
                    f"cannot write the log of votes {self._path}: {error.strerror}. A validator "
                    "that cannot remember its votes does not vote: make room and start it again"
                ) from None
            self._size += len(frames)

    @property
    def is_long(self) -> bool:
        """Whether it is time to `forget`."""
        return self._size > self._long

    def _cut_back(self) -> None:
        """Take off what was written in part, or the next start would take it for damage."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            log.exception("the log of votes ends in the middle of a record")

    def forget(self, height: int, term: int, view: int) -> None:
        """Write the log anew without what is settled: by blocks up to a height, all of them stored,
        the last of them final in this view of this term.
        """

        def lasts(record: _Record) -> bool:
            if record.block is not None:
                return record.block.header.height > height
            said = record.vote.vote if record.vote else None
            said = record.certificate.vote if record.certificate else said
            return said is not None and (said.term, said.view) > (term, view)

        with self._using:
            if self._closed:
                raise Unavailable(f"the log of votes {self._path} is closed")
            _, records, _ = _read(self._path)
            kept = {encode(record): record for record in records if lasts(record)}
            self._head = self._head.model_copy(update={"height": height, "lost": False})
            _write_anew(self._path, self._head, kept.values())
            os.close(self._file)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            self._size = os.fstat(self._file).st_size
            self._long = max(ROTATE_BYTES, 2 * self._size)

    def close(self) -> None:
        """Close the file."""
        with self._using:
            self._closed = True
            os.close(self._file)


def _record(said: Kept) -> _Record:
    match said:
        case Block():
            return _Record(block=said)
        case Certificate():
            return _Record(certificate=said)
        case SignedVote():
            return _Record(vote=said)


def _frame(message: Message) -> bytes:
    payload = encode(message)
    check = blake2b(payload, digest_size=CHECK_BYTES).digest()
    return len(payload).to_bytes(4, "little") + check + payload


def _read(path: Path) -> tuple[_Head | None, tuple[_Record, ...], bool]:
    """The head, the records, and whether the file is sound to its end."""
    data = path.read_bytes()
    head: _Head | None = None
    records: list[_Record] = []
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        check = data[at + 4 : at + FRAME_BYTES]
        payload = data[at + FRAME_BYTES : at + FRAME_BYTES + length]
        if blake2b(payload, digest_size=CHECK_BYTES).digest() != check:
            return head, tuple(records), False
        try:
            if head is None:
                head = decode(_Head, payload)
            else:
                records.append(decode(_Record, payload))
        except Malformed:
            return head, tuple(records), False
        at += FRAME_BYTES + length
    return head, tuple(records), head is not None


def _write_anew(path: Path, head: _Head, records: Iterable[_Record]) -> None:
    """Replace the file in one step: a crash leaves the old one or the new one."""
    try:
        write_whole(path, b"".join(_frame(message) for message in (head, *records)))
    except OSError as error:
        raise Unavailable(f"cannot write the log of votes {path}: {error.strerror}") from None
