"""A client of a node that nobody trusts: what is bent is refused, what is true is not missed."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from chain.blocks import Notice, StateProof
from chain.bodies.coins import Transfer
from chain.client import http_client
from chain.client.light_client import ChainClient
from chain.light import Forked
from chain.messages import Transaction, sign_transaction
from chain.node.validator_node import Node
from chain.records import Account, Meta, Table
from tests.chain.final import certificate, header, proven
from tests.chain.front import Answer, Front, front, serving
from tests.chain.nodes import (
    QUICK,
    answering,
    following,
    free_port,
    idle_node,
    until,
    write,
    writing,
)
from tests.people import OWNER, STRANGER, Person
from wire.codec import decode, encode
from wire.errors import HoldfastError, Malformed, NotFound, Unavailable

OWNERS, STRANGERS = (Table.ACCOUNT, OWNER.id), (Table.ACCOUNT, STRANGER.id)


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("chain.client.light_client.RETRY_S", "chain.client.wallet_client.RETRY_S"):
        monkeypatch.setattr(module, (0.01, 0.02))


@asynccontextmanager
async def bent_node(path: Path) -> AsyncIterator[tuple[Node, Front, ChainClient]]:
    """A node with three blocks, a front before it, and a client before that."""
    async with (
        idle_node(path / "chain.db") as node,
        answering(node) as url,
        front(url) as bent,
        ChainClient(bent.url, QUICK) as chain,
    ):
        for _ in range(3):
            await write(node)
        yield node, bent, chain


def pay(node: Node, person: Person = OWNER, amount: int = 5) -> None:
    """A payment waits for the next block."""
    account = node.state.get((Table.ACCOUNT, person.id))
    assert isinstance(account, Account)
    transaction = Transaction(
        network=QUICK.network,
        sender=person.id,
        nonce=account.nonce,
        fee_base=10,
        valid_until=node.ledger.height + 20,
        body=Transfer(to=STRANGER.id, amount_base=amount),
    )
    node._submit(sign_transaction(person.account, transaction))


async def test_what_a_node_proves_is_believed(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain):
        assert await chain.record(Account, *OWNERS) == node.state.get(OWNERS)
        assert chain.height == 3
        assert await chain.record(Account, Table.ACCOUNT, b"n" * 32) is None
        with pytest.raises(NotFound):
            await chain.need(Account, Table.ACCOUNT, b"n" * 32)
        with pytest.raises(NotFound):
            await chain.records(Account, Table.ACCOUNT, [OWNER.id, b"n" * 32])
        assert (await chain.meta()).height == 3
        found = await chain.records(Account, Table.ACCOUNT, [STRANGER.id, OWNER.id] * 700)
        assert found == [node.state.get(STRANGERS), node.state.get(OWNERS)] * 700
        assert await chain.outcome(b"x" * 32) is None


# a node that lies about records


def on_records(change: Callable[[StateProof], StateProof | Answer]) -> Callable[..., Answer]:
    def bend(path: str, body: bytes) -> Answer:
        changed = change(decode(StateProof, body))
        return encode(changed) if isinstance(changed, StateProof) else changed

    return bend


def with_record(proof: StateProof, **changes: object) -> StateProof:
    record = proof.records[0].model_copy(update=changes)
    return proof.model_copy(update={"records": (record,)})


def richer(proof: StateProof) -> StateProof:
    account: Account = decode(Account, proof.records[0].record or b"")
    return with_record(proof, record=encode(account.model_copy(update={"balance_base": 10**15})))


def without_certificate(proof: StateProof) -> StateProof:
    bare = proof.certificate.model_copy(update={"signatures": ()})
    return proof.model_copy(update={"certificate": bare})


def with_forged_certificate(proof: StateProof) -> StateProof:
    (good,) = proof.certificate.signatures
    forged = good.model_copy(update={"signature": bytes(64)})
    certificate = proof.certificate.model_copy(update={"signatures": (forged,)})
    return proof.model_copy(update={"certificate": certificate})


def with_other_root(proof: StateProof) -> StateProof:
    changed = proof.header.model_copy(update={"state_root": b"x" * 32})
    return proof.model_copy(update={"header": changed})


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(bytes(1 << 16))


LIES: dict[str, Callable[[StateProof], StateProof | Answer]] = {
    "more coins": richer,
    "no record": lambda proof: with_record(proof, record=None),
    "no record, and nothing met": lambda proof: with_record(proof, record=None, met=None),
    "another key": lambda proof: with_record(proof, key=STRANGER.id),
    "another table": lambda proof: with_record(proof, table=int(Table.STAKE)),
    "a truncated proof": lambda proof: with_record(proof, siblings=proof.records[0].siblings[:-1]),
    "no records": lambda proof: proof.model_copy(update={"records": ()}),
    "the record twice": lambda proof: proof.model_copy(update={"records": proof.records * 2}),
    "no signature": without_certificate,
    "a forged signature": with_forged_certificate,
    "another state root": with_other_root,
    "nothing": lambda _: b"",
    "garbage": lambda _: b"\xff" * 100,
    "a cut answer": lambda proof: encode(proof)[:-1],
    "a longer answer": lambda proof: encode(proof) + b"\0",
    "JSON": lambda _: b'{"reason": "none"}',
    "a page": lambda _: web.Response(text="<html>", content_type="text/html"),
    "a redirection": lambda _: web.Response(status=302, headers={"Location": "http://10.0.0.1/"}),
    "not modified": lambda _: web.Response(status=304),
    "no content": lambda _: web.Response(status=204),
    "an error": lambda _: web.Response(status=500),
    "an error without words": lambda _: web.Response(status=503, body=b"{}"),
    "an error of a list": lambda _: web.Response(status=503, body=b"[]"),
    "an error too deep": lambda _: web.Response(status=503, body=b"[" * 60_000),
    "an error too long": lambda _: web.Response(status=503, body=b'"' + b"x" * 10**6),
    "a refusal": lambda _: web.json_response({"reason": "expired", "detail": ""}, status=409),
    "a refusal of no kind": lambda _: web.json_response({"reason": "x", "detail": ""}, status=409),
    "packed bytes": lambda _: web.Response(
        body=b"\x1f\x8b" + bytes(50), headers={"Content-Encoding": "gzip"}
    ),
    "more than there may be": lambda _: bytes(http_client.MAX_ANSWER_BYTES + 1),
    "a dropped line": lambda _: None,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_bent_answer_is_refused(tmp_path, lie):
    async with bent_node(tmp_path) as (node, bent, chain):
        bent.answer = on_records(lie)
        with pytest.raises((Malformed, Unavailable)) as refused:
            await chain.record(Account, *OWNERS)
        assert not isinstance(refused.value, NotFound)
        assert chain.tip is None, "nothing of it is believed"
        bent.answer = lambda _, body: body
        assert await chain.record(Account, *OWNERS) == node.state.get(OWNERS)


async def test_an_answer_for_another_record_is_refused(tmp_path):
    async with bent_node(tmp_path) as (node, bent, chain):
        other = proven(node.state, STRANGERS)
        bent.answer = on_records(lambda proof: proof.model_copy(update={"records": (other,)}))
        with pytest.raises(Malformed, match="other records"):
            await chain.record(Account, *OWNERS)


async def test_an_answer_of_another_network_is_refused(tmp_path):
    other = QUICK.model_copy(update={"name": "other"})
    async with bent_node(tmp_path) as (_, bent, _), ChainClient(bent.url, other) as chain:
        with pytest.raises(Malformed, match="another network"):
            await chain.record(Account, *OWNERS)


async def test_an_older_state_than_was_shown_is_refused(tmp_path):
    async with bent_node(tmp_path) as (node, bent, chain):
        old: list[bytes] = []
        bent.answer = lambda _, body: old.append(body) or body
        before = await chain.record(Account, *OWNERS)
        pay(node)
        await write(node)
        assert (await chain.record(Account, *OWNERS)) != before
        bent.answer = lambda _, body: old[0]
        with pytest.raises(Unavailable, match="older state"):
            await chain.record(Account, *OWNERS)
        assert chain.height == 4


async def test_two_final_blocks_at_one_height_end_all_trust(tmp_path):
    async with bent_node(tmp_path) as (node, bent, chain):
        await chain.record(Account, *OWNERS)

        def fork(proof: StateProof) -> StateProof:
            other = header(QUICK, 3, state_root=proof.header.state_root)
            return proof.model_copy(update={"header": other, "certificate": certificate(other)})

        bent.answer = on_records(fork)
        with pytest.raises(Forked):
            await chain.record(Account, *OWNERS)
        assert chain.tip == node.ledger.tip


async def test_an_answer_without_end_is_cut_off(monkeypatch):
    monkeypatch.setattr(http_client, "MAX_ANSWER_BYTES", 1 << 18)
    async with serving(_endless) as url, ChainClient(url, QUICK) as chain:
        with pytest.raises(Malformed, match="more than"):
            await chain.record(Account, *OWNERS)


async def test_a_node_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(http_client, "REQUEST_TIMEOUT", http_client.aiohttp.ClientTimeout(0.05))
    over = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    async with serving(never) as url, ChainClient(url, QUICK) as chain:
        with pytest.raises(Unavailable, match="does not answer"):
            await chain.record(Account, *OWNERS)
        over.set()


async def test_no_node_at_all_is_unavailable():
    async with ChainClient(f"http://127.0.0.1:{free_port()}", QUICK) as chain:
        with pytest.raises(Unavailable, match="does not answer"):
            await chain.record(Account, *OWNERS)


async def test_a_patient_client_waits_for_a_node_that_lies_or_is_gone(tmp_path):
    async with (
        bent_node(tmp_path) as (node, bent, _),
        ChainClient(bent.url, QUICK, patient=True) as chain,
    ):
        answers = iter([b"", b"\xff", None, web.Response(status=503)])
        bent.answer = lambda _, body: next(answers, body)
        assert await chain.record(Account, *OWNERS) == node.state.get(OWNERS)


async def test_what_people_read_may_be_anything_but_a_crash(tmp_path):
    async with bent_node(tmp_path) as (_, bent, chain):
        assert (await chain.read_json("/status"))["height"] == 3
        for said in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b"NaN}"):
            bent.answer = lambda _, body, said=said: said
            with pytest.raises(Malformed):
                await chain.read_json("/status")


# a node that lies about what becomes of transactions


async def test_an_outcome_that_is_not_proven_is_refused(tmp_path):
    async with bent_node(tmp_path) as (node, bent, chain):
        for amount, person in ((5, OWNER), (10**12, STRANGER)):
            pay(node, person, amount)
        names = [signed.transaction.id for signed in node._pool.select(9, 10**6)]
        await write(node)
        reasons = [(await chain.outcome(name)).reason for name in names]
        assert sorted(reasons) == ["", "insufficient_balance"]
        bent.answer = lambda _, body: body.replace(b"insufficient_balance", b"insufficient_stake__")
        rejected = names[reasons.index("insufficient_balance")]
        with pytest.raises(Malformed):
            await chain.outcome(rejected)
        shown: list[bytes] = []
        bent.answer = lambda _, body: shown.append(body) or body
        await chain.outcome(names[0])
        bent.answer = lambda _, body: shown[0]
        with pytest.raises(Malformed):
            await chain.outcome(names[1])


# events


async def test_blocks_are_heard_as_they_come(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain), following(chain):
        await until(lambda: chain._begun)
        reached = asyncio.create_task(chain.reach(5))
        for height in (4, 5):
            following_block = asyncio.create_task(chain.next_block())
            await asyncio.sleep(0)
            await write(node)
            assert await asyncio.wait_for(following_block, 5) == height
        assert await asyncio.wait_for(reached, 5) == 5


def event(notice: Notice) -> bytes:
    return b"data: " + b64encode(encode(notice)) + b"\n\n"


def notice_of(height: int, **changes: object) -> Notice:
    final = header(QUICK, height, **changes)
    return Notice(header=final, certificate=certificate(final), changed=())


FORGED = notice_of(4).model_copy(update={"certificate": certificate(header(QUICK, 5))})
GARBAGE = {
    "no base64": b"data: !!!!\n\n",
    "half a base64": b"data: abc\n\n",
    "not ASCII": b"data: \xff\xfe\xff\n\n",
    "base64 of garbage": b"data: " + b64encode(b"\xff" * 100) + b"\n\n",
    "nothing": b"data: \n\n",
    "an unsigned block": event(FORGED),
    "a block of another network": event(notice_of(4, network=b"x" * 32)),
    "the last block again": event(notice_of(3)),
    "an old block": event(notice_of(1)),
    "a block far ahead": event(notice_of(9)),
    "a line without end": b"data: " + b"A" * (1 << 18),
    "other words": b"hello\n\n: comment\nevent: x\ndata\ndata:x\n\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_events_that_make_no_sense_change_nothing_and_the_next_ones_are_heard(
    tmp_path, garbage, monkeypatch
):
    monkeypatch.setattr(http_client, "MAX_EVENT_BYTES", 1 << 15)
    async with bent_node(tmp_path) as (node, bent, chain):
        spoilt = False

        def event_of(line: bytes) -> list[bytes]:
            nonlocal spoilt
            if spoilt:
                return [line]
            spoilt = True
            return [garbage, line]

        bent.event = event_of
        async with following(chain):
            await until(lambda: chain._begun)
            waiting = asyncio.create_task(
                chain.wait(Meta, Table.META, b"", lambda meta: meta.height >= 5)
            )
            await until(lambda: any(path.startswith("/api/v1/events") for path in bent.asked))
            await write(node)
            await until(lambda: spoilt)
            await write(node)
            assert (await asyncio.wait_for(waiting, 10)).height == 5
            await until(lambda: chain._heard == 5)
            assert chain.tip == node.ledger.tip


async def test_a_fork_among_the_events_ends_the_client(tmp_path):
    async with bent_node(tmp_path) as (node, bent, chain):
        await chain.meta()
        await write(node)
        await chain.record(Account, *OWNERS)
        chain._heard, chain._begun = 3, True
        bent.event = lambda _: [event(notice_of(4))]
        with pytest.raises(Forked):
            await asyncio.wait_for(chain.run(), 10)
        assert chain.tip == node.ledger.tip


# waiting for a record


def richest(account: Account) -> bool:
    return account.balance_base >= 105


async def waiting_for_payment(chain: ChainClient) -> Account:
    return await asyncio.wait_for(chain.wait(Account, *STRANGERS, richest), 10)


async def test_a_change_between_the_first_read_and_the_first_event_is_not_missed(tmp_path):
    async with bent_node(tmp_path) as (node, bent, chain):
        waiting = asyncio.create_task(waiting_for_payment(chain))
        await until(lambda: chain.height == 3)
        pay(node)
        await write(node)
        async with following(chain):
            assert (await waiting).balance_base == 105
        assert len([path for path in bent.asked if path == "/api/v1/records"]) == 3


async def test_a_change_while_the_answer_is_on_its_way_is_not_missed(tmp_path):
    """The block that changes the record is heard of before the answer that is older than it."""
    async with bent_node(tmp_path) as (node, bent, chain), following(chain):
        await until(lambda: chain._begun)
        held, released = asyncio.Event(), asyncio.Event()
        plain = bent.handle

        async def holding(request: web.Request) -> web.StreamResponse:
            response = await plain(request)
            if request.path == "/api/v1/records" and not held.is_set():
                held.set()
                await released.wait()
            return response

        async with serving(holding) as url:
            chain._node.url = url
            waiting = asyncio.create_task(waiting_for_payment(chain))
            await asyncio.wait_for(held.wait(), 5)
            pay(node)
            await write(node)
            await until(lambda: chain.height == 4)
            released.set()
            assert (await waiting).balance_base == 105


async def test_a_change_while_the_line_was_lost_is_not_missed(tmp_path):
    port = free_port()
    path = tmp_path / "chain.db"
    async with ChainClient(f"http://127.0.0.1:{port}", QUICK) as chain, following(chain):
        async with idle_node(path) as node, answering(node, port):
            await write(node)
            waiting = asyncio.create_task(waiting_for_payment(chain))
            await until(lambda: chain._begun)
        async with idle_node(path) as node:
            pay(node)
            await write(node)
            assert not waiting.done()
            async with answering(node, port):
                assert (await waiting).balance_base == 105


async def test_every_change_of_a_busy_chain_is_seen_through_many_cuts(tmp_path):
    """Whatever is cut when, a waiter for each next nonce sees it."""
    async with bent_node(tmp_path) as (node, bent, chain), following(chain):
        lines = 0

        def cut(line: bytes) -> list[bytes]:
            nonlocal lines
            lines += 1
            if lines % 7 == 0:
                return [b"data: cut here\n\n"]
            return [line]

        bent.event = cut
        async with writing(node):
            for nonce in range(8):
                waiting = asyncio.create_task(
                    chain.wait(Account, *OWNERS, lambda now, nonce=nonce: now.nonce > nonce)
                )
                await asyncio.sleep(0)
                pay(node)
                assert (await asyncio.wait_for(waiting, 10)).nonce == nonce + 1
        assert lines > 7


async def test_waiting_ends_by_a_height_with_what_there_is(tmp_path):
    async with bent_node(tmp_path) as (node, _, chain), following(chain):
        waiting = asyncio.create_task(chain.wait(Account, *STRANGERS, richest, by_height=6))
        async with writing(node):
            assert (await asyncio.wait_for(waiting, 10)).balance_base == 100
        assert chain.height >= 6
        late = chain.wait(Account, *STRANGERS, richest, by_height=2)
        assert (await asyncio.wait_for(late, 10)).balance_base == 100
        assert not chain._watched
        assert not chain._written


async def test_a_waiter_that_gives_up_leaves_nothing_behind(tmp_path):
    async with bent_node(tmp_path) as (_, _, chain):
        waiting = asyncio.create_task(chain.wait(Account, *STRANGERS, richest))
        await until(lambda: chain.height == 3)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not chain._watched


async def test_a_node_says_why_it_refuses(tmp_path):
    async with bent_node(tmp_path) as (_, _, chain):
        with pytest.raises(HoldfastError, match="not CBOR"):
            await chain.submit(b"\xff")
        with pytest.raises(NotFound, match="no such report"):
            await chain.evidence(b"x" * 32, b"y" * 32)
