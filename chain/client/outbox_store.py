"""What a person's commands have signed and not seen through: each a file of a directory.

On the disk before it is sent. Whoever is interrupted while it waits and says the same again is to
go on with the same transaction: another one would pay twice.
"""

from collections.abc import Iterator
from pathlib import Path

from chain.messages import Body, SignedTransaction
from wire.codec import Message, decode, digest, encode
from wire.errors import Malformed, Unavailable
from wire.file_store import write_whole
from wire.primitives import Hash


class Kept(Message):
    """A transaction under way, or one in a block of which the person was not told."""

    offers: tuple[SignedTransaction, ...]
    """The same words for more and more: a block holds one of them at most. Never empty."""
    final: Hash | None = None
    """The id of the one that is in a block."""

    @property
    def body(self) -> Body:
        """What it says."""
        return self.offers[0].transaction.body


class Outbox:
    """A directory that is made when there is something to keep: one file for what is said."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, kept: Kept) -> None:
        """Put it on the disk, whole or not at all; raises `Unavailable` when that refuses."""
        try:
            self._path.mkdir(exist_ok=True, mode=0o700)
            write_whole(self._place(kept.body), encode(kept))
        except OSError as error:
            raise self._failed(error) from None

    def drop(self, body: Body) -> None:
        """It is in a block, and the person knows; or it can be in none."""
        try:
            self._place(body).unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(error) from None

    def all(self) -> Iterator[Kept]:
        """What was kept and not dropped; raises `Malformed` with what to do about a damaged one."""
        for path in sorted(self._path.glob("*.sent")):
            try:
                yield decode(Kept, path.read_bytes())
            except FileNotFoundError:
                continue  # another command has seen it through
            except OSError as error:
                raise self._failed(error) from None
            except Malformed as error:
                raise Malformed(
                    f"{path} is damaged ({error}): see with `holdfast chain account` whether what "
                    "was sent last is in a block, then remove it"
                ) from None

    def _place(self, body: Body) -> Path:
        return self._path / f"{digest(body).hex()}.sent"

    def _failed(self, error: OSError) -> Unavailable:
        return Unavailable(f"{self._path}: {error.strerror}; free the disk, then try again")
