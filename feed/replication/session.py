"""Replicating one feed over one channel: the shell around `feed.replication.core`.

Any connection that implements `wire.ports.Connection` will do; several feeds are several sessions
on it. Whoever runs a session may also call its methods: all of it happens in one event loop, and
the core is never left half-way across an `await`.

Reading never waits for writing. Answers are made a piece at a time, each when the peer has
read enough of the one before; what the peer asked for meanwhile waits as requests.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from feed.codec import decode, decode_handshake, encode, encode_handshake
from feed.conflict import Conflict
from feed.feed import Change, Feed, StoredChunk
from feed.manifest import capability, discovery_key
from feed.messages import PROTOCOL, PROTOCOL_ALIAS, Data, Handshake, Message, Request
from feed.replication.core import Replication
from feed.replication.events import (
    Arrived,
    Conflicted,
    Damaged,
    Drop,
    Effect,
    Event,
    GiveUp,
    Grown,
    Heard,
    Lost,
    Served,
    Stray,
    Wrong,
)
from feed.replication.manner import OURS, Manner
from wire.errors import HoldfastError, Malformed, NotFound, Unavailable
from wire.ports import Channel, ChannelMessage, Connection

ANSWER_BYTES = 512 << 10
"""Chunks put into the send buffer before looking whether the peer reads: 8 of 64 KiB."""

BATCH_MESSAGES = 128
BATCH_BYTES = 1 << 20
"""Messages handled before what they cause is sent: a quarter to a third of what may be on its way
at once, so that neither side waits for the other to finish a whole round."""

DRAIN_TIMEOUT_S = 60
"""A peer that asks and then reads nothing for so long is dropped: it holds up memory."""

TICK_S = 1
"""How often late answers are looked for; far below their 20 seconds."""

TIMER_US = 1_000
"""What the event loop's timers cannot measure: the last of a wait goes round the loop instead."""

STALL_S = 30
"""How long a download may make no progress before its caller is told."""

OnEvent = Callable[["Session", Event], None]
"""Told of everything that happens, in order, from inside the event loop: it must not wait.

After `Served` it may call `Session.send_extension`, for a receipt that follows the chunk.
"""


def _now_us() -> int:
    return time.monotonic_ns() // 1000


async def open_session(
    connection: Connection,
    feed: Feed,
    on_event: OnEvent | None = None,
    *,
    claims: set[int] | None = None,
    manner: Manner = OURS,
) -> "Session":
    """Open the feed's channel on a connection; `run` the session then.

    `claims` is one set for all sessions that fetch the same feed, so that they share the work.
    Raises `Unavailable` when the peer does not serve the feed, `Malformed` when it only knows
    the feed's name and not its key.
    """
    proof = capability(connection.handshake_hash, feed.key, connection.initiator)
    handshake = encode_handshake(Handshake(proof))
    name = discovery_key(feed.key)
    channel = await connection.open(PROTOCOL, name, handshake, (PROTOCOL_ALIAS,))
    expected = capability(connection.handshake_hash, feed.key, not connection.initiator)
    try:
        if decode_handshake(channel.remote_handshake).capability != expected:
            raise Malformed("the peer does not know the feed's key")
    except Malformed:
        channel.close()
        raise
    return Session(channel, feed, on_event, claims=claims, manner=manner)


async def serve(connection: Connection, feed: Feed, on_event: OnEvent | None = None) -> None:
    """Serve a feed until the channel closes; raises `Malformed` when the peer misbehaves."""
    session = await open_session(connection, feed, on_event)
    await session.run()


async def download(
    connection: Connection,
    feed: Feed,
    on_event: OnEvent | None = None,
    *,
    claims: set[int] | None = None,
    chunks: range | None = None,
    stall_s: float = STALL_S,
    linger_s: float = 0,
) -> None:
    """Fetch all of a feed that is missing, or some `chunks`, then close the channel.

    What is stored stays: a download that was cut short is continued by calling this again, with
    any peer. `linger_s` is how long to stay when all is here.

    Raises `NotFound` when the peer does not give one of `chunks`, `Unavailable` when it leaves or
    gives nothing for `stall_s`, `Malformed` when it lies, `Conflict` when it shows that the owner
    does.
    """
    session = await open_session(connection, feed, on_event, claims=claims)
    if chunks is None:
        session.fetch_all()
    else:
        session.fetch(chunks)
    failure = None
    async with asyncio.TaskGroup() as group:
        group.create_task(session.replicate())
        try:
            await session.completed(stall_s, chunks)
            await session.linger(linger_s)
        except HoldfastError as error:
            failure = error
        session.close()
    if failure is not None:
        raise failure


