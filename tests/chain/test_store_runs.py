"""Runs of blocks on disk: what makes each final, how they are passed on, and what is pruned."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import cache
from pathlib import Path

import pytest

from chain import store as store_module
from chain.bodies.coins import Transfer
from chain.client.light_client import ChainClient
from chain.consensus.port import Decided
from chain.light import verify_final
from chain.node.follower_node import Follower
from chain.records import Table
from chain.runs import MAX_RUN_BYTES, BlockRun
from chain.store import ChainStore, least_kept
from chain.transition import genesis_state
from tests.builders import World
from tests.chain.chains import Chain, heights
from tests.chain.nodes import answering, following, until
from tests.people import PARAMETERS
from tests.validators import MANY, genesis_of
from wire.codec import decode, encode
from wire.errors import NotFound, Unavailable

FOUR = genesis_of(4)
UNCERTIFIED = (3, 4, 5, 8, 12, 13)


@cache
def written() -> tuple[Chain, tuple[Decided, ...]]:
    """24 blocks with a payment each, some of them final by a later one."""
    chain, decided = Chain(FOUR), []
    for height in range(1, 25):
        world = World(FOUR, chain.ledger.state, chain.ledger.height)
        payment = world.sign(MANY[8], Transfer(to=MANY[9].id, amount_base=5))
        decided.append(chain.write(payment, certified=height not in UNCERTIFIED))
    return chain, tuple(decided)


RUNS = ((1, 2), (3, 6), (7, 10), (11, 20), (21, 24))


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[ChainStore]:
    store = await ChainStore.open(path, FOUR)
    try:
        yield store
    finally:
        await store.close()


async def fill(store: ChainStore) -> None:
    _, decided = written()
    for first, last in RUNS:
        run = decided[first - 1 : last]
        told = await store.commit(run, first=first == 1, genesis_state=genesis_state(FOUR))
        assert [notice.header.height for notice in told] == heights(run)
        for notice in told:
            assert await store.notice(notice.header.height) == notice


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChainStore]:
    async with opened(tmp_path / "chain.db") as made:
        await fill(made)
        yield made


async def test_a_run_comes_back_block_by_block(store):
    chain, _ = written()
    for height in range(1, 25):
        assert await store.block(height) == chain.blocks[height - 1]
    state, tip = await store.load(genesis_state(FOUR))
    assert (state.root, tip) == (chain.ledger.state.root, chain.ledger.tip)


async def test_every_block_is_shown_to_be_final(store):
    chain, decided = written()
    for height in range(1, 25):
        header, descendants, certificate = await store.certified(height)
        assert header == chain.blocks[height - 1].block.header
        assert bool(descendants) == (height in UNCERTIFIED)
        validators = FOUR.first_set if height <= 10 else chain.ledger.validators
        if header.validators_hash == validators.hash:
            verify_final(FOUR.network, validators, header, certificate, descendants)
    with pytest.raises(NotFound, match="there is no block 25 yet"):
        await store.certified(25)
    assert decided[-1].certificate is not None


async def test_a_run_that_fails_halfway_leaves_nothing(tmp_path):
    path = tmp_path / "chain.db"
    _, decided = written()
    async with opened(path) as store:
        await store.commit(decided[:2], first=True, genesis_state=genesis_state(FOUR))
        with closing(sqlite3.connect(path)) as other, other:
            other.execute(
                "CREATE TRIGGER full BEFORE INSERT ON outcome WHEN new.height = 5 "
                "BEGIN SELECT RAISE(FAIL, 'disk full'); END"
            )
        with pytest.raises(Unavailable, match="cannot write block 3"):
            await store.commit(decided[2:6], first=False, genesis_state=genesis_state(FOUR))
    async with opened(path) as store:
        _, tip = await store.load(genesis_state(FOUR))
        assert tip is not None
        assert tip.height == 2


# passed on


@pytest.mark.parametrize("start", [1, 3, 4, 8, 12, 24])
@pytest.mark.parametrize("count", [1, 2, 5, 512])
async def test_what_is_passed_on_is_what_an_honest_peer_says(store, start, count):
    run: BlockRun = decode(BlockRun, await store.run(start, count, MAX_RUN_BYTES, 24))
    chain, _ = written()
    asked = chain.answer(start, count)
    whole = [place for place, final in enumerate(asked.blocks) if final.certificate]
    if not whole:
        assert run == asked
        return
    assert run.blocks == asked.blocks[: whole[-1] + 1]
    assert (run.descendants, run.certificate, run.height) == ((), None, 24)


async def test_what_is_passed_on_has_its_bounds(store):
    size = len(encode(written()[0].blocks[20]))
    run = decode(BlockRun, await store.run(14, 512, 3 * size, 24))
    assert [final.block.header.height for final in run.blocks] == [14, 15, 16]
    run = decode(BlockRun, await store.run(14, 512, 1, 24))
    assert len(run.blocks) == 1, "one block is always given"
    run = decode(BlockRun, await store.run(25, 512, MAX_RUN_BYTES, 24))
    assert (run.blocks, run.height) == ((), 24)


async def test_evidence_is_passed_on_with_its_transaction(tmp_path):
    chain = Chain(FOUR)
    world = World(FOUR, chain.ledger.state)
    body = Transfer(to=MANY[9].id, amount_base=5)
    signed = (world.sign(MANY[8], body, b"evidence" * 100), world.sign(MANY[7], body))
    decided = (chain.write(*signed), chain.write())
    async with opened(tmp_path / "chain.db") as store:
        await store.commit(decided, first=True, genesis_state=genesis_state(FOUR))
        run = decode(BlockRun, await store.run(1, 512, MAX_RUN_BYTES, 2))
    assert run.blocks == tuple(chain.blocks)
    assert run.blocks[0].block.transactions == signed


# pruned


async def test_what_is_pruned_is_gone_and_the_rest_is_not(store):
    chain, _ = written()
    names = [final.block.transactions[0].transaction.id for final in chain.blocks]
    assert await store.prune(15) == 14
    assert await store.lowest() == 15
    for height in range(1, 15):
        with pytest.raises(NotFound, match=f"{height} is not kept here.* keeps blocks from 15 on"):
            await store.block(height)
        with pytest.raises(NotFound):
            await store.notice(height)
        with pytest.raises(NotFound):
            await store.outcome(names[height - 1])
        assert await store.block_outcomes(height) == []
    with pytest.raises(NotFound, match="keeps blocks from 15 on"):
        await store.run(14, 512, MAX_RUN_BYTES, 24)
    for height in range(15, 25):
        assert await store.block(height) == chain.blocks[height - 1]
        assert (await store.outcome(names[height - 1]))[1] == height
    assert (await store.certified(10))[0] == chain.blocks[9].block.header, "the last of a term"
    with pytest.raises(NotFound):
        await store.certified(9)


async def test_pruning_twice_or_too_high_takes_nothing_more(store, monkeypatch):
    monkeypatch.setattr(store_module, "PRUNED_AT_ONCE", 4)
    assert await store.prune(1) == 0
    assert await store.prune(20) == 19
    assert await store.prune(20) == 0
    _, tip = await store.load(genesis_state(FOUR))
    assert tip is not None
    assert tip.height == 24


async def test_steps_between_terms_outlive_their_blocks(store):
    await store.put_step(1, b"step")
    await store.prune(24)
    assert await store.step(1) == b"step"
    with pytest.raises(NotFound):
        await store.step(2)


async def test_the_file_shrinks(tmp_path):
    path = tmp_path / "chain.db"
    async with opened(path) as store:
        await fill(store)
        await store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = await pages(store)
        await store.prune(24)
        await store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert await pages(store) < before
        rows = await store._database.execute_fetchall("PRAGMA freelist_count")
        assert [tuple(row) for row in rows] == [(0,)]


async def pages(store: ChainStore) -> int:
    for row in await store._database.execute_fetchall("PRAGMA page_count"):
        return int(row[0])
    raise AssertionError


async def test_a_pruned_node_starts_proves_and_goes_on(tmp_path):
    path = tmp_path / "chain.db"
    chain, decided = written()
    async with opened(path) as store:
        await fill(store)
        await store.prune(24)
    node = await Follower.open(FOUR, path, [])
    try:
        assert (node.height, node.state.root) == (24, chain.ledger.state.root)
        assert (await node.prove_transaction(transaction(24))).header == node.tip
        with pytest.raises(NotFound):
            await node.prove_transaction(transaction(23))
        with pytest.raises(NotFound, match="keeps blocks from 24 on"):
            await node.require_kept(23)
        await node.require_kept(24)
        await node.require_kept(25)
        assert decided
    finally:
        await node.close()


def transaction(height: int) -> bytes:
    return written()[0].blocks[height - 1].block.transactions[0].transaction.id


async def run_through(node: Follower) -> None:
    """Have a node take all blocks, as one does that catches up."""
    _, decided = written()
    for first, last in RUNS:
        blocks = [(each.prepared.block, each.certificate) for each in decided[first - 1 : last]]
        await node.keep([Decided(node.ledger.validate(block), by) for block, by in blocks])


async def test_a_client_that_missed_what_was_pruned_begins_at_the_present(tmp_path):
    node = await Follower.open(FOUR, tmp_path / "chain.db", [])
    try:
        await run_through(node)
        await node.store.prune(24)
        async with answering(node) as url, ChainClient(url, FOUR) as client:
            client._heard, client._begun = 5, True
            key = (int(Table.ACCOUNT), MANY[8].id)
            client._watched[key] += 1
            async with following(client):
                await until(lambda: client._heard == 24)
            assert client._written[key] == 24, "whoever waits looks again"
    finally:
        await node.close()


async def test_a_node_prunes_as_it_goes(tmp_path, monkeypatch):
    monkeypatch.setattr("chain.node.reading_node.PRUNE_EVERY", 5)
    node = await Follower.open(FOUR, tmp_path / "chain.db", [])
    try:
        node.keep_blocks = 6
        await run_through(node)
        assert node.height == 24
        assert await node.store.lowest() == 15, "pruned at the runs that passed 5, 10 and 20"
    finally:
        await node.close()


def test_what_is_under_way_is_never_pruned():
    assert least_kept(PARAMETERS) == 50
    longer = PARAMETERS.model_copy(update={"unbonding_blocks": 700})
    assert least_kept(longer) == 700
