"""Transactions that wait for a block: admitted by rule, ordered by sender and nonce, bounded.

A transaction accepted here is not yet promised: it expires at its `valid_until`, and the
client asks again after a restart. Asking twice is harmless, since a nonce is used once.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from chain.messages import SignedTransaction
from wire.codec import encode
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


class Mempool:
    """Mutable, hot, and owned by the node's event loop."""

    def __init__(self) -> None:
        self._queues: dict[bytes, list[SignedTransaction]] = {}
        self._sizes: dict[bytes, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, transaction: bytes) -> bool:
        return transaction in self._sizes

    def add(self, signed: SignedTransaction, check: Check) -> bytes:
        """Admit a transaction and return its id; adding it again changes nothing.

        Raises `Rejected` by the ledger's rules and `Unavailable` when there is no room.
        """
        transaction = signed.transaction
        name = transaction.id
        if name in self._sizes:
            return name
        queue = self._queues.get(transaction.sender, [])
        if len(queue) >= MAX_PER_SENDER:
            raise Unavailable(f"{MAX_PER_SENDER} transactions of this sender wait already")
        size = len(encode(signed))
        if len(self._sizes) >= MAX_WAITING or self._bytes + size > MAX_BYTES:
            raise Unavailable("the node's pool of waiting transactions is full")
        check(signed, len(queue))
        self._queues[transaction.sender] = [*queue, signed]
        self._sizes[name] = size
        self._bytes += size
        return name

    def select(self, count: int, size_bytes: int) -> tuple[SignedTransaction, ...]:
        """Transactions for the next block: highest fee per byte first, each sender in order.

        A sender whose next transaction does not fit is passed over; smaller ones still may.
        """
        chosen: list[SignedTransaction] = []
        heads = [(self._cost(queue[0]), sender, 0) for sender, queue in self._queues.items()]
        heapify(heads)
        while heads and len(chosen) < count:
            _, sender, place = heappop(heads)
            queue = self._queues[sender]
            size = self._sizes[queue[place].transaction.id]
            if size > size_bytes:
                continue
            chosen.append(queue[place])
            size_bytes -= size
            if place + 1 < len(queue):
                heappush(heads, (self._cost(queue[place + 1]), sender, place + 1))
        return tuple(chosen)

    def _cost(self, signed: SignedTransaction) -> int:
        """Orders by fee per byte, the highest first, in integers."""
        fee_base = signed.transaction.fee_base
        return -(fee_base << RATE_BITS) // self._sizes[signed.transaction.id]

    def settle(self, included: tuple[SignedTransaction, ...], height: int, check: Check) -> None:
        """After block `height`: forget what it holds, has outlived, or made impossible."""
        gone = {signed.transaction.id for signed in included}
        touched = {signed.transaction.sender for signed in included}
        for sender, queue in list(self._queues.items()):
            lasting = all(signed.transaction.valid_until > height for signed in queue)
            if sender not in touched and lasting:
                continue
            kept: list[SignedTransaction] = []
            for signed in queue:
                name = signed.transaction.id
                if name in gone or not _still_fits(signed, len(kept), check):
                    self._bytes -= self._sizes.pop(name)
                else:
                    kept.append(signed)
            if kept:
                self._queues[sender] = kept
            else:
                del self._queues[sender]


def _still_fits(signed: SignedTransaction, pending: int, check: Check) -> bool:
    try:
        check(signed, pending)
    except Rejected:
        return False
    return True
