"""Validators among themselves: time to finality, payments a second, catching up.

Real processes on this machine. The delay is put between them by a forwarder (`delay.py`); the
time to finality is from the leader's clock as it writes a block to the moment when a validator
has the certificate, over all blocks and validators. `LOAD_S` is how long the load lasts.
"""

import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from nacl.bindings import crypto_sign_open

from benchmarks import catchup
from benchmarks.figure import Figure, Wanted
from benchmarks.load import ACCOUNTS, accounts
from chain.blocks import Header
from chain.genesis import GenesisBalance
from holdfast.network import LOCAL_PARAMETERS, LocalNetwork, free_ports
from wire.codec import decode
from wire.keys import KeyPair

LOAD_S = float(os.environ.get("LOAD_S", "20"))
WATCH_S = float(os.environ.get("WATCH_S", "15"))
VALIDATORS = 4
FINALITY_BAR = 4.3
"""One-way delays: three, and a fourth where the announcement of the leader is waited for."""

LOADED = LOCAL_PARAMETERS.model_copy(
    update={
        "block_interval_ms": 200,
        "block_transactions_maximum": 10_000,
        "transaction_lifetime_blocks": 100_000,
    }
)
QUICK = LOCAL_PARAMETERS.model_copy(update={"block_interval_ms": 1, "network_delay_ms": 1_000})


def run(wanted: Wanted) -> Iterator[Figure]:
    """The figures that are wanted, one by one."""
    for delay_ms in (20, 100):
        name = f"finality_p50_{delay_ms}ms_vs_delay"
        if wanted(name) or wanted("finality_p50_vs_delay"):
            p50, _ = asyncio.run(_finality(delay_ms))
            yield _at_most(name, p50, delay_ms, FINALITY_BAR)
            if delay_ms == 20:  # the harder one: work counts for more
                yield _at_most("finality_p50_vs_delay", p50, delay_ms, FINALITY_BAR)
    if wanted("finality_p50_ms") or wanted("finality_p99_ms"):
        p50, p99 = asyncio.run(_finality(0))
        yield _at_most("finality_p50_ms", p50, 100, 1.0)
        yield _at_most("finality_p99_ms", p99, 1_000, 1.0)
    for validators, suffix in ((1, ""), (VALIDATORS, "_n4")):
        name = f"transactions_vs_verify_rate{suffix}"
        if wanted(name):
            limit = _verify_rate()
            rate = asyncio.run(_load(validators))
            yield Figure(name, rate, "1/s", "signatures checked by one core", limit, 0.5)
    yield from catchup.run(wanted)


def _at_most(name: str, figure: float, limit: float, bar: float) -> Figure:
    return Figure(name, figure, "ms", "ms", limit, bar, at_most=True)


@asynccontextmanager
async def _forwarding(
    network: LocalNetwork, through: dict[str, int], delay_ms: int
) -> AsyncIterator[None]:
    routes = [f"{port}:{network.gossip_ports[name]}" for name, port in through.items()]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.delay", str(delay_ms), *routes),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def _finality(delay_ms: int) -> tuple[float, float]:
    """The median and the 99th percentile in ms, the worst validator's, without load."""
    names = [f"validator-{number}" for number in range(1, VALIDATORS + 1)]
    through = dict(zip(names, free_ports(VALIDATORS), strict=True))
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as root:
        network = LocalNetwork(
            Path(root),
            validators=VALIDATORS,
            attestors=0,
            hosters=0,
            parameters=QUICK,
            through=through,
        )
        async with network, _forwarding(network, through, delay_ms):
            await network.start(*network.validators)
            await asyncio.sleep(WATCH_S)
            network.require_alive()
            found = [
                (await asyncio.to_thread(_status, network, name))["consensus"]["finality_ms"]
                for name in names
            ]
    assert all(each["blocks"] >= 20 for each in found), found
    return max(each["p50"] for each in found), max(each["p99"] for each in found)


def _status(network: LocalNetwork, name: str) -> dict[str, Any]:
    with urlopen(f"http://127.0.0.1:{network.port(name)}/api/v1/status", timeout=10) as response:
        found: dict[str, Any] = json.load(response)
        return found


def _verify_rate(count: int = 5_000) -> float:
    """Ed25519 signatures that libsodium checks in a second on one core, of payments' size."""
    key = KeyPair(bytes(32))
    message = bytes(200)
    signed = key.sign_raw(message) + message
    began = time.perf_counter()
    for _ in range(count):
        crypto_sign_open(signed, key.public)
    return count / (time.perf_counter() - began)


async def _load(validators: int) -> float:
    """Payments a second that became final, from the first to the last loaded block."""
    rich = [GenesisBalance(account=one.public, balance_base=10**9) for one in accounts()]
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as root:
        network = LocalNetwork(
            Path(root),
            validators=validators,
            attestors=0,
            hosters=0,
            parameters=LOADED,
            balances=rich,
        )
        async with network:
            genesis = network.homes["validator-1"].path / "genesis.cbor"
            urls = [network.url_for(number) for number in range(validators)]
            rounds = int(LOAD_S * _most_a_second(validators) / ACCOUNTS)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.load", str(genesis), str(LOAD_S)),
                *(str(rounds), *urls),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert process.stdin is not None and process.stdout is not None
            await process.stdout.readline()
            await network.start(*network.validators)
            await asyncio.sleep(5)
            process.stdin.write(b"go\n")
            await process.wait()
            await asyncio.sleep(2)
            network.require_alive()
        return _rate(network.homes["validator-1"].chain)


def _most_a_second(validators: int) -> int:
    """More than that is not signed beforehand."""
    return 10_000 if validators == 1 else 5_000


def _rate(database: Path) -> float:
    with sqlite3.connect(database) as chain:
        counts = chain.execute(
            "SELECT height, count(*) FROM outcome GROUP BY height ORDER BY height"
        ).fetchall()
        (first, _), (last, _) = counts[0], counts[-1]
        spent_ms = _time_ms(chain, last) - _time_ms(chain, first)
    # The first block holds what came before it.
    return sum(count for _, count in counts[1:]) * 1_000 / spent_ms


def _time_ms(chain: sqlite3.Connection, height: int) -> int:
    (row,) = chain.execute("SELECT header FROM header WHERE height = ?", (height,)).fetchone()
    header: Header = decode(Header, row)
    return header.time_ms
