"""Four validators in real processes, killed at bad moments: what is final stays, and goes on."""

import asyncio
import os
import random
from pathlib import Path

import pytest

from chain.validators import view_input
from holdfast.network import LocalNetwork
from tests.e2e.agreement import QUICK, council, four, paying
from wire import vrf
from wire.keys import KeyPair, Use

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]

SEED = int(os.environ.get("KILL_SEED", "7"))
ROUNDS = 2
LIMIT_S = 180
"""A generous limit that ends a vain wait."""

TERMS = QUICK.model_copy(update={"term_blocks": 20})


async def test_each_is_killed_in_turn_under_load(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    network = four(tmp_path, TERMS)
    async with network, council(network) as chain, asyncio.timeout(LIMIT_S):
        await network.start(*network.validators)
        async with paying(chain, SEED):
            await chain.reach(3)
            for _ in range(ROUNDS):
                for name in rng.sample(network.validators, k=4):
                    await asyncio.sleep(rng.uniform(0, 1))
                    await network.kill(name)
                    others = [each for each in network.validators if each != name]
                    await chain.go_on(2, *others)
                    await network.start(name)
                    await chain.go_on(2)
                    await chain.blocks(name)
        blocks = await chain.assert_agreed()
        assert len(blocks) > 3 * 4 * ROUNDS


async def test_all_are_killed_at_once_and_go_on(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    network = four(tmp_path, TERMS)
    async with network, council(network) as chain, asyncio.timeout(LIMIT_S):
        await network.start(*network.validators)
        async with paying(chain, SEED):
            for _ in range(3):
                await chain.go_on(3)
                for name in network.validators:
                    await chain.blocks(name)
                await asyncio.sleep(rng.uniform(0, 0.3))
                await asyncio.gather(*(network.kill(name) for name in network.validators))
                await network.start(*network.validators)
        await chain.go_on(3)
        await chain.assert_agreed()


async def test_a_dead_validator_costs_the_views_that_it_opens_or_leads(tmp_path: Path) -> None:
    network = four(tmp_path, QUICK)
    dead, *others = network.validators
    async with network, council(network) as chain, asyncio.timeout(LIMIT_S):
        await network.start(*network.validators)
        await chain.reach(3)
        await network.kill(dead)
        before = await chain.go_on(3, *others)  # it may have opened or led the next two
        await chain.go_on(12, *others)
        headers = [final.block.header for final in (await chain.blocks(others[0]))[before - 1 :]]
        final = {header.view for header in headers}
        views = range(headers[0].view, headers[-1].view + 1)
        failed = set(views) - final
        excused = views_of(network, dead, views)
        assert final & excused == set(), "who is dead neither opens a view nor leads it"
        # A busy machine may fail to meet a deadline now and then.
        assert len(failed - excused) <= len(final) // 2
        await network.start(dead)
        await chain.go_on(3)
        await chain.assert_agreed()


def views_of(network: LocalNetwork, name: str, views: range) -> set[int]:
    """The views of the first term that a validator opens, or leads by the opener's draw."""
    agreed = network.genesis
    validators = agreed.first_set
    keys = {
        network.account(each): KeyPair.derive(network.homes[each].seed(), Use.VRF)
        for each in network.validators
    }
    account, found = network.account(name), set()
    for view in views:
        committer = validators.committer(view).account
        alpha = view_input(agreed.network, validators.seed, 0, view)
        leader = validators.leader(vrf.output(vrf.prove(keys[committer], alpha)))
        if account in (committer, validators.members[leader].account):
            found.add(view)
    return found
