"""A hoster that is asked for chunks on the chain shows them, whatever happens to it meanwhile."""

import asyncio
from typing import Any

import pytest

from chain.bodies.data import MAX_CHUNK_BYTES, Answer, AskData
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.hosting_records import DataRequest
from chain.messages import MAX_SIDECAR_BYTES, Body
from chain.records import ContractRecord, PlanRecord, Table
from feed.check import larger_chunk
from feed.feed import signed_by
from feed.store import FeedStore
from hoster.answers import answers, split
from tests.chain.nodes import free_port, until
from tests.feed.owner import KEY, MANIFEST, PAIR, SIGN, chunk, owned
from tests.hoster.hosting import LENGTH, TERMS, active, enlisted, hosting, network, source
from tests.people import ATTESTORS
from wire.codec import encode
from wire.errors import NotFound


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = "chain.client.light_client", "chain.client.wallet_client"
    modules = (*clients, "hoster.service", "hoster.answer_service")
    for module in modules:
        monkeypatch.setattr(f"{module}.RETRY_S", (0.02, 0.05))


async def ask(chain: ChainClient, contract: bytes, *chunks: int) -> bytes:
    wallet = Wallet(chain, ATTESTORS[0].account)
    return await wallet.send(AskData(contract=contract, chunks=chunks))


async def over(chain: ChainClient, request: bytes) -> DataRequest:
    return await chain.wait(
        DataRequest,
        Table.DATA_REQUEST,
        request,
        lambda now: now.status not in ("asked", "open"),
    )


async def test_what_a_hoster_says_is_of_use_until_its_deadline(tmp_path, monkeypatch):
    said: list[tuple[str, int | None]] = []
    send = Wallet.send

    async def noted(self: Wallet, body: Body, *rest: bytes, **how: Any) -> bytes:
        said.append((body.kind, how.get("by_height")))
        return await send(self, body, *rest, **how)

    monkeypatch.setattr(Wallet, "send", noted)
    feed = owned(FeedStore(":memory:"), LENGTH)
    async with (
        asyncio.timeout(40),
        network(tmp_path) as (url, chain, owner),
        source(feed) as endpoint,
        hosting(url, tmp_path / "feeds.db", free_port()),
    ):
        await enlisted(chain)
        await owner.register(feed, PAIR, endpoint)
        contract = await active(chain, await owner.order(KEY, TERMS), LENGTH)
        request = await over(chain, await ask(chain, contract.contract, 3))
    assert ("acknowledge", contract.acknowledge_by) in said
    assert ("answer_data", request.deadline) in said


async def test_what_is_asked_is_shown_also_when_the_hoster_was_down_or_has_lost_it(tmp_path):
    feed, port, path = owned(FeedStore(":memory:"), LENGTH), free_port(), tmp_path / "feeds.db"
    async with (
        asyncio.timeout(40),
        network(tmp_path) as (url, chain, owner),
        source(feed) as endpoint,
    ):
        async with hosting(url, path, port):
            await enlisted(chain)
            await owner.register(feed, PAIR, endpoint)
            contract = (await active(chain, await owner.order(KEY, TERMS), LENGTH)).contract
            request = await ask(chain, contract, 3, 7)
            assert (await over(chain, request)).status == "answered"
            rests = (await chain.need(ContractRecord, Table.CONTRACT, contract)).rests_until
        await chain.reach(rests)
        request = await ask(chain, contract, 5, 30)
        with FeedStore(path) as store:
            store.open(KEY).forget([5])
        async with hosting(url, path, port):
            shown = await over(chain, request)
        assert shown.status == "answered" and {5, 30} < {*shown.shown}


async def test_before_a_fork_is_taken_what_was_asked_of_the_one_before_is_shown(tmp_path):
    feed, port, path = owned(FeedStore(":memory:"), LENGTH), free_port(), tmp_path / "feeds.db"
    async with asyncio.timeout(40), network(tmp_path) as (url, chain, owner):
        async with hosting(url, path, port), source(feed) as endpoint:
            await enlisted(chain)
            await owner.register(feed, PAIR, endpoint)
            plan = await owner.order(KEY, TERMS)
            contract = (await active(chain, plan, LENGTH)).contract
        request = await ask(chain, contract, LENGTH - 1)
        feed.truncate(LENGTH - 2, SIGN)
        feed.append([chunk(0)], SIGN)
        async with source(feed) as endpoint:
            await owner.register(feed, PAIR, endpoint)
            async with hosting(url, path, port):
                assert (await over(chain, request)).status == "answered"
                moved = await active(chain, plan, LENGTH - 1)
                assert moved.head is not None and moved.head.fork == 1


