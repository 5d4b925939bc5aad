"""Making a feed from a file or a folder, and the file or folder from a feed (`feed.folder`).

Both are generators of `Progress`, so that a caller decides when the next few megabytes are due;
`ingest` and `restore` run them to the end. Memory grows with the number of files, never with
their sizes.

Ingesting stages chunks a batch at a time and signs once, at the end. Killed at any moment it is
run again: if the source's fingerprint (names, sizes, times of change) is the same it goes on
where it was, else it begins anew, and as nothing was signed nobody can have seen two histories.
Restoring writes beside the target and renames, so the target is never half there.
"""

import os
import shutil
import stat
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from feed import folder
from feed.feed import Feed, signed_by
from feed.folder import IGNORE, Entry, Header, Kind, Shape
from feed.manifest import Manifest, default_manifest, manifest_key
from feed.store import FeedStore
from feed.tables import StoreFailure
from feed.tree import leaf_hash
from wire.errors import HoldfastError, Malformed, Unavailable
from wire.keys import KeyPair
from wire.primitives import tagged_hash

BATCH_BYTES = 4 << 20
"""Bytes in one transaction, and between two signs of life."""

_FILES = (Kind.FILE, Kind.EXECUTABLE)
_FINGERPRINT = "folder source"
_PART = ".holdfast-part"
_OLD = ".holdfast-old"


class Progress(NamedTuple):
    """How far it is; `ignored` are the paths that were left out."""

    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int
    ignored: tuple[str, ...] = ()


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class _Source:
    """What is to become a feed, as it was found."""

    root: Path
    header: Header
    entries: tuple[Entry, ...]
    places: tuple[Path, ...]
    ignored: tuple[str, ...]
    fingerprint: bytes


