"""Answering one peer's requests, in the order they came.

Requests wait here, not their answers: a peer that asks for more than it reads costs its
requests, and one that cancels costs nothing. Mutable state of one replication core.
"""

from collections.abc import Iterator

from feed.events import Damaged, Effect, Served
from feed.feed import Feed, StoredChunk
from feed.manifest import is_compat
from feed.messages import NoData, Reason, Request
from feed.prover import Source, produce
from feed.tree import leaf_hash
from wire.errors import Malformed, NotFound

MAX_REQUESTS = 1024
"""Unanswered requests of one peer; Node has at most 512 out."""

MAX_INVALID = 64
"""Impossible requests before the peer is dropped, as Node does; honest peers race a truncation."""


class Uploader:
    """What one peer has asked for and not been answered yet."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.waiting: dict[int, Request] = {}
        self._invalid = 0

    def ask(self, request: Request) -> None:
        """Queue a request; one with an id in use replaces it. Raises `Malformed`."""
        self.waiting.pop(request.id, None)
        if len(self.waiting) >= MAX_REQUESTS:
            raise Malformed(f"more than {MAX_REQUESTS} requests at once")
        self.waiting[request.id] = request

    def cancel(self, request_id: int) -> None:
        """Forget a request."""
        self.waiting.pop(request_id, None)

    def answer(self, budget_bytes: int) -> Iterator[Effect]:
        """Answer until so many bytes of chunks are on their way. Raises `Malformed`."""
        while self.waiting and budget_bytes > 0:
            request = self.waiting.pop(next(iter(self.waiting)))
            for effect in self._answer(request):
                if isinstance(effect, Served):
                    budget_bytes -= effect.bytes
                yield effect

    def _answer(self, request: Request) -> Iterator[Effect]:
        feed = self.feed
        chunk = None
        if request.chunk is not None and feed.has(request.chunk.index):
            chunk = feed.chunk(request.chunk.index)
            if leaf_hash(chunk.value) != chunk.hash:
                feed.forget([chunk.index])
                yield Damaged(chunk.index)
                chunk = None
        try:
            answer = produce(source(feed, chunk), request)
        except NotFound:
            yield NoData(request.id, Reason.NOT_AVAILABLE)
            return
        except Malformed as error:
            self._invalid += 1
            if self._invalid > MAX_INVALID:
                raise Malformed(f"too many impossible requests: {error}") from None
            yield NoData(request.id, Reason.INVALID_REQUEST)
            return
        yield answer
        if answer.chunk is not None and chunk is not None:
            yield Served(chunk.index, chunk.hash, len(chunk.value))


def source(feed: Feed, chunk: StoredChunk | None = None) -> Source:
    """A stored feed as answers are made from it, with the one chunk that is asked for."""
    manifest = None if is_compat(feed.key, feed.manifest) else feed.manifest
    return Source(
        manifest,
        feed.fork,
        feed.length,
        feed.signature,
        feed.node,
        lambda _index: None if chunk is None else chunk.value,
    )
