"""A process to be killed: `python -m tests.feed.victim WORK STORE [SOURCE]`.

WORK is append, put, ingest or clone. It writes one line for everything that the store has
acknowledged; append and put never end.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

from feed.feed import Feed, SignedHead
from feed.replication.events import Arrived, Event
from feed.replication.session import Session, download, serve
from feed.service import ingesting
from feed.store import FeedStore
from tests.feed.channels import connect
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


async def clone(store: FeedStore, source: FeedStore) -> None:
    """Download a feed from another store; writes a line for each chunk that is stored."""

    def tell(session: Session, event: Event) -> None:
        if isinstance(event, Arrived):
            write(session.feed.held.count)

    here, there = connect()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(there, source.open(KEY)))
        await download(here, store.create(KEY), tell)


def write(count: int) -> None:
    """Tell whoever is about to kill this process."""
    sys.stdout.write(f"{count}\n")
    sys.stdout.flush()


def main(what: str, store: FeedStore, source: str) -> Iterator[int]:
    """The acknowledgements of one kind of work."""
    if what == "append":
        return append_for_ever(store.create(KEY, MANIFEST))
    if what == "put":
        return put_for_ever(store.create(KEY), FeedStore(source).open(KEY))
    return ingest_slowly(store, source)


if __name__ == "__main__":
    if sys.argv[1] == "clone":
        asyncio.run(clone(FeedStore(sys.argv[2]), FeedStore(sys.argv[3])))
    else:
        for count in main(sys.argv[1], FeedStore(sys.argv[2]), sys.argv[-1]):
            write(count)
