"""Feeds between Node and us over TCP: whole, live, sparse, several at once, both ways."""

import asyncio

import pytest

from feed.check import check
from feed.feed import Feed
from feed.replication.events import Arrived, Event, Heard
from feed.replication.session import Session, download
from swarm.tcp import dial
from tests.interop.node import (
    HOST,
    READER,
    SIZES,
    Flavour,
    NodePeer,
    Stores,
    chunk,
    chunks,
    dialled,
    require_same,
    serving,
    until,
)

FLAVOURS = [Flavour(11), Flavour(10)]
both = pytest.mark.parametrize("flavour", FLAVOURS, ids=repr)


async def _clone(port: int, feed: Feed) -> None:
    connection = await dial(HOST, port, READER)
    try:
        await download(connection, feed)
    finally:
        await connection.close()


@both
async def test_what_node_wrote_we_clone_and_verify(
    flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    await node.open(flavour, owned=True)
    await node.write(0, 300)
    feed = stores().create(flavour.key)
    await _clone(await node.call("listen", cores=["a"]), feed)
    require_same(feed, 300)
    assert list(check(feed))[-1].damaged == ()


@both
async def test_what_we_wrote_node_downloads_and_compares(
    flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    feed = flavour.owned(stores(), 300)
    await node.open(flavour, owned=False)
    async with serving(feed) as ours:
        await node.call("dial", cores=["a"], port=ours.port)
        await node.call("waitFor", length=300)
        found = await node.call("download")
        assert (found["contiguousLength"], found["byteLength"]) == (300, feed.byte_length)
        await node.require_same()


@pytest.mark.parametrize("sizes", [(65_536,), (0,), (65_536, 0, 1)], ids=["64KiB", "empty", "mix"])
async def test_large_and_empty_chunks_pass_both_ways(
    sizes: tuple[int, ...], node: NodePeer, stores: Stores
) -> None:
    flavour = FLAVOURS[0]
    await node.open(flavour, owned=True)
    await node.write(0, 40, sizes=sizes)
    feed = stores().create(flavour.key)
    await _clone(await node.call("listen", cores=["a"]), feed)
    require_same(feed, 40, sizes)
    await node.open(flavour, "b", owned=False)
    async with serving(feed) as ours:
        await node.call("dial", cores=["b"], port=ours.port)
        await node.call("waitFor", "b", length=40)
        await node.call("download", "b")
        await node.require_same(core="b", sizes=sizes)


@pytest.mark.full
@both
async def test_ten_thousand_chunks_pass_both_ways(
    flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    await node.open(flavour, owned=True)
    await node.write(0, 10_000)
    feed = stores().create(flavour.key)
    await _clone(await node.call("listen", cores=["a"]), feed)
    require_same(feed, 10_000)
    await node.open(flavour, "b", owned=False)
    async with serving(feed) as ours:
        await node.call("dial", cores=["b"], port=ours.port)
        await node.call("waitFor", "b", length=10_000)
        await node.call("download", "b")
        await node.require_same(core="b")


@both
async def test_what_node_appends_arrives_live(
    flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    await node.open(flavour, owned=True)
    await node.write(0, 3)
    feed = stores().create(flavour.key)
    async with dialled(await node.call("listen", cores=["a"]), feed) as (session,):
        session.fetch_all()
        for length in (3, 4, 5, 70, 71, 400):
            await node.write(await _length(node), length)
            await until(lambda: feed.length == length and not feed.missing)  # noqa: B023
    require_same(feed, 400)


async def _length(node: NodePeer, core: str = "a") -> int:
    return int((await node.call("info", core))["length"])


@both
async def test_what_we_append_arrives_in_node_live(
    flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    feed = flavour.owned(stores(), 3)
    await node.open(flavour, owned=False)
    await node.call("follow")
    async with serving(feed) as ours:
        await node.call("dial", cores=["a"], port=ours.port)
        for length in (4, 5, 70, 71, 400):
            feed.append(chunks(feed.length, length), flavour.sign)
            await node.call("waitFor", length=length)
            await node.call("download")
        await node.require_same()


@both
async def test_a_feed_made_from_nothing_while_connected_arrives(
    flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    await node.open(flavour, owned=True)
    feed = stores().create(flavour.key)
    async with dialled(await node.call("listen", cores=["a"]), feed) as (session,):
        session.fetch_all()
        await node.write(0, 9)
        await until(lambda: feed.length == 9 and not feed.missing)
    require_same(feed, 9)


@both
async def test_node_follows_our_truncation(
    flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    feed = flavour.owned(stores(), 100)
    await node.open(flavour, owned=False)
    await node.call("follow")
    async with serving(feed) as ours:
        await node.call("dial", cores=["a"], port=ours.port)
        await node.call("waitFor", length=100)
        await node.call("download")
        feed.truncate(60, flavour.sign)
        feed.append(chunks(60, 130, salt=1), flavour.sign)
        await node.call("waitFor", length=130, fork=1)
        await node.call("download")
    await node.require_same(to=60)
    await node.require_same(**{"from": 60, "salt": 1})


@both
@pytest.mark.parametrize("grown", [130, 61, 40], ids=["longer", "shorter", "much-shorter"])
async def test_we_follow_node_s_truncation(
    grown: int, flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    kept = min(60, grown)
    await node.open(flavour, owned=True)
    await node.write(0, 100)
    feed = stores().create(flavour.key)
    async with dialled(await node.call("listen", cores=["a"]), feed) as (session,):
        session.fetch_all()
        await until(lambda: feed.length == 100 and not feed.missing)
        await node.call("truncate", length=kept)
        if grown > kept:
            await node.write(kept, grown, salt=1)
        await until(lambda: (feed.fork, feed.length, feed.missing) == (1, grown, 0))
    assert list(check(feed))[-1].damaged == ()
    for index in range(grown):
        assert feed.chunk(index).value == chunk(index, salt=int(index >= kept))


@both
async def test_a_clone_made_before_a_truncation_follows_when_it_comes_back(
    flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    await node.open(flavour, owned=True)
    await node.write(0, 64)
    feed = stores().create(flavour.key)
    port = await node.call("listen", cores=["a"])
    await _clone(port, feed)
    await node.call("truncate", length=50)
    await node.write(50, 80, salt=1)
    arrived = list[int]()

    def note(_: Session, event: Event) -> None:
        if isinstance(event, Arrived):
            arrived.append(event.chunk)

    async with dialled(port, feed, on_event=note) as (session,):
        session.fetch_all()
        await until(lambda: (feed.fork, feed.length, feed.missing) == (1, 80, 0))
    assert all(feed.chunk(i).value == chunk(i, salt=int(i >= 50)) for i in range(80))
    assert sorted(arrived) == list(range(50, 80)), "what both forks have is not fetched again"


@both
async def test_we_fetch_chosen_chunks_only(
    flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    await node.open(flavour, owned=True)
    await node.write(0, 1000)
    feed = stores().create(flavour.key)
    wanted = [999, 0, 500, 501, 3, 512]
    async with dialled(await node.call("listen", cores=["a"]), feed) as (session,):
        for index in wanted:
            assert (await session.chunk(index)).value == chunk(index)
        session.fetch([7, 700])
        await until(lambda: feed.has(7) and feed.has(700))
    assert feed.held.count == len(wanted) + 2
    assert list(check(feed))[-1].damaged == ()


@both
async def test_node_fetches_chosen_chunks_only_also_from_a_sparse_copy(
    flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    feed = flavour.owned(stores(), 1000)
    feed.forget(set(range(1000)) - {3, 500, 501, 512, 999})
    await node.open(flavour, owned=False)
    async with serving(feed) as ours:
        await node.call("dial", cores=["a"], port=ours.port)
        await node.call("waitFor", length=1000)
        for index in (512, 999, 3, 500):
            await node.call("get", index=index)
        assert await node.call("held") == [3, 500, 512, 999]
        assert (await node.call("compare", sizes=SIZES))["wrong"] == []


async def test_node_fetches_the_rest_after_we_dropped_a_chunk(
    node: NodePeer, stores: Stores
) -> None:
    feed = FLAVOURS[0].owned(stores(), 200)
    await node.open(FLAVOURS[0], owned=False)
    async with serving(feed) as ours:
        await node.call("dial", cores=["a"], port=ours.port)
        await node.call("waitFor", length=200)
        await node.call("get", index=150)
        feed.forget([20, 21, 90])
        await node.call("get", index=22)
        await node.call("get", index=199)
        await node.call("download", start=91, end=200)
        await node.call("download", start=0, end=20)
        assert set(range(200)) - set(await node.call("held")) >= {20, 21, 90}
        assert await node.call("notes") == []


@both
async def test_several_feeds_share_one_connection(
    flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    """One is Node's, one is ours, one only Node knows, one only we know."""
    theirs = await node.call("open", "theirs", version=flavour.version, seed="11" * 32)
    await node.write(0, 50, core="theirs")
    await node.call("open", "strange", version=flavour.version, seed="22" * 32)
    ours, store = flavour.owned(stores(), 60), stores()
    copy = store.create(bytes.fromhex(theirs["key"]))
    await node.open(flavour, "copy", owned=False)
    async with serving(ours, copy, fetch=True) as here:
        await node.call("dial", cores=["strange", "theirs", "copy"], port=here.port)
        await node.call("waitFor", "copy", length=60)
        await node.call("download", "copy")
        await until(lambda: copy.length == 50 and not copy.missing)
        await node.require_same(core="copy")
    require_same(copy, 50)


async def test_extension_messages_pass_both_ways_and_unknown_ones_are_ignored(
    node: NodePeer, stores: Stores
) -> None:
    flavour = FLAVOURS[0]
    feed = flavour.owned(stores(), 5)
    await node.open(flavour, owned=False)
    await node.call("extend", extension="test/known")
    await node.call("extend", extension="test/unknown-here")
    heard = list[tuple[str, bytes]]()

    def listen(_: Session, event: Event) -> None:
        if isinstance(event, Heard):
            heard.append((event.name, event.payload))

    async with serving(feed, on_event=listen) as ours:
        await node.call("dial", cores=["a"], port=ours.port)
        await node.call("waitFor", length=5)
        (session,) = ours.sessions
        session.send_extension("holdfast/receipt", b"a receipt that Node knows nothing of")
        for message in (b"one", b"", b"\x00\xff" * 500):
            session.send_extension("test/known", message)
        assert await node.call("heard", extension="test/known", count=3) == [
            message.hex() for message in (b"one", b"", b"\x00\xff" * 500)
        ]
        for name in ("test/known", "test/known", "test/unknown-here", "test/known"):
            await node.call("broadcast", extension=name, message="beef")
        await until(lambda: len(heard) == 4)
        await node.call("download")
        await node.require_same()
    names = ["test/known", "test/known", "test/unknown-here", "test/known"]
    assert heard == [(name, b"\xbe\xef") for name in names]


async def test_one_session_reads_while_another_writes(node: NodePeer, stores: Stores) -> None:
    """Node appends as fast as it can while we clone, and while a third reads from us."""
    flavour = FLAVOURS[0]
    await node.open(flavour, owned=True)
    await node.write(0, 100)
    feed = stores().create(flavour.key)
    await node.open(flavour, "third", owned=False)
    await node.call("follow", "third")
    port = await node.call("listen", cores=["a"])
    async with dialled(port, feed) as (session,), serving(feed) as ours:
        session.fetch_all()
        await node.call("dial", cores=["third"], port=ours.port)
        for start in range(100, 600, 50):
            await node.write(start, start + 50)
            await asyncio.sleep(0)
        await until(lambda: feed.length == 600 and not feed.missing)
        await node.call("waitFor", "third", length=600)
        await node.call("download", "third")
        await node.require_same(core="third")
    require_same(feed, 600)
