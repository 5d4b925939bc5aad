"""A validator's life: what it writes, proves and tells, and what of it a restart takes up."""

import asyncio
from pathlib import Path

import pytest

from chain.blocks import Notice, RecordName
from chain.bodies.coins import Transfer
from chain.light import verify_certificate
from chain.messages import SignedTransaction, Transaction, sign_transaction
from chain.node import reading_node
from chain.node import validator_node as node_module
from chain.node.validator_node import Node
from chain.reasons import Reason
from chain.records import Account, Meta, Table
from chain.trust import Trust, verify_state, verify_transaction
from tests.chain.nodes import QUICK, idle_node, node_at, place, until, write, writing
from tests.people import OWNER, STRANGER, Person
from tests.reports import account_of
from tests.stages import coin_opened
from wire.errors import NotFound, Rejected, Unavailable
from wire.primitives import blake2b_256

ACCOUNT = RecordName(table=int(Table.ACCOUNT), key=OWNER.id)
META = RecordName(table=int(Table.META), key=b"")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chain.db"


def pay(node: Node, person: Person = OWNER, amount: int = 5, after: int = 0) -> SignedTransaction:
    account = node.state.get((Table.ACCOUNT, person.id))
    assert isinstance(account, Account)
    transaction = Transaction(
        network=node.genesis.network,
        sender=person.id,
        nonce=account.nonce + after,
        fee_base=10,
        valid_until=node.ledger.height + 40,
        body=Transfer(to=STRANGER.id, amount_base=amount),
    )
    return sign_transaction(person.account, transaction)


async def test_before_the_first_block_there_is_nothing_to_prove(path):
    async with idle_node(path) as node:
        assert node.healthy == "starting"
        with pytest.raises(Unavailable, match="no block yet"):
            node.prove([META])
        with pytest.raises(NotFound):
            await node.block(1)


async def test_a_running_node_is_healthy_and_a_stopped_one_is_not(path):
    async with idle_node(path) as node:
        async with writing(node):
            await until(lambda: node.ledger.height >= 2)
            assert node.healthy == ""
        assert node.healthy == "stopped"


async def test_a_node_that_hangs_is_not_healthy(path, monkeypatch):
    async with idle_node(path) as node, writing(node):
        await until(lambda: node.ledger.height >= 1 and node.healthy == "")
        monkeypatch.setattr(node_module, "STALLED_S", -1_000)
        assert node.healthy.startswith("no block became final for")


async def test_what_a_node_proves_is_believed(path):
    async with idle_node(path) as node:
        signed, spoilt = pay(node), pay(node, amount=10**12, after=1)
        for each in (signed, spoilt):
            assert await node.accept(each) == each.transaction.id
            assert node.is_waiting(each.transaction.id)
        await write(node)
        assert node.waiting == 0
        nobody = RecordName(table=int(Table.ACCOUNT), key=b"n" * 32)
        proof = node.prove([ACCOUNT, META, nobody])
        account, meta, nothing = verify_state(Trust(QUICK), proof)
        assert account == node.state.get((Table.ACCOUNT, OWNER.id))
        assert isinstance(meta, Meta)
        assert (meta.height, nothing) == (1, None)
        for each, reason in ((signed, ""), (spoilt, Reason.INSUFFICIENT_BALANCE.value)):
            name = each.transaction.id
            shown = await node.prove_transaction(name)
            assert verify_transaction(Trust(QUICK), name, shown) == reason


async def test_what_the_ledger_refuses_does_not_wait(path):
    async with idle_node(path) as node:
        with pytest.raises(Rejected) as refused:
            await node.accept(pay(node, after=3))
        assert refused.value.reason is Reason.NONCE_AHEAD
        with pytest.raises(NotFound):
            await node.prove_transaction(b"x" * 32)
        assert node.waiting == 0


