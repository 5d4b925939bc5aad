"""Fetch a contract's feed from one peer, and no more of it than the offer has room for.

What an owner appends is signed by the owner alone: the chain knows a head only when it is
announced, while a peer may serve a longer one at any time, of any size.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from audit.faults import ReceiptsHeard
from audit.messages import RECEIPT_EXTENSION
from audit.receipts import SessionBinding
from chain.bodies.faults import ReceiptFault
from chain.head import Head
from feed import flat_tree
from feed.feed import Feed
from feed.replication.events import Event, Grown, Heard
from feed.replication.session import STALL_S, OnEvent, Session, download, open_session
from feed.tree import Node, tree_hash
from wire.errors import HoldfastError, Malformed, Unavailable
from wire.ports import Connection


def listening(
    binding: SessionBinding, key: bytes, accuse: Callable[[ReceiptFault], None]
) -> OnEvent:
    """Told of a session's events: has a hoster accused that signs what cannot all be true with
    its receipt key. The rest is for who wants to prove what it was served: not for us.
    """
    receipts = ReceiptsHeard(binding, key)

    def hear(_: Session, event: Event) -> None:
        if not isinstance(event, Heard) or event.name != RECEIPT_EXTENSION or receipts.lie:
            return
        with suppress(Malformed):
            receipts.hear(event.payload)
        if receipts.lie:
            first, second = receipts.lie
            accuse(ReceiptFault(key=key, first=first, second=second))

    return hear


async def download_within(
    connection: Connection,
    feed: Feed,
    length: int,
    room_bytes: int,
    on_event: OnEvent | None = None,
) -> None:
    """Download a feed; of one larger than `room_bytes`, the first `length` chunks only.

    The feed never takes more than that from now on. What came of a feed that turned out to be
    too large, beyond those chunks, makes room for them.

    Raises as `feed.replication.session.download` does, also when the feed turns out to be too
    large: what was stored stays, and the next call goes on.
    """

    def stop_beyond(session: Session, event: Event) -> None:
        if on_event is not None:
            on_event(session, event)
        if isinstance(event, Grown) and feed.byte_length > room_bytes:
            session.close()

    feed.max_bytes = room_bytes
    if feed.byte_length <= room_bytes:
        await download(connection, feed, stop_beyond)
    else:
        beyond = feed.held.within(length, feed.length)
        feed.forget([chunk for stretch in beyond for chunk in range(*stretch)])
        await _download_chunks(connection, feed, missing_of(feed, length), on_event)


async def _download_chunks(
    connection: Connection, feed: Feed, chunks: Sequence[int], on_event: OnEvent | None
) -> None:
    session = await open_session(connection, feed, on_event)
    session.fetch(chunks)
    failure: HoldfastError | None = None
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(session.replicate())
        try:
            for chunk in chunks:
                async with asyncio.timeout(STALL_S):
                    await session.chunk(chunk)
        except TimeoutError:
            failure = Unavailable(f"the peer gave nothing for {STALL_S} s")
        except HoldfastError as error:
            failure = error
        session.close()
    if failure is not None:
        raise failure


def missing_of(feed: Feed, length: int) -> list[int]:
    """The chunks below `length` that are not stored."""
    return [chunk for gap in feed.held.gaps(0, length) for chunk in range(*gap)]


def is_complete(feed: Feed, head: Head) -> bool:
    """Whether every chunk of exactly the head that the chain knows is stored."""
    return is_held(feed, head) and not missing_of(feed, head.length)


def is_held(feed: Feed, head: Head) -> bool:
    """Whether the stored feed's tree contains exactly the head that the chain knows."""
    if feed.fork != head.fork or feed.length < head.length:
        return False
    roots: list[Node] = []
    for index in flat_tree.full_roots(head.length):
        node = feed.node(index)
        if node is None:
            return False
        roots.append(node)
    return tree_hash(roots) == head.tree_hash
