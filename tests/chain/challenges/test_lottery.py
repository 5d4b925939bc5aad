"""Who is drawn, and what becomes of a flip that fails."""

from collections import Counter

from chain.bodies.challenges import ReportAbsent
from chain.bodies.coins import Stake, Unstake
from chain.challenges import lottery
from chain.reasons import Reason
from chain.records import RosterName, StakeRecord, stake_key
from tests.chain.refusals import assert_refused
from tests.people import (
    ATTESTORS,
    BY_ID,
    HOSTERS,
    OWNER,
    PARAMETERS,
    STRANGER,
    create_plan,
    genesis,
    register,
)
from tests.stages import committed, drawn, opening, planned, sealed, settled, staffed
from wire.keys import Use
from wire.primitives import blake2b_256


def acknowledge_all(world):
    """Hosters acknowledge what they have been assigned."""
    waiting = [contract for contract in world.contracts if contract.status == "assigned"]
    nonces = Counter()
    signed = []
    for contract in waiting:
        hoster = BY_ID[contract.hoster]
        nonce = world.draft.accounts.at(hoster.id).nonce + nonces[hoster]
        nonces[hoster] += 1
        signed.append(world.sign(hoster, world.acknowledge(contract), nonce=nonce))
    world.block(*signed)


def drawn_at_last(world):
    """Wait for the draw among those in the line-up."""
    world.pass_until(world.line_up.draw_height)
    return world


def test_a_draw_opens_a_challenge_with_a_sorted_committee():
    world = drawn()
    challenge = world.challenge
    assert (challenge.status, challenge.attempt, challenge.epoch) == ("flipping", 0, 1)
    assert len(set(challenge.members)) == 4
    assert list(challenge.members) == sorted(challenge.members)
    assert challenge.drawn_height == world.height
    assert challenge.seal_deadline == world.height + world.parameters.flip_blocks
    meta = world.draft.meta
    assert meta.open_challenges == (challenge.challenge,)
    lined_up = world.height - world.parameters.draw_delay_blocks
    assert (meta.epoch, meta.next_draw) == (1, lined_up + world.parameters.epoch_blocks)


def test_the_draw_keeps_what_the_committee_may_be_sent_to_and_the_keys_as_they_were():
    world = drawn()
    draw = world.draw
    assert [attestor.account for attestor in draw.attestors] == list(world.challenge.members)
    assert sorted(one.contract for one in draw.eligible) == sorted(
        contract.contract for contract in world.contracts
    )
    member = world.members[0]
    world.must(member, register(member, vrf_key=b"v" * 32))
    hoster = BY_ID[draw.eligible[0].hoster]
    other = hoster.key(Use.RECEIPT, b"another")
    world.must(hoster, register(hoster, receipts=other))
    assert world.draw == draw
    assert draw.attestors[0].vrf_key != b"v" * 32
    assert draw.eligible[0].receipt_key != other.public


def test_nothing_is_drawn_without_an_active_contract():
    world = planned()
    world.pass_blocks()
    assert world.draft.meta.open_challenges == ()
    assert world.draft.meta.epoch == 0


def test_nothing_is_drawn_with_too_few_attestors():
    world = planned()
    for attestor in ATTESTORS[2:]:
        world.must(attestor, Unstake(role="attestor", amount_base=2_000))
    acknowledge_all(world)
    world.pass_blocks(world.parameters.draw_delay_blocks)
    assert world.draft.line_ups.get(b"") is None
    assert world.draft.meta.open_challenges == ()
    world.must(ATTESTORS[2], Stake(role="attestor", amount_base=2_000))
    world.pass_blocks(world.parameters.registration_lag_blocks)
    assert len(drawn_at_last(world).challenge.members) == 3


def weights_of(world):
    """Who could be lined up by the next block, with what weight."""
    found = lottery._attestors(world.draft, world.context())
    assert [one.account for one in found] == sorted(one.account for one in found)
    return {one.account: one.weight_base for one in found}


def test_stake_is_drawn_only_once_it_is_old_enough():
    world = staffed()
    newcomer = STRANGER
    fresh = ATTESTORS[0]
    world.must(fresh, Stake(role="attestor", amount_base=1))
    weights = weights_of(world)
    assert fresh.id not in weights
    assert newcomer.id not in weights
    assert list(weights.values()) == [2_000] * (len(ATTESTORS) - 1)
    world.pass_blocks(world.parameters.registration_lag_blocks - 1)
    assert weights_of(world)[fresh.id] == 2_001


