"""What a challenge leaves in the standing of its members, and who sits out the next line-up."""

import pytest

from audit.evidence import Flaw
from audit.messages import Outcome
from chain.bodies.challenges import ReportAbsent
from chain.challenges import conduct
from chain.reasons import Reason
from chain.records import RosterName
from chain.standing import Standing
from tests.people import ATTESTORS, BY_ID, OWNER, PARAMETERS, STRANGER, create_plan, genesis
from tests.reports import account_of
from tests.stages import coin_opened, drawn, lined_up, opening, play, published, sealed, settled


def standings(world):
    """By place in the committee."""
    return [world.draft.standings.get(member.id) for member in world.members]


def test_a_clean_round_is_all_that_a_good_report_leaves():
    for standing in standings(settled()):
        assert standing == Standing(rounds=1, clean_rounds=1)


def test_honest_silence_is_no_offence():
    for standing in standings(settled(lambda attestor, plan: "silent")):
        assert standing == Standing(rounds=1, clean_rounds=1)


def test_who_commits_to_no_report_is_missing():
    idle, *diligent = standings(settled(silent=[0]))
    assert idle == Standing(rounds=1, missing=1, strikes=1)
    assert diligent == [Standing(rounds=1, clean_rounds=1)] * 3


def test_who_commits_and_does_not_open_is_late():
    world = coin_opened()
    world.focus = world.challenge.challenge
    for member in world.members[1:]:
        parts = account_of(world, member)
        world.must(member, parts.open(), parts.sidecar)
    assert standings(world) == [None] * 4
    world.pass_until(world.challenge.opening_deadline)
    idle, *diligent = standings(world)
    assert idle == Standing(rounds=1, late=1, strikes=1)
    assert diligent == [Standing(rounds=1, clean_rounds=1)] * 3


def test_when_nobody_opens_the_coin_all_who_could_are_late():
    world = opening(silent=[0])
    world.pass_until(world.challenge.opening_deadline)
    assert world.challenge.status == "failed"
    idle, *others = standings(world)
    assert idle == Standing(rounds=1, missing=1, strikes=1)
    assert others == [Standing(rounds=1, late=1, strikes=1)] * 3


def with_a_void_report():
    """The first member's report says less than its evidence proves; all have committed."""
    world = sealed()
    world.focus = world.challenge.challenge
    reports = [(member, account_of(world, member)) for member in world.members]
    liar, false = world.members[0], reports[0][1].saying(served=1, outcome=Outcome.TOO_SLOW)
    reports[0] = (liar, false)
    world.block(*(world.sign(member, parts.commit(world, member)) for member, parts in reports))
    world.pass_until(world.challenge.window_end)
    world.must(STRANGER, world.open_coin())
    return world, reports


def test_a_void_report_is_remembered_and_cannot_be_mended():
    world, [(liar, false), *good] = with_a_void_report()
    assert world.do(liar, false.open(), false.sidecar) == Flaw.SUMMARY_OVERSTATED
    assert world.challenge.voided == (liar.id,)
    assert world.draft.reports.get(world.focus + liar.id) is None
    for parts in (false, account_of(world, liar)):
        assert world.do(liar, parts.open(), parts.sidecar) == Reason.ALREADY_OPENED
    assert world.challenge.voided == (liar.id,)
    world.block(*(world.sign(member, parts.open(), parts.sidecar) for member, parts in good))
    # Nobody waits for a better one.
    assert world.challenge.status == "settled"
    assert world.draft.standings.at(liar.id) == Standing(rounds=1, void=1, strikes=1)
    assert standings(world)[1:] == [Standing(rounds=1, clean_rounds=1)] * 3


def test_a_void_report_that_all_waited_for_ends_the_challenge():
    world, [(liar, false), *good] = with_a_void_report()
    for member, parts in good:
        world.must(member, parts.open(), parts.sidecar)
    assert world.challenge.status == "opening"
    assert world.do(liar, false.open(), false.sidecar) == Flaw.SUMMARY_OVERSTATED
    assert world.challenge.status == "settled"


def test_the_wrong_sidecar_is_no_void_report():
    world, [_, (member, parts), *_] = with_a_void_report()
    assert world.do(member, parts.open(), parts.sidecar + b"x") == Reason.EVIDENCE_MISMATCH
    assert world.challenge.voided == ()
    world.must(member, parts.open(), parts.sidecar)


