"""A member of a flip is proven to have cheated."""

import pytest

from chain.blocks import Block
from chain.bodies.challenges import CoinFault, ReportAbsent
from chain.bodies.coins import Unstake
from chain.consensus.port import Proposal
from chain.ledger import Ledger
from chain.reasons import Reason
from chain.records import RosterName, stake_key
from coinflip.messages import Echo, Equivocation, sign_body
from tests.chain.refusals import assert_refused
from tests.faults import FAULTS, equivocation, say
from tests.people import ATTESTORS, OWNER, PARAMETERS, STRANGER, VALIDATOR, genesis
from tests.reports import account_of
from tests.stages import coin_opened, drawn, lined_up, play, sealed, settled
from wire.codec import decode, encode


def report(world, accused, fault=equivocation, attempt=None):
    attempt = world.challenge.attempt if attempt is None else attempt
    evidence = fault(world, accused)
    return CoinFault(challenge=world.challenge.challenge, attempt=attempt, evidence=evidence)


def stake_of(world, person):
    return world.draft.stakes.at(stake_key("attestor", person.id))


@pytest.mark.parametrize("fault", FAULTS)
def test_every_kind_of_evidence_slashes_and_excludes(fault):
    world = drawn()
    accused, *others = world.members
    before, burnt = [world.balance(other) for other in others], world.draft.meta.burnt_base
    world.must(others[0], report(world, accused, fault))
    # Half of 2 000; a quarter of that is for the other three, and what does not divide is burnt.
    assert stake_of(world, accused).amount_base == 1_000
    fees = (10, 0, 0)
    after = [one + 83 - fee for one, fee in zip(before, fees, strict=True)]
    assert [world.balance(other) for other in others] == after
    assert world.draft.meta.burnt_base == burnt + 751
    challenge = world.challenge
    assert challenge.convicted == challenge.excluded == (accused.id,)
    assert accused.id not in challenge.members


def test_the_next_attempt_begins_at_once_without_the_accused():
    world = drawn()
    first = world.challenge
    _, accused, reporter, _ = world.members
    world.must(reporter, report(world, accused))
    second = world.challenge
    assert (second.status, second.attempt) == ("flipping", 1)
    assert second.members == tuple(member for member in first.members if member != accused.id)
    assert second.seal_deadline == world.height + 2 * world.parameters.flip_blocks
    (earlier,) = second.earlier
    assert (earlier.members, earlier.seal_deadline) == (first.members, first.seal_deadline)
    # The deadline of the attempt that is over passes without a trace.
    assert first.seal_deadline < second.seal_deadline
    world.pass_until(first.seal_deadline)
    assert world.challenge == second
    play(world)
    assert world.challenge.status == "settled"
    assert world.challenge.opened == second.members


def test_with_too_few_members_left_the_challenge_fails():
    world = drawn()
    world.focus = world.challenge.challenge
    one, two, three, _ = world.members
    world.must(three, report(world, one))
    assert world.challenge.status == "flipping"
    world.must(three, report(world, two))
    challenge = world.challenge
    assert (challenge.status, challenge.attempt) == ("failed", 1)
    assert challenge.convicted == challenge.excluded == (one.id, two.id)
    assert world.focus not in world.draft.meta.open_challenges


def test_attempts_that_end_by_a_fault_count_like_the_others():
    world = drawn()
    world.focus = world.challenge.challenge
    for _ in range(world.parameters.flip_attempts - 1):
        world.pass_until(world.challenge.seal_deadline)
    assert world.challenge.status == "flipping"
    accused, reporter, *_ = world.members
    world.must(reporter, report(world, accused))
    assert world.challenge.status == "failed"
    assert stake_of(world, accused).amount_base == 1_000


