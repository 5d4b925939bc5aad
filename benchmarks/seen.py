"""What a hoster sees of a reader: everything that one session says, when, and how it ends.

The hoster is ours, receipts and all; only its end of the channel is listened to on the way.
"""

import asyncio
import itertools
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from audit.receipts import SessionBinding
from benchmarks.frames import Frame, how_framed, watch
from benchmarks.reader import HOSTER, NETWORK
from feed import codec
from feed.feed import Feed
from feed.manifest import discovery_key
from feed.messages import Data, Message, Request
from feed.replication.session import serve
from hoster.receipts import ReceiptBook
from hoster.serving_service import Serving
from swarm.peers import Limits
from swarm.server import Listener, listen
from wire.errors import HoldfastError
from wire.keys import KeyPair
from wire.ports import Channel, ChannelMessage, Connection

HOST = "127.0.0.1"
SWARM, RECEIPT = KeyPair(b"W" * 32), KeyPair(b"P" * 32)
MANY = Limits(connections_per_address=512, arrivals_per_s=1e6, arrivals_burst=1e6)
"""All sessions of a measurement come from one address, and at once."""

HALVES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass
class Seen:
    """One session."""

    began_s: float
    heard: list[tuple[float, int, Message]] = field(default_factory=list)
    """When, in which reading of the socket, what the reader said."""
    said: list[tuple[float, Message]] = field(default_factory=list)
    ended_s: float = 0.0
    closed_channel: bool = False
    """Whether the channel was closed before the connection was."""
    readings: int = 0
    frames: Sequence[Frame] = ()


class _Ear:
    """A channel that is listened to."""

    def __init__(self, channel: Channel, connection: Connection, seen: Seen) -> None:
        self._channel, self._connection, self._seen = channel, connection, seen
        self.remote_handshake = channel.remote_handshake
        self.drain, self.close = channel.drain, channel.close
        self.cork, self.uncork = channel.cork, channel.uncork

    @property
    def batched(self) -> int:
        return self._channel.batched

    def send(self, kind: int, payload: bytes) -> None:
        message = codec.decode(kind, payload)
        assert message is not None
        self._seen.said.append((time.perf_counter(), message))
        self._channel.send(kind, payload)

    async def receive(self) -> list[ChannelMessage]:
        received = await self._channel.receive()
        now_s, seen = time.perf_counter(), self._seen
        seen.readings += 1
        for each in received:
            message = codec.decode(*each)
            assert message is not None
            seen.heard.append((now_s, seen.readings, message))
        if not received:
            seen.ended_s = now_s
            seen.closed_channel = getattr(self._connection, "dropped", None) is None
        return received


class _Listening:
    """A connection whose channels are listened to."""

    def __init__(self, connection: Connection, seen: Seen) -> None:
        self._connection, self._seen = connection, seen
        self.initiator = connection.initiator
        self.handshake_hash = connection.handshake_hash
        self.remote_key = connection.remote_key
        self.close = connection.close

    async def open(
        self, protocol: str, id: bytes, handshake: bytes = b"", aliases: Sequence[str] = ()
    ) -> Channel:
        channel = await self._connection.open(protocol, id, handshake, aliases)
        return _Ear(channel, self._connection, self._seen)


@asynccontextmanager
async def hosting(
    feeds: Sequence[Feed], host: str = HOST, *, listened: bool = True
) -> AsyncIterator[tuple[Listener, dict[int, Seen]]]:
    """A hoster of these feeds, and what it sees, by the port that a reader comes from.

    Unless it is `listened` to, nothing of that is noted, and it is as fast as a hoster is.
    """
    all_seen: dict[int, Seen] = {}
    by_name = {discovery_key(feed.key): feed for feed in feeds}

    def on_open(
        protocol: str, id: bytes, connection: Connection
    ) -> Coroutine[Any, Any, None] | None:
        return read(connection, by_name[id]) if id in by_name else None

    async def read(connection: Connection, feed: Feed) -> None:
        port = int(connection.peer.split(" ")[0].rsplit(":", 1)[1])
        seen = all_seen[port] = Seen(time.perf_counter())
        binding = SessionBinding(
            network=NETWORK,
            hoster=HOSTER,
            handshake_hash=connection.handshake_hash,
            peer=connection.remote_key,
            feed=feed.key,
        )
        serving = Serving(ReceiptBook(RECEIPT, binding), feed)
        try:
            heard = connection
            if listened:
                seen.frames = watch(connection)
                heard = _Listening(connection, seen)
            await serve(heard, feed, serving.on_event)
        except HoldfastError:
            pass
        finally:
            serving.finish()

    async with listen(host, 0, SWARM, on_open=on_open, limits=MANY) as listener:
        yield listener, all_seen
        await asyncio.sleep(0)


def features(seen: Seen, length: int) -> dict[str, float]:
    """Numbers that a hoster could tell readers apart by."""
    asked = [(at, reading, m) for at, reading, m in seen.heard if _chunk(m) is not None]
    served = [at for at, m in seen.said if isinstance(m, Data) and m.chunk is not None]
    kinds = Counter(type(m).__name__ for _, _, m in seen.heard)
    found = {f"count_{kind}": float(kinds[kind]) for kind in _KINDS}
    found |= _opening(seen, asked[0][0] if asked else seen.ended_s)
    found |= _ending(seen, served)
    found |= how_framed(seen.frames, _spread)
    if asked:
        found |= _order([_chunk(m) or 0 for _, _, m in asked], length)
        found |= _requests([m for _, _, m in asked])
        found |= _rhythm(asked, served)
    return found


