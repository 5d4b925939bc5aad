"""Open a committed report: every claim in it is checked."""

from dataclasses import replace

import pytest

from audit.entries import unpack_listed
from audit.evidence import Flaw
from audit.messages import Outcome, PeerMetric, ReportedVisit
from chain.reasons import Reason
from tests.chain.refusals import assert_refused
from tests.people import ATTESTORS, STRANGER
from tests.reports import ReportParts, account_of, make_receipt, make_visit
from tests.stages import coin_opened, committed, opening, sealed
from wire import vrf
from wire.codec import encode
from wire.keys import Use


def claimed(change):
    """A world in which the first member committed to something else, and its report."""
    world = sealed()
    member = world.members[0]
    parts = change(world, member, account_of(world, member))
    world.must(member, parts.commit(world, member))
    world.pass_until(world.challenge.window_end)
    world.must(STRANGER, world.open_coin())
    return world, member, parts


def test_a_sound_report_is_kept():
    world = coin_opened()
    member = world.members[1]
    parts = account_of(world, member)
    world.must(member, parts.open(), parts.sidecar)
    record = world.draft.reports.at(world.challenge.challenge + member.id)
    assert (record.attestor, record.evidence, record.height) == (
        member.id,
        parts.open().evidence,
        world.height,
    )
    plans = world.visit_plans(member)
    assert [visit.contract for visit in record.visits] == [plan.contract for plan in plans]
    assert all(visit.served == visit.planned == 3 for visit in record.visits)
    assert not any(visit.fault or visit.skipped for visit in record.visits)
    assert world.challenge.opened == (member.id,)
    assert world.challenge.status == "opening"


@pytest.mark.parametrize(
    ("how", "served", "fault", "skipped"),
    [
        ("served", 3, False, False),
        ("partial", 2, False, False),
        ("fault", 2, True, False),
        ("silent", 0, False, False),
        ("skipped", 0, False, True),
    ],
)
def test_what_the_evidence_proves_is_kept(how, served, fault, skipped):
    world = coin_opened(lambda attestor, plan: how)
    member = world.members[0]
    parts = account_of(world, member, lambda attestor, plan: how)
    world.must(member, parts.open(), parts.sidecar)
    record = world.draft.reports.at(world.challenge.challenge + member.id)
    for visit in record.visits:
        assert (visit.served, visit.fault, visit.skipped) == (served, fault, skipped)


def test_the_last_committed_report_settles_the_challenge():
    world = coin_opened(silent=[3])
    accounts = [account_of(world, member) for member in world.members[:3]]
    for member, parts in zip(world.members[:2], accounts[:2], strict=True):
        world.must(member, parts.open(), parts.sidecar)
    assert world.challenge.status == "opening"
    world.focus = world.challenge.challenge
    world.must(world.members[2], accounts[2].open(), accounts[2].sidecar)
    assert world.height < world.challenge.opening_deadline
    assert world.challenge.status == "settled"


def test_metrics_of_other_members_travel_in_the_evidence():
    def with_peers(world, member, parts):
        metric = PeerMetric(
            peer=world.members[1].id, round_trip_us=9, throughput_bytes_per_s=1, loss_ppm=0
        )
        return parts.with_evidence(peers=(metric,))

    world, member, parts = claimed(with_peers)
    world.must(member, parts.open(), parts.sidecar)


def test_an_unknown_challenge_is_refused():
    world = coin_opened()
    member = world.members[0]
    parts = replace(account_of(world, member), challenge=b"c" * 32)
    assert_refused(world, member, parts.open(), Reason.UNKNOWN_CHALLENGE, parts.sidecar)


def test_a_report_is_not_opened_while_the_window_is():
    world = committed()
    parts = account_of(world, world.members[0])
    assert_refused(world, world.members[0], parts.open(), Reason.WRONG_PHASE, parts.sidecar)


def test_a_report_is_not_opened_before_the_coin():
    world = opening()
    parts = account_of(world, world.members[0])
    assert_refused(world, world.members[0], parts.open(), Reason.COIN_NOT_OPEN, parts.sidecar)