async def record(chain: ChainClient, contract: bytes) -> ContractRecord:
    return await chain.need(ContractRecord, Table.CONTRACT, contract)


async def test_a_fork_that_the_chain_does_not_know_is_not_taken_from_anybody(tmp_path):
    feed, port, path = owned(FeedStore(":memory:"), LENGTH), free_port(), tmp_path / "feeds.db"
    async with (
        asyncio.timeout(40),
        network(tmp_path) as (url, chain, owner),
        source(feed) as endpoint,
    ):
        async with hosting(url, path, port):
            await enlisted(chain)
            await owner.register(feed, PAIR, endpoint)
            plan = await owner.order(KEY, TERMS)
            contract = (await active(chain, plan, LENGTH)).contract
        feed.truncate(10, SIGN)
        with FeedStore(path) as store:
            store.open(KEY).forget([5])
        async with hosting(url, path, port) as store:
            mine = store.open(KEY)
            await until(lambda: mine.max_fork == 0)
            for _ in range(20):
                await chain.next_block()
            assert (mine.fork, mine.length, mine.missing) == (0, LENGTH, 1)
            assert (await record(chain, contract)).status == "active"


async def test_a_feed_that_could_not_be_shown_is_not_acknowledged(tmp_path):
    store = FeedStore(":memory:")
    feed = store.create(KEY, MANIFEST)
    sign = signed_by(PAIR, KEY, MANIFEST)
    feed.append([bytes(100), bytes(MAX_CHUNK_BYTES + 1), b"x"], sign)
    port, path = free_port(), tmp_path / "feeds.db"
    async with (
        asyncio.timeout(40),
        network(tmp_path) as (url, chain, owner),
        source(feed) as endpoint,
        hosting(url, path, port) as mine,
    ):
        await enlisted(chain)
        await owner.register(feed, PAIR, endpoint)
        plan = await owner.order(KEY, TERMS)
        held = mine.create(KEY)
        await until(lambda: held.held.count == 3)
        for _ in range(20):
            await chain.next_block()
        (contract,) = (await chain.need(PlanRecord, Table.PLAN, plan)).contracts
        assert (await record(chain, contract)).status == "assigned"


def test_the_chunk_that_is_too_large_is_found_by_the_tree():
    store = FeedStore(":memory:")
    feed = store.create(KEY, MANIFEST)
    feed.append([bytes(10)] * 13 + [bytes(50)] + [bytes(10)] * 8, SIGN)
    large = larger_chunk(feed, 49)
    assert large is not None and (large.index, large.size) == (26, 50)
    assert larger_chunk(feed, 50) is None


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([], []),
        ([(3, MAX_CHUNK_BYTES)], [(3,)]),
        ([(1, 10), (2, MAX_CHUNK_BYTES), (9, 10)], [(1,), (2,), (9,)]),
        ([(0, 65_536), (1, 65_536), (2, 65_536), (3, 65_536), (4, 65_536)], [(0, 1, 2, 3, 4)]),
        ([(0, 500_000), (1, 500_000), (2, 500_000)], [(0, 1), (2,)]),
    ],
)
def test_an_answer_holds_what_fits(sizes, parts):
    assert list(split(sizes)) == parts


def test_the_largest_answers_fit_beside_a_transaction():
    store = FeedStore(":memory:")
    feed = store.create(KEY, MANIFEST)
    feed.append([bytes([n]) * size for n, size in enumerate((MAX_CHUNK_BYTES, 10, 300_000))], SIGN)
    feed.append([bytes([n]) * 207_000 for n in range(60)], SIGN)
    for wanted in ((0,), (0, 1, 2), (3, 20, 37, 50, 61)):
        made = answers(feed, feed.length, wanted)
        assert all(len(encode(part)) <= MAX_SIDECAR_BYTES for part in made)
        assert [one.index for part in made for one in part.chunks] == [*wanted]
        assert all(isinstance(part, Answer) for part in made)


def test_what_has_rotted_is_not_shown():
    feed = owned(FeedStore(":memory:"), LENGTH)
    feed._tables.run("UPDATE chunk SET bytes = x'00' WHERE id = ?", (feed._chunk_id(9),))
    with pytest.raises(NotFound, match="rotted"):
        answers(feed, LENGTH, (3, 9))
    assert not feed.has(9)
    with pytest.raises(NotFound):
        answers(feed, LENGTH, (9,))
