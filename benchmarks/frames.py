"""The frames in which a reader sends its messages, as a hoster can see them."""

import itertools
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from feed import codec
from swarm.session import Load, TcpConnection
from wire.compact import Reader


class Frame(NamedTuple):
    """What one frame brought."""

    at_s: float
    reading: int
    """In which reading of the socket."""
    is_batch: bool
    """Whether it is laid out as a batch, which may be of one message."""
    kinds: tuple[str, ...]
    """Of the messages of our channel."""


def watch(connection: TcpConnection) -> list[Frame]:
    """The frames that come from now on."""
    seen: list[Frame] = []
    receive, readings = connection.receive, itertools.count()

    def watched(frames: list[bytes]) -> Load:
        now_s, reading = time.perf_counter(), next(readings)
        seen.extend(Frame(now_s, reading, *_contents(frame)) for frame in frames if frame)
        return receive(frames)

    connection.receive = watched
    return seen


def _contents(frame: bytes) -> tuple[bool, tuple[str, ...]]:
    reader = Reader(frame)
    channel, kind = reader.uint(), reader.uint()
    if channel:
        return False, (_kind(kind, reader.rest()),)
    if kind:
        return False, ()
    kinds = []
    channel = reader.uint()
    while reader.left:
        size = reader.uint()
        if not size:
            channel = reader.uint()
            continue
        message = Reader(reader.fixed(size))
        kind = message.uint()
        if channel:
            kinds.append(_kind(kind, message.rest()))
    return True, tuple(kinds)


def _kind(kind: int, payload: bytes) -> str:
    return type(codec.decode(kind, payload)).__name__


def how_framed(
    frames: Sequence[Frame], spread: Callable[[str, Sequence[float]], dict[str, float]]
) -> dict[str, float]:
    """Numbers that tell how messages are put into frames."""
    batches = [frame for frame in frames if frame.is_batch]
    requests = [frame for frame in frames if "Request" in frame.kinds]
    ranges = [frame for frame in frames if "Range" in frame.kinds]
    in_batches = sum(frame.kinds.count("Request") for frame in batches)
    asked = sum(frame.kinds.count("Request") for frame in frames)
    told = sum(frame.kinds.count("Range") for frame in frames)
    told_in_batches = sum(frame.kinds.count("Range") for frame in batches)
    mixed = [frame for frame in frames if len(set(frame.kinds)) > 1]
    sorts = [frame.is_batch for frame in frames]
    readings = [len(list(same)) for _, same in itertools.groupby(f.reading for f in frames)]
    return {
        "frames": float(len(frames)),
        "batches": float(len(batches)),
        "batches_alone": sum(len(frame.kinds) == 1 for frame in batches) / max(len(batches), 1),
        "batches_without": sum("Request" not in f.kinds for f in batches) / max(len(batches), 1),
        "batches_mixed": len(mixed) / max(len(batches), 1),
        "batches_in_turn": sum(a and b for a, b in itertools.pairwise(sorts)) / max(len(sorts), 1),
        "asked_in_batches": in_batches / max(asked, 1),
        "told_in_batches": told_in_batches / max(told, 1),
        **spread("batch", [float(len(frame.kinds)) for frame in batches]),
        **spread("batch_asks", [float(f.kinds.count("Request")) for f in batches if f in requests]),
        **spread("batch_tells", [float(f.kinds.count("Range")) for f in batches if f in ranges]),
        **spread("frames_a_reading", [float(count) for count in readings]),
    }
