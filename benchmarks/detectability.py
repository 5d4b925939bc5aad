"""Whether a hoster can tell attestors from readers: sessions over sockets, and a classifier.

Attestors visit a real hoster among real readers: `holdfast feed clone`, and npm hypercore that
downloads or looks chunks up. Every session has a line of its own, with a delay and a rate from one
distribution. What the hoster sees of each becomes a hundred numbers; a logistic regression and
gradient boosting learn from nine tenths of the sessions which are attestors', and are asked about
the rest. The figure is the area under the curve of the better one: 0.5 is guessing, 1 is knowing.

Each disguise is compared with the readers that it copies, at equal numbers. How many readers of
which kind a hoster has, only it knows. How long people stay, how fast they look chunks up and how
many is drawn alike on both sides, since it is theirs and not their program's.

`SESSIONS=400` measures with fewer; the bar then bears what chance does to so few. `SHOW=1` names
what tells most, `SEED=2` has other sessions, `HABITS=download` only those of some disguises.
"""

import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from attestor.disguise import Habit, put_on
from benchmarks import classify
from benchmarks.figure import Figure, Wanted
from benchmarks.line import Line, lined
from benchmarks.peer import chunk
from benchmarks.seen import RECEIPT, SWARM, Seen, features, hosting, table
from feed.feed import Feed, signed_by
from feed.manifest import default_manifest, manifest_key
from feed.store import FeedStore
from feed.tree import tree_hash
from tests.interop.packages import MissingPackages, node_packages
from wire.keys import KeyPair

SESSIONS = int(os.environ.get("SESSIONS", "2000"))
AT_ONCE = int(os.environ.get("AT_ONCE", "16"))
SEED = int(os.environ.get("SEED", "1"))
HABITS = os.environ.get("HABITS", "clone,download,lookups").split(",")
LIMIT = 0.55
HERE = Path(__file__).parent

SHAPES = ((60, 4_096), (150, 4_096), (300, 1_024), (500, 2_048), (3_000, 1_024))
"""Chunks of each feed, and their bytes; the last is too large to be fetched whole."""

ROOM_BYTES = 2 << 20
SAMPLES = 30
WORKERS = 2
"""Processes with readers and attestors of ours; one more runs Node."""

BARE = False
"""Whether attestors come as they are: shows that the classifier finds what there is to find."""

Session = dict[str, Any]


@dataclass(frozen=True)
class Crowd:
    """What there is to be read."""

    feeds: list[Feed]

    def whole(self, chance: random.Random) -> Feed:
        return chance.choice(self.feeds[:-1])

    @property
    def large(self) -> Feed:
        return self.feeds[-1]


def run(wanted: Wanted) -> Iterator[Figure]:
    """Both figures come from one run."""
    names = {"auc_vs_055": ("clone",), "auc_node_vs_055": ("download", "lookups")}
    if not any(wanted(name) for name in names):
        return
    try:
        packages = node_packages()
    except MissingPackages as error:
        print(f"not measured beside Node: {error}", file=sys.stderr)
        packages = None
    rows = uvloop.run(observe(SESSIONS, packages))
    for name, habits in names.items():
        seen = [habit for habit in habits if habit in {row[0] for row in rows}]
        if wanted(name) and seen:
            found = max(auc(rows, habit) for habit in seen)
            yield Figure(name, found, "", "bar", LIMIT, 1.0, at_most=True)


Row = tuple[str, bool, dict[str, float]]
"""The habit, whether it is an attestor's, and what was seen."""


def auc(rows: list[Row], habit: str) -> float:
    """How well attestors with one disguise can be told from the readers whom they copy."""
    ours = [row for row in rows if row[0] == habit]
    truth = [is_attestor for _, is_attestor, _ in ours]
    names, values = table([seen for _, _, seen in ours])
    found = classify.auc(values, truth)
    told = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    print(f"  {habit}: {sum(truth)} attestors of {len(truth)}: {told}", file=sys.stderr)
    if os.environ.get("SHOW"):
        classify.show(names, values, truth)
    return max(found.values())


async def observe(count: int, packages: Path | None) -> list[Row]:
    """Have so many sessions, mixed at random, and what the hoster saw of each."""
    chance = random.Random(SEED)
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        contextlib.ExitStack() as stack,
    ):
        store = stack.enter_context(FeedStore(Path(folder) / "hoster.db"))
        crowd = Crowd([made(store, number, *shape) for number, shape in enumerate(SHAPES)])
        async with contextlib.AsyncExitStack() as processes:
            workers = [
                await processes.enter_async_context(
                    working(sys.executable, "-m", "benchmarks.reader")
                )
                for _ in range(WORKERS)
            ]
            node = None
            if packages is not None:
                script = str(HERE / "node" / "reader.mjs")
                node = await processes.enter_async_context(working("node", script, str(packages)))
            async with hosting(crowd.feeds) as (listener, all_seen):
                sessions = list(_sessions(count, crowd, chance, with_node=node is not None))
                chance.shuffle(sessions)
                gate = asyncio.Semaphore(AT_ONCE)
                rows: list[Row] = []
                failed: list[Session] = []

                async def play(number: int, session: Session) -> None:
                    async with gate:
                        worker = node if session["role"] == "node" else workers[number % WORKERS]
                        assert worker is not None
                        async with lined(_line(session["line"]), listener.port) as line:
                            outcome = await worker.ask({**session, "port": line.port})
                            seen = await over(all_seen, line.outgoing[0])
                        if outcome not in (None, "served"):
                            told = session["role"], session["habit"], outcome
                            print("  not counted:", *told, file=sys.stderr)
                            failed.append(session)
                            return
                        is_attestor = session["role"] == "attest"
                        found = features(seen, session["length"])
                        rows.append((session["habit"], is_attestor, found))

                async with asyncio.TaskGroup() as tasks:
                    for number, session in enumerate(sessions):
                        tasks.create_task(play(number, session))
        assert len(failed) * 100 <= count, "an honest hoster serves"
        return rows


