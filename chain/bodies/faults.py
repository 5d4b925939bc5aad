"""What convicts a hoster of lying receipts, or an attestor of a forged report.

Whoever finds it claims it first by a hash, so that nobody who sees it can send it before.
"""

from typing import Literal

from audit.messages import SignedReceipt
from wire.codec import Message, encode
from wire.primitives import Hash, PublicKey, tagged_hash

CLAIM_BLOCKS = 10
"""How old a claim must be when what it hides is shown; so long has its finder to be first."""


class Claim(Message):
    """Says that the sender can prove a fault, and not yet whose."""

    kind: Literal["claim"] = "claim"
    commitment: Hash
    """As `claim_of` makes it."""


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


def claim_of(network: bytes, account: bytes, body: ReceiptFault | DigestFault) -> Claim:
    """What an account sends before `body`; nobody else can use it."""
    return Claim(commitment=tagged_hash("claim", network, account, encode(body)))
