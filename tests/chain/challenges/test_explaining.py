"""The story of a challenge tells what happened, and its coins are those that moved."""

import pytest

from audit.messages import Outcome
from chain.bundle import check_bundle
from chain.challenges.explaining import BLAME, MEANINGS, Case, explain
from tests.chain.bundles import audited, bundle_of, evidence_of, listed
from tests.people import ATTESTORS, BY_ID, VALIDATOR
from tests.stages import drawn, settled


def case_of(world, challenge_id=None):
    """What a node would give of a challenge."""
    draft = world.draft
    challenge_id = challenge_id or world.challenge.challenge
    challenge = draft.challenges.at(challenge_id)
    verdicts = [draft.verdicts.at(a + b) for a, b in listed(world) if a == challenge_id]
    return Case(
        challenge,
        draft.draws.at(challenge_id),
        [draft.reports.at(challenge_id + member) for member in challenge.opened],
        {e.attestor: e.evidence for e in evidence_of(world) if e.challenge == challenge_id},
        [(verdict, draft.plans.at(verdict.plan)) for verdict in verdicts],
    )


def told(world):
    return explain(world.genesis, case_of(world))


def at(place, how, otherwise="served"):
    """The member at this place sees this, everybody else another thing."""
    who = ATTESTORS.index(drawn().members[place])
    return lambda attestor, plan: how if attestor == ATTESTORS[who] else otherwise


WORLDS = {
    "served": settled,
    "silent": lambda: settled(lambda attestor, plan: "silent"),
    "lost": lambda: settled(lambda attestor, plan: "partial"),
    "one at fault": lambda: settled(at(2, "fault")),
    "one lazy": lambda: settled(at(0, "silent")),
    "one skipped": lambda: settled(at(1, "skipped")),
    "one missing": lambda: settled(silent=[3]),
    "too few": lambda: settled(silent=[0, 1]),
}


@pytest.fixture(params=WORLDS)
def world(request):
    return WORLDS[request.param]()


def test_every_coin_of_an_epoch_is_accounted_for(world):
    for one in told(world).verdicts:
        parts = [one.verdict.paid_base, one.validator_base, one.kept_base]
        parts += [visit.paid_base for visit in one.visits]
        assert sum(parts) == (one.plan.price_base if one.verdict.epoch_used else 0)
        assert min(parts) >= 0


def test_what_members_are_told_to_have_earned_is_what_they_earned(world):
    story, before = told(world), drawn()
    fees = 10
    for member in story.members:
        visits = [v for one in story.verdicts for v in one.visits if v.attestor == member.account]
        assert sum(visit.paid_base for visit in visits) == member.paid_base
        sent = {"reported": 2, "missing": 0}[member.conduct]
        rewards = sum(visit.rewarded_base for visit in visits)
        gained = world.balance(BY_ID[member.account]) - before.balance(BY_ID[member.account])
        assert gained == member.paid_base + rewards - sent * fees
    burnt = sum(
        one.slashed_base - sum(visit.rewarded_base for visit in one.visits)
        for one in story.verdicts
    )
    assert world.draft.meta.burnt_base == burnt
    writer = world.balance(VALIDATOR) - before.balance(VALIDATOR)
    transactions = 2 + 2 * sum(member.conduct == "reported" for member in story.members)
    paid = sum(one.validator_base for one in story.verdicts)
    assert writer == paid + fees * transactions


def test_a_visit_is_told_with_its_plan(world):
    for one in told(world).verdicts:
        for visit in one.visits:
            plans = {p.contract: p for p in world.visit_plans(BY_ID[visit.attestor])}
            assert visit.task == plans[one.verdict.contract]


def test_without_the_evidence_the_rest_is_told_still():
    world = settled()
    case = case_of(world)
    bare = Case(case.challenge, case.draw, case.reports, {}, case.concluded)
    story = explain(world.genesis, bare)
    for full, one in zip(told(world).verdicts, story.verdicts, strict=True):
        assert all(visit.task is None for visit in one.visits)
        assert [v.paid_base for v in full.visits] == [v.paid_base for v in one.visits]


def test_who_did_what_is_told():
    story = told(settled(silent=[3]))
    assert [member.conduct for member in story.members] == ["reported"] * 3 + ["missing"]
    assert story.members[3].paid_base == 0


BLAMED = [
    ("served", "nobody"),
    ("fault", "hoster, proven"),
    ("silent", "hoster, by the attestor's word"),
    ("partial", "hoster, by the attestor's word"),
    ("skipped", "attestor"),
]


@pytest.mark.parametrize(("how", "blame"), BLAMED)
def test_whose_fault_it_was_is_told(how, blame):
    for one in told(settled(at(1, how))).verdicts:
        assert [visit.blame for visit in one.visits] == ["nobody", blame, "nobody", "nobody"]


def test_every_outcome_has_a_meaning_and_nobody_is_blamed_for_certain_but_by_proof():
    assert set(MEANINGS) == set(Outcome)
    assert [outcome for outcome, blame in BLAME.items() if "proven" in blame] == [Outcome.FAULT]


def test_a_forfeited_collateral_is_told_once_and_to_whom_it_went():
    for one in told(settled(at(2, "fault"))).verdicts:
        assert one.slashed_base == 301
        assert [visit.rewarded_base for visit in one.visits] == [0, 0, 150, 0]


def test_a_file_tells_the_same_story_as_a_node():
    world = audited()
    checked = check_bundle(bundle_of(world))
    assert len(checked.cases) == 2
    for case in checked.cases:
        same = case_of(world, case.challenge.challenge)
        assert explain(world.genesis, case) == explain(world.genesis, same)