def test_attestors_are_drawn_in_proportion_to_their_stake():
    world = planned()
    draft = world.draft
    stakes = dict(zip(sorted(person.id for person in ATTESTORS), (1, 1, 1, 1, 4, 8), strict=True))
    for account, share in stakes.items():
        draft.stakes.put(
            stake_key("attestor", account), StakeRecord(amount_base=1_000 * share, since_height=0)
        )
    contract = world.contracts[0]
    head = draft.feeds.at(contract.feed).head
    draft.contracts.change(contract.contract, head=head, status="active")
    draft.set_listed(RosterName.ACTIVE_CONTRACTS, contract.contract, True)
    counts = Counter()
    parameters = PARAMETERS.model_copy(
        update={"committee_members": 2, "committee_minimum": 2, "flip_blocks": 1}
    )
    world.genesis = world.genesis.model_copy(update={"parameters": parameters})
    lottery.line_up(draft, world.context())
    for number in range(600):
        attempt = draft.draft()
        lottery.draw_challenges(attempt, world.context(), blake2b_256(number.to_bytes(2, "big")))
        (challenge,) = attempt.meta.open_challenges
        counts.update(attempt.challenges.at(challenge).members)
    # Drawing 2 of 16 shares without replacement: the largest is in with 8/16 + 8/16·(…) ≈ 0.79,
    # the second ≈ 0.50, the small ones ≈ 0.18 each; six standard deviations are about 0.12.
    chance = {account: counts[account] / 600 for account in stakes}
    *small, second, largest = (chance[account] for account in sorted(stakes))
    assert 0.67 < largest < 0.91
    assert 0.38 < second < 0.62
    assert all(0.08 < one < 0.30 for one in small)


def test_a_draw_waits_for_open_challenges_and_for_its_epoch():
    world = drawn()
    first = world.challenge.challenge
    world.pass_blocks(2)
    assert world.draft.meta.open_challenges == (first,)
    done = settled()
    next_draw = done.draft.meta.next_draw
    assert done.draft.meta.open_challenges == ()
    done.pass_until(next_draw - 1)
    assert done.draft.line_ups.get(b"") is None
    done.pass_blocks()
    line_up = done.line_up
    assert (line_up.height, line_up.draw_height) == (next_draw, next_draw + 2)
    done.pass_blocks()
    assert (done.line_up, done.draft.meta.open_challenges) == (line_up, ())
    done.pass_blocks()
    assert len(done.draft.meta.open_challenges) == 1
    assert done.draft.line_ups.get(b"") is None
    assert done.draft.meta.next_draw == next_draw + done.parameters.epoch_blocks


def test_many_contracts_make_several_committees_that_share_nobody():
    parameters = PARAMETERS.model_copy(
        update={"committee_members": 3, "committee_minimum": 3, "challenge_targets": 1}
    )
    world = planned()
    world.genesis = genesis(parameters)
    acknowledge_all(world)
    first, second = drawn_at_last(world).draft.meta.open_challenges
    one, other = world.draft.challenges.at(first), world.draft.challenges.at(second)
    assert not set(one.members) & set(other.members)
    assert [len(world.draft.draws.at(c).eligible) for c in (first, second)] == [1, 1]


def test_no_committee_is_smaller_for_there_being_more_contracts():
    world = planned()
    world.genesis = genesis(PARAMETERS.model_copy(update={"challenge_targets": 1}))
    acknowledge_all(world)
    drawn_at_last(world)
    # Six attestors make one committee of four, and two contracts would keep two busy.
    assert len(world.draft.meta.open_challenges) == 1
    assert len(world.challenge.members) == 4
    assert len(world.draw.eligible) == 2


def test_a_draw_lists_no_more_than_a_proof_can_carry(monkeypatch):
    monkeypatch.setattr(lottery, "ELIGIBLE_MAXIMUM", 1)
    world = planned()
    acknowledge_all(world)
    assert len(drawn_at_last(world).draw.eligible) == 1


