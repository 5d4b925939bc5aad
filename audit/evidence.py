"""Judge a report from its evidence alone: what was served, and what is a proven fault.

The chain runs this for every opened report, and so can anyone with an exported bundle.
A visit without evidence proves nothing either way; that is what *unproven* means.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from audit.entries import Shown, unpack_hashes, unpack_leaves, unpack_shown, unpack_uncles
from audit.messages import Outcome, VisitEvidence, VisitSummary, visit_statement
from audit.plan import VisitPlan
from audit.receipts import is_receipt_signed, is_timely
from feed import multiproof
from wire import merkle, signing
from wire.errors import Malformed, Rejected

VISIT_DOMAIN = "visit"

UNPROVEN_KEPT = 4
"""Planned chunks not proven served that the chain remembers: what it asks for on chain."""


class Flaw(StrEnum):
    """Why a report is void: its attestor is not paid, and nothing in it counts."""

    VISITS_OFF_PLAN = "visits_off_plan"
    VISIT_NOT_SIGNED = "visit_not_signed"
    RECEIPT_NOT_SIGNED = "receipt_not_signed"
    RECEIPT_MISMATCH = "receipt_mismatch"
    RECEIPT_UNTIMELY = "receipt_untimely"
    LEAVES_UNPROVEN = "leaves_unproven"
    SUMMARY_OVERSTATED = "summary_overstated"


@dataclass(frozen=True, slots=True)
class Task:
    """Whose report is judged, for which challenge, and when the visits had to take place."""

    challenge: bytes
    attestor: bytes
    opened_ms: int
    closed_ms: int


@dataclass(frozen=True, slots=True)
class Target:
    """What the chain knows of one target: who must sign, and what must be served."""

    contract: bytes
    hoster: bytes
    receipt_key: bytes
    feed: bytes
    fork: int
    length: int
    tree_hash: bytes


class Judged(NamedTuple):
    """One visit after its evidence was checked."""

    planned: int
    served: int
    fault: bool
    unproven: tuple[int, ...]
    """Planned chunks that are not proven served, in the order of the plan: the first few."""


def judge_visit(
    network: bytes,
    task: Task,
    target: Target,
    plan: VisitPlan,
    summary: VisitSummary,
    evidence: VisitEvidence | None,
) -> Judged:
    """What one visit proves; raises `Rejected` when the report claims more than that."""
    planned = len(plan.indices)
    if summary.planned != planned:
        raise Rejected(Flaw.VISITS_OFF_PLAN, f"{summary.planned} chunks instead of {planned}")
    good: set[int] = set()
    fault = False
    if evidence is not None:
        _check_session(network, task, target, evidence)
        good, fault = _compare(target, _listed(evidence), evidence)
    unproven = [index for index in plan.indices if index not in good]
    judged = Judged(planned, planned - len(unproven), fault, tuple(unproven[:UNPROVEN_KEPT]))
    if (summary.served, summary.outcome is Outcome.FAULT) != (judged.served, judged.fault):
        raise Rejected(Flaw.SUMMARY_OVERSTATED, f"evidence proves {judged.served} chunks served")
    if summary.outcome is Outcome.SERVED and judged.served != planned:
        raise Rejected(Flaw.SUMMARY_OVERSTATED, "not every planned chunk is proven served")
    return judged


def _check_session(network: bytes, task: Task, target: Target, evidence: VisitEvidence) -> None:
    receipt = evidence.receipt.receipt
    statement = visit_statement(task.challenge, target.contract, task.attestor)
    if not signing.is_signed(
        evidence.visit_key, VISIT_DOMAIN, network, statement, evidence.visit_signature
    ):
        raise Rejected(Flaw.VISIT_NOT_SIGNED)
    if not is_receipt_signed(network, target.receipt_key, evidence.receipt):
        raise Rejected(Flaw.RECEIPT_NOT_SIGNED)
    expected = (target.hoster, evidence.visit_key, target.feed, target.fork)
    if (receipt.hoster, receipt.peer, receipt.feed, receipt.fork) != expected:
        raise Rejected(Flaw.RECEIPT_MISMATCH, "the receipt is for another session")
    if not is_timely(receipt, task.opened_ms, task.closed_ms):
        raise Rejected(Flaw.RECEIPT_UNTIMELY, "the visit was not in this challenge's window")


def _listed(evidence: VisitEvidence) -> list[Shown]:
    """The entries that are shown; the receipt is over them, each at its place."""
    receipt = evidence.receipt.receipt
    try:
        places, leaves, shown = unpack_shown(evidence.listed)
        siblings = unpack_hashes(evidence.list_proof)
        root = merkle.root_from_multiproof(receipt.count, places, leaves, siblings)
    except Malformed as error:
        raise Rejected(Flaw.RECEIPT_MISMATCH, str(error)) from None
    if root != receipt.root:
        raise Rejected(Flaw.RECEIPT_MISMATCH, "the receipt is over other chunks")
    return shown


def _compare(target: Target, listed: list[Shown], evidence: VisitEvidence) -> tuple[set[int], bool]:
    """Hold what the hoster signed against the owner's tree: chunks proven served; any fault.

    Only hashes are compared: a leaf's hash covers its size, while a size in a bare proof is
    bound only in sums, and an attestor could shift it to make an honest hoster look wrong.
    """
    try:
        truth = _truth(listed, evidence)
        tree_hash = multiproof.verify(target.length, truth, unpack_uncles(evidence.uncles))
    except Malformed as error:
        raise Rejected(Flaw.LEAVES_UNPROVEN, str(error)) from None
    if tree_hash != target.tree_hash:
        raise Rejected(Flaw.LEAVES_UNPROVEN, "the leaves are not the feed's")
    good = {chunk for chunk, part in listed if part[1] == truth[chunk][1]}
    return good, any(part[1] != truth[chunk][1] for chunk, part in listed)


def _truth(listed: list[Shown], evidence: VisitEvidence) -> dict[int, tuple[int, bytes]]:
    """Claimed true leaves by chunk: those shown, and else what the entries say themselves."""
    leaves = unpack_leaves(evidence.leaves)
    if any(a.chunk >= b.chunk for a, b in pairwise(leaves)):
        raise Malformed("true leaves must ascend")
    shown = {leaf.chunk: (leaf.size, leaf.hash) for leaf in leaves}
    truth = shown.copy()
    idle = set(shown)
    for chunk, part in listed:
        if truth.setdefault(chunk, part) != part:
            if chunk not in shown:
                raise Malformed(f"two entries of chunk {chunk} differ and no leaf is shown")
            idle.discard(chunk)
    if idle:
        raise Malformed("a true leaf is shown that no entry differs from")
    return truth


def require_plan_length(visits: int, plans: list[VisitPlan]) -> None:
    """A report speaks of exactly the visits that its attestor had to make."""
    if visits != len(plans):
        raise Rejected(Flaw.VISITS_OFF_PLAN, f"{visits} visits instead of {len(plans)}")
