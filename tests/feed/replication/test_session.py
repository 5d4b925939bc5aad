"""Sessions over connections in memory: whole downloads, bad peers, and what is left of them."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from feed.check import check
from feed.codec import decode, encode
from feed.feed import Feed, signed_by
from feed.manifest import capability, discovery_key
from feed.messages import PROTOCOL, Data, Kind, PathRequest, Request, Sync
from feed.replication.events import Arrived, Event, Heard, Served
from feed.replication.session import ANSWER_BYTES, Session, download, open_session, serve
from feed.store import FeedStore
from feed.tree import leaf_hash
from tests.feed.channels import MemoryConnection, connect
from tests.feed.owner import KEY, SIGN, chunk, owned
from tests.feed.victim import kill_after
from wire.errors import HoldfastError, Malformed, NotFound, Unavailable
from wire.keys import KeyPair
from wire.ports import ChannelMessage

LENGTH = 150


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Callable[[], FeedStore]]:
    """Makes stores that are closed at the end of the test."""
    opened = list[FeedStore]()
    numbers = count()

    def open_store() -> FeedStore:
        opened.append(FeedStore(tmp_path / f"{next(numbers)}.db"))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


Stores = Callable[[], FeedStore]


def _same(feed: Feed, length: int) -> bool:
    assert list(check(feed))[-1].damaged == ()
    return feed.length == length and all(feed.chunk(i).value == chunk(i) for i in range(length))


async def _served(connection: MemoryConnection, feed: Feed) -> HoldfastError | None:
    """Serve, and return what a service would log."""
    try:
        await serve(connection, feed)
    except HoldfastError as error:
        return error
    return None


async def test_a_feed_is_downloaded_and_every_chunk_told_of_on_both_sides(stores: Stores) -> None:
    here, there = connect()
    source, feed = owned(stores(), LENGTH), stores().create(KEY)
    served, arrived = list[Event](), list[Event]()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(there, source, lambda _, event: served.append(event)))
        await download(here, feed, lambda _, event: arrived.append(event))
    assert _same(feed, LENGTH)
    assert served == [Served(i, leaf_hash(chunk(i)), chunk(i)) for i in range(LENGTH)]
    chunks = [event for event in arrived if isinstance(event, Arrived)]
    assert sorted(event.chunk for event in chunks) == list(range(LENGTH))
    assert all(event.came_us >= event.asked_us for event in chunks)


async def test_downloading_what_is_already_there_ends_at_once(stores: Stores) -> None:
    here, there = connect()
    source, copy = owned(stores(), 9), owned(stores(), 9)
    served = list[Event]()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(there, source, lambda _, event: served.append(event)))
        await download(here, copy)
    assert served == []


async def test_receipts_follow_the_chunks_they_are_for(stores: Stores) -> None:
    here, there = connect()
    heard = list[Event]()

    def sign_receipt(session: Session, event: Event) -> None:
        if isinstance(event, Served):
            session.send_extension("holdfast/receipt", event.leaf_hash)

    def listen(session: Session, event: Event) -> None:
        if isinstance(event, Heard):
            heard.append(event)

    async with asyncio.TaskGroup() as group:
        group.create_task(serve(there, owned(stores(), 9), sign_receipt))
        await download(here, stores().create(KEY), listen)
    assert heard == [Heard("holdfast/receipt", leaf_hash(chunk(i))) for i in range(9)]


async def test_one_chunk_can_be_fetched_without_the_others(stores: Stores) -> None:
    here, there = connect()
    source, feed = owned(stores(), LENGTH), stores().create(KEY)
    source.forget([7])
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(there, source))
        session = await open_session(here, feed)
        group.create_task(session.run())
        assert (await session.chunk(99)).value == chunk(99)
        assert (await session.chunk(99)).value == chunk(99)
        source.append([chunk(LENGTH)], SIGN)
        assert (await session.chunk(LENGTH)).value == chunk(LENGTH)
        session.close()
    assert list(feed.held) == [(99, 100), (LENGTH, LENGTH + 1)]


async def test_a_chunk_that_the_peer_refuses_is_not_found(stores: Stores) -> None:
    here, there = connect()
    source, feed = owned(stores(), 20), stores().create(KEY)
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(there, source))
        session = await open_session(here, feed)
        group.create_task(session.run())
        await session.chunk(1)
        source.forget([7])
        with pytest.raises(NotFound, match="chunk 7"):
            await session.chunk(7)
        session.close()


async def test_some_chunks_are_downloaded_and_what_cannot_be_is_told(stores: Stores) -> None:
    source, feed = owned(stores(), 100), stores().create(KEY)

    async def fetch(chunks: range) -> None:
        here, there = connect()
        async with asyncio.TaskGroup() as group:
            group.create_task(serve(there, source))
            await download(here, feed, chunks=chunks)

    await fetch(range(10, 20))
    await fetch(range(15, 25))
    await fetch(range(0))
    assert list(feed.held) == [(10, 25)]
    with pytest.raises(ExceptionGroup) as raised:
        await fetch(range(98, 101))
    assert raised.group_contains(NotFound, match="only 100 chunks")


async def test_what_is_appended_while_connected_arrives(stores: Stores) -> None:
    here, there = connect()
    source, feed = owned(stores(), 5), stores().create(KEY)
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(there, source))
        session = await open_session(here, feed)
        session.fetch_all()
        group.create_task(session.run())
        await session.completed()
        grown = asyncio.Event()
        feed.watch(lambda _: grown.set() if feed.length == 8 and not feed.missing else None)
        source.append([chunk(i) for i in range(5, 8)], SIGN)
        async with asyncio.timeout(5):
            await grown.wait()
        session.close()
    assert _same(feed, 8)


async def test_several_feeds_share_one_connection(stores: Stores) -> None:
    here, there = connect()
    source_store, store = stores(), stores()
    pair = KeyPair(bytes(32))
    sources = [owned(source_store, 30), source_store.create(pair.public)]
    sources[1].append([b"compat"] * 30, signed_by(pair, pair.public, None))
    feeds = [store.create(source.key) for source in sources]
    async with asyncio.TaskGroup() as group:
        for source, feed in zip(sources, feeds, strict=True):
            group.create_task(serve(there, source))
            group.create_task(download(here, feed))
    assert [feed.missing for feed in feeds] == [0, 0]
    assert feeds[1].chunk(29).value == b"compat" and feeds[1].manifest is None


async def test_a_feed_is_gathered_from_several_peers_at_once(stores: Stores) -> None:
    feed, claims = stores().create(KEY), set[int]()
    by_peer = [list[Event](), list[Event]()]
    async with asyncio.TaskGroup() as group:
        for served in by_peer:
            here, there = connect()
            source = owned(stores(), 400)
            group.create_task(serve(there, source, lambda _, e, served=served: served.append(e)))
            group.create_task(download(here, feed, claims=claims))
    assert _same(feed, 400)
    assert sum(map(len, by_peer)) == 400 and min(map(len, by_peer)) > 50


async def test_a_peer_that_knows_only_the_name_of_a_feed_is_refused(stores: Stores) -> None:
    here, there = connect()
    proof = capability(there.handshake_hash, bytes(32), there.initiator)
    async with asyncio.TaskGroup() as group:
        group.create_task(there.open(PROTOCOL, discovery_key(KEY), b"\x01" + proof))
        with pytest.raises(Malformed, match="does not know the feed's key"):
            await open_session(here, owned(stores(), 3))


def _change_data(change: Callable[[Data], Data | None]) -> Callable[..., list[ChannelMessage]]:
    def tamper(message: ChannelMessage) -> list[ChannelMessage]:
        data = decode(*message)
        if not isinstance(data, Data):
            return [message]
        changed = change(data)
        return [] if changed is None else [ChannelMessage(Kind.DATA, encode(changed))]

    return tamper


def _forge(data: Data) -> Data:
    if data.chunk is None or data.chunk.index != 40:
        return data
    return data._replace(chunk=data.chunk._replace(value=b"forged"))


async def test_a_lie_ends_the_session_and_the_download_goes_on_elsewhere(stores: Stores) -> None:
    here, there = connect()
    there.tamper = _change_data(_forge)
    feed = stores().create(KEY)
    async with asyncio.TaskGroup() as group:
        ended = group.create_task(_served(there, owned(stores(), LENGTH)))
        with pytest.raises(Malformed):
            await download(here, feed)
    assert ended.result() is None
    assert 0 < feed.held.count < LENGTH and list(check(feed))[-1].damaged == ()
    here, there = connect()
    served = list[Event]()
    async with asyncio.TaskGroup() as group:
        source = owned(stores(), LENGTH)
        held = feed.held.count
        group.create_task(serve(there, source, lambda _, event: served.append(event)))
        await download(here, feed)
    assert _same(feed, LENGTH) and len(served) == LENGTH - held


async def test_garbage_from_a_reader_ends_its_session_only(stores: Stores) -> None:
    source = owned(stores(), LENGTH)
    here, there = connect()
    bad_here, bad_there = connect()
    feed = stores().create(KEY)
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(there, source))
        ended = group.create_task(_served(bad_there, source))
        proof = capability(bad_here.handshake_hash, KEY, bad_here.initiator)
        channel = await bad_here.open(PROTOCOL, discovery_key(KEY), b"\x01" + proof)
        channel.send(Kind.REQUEST, b"\xff")
        await download(here, feed)
    assert isinstance(ended.result(), Malformed)
    assert _same(feed, LENGTH)


async def test_a_peer_that_leaves_is_told_and_what_came_stays(stores: Stores) -> None:
    here, there = connect()
    feed = stores().create(KEY)

    def leave(session: Session, event: Event) -> None:
        if isinstance(event, Served) and event.chunk == 60:
            session.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(serve(there, owned(stores(), LENGTH), leave))
        with pytest.raises(Unavailable, match="chunks are missing"):
            await download(here, feed)
    assert 0 < feed.held.count < LENGTH


async def test_a_peer_that_gives_nothing_more_stalls_the_download(stores: Stores) -> None:
    here, there = connect()
    there.tamper = _change_data(lambda _data: None)
    async with asyncio.TaskGroup() as group:
        group.create_task(_served(there, owned(stores(), LENGTH)))
        with pytest.raises(Unavailable, match=r"gave nothing for 0\.01 s"):
            await download(here, stores().create(KEY), stall_s=0.01)


async def test_a_peer_that_asks_and_does_not_read_costs_little_memory(stores: Stores) -> None:
    here, there = connect()
    store = stores()
    source = store.create(KEY, owned(store, 0).manifest)
    source.append([bytes(65536)] * 64, SIGN)
    served = list[Event]()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(there, source, lambda _, event: served.append(event)))
        proof = capability(here.handshake_hash, KEY, here.initiator)
        channel = await here.open(PROTOCOL, discovery_key(KEY), b"\x01" + proof)
        channel.send(Kind.SYNC, encode(Sync(0, 0)))
        for index in range(64):
            channel.send(Kind.REQUEST, encode(Request(index + 1, 0, PathRequest(index, 0))))
        for _ in range(50):
            await asyncio.sleep(0)
        assert ANSWER_BYTES <= 65536 * len(served) <= 2 * ANSWER_BYTES
        for _ in range(500):
            await channel.receive()
            await asyncio.sleep(0)
            if len(served) == 64:
                break
        channel.close()
    assert len(served) == 64


async def test_a_peer_that_asks_and_never_reads_is_dropped(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feed.replication.session.DRAIN_TIMEOUT_S", 0.01)
    here, there = connect()
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(_served(there, owned(stores(), 9)))
        proof = capability(here.handshake_hash, KEY, here.initiator)
        channel = await here.open(PROTOCOL, discovery_key(KEY), b"\x01" + proof)
        channel.send(Kind.SYNC, encode(Sync(0, 0)))
        channel.send(Kind.REQUEST, encode(Request(1, 0, PathRequest(0, 0))))
        failure = await serving
    assert isinstance(failure, Unavailable) and "read nothing" in str(failure)


async def test_a_store_that_fails_is_not_the_peer_s_fault(stores: Stores) -> None:
    here, there = connect()
    store = stores()
    feed = store.create(KEY)
    store.run("PRAGMA query_only = 1")
    async with asyncio.TaskGroup() as group:
        group.create_task(_served(there, owned(stores(), 9)))
        with pytest.raises(Unavailable, match="try again"):
            await download(here, feed)


async def test_a_clone_killed_midway_goes_on_from_what_is_stored(
    stores: Stores, tmp_path: Path
) -> None:
    with FeedStore(tmp_path / "source.db") as store:
        owned(store, 5000)
    path = tmp_path / "clone.db"
    held = [kill_after(200, "clone", str(path), str(tmp_path / "source.db")) for _ in range(2)]
    with FeedStore(path) as store, FeedStore(tmp_path / "source.db") as source:
        feed = store.open(KEY)
        assert held[0] < held[1] <= feed.held.count < 5000
        assert list(check(feed))[-1].damaged == ()
        here, there = connect()
        async with asyncio.TaskGroup() as group:
            group.create_task(serve(there, source.open(KEY)))
            await download(here, feed)
        assert _same(feed, 5000)