def test_the_next_beacon_follows_from_the_last_and_the_vrf():
    one = lottery.next_beacon(b"b" * 32, b"v" * 64)
    assert one == lottery.next_beacon(b"b" * 32, b"v" * 64)
    assert len({one, lottery.next_beacon(b"c" * 32, b"v" * 64)}) == 2
    assert len({one, lottery.next_beacon(b"b" * 32, b"w" * 64)}) == 2


# a flip that is not sealed in time


def vote(world, voter, *silent):
    body = ReportAbsent(
        challenge=world.challenge.challenge,
        attempt=world.challenge.attempt,
        absent=tuple(person.id for person in silent),
    )
    return world.sign(voter, body)


def test_without_a_seal_the_flip_is_tried_again_with_more_time():
    world = drawn()
    first = world.challenge
    world.pass_until(first.seal_deadline)
    second = world.challenge
    assert (second.attempt, second.members, second.status) == (1, first.members, "flipping")
    assert second.seal_deadline == first.seal_deadline + 2 * world.parameters.flip_blocks
    world.must(STRANGER, world.seal())
    assert world.challenge.status == "visiting"


def test_the_majority_excludes_whom_it_found_silent():
    world = drawn()
    first, second, third, silent = world.members
    world.block(*(vote(world, voter, silent) for voter in (first, second, third)))
    world.pass_until(world.challenge.seal_deadline)
    challenge = world.challenge
    assert challenge.members == (first.id, second.id, third.id)
    assert challenge.excluded == (silent.id,)
    assert challenge.absences == ()
    world.must(STRANGER, world.seal())
    assert world.challenge.status == "visiting"


def test_half_of_the_members_exclude_nobody():
    world = drawn()
    first, second, third, fourth = world.members
    world.block(vote(world, first, third, fourth), vote(world, second, third, fourth))
    world.pass_until(world.challenge.seal_deadline)
    assert len(world.challenge.members) == 4


def test_naming_somebody_twice_counts_once():
    world = drawn()
    first, second, third, _ = world.members
    world.block(vote(world, first, third, third, third), vote(world, second, third, third))
    world.pass_until(world.challenge.seal_deadline)
    assert third.id in world.challenge.members


def test_an_excluded_member_has_no_part_in_the_retry():
    world = drawn()
    *voters, silent = world.members
    world.block(*(vote(world, voter, silent) for voter in voters))
    world.pass_until(world.challenge.seal_deadline)
    body = vote(world, silent, voters[0]).transaction.body
    assert_refused(world, silent, body, Reason.NOT_A_MEMBER)
    assert_refused(
        world, voters[0], vote(world, voters[0], silent).transaction.body, Reason.NOT_A_MEMBER
    )


def test_attempts_are_bounded_and_the_next_epoch_decides_anew():
    world = drawn()
    first = world.challenge
    attempts = set()
    while (challenge := world.draft.challenges.at(first.challenge)).status == "flipping":
        attempts.add(challenge.attempt)
        world.pass_blocks()
    assert challenge.status == "failed"
    assert attempts == set(range(world.parameters.flip_attempts))
    total = sum(world.parameters.flip_blocks * (number + 1) for number in range(3))
    assert world.height == first.drawn_height + total
    assert drawn_at_last(world).challenge.challenge != first.challenge
    assert world.challenge.epoch == 2


def test_too_few_members_for_a_retry_end_the_challenge():
    world = drawn()
    focus = world.focus = world.challenge.challenge
    first, second, third, fourth = world.members
    world.block(
        vote(world, first, third, fourth),
        vote(world, second, third, fourth),
        vote(world, third, fourth),
        vote(world, fourth, third),
    )
    world.pass_until(world.challenge.seal_deadline)
    assert world.challenge.status == "failed"
    assert focus not in world.draft.meta.open_challenges


def test_a_failed_flip_uses_up_no_epoch_of_the_plan():
    world = drawn()
    before = [contract.epochs_left for contract in world.contracts]
    world.focus = world.challenge.challenge
    while world.challenge.status == "flipping":
        world.pass_blocks()
    assert [contract.epochs_left for contract in world.contracts] == before
    assert world.plan.escrow_base == 60_000