async def over(all_seen: dict[int, Seen], port: int) -> Seen:
    """What was seen of the session from this port, once it has ended."""
    while port not in all_seen or not all_seen[port].ended_s:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.01)
    return all_seen[port]


def made(store: FeedStore, number: int, count: int, size: int) -> Feed:
    """A feed of so many chunks."""
    owner = KeyPair(bytes([number + 1]) * 32)
    manifest = default_manifest(owner.public)
    key = manifest_key(manifest)
    feed = store.create(key, manifest)
    feed.append([chunk(index, size) for index in range(count)], signed_by(owner, key, manifest))
    return feed


def _sessions(
    count: int, crowd: Crowd, chance: random.Random, *, with_node: bool
) -> Iterator[Session]:
    """Attestors and readers in turns, a third of each disguise."""
    habits = [habit for habit in Habit if habit in HABITS and (with_node or habit is Habit.CLONE)]
    for number in range(count):
        habit = habits[number // 2 % len(habits)]
        feed = (
            crowd.large if habit is Habit.LOOKUPS else crowd.feeds[number // 6 % (len(SHAPES) - 1)]
        )
        planned = chance.sample(range(feed.length), SAMPLES)
        session: Session = {
            "id": number,
            "habit": habit.value,
            "key": feed.key.hex(),
            "length": feed.length,
            "line": chance.randrange(1 << 32),
        }
        if number % 2:
            yield session | attestor_of(feed, habit, planned, chance)
        elif habit is Habit.CLONE:
            yield session | {"role": "clone"}
        else:
            yield session | _node_reader(feed, chance)


def attestor_of(feed: Feed, habit: Habit, planned: list[int], chance: random.Random) -> Session:
    """An attestor whose own choice is this disguise."""
    while True:
        seed = chance.randbytes(32)
        worn = put_on(seed, planned, feed.length, feed.byte_length, ROOM_BYTES)
        if worn.habit is habit:
            break
    return {
        "role": "attest",
        "bare": BARE,
        "seed": seed.hex(),
        "planned": planned,
        "bytes": feed.byte_length,
        "room": ROOM_BYTES,
        "tree_hash": tree_hash(feed.roots).hex(),
        "receipt_key": RECEIPT.public.hex(),
        "hoster_key": SWARM.public.hex(),
    }


def _node_reader(feed: Feed, chance: random.Random) -> Session:
    """A reader with habits of people drawn as an attestor's are."""
    seed, somewhere = chance.randbytes(32), chance.sample(range(feed.length), SAMPLES)
    person = put_on(seed, somewhere, feed.length, feed.byte_length, ROOM_BYTES)
    return {
        "role": "node",
        "lookups": person.lookups,
        "atOnce": person.at_once,
        "thinkMs": person.think_ms,
        "lingerMs": person.linger_ms,
    }


def _line(seed: int) -> Line:
    """A household's line: 5 to 60 ms one way, 1 to 10 MB/s."""
    chance = random.Random(seed)
    delay_s = chance.uniform(0.005, 0.06)
    wobble = chance.uniform(0.0005, 0.004)
    return Line(delay_s, chance.uniform(1e6, 1e7), lambda: chance.expovariate(1 / wobble))


class Worker:
    """A process that plays sessions, one line in and one line out for each."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._asked: dict[int, asyncio.Future[Session]] = {}

    async def ask(self, session: Session) -> Any:
        """Play one session; its outcome, None where the worker has no say."""
        assert self._process.stdin is not None
        answer = self._asked[session["id"]] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps(session).encode() + b"\n")
        found = await answer
        assert "error" not in found, found["error"]
        return found.get("outcome")

    async def listen(self) -> None:
        """Hand out the answers as they come."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            found = json.loads(line)
            answer = self._asked.pop(found["id"])
            if not answer.done():
                answer.set_result(found)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(AssertionError("the process has ended"))


@contextlib.asynccontextmanager
async def working(*command: str) -> AsyncIterator[Worker]:
    """A worker for as long as the block lasts."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=HERE.parent,
        limit=1 << 24,
    )
    worker = Worker(process)
    listening = asyncio.create_task(worker.listen())
    try:
        yield worker
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening
