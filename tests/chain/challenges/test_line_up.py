"""Nobody can fit a draw: who is in it is fixed before the seed can be known."""

from itertools import chain, combinations

import pytest
from pydantic import ValidationError

from chain.bodies.coins import Stake, Unstake
from chain.bodies.hosting import claim_receipt_key, claim_swarm_key
from chain.bodies.plans import CancelPlan
from chain.challenge_records import LinedUpAttestor, LineUp
from chain.challenges import lottery
from chain.genesis import Parameters
from chain.records import RosterName
from tests.people import ATTESTORS, BY_ID, OWNER, PARAMETERS, create_plan, genesis, register
from tests.stages import drawn, lined_up, planned, play
from wire.codec import encode
from wire.keys import Use
from wire.primitives import MAX_INT, tagged_hash
from wire.prng import Stream


def committee(world):
    """Who is drawn when the time has come, and what for."""
    world.pass_until(world.line_up.draw_height)
    return world.challenge.members, [one.contract for one in world.draw.eligible]


def test_the_line_up_lists_attestors_with_weights_and_keys_and_all_active_contracts():
    world = lined_up()
    fixed = world.line_up
    assert (fixed.height, fixed.draw_height) == (world.height, world.height + 2)
    assert [one.account for one in fixed.attestors] == sorted(one.id for one in ATTESTORS)
    assert {one.weight_base for one in fixed.attestors} == {2_000}
    for one in fixed.attestors:
        assert one.vrf_key == world.draft.registrations.at(one.account).vrf_key
    assert fixed.contracts == world.draft.roster(RosterName.ACTIVE_CONTRACTS)
    assert len(fixed.contracts) == 2


def test_leaving_in_the_last_block_chooses_no_committee():
    # Five of six collude. Each subset that leaves once the seed is known would be another draw.
    coalition = ATTESTORS[:5]
    subsets = chain.from_iterable(combinations(coalition, count) for count in range(1, 6))
    before = lined_up()
    before.pass_until(before.line_up.draw_height - 1)
    expected = committee(before.fork())
    for leaving in subsets:
        world = before.fork()
        bodies = [Unstake(role="attestor", amount_base=2_000), register(leaving[0], attests=False)]
        signed = [world.sign(person, bodies[0]) for person in leaving[1:]]
        world.block(world.sign(leaving[0], bodies[1]), *signed)
        assert (world.challenge.members, [one.contract for one in world.draw.eligible]) == expected


def test_more_or_less_stake_changes_no_weight_in_a_line_up():
    world = lined_up()
    expected = committee(world.fork())
    rich, poor = ATTESTORS[:2]
    world.block(
        world.sign(rich, Stake(role="attestor", amount_base=9_000_000)),
        world.sign(poor, Unstake(role="attestor", amount_base=900)),
    )
    assert committee(world) == expected


def test_another_vrf_key_is_too_late_for_the_draw():
    world = lined_up()
    expected = committee(world.fork())
    world.block(*(world.sign(one, register(one, vrf_key=b"v" * 32)) for one in ATTESTORS))
    assert committee(world) == expected
    for attestor in world.draw.attestors:
        assert attestor.vrf_key != b"v" * 32


def test_a_contract_that_becomes_active_meanwhile_waits_for_the_next_draw():
    world = planned()
    first, second = world.contracts
    world.must(BY_ID[first.hoster], world.acknowledge(first))
    world.must(BY_ID[second.hoster], world.acknowledge(second))
    _, eligible = committee(world)
    assert eligible == [first.contract]


def test_the_seed_is_the_beacon_of_the_block_before_the_draw():
    # Four of six: another seed draws the same once in fifteen times, but not three times over.
    world = lined_up()
    for epoch in (1, 2, 3):
        while world.draft.line_ups.get(b"") is None:
            world.pass_blocks()
        fixed = world.line_up
        world.pass_until(fixed.draw_height - 1)
        seed = tagged_hash("draw", world.draft.meta.beacon, epoch.to_bytes(8, "big"))
        weights = [one.weight_base for one in fixed.attestors]
        places = Stream(seed, b"attestors").weighted_sample(weights, 4)
        world.pass_blocks()
        world.focus = b""
        drawn = tuple(sorted(fixed.attestors[place].account for place in places))
        assert world.challenge.members == drawn
        play(world)


def test_what_is_known_when_the_line_up_is_fixed_does_not_tell_the_draw():
    committees = set()
    for number in range(8):
        world = lined_up()
        # Another writer of the block between, and all else alike.
        between = world.context()
        vrf_output = bytes([number]) * 64
        draft = world.execute().draft
        draft.meta = draft.meta.model_copy(
            update={"beacon": lottery.next_beacon(world.draft.meta.beacon, vrf_output)}
        )
        world.state.commit(draft)
        world.height = between.height
        committees.add(committee(world)[0])
    assert len(committees) > 1


@pytest.mark.parametrize(("blocks", "holds"), [(0, False), (1, False), (2, True), (9, True)])
def test_at_least_one_block_lies_between_line_up_and_draw(blocks, holds):
    if holds:
        assert Parameters(draw_delay_blocks=blocks).draw_delay_blocks == blocks
    else:
        with pytest.raises(ValidationError):
            Parameters(draw_delay_blocks=blocks)