def test_who_the_majority_found_silent_meanwhile_is_left_out_as_well():
    world = lined_up()
    world.genesis = genesis(PARAMETERS.model_copy(update={"committee_minimum": 2}))
    world.pass_until(world.line_up.draw_height)
    accused, silent, *voters = world.members
    body = ReportAbsent(challenge=world.challenge.challenge, attempt=0, absent=(silent.id,))
    world.block(*(world.sign(voter, body) for voter in (accused, *voters)))
    world.must(voters[0], report(world, accused))
    assert world.challenge.members == tuple(voter.id for voter in voters)
    assert set(world.challenge.excluded) == {accused.id, silent.id}


def test_a_fault_in_an_earlier_attempt_is_punished_in_a_later_one():
    world = drawn()
    accused, reporter, *_ = world.members
    body = report(world, accused)
    world.pass_until(world.challenge.seal_deadline)
    assert world.challenge.attempt == 1
    present = body.model_copy(update={"attempt": 1})
    assert_refused(world, reporter, present, Reason.BAD_EVIDENCE)
    world.must(reporter, body)
    assert world.challenge.attempt == 2
    assert accused.id not in world.challenge.members


def test_who_is_out_already_is_slashed_and_the_others_go_on():
    world = drawn()
    accused, *voters = world.members
    body = report(world, accused)
    vote = ReportAbsent(challenge=world.challenge.challenge, attempt=0, absent=(accused.id,))
    world.block(*(world.sign(voter, vote) for voter in voters))
    world.pass_until(world.challenge.seal_deadline)
    present = world.challenge
    assert accused.id not in present.members
    world.must(voters[0], body)
    assert world.challenge == present.model_copy(update={"convicted": (accused.id,)})
    assert stake_of(world, accused).amount_base == 1_000


def test_after_the_seal_the_coin_stands_and_the_accused_brings_no_report():
    world = sealed()
    before, coin = world.challenge, world.coin()
    accused, *others = world.members
    committed = account_of(world, accused).commit(world, accused)
    world.must(others[0], report(world, accused))
    assert world.challenge == before.model_copy(update={"convicted": (accused.id,)})
    assert stake_of(world, accused).amount_base == 1_000
    assert_refused(world, accused, committed, Reason.NOT_A_MEMBER)
    play(world, silent=[0])
    assert (world.challenge.coin, world.challenge.status) == (coin, "settled")


def test_a_report_that_was_committed_before_the_conviction_is_not_waited_for():
    world = coin_opened()
    world.focus = world.challenge.challenge
    accused, *others = world.members
    world.must(others[0], report(world, accused))
    parts = account_of(world, accused)
    assert_refused(world, accused, parts.open(), Reason.NOT_A_MEMBER, parts.sidecar)
    for member in others:
        assert world.challenge.status == "opening"
        parts = account_of(world, member)
        world.must(member, parts.open(), parts.sidecar)
    assert world.challenge.status == "settled"
    assert world.challenge.opened == tuple(member.id for member in others)


def test_a_fault_is_punished_until_stake_of_the_line_up_may_be_gone():
    world = settled()
    world.focus = world.challenge.challenge
    one, two, reporter, _ = world.members
    body, late = report(world, one), report(world, two)
    latest = world.challenge.drawn_height + world.parameters.unbonding_blocks
    world.pass_until(latest - 1)
    world.must(reporter, body)
    assert stake_of(world, one).amount_base == 1_000
    assert_refused(world, reporter, late, Reason.WRONG_PHASE)
    assert world.draft.challenges.at(world.focus).status == "settled"


def test_coins_on_their_way_back_are_slashed_too():
    world = drawn()
    accused, reporter, *_ = world.members
    world.must(accused, Unstake(role="attestor", amount_base=1_900))
    body = report(world, accused)
    world.must(reporter, body)
    stake = stake_of(world, accused)
    assert (stake.amount_base, stake.unbonding_base) == (0, 1_000)
    assert accused.id not in world.draft.roster(RosterName.ATTESTORS)


