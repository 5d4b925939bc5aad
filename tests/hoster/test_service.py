"""A hoster's life on a real chain: it fetches, acknowledges, serves, mends, and takes up again."""

import asyncio
import errno
import os
import sys
from itertools import combinations

import pytest

from audit.faults import ReceiptsHeard, contradiction
from audit.messages import RECEIPT_EXTENSION, SignedReceipt
from audit.receipts import SessionBinding
from chain.records import ContractRecord, PlanRecord, Table
from feed.feed import Feed
from feed.manifest import discovery_key
from feed.messages import PROTOCOL
from feed.replication.events import Event, Heard
from feed.replication.session import Session, download, open_session
from feed.store import FeedStore
from swarm.tcp import dial
from tests.chain.nodes import HOST, free_port, until
from tests.feed.owner import KEY, PAIR, SIGN, chunk, owned
from tests.hoster.hosting import (
    GENESIS,
    HOSTER,
    LENGTH,
    TERMS,
    active,
    enlisted,
    hosting,
    network,
    source,
)
from tests.people import STRANGER
from wire.codec import decode, encode
from wire.errors import Malformed, Unavailable
from wire.keys import KeyPair, Use
from wire.ports import Connection


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("chain.client.light_client", "chain.client.wallet_client", "hoster.service"):
        monkeypatch.setattr(f"{module}.RETRY_S", (0.02, 0.05))


