"""An owner's orders are made once however often they are given; what was found is exported."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from chain.blocks import RecordNames
from chain.bodies.plans import Sla
from chain.bundle import MAX_BUNDLE_BYTES, Bundle, check_bundle
from chain.challenges.explaining import explain
from chain.client.light_client import ChainClient
from chain.endpoint import Endpoint
from chain.genesis import Parameters
from chain.records import Account, FeedRecord, PlanRecord, Table
from feed.store import FeedStore
from holdfast.pages.verdict_page import verdict_lines
from owner import service
from owner.hints_service import hints_of
from owner.service import Owner, PlanTerms, case_of, export_bundle, verdicts_of
from tests.asking import answer_warnings
from tests.builders import World
from tests.chain.final import state_proof
from tests.chain.front import serving
from tests.chain.nodes import HOST, INTERVAL_MS, following, free_port, served_node
from tests.chain.test_bundle import evidence_of
from tests.feed.owner import KEY, PAIR, SIGN, chunk, owned
from tests.people import BLOCK_MS, OWNER, PARAMETERS, genesis
from tests.stages import drawn, play, settled
from wire.codec import decode, encode
from wire.errors import NotFound, Unavailable
from wire.keys import Use

GENESIS = genesis(
    PARAMETERS.model_copy(
        update={"block_interval_ms": INTERVAL_MS, "transaction_lifetime_blocks": 400}
    )
)
TERMS = PlanTerms(
    replicas=2,
    epochs=3,
    price_base=10_000,
    sla=Sla(availability_ppm=900_000, latency_us=1, throughput_bytes_per_s=0),
    samples=3,
)
SOURCE = Endpoint(host=HOST, port=4000, swarm_key=OWNER.key(Use.SWARM).public)


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("chain.client.light_client", "chain.client.wallet_client"):
        monkeypatch.setattr(f"{module}.RETRY_S", (0.02, 0.05))


@asynccontextmanager
async def owning(tmp_path: Path) -> AsyncIterator[tuple[ChainClient, Owner]]:
    async with (
        asyncio.timeout(30),
        served_node(tmp_path / "chain.db", agreed=GENESIS) as url,
        ChainClient(url, GENESIS) as chain,
        following(chain),
    ):
        await chain.next_block()
        yield chain, Owner(chain, OWNER.master)


async def sent(chain: ChainClient) -> int:
    """How many transactions the owner has had in blocks."""
    return (await chain.need(Account, Table.ACCOUNT, OWNER.id)).nonce


async def test_a_feed_is_registered_once_and_updated_when_it_changed(tmp_path):
    feed = owned(FeedStore(":memory:"), 9)
    async with owning(tmp_path) as (chain, owner):
        for _ in range(3):
            await owner.register(feed, PAIR, SOURCE)
        assert await sent(chain) == 1
        feed.append([chunk(9)], SIGN)
        for _ in range(2):
            await owner.register(feed, PAIR, SOURCE)
        assert await sent(chain) == 2
        moved = SOURCE.model_copy(update={"port": 4001})
        for _ in range(2):
            await owner.register(feed, PAIR, moved)
        assert await sent(chain) == 3
        record = await chain.need(FeedRecord, Table.FEED, KEY)
        assert (record.head.length, record.source, record.owner) == (10, moved, OWNER.id)


async def test_the_same_order_is_one_plan_and_other_terms_are_another(tmp_path):
    feed = owned(FeedStore(":memory:"), 9)
    async with owning(tmp_path) as (chain, owner):
        with pytest.raises(NotFound):
            await owner.order(KEY, TERMS)
        await owner.register(feed, PAIR, SOURCE)
        plans = [await owner.order(KEY, TERMS) for _ in range(3)]
        assert len(set(plans)) == 1
        other = await owner.order(KEY, PlanTerms(1, 3, 10_000, TERMS.sla, 3))
        assert other != plans[0]
        assert await owner.order(KEY, TERMS) == plans[0]
        record = await chain.need(FeedRecord, Table.FEED, KEY)
        assert set(record.plans) == {plans[0], other}
        assert await sent(chain) == 3


async def test_an_order_that_was_cancelled_is_given_anew(tmp_path):
    feed = owned(FeedStore(":memory:"), 9)
    async with owning(tmp_path) as (chain, owner):
        await owner.register(feed, PAIR, SOURCE)
        first = await owner.order(KEY, TERMS)
        assert (await owner.cancel(first)).status == "ended"
        second = await owner.order(KEY, TERMS)
        assert second != first
        assert (await chain.need(PlanRecord, Table.PLAN, second)).escrow_base > 0


async def test_an_order_that_rests_is_no_reason_to_pay_twice(tmp_path):
    feed = owned(FeedStore(":memory:"), 9)
    async with owning(tmp_path) as (chain, owner):
        await owner.register(feed, PAIR, SOURCE)
        plan = await owner.order(KEY, TERMS)
        await chain.wait(PlanRecord, Table.PLAN, plan, lambda found: found.status == "running")
        # With more epochs it is the same order still.
        assert (await owner.top_up(plan, 2)).escrow_base == 2 * 5 * 10_000
        assert (await owner.pause(plan)).status == "paused"
        assert await owner.order(KEY, TERMS) == plan
        with pytest.raises(Unavailable, match="plan resume"):
            await owner.publish(feed, PAIR, TERMS, HOST, free_port(), HOST, lambda *_: None)
        assert (await owner.resume(plan)).status == "running"


async def test_a_publication_that_was_cut_short_goes_on_where_it_was(tmp_path):
    feed, port = owned(FeedStore(":memory:"), 9), free_port()
    async with owning(tmp_path) as (chain, owner):
        told: list[str] = []
        for _ in range(3):
            replicating = asyncio.Event()

            def tell(step: str, done: int, of: int, ready: asyncio.Event = replicating) -> None:
                told.append(step)
                if step == "replicating":
                    ready.set()

            publishing = asyncio.create_task(
                owner.publish(feed, PAIR, TERMS, HOST, port, HOST, tell)
            )
            await asyncio.wait_for(replicating.wait(), 10)
            publishing.cancel()
            with suppress(asyncio.CancelledError):
                await publishing
        assert await sent(chain) == 2, "registered once, paid once"
        assert told[:2] == ["registering", "ordering"]


async def test_a_publication_ends_when_its_plan_is_cancelled(tmp_path):
    feed = owned(FeedStore(":memory:"), 9)
    async with owning(tmp_path) as (chain, owner):
        ordered = asyncio.Event()

        def tell(step: str, done: int, of: int) -> None:
            if step == "replicating":
                ordered.set()

        publishing = asyncio.create_task(
            owner.publish(feed, PAIR, TERMS, HOST, free_port(), HOST, tell)
        )
        await asyncio.wait_for(ordered.wait(), 10)
        (plan,) = (await chain.need(FeedRecord, Table.FEED, KEY)).plans
        await owner.cancel(plan)
        with pytest.raises(Unavailable, match="cancelled"):
            await asyncio.wait_for(publishing, 10)


# exported reports


@asynccontextmanager
async def chain_at(world: World) -> AsyncIterator[ChainClient]:
    """A client of a node on which a world's story has happened."""
    evidence = {(e.challenge.hex(), e.attestor.hex()): e.evidence for e in evidence_of(world)}

    async def answer(request: web.Request) -> web.Response:
        parts = request.path.split("/")
        if parts[3] == "evidence":
            return web.Response(body=evidence[parts[4], parts[5]])
        names = decode(RecordNames, await request.read())
        asked = [(Table(name.table), name.key) for name in names]
        proof = state_proof(world.genesis, world.state, world.height, asked)
        return web.Response(body=encode(proof))

    async with serving(answer) as url, ChainClient(url, world.genesis) as chain:
        yield chain


