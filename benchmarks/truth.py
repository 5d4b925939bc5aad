"""What an attestor measures, beside what a line was made to do.

A visit to a real hoster of ours over a line with a known delay or rate. The rate is that of the
kernel's token bucket between two network namespaces where they may be made (Linux, root,
iproute2), else of a forwarder in user space; the delay is the forwarder's, unless the kernel has
netem. What is compared is the summary that a report carries.

Latency: 100 lookups of chunks of 1 KiB, one at a time. The median of the visit may be off by 1 ms
from what the line really took, both ways, and what hoster and attestor take without a line.
Throughput: one clone of a feed in chunks of 64 KiB may be off by 5 %; the feed is sent in about two
seconds, so that the window of TCP has opened.
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_bytes
from typing import Any

import uvloop

from attestor.disguise import Disguise, Habit
from attestor.itinerary import VisitTask
from attestor.session import Patience, make_visit
from audit.evidence import Target
from audit.messages import VisitSummary
from audit.plan import VisitPlan
from benchmarks.detectability import made
from benchmarks.figure import Figure, Wanted
from benchmarks.line import Line, lined
from benchmarks.reader import ATTESTOR, CHALLENGE, CONTRACT, HOSTER, NETWORK
from benchmarks.seen import RECEIPT, SWARM, hosting
from chain.endpoint import Endpoint
from feed.feed import Feed
from feed.store import FeedStore
from feed.tree import tree_hash
from holdfast.logs import set_up
from wire.keys import KeyPair

DELAYS_MS = (5, 50, 200)
RATES = (1, 10, 100)
"""Round trips, and megabytes a second."""

MB = 1_000_000
LOOKUPS, SMALL = 100, 1_024
THINK_MS = 5
"""Between lookups, so that whoever waits for an answer sleeps with every line, and without one."""
LARGE = 65_536
SECONDS = 2
LIMIT_MS, LIMIT_SHARE = 1.0, 0.05
DEADLINE_S = 120.0
FREE = 1e12
"""Bytes a second of a line that holds nothing up."""

NAME = f"hft{os.getpid()}"
HERE, THERE = "198.18.9.1", "198.18.9.2"
BURST_BYTES = 96 << 10
"""What the token bucket lets through at once: at 100 MB/s it is filled in a millisecond."""


def run(wanted: Wanted) -> Iterator[Figure]:
    """How far the worst of each is off."""
    if wanted("latency_error_ms"):
        worst = uvloop.run(_latencies())
        yield Figure("latency_error_ms", worst, "ms", "limit", LIMIT_MS, 1.0, at_most=True)
    if wanted("throughput_error_share"):
        worst = uvloop.run(_throughputs())
        limit = LIMIT_SHARE
        yield Figure("throughput_error_share", worst, "", "limit", limit, 1.0, at_most=True)


async def _latencies() -> float:
    own_ms = 0.0
    errors = []
    for delay_ms in (0, *DELAYS_MS):
        with FeedStore(":memory:") as store:
            feed = made(store, 0, 1_000, SMALL)
            lookups = tuple(range(0, 1_000, 1_000 // LOOKUPS))
            disguise = Disguise(Habit.LOOKUPS, token_bytes(32), lookups, 1, THINK_MS, 500)
            line = Line(delay_ms / 2_000, FREE)
            async with (
                hosting([feed], listened=False) as (listener, _),
                lined(line, listener.port) as there,
            ):
                summary = await visited("127.0.0.1", there.port, feed, disguise)
        true_ms = sum(statistics.median(took) for took in there.took_s) * 1_000
        measured_ms = summary.latency_p50_us / 1_000
        own_ms = own_ms or measured_ms - true_ms
        errors.append(measured_ms - true_ms - own_ms)
        print(f"  {true_ms:.2f} ms: measured {measured_ms:.2f} ms", file=sys.stderr)
    return max(map(abs, errors))


async def _throughputs() -> float:
    errors = []
    for rate in RATES:
        measured = [await _throughput(rate * MB) for _ in range(3)]
        middle = statistics.median(measured)
        errors.append(abs(middle / (rate * MB) - 1))
        print(f"  {rate} MB/s: measured {middle / MB:.2f} MB/s", file=sys.stderr)
    return max(errors)


async def _throughput(rate: int) -> float:
    """Bytes a second that a clone measures over a line of `rate`."""
    count = max(rate * SECONDS // LARGE, 32)
    async with shaped(rate, count) as head:
        if head is not None:
            key, tree = bytes.fromhex(head["key"]), bytes.fromhex(head["tree"])
            size = count * LARGE
            summary = await summary_of(THERE, head["port"], _clone(), key, count, size, tree)
            return summary.throughput_bytes_per_s
    with FeedStore(":memory:") as store:
        feed = made(store, 0, count, LARGE)
        async with (
            hosting([feed], listened=False) as (listener, _),
            lined(Line(0, rate), listener.port) as line,
        ):
            summary = await visited("127.0.0.1", line.port, feed, _clone())
    return summary.throughput_bytes_per_s


def _clone() -> Disguise:
    return Disguise(Habit.CLONE, token_bytes(32), (), 1, 0, 500)


async def visited(host: str, port: int, feed: Feed, disguise: Disguise) -> VisitSummary:
    """The summary of one visit."""
    return await summary_of(
        host, port, disguise, feed.key, feed.length, feed.byte_length, tree_hash(feed.roots)
    )


async def summary_of(
    host: str, port: int, disguise: Disguise, key: bytes, length: int, size: int, tree: bytes
) -> VisitSummary:
    """The same, of a feed that is only known by its head."""
    planned = disguise.lookups or (0, length - 1)
    target = Target(CONTRACT, HOSTER, RECEIPT.public, key, 0, length, tree)
    task = VisitTask(
        network=NETWORK,
        challenge=CHALLENGE,
        attestor=ATTESTOR,
        target=target,
        plan=VisitPlan(CONTRACT, 0, planned),
        coin=bytes(32),
        disguise=disguise,
        room_bytes=size,
        opened_ms=0,
        byte_length=size,
        endpoint=Endpoint(host=host, port=port, swarm_key=SWARM.public),
        elsewhere=(),
    )
    patience = Patience(quiet_s=30.0)
    result = await make_visit(task, KeyPair(token_bytes(32)), DEADLINE_S, patience)
    assert result.summary.served == len(planned), result.summary
    return result.summary


# the kernel's token bucket


@contextlib.asynccontextmanager
async def shaped(rate: int, count: int) -> AsyncIterator[dict[str, Any] | None]:
    """What a hoster behind a token bucket of `rate` serves; None where there can be none.

    It runs in a namespace without a name, which ends with its process, whatever becomes of ours.
    """
    command = ("unshare", "--net", sys.executable, "-m", "benchmarks.truth", f"{rate}", f"{count}")
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
    except FileNotFoundError:
        print("  no unshare: shaped in user space", file=sys.stderr)
        yield None
        return
    assert process.stdin is not None and process.stdout is not None
    try:
        await process.stdout.readline()  # it is there
        _link(process.pid)
        process.stdin.write(b"linked\n")
        head = await process.stdout.readline()
        yield json.loads(head) if head else None
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        print(f"  no token bucket ({error}): shaped in user space", file=sys.stderr)
        yield None
    finally:
        process.stdin.close()
        await process.wait()


MTU = ("mtu", "9000")
"""So that headers are less than a percent of what is counted."""


def _link(process: int) -> None:
    """A cable into the namespace of a process, and our end of it."""
    peer = ("peer", "name", "there", *MTU, "netns", f"{process}")
    _run("ip", "link", "add", NAME, *MTU, "type", "veth", *peer)
    _run("ip", "address", "add", f"{HERE}/30", "dev", NAME)
    _run("ip", "link", "set", NAME, "up")


def _shape(rate: int) -> None:
    """The other end, from inside the namespace."""
    _run("ip", "address", "add", f"{THERE}/30", "dev", "there")
    _run("ip", "link", "set", "there", "up")
    _run("ip", "link", "set", "lo", "up")
    bucket = ("rate", f"{rate * 8}bit", "burst", f"{BURST_BYTES}", "latency", "50ms")
    _run("tc", "qdisc", "add", "dev", "there", "root", "tbf", *bucket)


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True, text=True)


async def _serve(rate: int, count: int) -> None:
    """A hoster until stdin ends: the other end of the token bucket."""
    print("there", flush=True)
    if not await asyncio.to_thread(sys.stdin.readline):
        return
    _shape(rate)
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        FeedStore(Path(folder) / "hoster.db") as store,
    ):
        feed = made(store, 0, count, LARGE)
        async with hosting([feed], THERE, listened=False) as (listener, _):
            tree = tree_hash(feed.roots).hex()
            print(json.dumps({"port": listener.port, "key": feed.key.hex(), "tree": tree}))
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    set_up("error", "text")
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
