"""Feeds between peers over TCP on this machine, beside npm hypercore in the same run.

Node and we take turns, and a ratio is the median of the ratios that the turns gave: a virtual
machine's speed changes by a third within a minute, and two runs in a row share most of that. What
each turn gave goes to stderr. Both ends are processes of their own. What a reader stores is
verified, and is safe from a killed process, on both sides; neither waits for the disk. `append` is
a batch at a time into one signed head, which ours has on the disk before it returns and Node's has
not; `append_*_signed` signs every batch, and so waits for the disk each time.

`serve_64k` is mostly Node's own time: its reader takes most of two cores, whoever serves it; so it
takes three times as many turns as the others to tell. `serve_64k_vs_prepared` says how near that is
to what any server could do here: beside it serves one that has made all answers beforehand
(`benchmarks.prepared`). `serve_64k_cpu` is the processor time of the serving process alone, which a
busy machine changes little.

`SCALE=0.1` measures with a tenth of the chunks, `TURNS=1` once.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figure import Figure, Wanted
from benchmarks.peer import KEY, MANIFEST, fill_feed
from feed.codec import decode, encode
from feed.messages import Message
from feed.replication.core import Replication
from feed.replication.events import Event
from feed.store import FeedStore
from tests.interop.packages import MissingPackages, node_packages

SCALE = float(os.environ.get("SCALE", "1"))
TURNS = int(os.environ.get("TURNS", "3"))
SERVING_TURNS = 3 * TURNS

LARGE, SMALL = 65_536, 1_024
LARGE_COUNT = max(64, round(4096 * SCALE))
SMALL_COUNT = max(1_000, round(100_000 * SCALE))
LARGE_BATCH, SMALL_BATCH = 64, 256
REQUESTS = 300
READERS = 8
RSS_CHUNKS = max(READERS * 64, round(16_384 * SCALE))
RSS_LIMIT_MIB = 120
LENGTHS = tuple(n for n in (1_000, 100_000, 1_000_000) if n <= max(1_000, 1_000_000 * SCALE))
TINY = 100
"""Bytes in a chunk where the cost of a chunk as such is measured."""

MIB = 1 << 20
HERE = Path(__file__).parent
OURS = (sys.executable, "-m", "benchmarks.peer")


def run(wanted: Wanted) -> Iterator[Figure]:
    """The figures that are wanted, as they come; those beside Node only where Node can be had."""
    beside_node = [name for name in _BESIDE_NODE if wanted(name)]
    if beside_node:
        try:
            node = ("node", str(HERE / "node" / "peer.mjs"), str(node_packages()))
            for name in beside_node:
                yield _BESIDE_NODE[name](name, node)
        except MissingPackages as error:
            print(f"not measured beside Node: {error}", file=sys.stderr)
    if wanted("serve_rss_mib"):
        yield _serve_memory()
    if wanted("chunk_cost_growth_100k") or wanted("chunk_cost_growth"):
        yield from _growth(wanted)


Command = tuple[str, ...]
Measure = Callable[[str, Command], Figure]


def _clone(size: int, count: int) -> Measure:
    def measure(name: str, node: Command) -> Figure:
        theirs, ours = _turns(
            name,
            lambda: _transfer_rate(node, node, size, count),
            lambda: _transfer_rate(OURS, OURS, size, count),
        )
        return Figure(name, ours, "MiB/s", "Node to Node", theirs, 1.5)

    return measure


def _serve(name: str, node: Command) -> Figure:
    theirs, ours = _turns(
        name,
        lambda: _transfer_rate(node, node, LARGE, LARGE_COUNT),
        lambda: _transfer_rate(OURS, node, LARGE, LARGE_COUNT),
        turns=SERVING_TURNS,
    )
    return Figure(name, ours, "MiB/s", "Node to Node", theirs, 1.2)


def _serve_prepared(name: str, node: Command) -> Figure:
    prepared, ours = _turns(
        name,
        lambda: _transfer_rate(OURS, node, LARGE, LARGE_COUNT, serve="serve-prepared"),
        lambda: _transfer_rate(OURS, node, LARGE, LARGE_COUNT),
        turns=SERVING_TURNS,
    )
    return Figure(name, ours, "MiB/s", "prepared answers", prepared, 0.9)


def _serve_cpu(name: str, node: Command) -> Figure:
    def cpu_s(up: Command) -> float:
        found = _transfer(up, node, "download", LARGE, LARGE_COUNT)
        print(f"  {name}: the reader took {found['cpuSeconds']:.2f} s", file=sys.stderr)
        taken_s: float = found["servingCpuSeconds"]
        return taken_s

    theirs, ours = _turns(name, lambda: cpu_s(node), lambda: cpu_s(OURS))
    return Figure(name, ours, "s", "Node", theirs, 1.0, at_most=True)


def _append(mode: str, size: int, count: int, batch: int, bar: float) -> Measure:
    def measure(name: str, node: Command) -> Figure:
        theirs, ours = _turns(
            name,
            lambda: _rate(_call(node, "append", size, count, batch), size, count),
            lambda: _rate(_call(OURS, mode, size, count, batch), size, count),
        )
        return Figure(name, ours, "MiB/s", "Node", theirs, bar)

    return measure


def _request(name: str, node: Command) -> Figure:
    theirs, ours = _turns(
        name,
        lambda: _transfer(node, node, "requests", SMALL, 10_000, REQUESTS)["medianMs"],
        lambda: _transfer(OURS, OURS, "requests", SMALL, 10_000, REQUESTS)["medianMs"],
    )
    return Figure(name, ours, "ms", "Node", theirs, 1.0, at_most=True)


_LARGE, _SMALL = (LARGE, LARGE_COUNT, LARGE_BATCH), (SMALL, SMALL_COUNT, SMALL_BATCH)
_BESIDE_NODE: dict[str, Measure] = {
    "clone_64k_vs_node": _clone(LARGE, LARGE_COUNT),
    "serve_64k_vs_node": _serve,
    "serve_64k_vs_prepared": _serve_prepared,
    "serve_64k_cpu_vs_node": _serve_cpu,
    "clone_1k_vs_node": _clone(SMALL, SMALL_COUNT),
    "append_64k_vs_node": _append("append", *_LARGE, 1.0),
    "append_64k_signed_vs_node": _append("append-signed", *_LARGE, 0.25),
    "append_1k_vs_node": _append("append", *_SMALL, 1.0),
    "append_1k_signed_vs_node": _append("append-signed", *_SMALL, 0.25),
    "request_rtt_vs_node": _request,
}


def _rate(found: dict[str, Any], size: int, count: int) -> float:
    rate: float = size * count / MIB / found["seconds"]
    return rate


def _transfer_rate(
    up: Command, down: Command, size: int, count: int, serve: str = "serve"
) -> float:
    return _rate(_transfer(up, down, "download", size, count, serve=serve), size, count)


def _turns(
    name: str, other: Callable[[], float], ours: Callable[[], float], turns: int = TURNS
) -> tuple[float, float]:
    """The other's median, and ours: that times the median of the ratios within the turns.

    Each goes first in every second turn. What one wrote is on the disk before the next begins,
    which would wait for it otherwise.
    """
    found: list[list[float]] = [[], []]
    for turn in range(turns):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            os.sync()
            found[which].append((other, ours)[which]())
    for values in found:
        print(f"  {name}: {' '.join(f'{value:.2f}' for value in values)}", file=sys.stderr)
    theirs = statistics.median(found[0])
    return theirs, theirs * statistics.median([b / a for a, b in zip(*found, strict=True)])


def _start(command: Command, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE.parent,
    )


def _call(command: Command, *arguments: object) -> Any:
    """Run a peer to its end; what it printed."""
    with _start(command, *arguments) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, f"{' '.join(map(str, arguments))} failed"
    return json.loads(output) if output else None


@contextlib.contextmanager
def _serving(command: Command, *arguments: object) -> Iterator[tuple[int, dict[str, Any]]]:
    """A peer that serves; its process id, port and key."""
    with _start(command, *arguments) as process:
        assert process.stdin is not None and process.stdout is not None
        yield process.pid, json.loads(process.stdout.readline())
        process.stdin.close()


def _transfer(
    up: Command,
    down: Command,
    mode: str,
    size: int,
    count: int,
    *more: object,
    serve: str = "serve",
) -> dict[str, Any]:
    with _serving(up, serve, size, count) as (pid, peer):
        before = psutil.Process(pid).cpu_times()
        found: dict[str, Any] = _call(down, mode, peer["port"], peer["key"], count, *more)
        after = psutil.Process(pid).cpu_times()
        cpu_s = after.user + after.system - before.user - before.system
        return found | {"servingCpuSeconds": cpu_s}


def _serve_memory() -> Figure:
    """The hoster's resident memory at its highest, while eight readers share a feed of 1 GiB."""
    share = RSS_CHUNKS // READERS
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        _call(OURS, "fill", folder, LARGE, RSS_CHUNKS)
        with _serving(OURS, "serve-folder", folder) as (pid, peer):
            readers = [
                _start(OURS, "part", peer["port"], peer["key"], max(1, n * share), (n + 1) * share)
                for n in range(READERS)
            ]
            for reader in readers:
                with reader:
                    assert "seconds" in reader.communicate()[0]
            highest = _peak_mib(pid)
    return Figure("serve_rss_mib", highest, "MiB", "limit", RSS_LIMIT_MIB, 1.0, at_most=True)


