"""Attestors bring the chain what convicts one of them: once, and not before it may be known."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from attestor.flip_service import _Court
from chain.client import ChainClient
from chain.node import Node
from chain.records import ChallengeRecord, Table
from chain.wallet_client import Wallet
from coinflip.messages import Evidence
from tests.builders import World
from tests.chain.nodes import answering, following, node_at
from tests.faults import equivocation, false_confirmation
from tests.stages import drawn, sealed


@asynccontextmanager
async def steadily(node: Node, chain: ChainClient) -> AsyncIterator[None]:
    """Blocks follow each other, with some time for those who have heard of them."""

    async def write() -> None:
        while True:
            await node._write_block()
            await chain.reach(node.ledger.height)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(write())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def reported(
    world: World, path: Path, evidence: Evidence
) -> tuple[ChallengeRecord, list[tuple[int, bytes]]]:
    """What the chain says once all members had the evidence; what was sent when, and by whom."""
    record = world.challenge
    async with (
        node_at(world, path / "chain.db") as node,
        answering(node) as url,
        ChainClient(url, world.genesis) as chain,
    ):
        await node._write_block()
        async with following(chain), steadily(node, chain):
            async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
                for member in world.members:
                    wallet = Wallet(chain, member.account)
                    court = _Court(chain, wallet, record, tasks.create_task, tasks)
                    await court.submit_evidence(evidence)
            found = await chain.need(ChallengeRecord, Table.CHALLENGE, record.challenge)
        sent = []
        for height in range(world.height + 1, node.ledger.height + 1):
            block = (await node.store.block(height)).block
            sent += [(height, signed.transaction.sender) for signed in block.transactions]
    return found, sent


async def test_one_of_the_others_reports_and_the_next_attempt_begins(tmp_path: Path) -> None:
    world = drawn()
    accused, *others = world.members
    found, sent = await reported(world, tmp_path, equivocation(world, accused))
    assert found.convicted == (accused.id,)
    assert accused.id not in found.members
    # In turns: a slow one may cross the next, but not all of them pay for the same.
    assert 1 <= len(sent) < len(others)
    assert {reporter for _, reporter in sent} <= {member.id for member in others}


async def test_what_would_tell_the_coin_is_reported_when_the_window_is_over(
    tmp_path: Path,
) -> None:
    world = sealed()
    accused, *others = world.members
    found, sent = await reported(world, tmp_path, false_confirmation(world, accused))
    assert found.convicted == (accused.id,)
    assert sent and all(height > world.challenge.window_end for height, _ in sent)
    assert {reporter for _, reporter in sent} <= {member.id for member in others}
