"""Snapshots on disk, for nodes that begin: a file each, made beside the work of the node.

    file = "HOLDFASTSTATE1\\n" network id (32)  u32 count  u32 length * count  bodies

The first body is the head, the others are the parts. A file appears whole or not at all; one
that a power cut spoilt is not offered. Whoever fetches a snapshot checks it anyway.
"""

import os
import struct
from collections.abc import Iterable
from pathlib import Path

from wire.errors import NotFound, Unavailable

MAGIC = b"HOLDFASTSTATE1\n"
SUFFIX = ".state"

KEPT = 2
"""The newest, and the one that somebody may still be fetching."""

_U32 = struct.Struct(">I")


class SnapshotStore:
    """A folder of snapshots, named by height."""

    def __init__(self, folder: Path, network: bytes) -> None:
        self._folder = folder
        self._start = MAGIC + network

    @property
    def heights(self) -> list[int]:
        """Of which blocks there is a snapshot, the newest first."""
        stems = (path.stem for path in self._folder.glob(f"*{SUFFIX}"))
        return sorted((int(stem) for stem in stems if stem.isdecimal()), reverse=True)

    def write(self, height: int, bodies: Iterable[bytes]) -> None:
        """Keep a snapshot, and drop old ones; raises `Unavailable`."""
        all_bodies = list(bodies)
        lengths = b"".join(_U32.pack(len(body)) for body in all_bodies)
        fresh = self._folder / f"{height}.new"
        try:
            self._folder.mkdir(exist_ok=True)
            with fresh.open("wb") as file:
                file.write(self._start + _U32.pack(len(all_bodies)) + lengths)
                file.writelines(all_bodies)
            fresh.replace(self._path(height))
            for old in self.heights[KEPT:]:
                self._path(old).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"cannot keep a snapshot in {self._folder}: {error}") from None

    def head(self, height: int | None = None) -> bytes:
        """The head of a snapshot, or of the newest one; raises `NotFound`."""
        for each in self.heights if height is None else [height]:
            try:
                return self._body(each, 0)
            except NotFound:
                continue
        raise NotFound("this node has no snapshot yet")

    def part(self, height: int, number: int) -> bytes:
        """One part of a snapshot; raises `NotFound`."""
        return self._body(height, number + 1)

    def _body(self, height: int, place: int) -> bytes:
        try:
            with self._path(height).open("rb") as file:
                top = file.read(len(self._start) + _U32.size)
                (count,) = _U32.unpack(top[-_U32.size :])
                if top[: -_U32.size] != self._start or place >= count:
                    raise NotFound(f"there is no part {place - 1} of the snapshot at {height}")
                lengths = [each for (each,) in _U32.iter_unpack(file.read(_U32.size * count))]
                if file.seek(0, os.SEEK_END) != len(top) + _U32.size * count + sum(lengths):
                    raise NotFound(f"the snapshot at {height} is torn")
                file.seek(len(top) + _U32.size * count + sum(lengths[:place]))
                return file.read(lengths[place])
        except (OSError, struct.error):
            raise NotFound(f"this node has no snapshot at height {height}") from None

    def _path(self, height: int) -> Path:
        return self._folder / f"{height}{SUFFIX}"
