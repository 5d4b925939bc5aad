"""Transactions that wait for a block: admitted by rule, ordered by sender and nonce, bounded.

A sender's transactions wait in a queue without gaps, from the nonce that its account has. A
block takes the highest fee per byte first, each sender in order. When the pool is full, what
pays least per byte goes for what pays more, and always from the end of a queue. What stood in
a block that lost comes before everything else.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from chain.fees import replacement_base
from chain.messages import SignedTransaction
from chain.reasons import Reason
from wire.errors import Rejected, Unavailable

MAX_WAITING = 10_000
"""Total: at the most evidence-heavy this is bounded by `MAX_BYTES` instead."""

MAX_BYTES = 64 << 20
"""64 MiB of waiting transactions and their evidence."""

MAX_PER_SENDER = 64
"""One sender cannot fill the pool."""

RATE_BITS = 32
"""Fees per byte are compared to this many binary places: sizes are below 2^21."""

Check = Callable[[SignedTransaction, int], None]
"""Raises `Rejected`; the number says how many of the sender's transactions wait before it."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    signed: SignedTransaction
    id: bytes
    sender: bytes
    nonce: int
    size: int
    rate: int
    """Fee per byte, in 2^-32 base units."""


def _waiting(signed: SignedTransaction) -> _Waiting:
    transaction = signed.transaction
    size = signed.size
    rate = (transaction.fee_base << RATE_BITS) // size
    return _Waiting(signed, transaction.id, transaction.sender, transaction.nonce, size, rate)


class Mempool:
    """Mutable, hot, and owned by the node's event loop.

    Signatures are checked once: `add` takes a check that includes them, `give_back` and
    `settle` one that leaves them out.
    """

    def __init__(self) -> None:
        self._queues: dict[bytes, list[_Waiting]] = {}
        self._known: dict[bytes, _Waiting] = {}
        self._bytes = 0
        self._returned: dict[bytes, None] = {}
        """Ids of what a losing block gave back, in the order in which it comes first."""
        self._ends: list[tuple[int, bytes]] = []
        """A heap of (rate, id) with the last of every queue, and leftovers of earlier ones."""

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, transaction: bytes) -> bool:
        return transaction in self._known

    @property
    def size_bytes(self) -> int:
        """Of all that waits, evidence included."""
        return self._bytes

    def __iter__(self) -> Iterator[SignedTransaction]:
        """All that waits, each sender's in order."""
        return (waiting.signed for queue in self._queues.values() for waiting in queue)

    def waiting_of(self, sender: bytes) -> int:
        """How many transactions of one account wait."""
        return len(self._queues.get(sender, ()))

    def add(self, signed: SignedTransaction, check: Check) -> bytes:
        """Admit a transaction and return its id; adding it again changes nothing.

        One with the nonce of a waiting one takes its place for a fee that is a tenth higher,
        and no lower by the byte. Raises `Rejected` by the ledger's rules and `Unavailable` when
        there is no room.
        """
        waiting = _waiting(signed)
        if waiting.id not in self._known:
            place, before = self._place(waiting)
            if before is None and place >= MAX_PER_SENDER:
                raise Unavailable(f"{MAX_PER_SENDER} transactions of this sender wait already")
            victims = self._victims(waiting, before)  # in vain, it would cost a signature check
            check(signed, place)
            self._put(waiting, place, victims)
        return waiting.id

    def give_back(self, transactions: Iterable[SignedTransaction], check: Check) -> None:
        """Take back what stood in a block that lost: it is proposed before all else, in order.

        Ignored is what is final, what no block can hold any more, and what has been replaced.
        One sender may have more waiting by it than it could have brought.
        """
        lost = [_waiting(signed) for signed in transactions]
        earlier = dict(self._returned)
        # None of what waits still may make room for another of them.
        self._returned |= {waiting.id: None for waiting in lost if waiting.id in self._known}
        for waiting in lost:
            if waiting.id not in self._known:
                try:
                    place, before = self._place(waiting)
                    check(waiting.signed, place)
                    victims = self._victims(waiting, before, first=True)
                except (Rejected, Unavailable):
                    continue
                self._put(waiting, place, victims)
                self._returned[waiting.id] = None
        ordered = (*earlier, *(waiting.id for waiting in lost))
        self._returned = {name: None for name in ordered if name in self._known}

    def select(
        self, count: int, size_bytes: int, without: frozenset[bytes] = frozenset()
    ) -> tuple[SignedTransaction, ...]:
        """Transactions for the next block: what was given back, then by fee per byte.

        Each sender's stay in order. Left out are those `without`: they stand in blocks that are
        not final yet, and what waits behind them may follow. A sender whose next transaction
        does not fit is passed over; smaller ones still may.
        """
        turn = _Selection(count, size_bytes, without)
        for name in self._returned:
            waiting = self._known[name]
            queue = self._queues[waiting.sender]
            turn.take(queue, waiting.nonce - queue[0].nonce + 1)
        heads = [entry for queue in self._queues.values() if (entry := turn.next_of(queue))]
        heapify(heads)
        while heads and turn.room:
            _, sender, place = heappop(heads)
            queue = self._queues[sender]
            turn.take(queue, place + 1)
            if entry := turn.next_of(queue):
                heappush(heads, entry)
        return tuple(turn.chosen)

    def settle(self, included: Iterable[SignedTransaction], height: int, check: Check) -> None:
        """After block `height`: forget what it holds, has outlived, or made impossible."""
        gone, touched = set(), set()
        for signed in included:
            gone.add(signed.transaction.id)
            touched.add(signed.transaction.sender)
        for sender, queue in list(self._queues.items()):
            lasting = all(waiting.signed.transaction.valid_until > height for waiting in queue)
            if sender in touched or not lasting:
                self._recheck(sender, queue, gone, check)

    def _recheck(
        self, sender: bytes, queue: list[_Waiting], gone: set[bytes], check: Check
    ) -> None:
        kept: list[_Waiting] = []
        for waiting in queue:
            if waiting.id not in gone and _still_fits(waiting.signed, len(kept), check):
                kept.append(waiting)
            else:
                self._forget(waiting)
        if kept:
            self._queues[sender] = kept
            self._end_of(kept)
        else:
            del self._queues[sender]

    def _place(self, waiting: _Waiting) -> tuple[int, _Waiting | None]:
        """Where it belongs in its sender's queue, and what it would replace there.

        Past the end of the queue the check refuses what leaves a gap.
        """
        queue = self._queues.get(waiting.sender, ())
        place = waiting.nonce - queue[0].nonce if queue else 0
        if not 0 <= place < len(queue):
            return len(queue), None
        before = queue[place]
        least_base = replacement_base(_fee(before))
        if _fee(waiting) < least_base or waiting.rate < before.rate:
            raise Rejected(
                Reason.NONCE_USED,
                f"a transaction with this nonce waits: {least_base} would replace it",
            )
        return place, before

    def _victims(
        self, waiting: _Waiting, replaced: _Waiting | None, *, first: bool = False
    ) -> list[_Waiting]:
        """What must go to make room: ends of other senders' queues that pay less per byte.

        `first`: that pay anything. Raises `Unavailable` when that is not enough.
        """
        many = len(self._known) - MAX_WAITING + (replaced is None)
        much = self._bytes - MAX_BYTES + waiting.size - (replaced.size if replaced else 0)
        victims: list[_Waiting] = []
        seen: list[tuple[int, bytes]] = []
        cut: dict[bytes, int] = {}
        while (many > len(victims) or much > 0) and self._ends:
            entry = heappop(self._ends)
            end = self._known.get(entry[1])
            if end is None or self._queues[end.sender][-1 - cut.get(end.sender, 0)] is not end:
                continue  # no longer the end of a queue
            seen.append(entry)
            if end.sender == waiting.sender or end.id in self._returned:
                continue
            if end.rate >= waiting.rate and not first:
                break
            victims.append(end)
            much -= end.size
            queue, cut[end.sender] = self._queues[end.sender], cut.get(end.sender, 0) + 1
            if cut[end.sender] < len(queue):
                before = queue[-1 - cut[end.sender]]
                heappush(self._ends, (before.rate, before.id))
        for entry in seen:
            heappush(self._ends, entry)
        if many > len(victims) or much > 0:
            raise Unavailable("the node's pool of waiting transactions is full: pay more, or later")
        return victims

    def _put(self, waiting: _Waiting, place: int, victims: list[_Waiting]) -> None:
        for victim in victims:
            queue = self._queues[victim.sender]
            assert queue.pop() is victim
            if not queue:
                del self._queues[victim.sender]
            self._forget(victim)
        queue = self._queues.setdefault(waiting.sender, [])
        if place < len(queue):
            self._forget(queue[place])
            queue[place] = waiting
        else:
            queue.append(waiting)
        self._known[waiting.id] = waiting
        self._bytes += waiting.size
        self._end_of(queue)

    def _forget(self, waiting: _Waiting) -> None:
        del self._known[waiting.id]
        self._returned.pop(waiting.id, None)
        self._bytes -= waiting.size

    def _end_of(self, queue: list[_Waiting]) -> None:
        heappush(self._ends, (queue[-1].rate, queue[-1].id))
        if len(self._ends) > 4 * len(self._known) + MAX_PER_SENDER:
            self._ends = [(queue[-1].rate, queue[-1].id) for queue in self._queues.values()]
            heapify(self._ends)


