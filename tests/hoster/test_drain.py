"""A hoster that stops hands over what it has, beside its own daemon, on a real chain."""

import asyncio

from chain.client.wallet_client import Wallet
from chain.records import ContractRecord, PlanRecord, Registration, Roster, RosterName, Table
from feed.store import FeedStore
from hoster.drain_service import drain
from tests.chain.nodes import free_port
from tests.feed.owner import KEY, PAIR, owned
from tests.hoster.test_service import (
    HOSTER,
    LENGTH,
    TERMS,
    _quick_retries,  # noqa: F401 - a fixture
    active,
    enlisted,
    hosting,
    network,
    source,
)


async def test_a_hoster_drains_beside_its_daemon_and_comes_back(tmp_path):
    feed, port, path = owned(FeedStore(":memory:"), LENGTH), free_port(), tmp_path / "feeds.db"
    async with asyncio.timeout(30), network(tmp_path) as (url, chain, owner):
        async with hosting(url, path, port), source(feed) as endpoint:
            await enlisted(chain)
            await owner.register(feed, PAIR, endpoint)
            plan = await owner.order(KEY, TERMS)
            contract = await active(chain, plan, LENGTH)
            (left,) = await drain(chain, Wallet(chain, HOSTER.account), on=True)
            kept = min(TERMS.epochs, 2)
            assert (left.contract, left.leaving, left.epochs_left) == (
                contract.contract,
                True,
                kept,
            )
            # Nothing is left twice.
            assert await drain(chain, Wallet(chain, HOSTER.account), on=True) == [left]
            roster = await chain.need(Roster, Table.ROSTER, RosterName.HOSTERS.key)
            assert roster.members == ()
        # The daemon of a draining hoster starts as any.
        async with hosting(url, path, port):
            await chain.next_block()
            assert (await chain.need(Registration, Table.REGISTRATION, HOSTER.id)).draining
            await drain(chain, Wallet(chain, HOSTER.account), on=False)
            await enlisted(chain)
        # A cancelled plan's contract needs nobody to leave it.
        await owner.cancel(plan)
        ended = await chain.need(ContractRecord, Table.CONTRACT, contract.contract)
        assert ended.status == "ended"
        assert await drain(chain, Wallet(chain, HOSTER.account), on=True) == []
        assert (await chain.need(PlanRecord, Table.PLAN, plan)).escrow_base == 0