async def test_a_restarted_hoster_completes_what_it_had_half_fetched(tmp_path):
    owners, path, port = owned(FeedStore(":memory:"), LENGTH), tmp_path / "feeds.db", free_port()
    owners_port = free_port()
    poor = owned(FeedStore(":memory:"), LENGTH)
    poor.forget(range(LENGTH // 2, LENGTH))
    async with asyncio.timeout(30), network(tmp_path) as (url, chain, owner):
        async with hosting(url, path, port) as store:
            await enlisted(chain)
            async with source(poor, owners_port) as endpoint:
                await owner.register(owners, PAIR, endpoint)
                plan = await owner.order(KEY, TERMS)
                mine = store.create(KEY)
                await until(lambda: mine.held.count == LENGTH // 2)
        with FeedStore(path) as store:
            assert store.open(KEY).held.count == LENGTH // 2, "what came is kept"
        async with hosting(url, path, port) as store, source(owners, owners_port):
            contract = await active(chain, plan, LENGTH)
            assert (contract.status, contract.hoster) == ("active", HOSTER.id)
            mine = store.open(KEY)
            assert mine.missing == 0
            assert [mine.chunk(i).value for i in range(LENGTH)] == [chunk(i) for i in range(LENGTH)]
        async with hosting(url, path, port):
            # Nothing is left to do: it only serves.
            again = FeedStore(":memory:").create(KEY)
            await read(port, again)
            assert again.missing == 0


async def dialled(port: int, reader: KeyPair) -> Connection:
    async with asyncio.timeout(10):
        while True:
            try:
                expected = HOSTER.key(Use.SWARM).public
                return await dial(HOST, port, reader, expected_remote=expected)
            except Unavailable:
                await asyncio.sleep(0.02)


async def read(port: int, feed: Feed, reader: KeyPair = STRANGER.account) -> None:
    """Download from the hoster as anybody can, as soon as it serves."""
    async with asyncio.timeout(10):
        while True:
            connection = await dialled(port, reader)
            try:
                await download(connection, feed)
                return
            except Unavailable:
                await asyncio.sleep(0.02)
            finally:
                await connection.close()


async def test_readers_get_receipts_and_no_feeds_that_it_does_not_hold(tmp_path):
    feed, port = owned(FeedStore(":memory:"), LENGTH), free_port()
    async with (
        asyncio.timeout(30),
        network(tmp_path) as (url, chain, owner),
        hosting(url, tmp_path / "feeds.db", port),
        source(feed) as endpoint,
    ):
        await enlisted(chain)
        await owner.register(feed, PAIR, endpoint)
        await active(chain, await owner.order(KEY, TERMS), LENGTH)
        connection = await dialled(port, STRANGER.account)
        try:
            heard: list[SignedReceipt] = []

            def hear(_: Session, event: Event) -> None:
                if isinstance(event, Heard) and event.name == RECEIPT_EXTENSION:
                    heard.append(decode(SignedReceipt, event.payload))

            await download(connection, FeedStore(":memory:").create(KEY), hear)
            assert [signed.receipt.count for signed in heard] == [16, 32]
            binding = SessionBinding(
                network=GENESIS.network,
                hoster=HOSTER.id,
                handshake_hash=connection.handshake_hash,
                peer=STRANGER.account.public,
                feed=KEY,
            )
            signer = HOSTER.key(Use.RECEIPT).public
            receipts = ReceiptsHeard(binding, signer)
            assert [receipts.hear(encode(signed)) for signed in heard] == heard

            other = FeedStore(":memory:").create(STRANGER.id)
            with pytest.raises(Unavailable, match="rejects"):
                await open_session(connection, other)
            with pytest.raises(Unavailable, match="rejects"):
                await connection.open("holdfast/else", discovery_key(KEY))
            for name in (b"", KEY, bytes(32)):
                with pytest.raises(Unavailable, match="rejects"):
                    await connection.open(PROTOCOL, name)
            await download(connection, FeedStore(":memory:").create(KEY), hear)
            counts = [signed.receipt.count for signed in heard]
            assert counts == sorted({*counts}) and counts[-1] > LENGTH, "it counts on"
            for one, other in combinations(heard, 2):
                with pytest.raises(Malformed, match="both receipts can be true"):
                    contradiction(GENESIS.network, signer, one, other)
        finally:
            await connection.close()


async def test_a_newer_head_is_fetched_and_acknowledged(tmp_path):
    feed, port = owned(FeedStore(":memory:"), LENGTH), free_port()
    async with (
        asyncio.timeout(30),
        network(tmp_path) as (url, chain, owner),
        hosting(url, tmp_path / "feeds.db", port) as store,
        source(feed) as endpoint,
    ):
        await enlisted(chain)
        await owner.register(feed, PAIR, endpoint)
        plan = await owner.order(KEY, TERMS)
        await active(chain, plan, LENGTH)
        feed.append([chunk(LENGTH), chunk(LENGTH + 1)], SIGN)
        await owner.register(feed, PAIR, endpoint)
        await active(chain, plan, LENGTH + 2)
        assert store.open(KEY).missing == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads which file a descriptor is of")
async def test_what_is_not_safe_on_the_disk_is_not_acknowledged(tmp_path, monkeypatch):
    feed, port, path = owned(FeedStore(":memory:"), LENGTH), free_port(), tmp_path / "feeds.db"
    log, works, failures = f"{path}-wal", False, 0
    fsync = os.fsync

    def fsync_of_a_bad_disk(descriptor: int) -> None:
        nonlocal failures
        if not works and os.readlink(f"/proc/self/fd/{descriptor}") == log:
            failures += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_of_a_bad_disk)
    async with (
        asyncio.timeout(30),
        network(tmp_path) as (url, chain, owner),
        hosting(url, path, port) as store,
        source(feed) as endpoint,
    ):
        await enlisted(chain)
        await owner.register(feed, PAIR, endpoint)
        plan = await owner.order(KEY, TERMS)
        await until(lambda: failures >= 3)
        assert store.open(KEY).missing == 0
        (contract,) = (await chain.need(PlanRecord, Table.PLAN, plan)).contracts
        assert (await chain.need(ContractRecord, Table.CONTRACT, contract)).status == "assigned"
        works = True
        assert (await active(chain, plan, LENGTH)).status == "active"


async def test_what_the_disk_has_lost_is_fetched_again(tmp_path):
    feed, port, path = owned(FeedStore(":memory:"), LENGTH), free_port(), tmp_path / "feeds.db"
    async with (
        asyncio.timeout(30),
        network(tmp_path) as (url, chain, owner),
        hosting(url, path, port) as store,
        source(feed) as endpoint,
    ):
        await enlisted(chain)
        await owner.register(feed, PAIR, endpoint)
        await active(chain, await owner.order(KEY, TERMS), LENGTH)
        mine = store.open(KEY)
        with FeedStore(path) as other:
            other.open(KEY).forget([3, 17])
        store.refresh()
        await until(lambda: mine.missing == 0)
        # Rotten, and noticed only when somebody asks for it.
        tables = mine._tables
        tables.run("UPDATE chunk SET bytes = x'00' WHERE id = ?", (mine._chunk_id(9),))
        again = FeedStore(":memory:").create(KEY)
        await read(port, again)
        assert again.missing == 0
        assert mine.chunk(9).value == chunk(9)
