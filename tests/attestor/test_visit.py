"""What is concluded from a visit: only what the hoster signed for, and never more than that."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from attestor.visit import WRONG_SHOWN, Arrival, Visit, conclude, percentile, skipped
from audit.entries import Entry, unpack_leaves, unpack_listed
from audit.evidence import judge_visit
from audit.messages import Outcome, SignedReceipt, VisitEvidence, VisitSummary
from audit.plan import VisitPlan
from feed.tree import Node
from tests.audit.visits import (
    ATTESTOR,
    CHALLENGE,
    CONTRACT,
    LIBRARY,
    NETWORK,
    PLAN,
    TARGET,
    TASK,
    VISIT_KEY,
    receipt_over,
)

Concluded = tuple[VisitSummary, VisitEvidence | None]


def false(index: int) -> Entry:
    """A chunk that is not the feed's."""
    return LIBRARY.entry(index)._replace(hash=b"f" * 32)


def listed(evidence: VisitEvidence) -> list[Entry]:
    return [listed.entry for listed in unpack_listed(evidence.listed)]


def arrivals(entries: Iterable[Entry]) -> list[Arrival]:
    """Asked for 1 ms after one another; the k-th takes k ms more."""
    return [
        Arrival(entry, bytes(16), 1_000 * place, 3_000 * place + 1_000)
        for place, entry in enumerate(entries)
    ]


def visit(
    entries: Sequence[Entry],
    receipt: SignedReceipt | None = None,
    trouble: Outcome | None = None,
) -> Visit:
    return Visit(
        started_us=100,
        connected_us=600,
        trouble=trouble,
        arrivals=arrivals(entries),
        receipt=receipt,
    )


def concluded(
    seen: Visit, plan: VisitPlan = PLAN, known: dict[int, Node] = LIBRARY.nodes
) -> Concluded:
    """What is reported, after the chain's own judge has agreed with it."""
    summary, evidence = conclude(
        seen,
        plan,
        TARGET,
        known.get,
        network=NETWORK,
        challenge=CHALLENGE,
        attestor=ATTESTOR.id,
        key=VISIT_KEY,
    )
    judged = judge_visit(NETWORK, TASK, TARGET, plan, summary, evidence)
    assert judged.served == summary.served
    assert judged.fault == (summary.outcome is Outcome.FAULT)
    return summary, evidence


PLANNED = tuple(LIBRARY.entry(index) for index in PLAN.indices)
ALL = receipt_over(PLANNED)


def test_all_chunks_served_and_signed_for():
    summary, evidence = concluded(visit(PLANNED, ALL))
    assert (summary.outcome, summary.served, summary.planned) == (Outcome.SERVED, 4, 4)
    assert evidence is not None
    assert listed(evidence) == list(PLANNED)
    assert evidence.leaves == b"", "the entries say the truth themselves"


FIGURES = {
    # asked and came in ms -> first, median and 95th latency in ms; places counted, over how many ms
    "one after the other": (
        [(0, 1), (2, 5), (6, 13), (20, 22)], (1, 2, 7), (0, 1, 2, 3), 1 + 3 + 7 + 2,
    ),
    "all at once": ([(0, 1), (0, 4), (0, 7), (0, 10)], (1, 1, 1), (1, 2, 3), 9),
    "at once, then one": ([(0, 5), (0, 7), (1, 9), (30, 34)], (5, 4, 5), (1, 2, 3), 4 + 4),
    "in one frame": ([(0, 8), (0, 8), (0, 8), (0, 8)], (8, 8, 8), (0, 1, 2, 3), 8),
    "in two frames": ([(0, 8), (0, 8), (0, 10), (0, 10)], (8, 8, 8), (2, 3), 2),
}  # fmt: skip


@pytest.mark.parametrize(
    ("times", "latencies", "counted", "busy_ms"), FIGURES.values(), ids=FIGURES
)
def test_figures_are_of_the_line_and_not_of_our_own_asking(times, latencies, counted, busy_ms):
    seen = visit(PLANNED, ALL)
    seen.arrivals = [
        Arrival(entry, bytes(16), 1_000 * asked, 1_000 * came)
        for entry, (asked, came) in zip(PLANNED, times, strict=True)
    ]
    summary, _ = concluded(seen)
    assert (summary.bytes, summary.connect_us) == (sum(entry.size for entry in PLANNED), 500)
    found = summary.first_byte_us, summary.latency_p50_us, summary.latency_p95_us
    assert found == tuple(1_000 * latency for latency in latencies)
    size = sum(PLANNED[place].size for place in counted)
    assert summary.throughput_bytes_per_s == size * 1_000 // busy_ms


