"""A client follows the validators through a node that nobody trusts."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import pytest
from aiohttp import web

from chain.blocks import Notice, StateProof, TransactionProof
from chain.bodies.coins import Transfer
from chain.bundle import Bundle, check_bundle
from chain.client.light_client import ChainClient
from chain.light import Forked
from chain.records import Account, Table
from chain.trust import STEPS_AT_ONCE, TermSteps, Trust
from tests.chain.front import Front, front
from tests.chain.history import History, Shelf, shelf
from tests.chain.nodes import answering, following, until
from tests.validators import MANY
from wire.codec import decode, encode
from wire.errors import Malformed

CROWD = (Table.ACCOUNT, MANY[7].id)


@cache
def history() -> History:
    """A network of four whose terms have two blocks, and whose set changes at height 6."""
    made = History(4, term_blocks=2)
    made.block()
    made.join(MANY[4])
    while len(made.headers) < 80:
        made.block()
    return made


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chain.client.light_client.RETRY_S", (0.01, 0.02))


@asynccontextmanager
async def bent_node(path: Path, blocks: int = 9) -> AsyncIterator[tuple[Shelf, Front, ChainClient]]:
    """A node with some blocks of the history, a front before it, and a client before that."""
    async with (
        shelf(path / "chain.db", history(), blocks) as node,
        answering(node) as url,
        front(url) as bent,
        ChainClient(bent.url, history().genesis) as chain,
    ):
        yield node, bent, chain


def asked_for_terms(bent: Front) -> list[str]:
    return [path for path in bent.asked if path.startswith("/api/v1/terms/")]


async def test_terms_are_followed_once_and_only_when_needed(tmp_path):
    async with bent_node(tmp_path) as (node, bent, chain):
        assert await chain.record(Account, *CROWD) == node.state.get(CROWD)
        assert (chain.height, chain.trust.term) == (9, 4)
        assert asked_for_terms(bent) == ["/api/v1/terms/1?count=4"]
        await asyncio.gather(*(chain.record(Account, *CROWD) for _ in range(5)))
        assert len(asked_for_terms(bent)) == 1
        await node.fill(history(), 11)
        await asyncio.gather(*(chain.record(Account, *CROWD) for _ in range(5)))
        assert asked_for_terms(bent)[1:] == ["/api/v1/terms/5?count=1"]


async def test_many_terms_come_in_several_answers(tmp_path):
    async with bent_node(tmp_path, 2 * STEPS_AT_ONCE + 3) as (_, bent, chain):
        await chain.meta()
        assert chain.trust.term == STEPS_AT_ONCE + 1
        assert asked_for_terms(bent) == [
            f"/api/v1/terms/1?count={STEPS_AT_ONCE}",
            f"/api/v1/terms/{STEPS_AT_ONCE + 1}?count=1",
        ]


async def test_events_are_followed_over_borders(tmp_path):
    async with bent_node(tmp_path, 3) as (node, _, chain), following(chain):
        await until(lambda: chain.height > 0)
        for height in range(4, 12):
            await node.fill(history(), height)
            async with asyncio.timeout(20):
                await chain.reach(height)
        assert chain.trust.term == 5


async def test_steps_are_kept_through_a_restart(tmp_path):
    async with bent_node(tmp_path, 5):
        pass
    async with bent_node(tmp_path, 9) as (_, _, chain):
        assert (await chain.meta()).height == 9
        assert chain.trust.term == 4


async def test_a_client_goes_on_from_a_checkpoint(tmp_path):
    async with bent_node(tmp_path) as (node, bent, chain):
        await chain.meta()
        kept, agreed = chain.trust.checkpoint, history().genesis
        await node.fill(history(), 11)
        bent.asked.clear()
        async with ChainClient(bent.url, agreed, trust=Trust(agreed, kept)) as later:
            assert await later.record(Account, *CROWD) == node.state.get(CROWD)
        assert asked_for_terms(bent) == ["/api/v1/terms/5?count=1"]


async def test_an_older_transaction_is_proven_by_the_set_of_its_term(tmp_path):
    async with bent_node(tmp_path) as (_, _, chain):
        (joined,) = history().blocks[2].transactions
        await chain.meta()
        proof = await chain.outcome(joined.transaction.id)
        assert isinstance(proof, TransactionProof)
        assert (proof.header.height, proof.header.term, chain.trust.term) == (3, 1, 4)


# a node that lies about terms


def on_terms(bent: Front, change):
    """Bend the node's steps."""

    def answer(path, body):
        if not path.startswith("/api/v1/terms/"):
            return body
        changed = change(decode(TermSteps, body))
        return encode(changed) if isinstance(changed, tuple) else changed

    bent.answer = answer


def foreign():
    made = History(1)
    for _ in range(4):
        made.end_term()
    return tuple(made.steps)