def test_who_was_convicted_before_has_no_part_of_what_another_loses():
    world = drawn()
    one, other, *honest = world.members
    bodies = [report(world, accused) for accused in (one, other)]
    world.must(honest[0], bodies[0])
    before = [world.balance(person) for person in (one, *honest)]
    world.must(honest[0], bodies[1])
    gains = (0, 125 - 10, 125)
    after = [known + gain for known, gain in zip(before, gains, strict=True)]
    assert [world.balance(person) for person in (one, *honest)] == after


def test_a_member_is_convicted_once_a_challenge():
    world = drawn()
    accused, reporter, other, _ = world.members
    bodies = [report(world, accused, fault) for fault in FAULTS]
    world.must(reporter, bodies[0])
    for body in bodies:
        assert_refused(world, other, body, Reason.ALREADY_CONVICTED)
    assert stake_of(world, accused).amount_base == 1_000


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w, a: {"challenge": b"c" * 32}, Reason.UNKNOWN_CHALLENGE),
        (lambda w, a: {"attempt": 1}, Reason.WRONG_ATTEMPT),
        (lambda w, a: {"evidence": forged(w, a)}, Reason.BAD_EVIDENCE),
        (lambda w, a: {"evidence": twice(w, a)}, Reason.BAD_EVIDENCE),
        (lambda w, a: {"evidence": elsewhere(w, a)}, Reason.BAD_EVIDENCE),
        (lambda w, a: {"evidence": outsider(w)}, Reason.BAD_EVIDENCE),
    ],
)
def test_evidence_with_one_thing_wrong_is_refused(change, reason):
    world = drawn()
    accused, reporter, *_ = world.members
    body = report(world, accused).model_copy(update=change(world, accused))
    assert_refused(world, reporter, body, reason)
    assert stake_of(world, accused).amount_base == 2_000


def forged(world, accused):
    """The second statement is not the accused's own."""
    evidence = equivocation(world, accused)
    signature = equivocation(world, world.members[1]).second.signature
    second = evidence.second.model_copy(update={"signature": signature})
    return evidence.model_copy(update={"second": second})


def twice(world, accused):
    """The same statement twice."""
    said = say(world, accused, Echo(digest=bytes(32)))
    return Equivocation(first=said, second=said)


def elsewhere(world, accused):
    """Two statements of another flip."""
    first, second = (
        sign_body(accused.account, world.network, b"t" * 32, Echo(digest=bytes([number]) * 32))
        for number in (1, 2)
    )
    return Equivocation(first=first, second=second)


def outsider(world):
    """Somebody who is no member."""
    return equivocation(world, next(one for one in ATTESTORS if one not in world.members))


def test_only_members_report_and_nobody_itself():
    world = drawn()
    accused, *_ = world.members
    body = report(world, accused)
    absent = next(one for one in ATTESTORS if one not in world.members)
    for person in (STRANGER, OWNER, absent):
        assert_refused(world, person, body, Reason.NOT_A_MEMBER)
    assert_refused(world, accused, body, Reason.BAD_EVIDENCE)


def test_an_excluded_member_of_the_attempt_may_still_report():
    world = drawn()
    accused, silent, *voters = world.members
    body = report(world, accused)
    vote = ReportAbsent(challenge=world.challenge.challenge, attempt=0, absent=(silent.id,))
    world.block(*(world.sign(voter, vote) for voter in (accused, *voters)))
    world.pass_until(world.challenge.seal_deadline)
    assert silent.id not in world.challenge.members
    world.must(silent, body)
    assert world.challenge.convicted == (accused.id,)


@pytest.mark.parametrize("fault", FAULTS)
def test_evidence_travels_in_a_block(fault):
    world = drawn()
    accused, reporter, *_ = world.members
    signed = world.sign(reporter, report(world, accused, fault))
    ledger = Ledger(world.genesis, world.state, None)
    made = ledger.propose(ledger.root, Proposal(1, 1, VALIDATOR.id, bytes(80), bytes(64)), ())
    block = Block(header=made.block.header, transactions=(signed,))
    assert decode(Block, encode(block)) == block