def test_a_chunk_that_was_refused_is_missing():
    found = PLANNED[:-1]
    seen = visit(found, receipt_over(found), Outcome.CHUNKS_MISSING)
    summary, evidence = concluded(seen)
    assert (summary.outcome, summary.served) == (Outcome.CHUNKS_MISSING, 3)
    assert evidence is not None


def test_what_cut_a_visit_short_is_named():
    found = PLANNED[:2]
    summary, _ = concluded(visit(found, receipt_over(found), Outcome.TOO_SLOW))
    assert (summary.outcome, summary.served) == (Outcome.TOO_SLOW, 2)


def test_chunks_after_the_last_receipt_prove_nothing():
    summary, evidence = concluded(visit(PLANNED, receipt_over(PLANNED[:3])))
    assert (summary.outcome, summary.served) == (Outcome.CHUNKS_MISSING, 3)
    assert evidence is not None
    assert listed(evidence) == list(PLANNED[:3])
    assert summary.bytes == sum(entry.size for entry in PLANNED), "figures are of all that came"


def test_a_false_chunk_that_was_signed_for_is_a_fault():
    served = (*PLANNED[:2], false(PLAN.indices[2]), PLANNED[3])
    summary, evidence = concluded(visit(served, receipt_over(served), Outcome.BAD_DATA))
    assert (summary.outcome, summary.served) == (Outcome.FAULT, 3)
    assert evidence is not None
    truth = LIBRARY.entry(PLAN.indices[2])[:3]
    assert unpack_leaves(evidence.leaves) == [truth], "it is shown beside the lie"


def test_a_false_chunk_that_was_not_signed_for_is_bad_data():
    served = (*PLANNED[:3], false(PLAN.indices[3]))
    summary, _ = concluded(visit(served, receipt_over(served[:3]), Outcome.BAD_DATA))
    assert (summary.outcome, summary.served) == (Outcome.BAD_DATA, 3)


def test_of_many_false_chunks_a_few_are_shown_beside_what_is_proven_served():
    """Else a hoster could make the evidence against it too large to be sent."""
    others = [index for index in range(TARGET.length) if index not in PLAN.indices]
    entries = [*(false(index) for index in others), *PLANNED]
    assert len(others) > WRONG_SHOWN
    summary, evidence = concluded(visit(entries, receipt_over(entries)))
    assert (summary.outcome, summary.served) == (Outcome.FAULT, 4)
    assert evidence is not None and len(listed(evidence)) == WRONG_SHOWN + 4


def test_a_chunk_served_falsely_and_then_rightly_is_still_a_fault():
    served = (false(PLAN.indices[0]), *PLANNED)
    summary, _ = concluded(visit(served, receipt_over(served), Outcome.BAD_DATA))
    assert (summary.outcome, summary.served) == (Outcome.FAULT, 4)


def test_a_false_chunk_whose_truth_nobody_knows_accuses_nobody():
    index = PLAN.indices[1]
    served = (PLANNED[0], false(index), *PLANNED[2:])
    known = {place: node for place, node in LIBRARY.nodes.items() if place != 2 * index}
    seen = visit(served, receipt_over(served), Outcome.BAD_DATA)
    summary, evidence = concluded(seen, PLAN, known)
    assert (summary.outcome, summary.served) == (Outcome.BAD_DATA, 3)
    assert evidence is not None
    assert index not in {entry.chunk for entry in listed(evidence)}


def test_an_unplanned_chunk_counts_for_nothing():
    others = tuple(LIBRARY.entry(index) for index in (0, 1, 2))
    summary, evidence = concluded(visit(others, receipt_over(others)))
    assert (summary.outcome, summary.served) == (Outcome.CHUNKS_MISSING, 0)
    assert evidence is not None


def test_of_a_long_session_only_the_planned_chunks_are_listed():
    disguise = tuple(LIBRARY.entry(index) for index in range(21))
    seen = (*disguise, *PLANNED, *disguise)
    summary, evidence = concluded(visit(seen, receipt_over(seen)))
    assert (summary.outcome, summary.served) == (Outcome.SERVED, 4)
    assert evidence is not None
    assert [entry.chunk for entry in listed(evidence)] == sorted(PLAN.indices)


