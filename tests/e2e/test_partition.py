"""Validators that cannot hear each other: fewer than a quorum finalize nothing, and catch up."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agreement import QUICK, council, four, paying
from tests.e2e.namespaces import Separable, separable

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]

LIMIT_S = 180
"""A generous limit that ends a vain wait."""

NAMES = [f"validator-{number}" for number in range(1, 5)]
TERMS = QUICK.model_copy(update={"term_blocks": 20})
PARTED_S = float(os.environ.get("PARTED_S", "3"))


@pytest.fixture
def wires() -> Iterator[Separable]:
    with separable(NAMES) as found:
        yield found


async def test_only_a_quorum_that_hears_itself_goes_on(tmp_path: Path, wires: Separable) -> None:
    network = four(tmp_path, TERMS, machines=wires.machines)
    *most, alone = NAMES
    async with network, council(network) as chain, asyncio.timeout(LIMIT_S):
        await network.start(*NAMES)
        async with paying(chain, 4):
            await chain.reach(3)
            wires.part(alone)
            await chain.go_on(3, *most)  # what was on its way has come
            height = await chain.height(alone)
            await chain.go_on(TERMS.term_blocks, *most)
            assert await chain.height(alone) == height
            wires.part()
            await chain.go_on(3)

            wires.part(*NAMES[:2])
            await asyncio.sleep(1)
            heights = [await chain.height(name) for name in NAMES]
            await asyncio.sleep(PARTED_S)
            assert [await chain.height(name) for name in NAMES] == heights
            for name in NAMES:
                await chain.blocks(name)
            wires.part()
            await chain.go_on(TERMS.term_blocks)
        await chain.assert_agreed()
