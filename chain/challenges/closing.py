"""The end of a challenge: off the list of open ones at once, and in time out of the state.

Its verdicts stay for as long as their feed's index lists them. What they rest on stays while
receipts and reports can convict who made them: years of draws and reports would outgrow every
node, and whoever wants to keep the evidence exports it.
"""

from typing import Literal

from chain import schedule
from chain.context import BlockContext
from chain.records import DueItem
from chain.state import Draft


def close(
    draft: Draft, block: BlockContext, challenge_id: bytes, status: Literal["settled", "failed"]
) -> None:
    """End a challenge, and remember it for as long as it can be evidence."""
    draft.challenges.change(challenge_id, status=status)
    meta = draft.meta
    left = tuple(other for other in meta.open_challenges if other != challenge_id)
    draft.meta = meta.model_copy(update={"open_challenges": left})
    _forget_after(draft, block, challenge_id, block.parameters.evidence_ms)


def forget(draft: Draft, block: BlockContext, challenge_id: bytes) -> None:
    """Drop a challenge, its draw and its reports when none of it can convict anybody."""
    challenge = draft.challenges.at(challenge_id)
    left_ms = challenge.window_opened_ms + block.parameters.evidence_ms - block.time_ms
    if left_ms >= 0:  # blocks came faster than they should
        _forget_after(draft, block, challenge_id, left_ms)
        return
    for member in challenge.opened:
        draft.reports.remove(challenge_id + member)
    draft.draws.remove(challenge_id)
    draft.challenges.remove(challenge_id)


def _forget_after(draft: Draft, block: BlockContext, challenge_id: bytes, time_ms: int) -> None:
    blocks = time_ms // block.parameters.block_interval_ms + 1
    item = DueItem(kind="forget_challenge", id=challenge_id)
    schedule.soon(draft, block.height + blocks, item)
