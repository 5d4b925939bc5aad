"""A hoster is proven to have signed two receipts that cannot both be true."""

from audit.faults import contradiction, session_id
from audit.messages import Receipt, Vouched
from audit.receipts import CLOCK_SKEW_MS
from chain import penalties, schedule
from chain.bodies.faults import ReceiptFault
from chain.context import BlockContext
from chain.reasons import Reason
from chain.records import DueItem, FalseSession
from chain.rules import claim
from chain.state import Draft
from wire.errors import Malformed, Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: ReceiptFault) -> None:
    """Slash the hoster, once a session, unless the newer of the receipts is too old."""
    known = draft.receipt_keys.require(body.key, Reason.NOT_REGISTERED)
    hoster = known.account
    if known.retired:
        raise Rejected(Reason.KEY_RETIRED, "the account was rotated since")
    try:
        contradiction(block.network, body.key, body.first, body.second)
    except Malformed as error:
        raise Rejected(Reason.BAD_EVIDENCE, str(error)) from None
    age_ms = block.time_ms - max(each.receipt.time_ms for each in (body.first, body.second))
    if not -CLOCK_SKEW_MS <= age_ms <= block.parameters.evidence_ms:
        raise Rejected(Reason.BAD_EVIDENCE, f"signed {age_ms // 1_000} s ago by the hoster's clock")
    receipt = body.first.receipt
    if hoster == sender or receipt.hoster != hoster:
        raise Rejected(Reason.BAD_EVIDENCE, "nobody is rewarded for its own fault, or another's")
    claim.require(draft, block, sender, body)
    if not convict_hoster(draft, block, receipt, sender):
        raise Rejected(Reason.ALREADY_CONVICTED)


def convict_hoster(
    draft: Draft, block: BlockContext, said: Receipt | Vouched, reporter: bytes
) -> bool:
    """Slash the hoster that signed for this session; False if it was already."""
    session = session_id(said)
    if draft.false_sessions.get(session) is not None:
        return False
    # The newest evidence there can be of it was signed or opened now, by a clock that is ahead.
    until_ms = block.time_ms + CLOCK_SKEW_MS + block.parameters.evidence_ms
    draft.false_sessions.put(session, FalseSession(hoster=said.hoster, until_ms=until_ms))
    _forget_at(draft, block, session, until_ms)
    penalties.receipts_false(draft, block, said.hoster, said.feed, reporter)
    return True


def forget(draft: Draft, block: BlockContext, session: bytes) -> None:
    """Drop the record of a false session when nothing can prove it again."""
    until_ms = draft.false_sessions.at(session).until_ms
    if block.time_ms > until_ms:
        draft.false_sessions.remove(session)
    else:
        _forget_at(draft, block, session, until_ms)


def _forget_at(draft: Draft, block: BlockContext, session: bytes, until_ms: int) -> None:
    """Look again when so much time has passed, if blocks come as often as they should."""
    blocks = (until_ms - block.time_ms) // block.parameters.block_interval_ms + 1
    schedule.soon(draft, block.height + blocks, DueItem(kind="forget_session", id=session))
