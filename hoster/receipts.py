"""When a hoster signs for what it has served: often enough that little stays unsigned.

Every peer gets receipts, unasked: if only auditors got them, they would be marked.
"""

from audit.entries import entry_of
from audit.messages import RECEIPT_EVERY_CHUNKS, SignedReceipt
from audit.receipts import ServedAccount, SessionBinding, sign_receipt
from wire.keys import KeyPair


class ReceiptBook:
    """The receipts of one connection on one feed. Mutable, owned by what serves it.

    A reader that closes the channel and opens another is in the same session still: to begin to
    count anew would be to contradict oneself. A book speaks of one fork.
    """

    def __init__(self, key: KeyPair, binding: SessionBinding, fork: int = 0) -> None:
        self.fork = fork
        self._key = key
        self._binding = binding
        self._account = ServedAccount()
        self._sequence = 0
        self._signed = 0

    @property
    def unsigned(self) -> int:
        """Chunks served since the last receipt."""
        return self._account.count - self._signed

    @property
    def served_bytes(self) -> int:
        """Bytes served in the session."""
        return self._account.bytes

    def add(self, index: int, leaf_hash: bytes, data: bytes) -> bool:
        """Count a served chunk; True when a receipt is due now."""
        self._account.add(entry_of(index, leaf_hash, data, self._binding.handshake_hash))
        return self.unsigned >= RECEIPT_EVERY_CHUNKS

    def sign(self, *, fork: int, length: int, time_ms: int) -> SignedReceipt:
        """The receipt for everything served so far."""
        self._sequence += 1
        self._signed = self._account.count
        return sign_receipt(
            self._key,
            self._binding,
            self._account,
            fork=fork,
            length=length,
            sequence=self._sequence,
            time_ms=time_ms,
        )
