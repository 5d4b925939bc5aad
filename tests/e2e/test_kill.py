"""`kill -9` at random moments: restarted, they carry on, and nothing is counted twice."""

import asyncio
import os
import random
from pathlib import Path

import pytest

from chain.challenge_records import Availability, ChallengeRecord, ReportRecord, VerdictRecord
from chain.client.light_client import ChainClient
from chain.genesis import Parameters
from chain.records import ContractRecord, FeedRecord, Meta, PlanRecord, Table
from holdfast.network import LOCAL_PARAMETERS, LocalNetwork
from tests.e2e.published import publish

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]

SEED = int(os.environ.get("KILL_SEED", "7"))
CHALLENGES = 2
PATIENT = LOCAL_PARAMETERS.model_copy(update={"window_blocks": 60, "opening_blocks": 60})
"""A little more time in each phase: what is killed needs a second to come back."""


async def settled(chain: ChainClient, feed: bytes, count: int) -> list[VerdictRecord]:
    listed = await chain.wait(
        Availability,
        Table.AVAILABILITY,
        feed,
        lambda found: len(set(found.verdicts[::2])) >= count,
    )
    names = [
        challenge + contract
        for challenge, contract in zip(listed.verdicts[::2], listed.verdicts[1::2], strict=True)
    ]
    assert len(names) == len(set(names)), "one verdict a challenge and contract"
    return await chain.records(VerdictRecord, Table.VERDICT, names)


async def disturb(network: LocalNetwork, chain: ChainClient, victims: list[str]) -> None:
    """Kill each victim at a random moment and start it again at once or a little later."""
    rng = random.Random(SEED)
    await chain.wait(Meta, Table.META, b"", lambda meta: bool(meta.open_challenges))
    for name in victims:
        await asyncio.sleep(rng.uniform(0.3, 2.5))
        await network.kill(name)
        await asyncio.sleep(rng.choice((0.0, 0.7)))
        await network.start(name)


async def test_killed_members_carry_on_and_nothing_counts_twice(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "data.bin").write_bytes(os.urandom(1 << 20))
    parameters: Parameters = PATIENT
    network = LocalNetwork(tmp_path / "network", attestors=6, parameters=parameters)
    async with network, ChainClient(network.url, network.genesis) as chain:
        await network.start(*network.validators, *network.attestors, *network.hosters)
        async with asyncio.timeout(180), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(chain.run())
            feed = await publish(network, chain, folder)
            victims = [
                "attestor-2",
                "validator-1",
                "hoster-1",
                "attestor-5",
                "validator-1",
                "hoster-2",
            ]
            await disturb(network, chain, victims)
            verdicts = await settled(chain, feed, CHALLENGES)
            await assert_accounts_balance(chain, feed, verdicts)
            following.cancel()


async def assert_accounts_balance(
    chain: ChainClient, feed: bytes, verdicts: list[VerdictRecord]
) -> None:
    """Whatever was killed when: each epoch was paid once, and every coin is somewhere."""
    supply = await chain.read_json("/supply")
    assert supply["counted_base"] == supply["genesis_base"]
    record = await chain.need(FeedRecord, Table.FEED, feed)
    (plan,) = await chain.records(PlanRecord, Table.PLAN, record.plans)
    contracts = await chain.records(ContractRecord, Table.CONTRACT, plan.contracts)
    assert len(contracts) == plan.replicas
    for contract in contracts:
        ours = [verdict for verdict in verdicts if verdict.contract == contract.contract]
        counted = [verdict for verdict in ours if verdict.verdict != "skipped"]
        assert contract.earned_base >= sum(verdict.paid_base for verdict in counted)
        assert contract.epochs_left <= plan.epochs - len(counted)
        assert all(verdict.verdict != "fault" for verdict in ours), "nobody was dishonest"
    for challenge_id in {verdict.challenge for verdict in verdicts}:
        challenge = await chain.need(ChallengeRecord, Table.CHALLENGE, challenge_id)
        await chain.reach(challenge.reveal_deadline + 1)
        challenge = await chain.need(ChallengeRecord, Table.CHALLENGE, challenge_id)
        assert challenge.unrevealed == (), "who was killed had revealed, or answered afterwards"
        assert len(challenge.opened) == len(set(challenge.opened))
        reports = await chain.records(
            ReportRecord, Table.REPORT, [challenge_id + member for member in challenge.opened]
        )
        assert len(reports) >= 4, "the others were not held up"
