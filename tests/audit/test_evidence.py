"""One valid visit, and then one thing wrong at a time."""

from dataclasses import replace

import pytest

from audit.evidence import Flaw, Judged, require_plan_length
from audit.messages import Outcome, Report, Uncle
from audit.receipts import CLOCK_SKEW_MS
from tests.audit.visits import (
    ATTESTOR,
    CLOSED_MS,
    EVIDENCE,
    LIBRARY,
    OPENED_MS,
    PLAN,
    SERVED,
    SUMMARY,
    TARGET,
    TASK,
    VISIT,
    VISIT_KEY,
    Visit,
    receipt_over,
    visit_signature,
)
from tests.people import ATTESTORS, HOSTERS, Library
from wire.errors import Rejected
from wire.keys import Use

OTHER_KEY = ATTESTOR.key(Use.VISIT, b"another", b"visit")
WRONG = LIBRARY.leaf(8).model_copy(update={"hash": b"w" * 32})
WITH_FAULT = (*SERVED[:3], WRONG, *SERVED[4:])


def test_a_visit_that_was_served_is_proven():
    assert VISIT.judge() == Judged(planned=4, served=4, fault=False)


def test_a_visit_without_evidence_proves_nothing():
    for outcome in set(Outcome) - {Outcome.SERVED, Outcome.FAULT}:
        visit = replace(VISIT, evidence=None).says(outcome=outcome, served=0)
        assert visit.judge() == Judged(planned=4, served=0, fault=False)


def test_a_partly_served_visit_is_proven_in_part():
    visit = VISIT.with_served(SERVED[:2]).says(outcome=Outcome.TOO_SLOW, served=2)
    assert visit.judge() == Judged(planned=4, served=2, fault=False)


def test_served_chunks_whose_leaves_are_not_shown_do_not_count():
    visit = VISIT.with_leaves(3, 17).says(outcome=Outcome.DISCONNECTED, served=2)
    assert visit.judge() == Judged(planned=4, served=2, fault=False)


def test_shown_leaves_that_were_not_served_do_not_count():
    visit = VISIT.with_served(()).says(outcome=Outcome.DISCONNECTED, served=0)
    assert visit.judge() == Judged(planned=4, served=0, fault=False)


def test_signed_wrong_bytes_are_a_fault():
    visit = VISIT.with_served(WITH_FAULT).says(outcome=Outcome.FAULT, served=3)
    assert visit.judge() == Judged(planned=4, served=3, fault=True)


def test_wrong_bytes_of_a_chunk_outside_the_plan_are_a_fault_too():
    wrong = LIBRARY.leaf(0).model_copy(update={"hash": b"w" * 32})
    visit = VISIT.with_served((*SERVED[:2], wrong, *SERVED[3:])).with_leaves(0, *PLAN.indices)
    assert visit.says(outcome=Outcome.FAULT).judge() == Judged(4, 4, True)


def test_a_chunk_served_well_and_wrong_is_a_fault():
    visit = VISIT.with_served((*SERVED, WRONG)).says(outcome=Outcome.FAULT, served=4)
    assert visit.judge() == Judged(4, 4, True)


def test_an_honest_hoster_is_not_framed_by_shifting_sizes():
    # A parent's hash binds its children's sizes only as a sum: this proof leads to the root.
    wanted = sorted((*PLAN.indices, 16))
    leaves = {index: LIBRARY.leaf(index) for index in wanted}
    for index, shift in ((16, -1), (17, 1)):
        size = leaves[index].size + shift
        leaves[index] = leaves[index].model_copy(update={"size": size})
    bent = VISIT.shows(leaves=tuple(leaves.values()), uncles=LIBRARY.uncles(wanted))
    assert bent.judge() == Judged(planned=4, served=4, fault=False)
    with pytest.raises(Rejected) as refused:
        bent.says(outcome=Outcome.FAULT, served=3).judge()
    assert refused.value.reason is Flaw.SUMMARY_OVERSTATED


def test_clocks_may_differ_a_little():
    for time_ms in (OPENED_MS - CLOCK_SKEW_MS, OPENED_MS, CLOSED_MS, CLOSED_MS + CLOCK_SKEW_MS):
        visit = VISIT.shows(receipt=receipt_over(SERVED, time_ms=time_ms))
        assert visit.judge().served == 4


def test_skipped_is_nobodys_fault():
    visit = replace(VISIT, evidence=None).says(outcome=Outcome.SKIPPED, served=0)
    assert not visit.judge().fault


def with_receipt(**changes: object) -> Visit:
    return VISIT.shows(receipt=receipt_over(SERVED, **changes))


