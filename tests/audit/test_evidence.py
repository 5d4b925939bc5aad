"""One valid visit, and then one thing wrong at a time."""

from dataclasses import replace

import pytest

from audit.entries import LISTED_BYTES, UNCLE_BYTES, Leaf, pack_leaves, pack_uncles
from audit.evidence import UNPROVEN_KEPT, Flaw, Judged, require_plan_length
from audit.messages import Outcome
from audit.receipts import CLOCK_SKEW_MS
from tests.audit.visits import (
    ATTESTOR,
    CLOSED_MS,
    EVIDENCE,
    LIBRARY,
    LISTED,
    OPENED_MS,
    PLAN,
    SERVED,
    TARGET,
    TASK,
    VISIT,
    VISIT_KEY,
    Visit,
    listed,
    receipt_over,
    shown,
    visit_signature,
)
from tests.people import ATTESTORS, HOSTERS, Library
from wire.errors import Rejected
from wire.keys import Use

OTHER_KEY = ATTESTOR.key(Use.VISIT, b"another", b"visit")
WRONG = LIBRARY.entry(8)._replace(hash=b"w" * 32)
WRONG_3 = LIBRARY.entry(3)._replace(hash=b"w" * 32)
BEYOND = LIBRARY.entry(20)._replace(chunk=21)
WITH_FAULT = (*SERVED[:3], WRONG, *SERVED[4:])
FAULTY = VISIT.with_served(WITH_FAULT, *LISTED).with_truth(8).says(outcome=Outcome.FAULT, served=3)


def test_a_visit_that_was_served_is_proven():
    assert VISIT.judge() == Judged(planned=4, served=4, fault=False, unproven=())


def test_a_visit_without_evidence_proves_nothing():
    for outcome in set(Outcome) - {Outcome.SERVED, Outcome.FAULT}:
        visit = replace(VISIT, evidence=None).says(outcome=outcome, served=0)
        assert visit.judge() == Judged(4, 0, fault=False, unproven=PLAN.indices)


def test_a_partly_served_visit_is_proven_in_part():
    visit = VISIT.with_served(SERVED[:2], 0, 1).says(outcome=Outcome.TOO_SLOW, served=2)
    assert visit.judge() == Judged(4, 2, fault=False, unproven=(20, 8))


def test_of_many_unproven_chunks_the_first_of_the_plan_are_kept():
    long = replace(PLAN, indices=(20, 19, 5, 4, 3, 2))
    visit = replace(VISIT, plan=long, evidence=None).says(outcome=Outcome.TOO_SLOW, served=0)
    judged = visit.says(planned=6).judge()
    assert (UNPROVEN_KEPT, judged.unproven) == (4, (20, 19, 5, 4))


def test_served_chunks_that_are_not_listed_do_not_count():
    visit = VISIT.with_served(SERVED, 0, 1).says(outcome=Outcome.DISCONNECTED, served=2)
    assert visit.judge() == Judged(4, 2, fault=False, unproven=(20, 8))


def test_a_receipt_over_nothing_proves_nothing():
    visit = VISIT.with_served(()).says(outcome=Outcome.DISCONNECTED, served=0)
    assert visit.judge().served == 0


def test_any_one_entry_proves_its_chunk():
    for place, entry in enumerate(SERVED):
        served = int(entry.chunk in PLAN.indices)
        visit = VISIT.with_served(SERVED, place).says(outcome=Outcome.TOO_SLOW, served=served)
        assert visit.judge().served == served


def test_signed_wrong_bytes_are_a_fault():
    assert FAULTY.judge() == Judged(planned=4, served=3, fault=True, unproven=(8,))


def test_wrong_bytes_of_a_chunk_outside_the_plan_are_a_fault_too():
    served = (*SERVED[:2], LIBRARY.entry(0)._replace(hash=b"w" * 32), *SERVED[3:])
    visit = VISIT.with_served(served, 0, 1, 2, 3, 4).with_truth(0)
    assert visit.says(outcome=Outcome.FAULT).judge() == Judged(4, 4, True, ())


