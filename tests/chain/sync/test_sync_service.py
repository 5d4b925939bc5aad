"""A node among peers: it comes to the tip if one of them is honest, and follows it there."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from chain.bodies.coins import Transfer
from chain.client.light_client import ChainClient
from chain.consensus.port import Decided
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.node.follower_node import Follower
from chain.reasons import Reason
from chain.records import Account, Table
from chain.runs import BlockRange, BlockRun
from chain.sync import sync_service
from chain.sync.sync_service import Progress, Sync
from chain.transition import genesis_state
from tests.builders import World
from tests.chain.chains import Chain
from tests.chain.front import serving
from tests.chain.nodes import QUICK, answering, served_node, until
from tests.people import OWNER, STRANGER
from tests.validators import MANY, genesis_of
from wire.errors import Malformed, NotFound, Rejected, Unavailable

FOUR = genesis_of(4)


@cache
def long() -> Chain:
    chain = Chain(FOUR)
    chain.grow(45)
    return chain


class Peer:
    """Says what a chain has, bent by whoever tests; at most `count` blocks at once."""

    def __init__(
        self,
        chain: Chain,
        bend: Callable[[BlockRun], BlockRun] = lambda run: run,
        name: str = "peer",
        count: int = 7,
    ) -> None:
        self.chain, self.bend, self.name, self.count = chain, bend, name, count
        self.asked: list[int] = []

    async def fetch(self, wanted: BlockRange, wait_s: int) -> BlockRun:
        self.asked.append(wanted.from_height)
        await asyncio.sleep(0)
        run = self.chain.answer(wanted.from_height, min(wanted.count, self.count))
        if wait_s and not run.blocks:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await until(lambda: len(self.chain.blocks) >= wanted.from_height)
            run = self.chain.answer(wanted.from_height, self.count)
        return self.bend(run)


def raising(error: Exception) -> Callable[[BlockRun], BlockRun]:
    def bend(run: BlockRun) -> BlockRun:
        raise error

    return bend


def unsealed(run: BlockRun) -> BlockRun:
    blocks = tuple(final.model_copy(update={"certificate": None}) for final in run.blocks)
    return run.model_copy(update={"blocks": blocks})


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have something go on until the block ends."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Late:
    """A node in memory."""

    def __init__(self, *peers: Peer, **more: object) -> None:
        self.ledger = Ledger(FOUR, genesis_state(FOUR), None)
        self.sync = Sync(self.ledger, self.keep, peers, **more)

    async def keep(self, run: Sequence[Decided]) -> None:
        for decided in run:
            self.ledger.commit(decided.prepared)


async def test_a_node_comes_to_the_tip_and_says_how_far_it_is():
    told: list[Progress] = []
    late = Late(Peer(long()), tell=told.append)
    late.sync._told = -1_000.0
    await late.sync.catch_up()
    assert late.ledger.state.root == long().ledger.state.root
    assert (told[-1].height, told[-1].target, told[-1].eta_s) == (45, 45, 0)


BAD_PEERS = {
    "gone": raising(Unavailable("it does not answer")),
    "pruned": raising(NotFound("block 1 is not kept here")),
    "speaks garbage": raising(Malformed("not CBOR")),
    "gives blocks that nothing makes final": unsealed,
    "says it has more, and gives none": lambda run: run.model_copy(
        update={"blocks": (), "height": 10**6}
    ),
    "gives the same again and again": lambda run: long().answer(1, 7),
}


@pytest.mark.parametrize("bend", BAD_PEERS.values(), ids=BAD_PEERS)
async def test_one_honest_peer_is_enough(bend):
    bad, good = Peer(long(), bend, "bad"), Peer(long(), name="good")
    late = Late(bad, good)
    await late.sync.catch_up()
    assert late.ledger.state.root == long().ledger.state.root
    assert bad.asked


@pytest.mark.parametrize("bend", BAD_PEERS.values(), ids=BAD_PEERS)
async def test_with_none_that_is_honest_the_node_says_why(bend):
    late = Late(Peer(long(), bend, "bad"))
    with pytest.raises(Unavailable, match="bad: "):
        await late.sync.catch_up()


async def test_a_peer_that_lied_is_asked_again_much_later():
    liar, good = Peer(long(), unsealed, "liar"), Peer(long(), name="good")
    late = Late(liar, good)
    async with running(late.sync.run()):
        await until(lambda: late.ledger.height == 45)
    assert len(liar.asked) <= 2


async def test_a_peer_that_comes_back_is_asked_again(monkeypatch):
    monkeypatch.setattr(sync_service, "RETRY_S", (0.01,))
    peer = Peer(long(), raising(Unavailable("gone")))
    late = Late(peer)
    async with running(late.sync.run()):
        await until(lambda: len(peer.asked) >= 3)
        assert late.sync.trouble == "peer: gone"
        peer.bend = lambda run: run
        await until(lambda: late.ledger.height == 45)
        assert late.sync.trouble == ""


async def test_new_blocks_are_followed_as_they_come():
    chain = Chain(FOUR)
    late = Late(Peer(chain))
    async with running(late.sync.run()):
        for height in range(1, 15):
            chain.grow(1)
            await until(lambda height=height: late.ledger.height == height)
    assert late.ledger.state.root == chain.ledger.state.root


async def test_a_disk_that_does_not_take_blocks_is_no_peers_fault():
    late = Late(Peer(long()))

    async def full(run: Sequence[Decided]) -> None:
        raise Unavailable("cannot write block 1: disk full")

    late.sync._keep = full
    with pytest.raises(Unavailable, match="disk full"):
        await late.sync.run()


async def test_a_peer_that_has_nothing_is_not_asked_without_a_pause():
    chain = Chain(FOUR)
    chain.grow(3)
    empty = Peer(chain)
    late = Late(empty)

    async def at_once(wanted: BlockRange, wait_s: int) -> BlockRun:
        empty.asked.append(wanted.from_height)
        return chain.answer(wanted.from_height)

    empty.fetch = at_once  # type: ignore[method-assign]
    async with running(late.sync.run()):
        await until(lambda: late.ledger.height == 3)
        await asyncio.sleep(0.3)
    assert len(empty.asked) <= 4


async def test_without_peers_there_is_nothing_to_follow():
    with pytest.raises(Unavailable, match="no node to follow"):
        await Late().sync.run()
    with pytest.raises(Unavailable, match="no peer has answered yet"):
        await Late().sync.catch_up()


# over HTTP, from store to store


@asynccontextmanager
async def follower(path: Path, *urls: str, agreed: Genesis = FOUR) -> AsyncIterator[Follower]:
    node = await Follower.open(agreed, path, urls)
    try:
        yield node
    finally:
        await node.close()


async def fill(node: Follower, chain: Chain) -> None:
    """Bring a node to where a chain is."""
    await Sync(node.ledger, node.keep, [Peer(chain, count=512)]).catch_up()


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[tuple[Follower, str]]:
    """A node with blocks, and where it answers."""
    async with follower(tmp_path / "source.db") as node:
        await fill(node, long())
        async with answering(node) as url:
            yield node, url


async def test_a_store_is_copied_block_by_block_over_http(source, tmp_path):
    node, url = source
    async with follower(tmp_path / "copy.db", url) as copy:
        await copy.catch_up()
        assert (copy.height, copy.state.root) == (45, node.state.root)
        for height in (1, 10, 31, 45):
            assert await copy.block(height) == await node.block(height) == long().blocks[height - 1]
    async with follower(tmp_path / "copy.db", url) as again:
        assert (again.height, again.state.root) == (45, node.state.root)


async def test_a_copy_can_be_copied(source, tmp_path):
    _, url = source
    async with follower(tmp_path / "first.db", url) as first:
        await first.catch_up()
        async with answering(first) as nearer, follower(tmp_path / "second.db", nearer) as second:
            await second.catch_up()
            assert second.state.root == first.state.root


async def test_a_node_behind_says_so_until_it_is_not(tmp_path):
    chain = Chain(FOUR)
    chain.grow(5)
    async with follower(tmp_path / "source.db") as node:
        await fill(node, chain)
        async with answering(node) as url, follower(tmp_path / "copy.db", url) as copy:
            assert copy.healthy == "starting"
            async with running(copy.run()):
                await until(lambda: copy.height == 5 and copy.healthy == "")
                chain.grow(3)
                await fill(node, chain)
                await until(lambda: copy.height == 8)
            assert copy.healthy == "stopped"


async def test_what_a_copy_proves_is_believed(source, tmp_path):
    _, url = source
    async with follower(tmp_path / "copy.db", url) as copy:
        await copy.catch_up()
        async with answering(copy) as nearer, ChainClient(nearer, FOUR) as client:
            record = await client.record(Account, Table.ACCOUNT, MANY[0].id)
            assert record == copy.state.get((Table.ACCOUNT, MANY[0].id))


async def test_an_answer_larger_than_any_is_cut_off(tmp_path):
    async def flood(request: web.Request) -> web.Response:
        return web.Response(body=bytes(5 << 20))

    async with serving(flood) as url, follower(tmp_path / "copy.db", url) as copy:
        with pytest.raises(Unavailable, match="more than 4194304 bytes"):
            await copy.catch_up()
        assert copy.height == 0


# what a follower is given to send


async def test_a_transaction_is_passed_on_and_what_the_peer_says_is_the_answer(tmp_path):
    """A validator takes it through the follower, and the follower sees it final."""
    async with (
        served_node(tmp_path / "validator.db") as url,
        follower(tmp_path / "copy.db", url, agreed=QUICK) as copy,
        running(copy.run()),
    ):
        await until(lambda: copy.height >= 2)
        signed = World(QUICK, copy.state, copy.height).sign(OWNER, PAYMENT)
        assert await copy.accept(signed) == signed.transaction.id
        await until(lambda: copy.state.get(STRANGERS) != QUICK_STATE.get(STRANGERS))
        proof = await copy.prove_transaction(signed.transaction.id)
        assert proof.reason == ""
        with pytest.raises(Rejected) as refused:
            await copy.accept(signed)
        assert refused.value.reason is Reason.NONCE_USED
        unsigned = signed.model_copy(update={"signature": bytes(64)})
        with pytest.raises(Rejected) as refused:
            await copy.accept(unsigned)
        assert refused.value.reason is Reason.BAD_SIGNATURE


async def test_with_no_peer_that_answers_a_transaction_is_not_taken(tmp_path):
    async with follower(tmp_path / "copy.db", "http://127.0.0.1:1") as copy:
        world = World(FOUR, copy.state)
        signed = world.sign(MANY[8], Transfer(to=MANY[9].id, amount_base=1))
        with pytest.raises(Unavailable, match="only follows, and could not pass it on"):
            await copy.accept(signed)


PAYMENT = Transfer(to=STRANGER.id, amount_base=5)
STRANGERS = (Table.ACCOUNT, STRANGER.id)
QUICK_STATE = genesis_state(QUICK)
