"""When a session's receipts are sent: every 16 chunks, when it falls quiet, and at its end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from audit.faults import ReceiptsHeard
from audit.messages import RECEIPT_EXTENSION, Receipt, SignedReceipt
from audit.receipts import SessionBinding
from feed.feed import Feed
from feed.replication.events import Event, Heard
from feed.replication.session import Session, open_session, serve
from feed.store import FeedStore
from hoster.receipts import ReceiptBook
from hoster.serving_service import Serving
from tests.chain.nodes import until
from tests.feed.channels import connect
from tests.feed.owner import KEY, SIGN, chunk, owned
from tests.people import HOSTERS
from wire.codec import decode, encode
from wire.errors import HoldfastError
from wire.keys import Use

HOSTER = HOSTERS[0]
SIGNER = HOSTER.key(Use.RECEIPT)
LENGTH = 60
NEVER_S, AT_ONCE_S = 3_600.0, 0.0


class Reader:
    """A reader's session, and what it heard of the hoster."""

    def __init__(self, source: Feed, serving: Serving) -> None:
        self.source = source
        self.serving = serving
        self.feed = FeedStore(":memory:").create(KEY)
        self.signed: list[SignedReceipt] = []
        self.session: Session | None = None

    def hear(self, _: Session, event: Event) -> None:
        if isinstance(event, Heard):
            assert event.name == RECEIPT_EXTENSION
            self.signed.append(decode(SignedReceipt, event.payload))

    @property
    def receipts(self) -> list[Receipt]:
        return [signed.receipt for signed in self.signed]

    async def fetch(self, chunks: Sequence[int]) -> None:
        assert self.session is not None
        for index in chunks:
            await self.session.chunk(index)

    async def settle(self) -> None:
        """Until nothing more is on its way between the two ends."""
        for _ in range(50):
            await asyncio.sleep(0)


@asynccontextmanager
async def reading(idle_s: float, length: int = LENGTH) -> AsyncIterator[Reader]:
    """A reader of a hoster's feed."""
    here, there = connect()
    source = owned(FeedStore(":memory:"), length)
    binding = SessionBinding(b"n" * 32, HOSTER.id, bytes(64), there.remote_key, KEY)
    reader = Reader(source, Serving(ReceiptBook(SIGNER, binding), source, idle_s))

    async def host() -> None:
        try:
            await serve(there, source, reader.serving.on_event)
        except HoldfastError:
            pass
        finally:
            reader.serving.finish()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(host())
        reader.session = await open_session(here, reader.feed, reader.hear)
        tasks.create_task(reader.session.replicate())
        yield reader
        reader.session.close()
    receipts = ReceiptsHeard(binding, SIGNER.public)
    assert [receipts.hear(encode(signed)) for signed in reader.signed] == reader.signed
    assert receipts.lie is None


async def test_a_receipt_follows_each_sixteenth_chunk():
    async with reading(NEVER_S) as reader:
        await reader.fetch(range(15))
        await reader.settle()
        assert reader.receipts == []
        await reader.fetch([15])
        await until(lambda: len(reader.receipts) == 1)
        await reader.fetch(range(16, 40))
        await until(lambda: len(reader.receipts) == 2)
        assert [receipt.count for receipt in reader.receipts] == [16, 32]


async def test_what_is_left_is_signed_for_when_it_falls_quiet():
    async with reading(AT_ONCE_S) as reader:
        await reader.fetch(range(3))
        await until(lambda: any(receipt.count == 3 for receipt in reader.receipts))
        await reader.settle()
        before = len(reader.receipts)
        await reader.settle()
        assert len(reader.receipts) == before, "nothing new, nothing signed"
        await reader.fetch([7])
        await until(lambda: reader.receipts[-1].count == 4)


async def test_each_chunk_puts_off_the_quiet():
    async with reading(NEVER_S) as reader:
        await reader.fetch([0])
        first = reader.serving._timer
        assert first is not None
        await reader.fetch([1])
        assert first.cancelled()


async def test_what_is_left_is_signed_for_when_the_hoster_ends():
    async with reading(NEVER_S) as reader:
        await reader.fetch(range(5))
        reader.serving.finish()
        await until(lambda: bool(reader.receipts))
        assert [receipt.count for receipt in reader.receipts] == [5]
        assert reader.serving._timer is not None
        assert reader.serving._timer.cancelled()
        reader.serving.finish()
        await reader.settle()
        assert len(reader.receipts) == 1


async def test_a_session_in_which_nothing_was_served_has_no_receipt():
    async with reading(AT_ONCE_S) as reader:
        reader.serving.finish()
        await reader.settle()
        assert reader.receipts == []


async def test_a_receipt_tells_the_length_of_the_feed_as_it_grew():
    async with reading(NEVER_S) as reader:
        await reader.fetch([0])
        reader.source.append([chunk(LENGTH)], SIGN)
        await reader.fetch([LENGTH])
        reader.serving.finish()
        await until(lambda: bool(reader.receipts))
        assert (reader.receipts[0].length, reader.receipts[0].count) == (LENGTH + 1, 2)


async def test_a_truncation_ends_the_session_and_what_was_served_is_signed_for_as_it_was():
    async with reading(NEVER_S) as reader:
        await reader.fetch(range(5))
        reader.source.truncate(30, SIGN)
        await until(lambda: reader.feed.fork == 1)
        with pytest.raises(HoldfastError):
            await reader.fetch([29, 28])
        await reader.settle()
        assert [(receipt.fork, receipt.count) for receipt in reader.receipts] == [(0, 5)]


async def test_a_chunk_that_rotted_is_noticed_and_not_signed_for():
    async with reading(NEVER_S) as reader:
        tables = reader.source._tables
        place = reader.source._chunk_id(9)
        tables.run("UPDATE chunk SET bytes = ? WHERE id = ?", (b"rotten", place))
        await reader.fetch([8])
        with pytest.raises(HoldfastError):
            await reader.fetch([9])
        assert reader.serving.damaged
        assert not reader.source.has(9)
        reader.serving.finish()
        await until(lambda: bool(reader.receipts))
        assert reader.receipts[0].count == 1
