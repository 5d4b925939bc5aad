"""The only places where coins move, and the proof that none appear or vanish."""

from chain.hosting_records import DataRequest
from chain.reasons import Reason
from chain.records import Account, Meta, PlanRecord, StakeRecord
from chain.state import Draft
from wire.codec import Message
from wire.errors import Rejected


def credit(draft: Draft, account: bytes, amount_base: int) -> None:
    """Add coins to an account's balance, opening the account if need be."""
    assert amount_base >= 0
    record = draft.accounts.get(account) or Account()
    balance = record.balance_base + amount_base
    draft.accounts.put(account, record.model_copy(update={"balance_base": balance}))


def debit(draft: Draft, account: bytes, amount_base: int) -> None:
    """Take coins from an account's balance, or `Rejected`."""
    assert amount_base >= 0
    record = draft.accounts.require(account, Reason.UNKNOWN_ACCOUNT)
    if record.balance_base < amount_base:
        raise Rejected(
            Reason.INSUFFICIENT_BALANCE, f"{record.balance_base} is less than {amount_base}"
        )
    balance = record.balance_base - amount_base
    draft.accounts.put(account, record.model_copy(update={"balance_base": balance}))


def burn(draft: Draft, amount_base: int) -> None:
    """Count coins as destroyed; they stay part of the supply equation."""
    assert amount_base >= 0
    meta = draft.meta
    draft.meta = meta.model_copy(update={"burnt_base": meta.burnt_base + amount_base})


def held_base(record: Message | None) -> int:
    """The coins that one record holds."""
    match record:
        case Account():
            return record.balance_base
        case StakeRecord():
            return record.amount_base + record.unbonding_base
        case PlanRecord():
            return record.escrow_base
        case DataRequest():
            return record.bond_base
        case Meta():
            return record.burnt_base
        case _:
            return 0


def assert_conserved(draft: Draft) -> None:
    """Balances, stakes, escrows and burnt coins add up as before, and none is negative."""
    change = 0
    for (table, key), before, after in draft.changed():
        held = held_base(after)
        assert held >= 0, f"{table.name} {key.hex()} would hold {held}"
        change += held - held_base(before)
    assert change == 0, f"a block would change the supply by {change}"