async def test_a_restarted_node_goes_on_where_it_stopped(path):
    async with idle_node(path) as node:
        await node.accept(pay(node))
        await write(node, 3)
        tip, root = node.ledger.tip, node.state.root
        waiting = pay(node)
        await node.accept(waiting)
    async with idle_node(path) as node:
        assert (node.ledger.tip, node.state.root) == (tip, root)
        verify_state(Trust(QUICK), node.prove([META, ACCOUNT]))
        assert node.is_waiting(waiting.transaction.id), "what was accepted is not lost"
        await node.accept(waiting)
        await write(node)
        block = (await node.block(4)).block
        assert (block.header.parent, block.transactions) == (tip.id, (waiting,))


async def test_a_seed_that_is_not_the_validators_is_refused(path):
    with pytest.raises(Unavailable, match="no validator"):
        await Node.open(QUICK, OWNER.master, place(path))


async def test_a_node_that_cannot_write_stops(path):
    async with idle_node(path) as node:
        await write(node, 2)
        tip = node.tip
        await node.store._database.execute("PRAGMA query_only = 1")
        followed = asyncio.create_task(collect(node, 0, 99))
        with pytest.raises(Unavailable, match="cannot write block 3"):
            await node.run()
        assert node.healthy == "stopped"
        assert node.tip == tip, "what is not stored was never signed to anybody"
        assert [notice.header.height for notice in await followed] == [1, 2]


async def collect(node: Node, after: int, count: int) -> list[Notice]:
    found = []
    async for notice in node.follow(after):
        found.append(notice)
        if len(found) == count:
            break
    return found


@pytest.mark.parametrize("after", [0, 1, 3, 4])
async def test_a_follower_hears_every_block_once_and_in_order(path, after):
    async with idle_node(path) as node:
        await write(node, 3)
        following = asyncio.create_task(collect(node, after, 8 - after))
        for _ in range(6):
            await asyncio.sleep(0)
            await node.accept(pay(node))
            await write(node)
        found = await asyncio.wait_for(following, 10)
        assert [notice.header.height for notice in found] == list(range(after + 1, 9))
        for notice in found:
            verify_certificate(QUICK.network, QUICK.first_set, notice.header, notice.certificate)
        assert ACCOUNT in found[-1].changed
        assert all(change.table != Table.DUE for notice in found for change in notice.changed)


async def test_a_follower_that_does_not_keep_up_is_let_go(path, monkeypatch):
    monkeypatch.setattr(reading_node, "FOLLOWER_QUEUE_BLOCKS", 2)
    async with idle_node(path) as node:
        await write(node)
        slow = node.follow(0)
        assert (await anext(slow)).header.height == 1
        quick = asyncio.create_task(collect(node, 1, 4))
        await asyncio.sleep(0)
        for _ in range(4):
            await write(node)
            await asyncio.sleep(0)
        heard = [notice.header.height async for notice in slow]
        assert heard == [2, 3, 4, 5], "the store has what the queue had no room for; then it ends"
        assert len(await quick) == 4
        again = await collect(node, 1, 4)
        assert [notice.header.height for notice in again] == [2, 3, 4, 5], "it resumes by height"


async def test_there_are_only_so_many_followers(path, monkeypatch):
    monkeypatch.setattr(reading_node, "MAX_FOLLOWERS", 2)
    async with idle_node(path) as node:
        await write(node)
        streams = [node.follow(0) for _ in range(3)]
        for stream in streams[:2]:
            await anext(stream)
        with pytest.raises(Unavailable, match="too many"):
            await anext(streams[2])
        await streams[0].aclose()
        assert (await anext(node.follow(0))).header.height == 1


async def test_the_evidence_of_every_opened_report_is_kept(path):
    world = coin_opened()
    accounts = {member: account_of(world, member) for member in world.members}
    async with node_at(world, path) as node:
        for member, account in accounts.items():
            await node.accept(world.sign(member, account.open(), account.sidecar))
        await write(node)
        challenge = world.challenge.challenge
        for member, account in accounts.items():
            found = await node.evidence(challenge, member.id)
            assert found == account.sidecar
            assert blake2b_256(found) == account.open().evidence
        for missing in (STRANGER.id, b"", b"x" * 32):
            with pytest.raises(NotFound):
                await node.evidence(challenge, missing)
