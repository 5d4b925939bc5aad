"""End a plan before its epochs are served."""

from chain import assignment
from chain.bodies.plans import CancelPlan
from chain.context import BlockContext
from chain.reasons import Reason
from chain.state import Draft
from wire.errors import Rejected


def apply(draft: Draft, block: BlockContext, sender: bytes, body: CancelPlan) -> None:
    """Drop what is vacant at once; what is hosted ends after the challenges under way."""
    plan = draft.plans.require(body.plan, Reason.UNKNOWN_PLAN)
    if plan.owner != sender:
        raise Rejected(Reason.NOT_THE_OWNER)
    if plan.status in ("ending", "ended"):
        raise Rejected(Reason.PLAN_CLOSED, plan.status)
    assignment.cancel(draft, block, body.plan)