def test_a_coin_that_nobody_opens_pays_nobody_and_costs_who_knew_it():
    world = opening(silent=[1])
    world.focus = world.challenge.challenge
    burnt = world.draft.meta.burnt_base
    before = [world.balance(person) for person in (*HOSTERS, *ATTESTORS, OWNER)]
    world.pass_until(world.challenge.opening_deadline - 1)
    assert (world.challenge.status, world.draft.meta.burnt_base) == ("opening", burnt)
    world.pass_blocks()
    assert world.challenge.status == "failed"
    assert [world.balance(person) for person in (*HOSTERS, *ATTESTORS, OWNER)] == before
    assert world.plan.escrow_base == 60_000
    stakes = [
        world.draft.stakes.at(stake_key("attestor", member.id)).amount_base
        for member in world.members
    ]
    assert stakes == [1_930, 2_000, 1_930, 1_930]
    assert world.draft.meta.burnt_base == burnt + 3 * 70
    assert {contract.epochs_left for contract in world.contracts} == {3}


def test_stake_that_is_leaving_pays_too_and_nobody_pays_more_than_it_has():
    world = committed()
    world.focus = world.challenge.challenge
    leaving, poor, listed, _ = world.members
    for member, staked, unbonding in ((leaving, 30, 1_970), (poor, 20, 5), (listed, 1_000, 0)):
        draft = world.draft
        stake = draft.stakes.at(stake_key("attestor", member.id))
        draft.stakes.change(
            stake_key("attestor", member.id), amount_base=staked, unbonding_base=unbonding
        )
        left = stake.amount_base - staked - unbonding
        draft.accounts.change(member.id, balance_base=world.balance(member) + left)
        world.state.commit(draft)
    world.pass_until(world.challenge.opening_deadline)
    stakes = [world.draft.stakes.at(stake_key("attestor", one.id)) for one in world.members[:3]]
    held = [(stake.amount_base, stake.unbonding_base) for stake in stakes]
    assert held == [(0, 1_930), (0, 0), (930, 0)]
    # Less than the least stake is listed no more.
    assert listed.id not in world.draft.roster(RosterName.ATTESTORS)
    assert world.draft.meta.burnt_base == 70 + 25 + 70 + 70


def test_what_was_unstaked_returns_less_what_was_lost_meanwhile():
    world = committed()
    member = world.members[0]
    world.must(member, Unstake(role="attestor", amount_base=1_980))
    returns = world.height + world.parameters.unbonding_blocks
    before = world.balance(member)
    world.pass_until(world.challenge.opening_deadline)
    stake = world.draft.stakes.at(stake_key("attestor", member.id))
    assert (stake.amount_base, stake.unbonding_base) == (0, 1_930)
    world.pass_until(returns)
    assert world.balance(member) == before + 1_930
    stake = world.draft.stakes.at(stake_key("attestor", member.id))
    assert (stake.amount_base, stake.unbonding_base) == (0, 0)


def test_no_challenge_lasts_longer_than_the_parameters_say():
    world = drawn()
    lined_up = world.challenge.drawn_height - world.parameters.draw_delay_blocks
    for _ in range(world.parameters.flip_attempts - 1):
        world.pass_until(world.challenge.seal_deadline)
    assert world.challenge.attempt == world.parameters.flip_attempts - 1
    world.pass_until(world.challenge.seal_deadline - 1)
    world.must(STRANGER, world.seal())
    world.focus = world.challenge.challenge
    latest = lined_up + world.parameters.challenge_blocks
    assert world.challenge.opening_deadline == latest
    world.pass_until(latest)
    assert world.challenge.status == "failed"


def test_a_sealed_challenge_ignores_the_deadline_of_its_flip():
    world = sealed()
    world.pass_until(world.challenge.seal_deadline)
    assert (world.challenge.status, world.challenge.attempt) == ("visiting", 0)


def test_a_late_attestor_cannot_join_a_line_up():
    world = planned()
    late = STRANGER
    world.must(OWNER, create_plan(world.library.key))
    draft = world.draft
    draft.accounts.change(late.id, balance_base=5_000)
    draft.accounts.change(OWNER.id, balance_base=world.balance(OWNER) - 4_900)
    world.state.commit(draft)
    world.must(late, register(late, attests=True))
    world.must(late, Stake(role="attestor", amount_base=4_000))
    acknowledge_all(world)
    assert late.id in world.draft.roster(RosterName.ATTESTORS)
    assert late.id not in {attestor.account for attestor in world.line_up.attestors}
    assert late.id not in drawn_at_last(world).challenge.members