def test_a_chunk_served_well_and_wrong_is_a_fault():
    for served, place in (((*SERVED, WRONG), 6), ((*SERVED[:3], WRONG, *SERVED[3:]), 3)):
        places = (0, 1, 3, 4, place) if place == 6 else (0, 1, place, 4, 5)
        visit = VISIT.with_served(served, *places).with_truth(8)
        assert visit.says(outcome=Outcome.FAULT, served=4).judge() == Judged(4, 4, True, ())


def test_the_same_lie_twice_is_one_fault():
    visit = VISIT.with_served((*WITH_FAULT, WRONG), *LISTED, 6).with_truth(8)
    assert visit.says(outcome=Outcome.FAULT, served=3).judge().fault


def test_an_honest_hoster_is_not_framed_by_shifting_sizes():
    # A parent's hash binds its children's sizes only as a sum: this proof leads to the root.
    served = (*SERVED, LIBRARY.entry(16))
    bent = VISIT.with_served(served, *LISTED, 6)
    leaves = [Leaf(16, served[6].size - 1, served[6].hash)]
    leaves.append(Leaf(17, served[1].size + 1, served[1].hash))
    bent = bent.shows(leaves=pack_leaves(leaves))
    assert bent.judge() == Judged(planned=4, served=4, fault=False, unproven=())
    with pytest.raises(Rejected) as refused:
        bent.says(outcome=Outcome.FAULT, served=3).judge()
    assert refused.value.reason is Flaw.SUMMARY_OVERSTATED