class _Selection:
    """A block being filled: how far each sender's queue was taken, and the room that is left."""

    def __init__(self, count: int, size_bytes: int, without: frozenset[bytes]) -> None:
        self.chosen: list[SignedTransaction] = []
        self._count = count
        self._size_bytes = size_bytes
        self._without = without
        self._places: dict[bytes, int] = {}

    @property
    def room(self) -> bool:
        return len(self.chosen) < self._count

    def take(self, queue: list[_Waiting], end: int) -> None:
        """Take a queue up to a place, or none of the rest of it when something does not fit."""
        for place in range(self._places.get(queue[0].sender, 0), end):
            waiting = queue[place]
            if waiting.id in self._without:
                continue
            if waiting.size > self._size_bytes or not self.room:
                end = len(queue)
                break
            self.chosen.append(waiting.signed)
            self._size_bytes -= waiting.size
        self._places[queue[0].sender] = max(end, self._places.get(queue[0].sender, 0))

    def next_of(self, queue: list[_Waiting]) -> tuple[int, bytes, int] | None:
        """What comes next of a queue, to be sorted: (minus its rate, sender, place)."""
        sender = queue[0].sender
        for place in range(self._places.get(sender, 0), len(queue)):
            if queue[place].id not in self._without:
                return -queue[place].rate, sender, place
        return None


def _fee(waiting: _Waiting) -> int:
    return waiting.signed.transaction.fee_base


def _still_fits(signed: SignedTransaction, pending: int, check: Check) -> bool:
    try:
        check(signed, pending)
    except Rejected:
        return False
    return True
