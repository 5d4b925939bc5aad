"""Send coins."""

from chain import money
from chain.bodies.coins import Transfer
from chain.state import Draft


def apply(draft: Draft, sender: bytes, body: Transfer) -> None:
    """Move the amount from the sender to the receiver."""
    money.debit(draft, sender, body.amount_base)
    money.credit(draft, body.to, body.amount_base)
