"""Fund the hosting of a feed."""

from chain import money, schedule
from chain.bodies.plans import CreatePlan
from chain.context import BlockContext
from chain.reasons import Reason
from chain.records import DueItem, PlanRecord
from chain.sponsors import Sponsor
from chain.state import Draft
from wire.errors import Rejected

PLANS_LISTED = 256
"""Newest plans that a feed's record names: anybody may add one to any feed."""


def apply(draft: Draft, block: BlockContext, sender: bytes, plan: bytes, body: CreatePlan) -> None:
    """Take the whole price into escrow and put the plan's start on the schedule."""
    feed = draft.feeds.require(body.feed, Reason.UNKNOWN_FEED)
    if body.samples > block.parameters.samples_maximum:
        raise Rejected(
            Reason.TOO_MANY_SAMPLES, f"at most {block.parameters.samples_maximum} per visit"
        )
    if body.start_height and body.start_height < block.height:
        raise Rejected(Reason.START_IN_PAST, f"this is height {block.height}")
    if body.expires_height and body.expires_height <= max(body.start_height, block.height + 1):
        raise Rejected(Reason.EXPIRES_TOO_SOON, "it would end before it begins")
    escrow = body.price_base * body.replicas * body.epochs
    money.debit(draft, sender, escrow)

    start = max(body.start_height, block.height + 1)
    start = schedule.soon(draft, start, DueItem(kind="start_plan", id=plan))
    draft.plans.put(
        plan,
        PlanRecord(
            plan=plan,
            owner=sender,
            feed=body.feed,
            replicas=body.replicas,
            epochs=body.epochs,
            price_base=body.price_base,
            sla=body.sla,
            samples=body.samples,
            start_height=start,
            escrow_base=escrow,
            sponsors=(Sponsor(account=sender, part_base=escrow),),
            status="waiting",
            vacancies=(body.epochs,) * body.replicas,
            expires_height=body.expires_height,
        ),
    )
    if body.expires_height:
        schedule.soon(draft, body.expires_height, DueItem(kind="expire_plan", id=plan))
    plans = (*feed.plans, plan)[-PLANS_LISTED:]
    draft.feeds.put(body.feed, feed.model_copy(update={"plans": plans}))
