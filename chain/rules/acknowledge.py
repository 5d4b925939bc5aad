"""A hoster says that it holds an assigned feed: the contract is active."""

from chain.context import BlockContext
from chain.messages import Acknowledge
from chain.reasons import Reason
from chain.records import RosterName, stake_key
from chain.state import Draft
from wire.errors import Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: Acknowledge) -> None:
    """Activate an assigned contract with collateral, or move an active one to a newer head."""
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

    if contract.status == "assigned":
        collateral = block.parameters.contract_collateral_base
        key = stake_key("hoster", sender)
        stake = draft.stakes.require(key, Reason.INSUFFICIENT_STAKE)
        if stake.amount_base - stake.locked_base < collateral:
            raise Rejected(Reason.INSUFFICIENT_STAKE, f"{collateral} of free stake is needed")
        draft.stakes.change(key, locked_base=stake.locked_base + collateral)
        draft.set_listed(RosterName.ACTIVE_CONTRACTS, body.contract, True)
        draft.contracts.change(
            body.contract, status="active", head=head, collateral_base=collateral
        )
    else:
        draft.contracts.change(body.contract, head=head)
