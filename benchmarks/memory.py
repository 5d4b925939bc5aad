"""A large file through the whole network: resident memory of each role at its highest.

The file is published, replicated to three hosters, audited, and restored from one hoster with
the owner gone; the restored bytes are compared.
"""

import asyncio
import hashlib
import os
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure, Wanted
from chain.challenge_records import Availability
from chain.client.light_client import ChainClient
from chain.records import Table
from holdfast.network import LOCAL_PARAMETERS, LocalNetwork
from tests.e2e.commands import holdfast
from tests.e2e.published import publish
from wire import zbase32

MIB = 1 << 20
FILE_MIB = int(os.environ.get("FILE_MIB", "200"))


def run(wanted: Wanted) -> list[Figure]:
    """Measure with a file of `FILE_MIB` (200) MiB; the figures that are wanted."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as root:
        return [figure for figure in asyncio.run(_measure(Path(root))) if wanted(figure.name)]


def _write(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(FILE_MIB):
            block = os.urandom(MIB)
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


async def _measure(root: Path) -> list[Figure]:
    source = root / "large.bin"
    digest = _write(source)
    parameters = LOCAL_PARAMETERS.model_copy(update={"window_blocks": 60})
    network = LocalNetwork(root / "network", parameters=parameters)
    async with network, ChainClient(network.url, network.genesis) as chain:
        await network.start(*network.validators, *network.attestors, *network.hosters)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(chain.run())
            began = time.monotonic()
            feed = await publish(network, chain, source, "--chunk-bytes", "65536")
            replicated_s = time.monotonic() - began
            await chain.wait(
                Availability, Table.AVAILABILITY, feed, lambda found: bool(found.verdicts)
            )
            following.cancel()
        hoster = network.hosters[0]
        target = root / "restored.bin"
        began = time.monotonic()
        done = await asyncio.to_thread(
            holdfast,
            *("feed", "clone", zbase32.encode(feed)),
            *("--from", f"127.0.0.1:{network.port(hoster)}", "--to", str(target)),
            home=root / "reader",
            timeout_s=600,
        )
        assert done.returncode == 0, done.stderr
        cloned_s = time.monotonic() - began
        with target.open("rb") as file:
            restored = hashlib.file_digest(file, "sha256").hexdigest()
        assert restored == digest, "the restored file differs"
        return [
            _memory(network, "hoster", network.hosters, 120),
            _memory(network, "attestor", network.attestors, 80),
            _memory(network, "validator", ["validator-1"], 150),
            _rate("publish_and_replicate_to_3", replicated_s),
            _rate("clone_and_restore", cloned_s),
        ]


def _memory(network: LocalNetwork, role: str, names: list[str], limit_mib: int) -> Figure:
    highest = max(network.memory_bytes(name) for name in names)
    return Figure(
        name=f"memory_{role}_mib",
        figure=highest / MIB,
        unit="MiB",
        against="limit",
        against_figure=limit_mib,
        bar=1.0,
        at_most=True,
    )


def _rate(name: str, seconds: float) -> Figure:
    return Figure(
        name=f"{name}_s",
        figure=seconds,
        unit="s",
        against=f"{FILE_MIB} MiB at 4 MiB/s",
        against_figure=FILE_MIB / 4,
        bar=1.0,
        at_most=True,
    )
