"""A hoster announces when it will be away."""

from chain.bodies.data import Maintain
from chain.context import BlockContext
from chain.hosting_records import Absence, Maintenance
from chain.reasons import Reason
from chain.state import Draft
from wire.errors import Rejected

ABSENCES_KEPT = 4
"""The newest: more than can lie in one challenge."""


def apply(draft: Draft, block: BlockContext, sender: bytes, body: Maintain) -> None:
    """Note an absence that begins after every challenge that may be under way is over.

    So nobody goes away because it has learnt that it is a target.
    """
    parameters = block.parameters
    draft.registrations.require(sender, Reason.NOT_REGISTERED)
    if body.blocks > parameters.maintenance_blocks:
        raise Rejected(Reason.ABSENT_TOO_LONG, f"at most {parameters.maintenance_blocks} blocks")
    earliest = block.height + parameters.challenge_blocks
    if body.from_height < earliest:
        raise Rejected(Reason.ANNOUNCED_TOO_LATE, f"not before height {earliest}")
    before = (draft.maintenance.get(sender) or Maintenance()).absences
    if before:
        last = before[-1].until_height
        if last > block.height:
            raise Rejected(Reason.ABSENT_TOO_OFTEN, f"one is announced until height {last}")
        free = last + parameters.maintenance_rest_blocks
        if body.from_height < free:
            raise Rejected(Reason.ABSENT_TOO_OFTEN, f"not before height {free}")
    until = body.from_height + body.blocks
    absences = (*before, Absence(from_height=body.from_height, until_height=until))
    draft.maintenance.put(sender, Maintenance(absences=absences[-ABSENCES_KEPT:]))