def test_a_report_is_not_opened_after_the_deadline():
    world = coin_opened()
    member, parts = world.members[0], account_of(world, world.members[0])
    world.pass_until(world.challenge.opening_deadline)
    assert_refused(world, member, parts.open(), Reason.WRONG_PHASE, parts.sidecar)


def test_a_report_is_opened_once():
    world = coin_opened()
    parts = account_of(world, world.members[0])
    world.must(world.members[0], parts.open(), parts.sidecar)
    assert_refused(world, world.members[0], parts.open(), Reason.ALREADY_OPENED, parts.sidecar)


def test_what_was_not_committed_is_not_opened():
    world = coin_opened(silent=[0])
    parts = account_of(world, world.members[0])
    outsider = next(person for person in ATTESTORS if person not in world.members)
    for person in (world.members[0], outsider, STRANGER):
        assert_refused(world, person, parts.open(), Reason.NOT_COMMITTED, parts.sidecar)


def test_another_report_than_the_committed_one_is_refused():
    world = coin_opened()
    first, second, *_ = world.members
    parts = account_of(world, first)
    others = [
        parts.with_evidence(salt=b"t" * 32),
        account_of(world, second),
        account_of(world, first, lambda attestor, plan: "silent"),
        parts.with_evidence(plan_proof=bytes(80)),
    ]
    for other in others:
        assert_refused(world, first, other.open(), Reason.COMMITMENT_MISMATCH, other.sidecar)


def test_a_copied_commitment_opens_nothing():
    world = sealed()
    first, second, *_ = world.members
    parts = account_of(world, first)
    for member in (first, second):
        world.must(member, parts.commit(world, first))
    world.pass_until(world.challenge.window_end)
    world.must(STRANGER, world.open_coin())
    assert_refused(world, second, parts.open(), Reason.COMMITMENT_MISMATCH, parts.sidecar)


def test_other_evidence_than_the_named_is_refused():
    world = coin_opened()
    first, second, *_ = world.members
    parts = account_of(world, first)
    for sidecar in (b"", parts.sidecar + b"\x00", account_of(world, second).sidecar):
        assert_refused(world, first, parts.open(), Reason.EVIDENCE_MISMATCH, sidecar)


@pytest.mark.parametrize(
    "evidence", [(), ((), (), ()), (bytes(32), bytes(80), (), (), ()), (bytes(32), bytes(80), ())]
)
def test_evidence_of_another_shape_is_refused(evidence):
    world, member, parts = claimed(lambda w, m, p: replace(p, evidence=evidence))
    assert_refused(world, member, parts.open(), Reason.EVIDENCE_UNREADABLE, encode(evidence))


def test_evidence_in_another_spelling_is_refused():
    class Otherwise(ReportParts):
        @property
        def sidecar(self):
            return super().sidecar.replace(b"\x84", b"\x98\x04", 1)

    world, member, parts = claimed(lambda w, m, p: Otherwise(p.challenge, p.evidence))
    assert_refused(world, member, parts.open(), Reason.EVIDENCE_UNREADABLE, parts.sidecar)


@pytest.mark.parametrize(
    "proof",
    [
        lambda w, m: bytes(80),
        lambda w, m: w.plan_proof(w.members[1]),
        lambda w, m: vrf.prove(m.key(Use.VRF), b"another input"),
        lambda w, m: bytes([w.plan_proof(m)[0] ^ 1]) + w.plan_proof(m)[1:],
        lambda w, m: w.plan_proof(m)[:-1] + bytes([w.plan_proof(m)[-1] ^ 1]),
    ],
)
def test_another_plan_proof_is_refused(proof):
    world, member, parts = claimed(lambda w, m, p: p.with_evidence(plan_proof=proof(w, m)))
    assert_refused(world, member, parts.open(), Reason.BAD_PLAN_PROOF, parts.sidecar)


def test_a_report_of_fewer_or_more_visits_is_off_plan():
    for change in (
        lambda visits: (),
        lambda visits: visits[:1],
        lambda visits: (*visits, visits[0]),
    ):
        world, member, parts = claimed(lambda w, m, p, c=change: p.with_visits(c(p.visits)))
        assert_refused(world, member, parts.open(), Flaw.VISITS_OFF_PLAN, parts.sidecar)


