"""Row 13: a hoster signs two receipts that cannot both be true, and who hears both has it pay.

The hoster and its victims are daemons on a local network; an attestor is killed between hearing
and proving.
"""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

import pytest

from audit.faults import session_id
from chain.bodies.faults import ReceiptFault
from chain.challenge_records import ChallengeRecord
from chain.client.found_store import Found, FoundStore
from chain.client.light_client import ChainClient
from chain.records import Account, ContractRecord, FalseSession, FeedRecord, PlanRecord, Table
from holdfast.network import LOCAL_PARAMETERS, LocalNetwork, _end_with_parent
from tests.attacks.test_kill import transactions
from tests.e2e.published import publish

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]

ROOT = Path(__file__).parents[2]
SHARE_BASE = (
    LOCAL_PARAMETERS.contract_collateral_base * LOCAL_PARAMETERS.reporter_share_ppm // 1_000_000
)


async def start_lying(network: LocalNetwork, name: str) -> None:
    home = network.homes[name].path
    with (home / "log").open("ab") as log:
        network.processes[name] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.attacks.liar", "--home", str(home), "host", "run"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            preexec_fn=partial(_end_with_parent, os.getpid()),
        )


async def first_to_find(network: LocalNetwork) -> tuple[str, Found]:
    """The first attestor that has found something, and what; it is killed at once."""
    while True:
        for name in network.attestors:
            for found in FoundStore(network.homes[name].found).all():
                await network.kill(name)
                return name, found
        await asyncio.sleep(0.02)


async def balance(network: LocalNetwork, chain: ChainClient, name: str) -> int:
    return (await chain.need(Account, Table.ACCOUNT, network.account(name))).balance_base


async def test_who_signs_twice_pays_though_the_attestor_that_heard_it_is_killed(
    tmp_path: Path,
) -> None:
    source = tmp_path / "data.bin"
    source.write_bytes(os.urandom(400_000))
    network = LocalNetwork(tmp_path / "net", attestors=4, hosters=2)
    liar = "hoster-2"
    async with network, ChainClient(network.url, network.genesis) as chain:
        await network.start(*network.validators, *network.attestors, "hoster-1")
        await start_lying(network, liar)
        async with asyncio.timeout(150), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(chain.run())
            # What is paid for audits would hide what is paid for the fault.
            terms = ("--chunk-bytes", "8192", "--price", "40", "--replicas", "2")
            feed = await publish(network, chain, source, *terms)
            victim, found = await first_to_find(network)
            assert isinstance(found.fault, ReceiptFault) and found.after is not None
            assert found.fault.first.receipt.hoster == network.account(liar)
            session = session_id(found.fault.first.receipt)
            assert await chain.record(FalseSession, Table.FALSE_SESSION, session) is None
            before = await balance(network, chain, victim)
            await network.start(victim)

            proven = await chain.wait(FalseSession, Table.FALSE_SESSION, session, lambda _: True)
            assert proven.hoster == network.account(liar)
            shown = [
                signed.transaction
                for signed in await transactions(network)
                if isinstance(signed.transaction.body, ReceiptFault)
            ]
            assert {each.body.first.receipt.hoster for each in shown} == {network.account(liar)}
            assert [each.sender for each in shown if each.body == found.fault] == [
                network.account(victim)
            ]
            visited = await chain.need(ChallengeRecord, Table.CHALLENGE, found.after)
            assert visited.status not in ("flipping", "visiting"), "a proof names who was visited"
            await _assert_ended(network, chain, feed, liar)
            store = FoundStore(network.homes[victim].found)
            while list(store.all()):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.02)
            assert await balance(network, chain, victim) > before + SHARE_BASE // 2
            following.cancel()


async def _assert_ended(network: LocalNetwork, chain: ChainClient, feed: bytes, liar: str) -> None:
    """The liar's contract is over and its collateral lost; the other's goes on."""
    record = await chain.need(FeedRecord, Table.FEED, feed)
    (plan,) = await chain.records(PlanRecord, Table.PLAN, record.plans)
    for contract in await chain.records(ContractRecord, Table.CONTRACT, plan.contracts):
        if contract.hoster == network.account(liar):
            ended = await chain.wait(
                ContractRecord, Table.CONTRACT, contract.contract, lambda one: one.status == "ended"
            )
            assert ended.collateral_base == 0
        else:
            assert contract.status == "active"