class Session:
    """One feed on one open channel."""

    def __init__(
        self,
        channel: Channel,
        feed: Feed,
        on_event: OnEvent | None = None,
        *,
        claims: set[int] | None = None,
        manner: Manner = OURS,
    ) -> None:
        self.feed = feed
        self.failure: HoldfastError | None = None
        """Why the session ended, unless a side just closed the channel."""
        self._channel = channel
        self._core = Replication(feed, claims=claims, manner=manner)
        self._work = manner.work
        self._on_event = on_event
        self._closed = False
        self._corked_until: int | None = None
        """How many chunks are to be taken in before what is said leaves, as one batch."""
        self._answering = asyncio.Event()
        self._changed = asyncio.Event()
        self._gained_us = _now_us()
        self._lost: dict[int, Lost] = {}
        self._timer: asyncio.Handle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the peer owes answers."""
        return self._core.is_waiting

    async def run(self) -> None:
        """Replicate until the channel closes, and raise `failure` if there is one."""
        await self.replicate()
        if self.failure is not None:
            raise self.failure

    async def replicate(self) -> None:
        """Replicate until the channel closes; `failure` then says why."""
        stop_watching = self.feed.watch(self._note)
        try:
            if self._work is not None:
                await asyncio.sleep(self._work.open_us() / 1_000_000)
            self._do(self._core.start)
            async with asyncio.TaskGroup() as group:
                helpers = [group.create_task(self._answer()), group.create_task(self._tick())]
                await self._read()
                for helper in helpers:
                    helper.cancel()
            self._settle(flush=True)
        finally:
            stop_watching()
            if self._timer is not None:
                self._timer.cancel()
            self._core.close()
            self.close()

    def close(self) -> None:
        """Close the channel, which ends `run`; closing twice is harmless."""
        self._closed = True
        self._channel.close()
        self._changed.set()

    def fetch(self, chunks: Iterable[int]) -> None:
        """Fetch these chunks, in this order; `on_event` is told of each."""
        self._do(lambda: self._core.want(chunks, _now_us()))

    def fetch_all(self) -> None:
        """Fetch every chunk that is missing, and those appended later."""
        self._do(lambda: self._core.want_all(_now_us()))

    def send_extension(self, name: str, payload: bytes) -> None:
        """Send a message of another protocol; peers that do not know the name ignore it."""
        self._do(lambda: self._core.extension(name, payload))

    async def chunk(self, index: int) -> StoredChunk:
        """A chunk, fetched if it is not here; the session must be running.

        Raises `NotFound` when the peer does not give it, `Unavailable` when the session ends.
        """
        self._lost.pop(index, None)
        if not self.feed.has(index):
            self.fetch([index])
        while not self.feed.has(index):
            if index in self._lost:
                raise NotFound(f"the peer does not give chunk {index}")
            self._require_open()
            self._changed.clear()
            await self._changed.wait()
        return self.feed.chunk(index)

    async def completed(self, stall_s: float = STALL_S, chunks: range | None = None) -> None:
        """Wait until all that the peer told of, or some `chunks`, is here; the session must run.

        Raises `Unavailable` when nothing came for `stall_s`, and what ended the session.
        """
        while not self._is_here(chunks):
            self._require_open()
            if not self.feed.missing:
                self.feed.require_growing()
            left_s = stall_s - (_now_us() - self._gained_us) / 1_000_000
            if left_s <= 0:
                raise Unavailable(
                    f"the peer gave nothing for {stall_s} s; {self.feed.missing} chunks are missing"
                )
            self._changed.clear()
            try:
                async with asyncio.timeout(left_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def linger(self, seconds: float) -> None:
        """Stay, unless the session ends before."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._closed:
                    self._changed.clear()
                    await self._changed.wait()

    def _is_here(self, chunks: range | None) -> bool:
        if chunks is None:
            return self._core.is_complete
        for index in self._lost:
            if index in chunks and not self.feed.has(index):
                raise NotFound(f"the peer does not give chunk {index}")
        if self._core.is_current and chunks.stop > self.feed.length:
            raise NotFound(f"the peer has only {self.feed.length} chunks")
        return not chunks or self.feed.held.contiguous(chunks.start) >= chunks.stop

    def _require_open(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self._closed:
            raise Unavailable(f"the channel closed; {self.feed.missing} chunks are missing")

    async def _read(self) -> None:
        channel, core = self._channel, self._core
        while received := await channel.receive():
            now_us = _now_us()
            if self._work is not None and (batched := channel.batched):
                self._corked_until = None
                channel.cork()  # Node answers a batch with a batch, when it is done with it
                await self._take(received[:batched], now_us)
                self._corked_until = core.arrivals
                self._uncork()
                received = received[batched:]
            await self._take(received, now_us)
            self._settle()

    async def _take(self, received: list[ChannelMessage], now_us: int) -> None:
        core = self._core
        for batch in _batches(received):
            try:
                messages = [decode(*message) for message in batch]
            except Malformed as error:
                self._fail(error)
                return
            known = [message for message in messages if message is not None]
            if self._work is not None and _brings_head(known):
                await asyncio.sleep(self._work.open_us() / 1_000_000)
            self._do(lambda: core.receive(known, now_us))  # noqa: B023 - called at once
            if core.has_requests and not self._answering.is_set():
                self._do(lambda: core.answer(ANSWER_BYTES))
                self._answering.set()
            # What was asked for and answered leaves before the disk is waited for.
            await asyncio.sleep(0)

    def _uncork(self) -> None:
        """Have leave what was said of a batch, once all of it is taken in."""
        if self._corked_until is not None and self._core.taken_in >= self._corked_until:
            self._corked_until = None
            self._channel.uncork()

    async def _answer(self) -> None:
        """Go on answering whenever the peer has read what was answered before."""
        loop = asyncio.get_running_loop()
        while True:
            await self._answering.wait()
            # Costs a fraction of `asyncio.timeout`, once for every few chunks.
            timer = loop.call_later(DRAIN_TIMEOUT_S, self._give_up)
            try:
                await self._channel.drain()
            except Unavailable:
                return
            finally:
                timer.cancel()
            if self._core.has_requests:
                self._do(lambda: self._core.answer(ANSWER_BYTES))
            else:
                self._answering.clear()

    def _give_up(self) -> None:
        self._fail(Unavailable(f"the peer read nothing for {DRAIN_TIMEOUT_S} s"))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._do(lambda: self._core.tick(_now_us()))

    def _note(self, change: Change) -> None:
        """The stored feed changed: tell the peer, once whoever changed it is done."""
        self._core.note(change)
        self._changed.set()
        asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self, *, flush: bool = False) -> None:
        self._do(lambda: self._core.settle(_now_us(), flush=flush))
        due_us = self._core.commit_due_us
        if due_us is not None and self._timer is None:
            delay_s = max(0, due_us - _now_us()) / 1_000_000
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._settle_late)

    def _await_work(self) -> None:
        """Have the core go on when the next of its jobs is done."""
        due_us = self._core.ask_due_us
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_us is not None and not self._closed:
            wait_us, loop = due_us - _now_us(), asyncio.get_running_loop()
            if wait_us < TIMER_US:
                self._timer = loop.call_soon(self._go_on, due_us)
            else:
                self._timer = loop.call_later((wait_us - TIMER_US) / 1_000_000, self._go_on, due_us)

    def _go_on(self, due_us: int) -> None:
        self._timer = None
        now_us = _now_us()
        if now_us < due_us:
            self._await_work()
        else:
            self._do(lambda: self._core.ask(now_us))

    def _settle_late(self) -> None:
        self._timer = None
        self._settle()

    def _do(self, step: Callable[[], list[Effect]]) -> None:
        """Take one step of the core and carry out its effects."""
        if self.failure is not None:
            return
        try:
            effects = step()
        except HoldfastError as error:
            self._fail(Unavailable(str(error)))  # our own store, and never the peer's fault
            return
        for effect in effects:
            # The usual ones first: looking through all kinds of events is slow.
            if isinstance(effect, (Data, Request)) or not isinstance(effect, Event):
                self._channel.send(effect.kind, encode(effect))
            else:
                self._tell(effect)
        if self._work is not None:
            self._await_work()
            self._uncork()
        self._changed.set()

    def _tell(self, event: Event) -> None:
        match event:
            case Arrived() | Grown() | Wrong():
                self._gained_us = _now_us()
            case Served() | Damaged() | Heard() | Stray():
                pass
            case Lost(chunk):
                self._lost[chunk] = event
            case Conflicted():
                self._fail(Conflict(self.feed.key))
            case GiveUp(reason):
                self._fail(Unavailable(reason))
            case Drop(reason):
                self._fail(Malformed(reason))
        if self._on_event is not None:
            self._on_event(self, event)

    def _fail(self, failure: HoldfastError) -> None:
        if self.failure is None:
            self.failure = failure
        self.close()


def _brings_head(messages: Iterable[Message]) -> bool:
    return any(isinstance(message, Data) and message.upgrade for message in messages)


def _batches(received: list[ChannelMessage]) -> Iterator[list[ChannelMessage]]:
    batch, size = list[ChannelMessage](), 0
    for message in received:
        batch.append(message)
        size += len(message.payload)
        if len(batch) >= BATCH_MESSAGES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
