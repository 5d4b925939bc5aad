"""The running account of one session, kept alike by the hoster that signs and the reader.

Both append every chunk in the order it crosses the wire, so a signed root over n entries
either equals the reader's own root after n chunks or shows a disagreement.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from audit.entries import Entry
from audit.messages import Receipt, SignedReceipt
from wire import merkle, signing
from wire.codec import encode
from wire.keys import KeyPair

DOMAIN = "receipt"

CLOCK_SKEW_MS = 30_000
"""How far the clocks of hosters and validators may lie apart: far more than NTP leaves."""


@dataclass(frozen=True, slots=True)
class SessionBinding:
    """What ties receipts to one connection, one reader and one head."""

    network: bytes
    hoster: bytes
    handshake_hash: bytes
    peer: bytes
    feed: bytes


class ServedAccount:
    """Chunks served so far in one session. Mutable: one session owns it, and it is hot."""

    def __init__(self) -> None:
        self._tree = merkle.Accumulator()
        self.bytes = 0

    @property
    def count(self) -> int:
        """How many chunks were served."""
        return self._tree.length

    def add(self, entry: Entry) -> None:
        """Count one chunk that has just crossed the wire."""
        self._tree.append(entry.packed)
        self.bytes += entry.size

    def root(self) -> bytes:
        """The root over all entries so far."""
        return self._tree.root()


def sign_receipt(
    key: KeyPair,
    binding: SessionBinding,
    account: ServedAccount,
    *,
    fork: int,
    length: int,
    sequence: int,
    time_ms: int,
) -> SignedReceipt:
    """The hoster's receipt for everything served so far in the session."""
    receipt = Receipt(
        hoster=binding.hoster,
        handshake_hash=binding.handshake_hash,
        peer=binding.peer,
        feed=binding.feed,
        fork=fork,
        length=length,
        sequence=sequence,
        count=account.count,
        bytes=account.bytes,
        root=account.root(),
        time_ms=time_ms,
    )
    signature = signing.sign(key, DOMAIN, binding.network, encode(receipt))
    return SignedReceipt(receipt=receipt, signature=signature)


def is_receipt_signed(network: bytes, signer: bytes, signed: SignedReceipt) -> bool:
    """Whether the signature on a receipt is `signer`'s."""
    body = encode(signed.receipt)
    return signing.is_signed(signer, DOMAIN, network, body, signed.signature)


def is_timely(receipt: Receipt, opened_ms: int, closed_ms: int) -> bool:
    """Whether a receipt is of a visit between these times, clocks being what they are.

    Without this an attestor could visit once and show the same receipt for ever.
    """
    return opened_ms - CLOCK_SKEW_MS <= receipt.time_ms <= closed_ms + CLOCK_SKEW_MS


def served_root(entries: Iterable[Entry]) -> bytes:
    """The root that a receipt over exactly these entries must carry."""
    return merkle.root(entry.packed for entry in entries)
