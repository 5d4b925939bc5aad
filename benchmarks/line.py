"""A line of its own for one connection: a forwarder in user space with delay, jitter and a rate.

It stands in for `tc netem` where the kernel has none. What it adds beside that is one pass through
an event loop each way, some tens of microseconds on an idle machine.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

HOST = "127.0.0.1"
READ_BYTES = 16 << 10
"""What is forwarded at once; smaller than a chunk, so that a rate is smooth."""

AHEAD_S = 0.25
"""How much may wait in the line: beyond it the sender is not read, as with a full queue."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a line does to what goes through it."""

    delay_s: float
    """One way."""
    bytes_per_s: float
    jitter_s: Callable[[], float] = lambda: 0.0
    """Drawn for each piece, added to the delay; pieces never overtake one another."""


@asynccontextmanager
async def lined(line: Line, port: int) -> AsyncIterator["Forwarder"]:
    """A port that leads through the line to another one."""
    forwarder = Forwarder(line, port)
    server = await asyncio.start_server(forwarder.accept, HOST, 0, limit=READ_BYTES)
    forwarder.port = server.sockets[0].getsockname()[1]
    try:
        yield forwarder
    finally:
        server.close()
        await forwarder.cut()


class Forwarder:
    """The middle of one line."""

    def __init__(self, line: Line, target: int) -> None:
        self.port = 0
        self.outgoing: list[int] = []
        """The local ports from which connections go on."""
        self.took_s: list[list[float]] = []
        """How long each piece really took, a list for each direction of each connection."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._line = line
        self._target = target

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection, both ways, until both sides have ended it."""
        onward, back = await asyncio.open_connection(HOST, self._target, limit=READ_BYTES)
        self.outgoing.append(back.get_extra_info("sockname")[1])
        self._writers += [writer, back]
        for source, sink in ((reader, back), (onward, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def cut(self) -> None:
        """End all connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*(w.wait_closed() for w in self._writers), return_exceptions=True)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        line = self._line
        waiting = deque[_Piece]()
        news = asyncio.Event()
        took: list[float] = []
        self.took_s.append(took)
        delivering = asyncio.create_task(_deliver(waiting, news, sink, took))
        free = due = time.monotonic()
        try:
            while True:
                data = await _read(source)
                now = time.monotonic()
                free = max(free, now) + len(data) / line.bytes_per_s
                due = max(due, free + line.delay_s + line.jitter_s())
                waiting.append(_Piece(now, due, data))
                news.set()
                if not data:
                    break
                if free - time.monotonic() > AHEAD_S:
                    await asyncio.sleep(free - time.monotonic() - AHEAD_S)
            await delivering
        except OSError:
            sink.close()
        finally:
            delivering.cancel()


class _Piece(NamedTuple):
    came: float
    due: float
    data: bytes


async def _deliver(
    waiting: deque[_Piece], news: asyncio.Event, sink: asyncio.StreamWriter, took: list[float]
) -> None:
    while True:
        while not waiting:
            news.clear()
            await news.wait()
        came, due, data = waiting[0]
        if due > time.monotonic():
            await asyncio.sleep(due - time.monotonic())
        waiting.popleft()
        if not data:
            sink.close()
            return
        took.append(time.monotonic() - came)
        sink.write(data)
        await sink.drain()


async def _read(source: asyncio.StreamReader) -> bytes:
    try:
        return await source.read(READ_BYTES)
    except OSError:
        return b""