def test_whom_a_majority_finds_silent_in_the_flip_is_missing():
    world = drawn()
    world.focus = world.challenge.challenge
    quiet, *others = world.members
    vote = ReportAbsent(challenge=world.focus, attempt=0, absent=(quiet.id,))
    world.block(*(world.sign(member, vote) for member in others))
    assert world.draft.standings.get(quiet.id) is None
    world.pass_until(world.challenge.seal_deadline)
    assert quiet.id not in world.challenge.members
    assert world.draft.standings.get(quiet.id) == Standing(missing=1, strikes=1)
    assert all(world.draft.standings.get(member.id) is None for member in others)


def test_who_was_convicted_in_the_flip_has_no_round_to_answer_for():
    world = sealed()
    world.focus = world.challenge.challenge
    cheat, *others = world.members
    draft = world.draft
    draft.challenges.change(world.focus, convicted=(cheat.id,))
    world.state.commit(draft)
    play(world, silent=[0])
    assert world.draft.standings.get(cheat.id) is None
    assert all(world.draft.standings.at(other.id).clean_rounds == 1 for other in others)


def test_a_report_that_was_proven_forged_is_no_clean_round():
    world = coin_opened()
    world.focus = world.challenge.challenge
    forger, *others = world.members
    parts = account_of(world, forger)
    world.must(forger, parts.open(), parts.sidecar)
    draft = world.draft
    draft.reports.change(world.focus + forger.id, forged=True)
    world.state.commit(draft)
    reports = [(other, account_of(world, other)) for other in others]
    world.block(*(world.sign(other, parts.open(), parts.sidecar) for other, parts in reports))
    assert world.challenge.status == "settled"
    assert world.draft.standings.get(forger.id) is None
    assert all(world.draft.standings.at(other.id).clean_rounds == 1 for other in others)


def suspended(world, people, until):
    draft = world.draft
    for number, person in enumerate(people):
        standing = Standing(strikes=2, suspended_until=until + number)
        draft.standings.put(person.id, standing)
    world.state.commit(draft)


def in_line_up(world):
    return {one.account for one in world.line_up.attestors}


def before_line_up():
    """One block before a line-up."""
    world = settled()
    world.focus = b""
    world.pass_until(world.draft.meta.next_draw - 1)
    return world


@pytest.mark.parametrize(("ahead", "rests"), [(0, False), (1, False), (2, True), (99, True)])
def test_who_is_suspended_is_not_lined_up_until_the_height_has_come(ahead, rests):
    world = before_line_up()
    suspended(world, ATTESTORS[:1], world.height + ahead)
    world.pass_blocks()
    assert (ATTESTORS[0].id not in in_line_up(world)) == rests
    assert len(in_line_up(world)) == 6 - rests


@pytest.mark.parametrize("order", [ATTESTORS, ATTESTORS[::-1]])
def test_no_more_than_a_third_rests_at_once_and_those_for_longest(order):
    world = before_line_up()
    suspended(world, order, world.height + 50)
    world.pass_blocks()
    assert in_line_up(world) == {person.id for person in order[:4]}


def test_a_committee_is_always_left():
    world = lined_up()
    for minimum, resting in ((4, 2), (5, 1), (6, 0), (7, 0)):
        made = PARAMETERS.model_copy(update={"committee_members": 9, "committee_minimum": minimum})
        world.genesis = genesis(made)
        suspended(world, ATTESTORS, world.height + 50)
        everybody = list(world.draft.roster(RosterName.ATTESTORS))
        assert len(conduct.resting(world.draft, world.context(), everybody)) == resting


def test_rounds_missed_one_after_the_other_end_in_a_rest():
    world = published()
    world.must(OWNER, create_plan(world.library.key, replicas=1, epochs=100))
    world.pass_blocks()
    (contract,) = world.contracts
    world.must(BY_ID[contract.hoster], world.acknowledge(contract))
    lazy = ATTESTORS[0]
    for _ in range(20):
        world.focus = b""
        world.pass_until(world.draft.meta.next_draw + world.parameters.draw_delay_blocks)
        play(world, silent=[place for place, one in enumerate(world.members) if one is lazy])
        standing = world.draft.standings.get(lazy.id)
        if standing and standing.strikes == 2:
            break
    assert (standing.missing, standing.says(world.height)) == (2, "suspended")
    assert world.height < standing.suspended_until <= world.height + PARAMETERS.epoch_blocks
