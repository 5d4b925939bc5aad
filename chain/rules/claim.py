"""Who finds a fault says so by a hash first: who copies what it then shows comes too late."""

from chain import schedule
from chain.bodies.faults import CLAIM_BLOCKS, Claim, DigestFault, ReceiptFault, claim_of
from chain.context import BlockContext
from chain.reasons import Reason
from chain.records import ClaimRecord, DueItem
from chain.state import Draft
from wire.errors import Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: Claim) -> None:
    """Note the claim, for as long as a transaction that shows what it hides may wait."""
    key = sender + body.commitment
    if draft.claims.get(key) is not None:
        raise Rejected(Reason.ALREADY_COMMITTED)
    draft.claims.put(key, ClaimRecord(height=block.height))
    until = block.height + CLAIM_BLOCKS + block.parameters.transaction_lifetime_blocks
    schedule.soon(draft, until, DueItem(kind="forget_claim", id=key))


def require(
    draft: Draft, block: BlockContext, sender: bytes, body: ReceiptFault | DigestFault
) -> None:
    """Refuse what its sender has not claimed long enough ago."""
    known = draft.claims.get(sender + claim_of(block.network, sender, body).commitment)
    if known is None or known.height + CLAIM_BLOCKS > block.height:
        raise Rejected(Reason.NOT_COMMITTED, f"claim it first, {CLAIM_BLOCKS} blocks before")
