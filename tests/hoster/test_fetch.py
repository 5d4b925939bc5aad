"""A hoster fetches what its offer has room for, whatever the owner appends."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from audit.faults import contradiction
from audit.receipts import SessionBinding
from chain.bodies.faults import ReceiptFault
from chain.head import Head
from feed.feed import Feed
from feed.replication.events import Event
from feed.replication.session import Session, download, serve
from feed.store import FeedStore
from feed.tables import StoreFull
from feed.tree import tree_hash
from hoster.fetch_session import download_within, is_complete, is_held, listening, missing_of
from hoster.receipts import ReceiptBook
from hoster.serving_service import Serving
from tests.feed.channels import connect
from tests.feed.owner import KEY, owned
from wire.errors import HoldfastError, Unavailable
from wire.keys import KeyPair

KNOWN, GROWN = 40, 400
"""Chunks of the head that the chain knows, and of what the owner serves by now."""


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


def head_of(feed: Feed) -> Head:
    return Head(
        fork=feed.fork,
        length=feed.length,
        byte_length=feed.byte_length,
        tree_hash=tree_hash(feed.roots),
    )


async def fetch(source: Feed, feed: Feed, length: int, room_bytes: int) -> HoldfastError | None:
    """One visit to a source, as the hoster makes it; what went wrong."""
    here, there = connect()
    failure = None
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(there, source))
        try:
            await download_within(here, feed, length, room_bytes)
        except HoldfastError as error:
            failure = error
    return failure


async def test_a_feed_within_the_offer_is_fetched_whole(stores: Stores) -> None:
    source, feed = owned(stores(), GROWN), stores().create(KEY)
    assert await fetch(source, feed, KNOWN, source.byte_length) is None
    assert (feed.length, feed.missing) == (GROWN, 0)


async def test_a_feed_beyond_the_offer_is_fetched_up_to_what_the_chain_knows(
    stores: Stores,
) -> None:
    known, source, feed = owned(stores(), KNOWN), owned(stores(), GROWN), stores().create(KEY)
    room_bytes = source.byte_length - 1
    assert isinstance(await fetch(source, feed, KNOWN, room_bytes), Unavailable)
    assert feed.held_bytes < source.byte_length // 2
    assert await fetch(source, feed, KNOWN, room_bytes) is None
    head = head_of(known)
    assert is_complete(feed, head)
    assert missing_of(feed, KNOWN) == []
    held = feed.held_bytes
    assert await fetch(source, feed, KNOWN, room_bytes) is None
    assert feed.held_bytes == held < source.byte_length // 2


async def test_a_chunk_that_was_lost_is_fetched_again_though_the_feed_is_too_large(
    stores: Stores,
) -> None:
    known, source, feed = owned(stores(), KNOWN), owned(stores(), GROWN), stores().create(KEY)
    for _ in range(2):
        await fetch(source, feed, KNOWN, known.byte_length)
    feed.forget([3, 17])
    assert missing_of(feed, KNOWN) == [3, 17]
    assert is_held(feed, head_of(known)) and not is_complete(feed, head_of(known))
    assert await fetch(source, feed, KNOWN, known.byte_length) is None
    assert is_complete(feed, head_of(known))


async def test_what_one_source_lacks_comes_from_another(stores: Stores) -> None:
    known, source, feed = owned(stores(), KNOWN), owned(stores(), GROWN), stores().create(KEY)
    other = owned(stores(), GROWN)
    await fetch(source, feed, KNOWN, known.byte_length)
    feed.forget(range(KNOWN))
    source.forget([5])
    rest = asyncio.Event()
    feed.watch(lambda _: rest.set() if missing_of(feed, KNOWN) == [5] else None)
    here, there = connect()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(serve(there, source))
        fetching = tasks.create_task(download_within(here, feed, KNOWN, known.byte_length))
        await rest.wait()
        serving.cancel()
        fetching.cancel()
    assert await fetch(other, feed, KNOWN, known.byte_length) is None
    assert is_complete(feed, head_of(known))


async def test_what_came_beyond_the_known_head_makes_room_for_it(stores: Stores) -> None:
    known, source, feed = owned(stores(), KNOWN), owned(stores(), GROWN), stores().create(KEY)
    late = range(GROWN - KNOWN, GROWN)
    here, there = connect()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(there, source))
        await download(here, feed, chunks=late)
    assert feed.held_bytes > 0 == feed.contiguous_length
    assert await fetch(source, feed, KNOWN, known.byte_length) is None
    assert is_complete(feed, head_of(known))
    assert list(feed.held) == [(0, KNOWN)] and feed.held_bytes == known.byte_length


async def test_no_more_is_stored_than_the_offer_has_room_for(stores: Stores) -> None:
    known, source, feed = owned(stores(), KNOWN), owned(stores(), GROWN), stores().create(KEY)
    await fetch(source, feed, KNOWN, known.byte_length)
    assert await fetch(source, feed, KNOWN, known.byte_length) is None
    with pytest.raises(StoreFull, match=f"its limit of {known.byte_length} bytes"):
        feed.put([source.chunk(KNOWN)])
    assert list(feed.held) == [(0, KNOWN)] and feed.held_bytes == known.byte_length


SIGNER = KeyPair(b"h" * 32)
NETWORK = b"n" * 32


@pytest.mark.parametrize("lies", [False, True])
async def test_who_fetches_from_a_hoster_hears_what_it_signs(stores: Stores, lies: bool) -> None:
    source, feed = owned(stores(), KNOWN), stores().create(KEY)
    here, there = connect()
    binding = SessionBinding(
        network=NETWORK,
        hoster=SIGNER.public,
        handshake_hash=here.handshake_hash,
        peer=there.remote_key,
        feed=KEY,
    )
    book = ReceiptBook(SIGNER, binding)
    serving = Serving(book, source)

    def lie(session: Session, event: Event) -> None:
        serving.on_event(session, event)
        book._sequence = 0 if lies else book._sequence

    accused = list[ReceiptFault]()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(there, source, lie))
        hear = listening(binding, SIGNER.public, accused.append)
        await download_within(here, feed, KNOWN, source.byte_length, hear)
    assert len(accused) == int(lies)
    for fault in accused:
        assert contradiction(NETWORK, SIGNER.public, fault.first, fault.second)
