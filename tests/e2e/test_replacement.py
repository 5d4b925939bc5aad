"""Feeds outlive their owner, and plans the hosters that are gone."""

import asyncio
import os
from pathlib import Path

import pytest

from chain.bodies.plans import CreatePlan, Sla
from chain.client.light_client import ChainClient
from chain.client.wallet_client import Wallet
from chain.hosting_records import DataRequest
from chain.records import ContractRecord, FeedRecord, PlanRecord, Table
from holdfast.network import LocalNetwork
from tests.e2e.commands import document
from tests.e2e.published import publish
from wire.keys import KeyPair, Use

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]


async def test_a_feed_outlives_its_owner(tmp_path: Path) -> None:
    source = tmp_path / "data.bin"
    source.write_bytes(os.urandom(300_000))
    network = LocalNetwork(tmp_path / "network", attestors=4, hosters=2)
    async with network, ChainClient(network.url, network.genesis) as chain:
        await network.start(*network.validators, *network.attestors, *network.hosters)
        async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(chain.run())
            feed = await publish(network, chain, source, "--replicas", "1")
            assert "owner" not in network.processes

            wallet = Wallet(chain, KeyPair.derive(network.homes["owner"].seed(), Use.ACCOUNT))
            plan = await wallet.send(
                CreatePlan(
                    feed=feed,
                    replicas=2,
                    epochs=3,
                    price_base=100_000,
                    sla=Sla(
                        availability_ppm=990_000, latency_us=2_000_000, throughput_bytes_per_s=0
                    ),
                    samples=10,
                    start_height=0,
                )
            )
            made = await chain.wait(
                PlanRecord, Table.PLAN, plan, lambda found: len(found.contracts) == 2
            )
            head = (await chain.need(FeedRecord, Table.FEED, feed)).head
            for name in made.contracts:
                contract = await chain.wait(
                    ContractRecord, Table.CONTRACT, name, lambda found: found.status == "active"
                )
                assert contract.head == head
            following.cancel()


async def test_a_hoster_that_is_gone_is_replaced_from_another_with_the_owner_gone(
    tmp_path: Path,
) -> None:
    """And one that is killed while it is asked for chunks shows them when it is back."""
    source = tmp_path / "data.bin"
    source.write_bytes(os.urandom(300_000))
    network = LocalNetwork(tmp_path / "network", attestors=4, hosters=3)
    async with network, ChainClient(network.url, network.genesis) as chain:
        await network.start(*network.validators, *network.attestors, *network.hosters)
        async with asyncio.timeout(170), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(chain.run())
            options = ("--replicas", "2", "--chunk-bytes", "8192", "--epochs", "9")
            feed = await publish(network, chain, source, *options)
            assert "owner" not in network.processes
            known = await chain.need(FeedRecord, Table.FEED, feed)
            plan = await chain.need(PlanRecord, Table.PLAN, known.plans[-1])
            names = {network.account(name): name for name in network.hosters}
            gone, stays = await chain.records(ContractRecord, Table.CONTRACT, plan.contracts)

            await network.kill(names[gone.hoster])
            home = network.homes["owner"].path
            asked = await asyncio.to_thread(
                document, "ask", stays.contract.hex(), "--chunk", "3", "--json", home=home
            )
            await network.kill(names[stays.hoster])
            await network.start(names[stays.hoster])
            shown = await chain.wait(
                DataRequest,
                Table.DATA_REQUEST,
                bytes.fromhex(asked["request"]),
                lambda request: request.status != "open",
            )
            assert (shown.status, len(shown.shown)) == ("answered", 2)

            ended = await chain.wait(
                ContractRecord, Table.CONTRACT, gone.contract, lambda one: one.status == "ended"
            )
            assert ended.collateral_base == 0
            made = await chain.wait(
                PlanRecord, Table.PLAN, plan.plan, lambda found: len(found.contracts) == 3
            )
            successor = await chain.wait(
                ContractRecord,
                Table.CONTRACT,
                made.contracts[-1],
                lambda found: found.status == "active",
            )
            assert successor.hoster not in (gone.hoster, stays.hoster)
            assert successor.head == known.head
            served = await chain.need(ContractRecord, Table.CONTRACT, stays.contract)
            assert served.status == "active"
            following.cancel()