WRONG_THINGS = {
    "more chunks planned than the plan has": (VISIT.says(planned=5), Flaw.VISITS_OFF_PLAN),
    "fewer": (VISIT.says(planned=3), Flaw.VISITS_OFF_PLAN),
    "another plan": (
        replace(VISIT, plan=replace(PLAN, indices=(17, 3, 20, 9))),
        Flaw.SUMMARY_OVERSTATED,
    ),
    # who made the visit
    "the visit key signs nothing": (VISIT.shows(visit_signature=bytes(64)), Flaw.VISIT_NOT_SIGNED),
    "another key signs": (
        VISIT.shows(visit_signature=visit_signature(key=OTHER_KEY)),
        Flaw.VISIT_NOT_SIGNED,
    ),
    "lent by another attestor": (
        VISIT.shows(visit_signature=visit_signature(attestor=ATTESTORS[1])),
        Flaw.VISIT_NOT_SIGNED,
    ),
    "lent to another attestor": (
        replace(VISIT, task=replace(TASK, attestor=ATTESTORS[1].id)),
        Flaw.VISIT_NOT_SIGNED,
    ),
    "of another challenge": (
        replace(VISIT, task=replace(TASK, challenge=b"x" * 32)),
        Flaw.VISIT_NOT_SIGNED,
    ),
    "of another contract": (
        replace(VISIT, target=replace(TARGET, contract=b"x" * 32)),
        Flaw.VISIT_NOT_SIGNED,
    ),
    "on another network": (replace(VISIT, network=b"x" * 32), Flaw.VISIT_NOT_SIGNED),
    "signed in another domain": (
        VISIT.shows(visit_signature=visit_signature(domain="receipt")),
        Flaw.VISIT_NOT_SIGNED,
    ),
    # what the hoster signed
    "a receipt that another hoster signed": (
        with_receipt(signer=HOSTERS[1].key(Use.RECEIPT)),
        Flaw.RECEIPT_NOT_SIGNED,
    ),
    "a receipt that the attestor signed": (
        with_receipt(signer=VISIT_KEY),
        Flaw.RECEIPT_NOT_SIGNED,
    ),
    "a receipt that the account key signed": (
        with_receipt(signer=HOSTERS[0].account),
        Flaw.RECEIPT_NOT_SIGNED,
    ),
    "a receipt for another network": (with_receipt(network=b"x" * 32), Flaw.RECEIPT_NOT_SIGNED),
    "a receipt in another domain": (with_receipt(domain="visit"), Flaw.RECEIPT_NOT_SIGNED),
    "a changed receipt": (
        VISIT.shows(
            receipt=EVIDENCE.receipt.model_copy(
                update={"receipt": EVIDENCE.receipt.receipt.model_copy(update={"sequence": 3})}
            )
        ),
        Flaw.RECEIPT_NOT_SIGNED,
    ),
    "another hoster's receipt key in the registry": (
        replace(VISIT, target=replace(TARGET, receipt_key=HOSTERS[1].key(Use.RECEIPT).public)),
        Flaw.RECEIPT_NOT_SIGNED,
    ),
    # which session it was
    "a receipt to another reader": (
        with_receipt(peer=OTHER_KEY.public),
        Flaw.RECEIPT_MISMATCH,
    ),
    "a receipt taken over with one's own key": (
        VISIT.shows(visit_key=OTHER_KEY.public, visit_signature=visit_signature(key=OTHER_KEY)),
        Flaw.RECEIPT_MISMATCH,
    ),
    "a receipt that names another hoster": (
        with_receipt(hoster=HOSTERS[1].id),
        Flaw.RECEIPT_MISMATCH,
    ),
    "a receipt for another feed": (with_receipt(feed=b"x" * 32), Flaw.RECEIPT_MISMATCH),
    "a receipt for another fork": (with_receipt(fork=1), Flaw.RECEIPT_MISMATCH),
    "a receipt from before the window": (
        with_receipt(time_ms=OPENED_MS - CLOCK_SKEW_MS - 1),
        Flaw.RECEIPT_UNTIMELY,
    ),
    "a receipt from after the window": (
        with_receipt(time_ms=CLOSED_MS + CLOCK_SKEW_MS + 1),
        Flaw.RECEIPT_UNTIMELY,
    ),
    # what was served
    "a receipt over fewer chunks": (
        VISIT.shows(receipt=receipt_over(SERVED[:-1])),
        Flaw.RECEIPT_MISMATCH,
    ),
    "fewer chunks than the receipt is over": (
        VISIT.shows(served=SERVED[:-1]),
        Flaw.RECEIPT_MISMATCH,
    ),
    "chunks in another order": (
        VISIT.shows(served=tuple(reversed(SERVED))),
        Flaw.RECEIPT_MISMATCH,
    ),
    "another chunk than signed for": (VISIT.shows(served=WITH_FAULT), Flaw.RECEIPT_MISMATCH),
    "another count than chunks": (with_receipt(count=7), Flaw.RECEIPT_MISMATCH),
    # what the feed has
    "leaves that are not the feed's": (
        VISIT.shows(
            leaves=(
                EVIDENCE.leaves[0].model_copy(update={"hash": b"w" * 32}),
                *EVIDENCE.leaves[1:],
            )
        ),
        Flaw.LEAVES_UNPROVEN,
    ),
    "leaves at other places": (
        VISIT.shows(
            leaves=(
                EVIDENCE.leaves[0].model_copy(update={"index": 4}),
                *EVIDENCE.leaves[1:],
            )
        ),
        Flaw.LEAVES_UNPROVEN,
    ),
    "a leaf beyond the feed": (
        VISIT.shows(leaves=(*EVIDENCE.leaves, EVIDENCE.leaves[0].model_copy(update={"index": 21}))),
        Flaw.LEAVES_UNPROVEN,
    ),
    "too few uncles": (VISIT.shows(uncles=EVIDENCE.uncles[:-1]), Flaw.LEAVES_UNPROVEN),
    "too many uncles": (
        VISIT.shows(uncles=(*EVIDENCE.uncles, Uncle(size=0, hash=bytes(32)))),
        Flaw.LEAVES_UNPROVEN,
    ),
    "a wrong uncle": (
        VISIT.shows(uncles=(Uncle(size=1, hash=bytes(32)), *EVIDENCE.uncles[1:])),
        Flaw.LEAVES_UNPROVEN,
    ),
    "an uncle larger than any feed": (
        VISIT.shows(uncles=(Uncle(size=2**63 - 1, hash=bytes(32)), *EVIDENCE.uncles[1:])),
        Flaw.LEAVES_UNPROVEN,
    ),
    "no leaves": (VISIT.shows(leaves=(), uncles=()), Flaw.LEAVES_UNPROVEN),
    "a longer feed": (
        VISIT.shows(uncles=Library("library", 22).uncles(sorted(PLAN.indices))),
        Flaw.LEAVES_UNPROVEN,
    ),
    # what the report claims
    "more served than proven": (
        VISIT.with_served(SERVED[:2]).says(outcome=Outcome.TOO_SLOW, served=3),
        Flaw.SUMMARY_OVERSTATED,
    ),
    "less served than proven": (
        VISIT.says(outcome=Outcome.TOO_SLOW, served=3),
        Flaw.SUMMARY_OVERSTATED,
    ),
    "success for a part": (
        VISIT.with_served(SERVED[:2]).says(served=2),
        Flaw.SUMMARY_OVERSTATED,
    ),
    "success without evidence": (replace(VISIT, evidence=None), Flaw.SUMMARY_OVERSTATED),
    "success without evidence of none": (
        replace(VISIT, evidence=None).says(served=0),
        Flaw.SUMMARY_OVERSTATED,
    ),
    "a fault without evidence": (
        replace(VISIT, evidence=None).says(outcome=Outcome.FAULT, served=0),
        Flaw.SUMMARY_OVERSTATED,
    ),
    "a fault that is none": (VISIT.says(outcome=Outcome.FAULT), Flaw.SUMMARY_OVERSTATED),
    "a fault that is hushed up": (
        VISIT.with_served(WITH_FAULT).says(outcome=Outcome.BAD_DATA, served=3),
        Flaw.SUMMARY_OVERSTATED,
    ),
}


@pytest.mark.parametrize(("visit", "flaw"), WRONG_THINGS.values(), ids=WRONG_THINGS)
def test_a_visit_with_one_thing_wrong_is_refused(visit, flaw):
    with pytest.raises(Rejected) as refused:
        visit.judge()
    assert refused.value.reason is flaw


def test_every_flaw_is_tested():
    assert {flaw for _, flaw in WRONG_THINGS.values()} == set(Flaw)


def test_a_report_speaks_of_exactly_the_planned_visits():
    for visits in (0, 1, 2, 3):
        report = Report(
            challenge=bytes(32),
            plan_proof=bytes(80),
            visits=(SUMMARY,) * visits,
            evidence=bytes(32),
        )
        if visits == 2:
            require_plan_length(report, [PLAN, PLAN])
            continue
        with pytest.raises(Rejected) as refused:
            require_plan_length(report, [PLAN, PLAN])
        assert refused.value.reason is Flaw.VISITS_OFF_PLAN
