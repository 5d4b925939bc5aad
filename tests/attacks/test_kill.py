"""`kill -9` wherever attestor or hoster waits: the same word again, and none twice.

`KILLS=n` makes that many lives of each end; `KILL_SEED` says where.
"""

import asyncio
import os
import random
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from chain.bodies.challenges import CommitReport, OpenReport
from chain.challenge_records import ChallengeRecord, VerdictRecord
from chain.client.http_client import NodeHttp
from chain.client.light_client import ChainClient
from chain.messages import SignedTransaction
from chain.records import Meta, StakeRecord, Table, stake_key
from chain.runs import BlockRun
from holdfast.network import LOCAL_PARAMETERS, LocalNetwork, _end_with_parent
from owner.service import verdicts_of
from tests.e2e.published import publish
from wire.codec import decode

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]

SEED = int(os.environ.get("KILL_SEED", "1"))
KILLS = int(os.environ.get("KILLS", "8"))
POWERS = (5, 11)
"""Of two, in steps: after as many as it takes to begin, and as many as in a whole round."""

IDLE_S = 12
"""A life that has nothing left to do ends after so long, so that the next begins elsewhere."""

ROOT = Path(__file__).parents[2]
PARAMETERS = LOCAL_PARAMETERS.model_copy(
    update={
        "block_interval_ms": 150,
        "committee_members": 5,
        "committee_minimum": 3,
        "window_blocks": 60,
        "opening_blocks": 60,
        # Who is killed all the time is asked on the chain, and answers when it lives.
        "answer_blocks": 2_000,
    }
)
COMMANDS = {"attestor-1": ("attest", "run"), "hoster-1": ("host", "run")}


async def live(network: LocalNetwork, name: str, steps: int) -> asyncio.subprocess.Process:
    """Start a daemon that dies after so many steps; 0: it lives on."""
    home = network.homes[name].path
    with (home / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.attacks.mortal", str(steps)),
            *("--home", str(home), *COMMANDS[name]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            preexec_fn=partial(_end_with_parent, os.getpid()),
        )
    network.processes[name] = process
    return process


async def haunt(network: LocalNetwork, name: str) -> None:
    """Let a daemon die and rise again while audits go on; its last life lasts."""
    chances = random.Random(f"{SEED} {name}")
    await network.kill(name)
    for _ in range(KILLS):
        # Lives overlap in what they do again: any power of two is as likely as another.
        process = await live(network, name, int(2 ** chances.uniform(*POWERS)))
        try:
            async with asyncio.timeout(IDLE_S):
                await process.wait()
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        assert process.returncode == -signal.SIGKILL, network.last_words(name)
        network.processes.pop(name)
    await live(network, name, 0)


async def test_whoever_is_killed_where_it_waits_says_the_same_again(tmp_path: Path) -> None:
    source = tmp_path / "data.bin"
    source.write_bytes(os.urandom(400_000))
    network = LocalNetwork(tmp_path / "net", attestors=6, hosters=2, parameters=PARAMETERS)
    async with network, ChainClient(network.url, network.genesis) as chain:
        await network.start(*network.validators, *network.attestors, *network.hosters)
        async with asyncio.timeout(60 + 30 * KILLS), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(chain.run())
            feed = await publish(network, chain, source)
            await chain.wait(Meta, Table.META, b"", lambda meta: bool(meta.open_challenges))
            async with asyncio.TaskGroup() as haunting:
                for name in COMMANDS:
                    haunting.create_task(haunt(network, name))
            verdicts = await _until_served(network, chain, feed)
            await _assert_one_word(network, chain, verdicts)
            following.cancel()


async def _until_served(
    network: LocalNetwork, chain: ChainClient, feed: bytes
) -> list[VerdictRecord]:
    """Wait until the killed hoster is found to serve, in a challenge drawn after its last death."""
    begun, hoster = chain.height, network.account("hoster-1")
    while True:
        verdicts = await verdicts_of(chain, feed, 1_000)
        assert all(verdict.verdict != "fault" for verdict in verdicts), "nobody was dishonest"
        for verdict in verdicts:
            record = await chain.need(ChallengeRecord, Table.CHALLENGE, verdict.challenge)
            ours = verdict.hoster == hoster and record.drawn_height > begun
            attended = network.account("attestor-1") in record.opened
            if ours and attended and verdict.verdict == "served":
                return verdicts
        await chain.next_block()


async def _assert_one_word(
    network: LocalNetwork, chain: ChainClient, verdicts: list[VerdictRecord]
) -> None:
    """One commitment a challenge, opened once; no two words in a flip; nothing lost but fees."""
    victim = network.account("attestor-1")
    sent = [
        signed.transaction.body
        for signed in await transactions(network)
        if signed.transaction.sender == victim
    ]
    for kind in (CommitReport, OpenReport):
        bodies = [body for body in sent if isinstance(body, kind)]
        assert bodies
        for challenge in {body.challenge for body in bodies}:
            words = {body for body in bodies if body.challenge == challenge}
            assert len(words) == 1, f"two different {kind.__name__} of one challenge"
    for challenge in {verdict.challenge for verdict in verdicts}:
        record = await chain.need(ChallengeRecord, Table.CHALLENGE, challenge)
        assert victim not in record.convicted, "it said two things in one flip"
        if any(known.member == victim for known in record.commitments):
            assert victim in record.opened, "a commitment was lost"
    stake = await chain.need(StakeRecord, Table.STAKE, stake_key("attestor", victim))
    assert stake.amount_base == PARAMETERS.attestor_stake_base


async def transactions(network: LocalNetwork) -> list[SignedTransaction]:
    found: list[SignedTransaction] = []
    async with NodeHttp(network.url) as node:
        height = 1
        while True:
            answer = await node.read("GET", f"/api/v1/sync/blocks?from={height}")
            run: BlockRun = decode(BlockRun, answer)
            if not run.blocks:
                return found
            for final in run.blocks:
                found += final.block.transactions
            height += len(run.blocks)