def test_a_hoster_that_signs_for_a_wrong_size_has_still_served():
    served = (*SERVED[:3], SERVED[3]._replace(size=99), *SERVED[4:])
    visit = VISIT.with_served(served, *LISTED).with_truth(8)
    assert visit.judge() == Judged(planned=4, served=4, fault=False, unproven=())


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
    "a receipt over one chunk more": (
        VISIT.shows(receipt=receipt_over((*SERVED, SERVED[0]))),
        Flaw.RECEIPT_MISMATCH,
    ),
    "fewer entries than are proven": (
        VISIT.shows(listed=EVIDENCE.listed[:-LISTED_BYTES]),
        Flaw.RECEIPT_MISMATCH,
    ),
    "half an entry": (VISIT.shows(listed=EVIDENCE.listed[:-1]), Flaw.RECEIPT_MISMATCH),
    "entries in another order": (
        VISIT.shows(**shown(SERVED[::-1], LISTED)),
        Flaw.RECEIPT_MISMATCH,
    ),
    "places that do not ascend": (
        VISIT.shows(listed=listed(*((place, SERVED[place]) for place in (1, 0, 3, 4)))),
        Flaw.RECEIPT_MISMATCH,
    ),
    "one place twice": (
        VISIT.shows(listed=listed(*((place, SERVED[place]) for place in (0, 0, 3, 4)))),
        Flaw.RECEIPT_MISMATCH,
    ),
    "a place beyond the list": (
        VISIT.shows(listed=EVIDENCE.listed + listed((6, SERVED[0]))),
        Flaw.RECEIPT_MISMATCH,
    ),
    "an entry at another place": (
        VISIT.shows(listed=listed((5, SERVED[0]), *((p, SERVED[p]) for p in LISTED[1:]))),
        Flaw.RECEIPT_MISMATCH,
    ),
    "another chunk than signed for": (
        VISIT.shows(listed=FAULTY.evidence.listed),
        Flaw.RECEIPT_MISMATCH,
    ),
    "another digest than signed for": (
        VISIT.shows(listed=listed(*((p, SERVED[p]._replace(digest=bytes(16))) for p in LISTED))),
        Flaw.RECEIPT_MISMATCH,
    ),
    "a proof that lacks a hash": (
        VISIT.shows(list_proof=EVIDENCE.list_proof[:-32]),
        Flaw.RECEIPT_MISMATCH,
    ),
    "a proof with a hash too many": (
        VISIT.shows(list_proof=EVIDENCE.list_proof + bytes(32)),
        Flaw.RECEIPT_MISMATCH,
    ),
    "a proof with half a hash": (
        VISIT.shows(list_proof=EVIDENCE.list_proof[:-1]),
        Flaw.RECEIPT_MISMATCH,
    ),
    "another count than chunks": (with_receipt(count=7), Flaw.RECEIPT_MISMATCH),
    "a count of nothing": (with_receipt(count=0), Flaw.RECEIPT_MISMATCH),
    "a count beyond all lists": (with_receipt(count=2**63 - 1), Flaw.RECEIPT_MISMATCH),
    # what the feed has
    "a lie without the truth beside it": (
        FAULTY.shows(leaves=b""),
        Flaw.LEAVES_UNPROVEN,
    ),
    "two entries of one chunk that differ, without the truth": (
        VISIT.with_served((*SERVED, WRONG), *LISTED, 6),
        Flaw.LEAVES_UNPROVEN,
    ),
    "a lie as the truth": (
        VISIT.shows(leaves=pack_leaves([Leaf(8, WRONG.size, WRONG.hash)])),
        Flaw.LEAVES_UNPROVEN,
    ),
    "a true leaf that nobody needs": (VISIT.with_truth(8), Flaw.LEAVES_UNPROVEN),
    "a true leaf of a chunk that is not listed": (
        FAULTY.with_truth(8, 9),
        Flaw.LEAVES_UNPROVEN,
    ),
    "true leaves in another order": (
        VISIT.with_served((WRONG, WRONG_3, *SERVED), 0, 1)
        .with_truth(8, 3)
        .says(outcome=Outcome.FAULT, served=0),
        Flaw.LEAVES_UNPROVEN,
    ),
    "a true leaf twice": (FAULTY.with_truth(8, 8), Flaw.LEAVES_UNPROVEN),
    "half a leaf": (FAULTY.shows(leaves=FAULTY.evidence.leaves[:-1]), Flaw.LEAVES_UNPROVEN),
    "a chunk beyond the feed": (
        VISIT.shows(
            receipt=receipt_over((*SERVED, BEYOND)), **shown((*SERVED, BEYOND), (*LISTED, 6))
        ),
        Flaw.LEAVES_UNPROVEN,
    ),
    "too few uncles": (
        VISIT.shows(uncles=EVIDENCE.uncles[:-UNCLE_BYTES]),
        Flaw.LEAVES_UNPROVEN,
    ),
    "half an uncle": (VISIT.shows(uncles=EVIDENCE.uncles[:-1]), Flaw.LEAVES_UNPROVEN),
    "too many uncles": (
        VISIT.shows(uncles=EVIDENCE.uncles + bytes(UNCLE_BYTES)),
        Flaw.LEAVES_UNPROVEN,
    ),
    "a wrong uncle": (
        VISIT.shows(uncles=pack_uncles([(1, bytes(32))]) + EVIDENCE.uncles[UNCLE_BYTES:]),
        Flaw.LEAVES_UNPROVEN,
    ),
    "an uncle larger than any feed": (
        VISIT.shows(uncles=pack_uncles([(2**63 - 1, bytes(32))]) + EVIDENCE.uncles[UNCLE_BYTES:]),
        Flaw.LEAVES_UNPROVEN,
    ),
    "no uncles": (VISIT.shows(uncles=b""), Flaw.LEAVES_UNPROVEN),
    "a longer feed": (
        VISIT.shows(uncles=Library("library", 22).uncles(PLAN.indices)),
        Flaw.LEAVES_UNPROVEN,
    ),
    # what the report claims
    "more served than proven": (
        VISIT.with_served(SERVED[:2], 0, 1).says(outcome=Outcome.TOO_SLOW, served=3),
        Flaw.SUMMARY_OVERSTATED,
    ),
    "less served than proven": (
        VISIT.says(outcome=Outcome.TOO_SLOW, served=3),
        Flaw.SUMMARY_OVERSTATED,
    ),
    "success for a part": (
        VISIT.with_served(SERVED[:2], 0, 1).says(served=2),
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
        FAULTY.says(outcome=Outcome.BAD_DATA),
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
    require_plan_length(2, [PLAN, PLAN])
    for visits in (0, 1, 3):
        with pytest.raises(Rejected) as refused:
            require_plan_length(visits, [PLAN, PLAN])
        assert refused.value.reason is Flaw.VISITS_OFF_PLAN