def several() -> World:
    """Three challenges of one plan."""
    return play(play(settled()))


async def test_several_challenges_are_exported_into_one_file():
    world = several()
    async with chain_at(world) as chain:
        bundle = await export_bundle(chain, world.library.key)
    checked = check_bundle(decode(Bundle, encode(bundle), MAX_BUNDLE_BYTES))
    assert (len(checked.verdicts), checked.listed, len(checked.reports)) == (6, 6, 12)
    assert len({verdict.challenge for verdict in checked.verdicts}) == 3
    assert checked.network == world.network


@pytest.mark.parametrize(("most", "shown"), [(1, 1), (2, 2), (3, 3), (5, 5), (6, 6), (7, 6)])
async def test_only_so_many_of_the_newest_verdicts_are_exported(most, shown, monkeypatch):
    monkeypatch.setattr(service, "VERDICTS_IN_BUNDLE", most)
    world = several()
    async with chain_at(world) as chain:
        checked = check_bundle(await export_bundle(chain, world.library.key))
        newest = await verdicts_of(chain, world.library.key, most)
    assert (len(checked.verdicts), checked.listed) == (shown, 6)
    assert {v.contract + v.challenge for v in checked.verdicts} == {
        v.contract + v.challenge for v in newest
    }


async def test_what_does_not_fit_is_left_out_oldest_first(monkeypatch):
    world = several()
    one = len(evidence_of(world)[0].evidence)
    newest = max(v.height for v in verdicts(world))
    for limit, challenges in ((13 * one, 3), (9 * one, 2), (5 * one, 1)):
        monkeypatch.setattr(service, "EVIDENCE_IN_BUNDLE_BYTES", limit)
        async with chain_at(world) as chain:
            checked = check_bundle(await export_bundle(chain, world.library.key))
        assert len({v.challenge for v in checked.verdicts}) == challenges
        assert max(v.height for v in checked.verdicts) == newest
        assert checked.listed == 6
    monkeypatch.setattr(service, "EVIDENCE_IN_BUNDLE_BYTES", one)
    async with chain_at(world) as chain:
        with pytest.raises(Unavailable, match="too large"):
            await export_bundle(chain, world.library.key)


async def test_there_is_room_for_so_many_records_and_no_more(monkeypatch):
    world = several()
    newest = max(v.height for v in verdicts(world))
    monkeypatch.setattr(service, "MAX_PROVEN_RECORDS", 24)
    async with chain_at(world) as chain:
        bundle = await export_bundle(chain, world.library.key)
    assert len(bundle.state.records) <= 24
    checked = check_bundle(bundle)
    assert 0 < len(checked.verdicts) < 6
    assert max(v.height for v in checked.verdicts) == newest


def verdicts(world: World):
    listed = world.draft.availability.at(world.library.key).verdicts
    pairs = zip(listed[::2], listed[1::2], strict=True)
    return [world.draft.verdicts.at(challenge + contract) for challenge, contract in pairs]


async def test_nothing_is_exported_of_a_feed_without_verdicts():
    world = drawn()
    async with chain_at(world) as chain:
        with pytest.raises(NotFound, match="no verdict"):
            await export_bundle(chain, world.library.key)
        assert await verdicts_of(chain, world.library.key, 5) == []
        with pytest.raises(NotFound, match="no such feed"):
            await export_bundle(chain, b"x" * 32)


async def test_verdicts_come_newest_first():
    world = several()
    async with chain_at(world) as chain:
        found = await verdicts_of(chain, world.library.key, 100)
    heights = [verdict.height for verdict in found]
    assert heights == sorted(heights, reverse=True)
    assert len(found) == 6


async def test_what_the_chain_has_forgotten_is_neither_exported_nor_explained(monkeypatch):
    monkeypatch.setattr(Parameters, "evidence_ms", 200 * BLOCK_MS)
    world = play(play(drawn()))
    feed = world.library.key
    first, *_, newest = world.draft.availability.at(feed).verdicts[::2]
    while world.draft.challenges.get(first):
        world.pass_blocks()
    async with chain_at(world) as chain:
        checked = check_bundle(await export_bundle(chain, feed))
        assert len(await verdicts_of(chain, feed, 100)) == 4
        assert (await hints_of(chain, await verdicts_of(chain, feed, 100))).visits == 8
    assert {verdict.challenge for verdict in checked.verdicts} == {newest}
    assert (len(checked.verdicts), checked.listed) == (2, 4)
    while world.draft.challenges.get(newest):
        world.pass_blocks()
    async with chain_at(world) as chain:
        for asked in (export_bundle, case_of):
            with pytest.raises(NotFound, match="no longer keeps"):
                await asked(chain, feed)


@pytest.mark.parametrize(
    ("answers", "told"),
    [(None, "due by height"), (True, "all were shown"), (False, "lost its collateral")],
)
async def test_what_the_chain_asked_for_after_an_audit_is_told(answers, told):
    world = settled(lambda attestor, plan: "silent")
    challenge = world.challenge.challenge
    world.pass_blocks()
    if answers:
        answer_warnings(world)
    elif answers is not None:
        world.pass_blocks(world.parameters.answer_blocks)
    async with chain_at(world) as chain:
        case = await case_of(chain, challenge)
    story = explain(world.genesis, case)
    assert [one.warning is not None for one in story.verdicts] == [True, True]
    lines = [line for one in story.verdicts for line in verdict_lines(one)]
    assert sum("the chain then asked for chunks" in line and told in line for line in lines) == 2