def test_there_is_one_line_up_at_a_time():
    world = planned()
    parameters = PARAMETERS.model_copy(update={"epoch_blocks": 1, "draw_delay_blocks": 4})
    world.genesis = genesis(parameters)
    world.block(*(world.sign(BY_ID[c.hoster], world.acknowledge(c)) for c in world.contracts))
    fixed = world.line_up
    world.pass_until(fixed.draw_height - 1)
    assert world.line_up == fixed
    world.pass_blocks()
    assert len(world.draft.meta.open_challenges) == 1


def test_after_idle_times_those_who_were_assigned_together_line_up_together():
    world = planned()
    world.genesis = genesis(PARAMETERS.model_copy(update={"gathering_blocks": 3}))
    idle = world.height
    world.pass_blocks()
    first, second = world.contracts
    for contract in (first, second):
        world.must(BY_ID[contract.hoster], world.acknowledge(contract))
        assert world.draft.line_ups.get(b"") is None
    world.pass_blocks()
    fixed = world.line_up
    assert fixed.height == idle + 1 + 3
    assert len(fixed.contracts) == 2


def test_idle_times_bring_no_draw_forward():
    world = drawn()
    next_draw = world.draft.meta.next_draw
    world.must(OWNER, CancelPlan(plan=world.plan.plan))
    assert world.draft.roster(RosterName.ACTIVE_CONTRACTS) == ()
    world.pass_blocks()
    assert world.draft.meta.next_draw == next_draw > world.height
    world.pass_until(next_draw)
    assert world.draft.meta.next_draw == next_draw


def test_a_line_up_is_used_once():
    world = drawn()
    assert world.draft.line_ups.get(b"") is None
    world.must(OWNER, create_plan(world.library.key))
    world.pass_blocks(2)
    assert world.draft.line_ups.get(b"") is None


def test_a_line_up_holds_what_a_proof_can_carry(monkeypatch):
    monkeypatch.setattr(lottery, "ATTESTORS_MAXIMUM", 4)
    monkeypatch.setattr(lottery, "CONTRACTS_MAXIMUM", 1)
    world = planned()
    poor = ATTESTORS[2:4]
    for person in ATTESTORS:
        if person not in poor:
            world.state.commit(_with_stake(world, person))
    world.block(*(world.sign(BY_ID[c.hoster], world.acknowledge(c)) for c in world.contracts))
    fixed = world.line_up
    rich = sorted(person.id for person in ATTESTORS if person not in poor)
    assert [one.account for one in fixed.attestors] == rich
    assert len(fixed.contracts) == 1


def _with_stake(world, person):
    draft = world.draft
    key = b"a" + person.id
    draft.stakes.change(key, amount_base=3_000)
    draft.accounts.change(person.id, balance_base=world.balance(person) - 1_000)
    return draft


def test_of_too_many_contracts_each_has_its_turn(monkeypatch):
    monkeypatch.setattr(lottery, "CONTRACTS_MAXIMUM", 3)
    contracts = tuple(bytes([number]) * 32 for number in range(7))
    seen = set()
    for epoch in range(7):
        some = lottery._some(contracts, epoch)
        assert len(set(some)) == 3
        seen.update(some)
    assert seen == set(contracts)
    assert lottery._some(contracts[:3], 5) == contracts[:3]


def test_another_address_is_too_late_for_the_draw():
    # All at one address, of which two may sit in a committee: the draw has no three.
    world = lined_up()
    world.genesis = genesis(PARAMETERS.model_copy(update={"committee_per_address": 2}))
    moved = []
    for number, one in enumerate(ATTESTORS):
        endpoint = one.endpoint.model_copy(update={"host": f"10.0.{number}.1"})
        proof = claim_swarm_key(one.key(Use.SWARM), world.network, one.id)
        body = register(
            one,
            endpoint=endpoint,
            swarm_proof=proof,
            receipt_proof=claim_receipt_key(one.key(Use.RECEIPT), world.network, one.id),
        )
        moved.append(world.sign(one, body))
    assert not any(outcome.reason for outcome in world.block(*moved))
    world.pass_until(world.line_up.draw_height)
    assert world.draft.meta.open_challenges == ()
    # They are listed with the new ones the next time.
    world.pass_until(world.draft.meta.next_draw + 2)
    assert len(world.challenge.members) == 4


def test_the_largest_line_up_can_be_proven():
    """A proof carries records of 1 MiB at most, as does a snapshot."""
    attestor = LinedUpAttestor(
        account=bytes(32),
        signer=bytes(32),
        vrf_key=bytes(32),
        weight_base=MAX_INT,
        place=bytes(8),
    )
    largest = LineUp(
        height=MAX_INT,
        draw_height=MAX_INT,
        attestors=(attestor,) * lottery.ATTESTORS_MAXIMUM,
        contracts=(bytes(32),) * lottery.CONTRACTS_MAXIMUM,
    )
    assert len(encode(largest)) <= 1 << 20
