"""Readers and attestors of ours, many at a time: one JSON object a line in, one a line out.

in   {id, port, key, role: "clone" | "attest", ...}: `attest` also has what a `VisitTask` needs
out  {id, outcome}
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from secrets import token_bytes
from typing import Any

import uvloop

from attestor.disguise import Disguise, Habit, put_on
from attestor.itinerary import VisitTask
from attestor.session import make_visit
from audit.evidence import Target
from audit.plan import VisitPlan
from chain.endpoint import Endpoint
from feed.store import FeedStore
from holdfast.commands.feed_peers_cli import fetch_from
from holdfast.logs import set_up
from wire.keys import KeyPair

HOST = "127.0.0.1"
NETWORK, CHALLENGE, CONTRACT, ATTESTOR, HOSTER = (bytes([n]) * 32 for n in range(1, 6))
DEADLINE_S = 60.0


async def clone(session: dict[str, Any]) -> str:
    """As `holdfast feed clone` does."""
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as place,
        FeedStore(Path(place) / "feeds.db") as store,
    ):
        reasons: list[str] = []
        feed = store.create(bytes.fromhex(session["key"]))
        await fetch_from(feed, HOST, session["port"], None, set(), reasons)
        return "; ".join(reasons) or "served"


async def attest(session: dict[str, Any]) -> str:
    """As an attestor does."""
    planned, length = tuple(session["planned"]), session["length"]
    seed, room_bytes = bytes.fromhex(session["seed"]), session["room"]
    disguise = put_on(seed, planned, length, session["bytes"], room_bytes)
    if session.get("bare"):
        # Without a disguise: what is planned, and nothing else.
        disguise = Disguise(Habit.LOOKUPS, seed, planned, at_once=4, think_ms=0, linger_ms=1_000)
    task = VisitTask(
        network=NETWORK,
        challenge=CHALLENGE,
        attestor=ATTESTOR,
        target=Target(
            contract=CONTRACT,
            hoster=HOSTER,
            receipt_key=bytes.fromhex(session["receipt_key"]),
            feed=bytes.fromhex(session["key"]),
            fork=0,
            length=length,
            tree_hash=bytes.fromhex(session["tree_hash"]),
        ),
        plan=VisitPlan(CONTRACT, 0, planned),
        coin=bytes(32),
        disguise=disguise,
        room_bytes=room_bytes,
        opened_ms=0,
        byte_length=session["bytes"],
        endpoint=Endpoint(
            host=HOST, port=session["port"], swarm_key=bytes.fromhex(session["hoster_key"])
        ),
        elsewhere=(),
    )
    result = await make_visit(task, KeyPair(token_bytes(32)), DEADLINE_S)
    return result.summary.outcome.name.lower()


async def run() -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)

    async def one(session: dict[str, Any]) -> None:
        act = clone if session["role"] == "clone" else attest
        print(json.dumps({"id": session["id"], "outcome": await act(session)}), flush=True)

    async with asyncio.TaskGroup() as tasks:
        while line := await lines.readline():
            tasks.create_task(one(json.loads(line)))


if __name__ == "__main__":
    set_up("error", "text")
    uvloop.run(run())
