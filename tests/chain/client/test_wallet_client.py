"""A wallet's transactions: each is applied once, whatever becomes of the node meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from chain.bodies.coins import Transfer
from chain.bodies.keys import Rotate
from chain.client.light_client import ChainClient
from chain.client.wallet_client import PERSON_BLOCKS, Wallet
from chain.messages import Transaction, sign_transaction
from chain.node.validator_node import Node
from chain.reasons import Reason
from chain.records import Account, Table
from tests.chain.front import Answer, Front, front
from tests.chain.nodes import (
    HOST,
    INTERVAL_MS,
    answering,
    following,
    free_port,
    idle_node,
    until,
    write,
    writing,
)
from tests.people import ATTESTORS, OFFER, OWNER, PARAMETERS, STRANGER, Person, genesis, register
from wire.codec import encode
from wire.errors import Rejected, Unavailable
from wire.keys import Use

SHORT_LIVED = genesis(
    PARAMETERS.model_copy(
        update={"block_interval_ms": INTERVAL_MS, "transaction_lifetime_blocks": 8}
    )
)
"""Transactions here are valid for four blocks."""

AMOUNT = 7


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("chain.client.light_client.RETRY_S", "chain.client.wallet_client.RETRY_S"):
        monkeypatch.setattr(module, (0.01, 0.02))


@asynccontextmanager
async def bent_node(path: Path) -> AsyncIterator[tuple[Node, Front, ChainClient]]:
    """A node with a block, a front before it, and a client before that which hears events."""
    async with (
        idle_node(path / "chain.db", SHORT_LIVED) as node,
        answering(node) as url,
        front(url) as bent,
        ChainClient(bent.url, SHORT_LIVED) as chain,
    ):
        await write(node)
        async with following(chain):
            yield node, bent, chain


def payment(times: int = 1) -> Transfer:
    return Transfer(to=STRANGER.id, amount_base=times * AMOUNT)


def wallet(chain: ChainClient, person: Person = OWNER) -> Wallet:
    return Wallet(chain, person.account)


def account(node: Node, person: Person) -> Account:
    found = node.state.get((Table.ACCOUNT, person.id))
    assert isinstance(found, Account)
    return found


def payments(node: Node) -> int:
    """How often the stranger was paid."""
    received = account(node, STRANGER).balance_base - 100
    assert received % AMOUNT == 0
    return received // AMOUNT


async def done(work: "asyncio.Task[bytes]") -> bytes:
    return await asyncio.wait_for(work, 15)


async def test_what_is_sent_is_final_when_it_returns(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain), writing(node):
        name = await wallet(chain).send(payment())
        proof = await chain.outcome(name)
        assert proof is not None
        assert (proof.reason, payments(node)) == ("", 1)


async def test_what_the_ledger_rejects_is_raised_with_its_reason(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain), writing(node):
        with pytest.raises(Rejected) as refused:
            await wallet(chain).send(Transfer(to=STRANGER.id, amount_base=10**12))
        assert refused.value.reason is Reason.INSUFFICIENT_BALANCE
        nobody = wallet(chain, Person("nobody"))
        with pytest.raises(Rejected) as refused:
            await nobody.send(payment())
        assert refused.value.reason is Reason.UNKNOWN_ACCOUNT


async def test_what_is_sent_at_once_goes_one_after_another(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain), writing(node):
        one = wallet(chain)
        names = await asyncio.wait_for(asyncio.gather(*(one.send(payment()) for _ in range(4))), 15)
        assert (len(set(names)), payments(node)) == (4, 4)
        assert account(node, OWNER).nonce == 4


async def test_two_programs_of_one_account_each_get_through(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain), writing(node):
        sending = (wallet(chain).send(payment(times)) for times in (1, 2, 4))
        names = await asyncio.wait_for(asyncio.gather(*sending), 15)
        assert (len(set(names)), payments(node)) == (3, 7)


async def test_what_is_not_to_be_said_again_is_not_signed_anew(tmp_path):
    """As when its sender was killed, and what it had sent then comes through."""
    async with bent_node(tmp_path) as (node, bent, chain):
        before = asyncio.create_task(wallet(chain).send(payment()))
        await until(lambda: node.waiting == 1)
        after = asyncio.create_task(wallet(chain).send(payment(2), again=False))
        await until(lambda: bent.asked.count("/api/v1/transactions") == 2)
        await write(node)
        await done(before)
        for _ in range(3):
            await write(node)
        with pytest.raises(Unavailable, match="in its place"):
            await done(after)
        assert payments(node) == 1


@pytest.mark.parametrize("where", ["/api/v1/transactions", "/api/v1/transactions/", "/api/v1/rec"])
@pytest.mark.parametrize("how", ["dropped", "unavailable", "garbage"])
async def test_an_answer_that_is_lost_does_not_send_twice(tmp_path, where, how):
    """The node has taken it, and a block holds it; only the word of it is lost."""
    lost = 0

    def lose(path: str, body: bytes) -> Answer:
        nonlocal lost
        is_submission = where == "/api/v1/transactions"
        matches = path == where if is_submission else path.startswith(where)
        if not matches or lost == 3:
            return body  # what answers a submission that is taken is not read
        lost += 1
        return {"dropped": None, "unavailable": web.Response(status=503), "garbage": b"?"}[how]

    async with bent_node(tmp_path) as (node, bent, chain), writing(node):
        bent.answer = lose
        sending = asyncio.create_task(wallet(chain).send(payment()))
        await done(sending)
        for _ in range(3):
            await chain.next_block()
        assert payments(node) == 1
        assert lost


async def test_a_block_that_holds_it_before_the_answer_is_lost_counts_once(tmp_path):
    """The nonce moves on under the wallet's feet: it must not take the next one."""
    async with bent_node(tmp_path) as (node, bent, chain):
        bent.answer = lambda path, body: None if path == "/api/v1/transactions" else body
        sending = asyncio.create_task(wallet(chain).send(payment()))
        await until(lambda: node.waiting == 1)
        await write(node)
        assert payments(node) == 1
        bent.answer = lambda path, body: body
        await done(sending)
        assert (node.waiting, payments(node), account(node, OWNER).nonce) == (0, 1, 1)


async def test_a_node_that_refuses_what_it_does_not_show_yet_is_waited_for(tmp_path):
    """A final block holds it and is not stored yet: its nonce is used, and no proof is there."""
    stored = False
    asked_in_vain = asyncio.Event()

    def refuse(path: str, body: bytes) -> Answer:
        if path == "/api/v1/transactions" and not stored:
            return web.json_response({"reason": "nonce_used", "detail": ""}, status=409)
        return body

    def hide(path: str, body: bytes) -> Answer:
        if path.startswith("/api/v1/transactions/") and not stored:
            asked_in_vain.set()
            return web.json_response({"reason": "not_found", "detail": ""}, status=404)
        # What would be signed now would be of the state before, and the same again.
        return None if path == "/api/v1/records" and asked_in_vain.is_set() and not stored else body

    async with bent_node(tmp_path) as (node, bent, chain):
        bent.answer, bent.ask = refuse, hide
        sending = asyncio.create_task(wallet(chain).send(payment()))
        await asyncio.wait_for(asked_in_vain.wait(), 10)
        await write(node)
        stored = True
        await done(sending)
        for _ in range(3):
            await write(node)
        assert payments(node) == 1


async def test_a_transaction_that_expired_is_signed_anew(tmp_path):
    swallowed: list[bytes] = []

    def swallow(path: str, body: bytes) -> Answer:
        if path != "/api/v1/transactions" or len(set(swallowed)) > 1:
            return body
        swallowed.append(body)
        return web.json_response({"transaction": ""}, status=202)

    def refuse(path: str, body: bytes) -> Answer:
        """Forgetful for the first transaction's whole life, then as it should be."""
        if path == "/api/v1/transactions" and node.ledger.height <= 6:
            return swallow(path, body)
        return body

    async with bent_node(tmp_path) as (node, bent, chain):
        bent.ask = refuse
        async with writing(node):
            name = await done(asyncio.create_task(wallet(chain).send(payment())))
            assert len(set(swallowed)) == 1
            proof = await chain.outcome(name)
            assert proof is not None
            assert proof.header.height > 5, "the first was valid up to block 5"
            assert payments(node) == 1


async def test_a_node_that_starts_late_is_waited_for(tmp_path):
    port = free_port()
    url = f"http://{HOST}:{port}"
    async with ChainClient(url, SHORT_LIVED) as chain, following(chain):
        sending = asyncio.create_task(wallet(chain).send(payment()))
        await asyncio.sleep(0.05)
        assert not sending.done()
        async with idle_node(tmp_path / "chain.db", SHORT_LIVED) as node, answering(node, port):
            await asyncio.sleep(0.05)
            async with writing(node):
                await done(sending)
                assert payments(node) == 1


@pytest.mark.parametrize(
    ("included", "lost"), [(False, False), (False, True), (True, False), (True, True)]
)
async def test_a_payment_is_made_once_though_the_node_restarts(tmp_path, included, lost):
    """With what waited there, or without it, as after a power cut."""
    port = free_port()
    path = tmp_path / "chain.db"
    async with ChainClient(f"http://{HOST}:{port}", SHORT_LIVED) as chain, following(chain):
        async with idle_node(path, SHORT_LIVED) as node:
            async with answering(node, port):
                await write(node)
                sending = asyncio.create_task(wallet(chain).send(payment()))
                await until(lambda: node.waiting == 1)
            if included:
                await write(node)
        assert not sending.done()
        if lost:
            path.with_suffix(".pool").unlink()
        async with idle_node(path, SHORT_LIVED) as node, answering(node, port):
            waiting = int(not included and not lost)
            assert (node.waiting, payments(node)) == (waiting, int(included))
            async with writing(node):
                await done(sending)
                await until(lambda: node.ledger.height > 8)
            assert (payments(node), account(node, OWNER).nonce) == (1, 1)


async def test_a_wallet_that_is_cancelled_frees_its_turn(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain):
        one = wallet(chain)
        sending = asyncio.create_task(one.send(payment()))
        await until(lambda: node.waiting == 1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        async with writing(node):
            await done(asyncio.create_task(one.send(payment(2))))
        assert payments(node) == 3


# deadlines, while somebody fills the blocks


CROWDED = genesis(
    PARAMETERS.model_copy(
        update={"block_interval_ms": INTERVAL_MS, "block_transactions_maximum": 1}
    )
)
BLOCKS, CROWD_FEE_BASE = 8, 60


@asynccontextmanager
async def crowded(path: Path, count: int = 3 * BLOCKS) -> AsyncIterator[tuple[Node, ChainClient]]:
    """Blocks have room for one transaction, and somebody pays six times the least fee for each."""
    async with (
        idle_node(path / "chain.db", CROWDED) as node,
        answering(node) as url,
        ChainClient(url, CROWDED) as chain,
    ):
        await write(node)
        async with following(chain):
            for nonce in range(count):
                transaction = Transaction(
                    network=CROWDED.network,
                    sender=ATTESTORS[0].id,
                    nonce=nonce,
                    fee_base=CROWD_FEE_BASE,
                    valid_until=node.ledger.height + 40,
                    body=payment(),
                )
                await chain.submit(encode(sign_transaction(ATTESTORS[0].account, transaction)))
            yield node, chain


async def write_on(node: Node, chain: ChainClient, work: "asyncio.Task[bytes]", by: int) -> None:
    """Blocks, each when the wallet has done what it does after the one before."""
    while node.ledger.height < by and not work.done():
        await write(node)
        await until(lambda: chain.height == node.ledger.height)
        await asyncio.sleep(0.1)


async def sent(node: Node, since: int) -> list[Transaction]:
    """What the owner has in blocks, in order."""
    blocks = [await node.store.block(at) for at in range(since, node.ledger.height + 1)]
    signed = (each for block in blocks for each in block.block.transactions)
    return [each.transaction for each in signed if each.transaction.sender == OWNER.id]


async def test_who_fills_the_blocks_is_outbid_before_the_deadline(tmp_path):
    async with crowded(tmp_path) as (node, chain):
        by = node.ledger.height + BLOCKS
        one = Wallet(chain, OWNER.account, fee_limit_base=400)
        work = asyncio.create_task(one.send(payment(2), by_height=by))
        await write_on(node, chain, work, by)
        name = await done(work)
        (only,) = await sent(node, 2)
        assert (only.id, only.body, only.nonce) == (name, payment(2), 0)
        assert CROWD_FEE_BASE < only.fee_base <= 400


async def test_above_the_limit_nothing_is_offered_and_what_comes_too_late_costs_nothing(tmp_path):
    async with crowded(tmp_path) as (node, chain):
        by, coins = node.ledger.height + BLOCKS, account(node, OWNER).balance_base
        one = Wallet(chain, OWNER.account, fee_limit_base=CROWD_FEE_BASE - 1)
        work = asyncio.create_task(one.send(payment(2), by_height=by))
        await write_on(node, chain, work, by)
        with pytest.raises(Rejected) as late:
            await done(work)
        assert late.value.reason is Reason.EXPIRED
        assert account(node, OWNER) == Account(balance_base=coins)


async def test_what_waits_behind_lends_its_deadline_to_what_is_before_it(tmp_path):
    async with crowded(tmp_path) as (node, chain):
        by = node.ledger.height + 2 * BLOCKS
        one = Wallet(chain, OWNER.account, fee_limit_base=400)
        slow = asyncio.create_task(one.send(payment()))
        await until(lambda: node.waiting == 3 * BLOCKS + 1)
        work = asyncio.create_task(one.send(payment(2), by_height=by))
        await write_on(node, chain, work, by)
        await done(work)
        assert [each.id for each in await sent(node, 2)] == [await done(slow), await done(work)]


async def test_an_offer_that_the_coins_do_not_cover_leaves_the_one_before(tmp_path):
    """The node refuses the higher fee; what it was offered first still waits and gets in."""
    async with crowded(tmp_path, BLOCKS - 3) as (node, chain):
        by = node.ledger.height + BLOCKS
        one = Wallet(chain, STRANGER.account, fee_limit_base=10_000)
        work = asyncio.create_task(one.send(Rotate(key=bytes(32), proof=bytes(64)), by_height=by))
        await until(lambda: node.waiting == BLOCKS - 2)
        await write_on(node, chain, work, by)
        with pytest.raises(Rejected) as refused:
            await done(work)
        assert refused.value.reason is Reason.KEY_UNPROVEN
        assert account(node, STRANGER).balance_base == 100 + (BLOCKS - 3) * AMOUNT - 10


async def test_a_full_pool_takes_in_who_offers_more(tmp_path, monkeypatch):
    monkeypatch.setattr("chain.node.mempool.MAX_WAITING", 3 * BLOCKS)
    async with crowded(tmp_path) as (node, chain):
        by = node.ledger.height + BLOCKS
        one = Wallet(chain, OWNER.account, fee_limit_base=400)
        work = asyncio.create_task(one.send(payment(2), by_height=by))
        await until(lambda: node.waiting == 3 * BLOCKS)
        await write_on(node, chain, work, by)
        assert [each.id for each in await sent(node, 2)] == [await done(work)]


@pytest.mark.parametrize("limit_base", [0, 400])
async def test_a_person_is_told_what_waits_and_outbids_others_when_it_allows_for_that(
    tmp_path, limit_base
):
    """As a command does, that has no deadline: others fill the blocks for longer than it lasts."""
    told: list[str] = []
    async with crowded(tmp_path, 2 * PERSON_BLOCKS) as (node, chain):
        one = Wallet(chain, OWNER.account, fee_limit_base=limit_base, tell=told.append)
        begun = node.ledger.height
        work = asyncio.create_task(one.send(payment(2)))
        await write_on(node, chain, work, begun + PERSON_BLOCKS)
        assert work.done() == bool(limit_base)
        first, *_ = told
        assert first.startswith("waiting for room in a block: transfer for a fee of")
        if limit_base:
            (only,) = await sent(node, 2)
            assert CROWD_FEE_BASE < only.fee_base <= limit_base
            assert all("at most 400" in line for line in told if str(only.fee_base) not in line)
        else:
            assert told == [first] and "--fee-limit" in first
            work.cancel()


# enrolment


async def test_enrolling_brings_registration_and_stake_to_what_is_wanted(tmp_path):
    attestor = ATTESTORS[0]
    async with bent_node(tmp_path) as (node, _, chain), writing(node):
        one = wallet(chain, attestor)
        wanted = register(
            attestor,
            swarm_proof=one.claim(attestor.key(Use.SWARM)),
            receipt_proof=one.claim_receipts(attestor.key(Use.RECEIPT)),
        )
        await one.enrol(wanted, "attestor", 2_000)
        nonce = account(node, attestor).nonce
        assert nonce == 2
        await one.enrol(wanted, "attestor", 2_000)
        await one.enrol(wanted, "attestor", 500)
        assert account(node, attestor).nonce == nonce, "nothing was left to do"
        moved = wanted.model_copy(
            update={"endpoint": wanted.endpoint.model_copy(update={"port": 4001})}
        )
        await one.enrol(moved, "attestor", 3_000)
        assert account(node, attestor).nonce == nonce + 2
        staked = node.state.get((Table.STAKE, b"a" + attestor.id))
        assert staked is not None
        assert staked.amount_base == 3_000  # type: ignore[attr-defined]


async def test_one_account_does_not_serve_two_roles(tmp_path):
    attestor = ATTESTORS[0]
    async with bent_node(tmp_path) as (node, _, chain), writing(node):
        one = wallet(chain, attestor)
        wanted = register(
            attestor,
            swarm_proof=one.claim(attestor.key(Use.SWARM)),
            receipt_proof=one.claim_receipts(attestor.key(Use.RECEIPT)),
        )
        await one.enrol(wanted, "attestor", 1_000)
        hosting = wanted.model_copy(update={"offer": OFFER, "attests": False})
        with pytest.raises(Unavailable, match="registered as an attestor"):
            await one.enrol(hosting, "hoster", 1_000)
        assert node.state.get((Table.STAKE, b"h" + attestor.id)) is None
