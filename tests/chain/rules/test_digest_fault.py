"""Who reports a digest that is not the chunk's is convicted by whoever has the chunk."""

from dataclasses import dataclass, replace

import pytest

from audit.entries import pack_listed, unpack_listed
from audit.faults import vouched
from audit.messages import ShownChunk, VisitEvidence, Vouched
from audit.plan import VisitPlan
from chain.bodies.challenges import CoinFault, OpenReport
from chain.bodies.faults import DigestFault
from chain.genesis import Parameters
from chain.reasons import Reason
from chain.records import stake_key
from tests.builders import World
from tests.chain.refusals import assert_refused
from tests.faults import claimed, equivocation
from tests.people import BLOCK_MS, BY_ID, OWNER, STRANGER, Library, Person
from tests.reports import ReportParts, account_of, leaf_hashes, make_receipt
from tests.stages import sealed
from wire import merkle
from wire.codec import encode
from wire.primitives import blake2b_256

PENALTY, COLLATERAL, MEMORY_MS = 500, 301, 60_000


@dataclass(frozen=True)
class Case:
    """A world in which the first member opened a report, and what can be shown against it."""

    world: World
    crook: Person
    plan: VisitPlan
    visit: VisitEvidence
    data: bytes
    parts: ReportParts
    said: Vouched | None = None
    """Instead of what the visit vouches for."""
    others: tuple[tuple[Person, ReportParts], ...] = ()
    """Reports that are to be opened beside the crook's."""

    @property
    def hoster(self) -> Person:
        return BY_ID[self.visit.receipt.receipt.hoster]

    @property
    def sidecar(self) -> bytes:
        return encode(ShownChunk(vouched=self.said or vouched(self.visit), data=self.data))

    @property
    def body(self) -> DigestFault:
        return DigestFault(
            challenge=self.world.challenge.challenge,
            attestor=self.crook.id,
            contract=self.plan.contract,
            evidence=blake2b_256(self.sidecar),
        )

    def stake(self, role: str, person: Person) -> int:
        return self.world.draft.stakes.at(stake_key(role, person.id)).amount_base

    def balance(self, person: Person) -> int:
        return self.world.draft.accounts.at(person.id).balance_base

    @property
    def report(self):
        return self.world.draft.reports.at(self.world.focus + self.crook.id)


def show(case: Case) -> None:
    """The stranger has claimed it, and shows it."""
    case.world.must(STRANGER, claimed(case.world, STRANGER, case.body), case.sidecar)


def forged(world: World, member: Person, parts: ReportParts, lies: str) -> ReportParts:
    """Hoster and attestor together vouch for a chunk of which they have the hash alone."""
    plan = world.visit_plans(member)[0]
    visit = parts.visits[0]
    listed = unpack_listed(visit.evidence.listed)
    if lies == "digest":
        listed[0] = listed[0]._replace(entry=listed[0].entry._replace(digest=bytes(16)))
    elif lies == "fresh":
        listed[0] = listed[0]._replace(fresh=bytes(16))
    served = [one.entry for one in listed]
    shown = visit.evidence.model_copy(
        update={
            "listed": pack_listed(listed),
            "list_proof": b"".join(merkle.multiproof(leaf_hashes(served), range(len(served)))),
            "receipt": make_receipt(world, member, plan, served),
        }
    )
    return parts.with_visits((visit.model_copy(update={"evidence": shown}), *parts.visits[1:]))


def opened(lies: str = "digest", others: int = 0) -> Case:
    world = sealed()
    world.focus = world.challenge.challenge
    reports = []
    for member in world.members:
        parts = account_of(world, member)
        if not reports:
            parts = forged(world, member, parts, lies)
        reports.append((member, parts))
        world.must(member, parts.commit(world, member))
    world.pass_until(world.challenge.window_end)
    world.must(STRANGER, world.open_coin())
    for member, parts in reports[: 1 + others]:
        world.must(member, parts.open(), parts.sidecar)
    crook, parts = reports[0]
    visit = parts.visits[0].evidence
    plan = world.visit_plans(crook)[0]
    feed = next(d.feed for d in world.draw.eligible if d.contract == plan.contract)
    library: Library = next(one for one in world.libraries.values() if one.key == feed)
    chunk = unpack_listed(visit.listed)[0].entry.chunk
    return Case(world, crook, plan, visit, library.chunk(chunk), parts)


def test_a_made_up_digest_costs_the_hoster_its_contract_and_the_attestor_its_stake():
    case = opened()
    world, before = case.world, case.balance(STRANGER)
    attestor, hoster = case.stake("attestor", case.crook), case.stake("hoster", case.hoster)
    show(case)
    world.pass_blocks()
    assert case.stake("attestor", case.crook) == attestor - PENALTY
    assert case.stake("hoster", case.hoster) == hoster - COLLATERAL
    assert case.balance(STRANGER) == before - 10 + PENALTY // 4 + COLLATERAL // 4
    assert case.report.forged
    assert world.draft.contracts.at(case.plan.contract).status == "ended"


def test_a_fresh_digest_is_the_attestors_word_alone():
    case = opened("fresh")
    attestor, hoster = case.stake("attestor", case.crook), case.stake("hoster", case.hoster)
    show(case)
    case.world.pass_blocks()
    assert case.stake("attestor", case.crook) == attestor - PENALTY
    assert case.stake("hoster", case.hoster) == hoster


