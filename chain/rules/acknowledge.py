"""A hoster says that it holds an assigned feed: the contract is active."""

from chain.bodies.hosting import Acknowledge
from chain.context import BlockContext
from chain.reasons import Reason
from chain.records import RosterName, stake_key
from chain.state import Draft
from wire.errors import Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: Acknowledge) -> None:
    """Activate an assigned contract with collateral, or move an active one to a newer head.

    A feed that has grown counts against the hoster's offer with its present size, or is beyond it.
    """
    contract = draft.contracts.require(body.contract, Reason.UNKNOWN_CONTRACT)
    if contract.hoster != sender:
        raise Rejected(Reason.NOT_THE_HOSTER)
    if contract.status not in ("assigned", "active"):
        raise Rejected(Reason.CONTRACT_CLOSED, contract.status)
    head = draft.feeds.at(contract.feed).head
    if (body.fork, body.length, body.tree_hash) != (head.fork, head.length, head.tree_hash):
        raise Rejected(Reason.STALE_HEAD, f"the feed's head is {head.length} chunks long")
    if contract.head == head:
        raise Rejected(Reason.ALREADY_ACKNOWLEDGED)
    registration = draft.registrations.at(sender)
    plan = draft.plans.at(contract.plan)
    size, known, price = head.byte_length, contract.bytes, plan.price_base
    if size > known and not registration.takes(size, price, instead_of=known):
        raise Rejected(Reason.BEYOND_OFFER, f"the feed has grown from {known} to {size} bytes")

    if contract.status == "assigned":
        collateral = block.parameters.contract_collateral_base
        key = stake_key("hoster", sender)
        stake = draft.stakes.require(key, Reason.INSUFFICIENT_STAKE)
        if stake.amount_base - stake.locked_base < collateral:
            raise Rejected(Reason.INSUFFICIENT_STAKE, f"{collateral} of free stake is needed")
        draft.stakes.change(key, locked_base=stake.locked_base + collateral)
        draft.set_listed(RosterName.ACTIVE_CONTRACTS, body.contract, plan.status == "running")
        draft.contracts.change(body.contract, status="active", collateral_base=collateral)
    draft.contracts.change(body.contract, head=head, bytes=size)
    draft.registrations.change(sender, hosted_bytes=registration.hosted_bytes - known + size)
