"""A file or a folder as the chunks of a feed, and back: the format, version 1.

    chunk 0        header    string "holdfast/folder" | uint version | uint kind | uint chunk bytes
    chunks 1...    contents  of each file in order, cut at chunk bytes; each file begins a chunk
    then           index     entries, cut at chunk bytes
    last chunk     trailer   string "holdfast/index" | uint first chunk of the index
                             | uint bytes of the index | uint entries | fixed32 hash of the index

    kind     0 one file, 1 a folder
    entry    uint kind | string path | [0, 1: uint bytes of the file] [3: string where it leads]
             kind 0 file, 1 executable file, 2 folder, 3 link

Integers and strings are Hypercore's (`wire.compact`), the hash is BLAKE2b-256. Entries ascend by
the bytes of their paths, so equal folders make equal feeds. Where a file begins follows from the
sizes before it: no two entries can share chunks, and what is restored is never larger than the
feed. The trailer and the index are enough to find, fetch and verify a single file.

Kept are names, contents, empty folders, links and whether a file may be executed; not kept are
times, owners and other permission bits. Paths cannot leave the folder, nor can links.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from wire.compact import Reader, put_string, put_uint
from wire.errors import Malformed
from wire.primitives import blake2b_256

VERSION = 1

CHUNK_BYTES = 64 << 10
"""Default: a proof adds under 2 %, and a chunk takes 5 ms at 100 Mbit/s."""

MIN_CHUNK_BYTES = 1 << 10
MAX_CHUNK_BYTES = 4 << 20
"""With its proof it fits one frame of npm hypercore several times."""

MAX_INDEX_BYTES = 256 << 20
"""Millions of files; it is held in memory when it is read."""

MAX_PATH_BYTES = 4096
MAX_NAME_BYTES = 255
"""What Linux allows for a path and for one name in it."""

MAX_DEPTH = 256
"""Folders inside folders: deeper than people build, and programs that recurse still get there."""

IGNORE = (
    ".git",
    ".hg",
    ".svn",
    ".venv",
    "node_modules",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".DS_Store",
)
"""Names left out by default: histories, environments and caches, which can be made again."""

_HEADER = "holdfast/folder"
_TRAILER = "holdfast/index"


class Shape(IntEnum):
    """What the feed holds."""

    FILE = 0
    FOLDER = 1


class Kind(IntEnum):
    """What an entry is."""

    FILE = 0
    EXECUTABLE = 1
    FOLDER = 2
    LINK = 3


@dataclass(frozen=True, slots=True)
class Header:
    """The first chunk."""

    shape: Shape
    chunk_bytes: int


@dataclass(frozen=True, slots=True)
class Trailer:
    """The last chunk."""

    index_chunk: int
    index_bytes: int
    entries: int
    index_hash: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or link; `first_chunk` is where a file's contents begin."""

    kind: Kind
    path: str
    size: int = 0
    link: str = ""
    first_chunk: int = 0


