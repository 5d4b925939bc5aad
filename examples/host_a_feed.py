"""Make a feed of a file, serve it on loopback, and clone it as a stranger would.

python examples/host_a_feed.py FILE
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from secrets import token_bytes

from feed.manifest import discovery_key
from feed.replication.session import download, serve
from feed.service import ingest, restore
from feed.store import FeedStore
from swarm.server import listen
from swarm.tcp import dial
from wire.keys import KeyPair
from wire.zbase32 import encode


async def main(source: Path, place: Path) -> None:
    with FeedStore(place / "hoster.db") as hoster, FeedStore(place / "reader.db") as reader:
        feed = ingest(hoster, source, KeyPair(token_bytes(32)))
        print(f"feed {encode(feed.key)}: {feed.length} chunks")
        async with listen(
            "127.0.0.1",
            0,
            KeyPair(token_bytes(32)),
            on_open=lambda _, name, connection: (
                serve(connection, feed) if name == discovery_key(feed.key) else None
            ),
        ) as listener:
            copy = reader.create(feed.key)
            connection = await dial(listener.host, listener.port, KeyPair(token_bytes(32)))
            await download(connection, copy)
            await connection.close()
        restore(copy, place / "copy")
        same = (place / "copy").read_bytes() == source.read_bytes()
        print(f"cloned {copy.length} chunks, restored byte for byte: {same}")


with tempfile.TemporaryDirectory() as place:
    asyncio.run(main(Path(sys.argv[1]), Path(place)))