def test_before_it_is_settled_a_forged_report_does_not_count():
    case = opened()
    world = case.world
    assert case.crook.id in world.challenge.opened
    show(case)
    challenge = world.draft.challenges.at(world.focus)
    assert case.crook.id not in challenge.opened
    assert case.crook.id in challenge.voided and not challenge.convicted
    world.pass_until(challenge.opening_deadline)
    assert world.draft.challenges.at(world.focus).status == "settled"
    assert case.report.paid_base == 0
    standing = world.draft.standings.at(case.crook.id)
    assert (standing.forged, standing.void, standing.rounds) == (1, 0, 0)


def test_a_forged_report_cannot_come_again():
    case = opened()
    show(case)
    sent = next(
        signed
        for _, block in reversed(case.world.blocks)
        for signed in block
        if isinstance(signed.transaction.body, OpenReport)
    )
    body, sidecar = sent.transaction.body, sent.sidecar
    assert_refused(case.world, case.crook, body, Reason.ALREADY_OPENED, sidecar)


def test_after_it_is_settled_the_pay_is_taken_back():
    case = opened("fresh", others=3)
    world = case.world
    assert world.draft.challenges.at(world.focus).status == "settled"
    paid, attestor = case.report.paid_base, case.stake("attestor", case.crook)
    assert paid > 0
    show(case)
    assert case.stake("attestor", case.crook) == attestor - PENALTY - paid
    challenge = world.draft.challenges.at(world.focus)
    assert case.crook.id in challenge.opened and not challenge.convicted


def test_it_costs_once():
    case = opened()
    show(case)
    again = claimed(case.world, OWNER, case.body)
    assert_refused(case.world, OWNER, again, Reason.ALREADY_CONVICTED, case.sidecar)


def test_a_report_convicts_for_a_time(monkeypatch):
    monkeypatch.setattr(Parameters, "evidence_ms", MEMORY_MS)
    case = opened()
    world = case.world
    last_ms = world.draft.challenges.at(world.focus).window_opened_ms + MEMORY_MS
    while world.context().time_ms + BLOCK_MS <= last_ms:
        world.block()
    last = world.execute(world.sign(STRANGER, claimed(world, STRANGER, case.body), case.sidecar))
    assert last.outcomes[0].reason == ""
    world.block()
    assert_refused(world, STRANGER, case.body, Reason.WRONG_PHASE, case.sidecar)


def test_honest_reports_are_not_touched():
    case = opened("nothing")
    assert_refused(case.world, STRANGER, case.body, Reason.BAD_EVIDENCE, case.sidecar)


@pytest.mark.parametrize("who", ["crook", "hoster"])
def test_nobody_is_rewarded_for_its_own_fault(who):
    case = opened()
    assert_refused(case.world, getattr(case, who), case.body, Reason.BAD_EVIDENCE, case.sidecar)


@pytest.mark.parametrize("data", [b"", b"other bytes"])
def test_other_bytes_show_nothing(data):
    case = replace(opened(), data=data)
    assert_refused(case.world, STRANGER, case.body, Reason.BAD_EVIDENCE, case.sidecar)


def test_another_visit_than_the_reported_is_refused():
    case = opened()
    said = vouched(case.visit)
    plan = case.world.visit_plans(case.crook)[1]
    for wrong in (
        replace(case, plan=plan),
        *(
            replace(case, said=said.model_copy(update={name: value}))
            for name, value in (
                ("hoster", b"x" * 32),
                ("handshake_hash", b"x" * 64),
                ("feed", b"x" * 32),
                ("listed", said.listed[:-1]),
            )
        ),
    ):
        assert_refused(case.world, STRANGER, wrong.body, Reason.EVIDENCE_MISMATCH, wrong.sidecar)
    unknown = case.body.model_copy(update={"contract": b"x" * 32})
    assert_refused(case.world, STRANGER, unknown, Reason.EVIDENCE_MISMATCH, case.sidecar)


@pytest.mark.parametrize("sidecar", [b"", b"\x80", encode((1, 2))])
def test_what_is_no_shown_chunk_is_refused(sidecar):
    case = opened()
    body = case.body.model_copy(update={"evidence": blake2b_256(sidecar)})
    assert_refused(case.world, STRANGER, body, Reason.EVIDENCE_MISMATCH, sidecar)


def test_a_report_that_there_is_not_is_refused():
    case = opened()
    for changes, reason in (
        ({"challenge": b"x" * 32}, Reason.UNKNOWN_CHALLENGE),
        ({"attestor": case.world.members[1].id}, Reason.NO_SUCH_REPORT),
    ):
        body = case.body.model_copy(update=changes)
        assert_refused(case.world, STRANGER, body, reason, case.sidecar)


def test_who_made_a_report_up_answers_for_the_flip_as_well():
    """Else a friend's small claim would spare it the large one."""
    case = opened("fresh")
    world = case.world
    show(case)
    staked = case.stake("attestor", case.crook)
    body = CoinFault(challenge=world.focus, attempt=0, evidence=equivocation(world, case.crook))
    world.must(world.members[1], body)
    assert case.stake("attestor", case.crook) == staked - staked // 2
    assert_refused(world, world.members[1], body, Reason.ALREADY_CONVICTED)
