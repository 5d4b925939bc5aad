"""Answering what one peer asks: which chunks are here, and requests in the order they came.

Requests wait here, not their answers: a peer that asks for more than it reads costs its
requests, and one that cancels costs nothing. Mutable state of one replication core.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice

from feed.feed import Feed, StoredChunk
from feed.messages import Bitfield, NoData, Range, Reason, Request, Unwant, Want
from feed.nodes import AROUND_CHUNKS
from feed.prover import produce
from feed.replication.events import Damaged, Effect, Served
from feed.replication.picker import WANT_CHUNKS
from feed.source import source
from wire.errors import Malformed, NotFound

MAX_REQUESTS = 1024
"""Unanswered requests of one peer; Node has at most 512 out."""

MAX_WANTS = 64
"""Stretches that a peer may want to know about at once; Node wants two million chunks in one."""

MAX_INVALID = 64
"""Impossible requests before the peer is dropped, as Node does; honest peers race a truncation."""


MANY_IN_A_ROW = 4
"""Chunks asked for one behind the other, from which on they are read with one question."""


class Uploader:
    """What one peer has asked for and not been answered yet."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._waiting: dict[int, Request] = {}
        self._unanswered: list[Want] = []
        self._wants: list[tuple[int, int]] = []
        self._invalid = 0
        self._ahead: dict[int, StoredChunk] = {}
        """Chunks read before their turn came, within one call of `answer`."""
        self._damaged: list[int] = []
        """Chunks found damaged within one call of `answer`."""
        self._around = range(0)
        """The stretches whose nodes were read last."""

    @property
    def has_work(self) -> bool:
        """Whether the peer waits for an answer."""
        return bool(self._waiting or self._unanswered)

    def want(self, want: Want) -> None:
        """The peer wants to know which chunks are here, now and when there are more."""
        stretch = want.start, want.start + want.length
        is_new = stretch not in self._wants
        if is_new and want.length <= WANT_CHUNKS and len(self._wants) < MAX_WANTS:
            self._wants.append(stretch)
            self._unanswered.append(want)

    def unwant(self, want: Unwant) -> None:
        """The peer no longer wants to know."""
        self._unanswered = [
            w for w in self._unanswered if (w.start, w.length) != (want.start, want.length)
        ]
        stretch = want.start, want.start + want.length
        self._wants = [other for other in self._wants if other != stretch]

    def is_wanted(self, start: int, stop: int) -> bool:
        """Whether the peer wants to know about any of these chunks."""
        return any(low < stop and start < high for low, high in self._wants)

    def ask(self, request: Request) -> None:
        """Queue a request; one with an id in use replaces it. Raises `Malformed`."""
        self._waiting.pop(request.id, None)
        if len(self._waiting) >= MAX_REQUESTS:
            raise Malformed(f"more than {MAX_REQUESTS} requests at once")
        self._waiting[request.id] = request

    def cancel(self, request_id: int) -> None:
        """Forget a request."""
        self._waiting.pop(request_id, None)

    def answer(self, budget_bytes: int) -> list[Effect]:
        """Answer until so many bytes of chunks are on their way. Raises `Malformed`."""
        out: list[Effect] = []
        while self._unanswered and budget_bytes > 0:
            for message in self._presence(self._unanswered.pop(0)):
                budget_bytes -= len(message.bits) if isinstance(message, Bitfield) else 0
                out.append(message)
        with self.feed.reading() if len(self._waiting) > 1 else nullcontext():
            while self._waiting and budget_bytes > 0:
                request = self._waiting.pop(next(iter(self._waiting)))
                budget_bytes -= self._answer(request, out, budget_bytes)
        self._ahead.clear()
        if self._damaged:
            self.feed.forget(self._damaged)
            self._damaged.clear()
        return out

    def _presence(self, want: Want) -> Iterator[Range | Bitfield]:
        """Which chunks of a stretch are here, in the way that Node tells it."""
        feed = self.feed
        contiguous = feed.contiguous_length
        start, stop = want.start, want.start + want.length
        if contiguous == feed.length or stop < contiguous or (want.any and start < contiguous):
            yield Range(0, contiguous)
            return
        stop = min(stop, feed.length)
        if want.any:
            for first, _ in islice(feed.held.within(start, stop), 1):
                yield Range(first, 1)
        elif start < stop:
            start -= start % 32
            yield Bitfield(start, feed.held.bits(start, stop))

    def _answer(self, request: Request, out: list[Effect], budget_bytes: int) -> int:
        """Answer one request; returns how many bytes of a chunk that were."""
        chunk = None
        if request.chunk is not None and self._has(request.chunk.index):
            chunk = self._read(request.chunk.index, budget_bytes)
            if not chunk.is_intact():
                self._damaged.append(chunk.index)
                out.append(Damaged(chunk.index))
                chunk = None
        try:
            answer = produce(source(self.feed, chunk), request)
        except NotFound:
            out.append(NoData(request.id, Reason.NOT_AVAILABLE))
            return 0
        except Malformed as error:
            self._invalid += 1
            if self._invalid > MAX_INVALID:
                raise Malformed(f"too many impossible requests: {error}") from None
            out.append(NoData(request.id, Reason.INVALID_REQUEST))
            return 0
        out.append(answer)
        if answer.chunk is None or chunk is None:
            return 0
        out.append(Served(chunk.index, chunk.hash, chunk.value))
        return len(chunk.value)

    def _has(self, index: int) -> bool:
        return self.feed.has(index) and index not in self._damaged

    def _read(self, index: int, budget_bytes: int) -> StoredChunk:
        """A chunk, and those right behind it that the peer has asked for next, with their nodes."""
        chunk = self._ahead.pop(index, None)
        if chunk is not None:
            return chunk
        feed = self.feed
        fitting = budget_bytes * feed.length // max(1, feed.byte_length)
        stop = index + 1
        for other in islice(self._waiting.values(), max(MANY_IN_A_ROW, fitting) - 1):
            if other.chunk is None or other.chunk.index != stop:
                break
            stop += 1
        if stop - index < MANY_IN_A_ROW:
            return feed.chunk(index)
        around = range(index // AROUND_CHUNKS, (stop - 1) // AROUND_CHUNKS + 1)
        for page in around:
            if page not in self._around:
                feed.read_around(page * AROUND_CHUNKS)
        self._around = around
        for chunk in feed.chunks(index, stop, budget_bytes):
            self._ahead[chunk.index] = chunk
        return self._ahead.pop(index, None) or feed.chunk(index)