def test_visits_in_another_order_are_refused():
    def swapped(world, member, parts):
        return parts.with_visits(reversed(parts.visits))

    world, member, parts = claimed(swapped)
    assert_refused(world, member, parts.open(), Flaw.VISIT_NOT_SIGNED, parts.sidecar)


def test_success_without_evidence_is_refused():
    def boast(world, member, parts):
        return parts.with_visits(
            visit.model_copy(update={"evidence": None}) for visit in parts.visits
        )

    world, member, parts = claimed(boast)
    assert_refused(world, member, parts.open(), Flaw.SUMMARY_OVERSTATED, parts.sidecar)


def test_the_evidence_of_another_attestor_is_refused():
    def lent(world, member, parts):
        return parts.with_visits(account_of(world, world.members[1]).visits)

    world, member, parts = claimed(lent)
    assert_refused(world, member, parts.open(), Flaw.VISIT_NOT_SIGNED, parts.sidecar)


def test_the_evidence_of_an_earlier_challenge_is_refused():
    # The attestor keeps its visit keys and its receipts, and signs the keys over anew.
    def replayed(world, member, parts):
        earlier = world.challenge.window_opened_ms - 60_000
        visits = []
        for plan, visit in zip(world.visit_plans(member), parts.visits, strict=True):
            served = [listed.entry for listed in unpack_listed(visit.evidence.listed)]
            receipt = make_receipt(world, member, plan, served, time_ms=earlier)
            shown = visit.evidence.model_copy(update={"receipt": receipt})
            visits.append(visit.model_copy(update={"evidence": shown}))
        return parts.with_visits(visits)

    world, member, parts = claimed(replayed)
    assert_refused(world, member, parts.open(), Flaw.RECEIPT_UNTIMELY, parts.sidecar)


def test_a_fault_must_be_proven():
    def accuse(world, member, parts):
        return parts.saying(outcome=Outcome.FAULT)

    world, member, parts = claimed(accuse)
    assert_refused(world, member, parts.open(), Flaw.SUMMARY_OVERSTATED, parts.sidecar)


def test_one_bad_visit_voids_the_whole_report():
    def mixed(world, member, parts):
        plan = world.visit_plans(member)[1]
        boast, _ = make_visit(world, member, plan, "served")
        _, shown = make_visit(world, member, plan, "partial")
        return parts.with_visits((parts.visits[0], ReportedVisit(summary=boast, evidence=shown)))

    world, member, parts = claimed(mixed)
    assert_refused(world, member, parts.open(), Flaw.SUMMARY_OVERSTATED, parts.sidecar)
    assert world.draft.reports.get(world.challenge.challenge + member.id) is None


@pytest.mark.parametrize("size", [0, 23, 24, 2**31, 2**63 - 1])
def test_an_opened_report_takes_300_bytes_at_most_beside_its_evidence(size):
    world = coin_opened()
    parts = account_of(world, world.members[0])
    signed = world.sign(
        world.members[0], parts.open(), parts.sidecar, nonce=size, fee_base=size, valid_until=size
    )
    assert len(parts.sidecar) > 300
    assert signed.size - len(parts.sidecar) <= 300


def test_of_a_report_the_first_chunks_that_were_not_served_are_kept():
    world = coin_opened(lambda attestor, plan: "partial")
    member = world.members[0]
    parts = account_of(world, member, lambda attestor, plan: "partial")
    world.must(member, parts.open(), parts.sidecar)
    record = world.draft.reports.at(world.challenge.challenge + member.id)
    for plan, visit in zip(world.visit_plans(member), record.visits, strict=True):
        assert visit.unproven == (max(plan.indices),)


def test_a_skipped_visit_leaves_no_chunk_unproven():
    world = coin_opened(lambda attestor, plan: "skipped")
    member = world.members[0]
    parts = account_of(world, member, lambda attestor, plan: "skipped")
    world.must(member, parts.open(), parts.sidecar)
    record = world.draft.reports.at(world.challenge.challenge + member.id)
    assert [visit.unproven for visit in record.visits] == [(), ()]
