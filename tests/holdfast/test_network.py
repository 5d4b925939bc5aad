"""A network on this machine: its processes end with the one that started them, even by force."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from chain.client.light_client import ChainClient
from holdfast.network import LocalNetwork
from tests.chain.nodes import following
from wire.errors import Unavailable

ROOT = Path(__file__).parent.parent.parent

PARENT = """
import asyncio, sys
from pathlib import Path
from holdfast.network import LocalNetwork

async def main():
    network = LocalNetwork(Path(sys.argv[1]), attestors=1, hosters=1)
    network.prepare()
    await network.start("validator-1", "hoster-1", "attestor-1")
    print(*(process.pid for process in network.processes.values()), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="parent death signals are Linux's")
@pytest.mark.parametrize("running", [False, True], ids=["at once", "once they run"])
def test_no_process_outlives_a_parent_that_was_killed(tmp_path, running):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "network")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3
        children = [psutil.Process(pid) for pid in pids]
        deadline = time.monotonic() + 20
        # A role replaces the command that started it.
        while running and not all("holdfast.role" in child.cmdline() for child in children[1:]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        parent.kill()
    try:
        _, alive = psutil.wait_procs(children, timeout=15)
        assert not alive
    finally:
        for child in children:
            if child.is_running():
                child.kill()


async def test_each_member_has_a_home_a_port_and_the_same_genesis(tmp_path):
    network = LocalNetwork(
        tmp_path, attestors=2, hosters=1, settings={"hoster-1": "hoster.repair = false"}
    )
    network.prepare()
    assert network.names == ["validator-1", "attestor-1", "attestor-2", "hoster-1", "owner"]
    assert len({network.port(name) for name in network.names}) == 5
    genesis = network.genesis
    assert {home.genesis().network for home in network.homes.values()} == {genesis.network}
    assert {balance.account for balance in genesis.balances} == {
        network.account(name) for name in network.names
    }
    assert "repair = false" in (network.homes["hoster-1"].path / "holdfast.toml").read_text()


async def test_a_process_that_ends_by_itself_is_noticed_with_its_last_words(tmp_path):
    async with LocalNetwork(tmp_path, attestors=0, hosters=1) as network:
        process = await network.run("validator-1", "chain", "run", "--listen", "nonsense")
        assert await process.wait() == 1
        with pytest.raises(Unavailable, match="validator-1 ended: error: an address is HOST:PORT"):
            network.require_alive()
        assert network.last_words("hoster-1") == "it left no log"


async def test_a_network_that_is_left_has_no_processes(tmp_path):
    async with LocalNetwork(tmp_path, attestors=0, hosters=1) as network:
        await network.start("validator-1", "hoster-1")
        network.require_alive()
        started = dict(network.processes)
        await network.kill("hoster-1")
        assert started["hoster-1"].returncode == -signal.SIGKILL
        await network.kill("hoster-1")
        client = ChainClient(network.url, network.genesis)
        async with asyncio.timeout(20), client as chain, following(chain):
            await chain.reach(2)
    assert not network.processes
    assert started["validator-1"].returncode == 0, "told to end, it ends in order"
