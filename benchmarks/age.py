"""An old chain: what a validator holds in memory and on disk after `AGE_BLOCKS` (100,000) blocks.

The history is written by this process, near-empty block by block, with the rules and the store
of a real one; then a validator starts on it as a process of its own and goes on for a while.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, Wanted
from chain.node.follower_node import Follower
from holdfast.home import CHAIN_NAME, SEED_NAME
from holdfast.network import LocalNetwork
from tests.chain.chains import Chain
from tests.chain.final import genesis_of
from tests.people import VALIDATOR
from wire import zbase32

BLOCKS = int(os.environ.get("AGE_BLOCKS", "100000"))
STORED_AT_ONCE = 500
GOES_ON_S = 10
MIB = 1 << 20
MEMORY_BAR_MIB = 150
STORAGE_BAR_BYTES = 2_048


def run(wanted: Wanted) -> Iterator[Figure]:
    """The figures that are wanted, one by one."""
    if wanted("memory_old_validator_mib") or wanted("storage_per_block_bytes"):
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as root:
            memory, stored = asyncio.run(_grow_old(Path(root)))
        yield _at_most("memory_old_validator_mib", memory / MIB, "MiB", MEMORY_BAR_MIB)
        yield _at_most("storage_per_block_bytes", stored / BLOCKS, "bytes", STORAGE_BAR_BYTES)


def _at_most(name: str, figure: float, unit: str, limit: float) -> Figure:
    return Figure(name, figure, unit, "limit", limit, 1.0, at_most=True)


async def _grow_old(root: Path) -> tuple[int, int]:
    """The validator's resident memory at its highest, and the size of its database, in bytes."""
    agreed = genesis_of(1)
    network = LocalNetwork(root, attestors=0, hosters=0)
    async with network:
        home = network.homes["validator-1"].path
        for name in ("genesis.cbor", "votes.log"):
            (home / name).unlink()
        (home / SEED_NAME).write_text(zbase32.encode(VALIDATOR.master) + "\n")
        network.homes["validator-1"].write_genesis(agreed)
        database = home / CHAIN_NAME
        node = await Follower.open(agreed, database, [])
        chain = Chain(agreed)
        for height in range(0, BLOCKS, STORED_AT_ONCE):
            count = min(STORED_AT_ONCE, BLOCKS - height)
            # The node's own ledger stays behind: what it keeps has been executed by the chain's.
            await node.keep([chain.write() for _ in range(count)])
        await node.close()
        stored = database.stat().st_size
        await network.start("validator-1")
        await asyncio.sleep(GOES_ON_S)
        network.require_alive()
        return network.memory_bytes("validator-1"), stored