def _peak_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the process has no memory figure")


def _growth(wanted: Wanted) -> Iterator[Figure]:
    """What a chunk of 100 bytes costs to append, serve, verify and store, as a feed grows."""
    costs = {length: statistics.median(_clone_us(length)) for length in LENGTHS}
    for length, cost in costs.items():
        print(f"  cost per chunk of {length:,}: {cost:.2f} µs", file=sys.stderr)
    first, last = costs[LENGTHS[0]], costs[LENGTHS[-1]]
    grown = {"chunk_cost_growth": last}
    if len(LENGTHS) > 2:
        grown["chunk_cost_growth_100k"] = costs[LENGTHS[1]]
    for name, cost in grown.items():
        if wanted(name):
            yield Figure(name, cost, "µs", "1,000 chunks", first, 1.5, at_most=True)


def _clone_us(length: int) -> Iterator[float]:
    """Processor time a chunk, of making a feed and of cloning it through two cores."""
    for _ in range(max(1, 20_000 // length)):
        with (
            tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
            FeedStore(Path(folder) / "hoster.db") as hoster,
            FeedStore(Path(folder) / "reader.db") as reader,
        ):
            began = time.process_time()
            source, copy = hoster.create(KEY, MANIFEST), reader.create(KEY)
            fill_feed(source, TINY, length)
            _pump(Replication(source), Replication(copy))
            assert copy.contiguous_length == length
            yield (time.process_time() - began) * 1e6 / length


def _pump(hoster: Replication, reader: Replication) -> None:
    """Carry messages between two cores until all is there."""
    to_hoster = _messages([*reader.start(), *reader.want_all(0)])
    to_reader = _messages(hoster.start())
    now_us = 0
    while not reader.is_complete:
        now_us += 1_000
        arrived, to_reader, to_hoster_next = to_reader, [], []
        effects = hoster.receive(to_hoster, now_us)
        while hoster.has_requests:
            effects += hoster.answer(MIB)
        to_reader = _messages([*effects, *hoster.settle(now_us)])
        effects = reader.receive(arrived, now_us)
        to_hoster_next = _messages([*effects, *reader.settle(now_us)])
        to_hoster = to_hoster_next
    reader.close()


def _messages(effects: list[Any]) -> list[Message]:
    """The messages among some effects, through the codec and back."""
    found = [decode(e.kind, encode(e)) for e in effects if not isinstance(e, Event)]
    return [message for message in found if message is not None]
