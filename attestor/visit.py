"""What one visit amounts to: figures from times, evidence from a sparse tree. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from audit.evidence import VISIT_DOMAIN, Target
from audit.messages import (
    Outcome,
    Served,
    SignedReceipt,
    Uncle,
    VisitEvidence,
    VisitSummary,
    visit_statement,
)
from audit.plan import VisitPlan
from audit.receipts import served_root
from feed import multiproof
from feed.tree import Node
from wire import signing
from wire.errors import NotFound
from wire.keys import KeyPair

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """One chunk that came: when it was asked for, when it was here."""

    index: int
    size: int
    leaf_hash: bytes
    asked_us: int
    came_us: int


@dataclass(slots=True)
class Visit:
    """What is seen while a visit lasts. One session owns it and fills it in."""

    started_us: int
    connected_us: int = 0
    ended_us: int = 0
    trouble: Outcome | None = None
    """The first thing that went wrong."""
    arrivals: list[Arrival] = field(default_factory=list)
    """In the order on the wire, wrong ones included: what the receipt must be over."""
    receipt: SignedReceipt | None = None
    """The newest one that is bound to this session."""


def percentile(values: Sequence[int], percent: int) -> int:
    """The nearest-rank percentile of unsorted integers; 0 of none."""
    if not values:
        return 0
    ordered = sorted(values)
    return ordered[max(-(-len(ordered) * percent // 100) - 1, 0)]


def summarize(visit: Visit, plan: VisitPlan, outcome: Outcome, served: int) -> VisitSummary:
    """The figures of a visit, as integers."""
    latencies = [arrival.came_us - arrival.asked_us for arrival in visit.arrivals]
    size = sum(arrival.size for arrival in visit.arrivals)
    first_asked = min((arrival.asked_us for arrival in visit.arrivals), default=0)
    last_came = max((arrival.came_us for arrival in visit.arrivals), default=0)
    busy_us = max(last_came - first_asked, 1)
    return VisitSummary(
        outcome=outcome,
        planned=len(plan.indices),
        served=served,
        bytes=size,
        connect_us=max(visit.connected_us - visit.started_us, 0) if visit.connected_us else 0,
        first_byte_us=latencies[0] if latencies else 0,
        latency_p50_us=percentile(latencies, 50),
        latency_p95_us=percentile(latencies, 95),
        throughput_bytes_per_s=size * MILLION // busy_us if latencies else 0,
    )


def skipped(plan: VisitPlan) -> VisitSummary:
    """The summary of a visit that the attestor's own side kept from happening."""
    return summarize(Visit(started_us=0), plan, Outcome.SKIPPED, 0)


def conclude(
    visit: Visit,
    plan: VisitPlan,
    target: Target,
    node: Callable[[int], Node | None],
    *,
    network: bytes,
    challenge: bytes,
    attestor: bytes,
    key: KeyPair,
) -> tuple[VisitSummary, VisitEvidence | None]:
    """What to report of a visit, and the evidence for it.

    `node` looks up the verified nodes of the feed's tree. Only what the hoster has signed
    for counts: chunks after its last receipt, or without any, prove nothing.
    """
    served = _signed_for(visit)
    if served is None or visit.receipt is None:
        return summarize(visit, plan, visit.trouble or _without_receipt(visit), 0), None
    truth = {entry.index: node(2 * entry.index) for entry in served}
    good, wrong = set[int](), set[int]()
    for entry in served:
        leaf = truth[entry.index]
        if leaf is not None:
            (good if leaf.hash == entry.hash else wrong).add(entry.index)
    good &= set(plan.indices)
    proven = sorted(good | wrong)
    try:
        uncles = multiproof.make(target.length, proven, node)
    except NotFound:
        return summarize(visit, plan, visit.trouble or Outcome.HEAD_UNPROVEN, 0), None
    evidence = VisitEvidence(
        visit_key=key.public,
        visit_signature=signing.sign(
            key, VISIT_DOMAIN, network, visit_statement(challenge, target.contract, attestor)
        ),
        receipt=visit.receipt,
        served=served,
        leaves=tuple(
            Served(index=index, size=leaf.size, hash=leaf.hash)
            for index in proven
            if (leaf := truth[index]) is not None
        ),
        uncles=tuple(Uncle(size=size, hash=part) for size, part in uncles),
    )
    if wrong:
        outcome = Outcome.FAULT
    elif len(good) == len(plan.indices):
        outcome = Outcome.SERVED
    else:
        outcome = visit.trouble or Outcome.CHUNKS_MISSING
    return summarize(visit, plan, outcome, len(good)), evidence


def _signed_for(visit: Visit) -> tuple[Served, ...] | None:
    """The arrivals that the newest receipt covers, if it covers just these."""
    if visit.receipt is None:
        return None
    count = visit.receipt.receipt.count
    entries = tuple(
        Served(index=arrival.index, size=arrival.size, hash=arrival.leaf_hash)
        for arrival in visit.arrivals[:count]
    )
    matches = len(entries) == count and served_root(entries) == visit.receipt.receipt.root
    return entries if matches else None


def _without_receipt(visit: Visit) -> Outcome:
    if visit.receipt is not None:
        return Outcome.RECEIPT_WRONG
    return Outcome.RECEIPT_MISSING if visit.arrivals else Outcome.CHUNKS_MISSING