_KINDS = ("Sync", "Request", "Cancel", "NoData", "Want", "Unwant", "Bitfield", "Range", "Extension")


def _chunk(message: Message) -> int | None:
    if isinstance(message, Request) and message.chunk is not None:
        return message.chunk.index
    return None


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {f"{name}_{part}": -1.0 for part in (*HALVES, "mean")}
    ordered = sorted(values)
    found = {f"{name}_{part}": ordered[int(part * (len(ordered) - 1))] for part in HALVES}
    return found | {f"{name}_mean": statistics.fmean(ordered)}


def _opening(seen: Seen, first_s: float) -> dict[str, float]:
    """Everything before the first chunk is asked for."""
    said = [at for at, _ in seen.said]
    opening = [(at, reading) for at, reading, m in seen.heard if at < first_s]
    gaps = [at - max([s for s in said if s < at], default=seen.began_s) for at, _ in opening]
    answered = [at for at, m in seen.said if isinstance(m, Data) and m.upgrade is not None]
    synced = [at for at, _, m in seen.heard if answered and at > answered[0]]
    return {
        "opening_messages": float(len(opening)),
        "opening_readings": float(len({reading for _, reading in opening})),
        "opening_gap": gaps[0] if gaps else -1.0,
        "opening_work": (synced[0] - answered[0] if synced else -1.0) - (gaps[0] if gaps else 0.0),
        "opening_s": first_s - seen.began_s,
        "head_to_first": first_s - synced[0] if synced else -1.0,
    }


def _ending(seen: Seen, served: Sequence[float]) -> dict[str, float]:
    last_said = served[-1] if served else seen.began_s
    last_heard = seen.heard[-1][0] if seen.heard else seen.began_s
    after = [m for at, _, m in seen.heard if at > last_said]
    return {
        "session_s": seen.ended_s - seen.began_s,
        "stays_s": seen.ended_s - last_said,
        "silent_s": seen.ended_s - last_heard,
        "messages_after": float(len(after)),
        "closed_channel": float(seen.closed_channel),
    }


def _order(chunks: Sequence[int], length: int) -> dict[str, float]:
    steps = [b - a for a, b in itertools.pairwise(chunks)] or [0]
    ranked = sorted(range(len(chunks)), key=chunks.__getitem__)
    half = max(len(chunks) // 2, 1)
    return {
        "chunks": float(len(chunks)),
        "share": len(set(chunks)) / length,
        "repeated": float(len(chunks) - len(set(chunks))),
        "step_one": sum(step == 1 for step in steps) / len(steps),
        "step_back": sum(step < 0 for step in steps) / len(steps),
        "step_mean": statistics.fmean(map(abs, steps)) / length,
        "order": statistics.fmean(abs(a - b) for a, b in enumerate(ranked)) / len(chunks),
        "first": chunks[0] / length,
        "first_half": statistics.fmean(chunks[:half]) / length,
    }


def _requests(requests: Sequence[Message]) -> dict[str, float]:
    assert all(isinstance(request, Request) for request in requests)
    levels = [request.chunk.nodes for request in requests]
    ids = [request.id for request in requests]
    priorities = [request.priority for request in requests]
    rises = [b > a for a, b in itertools.pairwise(ids)] or [False]
    return {
        "priority": statistics.fmean(priorities),
        "id_max": float(max(ids)),
        "id_rises": sum(rises) / len(rises),
        "id_first": float(ids[0]),
        "levels_first": float(levels[0]),
        "levels_none": sum(level == 0 for level in levels) / len(levels),
        "levels_rise": sum(b > a for a, b in itertools.pairwise(levels)) / len(levels),
        **_spread("levels", [float(level) for level in levels]),
    }


def _rhythm(
    asked: Sequence[tuple[float, int, Message]], served: Sequence[float]
) -> dict[str, float]:
    """When was asked, beside when was answered."""
    times = [at for at, _, _ in asked]
    batches = Counter(reading for _, reading, _ in asked)
    firsts = [at for at, same in itertools.groupby(times) if list(same)]
    gaps = [b - a for a, b in itertools.pairwise(firsts)]
    flying, most, waits = 0, 0, list[float]()
    done = 0
    idle_since: float | None = None
    means = []
    for at in times:
        while done < len(served) and served[done] <= at:
            flying -= 1
            idle_since = served[done] if flying == 0 else idle_since
            done += 1
        if flying == 0 and idle_since is not None:
            waits.append(at - idle_since)
        flying += 1
        means.append(float(flying))
        most = max(most, flying)
    sizes = [float(size) for size in batches.values()]
    return {
        "in_flight_most": float(most),
        "in_flight_mean": statistics.fmean(means),
        "asking_s": times[-1] - times[0],
        "per_reading_most": max(sizes),
        "first_reading": sizes[0],
        "readings": float(len(sizes)),
        "idles": float(len(waits)),
        **_spread("per_reading", sizes),
        **_spread("gap", gaps),
        **_spread("wait", waits),
    }


def table(rows: Sequence[Mapping[str, float]]) -> tuple[list[str], list[list[float]]]:
    """Names and rows of equal length, for a classifier."""
    names = sorted({name for row in rows for name in row})
    return names, [[row.get(name, -1.0) for name in names] for row in rows]
