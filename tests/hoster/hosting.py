"""A hoster's daemon on a real chain, and an owner with a feed for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from chain.bodies.plans import Sla
from chain.client.found_store import FoundStore
from chain.client.light_client import ChainClient
from chain.endpoint import Endpoint
from chain.records import ContractRecord, PlanRecord, Roster, RosterName, Table
from feed.feed import Feed
from feed.replication.session import serve
from feed.store import FeedStore
from hoster.service import Hoster, HosterTerms
from owner.service import Owner, PlanTerms
from swarm.server import listen
from tests.chain.nodes import HOST, INTERVAL_MS, following, served_node
from tests.people import HOSTERS, OWNER, PARAMETERS, genesis
from wire.errors import HoldfastError
from wire.keys import Use
from wire.ports import Connection

HOSTER = HOSTERS[0]
LENGTH = 40
GENESIS = genesis(
    PARAMETERS.model_copy(
        update={
            "block_interval_ms": INTERVAL_MS,
            "acknowledge_blocks": 100_000,
            "answer_blocks": 100_000,
            "transaction_lifetime_blocks": 400,
        }
    )
)
TERMS = PlanTerms(
    replicas=1,
    epochs=3,
    price_base=10_000,
    sla=Sla(availability_ppm=900_000, latency_us=1, throughput_bytes_per_s=0),
    samples=3,
)


def terms(port: int) -> HosterTerms:
    return HosterTerms(
        host=HOST,
        port=port,
        public_host=HOST,
        capacity_bytes=1 << 30,
        price_base_per_gib=0,
        operator="",
        stake_base=2_000,
        repair=True,
    )


@asynccontextmanager
async def hosting(url: str, path: Path, port: int) -> AsyncIterator[FeedStore]:
    """A hoster's daemon on the store at `path`, until it is killed."""
    with FeedStore(path) as store:
        async with ChainClient(url, GENESIS, patient=True) as chain:
            found = FoundStore(path.with_name("found"))
            hoster = Hoster(chain, HOSTER.master, store, terms(port), found=found)
            running = asyncio.create_task(hoster.run())
            try:
                yield store
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running


@asynccontextmanager
async def source(feed: Feed, port: int = 0) -> AsyncIterator[Endpoint]:
    """The owner serves what it has of its feed."""

    async def serve_reader(connection: Connection) -> None:
        with suppress(HoldfastError):
            await serve(connection, feed)

    swarm = OWNER.key(Use.SWARM)
    async with listen(HOST, port, swarm, on_open=lambda _, __, it: serve_reader(it)) as listener:
        yield Endpoint(host=HOST, port=listener.port, swarm_key=swarm.public)


@asynccontextmanager
async def network(tmp_path: Path) -> AsyncIterator[tuple[str, ChainClient, Owner]]:
    """A chain, and an owner on it."""
    async with (
        served_node(tmp_path / "chain.db", agreed=GENESIS) as url,
        ChainClient(url, GENESIS, patient=True) as chain,
        following(chain),
    ):
        yield url, chain, Owner(chain, OWNER.master)


async def enlisted(chain: ChainClient) -> None:
    """Until the hoster can be assigned to: registered and staked."""
    hosters = RosterName.HOSTERS.key
    await chain.wait(Roster, Table.ROSTER, hosters, lambda roster: HOSTER.id in roster.members)


async def active(chain: ChainClient, plan: bytes, length: int) -> ContractRecord:
    """Until the plan's contract is acknowledged at a length."""
    made = await chain.wait(PlanRecord, Table.PLAN, plan, lambda plan: bool(plan.contracts))
    return await chain.wait(
        ContractRecord,
        Table.CONTRACT,
        made.contracts[-1],
        lambda now: now.head is not None and now.head.length == length,
    )
