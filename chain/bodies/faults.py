"""What convicts a hoster of lying receipts, or an attestor of a forged report."""

from typing import Literal

from audit.messages import SignedReceipt
from wire.codec import Message
from wire.primitives import Hash, PublicKey


class ReceiptFault(Message):
    """Two receipts of one session that cannot both be true."""

    kind: Literal["receipt_fault"] = "receipt_fault"
    key: PublicKey
    """The receipt key that signed both."""
    first: SignedReceipt
    second: SignedReceipt


class DigestFault(Message):
    """A chunk of which an opened report has a digest that nobody can have made of its bytes."""

    kind: Literal["digest_fault"] = "digest_fault"
    challenge: Hash
    attestor: PublicKey
    contract: Hash
    evidence: Hash
    """Of the bytes of the sidecar, an `audit.messages.ShownChunk`."""
