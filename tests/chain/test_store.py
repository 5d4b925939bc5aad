"""The chain on disk: a block is there whole or not at all, and what was changed is noticed."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from chain.bodies.coins import Transfer
from chain.ledger import Ledger
from chain.records import Table
from chain.store import ChainStore
from chain.transition import genesis_state
from tests.chain.final import genesis_of
from tests.chain.victim import GENESIS, kill_after, load, pay, write_block
from tests.people import ATTESTORS, OWNER, STRANGER
from tests.stages import funded
from wire.errors import NotFound, Unavailable

EVIDENCE = b"evidence" * 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chain.db"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[tuple[ChainStore, Ledger]]:
    store = await ChainStore.open(path, GENESIS)
    try:
        yield store, await load(store)
    finally:
        await store.close()


async def write(path: Path, blocks: int = 3) -> bytes:
    """Blocks with a payment each; returns the state root."""
    async with opened(path) as (store, ledger):
        for _ in range(blocks):
            await write_block(store, ledger, pay(ledger, OWNER))
        return ledger.state.root


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement, values)


async def test_an_empty_store_is_at_the_genesis(path):
    async with opened(path) as (store, ledger):
        assert (ledger.height, ledger.tip) == (0, None)
        assert ledger.state.root == genesis_state(GENESIS).root
        with pytest.raises(NotFound):
            await store.block(1)
        with pytest.raises(NotFound):
            await store.notice(1)
        with pytest.raises(NotFound):
            await store.outcome(b"x" * 32)


async def test_state_and_tip_are_there_after_a_restart(path):
    root = await write(path)
    async with opened(path) as (store, ledger):
        assert (ledger.height, ledger.state.root) == (3, root)
        await write_block(store, ledger)
        assert ledger.height == 4


async def test_a_block_comes_back_with_its_evidence_and_outcomes(path):
    async with opened(path) as (store, ledger):
        world = funded()
        first = pay(ledger, OWNER)
        evident = world.sign(ATTESTORS[0], Transfer(to=STRANGER.id, amount_base=1), EVIDENCE)
        last = world.sign(ATTESTORS[1], Transfer(to=STRANGER.id, amount_base=10**12))
        await write_block(store, ledger, first, evident, last)
        final = await store.block(1)
        block, certificate = final.block, final.certificate
        assert block.transactions == (first, evident, last)
        assert block.header == ledger.tip
        assert certificate.vote.block == block.header.id
        outcomes = await store.block_outcomes(1)
        assert [o[0] for o in outcomes] == [t.transaction.id for t in (first, evident, last)]
        assert [o[3] for o in outcomes] == ["", "unexpected_sidecar", "insufficient_balance"]
        assert await store.outcome(last.transaction.id) == outcomes[2]
        notice = await store.notice(1)
        assert (notice.header, notice.certificate) == (block.header, certificate)
        assert (Table.ACCOUNT, OWNER.id) in {(c.table, c.key) for c in notice.changed}


async def test_every_block_follows_from_the_one_before(path):
    await write(path, 5)
    async with opened(path) as (store, ledger):
        replayed = Ledger(GENESIS, genesis_state(GENESIS), None)
        for height in range(1, 6):
            final = await store.block(height)
            replayed.commit(replayed.validate(final.block))
        assert replayed.state.root == ledger.state.root


async def test_a_validator_killed_again_and_again_contradicts_nothing_it_said(path):
    said: dict[int, str] = {}
    for lines in (1, 9, 17):
        for height, root in kill_after(lines, path):
            assert height not in said, "no height is written twice"
            said[height] = root
        async with opened(path) as (_, ledger):
            assert ledger.height >= max(said), "what was acknowledged is kept"
            said.setdefault(ledger.height, ledger.state.root.hex())
    async with opened(path) as (store, ledger):
        replayed = Ledger(GENESIS, genesis_state(GENESIS), None)
        for height in range(1, ledger.height + 1):
            final = await store.block(height)
            replayed.commit(replayed.validate(final.block))
            assert said.get(height, replayed.state.root.hex()) == replayed.state.root.hex()
        assert replayed.state.root == ledger.state.root


@pytest.mark.parametrize("table", ["header", "body", "outcome", "record"])
async def test_a_block_that_fails_halfway_leaves_nothing(path, table):
    root = await write(path)
    change(
        path,
        f"CREATE TRIGGER full BEFORE INSERT ON {table} BEGIN SELECT RAISE(FAIL, 'disk full'); END",
    )
    async with opened(path) as (store, ledger):
        with pytest.raises(Unavailable, match="cannot write block 4"):
            await write_block(store, ledger, pay(ledger, OWNER), pay(ledger, ATTESTORS[0]))
    change(path, "DROP TRIGGER full")
    async with opened(path) as (store, ledger):
        assert (ledger.height, ledger.state.root) == (3, root)
        with pytest.raises(NotFound):
            await store.block(4)
        await write_block(store, ledger, pay(ledger, OWNER))


async def test_nobody_is_shown_a_block_before_it_is_kept(path):
    async with opened(path) as (store, ledger):
        await write_block(store, ledger)
        writing = asyncio.create_task(
            write_block(store, ledger, *(pay(ledger, person) for person in ATTESTORS))
        )
        while True:
            try:
                await store.block(2)
            except NotFound:
                assert not writing.done() or writing.exception() is None
                continue
            with closing(sqlite3.connect(path)) as other:
                assert other.execute("SELECT max(height) FROM header").fetchone() == (2,)
            break
        await writing


# what is not ours, or no longer what we wrote


async def test_another_networks_chain_is_left_alone(path):
    await write(path)
    before = path.read_bytes()
    with pytest.raises(Unavailable, match="another network"):
        await ChainStore.open(path, genesis_of(2))
    assert path.read_bytes() == before


@pytest.mark.parametrize("mark", [0, 77])
async def test_another_programs_database_is_left_alone(path, mark):
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (value)")
        other.execute(f"PRAGMA application_id = {mark}")
        other.commit()
    before = path.read_bytes()
    with pytest.raises(Unavailable, match="another program"):
        await ChainStore.open(path, GENESIS)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_left_alone(path):
    path.write_bytes(b"no database " * 1_000)
    with pytest.raises(Unavailable, match="damaged"):
        await ChainStore.open(path, GENESIS)
    assert path.read_bytes() == b"no database " * 1_000


async def test_a_newer_versions_chain_is_left_alone(path):
    await write(path)
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(Unavailable, match="version 99"):
        await ChainStore.open(path, GENESIS)


async def test_a_folder_that_is_not_there_is_told_of(tmp_path):
    with pytest.raises(Unavailable, match="cannot open"):
        await ChainStore.open(tmp_path / "none" / "chain.db", GENESIS)


CHANGES = {
    "a record taken away": ("DELETE FROM record WHERE tab = 1 AND key = ?", OWNER.id),
    "all records taken away": ("DELETE FROM record",),
    "a record of another": (
        "UPDATE record SET value = (SELECT value FROM record WHERE tab = 1 AND key = ?) "
        "WHERE tab = 1",
        OWNER.id,
    ),
    "a record moved": (
        "UPDATE record SET key = ? WHERE tab = 1 AND key = ?",
        b"x" * 32,
        OWNER.id,
    ),
    "a record of no kind": ("INSERT INTO record VALUES (99, ?, ?)", b"x", b"y"),
    "a record that is none": ("UPDATE record SET value = ? WHERE tab = 0", b"\xff"),
    "the last block": ("DELETE FROM header WHERE height = 3",),
    "the last block's bytes": ("UPDATE header SET header = ? WHERE height = 3", b"\xff"),
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES)
async def test_a_chain_that_was_changed_does_not_start(path, statement):
    await write(path)
    change(path, *statement)
    with pytest.raises(Unavailable, match=f"{path.name}.*damaged"):
        async with opened(path):
            pass


async def test_a_damaged_page_is_told_of(path):
    await write(path)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xaa" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(Unavailable, match="damaged"):
        async with opened(path):
            pass
