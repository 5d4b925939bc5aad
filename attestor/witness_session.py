"""Noting what happens in one visit: what came, what was refused, what the hoster signed for."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from attestor.visit import Arrival, Visit
from audit.entries import chunk_digest, entry_of
from audit.faults import ReceiptsHeard
from audit.messages import RECEIPT_EXTENSION, Outcome
from audit.receipts import SessionBinding
from chain.bodies.faults import ReceiptFault
from feed.replication.events import Arrived, Event, Failure, Grown, Heard, Lost, Stray, Wrong
from feed.replication.session import Session
from wire.errors import Malformed

Accuse = Callable[[ReceiptFault], None]
"""Told of what convicts a hoster, at once."""

HASH_AFTER_S = 0.004
HASHED_AT_ONCE = 4
"""Chunks that came are hashed a little later, a few at a time, as far as what is asked for next
goes first."""

UNHASHED_BYTES = 1 << 20
"""More than this does not wait to be hashed."""


class Witness:
    """Told of everything by one session, in the order of the wire; fills in a `Visit`."""

    def __init__(
        self,
        visit: Visit,
        planned: Iterable[int],
        signer: bytes,
        binding: SessionBinding,
        fresh_key: bytes,
        accuse: Accuse | None = None,
    ) -> None:
        self._visit = visit
        self._planned = frozenset(planned)
        self._signer = signer
        self._binding = binding
        self._receipts = ReceiptsHeard(binding, signer)
        self._accuse = accuse
        self._fresh_key = fresh_key
        self._open = set(self._planned)
        self._wanted = set(self._planned)
        self._answered = set[int]()
        self._news = asyncio.Event()
        self._has_head = False
        self._over = False
        self._unhashed = deque[Arrived | Wrong | Stray]()
        self._unhashed_bytes = 0
        self._hashing: asyncio.Handle | None = None

    @property
    def open_chunks(self) -> bool:
        """Whether a planned chunk has neither come nor been refused."""
        return bool(self._open)

    @property
    def is_over(self) -> bool:
        """Whether the session has ended."""
        return self._over

    @property
    def has_head(self) -> bool:
        """Whether a signed head has come."""
        return self._has_head

    def want(self, chunks: Iterable[int]) -> None:
        """The session asks for these beside the planned ones."""
        self._wanted |= set(chunks) - self._answered

    def session_over(self, _: asyncio.Task[None]) -> None:
        """The hoster closed the channel, or was dropped."""
        self._over = True
        self._news.set()

    def on_event(self, _: Session, event: Event) -> None:
        """Something happened."""
        match event:
            case Arrived(chunk) | Wrong(chunk) | Stray(chunk):
                self._note(event)
                if not isinstance(event, Stray):  # it comes once more, and is signed for twice
                    self._close(chunk)
                if isinstance(event, Wrong):
                    self._blame(Outcome.BAD_DATA)
            case Lost(chunk, failure):
                if chunk in self._planned:
                    slow = failure is Failure.TIMEOUT
                    self._blame(Outcome.TOO_SLOW if slow else Outcome.CHUNKS_MISSING)
                self._close(chunk)
            case Heard(name, payload) if name == RECEIPT_EXTENSION:
                self._hear_receipt(payload)
            case Grown():
                self._has_head = True
            case _:
                pass
        self._news.set()

    def _note(self, event: Arrived | Wrong | Stray) -> None:
        """Have the chunk hashed, soon: while answers come, a reader would ask for more first."""
        self._unhashed.append(event)
        self._unhashed_bytes += len(event.data)
        if self._unhashed_bytes > UNHASHED_BYTES:
            self.catch_up()
        elif self._hashing is None:
            self._hashing = asyncio.get_running_loop().call_later(HASH_AFTER_S, self._hash_some)

    def catch_up(self) -> None:
        """Hash what is left, for the visit's list of arrivals to be whole."""
        while self._unhashed:
            self._hash()
        if self._hashing is not None:
            self._hashing.cancel()
            self._hashing = None

    def _hash_some(self) -> None:
        for _ in range(HASHED_AT_ONCE):
            if not self._unhashed:
                self._hashing = None
                return
            self._hash()
        self._hashing = asyncio.get_running_loop().call_soon(self._hash_some)

    def _hash(self) -> None:
        event = self._unhashed.popleft()
        chunk, leaf_hash, data, asked_us, came_us = event
        self._unhashed_bytes -= len(data)
        entry = entry_of(chunk, leaf_hash, data, self._binding.handshake_hash)
        is_shown = chunk in self._planned or not isinstance(event, Arrived)
        fresh = chunk_digest(self._fresh_key, data) if is_shown else None
        self._visit.arrivals.append(Arrival(entry, fresh, asked_us, came_us))

    def _close(self, chunk: int) -> None:
        self._answered.add(chunk)
        self._open.discard(chunk)
        self._wanted.discard(chunk)

    def _blame(self, outcome: Outcome) -> None:
        self._visit.trouble = self._visit.trouble or outcome

    def _hear_receipt(self, payload: bytes) -> None:
        try:
            signed = self._receipts.hear(payload)
        except Malformed:
            self._blame(Outcome.RECEIPT_WRONG)
        else:
            newest = self._visit.receipt
            if newest is None or signed.receipt.sequence > newest.receipt.sequence:
                self._visit.receipt = signed
        if self._receipts.lie is not None and self._accuse is not None:
            first, second = self._receipts.lie
            self._accuse(ReceiptFault(key=self._signer, first=first, second=second))
            self._accuse = None

    async def answered(self, chunk: int) -> None:
        """Wait until a chunk came or was refused."""
        while chunk not in self._answered and not self._over:
            self._news.clear()
            await self._news.wait()

    async def head(self) -> None:
        """Wait for a signed head, or the session's end."""
        while not self._has_head and not self._over:
            self._news.clear()
            await self._news.wait()

    async def all_answered(
        self, session: Session, quiet_s: float, deadline: float, stall_s: float | None = None
    ) -> None:
        """Wait until everything wanted came or was refused, nothing came for `quiet_s`, or the
        event loop's clock shows `deadline`.

        Node's readers stall before chunks that the peer lacks. When the peer owes nothing for
        `stall_s`, what is left of the plan is asked for by name, once, as a program would that
        needs these chunks.
        """
        loop = asyncio.get_running_loop()
        asked = False
        while (self._wanted or not self._has_head) and not self._over:
            self._news.clear()
            idle = stall_s is not None and self._has_head and not session.is_waiting
            wait_s = stall_s if idle and stall_s is not None else quiet_s
            try:
                async with asyncio.timeout_at(min(loop.time() + wait_s, deadline)):
                    await self._news.wait()
            except TimeoutError:
                if idle and self._open and not asked:
                    asked, stall_s = True, quiet_s / 3  # what is there comes at once
                    session.fetch(sorted(self._open))
                    continue
                if self._open:
                    # What was asked for is late; what was not even announced is missing.
                    late = session.is_waiting
                    self._blame(Outcome.TOO_SLOW if late else Outcome.CHUNKS_MISSING)
                return

    async def linger(self, seconds: float) -> None:
        """Stay until the session is over, but not longer than that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._over:
                    self._news.clear()
                    await self._news.wait()
