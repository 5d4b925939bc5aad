"""Faults that an operator has found and the chain has not judged yet: each a file of a directory.

On the disk before they are claimed, so that who is killed between the claim and the proof goes on
with the same words: a claim is of use for those alone.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import Tag

from chain.bodies.faults import DigestFault, ReceiptFault
from wire.codec import BY_KIND, Message, decode, digest, encode
from wire.errors import Malformed, Unavailable
from wire.file_store import write_whole
from wire.primitives import Bytes, Hash

log = structlog.get_logger()


Fault = Annotated[
    Annotated[DigestFault, Tag("digest_fault")] | Annotated[ReceiptFault, Tag("receipt_fault")],
    BY_KIND,
]


class Found(Message):
    """A made-up digest or two receipts that cannot both be true, and what shows it."""

    fault: Fault
    sidecar: Bytes
    """Of a made-up digest, an encoded `audit.messages.ShownChunk`."""
    after: Hash | None = None
    """A challenge: until its window is over nobody may know whom its committee visits."""


class FoundStore:
    """A directory that is made when there is something to keep. They are few, and rare."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, found: Found) -> None:
        """Put it on the disk, whole or not at all; raises `Unavailable` when that refuses."""
        try:
            self._path.mkdir(exist_ok=True, mode=0o700)
            write_whole(self._place(found), encode(found))
        except OSError as error:
            raise self._failed(error) from None

    def drop(self, found: Found) -> None:
        """The chain has judged it."""
        try:
            self._place(found).unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(error) from None

    def all(self) -> Iterator[Found]:
        """What was kept and not dropped; a damaged file is named and left alone."""
        for path in sorted(self._path.glob("*.fault")):
            try:
                yield decode(Found, path.read_bytes())
            except (OSError, Malformed) as error:
                log.warning("cannot read a fault that was found", file=str(path), reason=str(error))

    def _place(self, found: Found) -> Path:
        return self._path / f"{digest(found.fault).hex()}.fault"

    def _failed(self, error: OSError) -> Unavailable:
        return Unavailable(f"{self._path}: {error.strerror}; free the disk, then start again")
