"""Who serves in the next term, and how service in the present one is counted."""

import pytest

from chain.bodies.coins import Stake, Unstake
from chain.bodies.validators import Delist
from chain.records import RosterName, Table
from chain.terms import COUNTED_VIEWS, NEXT, choice_delay
from tests.validators import (
    MANY,
    TERMS,
    candidate,
    end_term,
    fail_turns,
    fault,
    members,
    stand,
    world_of,
)

LEAST = TERMS.validator_stake_base
LONG = {"term_blocks": 37, "validator_unbonding_blocks": 80}
"""Terms of four members that one of them can fail in all along."""


def counters(world, person):
    record = candidate(world, person)
    return record.failed_views, record.turns


def end_term_with(world, **of):
    """End the term with these counters, by a person's place: (failed views, turns)."""
    world.pass_until(choice_height(world) - 1)
    above = world.draft
    for place, (failed, turns) in of.items():
        person = MANY[int(place[1:])]
        fields = {"turns": turns, "failed_views": failed}
        above.candidates.put(person.id, candidate(world, person).model_copy(update=fields))
    world.state.commit(above)
    end_term(world)


def choice_height(world):
    """The block at whose end the next set is chosen."""
    blocks = world.parameters.term_blocks
    return (world.height // blocks + 1) * blocks - choice_delay(world.parameters)


def join(world, person, stake_base=LEAST):
    world.must(person, stand(world, person))
    world.must(person, Stake(role="validator", amount_base=stake_base))


def committer(world, view):
    return next(p for p in MANY if p.id == world.draft.validators.committer(view).account)


def test_each_view_is_its_committers_turn():
    world = world_of(4)
    world.pass_blocks(8)
    assert [counters(world, person) for person in MANY[:4]] == [(0, 2)] * 4


def test_views_between_two_blocks_failed():
    world = world_of(4)
    world.pass_blocks()
    world.failing = 5  # views 2 to 6; the block is of view 7
    world.pass_blocks()
    got = {view: counters(world, committer(world, view)) for view in range(4)}
    assert got == {0: (1, 1), 1: (1, 2), 2: (2, 2), 3: (1, 2)}


def test_at_the_start_of_a_term_the_views_before_its_first_block_failed():
    world = world_of(4)
    end_term(world)
    assert world.view == 0
    world.failing = 3  # views 1 to 3
    world.pass_blocks()
    assert world.view == 4
    got = [counters(world, committer(world, view)) for view in range(4)]
    assert got == [(0, 1), (1, 1), (1, 1), (1, 1)]


def test_failed_views_beyond_a_thousand_are_not_counted():
    world = world_of(1)
    world.failing = COUNTED_VIEWS
    world.pass_blocks()
    assert counters(world, MANY[0]) == (COUNTED_VIEWS, COUNTED_VIEWS + 1)
    world.failing = 10**15
    world.pass_blocks()
    assert counters(world, MANY[0]) == (2 * COUNTED_VIEWS, 2 * (COUNTED_VIEWS + 1))


def test_a_new_term_has_a_new_number_a_new_seed_and_counts_anew():
    world = world_of(4)
    first = world.draft.validators
    world.failing = 5
    world.pass_blocks(9)
    assert world.draft.validators == first
    world.pass_blocks()
    second = world.draft.validators
    assert (world.height, second.term) == (10, 1)
    assert second.seed == world.draft.meta.beacon != first.seed
    assert members(world) == {*MANY[:4]}
    assert [counters(world, person) for person in MANY[:4]] == [(0, 0)] * 4
    world.pass_blocks(10)
    assert world.draft.validators.term == 2


def test_a_newcomer_serves_from_the_next_term_on():
    world = world_of(4)
    join(world, MANY[4])
    assert members(world) == {*MANY[:4]}
    end_term(world)
    assert members(world) == {*MANY[:5]}
    newcomer = world.draft.validators.place(candidate(world, MANY[4]).validator.key)
    assert world.draft.validators.members[newcomer] == candidate(world, MANY[4]).validator


def test_the_choice_is_made_before_its_seed_can_be_known():
    world = world_of(4)
    for person in MANY[4:7]:
        world.must(person, stand(world, person))
    world.pass_until(7)
    world.must(MANY[4], Stake(role="validator", amount_base=LEAST))
    assert world.height == choice_height(world_of(4)) == 8
    chosen = world.draft.get((Table.VALIDATORS, NEXT))
    assert (chosen.term, chosen.seed) == (1, bytes(32))
    late = [
        world.sign(MANY[5], Stake(role="validator", amount_base=LEAST)),
        world.sign(MANY[1], Delist()),
        world.sign(MANY[2], Unstake(role="validator", amount_base=LEAST)),
        world.sign(MANY[9], fault(world, MANY[3])),
    ]
    world.block(*late)
    assert world.draft.get((Table.VALIDATORS, NEXT)) == chosen
    world.pass_blocks()
    assert world.draft.validators.members == chosen.members
    assert members(world) == {*MANY[:5]}
    assert world.draft.get((Table.VALIDATORS, NEXT)) is None
    end_term(world)
    assert members(world) == {MANY[0], MANY[4], MANY[5]}


@pytest.mark.parametrize(
    ("term_blocks", "delay", "height"), [(2, 2, 1), (3, 2, 1), (4, 2, 2), (10, 7, 3), (10, 50, 1)]
)
def test_the_choice_lies_within_the_term(term_blocks, delay, height):
    more = {"unbonding_blocks": 100, "validator_unbonding_blocks": 200}
    world = world_of(4, term_blocks=term_blocks, draw_delay_blocks=delay, **more)
    world.pass_blocks(height)
    assert world.draft.get((Table.VALIDATORS, NEXT)) is not None
    world.pass_until(term_blocks)
    for _ in range(3 * term_blocks):
        world.pass_blocks()
    assert world.draft.validators.term == 4


def test_who_leaves_serves_until_the_term_is_over():
    world = world_of(4)
    world.must(MANY[1], Delist())
    world.must(MANY[2], Unstake(role="validator", amount_base=1))
    assert members(world) == {*MANY[:4]}
    end_term(world)
    assert members(world) == {MANY[0], MANY[3]}


def test_members_are_in_the_order_of_their_accounts():
    world = world_of(4)
    for more, person in enumerate(MANY[4:7]):
        join(world, person, LEAST + 7 * more % 5)
    end_term(world)
    end_term(world)
    accounts = [member.account for member in world.draft.validators.members]
    assert accounts == sorted(accounts) == sorted(person.id for person in MANY[:7])


def test_the_best_staked_serve_and_ties_go_by_account():
    world = world_of(4, validators_maximum=5)
    for person in MANY[4:8]:
        join(world, person)
    world.must(MANY[7], Stake(role="validator", amount_base=1))
    while world.draft.validators.term < 2:
        world.pass_blocks()
    by_account = sorted({*MANY[:7]}, key=lambda person: person.id)
    assert members(world) == {MANY[7], *by_account[:4]}


def test_who_failed_most_of_its_turns_is_jailed_and_returns():
    world = world_of(4, **LONG)
    fail_turns(world, MANY[2])
    end_term(world)
    jailed = candidate(world, MANY[2])
    assert jailed.jailed_until == 35 + TERMS.jail_blocks
    assert jailed.listed
    assert members(world) == {MANY[0], MANY[1], MANY[3]}
    end_term(world)
    assert members(world) == {*MANY[:4]}


def test_the_jail_holds_until_its_height():
    for blocks, free in ((10, True), (11, False)):
        world = world_of(4, jail_blocks=blocks)
        end_term_with(world, m2=(12, 12))
        assert MANY[2] not in members(world)
        end_term(world)
        assert (MANY[2] in members(world)) == free


@pytest.mark.parametrize(
    ("turns", "fails", "jailed"),
    [
        (9, 9, False),
        (10, 10, True),
        (10, 7, True),
        (12, 8, False),
        (12, 9, True),
    ],
)
def test_it_takes_ten_turns_and_more_than_two_thirds_of_them(turns, fails, jailed):
    world = world_of(4)
    end_term_with(world, m3=(fails, turns))  # the last view is not its turn
    assert (MANY[3] not in members(world)) == jailed


def test_no_more_than_a_third_are_jailed_and_the_worst_first():
    world = world_of(7)
    end_term_with(world, m1=(30, 30), m2=(25, 30), m4=(27, 30), m5=(20, 30))
    assert members(world) == {*MANY[:7]} - {MANY[1], MANY[4]}


def test_while_a_third_is_jailed_nobody_else_is():
    world = world_of(4, **LONG, jail_blocks=1_000)
    fail_turns(world, MANY[2])
    end_term(world)
    assert members(world) == {MANY[0], MANY[1], MANY[3]}
    end_term_with(world, m1=(99, 99))
    assert members(world) == {MANY[0], MANY[1], MANY[3]}
    assert candidate(world, MANY[1]).jailed_until == 0


def test_the_jail_never_grows_beyond_a_third_term_by_term():
    world = world_of(10, jail_blocks=1_000)
    for _ in range(4):
        end_term_with(world, **{f"m{place}": (99, 99) for place in range(10)})
    assert len(members(world)) == 7


def test_who_stepped_down_while_jailed_makes_room_for_another():
    world = world_of(4, jail_blocks=1_000)
    end_term_with(world, m2=(12, 12))
    world.must(MANY[2], Delist())
    end_term_with(world, m1=(12, 12))
    # Of three that serve none is spared: a quorum of three is all of them.
    assert members(world) == {MANY[0], MANY[1], MANY[3]}


def test_one_alone_is_never_jailed():
    world = world_of(1)
    for _ in range(9):
        world.failing = 90
        world.block()
    end_term(world)
    assert members(world) == {MANY[0]}


def test_when_nobody_qualifies_the_present_set_serves_on():
    world = world_of(4)
    world.block(*(world.sign(person, Delist()) for person in MANY[:4]))
    before = world.draft.validators
    end_term(world)
    after = world.draft.validators
    assert after.members == before.members
    assert (after.term, after.seed) == (1, world.draft.meta.beacon)
    world.must(MANY[5], stand(world, MANY[5]))
    world.must(MANY[5], Stake(role="validator", amount_base=LEAST))
    end_term(world)
    assert members(world) == {MANY[5]}


def test_the_last_that_qualifies_serves_alone():
    world = world_of(4)
    world.must(MANY[6], fault(world, MANY[1]))
    world.block(*(world.sign(person, Delist()) for person in MANY[2:4]))
    end_term(world)
    assert members(world) == {MANY[0]}


def test_a_slash_below_the_least_stake_ends_the_service_of_a_new_key_too():
    world = world_of(4)
    world.must(MANY[1], stand(world, MANY[1], MANY[8].account))
    world.must(MANY[6], fault(world, MANY[1]))
    world.must(MANY[1], stand(world, MANY[1], MANY[8].account))
    assert MANY[1].id not in world.draft.roster(RosterName.CANDIDATES)
    end_term(world)
    assert MANY[1] not in members(world)
