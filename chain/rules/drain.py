"""A hoster takes no more contracts, and leaves those it has with notice."""

from chain import assignment
from chain.bodies.hosting import Drain
from chain.context import BlockContext
from chain.reasons import Reason
from chain.rules import register
from chain.state import Draft
from wire.errors import Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: Drain) -> None:
    """Take the hoster off the list, or put it back, and hand over the contracts it names.

    Back on the list it is as new: it could know the seed of an assignment by now.
    """
    known = draft.registrations.require(sender, Reason.NOT_REGISTERED)
    since = known.since_height if body.on or not known.draining else block.height
    draft.registrations.change(sender, draining=body.on, since_height=since)
    register.refresh_rosters(draft, block, sender)
    for contract_id in body.leave:
        contract = draft.contracts.require(contract_id, Reason.UNKNOWN_CONTRACT)
        if contract.hoster != sender:
            raise Rejected(Reason.NOT_THE_HOSTER)
        if contract.status not in assignment.OPEN:
            raise Rejected(Reason.CONTRACT_CLOSED, contract.status)
        if contract.leaving or draft.plans.at(contract.plan).status == "ending":
            raise Rejected(Reason.ALREADY_LEAVING, "it ends by itself")
        assignment.leave(draft, block, contract_id)
