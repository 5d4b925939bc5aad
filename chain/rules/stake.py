"""Lock coins behind a role, and take them back."""

from chain import money, schedule
from chain.bodies.coins import Stake, Unstake
from chain.context import BlockContext
from chain.reasons import Reason
from chain.records import DueItem, StakeRecord, stake_key
from chain.rules import register
from chain.state import Draft
from wire.errors import Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: Stake) -> None:
    """Lock the amount; more stake counts from now on, so its age starts anew.

    A hoster is not drawn by its stake: there more than enough makes nothing young again.
    """
    money.debit(draft, sender, body.amount_base)
    key = stake_key(body.role, sender)
    record = draft.stakes.get(key) or StakeRecord()
    enough = record.amount_base >= block.parameters.hoster_stake_base
    fields = {
        "amount_base": record.amount_base + body.amount_base,
        "since_height": record.since_height if body.role == "hoster" and enough else block.height,
    }
    draft.stakes.put(key, record.model_copy(update=fields))
    register.refresh_rosters(draft, block, sender)


def apply_unstake(draft: Draft, block: BlockContext, sender: bytes, body: Unstake) -> None:
    """Start unbonding; collateral of active contracts stays locked."""
    key = stake_key(body.role, sender)
    record = draft.stakes.require(key, Reason.INSUFFICIENT_STAKE)
    if record.amount_base < body.amount_base:
        raise Rejected(Reason.INSUFFICIENT_STAKE, f"the stake is {record.amount_base}")
    if record.amount_base - record.locked_base < body.amount_base:
        raise Rejected(Reason.STAKE_LOCKED, f"{record.locked_base} is collateral")
    draft.stakes.change(
        key,
        amount_base=record.amount_base - body.amount_base,
        unbonding_base=record.unbonding_base + body.amount_base,
    )
    parameters = block.parameters
    blocks = (
        parameters.validator_unbonding_blocks
        if body.role == "validator"
        else parameters.unbonding_blocks
    )
    item = DueItem(kind="unbond", id=key, amount_base=body.amount_base)
    schedule.soon(draft, block.height + blocks, item)
    register.refresh_rosters(draft, block, sender)


def release(draft: Draft, item: DueItem) -> None:
    """Return unbonded coins to their account; penalties may have left less."""
    record = draft.stakes.at(item.id)
    amount = min(item.amount_base, record.unbonding_base)
    draft.stakes.change(item.id, unbonding_base=record.unbonding_base - amount)
    money.credit(draft, item.id[1:], amount)
