"""Have a plan rest for a while: its hosters are neither audited nor paid."""

from chain import assignment, schedule
from chain.bodies.plans import PausePlan, ResumePlan
from chain.context import BlockContext
from chain.reasons import Reason
from chain.records import DueItem, PlanRecord, RosterName
from chain.state import Draft
from wire.errors import Rejected

PAUSED_EPOCHS_MAXIMUM = 144
"""That a plan rests in all: its hosters keep the feed meanwhile, and their collateral is locked."""


def apply(draft: Draft, block: BlockContext, sender: bytes, body: PausePlan) -> None:
    """From the next line-up on hold no contract of this plan; what is lined up goes on as agreed.

    A plan that is not resumed before it has rested as long as it may is cancelled.
    """
    plan = _own(draft, sender, body.plan, "running")
    left = PAUSED_EPOCHS_MAXIMUM - plan.paused_epochs
    if not left:
        raise Rejected(Reason.NO_PAUSE_LEFT, f"it has rested for {PAUSED_EPOCHS_MAXIMUM} epochs")
    _list_contracts(draft, plan, False)
    until = block.height + left * block.parameters.epoch_blocks
    until = schedule.soon(draft, until, DueItem(kind="pause_over", id=body.plan))
    draft.plans.change(body.plan, status="paused", paused_at=block.height, ends_at=until)


def apply_resume(draft: Draft, block: BlockContext, sender: bytes, body: ResumePlan) -> None:
    """Line the contracts up again, and look for whom the plan lacks.

    A pause counts as many epochs as it can have left out, so it is of no use to pause for no more
    than each line-up.
    """
    plan = _own(draft, sender, body.plan, "paused")
    missed = (block.height - plan.paused_at) // block.parameters.epoch_blocks + 1
    rested = min(plan.paused_epochs + missed, PAUSED_EPOCHS_MAXIMUM)
    draft.plans.change(body.plan, status="running", ends_at=0, paused_epochs=rested)
    _list_contracts(draft, plan, True)
    assignment.seek(draft, block, body.plan)


def over(draft: Draft, block: BlockContext, plan_id: bytes) -> None:
    """End a plan that rests still; the end of an earlier pause says nothing of this one."""
    plan = draft.plans.at(plan_id)
    if plan.status == "paused" and plan.ends_at == block.height:
        assignment.cancel(draft, block, plan_id)


def _own(draft: Draft, sender: bytes, plan_id: bytes, status: str) -> PlanRecord:
    plan = draft.plans.require(plan_id, Reason.UNKNOWN_PLAN)
    if plan.owner != sender:
        raise Rejected(Reason.NOT_THE_OWNER)
    if plan.status in ("ending", "ended"):
        raise Rejected(Reason.PLAN_CLOSED, plan.status)
    if plan.status != status:
        raise Rejected(Reason.WRONG_STATUS, f"it is {plan.status}, not {status}")
    return plan


def _list_contracts(draft: Draft, plan: PlanRecord, listed: bool) -> None:
    for contract in plan.contracts:
        record = draft.contracts.at(contract)
        if record.status == "active" and not record.is_over:
            draft.set_listed(RosterName.ACTIVE_CONTRACTS, contract, listed)