class _Meter:
    """Tells how far a feed of a source is from how many chunks it has."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        sizes = [entry.size for entry in source.entries if entry.kind in _FILES]
        counts = [folder.chunk_count(size, source.header.chunk_bytes) for size in sizes]
        self._bytes_after = list(accumulate(sizes, initial=0))
        self._chunks_after = list(accumulate(counts, initial=1))

    def at(self, chunks_done: int) -> Progress:
        """The progress of a feed of so many chunks."""
        done = max(0, bisect_right(self._chunks_after, chunks_done) - 1)
        total, files = self._bytes_after[-1], len(self._bytes_after) - 1
        inside = max(0, chunks_done - self._chunks_after[done]) if done < files else 0
        size = self._bytes_after[done] + inside * self._source.header.chunk_bytes
        return Progress(size, total, done, files, self._source.ignored)


def ingest(
    store: FeedStore,
    path: str | os.PathLike[str],
    pair: KeyPair,
    *,
    manifest: Manifest | None = None,
    chunk_bytes: int = folder.CHUNK_BYTES,
    ignore: Iterable[str] = IGNORE,
    progress: OnProgress | None = None,
) -> Feed:
    """The feed that `pair` signs over a file or folder; see `ingesting`."""
    manifest = manifest or default_manifest(pair.public)
    steps = ingesting(store, path, pair, manifest=manifest, chunk_bytes=chunk_bytes, ignore=ignore)
    for step in steps:
        if progress is not None:
            progress(step)
    return store.open(manifest_key(manifest))


def ingesting(
    store: FeedStore,
    path: str | os.PathLike[str],
    pair: KeyPair,
    *,
    manifest: Manifest,
    chunk_bytes: int = folder.CHUNK_BYTES,
    ignore: Iterable[str] = IGNORE,
) -> Iterator[Progress]:
    """Make the feed step by step; to go on after an interruption, do it again.

    Equal sources and keys make equal feeds. A feed that is already there is left as it is.
    Raises `Unavailable` when something cannot be read or published, when it changes meanwhile,
    and when the key has signed other content before; a new feed is then not left behind.
    """
    names = frozenset(ignore)
    source = _scan(Path(path), names, chunk_bytes)
    key = manifest_key(manifest)
    feed = store.create(key, manifest)
    meter = _Meter(source)
    is_same = feed.metadata(_FINGERPRINT) == source.fingerprint
    if feed.length:
        if not is_same:
            raise Unavailable(f"this key has signed other content than {path}; take another")
        yield meter.at(feed.length)
        return
    if not is_same:
        feed.unstage()
        feed.set_metadata(_FINGERPRINT, source.fingerprint)
    try:
        for batch in _batches(_chunks(source, feed.staged_length)):
            feed.stage(batch)
            yield meter.at(feed.staged_length)
        if _scan(source.root, names, chunk_bytes).fingerprint != source.fingerprint:
            raise Unavailable(f"{path} changed while it was read; try again when it is at rest")
    except StoreFailure:
        raise  # what is staged is good, and there to go on from
    except HoldfastError:
        store.delete(key)
        raise
    feed.append([], signed_by(pair, key, manifest))
    yield meter.at(feed.length)


def contents(feed: Feed) -> list[Entry]:
    """What a feed holds, from its first chunk and its last few; raises `Malformed`."""
    return _contents(feed)[1]


def restore(
    feed: Feed,
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: OnProgress | None = None,
) -> None:
    """Write out the file or folder; see `restoring`."""
    for step in restoring(feed, target, overwrite=overwrite):
        if progress is not None:
            progress(step)


def restoring(
    feed: Feed, target: str | os.PathLike[str], *, overwrite: bool = False
) -> Iterator[Progress]:
    """Write out the file or folder step by step, each chunk checked against the signed tree.

    The target appears whole at the end, or not at all. Raises `Unavailable` when it exists and
    `overwrite` is not set, when chunks are missing or damaged, and when it cannot be written;
    `Malformed` when the feed holds no file or folder, or one that is not safe to write.
    """
    target = Path(os.path.abspath(target))
    if feed.missing:
        raise Unavailable(f"{feed.missing} chunks of the feed are missing; clone it first")
    header, entries = _contents(feed)
    if not target.name or (os.path.lexists(target) and not overwrite):
        raise Unavailable(f"{target} exists; name another place, or allow overwriting it")
    part = target.with_name(f".{target.name}{_PART}")
    with _telling(target):
        _remove(part)
        try:
            if header.shape is Shape.FOLDER:
                part.mkdir()
            yield from _write(feed, header, entries, part)
            _swap(part, target)
        finally:
            _remove(part)


def _scan(root: Path, ignore: frozenset[str], chunk_bytes: int) -> _Source:
    assert folder.MIN_CHUNK_BYTES <= chunk_bytes <= folder.MAX_CHUNK_BYTES
    found = list[tuple[Entry, Path, int]]()
    ignored = list[str]()
    with _telling(root):
        status = root.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise Unavailable(f"{root} is a link; name what it leads to")
        if stat.S_ISDIR(status.st_mode):
            shape = Shape.FOLDER
            _walk(root, ignore, found, ignored)
        else:
            shape = Shape.FILE
            found.append(_look(root, root.absolute().name, status))
    if not found:
        raise Unavailable(f"{root} is empty, or all in it is ignored: there is nothing to publish")
    found.sort(key=lambda item: item[0].path.encode())
    parts = [bytes([shape]), chunk_bytes.to_bytes(8, "little")]
    for entry, _, changed_ns in found:
        parts += (bytes([entry.kind]), entry.path.encode(), entry.link.encode())
        parts += (entry.size.to_bytes(8, "little"), changed_ns.to_bytes(16, "little", signed=True))
    return _Source(
        root,
        Header(shape, chunk_bytes),
        tuple(entry for entry, _, _ in found),
        tuple(place for _, place, _ in found),
        tuple(sorted(ignored)),
        tagged_hash("holdfast/folder source", *parts),
    )


def _walk(
    root: Path,
    ignore: frozenset[str],
    found: list[tuple[Entry, Path, int]],
    ignored: list[str],
) -> None:
    """Find all below a folder; links are noted and never followed."""
    waiting = [(root, "")]
    while waiting:
        directory, prefix = waiting.pop()
        with _telling(directory):
            names = os.listdir(directory)
        for name in names:
            place, path = directory / name, prefix + name
            if name in ignore:
                ignored.append(path)
                continue
            with _telling(place):
                status = place.lstat()
                found.append(_look(place, path, status))
            if stat.S_ISDIR(status.st_mode):
                waiting.append((place, path + "/"))


def _look(place: Path, path: str, status: os.stat_result) -> tuple[Entry, Path, int]:
    """The entry of one thing found on disk, and when it changed."""
    try:
        folder.check_path(path)
        if stat.S_ISLNK(status.st_mode):
            link = os.readlink(place)
            folder.check_link(path, link)
            return Entry(Kind.LINK, path, link=link), place, 0
    except UnicodeEncodeError:
        raise Unavailable(f"{place!r} has a name that is not UTF-8; rename or ignore it") from None
    except Malformed as error:
        raise Unavailable(f"{error}; remove or ignore it") from None
    if stat.S_ISDIR(status.st_mode):
        return Entry(Kind.FOLDER, path), place, 0
    if not stat.S_ISREG(status.st_mode):
        raise Unavailable(f"{place} is neither file, folder nor link; remove or ignore it")
    if not os.access(place, os.R_OK):
        raise Unavailable(f"{place}: permission denied")
    kind = Kind.EXECUTABLE if status.st_mode & stat.S_IXUSR else Kind.FILE
    return Entry(kind, path, size=status.st_size), place, status.st_mtime_ns


def _chunks(source: _Source, skip: int) -> Iterator[bytes]:
    """All chunks of the feed but the first `skip`, the files read as they are needed."""
    chunk_bytes = source.header.chunk_bytes
    if skip == 0:
        yield folder.encode_header(source.header)
    position = 1
    for entry, place in zip(source.entries, source.places, strict=True):
        count = folder.chunk_count(entry.size, chunk_bytes)
        if max(skip, position) < position + count:
            yield from _read(place, entry, max(0, skip - position) * chunk_bytes, chunk_bytes)
        position += count
    index = folder.encode_index(source.entries)
    trailer = folder.encode_trailer(index, position, len(source.entries))
    yield from [*folder.pieces(index, chunk_bytes), trailer][max(0, skip - position) :]


def _read(place: Path, entry: Entry, offset: int, chunk_bytes: int) -> Iterator[bytes]:
    left = entry.size - offset
    with _telling(place):
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW)
        with open(descriptor, "rb") as file:
            file.seek(offset)
            while left:
                chunk = file.read(min(chunk_bytes, left))
                if len(chunk) < min(chunk_bytes, left):
                    raise Unavailable(f"{place} became shorter while it was read; try again")
                left -= len(chunk)
                yield chunk


def _batches(chunks: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch, size = list[bytes](), 0
    for chunk in chunks:
        batch.append(chunk)
        size += len(chunk)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _contents(feed: Feed) -> tuple[Header, list[Entry]]:
    if feed.length < 2:
        raise Malformed("the feed holds no file or folder")
    header = folder.decode_header(_verified(feed, 0))
    trailer = folder.decode_trailer(_verified(feed, feed.length - 1), feed.length, header)
    index = b"".join(_verified(feed, i) for i in range(trailer.index_chunk, feed.length - 1))
    return header, folder.decode_index(index, header, trailer)


def _verified(feed: Feed, index: int) -> bytes:
    chunk = feed.chunk(index)
    if leaf_hash(chunk.value) != chunk.hash:
        raise StoreFailure(f"chunk {index} is damaged on disk; verify the feed and clone it again")
    return chunk.value


def _write(feed: Feed, header: Header, entries: list[Entry], part: Path) -> Iterator[Progress]:
    """Write all entries below `part`; links last, so that nothing is written through one."""
    files = [entry for entry in entries if entry.kind in _FILES]
    total = sum(entry.size for entry in files)
    for entry in entries:
        if entry.kind is Kind.FOLDER:
            (part / entry.path).mkdir()
    done = told = 0
    for number, entry in enumerate(files):
        place = part if header.shape is Shape.FILE else part / entry.path
        mode = 0o777 if entry.kind is Kind.EXECUTABLE else 0o666
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with open(descriptor, "wb") as file:
            for chunk in _file_chunks(feed, entry, header.chunk_bytes):
                file.write(chunk)
                done += len(chunk)
                if done - told >= BATCH_BYTES:
                    told = done
                    yield Progress(done, total, number, len(files))
    for entry in entries:
        if entry.kind is Kind.LINK:
            (part / entry.path).symlink_to(entry.link)
    yield Progress(done, total, len(files), len(files))


def _file_chunks(feed: Feed, entry: Entry, chunk_bytes: int) -> Iterator[bytes]:
    left = entry.size
    index = entry.first_chunk
    while left:
        chunk = _verified(feed, index)
        if len(chunk) != min(chunk_bytes, left):
            raise Malformed(f"chunk {index} of {entry.path!r} has a wrong size")
        yield chunk
        left -= len(chunk)
        index += 1


def _swap(part: Path, target: Path) -> None:
    """Put the finished `part` where `target` is or was."""
    if target.is_dir() and not target.is_symlink():
        old = target.with_name(f".{target.name}{_OLD}")
        _remove(old)
        target.rename(old)
        part.rename(target)
        _remove(old)
    elif part.is_dir():
        target.unlink(missing_ok=True)
        part.rename(target)
    else:
        part.replace(target)


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


@contextmanager
def _telling(place: Path) -> Iterator[None]:
    """Turn what the system says into one line for people."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{place}: {(error.strerror or str(error)).lower()}") from None
