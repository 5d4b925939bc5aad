"""One peer of ours in a measurement; the other end is another of these, or `node/peer.mjs`.

serve SIZE COUNT               prints {port, key}, serves until stdin ends
serve-folder FOLDER            the same, for what `fill` made
serve-prepared SIZE COUNT      the same as `serve`, with all answers made beforehand
fill FOLDER SIZE COUNT         makes a feed
download PORT KEY COUNT        prints {seconds}
part PORT KEY FIRST STOP       prints {seconds}, for some chunks
requests PORT KEY COUNT N      prints {medianMs} of N single requests
append SIZE COUNT BATCH        prints {seconds}: batches stored, one head signed and on the disk
append-signed SIZE COUNT BATCH prints {seconds}: each batch signed and on the disk
"""

import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.prepared import PreparedServer
from feed.feed import Feed, signed_by
from feed.manifest import default_manifest, manifest_key
from feed.replication import session as feed_session
from feed.store import FeedStore
from holdfast.logs import set_up
from swarm.server import listen
from swarm.session import OnOpen
from swarm.tcp import dial
from wire.keys import KeyPair

HOST = "127.0.0.1"
OWNER, READER = KeyPair(b"O" * 32), KeyPair(b"R" * 32)
MANIFEST = default_manifest(OWNER.public)
KEY = manifest_key(MANIFEST)
SIGN = signed_by(OWNER, KEY, MANIFEST)
FILL_BATCH = 256
WARM_UP = 20
DATABASE = "feeds.db"


def chunk(index: int, size: int) -> bytes:
    """A chunk that no other has."""
    return (index.to_bytes(4, "little") + bytes([index & 255]) * size)[:size]


def batches(size: int, count: int, batch: int) -> Iterator[list[bytes]]:
    """All chunks of a feed, some at a time."""
    for start in range(0, count, batch):
        yield [chunk(index, size) for index in range(start, min(start + batch, count))]


def fill_feed(feed: Feed, size: int, count: int) -> None:
    """Make a feed as fast as can be."""
    for values in batches(size, count, FILL_BATCH):
        feed.stage(values)
    feed.append([], SIGN)


def say(**document: Any) -> None:
    print(json.dumps(document), flush=True)


async def fill(_: Path, place: str, size: int, count: int) -> None:
    with FeedStore(Path(place) / DATABASE) as store:
        fill_feed(store.create(KEY, MANIFEST), size, count)


async def serve(folder: Path, size: int, count: int) -> None:
    await fill(folder, str(folder), size, count)
    await serve_folder(folder, str(folder))


async def serve_folder(_: Path, place: str) -> None:
    with FeedStore(Path(place) / DATABASE) as store:
        feed = store.open(KEY)
        await _serve_until_told(lambda *opened: feed_session.serve(opened[2], feed))


async def serve_prepared(folder: Path, size: int, count: int) -> None:
    await fill(folder, str(folder), size, count)
    with FeedStore(folder / DATABASE) as store:
        server = PreparedServer(store.open(KEY))
        await _serve_until_told(lambda *opened: server.serve(opened[2]))


async def _serve_until_told(on_open: OnOpen) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    async with listen(HOST, 0, OWNER, on_open=on_open) as ours:
        say(port=ours.port, key=KEY.hex())
        threading.Thread(target=wait_for_end, daemon=True).start()
        await ended.wait()


async def download(folder: Path, port: int, key: str, count: int) -> None:
    await part(folder, port, key, 0, count)


async def part(folder: Path, port: int, key: str, first: int, stop: int) -> None:
    with FeedStore(folder / DATABASE) as store:
        feed = store.create(bytes.fromhex(key))
        began = time.perf_counter()
        connection = await dial(HOST, port, READER)
        if first:
            await feed_session.download(connection, feed, chunks=range(first, stop))
        else:
            await feed_session.download(connection, feed)
        seconds = time.perf_counter() - began
        await connection.close()
        assert feed.held.contiguous(first) >= stop
        say(seconds=seconds)


async def requests(folder: Path, port: int, key: str, count: int, times: int) -> None:
    with FeedStore(folder / DATABASE) as store:
        feed = store.create(bytes.fromhex(key))
        connection = await dial(HOST, port, READER)
        async with asyncio.TaskGroup() as group:
            session = await feed_session.open_session(connection, feed)
            group.create_task(session.run())
            took = []
            for turn in range(times + WARM_UP):
                began = time.perf_counter()
                await session.chunk(turn * 7919 % count)
                took.append((time.perf_counter() - began) * 1e3)
            session.close()
        await connection.close()
        say(medianMs=statistics.median(took[WARM_UP:]))


async def append(folder: Path, size: int, count: int, batch: int) -> None:
    with FeedStore(folder / DATABASE) as store:
        feed = store.create(KEY, MANIFEST)
        values = next(batches(size, batch, batch))
        began = time.perf_counter()
        for start in range(0, count, batch):
            feed.stage(values[: min(batch, count - start)])
        feed.append([], SIGN)
        say(seconds=time.perf_counter() - began)


async def append_signed(folder: Path, size: int, count: int, batch: int) -> None:
    with FeedStore(folder / DATABASE) as store:
        feed = store.create(KEY, MANIFEST)
        values = next(batches(size, batch, batch))
        began = time.perf_counter()
        for start in range(0, count, batch):
            feed.append(values[: min(batch, count - start)], SIGN)
        say(seconds=time.perf_counter() - began)


MODES: dict[str, Any] = {
    "append": append,
    "append-signed": append_signed,
    "download": download,
    "fill": fill,
    "part": part,
    "requests": requests,
    "serve": serve,
    "serve-folder": serve_folder,
    "serve-prepared": serve_prepared,
}


def main() -> None:
    set_up("warning", "text")
    mode, *rest = sys.argv[1:]
    values = [int(text) if text.isdigit() and len(text) < 13 else text for text in rest]
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        uvloop.run(MODES[mode](Path(folder), *values))


if __name__ == "__main__":
    main()
