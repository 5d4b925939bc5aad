"""Consensus among loss, partitions, crashes, torn disks, wrong clocks and liars, all at random."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.simulation.consensus.fast import computing_once
from tests.simulation.consensus.history import History

SEEDS = int(os.environ.get("SEEDS") or 200)
"""Random histories; `SEEDS=10000` for a night."""


@pytest.fixture(autouse=True)
def _once() -> Iterator[None]:
    with computing_once():
        yield


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_happens_there_is_one_chain_and_it_goes_on(seed: int) -> None:
    History(seed).play()


TRACES = (
    "from tests.simulation.consensus.fast import computing_once\n"
    "from tests.simulation.consensus.history import History\n"
    "with computing_once():\n"
    "    print([History(seed).play().world.trace for seed in (4, 11)])\n"
)


def test_the_same_seed_gives_the_same_history_whatever_pythons_hashes_are() -> None:
    traces = [str([History(seed).play().world.trace for seed in (4, 11)]) for _ in range(2)]
    for hashes in ("0", "7"):
        told = subprocess.run(
            [sys.executable, "-c", TRACES],
            env=os.environ | {"PYTHONHASHSEED": hashes, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        traces.append(told.stdout.splitlines()[-1])
    assert len(set(traces)) == 1