def chunk_count(size: int, chunk_bytes: int) -> int:
    """How many chunks so many bytes take."""
    return -(-size // chunk_bytes)


def pieces(data: bytes, chunk_bytes: int) -> Iterator[bytes]:
    """The chunks that some bytes take."""
    for start in range(0, len(data), chunk_bytes):
        yield data[start : start + chunk_bytes]


def encode_header(header: Header) -> bytes:
    """The first chunk."""
    out = bytearray()
    put_string(out, _HEADER)
    for number in (VERSION, header.shape, header.chunk_bytes):
        put_uint(out, number)
    return bytes(out)


def decode_header(data: bytes) -> Header:
    """The header that the first chunk holds; raises `Malformed`."""
    reader = Reader(data)
    if not data.startswith(bytes([len(_HEADER)])) or reader.string() != _HEADER:
        raise Malformed("the feed holds no file or folder of this program")
    version = reader.uint()
    if version != VERSION:
        raise Malformed(f"the folder is of version {version}; this program knows {VERSION}")
    shape, chunk_bytes = reader.uint(), reader.uint()
    if shape > max(Shape) or not MIN_CHUNK_BYTES <= chunk_bytes <= MAX_CHUNK_BYTES:
        raise Malformed(f"a header of shape {shape} and chunks of {chunk_bytes} bytes")
    return Header(Shape(shape), chunk_bytes)


def encode_index(entries: Iterable[Entry]) -> bytes:
    """All entries, which must ascend by the bytes of their paths."""
    out = bytearray()
    for entry in entries:
        put_uint(out, entry.kind)
        put_string(out, entry.path)
        if entry.kind is Kind.LINK:
            put_string(out, entry.link)
        elif entry.kind is not Kind.FOLDER:
            put_uint(out, entry.size)
    return bytes(out)


def encode_trailer(index: bytes, index_chunk: int, entries: int) -> bytes:
    """The last chunk, for an index that begins at `index_chunk`."""
    out = bytearray()
    put_string(out, _TRAILER)
    for number in (index_chunk, len(index), entries):
        put_uint(out, number)
    return bytes(out) + blake2b_256(index)


def decode_trailer(data: bytes, length: int, header: Header) -> Trailer:
    """The trailer that the last chunk of a feed of `length` chunks holds; raises `Malformed`."""
    reader = Reader(data)
    if not data.startswith(bytes([len(_TRAILER)])) or reader.string() != _TRAILER:
        raise Malformed("the feed does not end with the index of a folder; was it cut short?")
    trailer = Trailer(reader.uint(), reader.uint(), reader.uint(), reader.fixed(32))
    if trailer.index_bytes > MAX_INDEX_BYTES:
        raise Malformed(f"an index of {trailer.index_bytes} bytes is above {MAX_INDEX_BYTES}")
    chunks = chunk_count(trailer.index_bytes, header.chunk_bytes)
    if trailer.index_chunk < 1 or trailer.index_chunk + chunks + 1 != length:
        raise Malformed("the index of a folder is not where its trailer says")
    return trailer


def decode_index(index: bytes, header: Header, trailer: Trailer) -> list[Entry]:
    """All entries, checked so that restoring them is safe; raises `Malformed`."""
    if len(index) != trailer.index_bytes or blake2b_256(index) != trailer.index_hash:
        raise Malformed("the index of a folder is not the one its trailer names")
    reader = Reader(index)
    entries = list[Entry]()
    folders = {""}
    next_chunk = 1
    while reader.left:
        entry = _read_entry(reader, next_chunk)
        parent = entry.path.rpartition("/")[0]
        if parent not in folders:
            raise Malformed(f"{entry.path!r} lies in no folder of the index")
        if entries and entry.path.encode() <= entries[-1].path.encode():
            raise Malformed(f"{entry.path!r} is out of order")
        if entry.kind is Kind.FOLDER:
            folders.add(entry.path)
        next_chunk += chunk_count(entry.size, header.chunk_bytes)
        entries.append(entry)
    if len(entries) != trailer.entries or next_chunk != trailer.index_chunk:
        raise Malformed("the sizes in the index do not add up to the feed")
    is_one_file = len(entries) == 1 and entries[0].kind in (Kind.FILE, Kind.EXECUTABLE)
    if header.shape is Shape.FILE and (not is_one_file or "/" in entries[0].path):
        raise Malformed("the feed of a file holds something else")
    return entries


def _read_entry(reader: Reader, next_chunk: int) -> Entry:
    kind = reader.uint()
    if kind > max(Kind):
        raise Malformed(f"an entry of unknown kind {kind}")
    path = reader.string()
    check_path(path)
    if kind == Kind.LINK:
        link = reader.string()
        check_link(path, link)
        return Entry(Kind.LINK, path, link=link)
    if kind == Kind.FOLDER:
        return Entry(Kind.FOLDER, path)
    return Entry(Kind(kind), path, size=reader.uint(), first_chunk=next_chunk)


def check_path(path: str) -> None:
    """Raise `Malformed` unless the path stays below the folder it is joined to."""
    names = path.split("/")
    if any(name in ("", ".", "..") or "\0" in name for name in names):
        raise Malformed(f"{path!r} is not a path inside a folder")
    is_long = len(path.encode()) > MAX_PATH_BYTES or len(names) > MAX_DEPTH
    if is_long or any(len(name.encode()) > MAX_NAME_BYTES for name in names):
        raise Malformed(f"{path[:80]!r}... is too long a path")


def check_link(path: str, link: str) -> None:
    """Raise `Malformed` unless the link leads to a place inside the folder, through folders.

    `..` may stand only at its start, where it climbs through real folders and never through
    another link: so a link whose text stays inside leads inside.
    """
    names = link.split("/")
    climbs = 0
    while climbs < len(names) and names[climbs] == "..":
        climbs += 1
    below = [name for name in names[climbs:] if name not in ("", ".")]
    if (
        not link
        or link.startswith("/")
        or "\0" in link
        or ".." in below
        or climbs > path.count("/")
        or len(link.encode()) > MAX_PATH_BYTES
    ):
        raise Malformed(f"link {path!r} leads outside the folder, or nowhere: {link[:80]!r}")
