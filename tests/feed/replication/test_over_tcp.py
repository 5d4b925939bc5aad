"""Feeds over real connections: several on one, and under the older name of the protocol."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from feed.codec import encode_handshake
from feed.feed import Feed, signed_by
from feed.manifest import capability, default_manifest, discovery_key, manifest_key
from feed.messages import PROTOCOL, PROTOCOL_ALIAS, Handshake, Kind
from feed.replication.session import download, open_session, serve
from feed.store import FeedStore
from swarm.server import listen
from swarm.tcp import dial
from tests.feed.owner import KEY, chunk, owned
from wire.errors import Unavailable
from wire.keys import KeyPair
from wire.ports import Connection

HOST = "127.0.0.1"
HOSTER, READER = KeyPair(b"H" * 32), KeyPair(b"R" * 32)
Stores = Callable[[], FeedStore]


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    opened = list[FeedStore]()
    numbers = count()

    def open_store() -> FeedStore:
        opened.append(FeedStore(tmp_path / f"{next(numbers)}.db"))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


def _on_open(*feeds: Feed) -> Callable[..., Coroutine[Any, Any, None] | None]:
    known = {discovery_key(feed.key): feed for feed in feeds}

    def on_open(
        protocol: str, id: bytes, connection: Connection
    ) -> Coroutine[Any, Any, None] | None:
        if protocol not in (PROTOCOL, PROTOCOL_ALIAS) or id not in known:
            return None
        return serve(connection, known[id])

    return on_open


def _feed(store: FeedStore, seed: int, length: int) -> Feed:
    pair = KeyPair(bytes([seed]) * 32)
    manifest = default_manifest(pair.public)
    key = manifest_key(manifest)
    feed = store.create(key, manifest)
    feed.append([bytes([seed]) + chunk(i) for i in range(length)], signed_by(pair, key, manifest))
    return feed


async def test_many_feeds_are_fetched_at_once_over_one_connection(stores: Stores) -> None:
    """And one that the hoster does not have spoils none of them."""
    source, target = stores(), stores()
    feeds = [_feed(source, seed, 40 * seed) for seed in range(1, 9)]
    copies = [target.create(feed.key) for feed in feeds]
    async with listen(HOST, 0, HOSTER, on_open=_on_open(*feeds)) as listener:
        connection = await dial(HOST, listener.port, READER)
        async with asyncio.TaskGroup() as group:
            for copy in copies:
                group.create_task(download(connection, copy))
            with pytest.raises(Unavailable, match="rejects"):
                await download(connection, target.create(KEY))
        await connection.close()
    for feed, copy in zip(feeds, copies, strict=True):
        assert (copy.length, copy.missing) == (feed.length, 0)
        assert all(copy.chunk(i) == feed.chunk(i) for i in range(feed.length))


async def test_one_feed_may_be_closed_while_the_others_go_on(stores: Stores) -> None:
    source, target = stores(), stores()
    feeds = [_feed(source, seed, 10) for seed in (1, 2)]
    copies = [target.create(feed.key) for feed in feeds]
    async with listen(HOST, 0, HOSTER, on_open=_on_open(*feeds)) as listener:
        connection = await dial(HOST, listener.port, READER)
        async with asyncio.TaskGroup() as group:
            sessions = [await open_session(connection, copy) for copy in copies]
            for session in sessions:
                group.create_task(session.run())
            await sessions[0].chunk(3)
            sessions[0].close()
            await sessions[1].chunk(4)
            await download(connection, copies[0])
            sessions[1].close()
        await connection.close()
    assert (copies[0].missing, list(copies[1].held)) == (0, [(4, 5)])


async def test_a_reader_that_uses_the_older_name_is_served(stores: Stores) -> None:
    feed = owned(stores(), 5)
    async with listen(HOST, 0, HOSTER, on_open=_on_open(feed)) as listener:
        connection = await dial(HOST, listener.port, READER)
        proof = capability(connection.handshake_hash, KEY, True)
        handshake = encode_handshake(Handshake(proof))
        channel = await connection.open(PROTOCOL_ALIAS, discovery_key(KEY), handshake)
        assert channel.remote_handshake
        assert (await channel.receive())[0].kind is not None
        channel.send(Kind.REQUEST, b"\x01\x01\x00\x03\x00")  # chunk 3, its path not wanted
        answer = await channel.receive()
        while answer[0].kind != Kind.DATA:
            answer = await channel.receive()
        assert chunk(3) in answer[0].payload
        await connection.close()
