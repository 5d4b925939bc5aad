"""Receipts for what one reader is served, as its session goes."""

import asyncio
import time
from collections.abc import Callable

import structlog

from audit.messages import RECEIPT_EXTENSION, SignedReceipt
from feed.feed import Feed
from feed.replication.events import Damaged, Event, Served
from feed.replication.session import Session
from hoster.receipts import ReceiptBook
from wire.codec import encode

log = structlog.get_logger()

IDLE_RECEIPT_S = 0.25
"""Quiet time after which what was served is signed for: above the gap between requests on a
slow line, below the time that a reader lingers."""


class Serving:
    """Receipts for one session, sent as it goes: every 16 chunks, when it falls quiet, at its end.

    A book speaks of one fork. When the owner truncates the feed the session ends, so that no
    receipt says of the new fork what was served of the old one.
    """

    def __init__(
        self,
        book: ReceiptBook,
        feed: Feed,
        idle_s: float = IDLE_RECEIPT_S,
        keep: Callable[[SignedReceipt], None] | None = None,
    ) -> None:
        self.damaged = False
        self._keep = keep
        self._idle_s = idle_s
        self._book = book
        self._feed = feed
        self._fork = feed.fork
        self._length = feed.length
        self._session: Session | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def served_bytes(self) -> int:
        """Bytes of chunks that were sent in this session."""
        return self._book.served_bytes

    def on_event(self, session: Session, event: Event) -> None:
        """Told of all that happens in the session, right after it is put on the wire."""
        self._session = session
        match event:
            case Served():
                self._count(session, event)
            case Damaged(chunk):
                self.damaged = True
                log.warning("chunk rotted on disk", chunk=chunk, feed=self._feed.key.hex())
            case _:
                pass

    def finish(self) -> None:
        """Sign for what is still unsigned, if the channel is open; the session is over then."""
        if self._timer is not None:
            self._timer.cancel()
        self._sign()

    def _count(self, session: Session, served: Served) -> None:
        if self._feed.fork != self._fork:
            self._sign()
            session.close()
            return
        self._length = self._feed.length
        if self._book.add(served.chunk, served.leaf_hash, served.data):
            self._sign()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._idle_s, self._sign)

    def _sign(self) -> None:
        if self._session is None or not self._book.unsigned:
            return
        time_ms = time.time_ns() // 1_000_000
        signed = self._book.sign(fork=self._fork, length=self._length, time_ms=time_ms)
        if self._keep is not None:
            self._keep(signed)
        self._session.send_extension(RECEIPT_EXTENSION, encode(signed))
