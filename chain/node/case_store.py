"""Votes that contradict each other and that the chain has not judged yet: each pair a file.

The votes are of views that pass, and nobody shows them again: on the disk as soon as they are
seen, they outlast a node that is killed before its turn to report them.
"""

from collections.abc import Iterator
from pathlib import Path

import structlog

from chain.bodies.validators import ValidatorFault
from wire.codec import decode, encode
from wire.errors import Malformed
from wire.file_store import write_whole

log = structlog.get_logger()


class CaseStore:
    """A directory that is made when there is something to keep: a file for each accused key.

    What the disk refuses is only told: other validators have seen it too, and this one has to go
    on with its own work.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, fault: ValidatorFault) -> None:
        """Put it on the disk, whole or not at all."""
        try:
            self._path.mkdir(exist_ok=True, mode=0o700)
            write_whole(self._place(fault.key), encode(fault))
        except OSError as error:
            log.warning("a restart would forget a contradiction", reason=error.strerror)

    def drop(self, key: bytes) -> None:
        """The chain has judged the key, or cannot any more."""
        try:
            self._place(key).unlink(missing_ok=True)
        except OSError as error:
            log.warning("a judged contradiction is not removed", reason=error.strerror)

    def all(self) -> Iterator[ValidatorFault]:
        """What was kept and not dropped; a damaged file is named and left alone."""
        for path in sorted(self._path.glob("*.case")):
            try:
                yield decode(ValidatorFault, path.read_bytes())
            except (OSError, Malformed) as error:
                log.warning("cannot read a contradiction", file=str(path), reason=str(error))

    def _place(self, key: bytes) -> Path:
        return self._path / f"{key.hex()}.case"
