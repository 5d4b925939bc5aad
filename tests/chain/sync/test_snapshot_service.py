"""Beginning at a state that others have: from honest peers, and never from one that lies."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import pytest

from chain.client.light_client import ChainClient
from chain.node.follower_node import Follower
from chain.records import Account, Table
from chain.sync import snapshot as snapshot_module
from chain.sync.snapshot import SnapshotHead, SnapshotPart
from chain.sync.snapshot_service import load_snapshot
from chain.sync.snapshot_store import SnapshotStore
from chain.trust import Trust
from tests.chain.chains import Chain
from tests.chain.front import Front, front
from tests.chain.nodes import answering
from tests.chain.sync.test_sync_service import fill, follower
from tests.validators import MANY, genesis_of
from wire.codec import decode, encode
from wire.errors import NotFound, Unavailable

FOUR = genesis_of(4)


@cache
def chain() -> Chain:
    made = Chain(FOUR)
    made.grow(34)
    return made


@asynccontextmanager
async def offering(folder: Path, grown: Chain, term: int | None = None) -> AsyncIterator[Follower]:
    """A node with a chain, that offers its state after a term in small parts."""
    async with follower(folder.with_suffix(".db")) as node:
        await fill(node, grown)
        top = grown if term is None else Chain(FOUR)
        if term is not None:
            for final in grown.blocks[: 10 * term]:
                top.ledger.commit(top.ledger.validate(final.block))
        tip = top.ledger.tip
        assert tip is not None
        _, _, certificate = await node.store.certified(tip.height)
        node.snapshots = SnapshotStore(folder, FOUR.network)
        state = top.ledger.state
        bodies = snapshot_module.take(tip, certificate, state.records, state.tree)
        node.snapshots.write(tip.height, bodies)
        yield node


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(snapshot_module, "PART_BYTES", 400)


async def test_a_node_begins_at_a_state_and_goes_on_from_there(tmp_path):
    path = tmp_path / "new.db"
    async with offering(tmp_path / "old", chain(), term=3) as node, answering(node) as url:
        header = await load_snapshot(FOUR, path, [url])
        assert header == chain().blocks[29].block.header
        async with follower(path, url) as new:
            assert (new.height, new.state.root) == (30, header.state_root)
            with pytest.raises(NotFound, match="keeps blocks from 31 on"):
                await new.block(30)
            await new.catch_up()
            assert (new.height, new.state.root) == (34, node.state.root)
            async with answering(new) as nearer, ChainClient(nearer, FOUR) as client:
                found = await client.record(Account, Table.ACCOUNT, MANY[0].id)
                assert found == node.state.get((Table.ACCOUNT, MANY[0].id))
        async with follower(path, url) as again:
            assert (again.height, again.state.root) == (34, node.state.root)


async def test_a_database_with_blocks_is_not_touched(tmp_path):
    path = tmp_path / "new.db"
    async with follower(path) as node:
        await fill(node, chain())
    assert await load_snapshot(FOUR, path, ["http://127.0.0.1:1"]) is None
    async with follower(path) as node:
        assert node.height == 34


async def test_the_newest_state_is_taken(tmp_path):
    async with (
        offering(tmp_path / "one", chain(), term=1) as one,
        offering(tmp_path / "two", chain(), term=2) as two,
        answering(one) as old,
        answering(two) as new,
    ):
        header = await load_snapshot(FOUR, tmp_path / "new.db", [old, new])
        assert header.height == 20


async def test_trust_may_begin_at_a_checkpoint(tmp_path):
    async with offering(tmp_path / "old", chain()) as node, answering(node) as url:
        async with ChainClient(url, FOUR) as client:
            await client.follow_terms(chain().blocks[20].block.header)
            checkpoint = client.trust.checkpoint
        assert checkpoint.height == 20
        trust = Trust(FOUR, checkpoint)
        header = await load_snapshot(FOUR, tmp_path / "new.db", [url], trust)
        assert header.height == 34


# peers that lie


def in_head(change: Callable[[SnapshotHead], SnapshotHead]) -> Callable[[str, bytes], bytes]:
    def answer(path: str, body: bytes) -> bytes:
        if path != "/api/v1/sync/snapshot":
            return body
        return encode(change(decode(SnapshotHead, body)))

    return answer


def in_part(change: Callable[[SnapshotPart], SnapshotPart]) -> Callable[[str, bytes], bytes]:
    def answer(path: str, body: bytes) -> bytes:
        if not path.startswith("/api/v1/sync/snapshot/") or not path.endswith(("1", "2")):
            return body
        return encode(change(decode(SnapshotPart, body)))

    return answer


def everywhere(said: bytes | None) -> Callable[[str, bytes], bytes | None]:
    return lambda path, body: said if path.startswith("/api/v1/sync/snapshot") else body


OTHER_HEADER = {"state_root": b"x" * 32}
LIES: dict[str, Callable[[str, bytes], bytes | None]] = {
    "garbage": everywhere(b"garbage"),
    "nothing": everywhere(None),
    "too much": everywhere(bytes(5 << 20)),
    "another state": in_head(
        lambda head: head.model_copy(update={"header": head.header.model_copy(update=OTHER_HEADER)})
    ),
    "no certificate": in_head(
        lambda head: head.model_copy(
            update={"certificate": head.certificate.model_copy(update={"signatures": ()})}
        )
    ),
    "a far away term": in_head(
        lambda head: head.model_copy(
            update={"header": head.header.model_copy(update={"term": 2**62, "height": 10 * 2**60})}
        )
    ),
    "other subtrees": in_head(
        lambda head: head.model_copy(update={"subtrees": head.subtrees[::-1]})
    ),
    "no steps": lambda path, body: encode(()) if "/terms/" in path else body,
    "an empty part": in_part(lambda part: SnapshotPart(records=())),
    "half a part": in_part(lambda part: SnapshotPart(records=part.records[1:])),
}


@asynccontextmanager
async def lying(tmp_path: Path, lie: Callable[[str, bytes], bytes | None]) -> AsyncIterator[Front]:
    async with (
        offering(tmp_path / "bent", chain(), term=3) as node,
        answering(node) as url,
        front(url) as bent,
    ):
        bent.answer = lie
        yield bent


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_one_honest_peer_is_enough(tmp_path, lie):
    async with (
        lying(tmp_path, lie) as bent,
        offering(tmp_path / "good", chain(), term=3) as node,
        answering(node) as url,
    ):
        header = await load_snapshot(FOUR, tmp_path / "new.db", [bent.url, url])
        assert header == chain().blocks[29].block.header
        async with follower(tmp_path / "new.db") as new:
            assert new.state.root == header.state_root


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_with_none_nothing_is_begun(tmp_path, lie):
    async with lying(tmp_path, lie) as bent:
        with pytest.raises(Unavailable, match="no peer gave a whole state"):
            await load_snapshot(FOUR, tmp_path / "new.db", [bent.url])
        parts = [path for path in bent.asked if "/sync/snapshot/" in path]
        assert len([path for path in parts if path.endswith("1")]) <= 1, "caught by one part"
    async with follower(tmp_path / "new.db") as new:
        assert new.height == 0


# the node that offers


async def test_a_node_offers_its_state_at_the_end_of_each_term(tmp_path):
    async with follower(tmp_path / "chain.db") as node:
        node.snapshots = SnapshotStore(tmp_path / "snapshots", FOUR.network)
        grown = Chain(FOUR)
        seen = []
        for blocks in (3, 7, 6, 4, 1, 9):
            grown.grow(blocks)
            await fill(node, grown)
            if node._snapshot:
                await asyncio.wait([node._snapshot])
            seen.append(node.snapshots.heights)
        assert seen == [[3], [10, 3], [10, 3], [20, 10], [20, 10], [30, 20]]


async def test_a_node_without_snapshots_says_so(tmp_path):
    async with follower(tmp_path / "chain.db") as node:
        await fill(node, chain())
        async with answering(node) as url:
            with pytest.raises(Unavailable, match="no peer gave a whole state"):
                await load_snapshot(FOUR, tmp_path / "new.db", [url])


def test_a_torn_file_is_not_offered(tmp_path):
    store = SnapshotStore(tmp_path, b"n" * 32)
    with pytest.raises(NotFound):
        store.head()
    store.write(5, [b"head five", b"part"])
    store.write(7, [b"head seven", b"part", b"last"])
    assert (store.head(), store.part(7, 1), store.part(5, 0)) == (b"head seven", b"last", b"part")
    with pytest.raises(NotFound):
        store.part(5, 1)
    with pytest.raises(NotFound):
        store.part(6, 0)
    whole = (tmp_path / "7.state").read_bytes()
    for left in range(len(whole)):
        (tmp_path / "7.state").write_bytes(whole[:left])
        assert store.head() == b"head five"
        with pytest.raises(NotFound):
            store.part(7, 0)
    with pytest.raises(NotFound):
        SnapshotStore(tmp_path, b"o" * 32).head()


def test_a_folder_that_cannot_be_made_is_told_of(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="cannot keep a snapshot"):
        SnapshotStore(tmp_path / "file", b"n" * 32).write(1, [b"head"])
