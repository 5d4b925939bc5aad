"""With the owner gone, a hoster gets an assigned feed from another hoster."""

import asyncio
import os
from pathlib import Path

import pytest

from chain.bodies.plans import CreatePlan, Sla
from chain.client import ChainClient
from chain.records import ContractRecord, FeedRecord, PlanRecord, Table
from chain.wallet_client import Wallet
from holdfast.network import LocalNetwork
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