def without_votes(steps):
    certificate = steps[0].certificate.model_copy(update={"signatures": ()})
    return (steps[0].model_copy(update={"certificate": certificate}), *steps[1:])


def with_another_set(steps):
    bare = steps[0].validators.model_copy(update={"record": None, "met": None})
    return (steps[0].model_copy(update={"validators": bare}), *steps[1:])


LIES = {
    "no steps": lambda steps: (),
    "later steps": lambda steps: steps[1:],
    "in another order": lambda steps: steps[::-1],
    "the first again and again": lambda steps: steps[:1] * 4,
    "more than fit": lambda steps: steps[:1] * (STEPS_AT_ONCE + 1),
    "of another network": lambda steps: foreign(),
    "without votes": without_votes,
    "without a set": with_another_set,
    "rubbish": lambda steps: b"\xff" * 50,
    "not there": lambda steps: web.Response(status=404, text='{"reason": "", "detail": ""}'),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_lie_about_terms_is_refused_and_believed_never(tmp_path, lie):
    async with bent_node(tmp_path) as (node, bent, chain):
        on_terms(bent, lie)
        with pytest.raises(Malformed):
            await chain.record(Account, *CROWD)
        assert len(asked_for_terms(bent)) == 1
        bent.answer = lambda path, body: body
        assert await chain.record(Account, *CROWD) == node.state.get(CROWD)


async def test_fewer_steps_than_asked_for_are_asked_for_again(tmp_path):
    async with bent_node(tmp_path) as (_, bent, chain):
        on_terms(bent, lambda steps: steps[:1])
        assert (await chain.meta()).height == 9
        assert len(asked_for_terms(bent)) == 4


@pytest.mark.parametrize("term", [10**6, 2**61])
async def test_a_block_that_claims_endless_terms_costs_nothing(tmp_path, term):
    async with bent_node(tmp_path) as (_, bent, chain):

        def answer(path, body):
            proof = decode(StateProof, body)
            header = proof.header.model_copy(update={"term": term, "height": 2 * term + 1})
            return encode(proof.model_copy(update={"header": header}))

        bent.answer = answer
        with pytest.raises(Malformed, match=r"checkpoint|not of term"):
            await chain.meta()
        assert not asked_for_terms(bent)


async def test_a_block_of_a_term_to_come_is_refused_after_one_question(tmp_path):
    async with bent_node(tmp_path) as (_, bent, chain):

        def answer(path, body):
            if path.startswith("/api/v1/terms/"):
                return body
            proof = decode(StateProof, body)
            header = proof.header.model_copy(update={"term": 900, "height": 1_801})
            return encode(proof.model_copy(update={"header": header}))

        bent.answer = answer
        with pytest.raises(Malformed, match="does not show how the validators of term 5"):
            await chain.meta()
        assert len(asked_for_terms(bent)) == 2


async def test_an_event_that_follows_another_block_is_a_fork(tmp_path):
    """A quorum has signed a second history: the client ends, and says why."""
    one, other = History(4), History(4)
    for made, coins in ((one, 1), (other, 2)):
        made.block((MANY[6], Transfer(to=MANY[7].id, amount_base=coins)))
        made.block()
        made.block()
    forged = Notice(header=other.headers[2], certificate=other.certificates[2], changed=())
    async with (
        shelf(tmp_path / "chain.db", one, 2) as node,
        answering(node) as url,
        front(url) as bent,
        ChainClient(bent.url, one.genesis) as chain,
    ):
        lie = b"data: " + b64encode(encode(forged)) + b"\n"
        bent.event = lambda line: [lie if line.startswith(b"data") else line]
        task = asyncio.create_task(chain.run())
        await until(lambda: chain.height == 2)
        await node.fill(one)
        with pytest.raises(Forked, match="does not follow the final block 2"):
            await asyncio.wait_for(task, 20)


# a report in a file


async def test_the_steps_in_a_file_lead_from_the_genesis_to_its_state(tmp_path):
    async with bent_node(tmp_path) as (_, _, chain):
        proof, _ = await chain.prove([(Table.META, b"")])
        steps = await chain.steps(proof.header)
        assert [step.header.height for step in steps] == [2, 4, 6, 8]
        bundle = Bundle(
            genesis=history().genesis, feed=bytes(32), steps=steps, state=proof, evidence=()
        )
        for bent in (steps[1:], steps[:-1], (), (*steps[:2], *steps[3:]), steps[::-1]):
            with pytest.raises(Malformed, match=r"steps are missing|is not"):
                check_bundle(bundle.model_copy(update={"steps": bent}))
        # With all of them the state is believed, and what is missing is the feed.
        with pytest.raises(Malformed, match="lacks feed"):
            check_bundle(bundle)
