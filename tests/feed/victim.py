"""A process to be killed: `python -m tests.feed.victim append|put|ingest STORE [SOURCE]`.

It writes one line for every batch that the store has acknowledged, and only `ingest` ever ends.
"""

import subprocess
import sys
from collections.abc import Iterator

from feed.feed import Feed, SignedHead
from feed.service import ingesting
from feed.store import FeedStore
from tests.feed.owner import KEY, MANIFEST, PAIR, SIGN, chunk

BATCH = 7


def kill_after(lines: int, *arguments: str) -> int:
    """Run a victim and kill it after so many lines; returns the last that it wrote."""
    command = [sys.executable, "-m", "tests.feed.victim", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        written = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        written += process.stdout.readlines()
    return int([line for line in written if line.endswith("\n")][-1])


def append_for_ever(feed: Feed) -> Iterator[int]:
    """Append batch after batch; yields the length that was acknowledged."""
    while True:
        start = feed.length
        yield feed.append([chunk(i) for i in range(start, start + BATCH)], SIGN).length


def put_for_ever(feed: Feed, source: Feed) -> Iterator[int]:
    """Copy chunks from the last to the first, again and again; yields how many are held."""
    while True:
        index = next(i for i in reversed(range(source.length)) if not feed.has(i))
        batch = [source.chunk(i) for i in range(max(0, index - BATCH), index + 1)]
        nodes = [node for i in range(2 * source.length) if (node := source.node(i)) is not None]
        feed.put(batch, nodes, SignedHead(0, source.roots, source.signature), source.manifest)
        yield feed.held.count


def ingest_slowly(store: FeedStore, source: str) -> Iterator[int]:
    """Make a feed of a file or folder; yields the bytes that are done."""
    for progress in ingesting(store, source, PAIR, manifest=MANIFEST, chunk_bytes=1024):
        yield progress.bytes_done


def main(what: str, store: FeedStore, source: str) -> Iterator[int]:
    """The acknowledgements of one kind of work."""
    if what == "append":
        return append_for_ever(store.create(KEY, MANIFEST))
    if what == "put":
        return put_for_ever(store.create(KEY), FeedStore(source).open(KEY))
    return ingest_slowly(store, source)


if __name__ == "__main__":
    for count in main(sys.argv[1], FeedStore(sys.argv[2]), sys.argv[-1]):
        sys.stdout.write(f"{count}\n")
        sys.stdout.flush()
