"""What is ordered and paid for."""

from typing import Annotated, Literal

from pydantic import Field

from wire.codec import Message
from wire.primitives import (
    Hash,
    Height,
    Natural,
    Positive,
    Ppm,
    PublicKey,
)

MAX_EPOCHS = 1_000_000
"""That a replica can be paid for in advance."""


class Sla(Message):
    """What the owner pays for, as hard numbers."""

    availability_ppm: Ppm
    latency_us: Positive
    throughput_bytes_per_s: Natural


class CreatePlan(Message):
    """Fund the hosting of a feed: `replicas` hosters for `epochs` audits each."""

    kind: Literal["create_plan"] = "create_plan"
    feed: PublicKey
    replicas: Annotated[int, Field(ge=1, le=64)]
    epochs: Annotated[int, Field(ge=1, le=MAX_EPOCHS)]
    price_base: Positive
    """Per replica and epoch."""
    sla: Sla
    samples: Positive
    """Chunks that each attestor asks of each hoster."""
    start_height: Height
    expires_height: Height = 0
    """When it is cancelled if it has not ended by then; 0: never."""


class TopUpPlan(Message):
    """Pay for more epochs of a plan, one's own or another's."""

    kind: Literal["top_up_plan"] = "top_up_plan"
    plan: Hash
    epochs: Annotated[int, Field(ge=1, le=MAX_EPOCHS)]
    """For each replica."""


class PausePlan(Message):
    """Have a plan rest: neither audited nor paid."""

    kind: Literal["pause_plan"] = "pause_plan"
    plan: Hash


class ResumePlan(Message):
    """Have a paused plan go on."""

    kind: Literal["resume_plan"] = "resume_plan"
    plan: Hash


class CancelPlan(Message):
    """End a plan before its epochs are served; what is unspent returns."""

    kind: Literal["cancel_plan"] = "cancel_plan"
    plan: Hash
