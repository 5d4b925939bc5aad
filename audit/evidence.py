"""Judge a report from its evidence alone: what was served, and what is a proven fault.

The chain runs this for every opened report, and so can anyone with an exported bundle.
A visit without evidence proves nothing either way; that is what *unproven* means.
"""

from dataclasses import dataclass
from enum import StrEnum

from audit.messages import Outcome, Report, VisitEvidence, VisitSummary, visit_statement
from audit.plan import VisitPlan
from audit.receipts import is_receipt_signed, is_timely, served_root
from feed import multiproof
from wire import signing
from wire.errors import Malformed, Rejected

VISIT_DOMAIN = "visit"


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


@dataclass(frozen=True, slots=True)
class Judged:
    """One visit after its evidence was checked."""

    planned: int
    served: int
    fault: bool


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
    judged = Judged(planned, 0, False)
    if evidence is not None:
        _check_session(network, task, target, evidence)
        judged = _compare(target, plan, evidence)
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
    if receipt.count != len(evidence.served) or receipt.root != served_root(evidence.served):
        raise Rejected(Flaw.RECEIPT_MISMATCH, "the receipt is over other chunks")


def _compare(target: Target, plan: VisitPlan, evidence: VisitEvidence) -> Judged:
    """Hold what the hoster signed against the owner's tree.

    Only hashes are compared: a leaf's hash covers its size, while a size in a bare proof is
    bound only in sums, and an attestor could shift it to make an honest hoster look wrong.
    """
    true_leaves = {leaf.index: (leaf.size, leaf.hash) for leaf in evidence.leaves}
    uncles = [(uncle.size, uncle.hash) for uncle in evidence.uncles]
    try:
        tree_hash = multiproof.verify(target.length, true_leaves, uncles)
    except Malformed as error:
        raise Rejected(Flaw.LEAVES_UNPROVEN, str(error)) from None
    if tree_hash != target.tree_hash:
        raise Rejected(Flaw.LEAVES_UNPROVEN, "the leaves are not the feed's")
    good: set[int] = set()
    fault = False
    for entry in evidence.served:
        truth = true_leaves.get(entry.index)
        if truth is None:
            continue
        if truth[1] == entry.hash:
            good.add(entry.index)
        else:
            fault = True
    return Judged(len(plan.indices), len(good.intersection(plan.indices)), fault)


def require_plan_length(report: Report, plans: list[VisitPlan]) -> None:
    """A report speaks of exactly the visits that its attestor had to make."""
    if len(report.visits) != len(plans):
        raise Rejected(Flaw.VISITS_OFF_PLAN, f"{len(report.visits)} visits instead of {len(plans)}")