def test_one_planned_chunk_served_four_times_is_one_chunk():
    served = (PLANNED[0],) * 4
    summary, _ = concluded(visit(served, receipt_over(served)))
    assert (summary.outcome, summary.served) == (Outcome.CHUNKS_MISSING, 1)


WRONG_RECEIPTS = {
    "over fewer chunks than it counts": receipt_over(PLANNED[:3], count=4),
    "over more chunks than came": receipt_over((*PLANNED, PLANNED[0])),
    "over others": receipt_over(tuple(LIBRARY.entry(index) for index in (0, 1, 2, 4))),
    "over the same in another order": receipt_over(PLANNED[::-1]),
    "over other hashes": receipt_over((false(PLAN.indices[0]), *PLANNED[1:])),
    "over nothing, with a count": receipt_over((), count=4),
    "with a root of nothing": receipt_over(PLANNED, root=bytes(32)),
}


@pytest.mark.parametrize("receipt", WRONG_RECEIPTS.values(), ids=WRONG_RECEIPTS)
def test_a_receipt_over_something_else_proves_nothing(receipt):
    summary, evidence = concluded(visit(PLANNED, receipt))
    assert (summary.outcome, summary.served) == (Outcome.RECEIPT_WRONG, 0)
    assert evidence is None


def test_a_receipt_over_wrong_bytes_with_the_right_hashes_is_no_proof_of_service():
    came = (false(PLAN.indices[0]), *PLANNED[1:])
    summary, evidence = concluded(visit(came, ALL, Outcome.BAD_DATA))
    assert (summary.outcome, summary.served) == (Outcome.BAD_DATA, 0)
    assert evidence is None


@pytest.mark.parametrize(
    ("entries", "trouble", "outcome"),
    [
        (PLANNED, None, Outcome.RECEIPT_MISSING),
        (PLANNED, Outcome.DISCONNECTED, Outcome.DISCONNECTED),
        ((), None, Outcome.CHUNKS_MISSING),
        ((), Outcome.CONNECT_REFUSED, Outcome.CONNECT_REFUSED),
    ],
)
def test_without_a_receipt_nothing_is_proven(entries, trouble, outcome):
    summary, evidence = concluded(visit(entries, None, trouble))
    assert (summary.outcome, summary.served, evidence) == (outcome, 0, None)


def test_without_the_feeds_tree_there_is_no_proof():
    summary, evidence = concluded(visit(PLANNED, ALL), PLAN, {})
    assert (summary.outcome, summary.served, evidence) == (Outcome.HEAD_UNPROVEN, 0, None)


def test_a_receipt_over_no_chunk_is_evidence_of_nothing():
    summary, _ = concluded(visit((), receipt_over(()), Outcome.CHUNKS_MISSING))
    assert (summary.outcome, summary.served) == (Outcome.CHUNKS_MISSING, 0)


def test_a_visit_that_was_never_made_is_skipped():
    summary = skipped(PLAN)
    assert (summary.outcome, summary.planned, summary.served) == (Outcome.SKIPPED, 4, 0)
    figures = (summary.bytes, summary.connect_us, summary.latency_p95_us)
    assert figures == (0, 0, 0)


def test_an_evil_clock_makes_no_negative_figure():
    seen = replace(visit(PLANNED, ALL), started_us=10_000)
    assert concluded(seen)[0].connect_us == 0


def test_a_report_speaks_of_the_contract_it_was_made_for():
    _, evidence = concluded(visit(PLANNED, ALL))
    assert evidence is not None
    other = replace(TARGET, contract=CONTRACT[::-1].replace(b"c", b"d"))
    with pytest.raises(Exception, match="visit_not_signed"):
        judge_visit(NETWORK, TASK, other, PLAN, visit_summary(), evidence)


def visit_summary() -> VisitSummary:
    return concluded(visit(PLANNED, ALL))[0]


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ((), 50, 0),
        ((7,), 50, 7),
        ((7,), 95, 7),
        ((1, 2), 50, 1),
        ((3, 1, 2), 50, 2),
        ((4, 3, 2, 1), 50, 2),
        (range(1, 101), 50, 50),
        (range(1, 101), 95, 95),
        (range(1, 20), 95, 19),
        (range(1, 21), 95, 19),
        ((5, 5, 5, 1_000), 95, 1_000),
        ((1, 2, 3), 0, 1),
        ((1, 2, 3), 100, 3),
    ],
)
def test_percentiles_are_values_that_occurred(values, percent, expected):
    assert percentile(tuple(values), percent) == expected
