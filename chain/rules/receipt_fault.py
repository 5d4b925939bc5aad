"""A hoster is proven to have signed two receipts that cannot both be true."""

from audit.faults import contradiction, session_id
from audit.messages import Receipt, Vouched
from chain import penalties
from chain.bodies.faults import ReceiptFault
from chain.context import BlockContext
from chain.reasons import Reason
from chain.records import FalseSession
from chain.state import Draft
from wire.errors import Malformed, Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: ReceiptFault) -> None:
    """Slash the hoster, once a session, however old the receipts are."""
    known = draft.receipt_keys.require(body.key, Reason.NOT_REGISTERED)
    hoster = known.account
    if known.retired:
        raise Rejected(Reason.KEY_RETIRED, "the account was rotated since")
    try:
        contradiction(block.network, body.key, body.first, body.second)
    except Malformed as error:
        raise Rejected(Reason.BAD_EVIDENCE, str(error)) from None
    receipt = body.first.receipt
    if hoster == sender or receipt.hoster != hoster:
        raise Rejected(Reason.BAD_EVIDENCE, "nobody is rewarded for its own fault, or another's")
    if not convict_hoster(draft, block, receipt, sender):
        raise Rejected(Reason.ALREADY_CONVICTED)


def convict_hoster(
    draft: Draft, block: BlockContext, said: Receipt | Vouched, reporter: bytes
) -> bool:
    """Slash the hoster that signed for this session; False if it was already."""
    session = session_id(said)
    if draft.false_sessions.get(session) is not None:
        return False
    draft.false_sessions.put(session, FalseSession(hoster=said.hoster))
    penalties.receipts_false(draft, block, said.hoster, said.feed, reporter)
    return True
