"""Add epochs to a plan, and the coins that pay for them."""

from chain import assignment, money, sponsors
from chain.bodies.plans import TopUpPlan
from chain.context import BlockContext
from chain.reasons import Reason
from chain.state import Draft
from wire.errors import Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: TopUpPlan) -> None:
    """Take the price of the epochs, for every replica, into escrow; the sender is a sponsor.

    The number of epochs that was ordered stays in the record: it is how an owner knows its order
    again, and a stranger could make it pay twice.
    """
    plan = draft.plans.require(body.plan, Reason.UNKNOWN_PLAN)
    if plan.status in ("ending", "ended"):
        raise Rejected(Reason.PLAN_CLOSED, plan.status)
    amount = plan.price_base * plan.replicas * body.epochs
    paying = sponsors.joined(plan.sponsors, plan.escrow_base, sender, amount)
    money.debit(draft, sender, amount)
    draft.plans.change(body.plan, sponsors=paying, escrow_base=plan.escrow_base + amount)
    assignment.prolong(draft, block, body.plan, body.epochs)
