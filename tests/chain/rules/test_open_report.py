"""Open a committed report: every claim in it is checked."""

from dataclasses import replace

import pytest

from audit.evidence import Flaw
from audit.messages import Evidence, Outcome, PeerMetric
from chain.reasons import Reason
from tests.chain.refusals import assert_refused
from tests.people import ATTESTORS, STRANGER
from tests.reports import account_of, make_receipt, make_visit
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
    assert (record.attestor, record.report, record.height) == (
        member.id,
        parts.report,
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
        return replace(parts, evidence=parts.evidence.model_copy(update={"peers": (metric,)}))

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
        parts.open().model_copy(update={"salt": b"t" * 32}),
        account_of(world, second).open(),
        account_of(world, first, lambda attestor, plan: "silent").open(),
    ]
    for body in others:
        assert_refused(world, first, body, Reason.COMMITMENT_MISMATCH, parts.sidecar)


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
    "evidence",
    [
        (),
        ((), (), ()),
        Evidence(visits=(), peers=()),
        Evidence(visits=(None,), peers=()),
        Evidence(visits=(None,) * 3, peers=()),
    ],
)
def test_evidence_of_another_shape_is_refused(evidence):
    world, member, parts = claimed(lambda w, m, p: replace(p, evidence=evidence))
    assert_refused(world, member, parts.open(), Reason.EVIDENCE_MISMATCH, encode(evidence))


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
    world, member, parts = claimed(lambda w, m, p: replace(p, plan_proof=proof(w, m)))
    assert_refused(world, member, parts.open(), Reason.BAD_PLAN_PROOF, parts.sidecar)


def test_a_report_of_fewer_or_more_visits_is_off_plan():
    for change in (lambda visits: visits[:1], lambda visits: (*visits, visits[0])):
        world, member, parts = claimed(lambda w, m, p, c=change: replace(p, visits=c(p.visits)))
        assert_refused(world, member, parts.open(), Flaw.VISITS_OFF_PLAN, parts.sidecar)


def test_visits_in_another_order_are_refused():
    def swapped(world, member, parts):
        evidence = parts.evidence
        visits = tuple(reversed(evidence.visits))
        return replace(parts, evidence=evidence.model_copy(update={"visits": visits}))

    world, member, parts = claimed(swapped)
    assert_refused(world, member, parts.open(), Flaw.VISIT_NOT_SIGNED, parts.sidecar)


def test_success_without_evidence_is_refused():
    def boast(world, member, parts):
        return replace(parts, evidence=Evidence(visits=(None, None), peers=()))

    world, member, parts = claimed(boast)
    assert_refused(world, member, parts.open(), Flaw.SUMMARY_OVERSTATED, parts.sidecar)


def test_the_evidence_of_another_attestor_is_refused():
    def lent(world, member, parts):
        other = account_of(world, world.members[1])
        return replace(parts, visits=other.visits, evidence=other.evidence)

    world, member, parts = claimed(lent)
    assert_refused(world, member, parts.open(), Flaw.VISIT_NOT_SIGNED, parts.sidecar)


def test_the_evidence_of_an_earlier_challenge_is_refused():
    # The attestor keeps its visit keys and its receipts, and signs the keys over anew.
    def replayed(world, member, parts):
        earlier = world.challenge.window_opened_ms - 60_000
        shown = []
        for plan, visit in zip(world.visit_plans(member), parts.evidence.visits, strict=True):
            receipt = make_receipt(world, member, plan, visit.served, time_ms=earlier)
            shown.append(visit.model_copy(update={"receipt": receipt}))
        return replace(parts, evidence=Evidence(visits=tuple(shown), peers=()))

    world, member, parts = claimed(replayed)
    assert_refused(world, member, parts.open(), Flaw.RECEIPT_UNTIMELY, parts.sidecar)


def test_a_fault_must_be_proven():
    def accuse(world, member, parts):
        first = parts.visits[0].model_copy(update={"outcome": Outcome.FAULT})
        return replace(parts, visits=(first, *parts.visits[1:]))

    world, member, parts = claimed(accuse)
    assert_refused(world, member, parts.open(), Flaw.SUMMARY_OVERSTATED, parts.sidecar)


def test_one_bad_visit_voids_the_whole_report():
    def mixed(world, member, parts):
        plan = world.visit_plans(member)[1]
        boast, _ = make_visit(world, member, plan, "served")
        _, shown = make_visit(world, member, plan, "partial")
        evidence = Evidence(visits=(parts.evidence.visits[0], shown), peers=())
        return replace(parts, visits=(parts.visits[0], boast), evidence=evidence)

    world, member, parts = claimed(mixed)
    assert_refused(world, member, parts.open(), Flaw.SUMMARY_OVERSTATED, parts.sidecar)
    assert world.draft.reports.get(world.challenge.challenge + member.id) is None
