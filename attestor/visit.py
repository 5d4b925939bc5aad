"""What one visit amounts to: figures from times, evidence from a sparse tree. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from audit.entries import Entry, Leaf, Listed, pack_leaves, pack_listed, pack_uncles
from audit.evidence import VISIT_DOMAIN, Target
from audit.messages import (
    MAX_LISTED,
    Outcome,
    SignedReceipt,
    VisitEvidence,
    VisitSummary,
    visit_statement,
)
from audit.plan import VisitPlan
from feed import multiproof
from feed.tree import Node
from wire import merkle, signing
from wire.errors import NotFound
from wire.keys import KeyPair

MILLION = 1_000_000

WRONG_SHOWN = 4
"""Chunks of which evidence shows that they are not the feed's."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One chunk that came: when it was asked for, when it was here."""

    entry: Entry
    fresh: bytes | None
    """Its digest under the key of this visit; None of what evidence never shows: what was not
    planned and is as it should be."""
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
    bursts = _bursts(visit.arrivals)
    # What came behind something else waited for that, on our line: it measures our own asking.
    latencies = [burst[0].came_us - burst[0].asked_us for burst in bursts]
    size = sum(arrival.entry.size for arrival in visit.arrivals)
    return VisitSummary(
        outcome=outcome,
        planned=len(plan.indices),
        served=served,
        bytes=size,
        connect_us=max(visit.connected_us - visit.started_us, 0) if visit.connected_us else 0,
        first_byte_us=latencies[0] if latencies else 0,
        latency_p50_us=percentile(latencies, 50),
        latency_p95_us=percentile(latencies, 95),
        throughput_bytes_per_s=_throughput(bursts),
    )


def _bursts(arrivals: Sequence[Arrival]) -> list[list[Arrival]]:
    """Arrivals in their order, each list begun by one that was asked for with none before it."""
    bursts = list[list[Arrival]]()
    before_us = 0
    for arrival in arrivals:
        if not bursts or arrival.asked_us >= before_us:
            bursts.append([])
        bursts[-1].append(arrival)
        before_us = arrival.came_us
    return bursts


def _throughput(bursts: Sequence[Sequence[Arrival]]) -> int:
    """Bytes a second while chunks were coming one behind the other; of single ones, with the wait.

    The first of several measures the line's delay as well, so the clock starts when it is here.
    """
    size = busy_us = 0
    for burst in bursts:
        began_us, ended_us = burst[0].came_us, burst[-1].came_us
        if ended_us == began_us:
            began_us = burst[0].asked_us
        behind = [each for each in burst if each.came_us > began_us]
        size += sum(each.entry.size for each in behind)
        busy_us += ended_us - began_us
    return size * MILLION // max(busy_us, 1)


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
    covered = _signed_for(visit)
    if covered is None or visit.receipt is None:
        return summarize(visit, plan, visit.trouble or _without_receipt(visit), 0), None
    served, hashes = covered
    listed, good, wrong = _worth_showing(visit, served, plan, node)
    chunks = sorted({served[place].chunk for place in listed})
    differing = {served[place].chunk for place in listed if _differs(served[place], node)}
    try:
        uncles = multiproof.make(target.length, chunks, node)
    except NotFound:
        return summarize(visit, plan, visit.trouble or Outcome.HEAD_UNPROVEN, 0), None
    evidence = VisitEvidence(
        visit_key=key.public,
        visit_signature=signing.sign(
            key, VISIT_DOMAIN, network, visit_statement(challenge, target.contract, attestor)
        ),
        receipt=visit.receipt,
        listed=pack_listed(Listed(place, served[place], fresh) for place, fresh in listed.items()),
        list_proof=b"".join(merkle.multiproof(hashes, list(listed))),
        leaves=pack_leaves(
            Leaf(chunk, leaf.size, leaf.hash)
            for chunk in sorted(differing)
            if (leaf := node(2 * chunk)) is not None
        ),
        uncles=pack_uncles(uncles),
    )
    if wrong:
        outcome = Outcome.FAULT
    elif len(good) == len(plan.indices):
        outcome = Outcome.SERVED
    else:
        outcome = visit.trouble or Outcome.CHUNKS_MISSING
    return summarize(visit, plan, outcome, len(good)), evidence


def _worth_showing(
    visit: Visit, served: Sequence[Entry], plan: VisitPlan, node: Callable[[int], Node | None]
) -> tuple[dict[int, bytes], set[int], set[int]]:
    """Places of the entries that prove something, with their fresh digests, and the chunks proven
    served, and proven wrong.

    Each planned chunk once as it should be, and a few chunks once as they should not: one proves
    the fault, and with thousands the evidence of a whole visit would not fit.
    """
    planned = set(plan.indices)
    good, wrong = set[int](), set[int]()
    places = dict[int, bytes]()
    for place, entry in enumerate(served):
        leaf, fresh = node(2 * entry.chunk), visit.arrivals[place].fresh
        if leaf is None or fresh is None or len(places) == MAX_LISTED:
            continue
        if leaf.hash != entry.hash:
            seen, is_worth = wrong, len(wrong) < WRONG_SHOWN
        else:
            seen, is_worth = good, entry.chunk in planned
        if is_worth and entry.chunk not in seen:
            seen.add(entry.chunk)
            places[place] = fresh
    return places, good, wrong


def _differs(entry: Entry, node: Callable[[int], Node | None]) -> bool:
    leaf = node(2 * entry.chunk)
    return leaf is not None and (leaf.size, leaf.hash) != (entry.size, entry.hash)


def _signed_for(visit: Visit) -> tuple[list[Entry], list[bytes]] | None:
    """What the newest receipt covers, if it covers just what came: entries, and their hashes."""
    if visit.receipt is None:
        return None
    receipt = visit.receipt.receipt
    entries = [arrival.entry for arrival in visit.arrivals[: receipt.count]]
    hashes = [merkle.leaf_hash(entry.packed) for entry in entries]
    matches = len(entries) == receipt.count and merkle.root_of(hashes) == receipt.root
    return (entries, hashes) if matches else None


def _without_receipt(visit: Visit) -> Outcome:
    if visit.receipt is not None:
        return Outcome.RECEIPT_WRONG
    return Outcome.RECEIPT_MISSING if visit.arrivals else Outcome.CHUNKS_MISSING
