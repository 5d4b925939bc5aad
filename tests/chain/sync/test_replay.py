"""A stored chain is executed again: as stored, or refused at the block that is not."""

import sqlite3
from functools import cache
from pathlib import Path

import pytest

from chain.bodies.coins import Transfer
from chain.bodies.validators import Delist
from chain.genesis import Genesis
from chain.sync.replay_service import Replayed, replay
from tests.chain.history import History, shelf
from tests.validators import MANY
from wire.errors import HoldfastError, Malformed, NotFound, Unavailable


@cache
def history() -> History:
    """Three terms of five blocks with a change of the set, and two blocks more."""
    made = History(4)
    made.join(MANY[4])
    made.end_term()
    made.block((MANY[1], Delist()), (MANY[2], Transfer(to=MANY[3].id, amount_base=7)))
    made.end_term()
    made.end_term()
    made.block()
    made.block()
    return made


async def stored(folder: Path) -> Path:
    """A database that a node has written."""
    async with shelf(folder / "chain.db", history()):
        pass
    return folder / "chain.db"


async def replayed(path: Path, genesis: Genesis | None = None) -> tuple[Replayed, list[int]]:
    heard: list[int] = []
    found = await replay(genesis or history().genesis, path, lambda done, of: heard.append(done))
    return found, heard


async def test_a_chain_is_as_it_was_stored(tmp_path):
    path = await stored(tmp_path)
    before = path.read_bytes()
    found, heard = await replayed(path)
    state = history().ledger.state
    assert found == Replayed(
        height=17,
        transactions=4,
        certificates=17,
        terms=4,
        records=len(state.records),
        state_root=state.root,
    )
    assert heard == list(range(1, 18))
    assert path.read_bytes() == before


async def test_a_node_may_go_on_meanwhile(tmp_path):
    async with shelf(tmp_path / "chain.db", history(), 12) as node:
        found, _ = await replayed(tmp_path / "chain.db")
        assert found.height == 12
        await node.fill(history())
        found, _ = await replayed(tmp_path / "chain.db")
        assert found.height == 17


def change(path: Path, *orders: str) -> None:
    database = sqlite3.connect(path)
    with database:
        for order in orders:
            assert database.execute(order).rowcount > 0
    database.close()


TAMPERED = {
    "a certificate of another block": (
        6,
        "UPDATE header SET certificate = (SELECT certificate FROM header WHERE height = 7) "
        "WHERE height = 6",
    ),
    "a term's last block without a certificate": (
        10,
        "UPDATE header SET certificate = NULL WHERE height = 10",
    ),
    "a step of another term": (
        10,
        "UPDATE step SET step = (SELECT step FROM step WHERE term = 1) WHERE term = 2",
    ),
    "no step": (5, "DELETE FROM step WHERE term = 1"),
    "no transactions": (
        6,
        "UPDATE body SET transactions = (SELECT transactions FROM body WHERE height = 7) "
        "WHERE height = 6",
    ),
    "another block": (
        8,
        "UPDATE header SET header = (SELECT header FROM header WHERE height = 7) WHERE height = 8",
    ),
    "another outcome": (6, "UPDATE outcome SET reason = 'expired' WHERE height = 6"),
    "an outcome less": (6, "DELETE FROM outcome WHERE height = 6 AND position = 1"),
    "a hole": (9, "DELETE FROM body WHERE height = 9"),
}


@pytest.mark.parametrize(("height", "order"), TAMPERED.values(), ids=TAMPERED)
async def test_the_block_that_is_not_as_stored_is_named(tmp_path, height, order):
    path = await stored(tmp_path)
    change(path, order)
    with pytest.raises(Malformed, match=f"block {height} does not hold"):
        await replayed(path)


async def test_blocks_are_final_by_a_later_one_of_their_term_only(tmp_path):
    path = await stored(tmp_path)
    change(path, "UPDATE header SET certificate = NULL WHERE height IN (3, 7, 16)")
    found, _ = await replayed(path)
    assert found.certificates == 14
    change(path, "UPDATE header SET certificate = NULL WHERE height = 17")
    with pytest.raises(Malformed, match="nothing makes block 16 final"):
        await replayed(path)


RECORDS = {
    "a record changed": "UPDATE record SET value = (SELECT value FROM record WHERE tab = 0) "
    "WHERE tab = 17",
    "a record less": "DELETE FROM record WHERE tab = 18",
    "a record more": "INSERT INTO record SELECT tab, x'00', value FROM record WHERE tab = 0",
}


@pytest.mark.parametrize("order", RECORDS.values(), ids=RECORDS)
async def test_the_records_must_be_those_that_the_blocks_lead_to(tmp_path, order):
    path = await stored(tmp_path)
    change(path, order)
    with pytest.raises(Malformed, match=r"stored|missing"):
        await replayed(path)


async def test_what_cannot_be_replayed_is_told(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    async with shelf(empty / "chain.db", history(), 0):
        pass
    cases: list[tuple[Path, type[HoldfastError], str]] = [
        (tmp_path / "nothing.db", Unavailable, "cannot read"),
        (empty / "chain.db", NotFound, "no blocks"),
    ]
    rubbish = tmp_path / "rubbish.db"
    rubbish.write_bytes(b"x" * 5_000)
    cases.append((rubbish, Unavailable, "cannot read"))
    for path, kind, why in cases:
        with pytest.raises(kind, match=why):
            await replayed(path)
    path = await stored(tmp_path)
    with pytest.raises(Unavailable, match="another network"):
        await replayed(path, History(4, "other").genesis)
    async with shelf(path, history()) as node:
        await node.store.prune(6)
    with pytest.raises(Unavailable, match="keeps blocks from 6 on"):
        await replayed(path)
