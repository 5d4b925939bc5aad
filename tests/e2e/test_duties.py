"""What a hoster is asked, owes and announces, by the commands of its operator and of its owner."""

import asyncio
import os
from pathlib import Path

import pytest

from chain.client.light_client import ChainClient
from chain.records import ContractRecord, FeedRecord, PlanRecord, Table
from holdfast.network import LOCAL_PARAMETERS, LocalNetwork
from tests.e2e.commands import document, holdfast
from tests.e2e.published import publish

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]


async def test_a_hoster_is_asked_answers_and_announces_an_absence(tmp_path: Path) -> None:
    source = tmp_path / "data.bin"
    source.write_bytes(os.urandom(200_000))
    parameters = LOCAL_PARAMETERS.model_copy(update={"ask_rest_blocks": 0, "answer_blocks": 40})
    network = LocalNetwork(tmp_path / "net", attestors=1, hosters=1, parameters=parameters)
    owner, hoster = network.homes["owner"].path, network.homes["hoster-1"].path

    async def told(home: Path, *arguments: str, code: int = 0) -> str:
        done = await asyncio.to_thread(holdfast, *arguments, home=home)
        assert done.returncode == code, done.stderr
        return done.stdout

    async with network, ChainClient(network.url, network.genesis) as chain:
        await network.start(*network.validators, *network.attestors, *network.hosters)
        async with asyncio.timeout(150), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(chain.run())
            feed = await publish(network, chain, source, "--chunk-bytes", "8192")
            known = await chain.need(FeedRecord, Table.FEED, feed)
            plan = await chain.need(PlanRecord, Table.PLAN, known.plans[-1])
            (contract,) = plan.contracts

            said = await told(
                owner, "ask", contract.hex(), "--chunk", "7", "--chunk", "3", "--wait"
            )
            assert "bond" in said and "shown; the bond is the hoster's" in said
            bad = await asyncio.to_thread(
                holdfast, "ask", contract.hex(), "--chunk", "999", home=owner
            )
            assert bad.returncode == 1 and "there is no chunk 999" in bad.stderr
            assert "no absence is announced" in await told(hoster, "host", "maintenance")
            refused = await asyncio.to_thread(holdfast, "host", "maintenance", "1h", home=hoster)
            assert refused.returncode == 1 and "at most 240" in refused.stderr
            assert "away in about" in await told(hoster, "host", "maintenance", "30s")
            assert "away in about" in await told(hoster, "host", "status")

            await network.kill("hoster-1")
            found = await asyncio.to_thread(document, "ask", contract.hex(), "--json", home=owner)
            assert len(found["chunks"]) == 2
            said = await told(hoster, "host", "status")
            assert "somebody asks: chunks" in said and "base units are lost" in said
            ended = await chain.wait(
                ContractRecord, Table.CONTRACT, contract, lambda one: one.status == "ended"
            )
            assert ended.collateral_base == 0
            following.cancel()
