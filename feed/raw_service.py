"""Raw feeds: bytes cut into chunks with nothing added, as Node programs write and read them.

Appending stages a batch at a time and signs once, at the end. Killed at any moment, nobody has
seen any of it, and the next call begins anew.
"""

from collections.abc import Iterator
from typing import BinaryIO

from feed import folder
from feed.feed import Feed, Sign
from feed.tree import leaf_hash
from wire.errors import Malformed, Unavailable

BATCH_BYTES = 4 << 20
"""Bytes in one transaction, and between two signs of life."""


def is_folder(feed: Feed) -> bool:
    """Whether the feed is a file or folder (`feed.folder`), whose end is its index."""
    if not feed.length or not feed.has(0):
        return False
    try:
        folder.decode_header(feed.chunk(0).value)
    except Malformed:
        return False
    return True


def appending(feed: Feed, source: BinaryIO, chunk_bytes: int, sign: Sign) -> Iterator[int]:
    """Add all that can be read from `source`; tells how many bytes it has taken in.

    Raises `Unavailable` for a feed that ends with the index of a folder, and for an empty source.
    """
    if is_folder(feed):
        raise Unavailable("the feed holds a file or folder, which is whole: make another feed")
    if feed.staged_length > feed.length:
        feed.unstage()
    done = 0
    while batch := _batch(source, chunk_bytes):
        feed.stage(batch)
        done += sum(len(chunk) for chunk in batch)
        yield done
    if not done:
        raise Unavailable("there is nothing to append: the source is empty")
    feed.append([], sign)


def _batch(source: BinaryIO, chunk_bytes: int) -> list[bytes]:
    batch = []
    for _ in range(-(-BATCH_BYTES // chunk_bytes)):
        chunk = source.read(chunk_bytes)
        if not chunk:
            break
        batch.append(chunk)
    return batch


def reading(feed: Feed, first: int, last: int) -> Iterator[bytes]:
    """The chunks `first` to `last`, each checked against the signed tree.

    Raises `Unavailable` when one is missing or damaged.
    """
    for index in range(first, last + 1):
        chunk = feed.chunk(index)
        if leaf_hash(chunk.value) != chunk.hash:
            raise Unavailable(f"chunk {index} is damaged on disk; verify the feed")
        yield chunk.value
