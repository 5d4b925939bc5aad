"""Catching up with a chain: near-empty blocks of four validators, from a node's API to a store.

The node that gives blocks is a process of its own; the one that catches up is this process. Its
rate is beside real time: how fast the chain itself grows at the default interval.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, Wanted
from chain.genesis import Parameters
from chain.node.follower_node import Follower
from chain.node.server import bind, run_node
from holdfast.logs import set_up
from holdfast.network import free_ports
from tests.chain.chains import Chain
from tests.chain.final import genesis_of

BLOCKS = int(os.environ.get("CATCHUP_BLOCKS", "10000"))
VALIDATORS = 4
CATCHUP_BAR = 20.0
GENESIS = genesis_of(VALIDATORS)
STORED_AT_ONCE = 500


def run(wanted: Wanted) -> Iterator[Figure]:
    """The figures that are wanted, one by one."""
    if wanted("catchup_vs_realtime"):
        rate = asyncio.run(_catch_up())
        real = 1_000 / Parameters().block_interval_ms
        against = "blocks a second at the default interval"
        yield Figure("catchup_vs_realtime", rate, "1/s", against, real, CATCHUP_BAR)


async def _make(path: Path) -> None:
    """A store with the whole chain."""
    node = await Follower.open(GENESIS, path, [])
    chain = Chain(GENESIS)
    for height in range(0, BLOCKS, STORED_AT_ONCE):
        count = min(STORED_AT_ONCE, BLOCKS - height)
        # The node's own ledger stays behind: what it keeps has been executed by the chain's.
        await node.keep([chain.write() for _ in range(count)])
    await node.close()


async def _serve(path: Path, port: int) -> None:
    node = await Follower.open(GENESIS, path, [f"http://127.0.0.1:{port}"])
    with bind("127.0.0.1", port) as listener:
        await run_node(node, listener)


async def _catch_up() -> float:
    """Blocks a second, from nothing to all that the other node has."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as root:
        source, copy = Path(root) / "source.db", Path(root) / "copy.db"
        await _make(source)
        (port,) = free_ports(1)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.catchup", str(source), str(port)
        )
        node = await Follower.open(GENESIS, copy, [f"http://127.0.0.1:{port}"])
        try:
            await _until_answers(port)
            began = time.perf_counter()
            await node.catch_up()
            assert node.height == BLOCKS
            return BLOCKS / (time.perf_counter() - began)
        finally:
            process.kill()
            await process.wait()
            await node.close()


async def _until_answers(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


if __name__ == "__main__":
    set_up("error", "text")
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
