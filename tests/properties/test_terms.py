"""Whatever validators do: there is a set that can serve, coins are conserved, replay agrees."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from chain.bodies.coins import Stake, Transfer, Unstake
from chain.bodies.validators import Delist
from chain.records import RosterName, Table, stake_key
from chain.state import State
from chain.terms import COUNTED_VIEWS, choice_delay
from chain.transition import execute, genesis_state
from chain.validators import MAX_VALIDATORS, ends_term, term_of
from tests.validators import MANY, TERMS, fault, stand, world_of
from wire.codec import decode, encode
from wire.keys import KeyPair

SHORT = dict(TERMS.model_copy(update={"term_blocks": 3, "jail_blocks": 4, "validators_maximum": 6}))


def pay(world, person, other, amount):
    return Transfer(to=other.id, amount_base=1 + amount)


def stake(world, person, other, amount):
    return Stake(role="validator", amount_base=1 + amount * 40)


def unstake(world, person, other, amount):
    return Unstake(role="validator", amount_base=1 + amount * 40)


def enlist(world, person, other, amount):
    pair = KeyPair(bytes([amount % 5]) * 32) if amount % 3 == 0 else None
    return stand(world, person, pair)


def delist(world, person, other, amount):
    return Delist()


def accuse(world, person, other, amount):
    return fault(world, other)


def fail(world, person, other, amount):
    world.failing = amount * amount // 7


STEPS = st.lists(
    st.tuples(
        st.sampled_from((pay, stake, stake, unstake, enlist, enlist, delist, accuse, fail, fail)),
        *[st.integers(0, len(MANY) - 1)] * 2,
        st.integers(0, 200),
    ),
    max_size=60,
)


def play(count, steps):
    world, members = world_of(count, **SHORT), []
    for action, one, two, amount in steps:
        person = MANY[one]
        body = action(world, person, MANY[two], amount)
        validators = world.draft.validators
        skipped = world.failing
        turns = turns_of(world)
        # Every block of a world is recounted: see `World.block`.
        world.block(*([world.sign(person, body)] if body else []))
        check_counters(world, validators, turns, min(skipped, COUNTED_VIEWS))
        check_set(world, validators, members)
    return world


def turns_of(world):
    return Counter(
        {
            key: record.turns
            for (table, key), record in world.state.records.items()
            if table is Table.CANDIDATE
        }
    )


def check_counters(world, validators, before, skipped):
    """A block brings its own view and those that failed, or ends the term."""
    now = turns_of(world)
    if world.draft.validators.term == validators.term:
        assert now.total() == before.total() + skipped + 1
    else:
        assert not now.total()
    for (table, _), record in world.state.records.items():
        if table is Table.CANDIDATE:
            assert record.failed_views <= record.turns


def check_set(world, before, members):
    """The set follows its rule, and the records agree with each other.

    `members` holds who is to serve in the next term, once that is known.
    """
    present, draft = world.draft.validators, world.draft
    term_blocks = world.parameters.term_blocks
    assert present.term == term_of(world.height + 1, term_blocks)
    assert 1 <= len(present.members) <= MAX_VALIDATORS
    assert len({member.account for member in present.members}) == len(present.members)
    assert len({member.key for member in present.members}) == len(present.members)
    if present.term == before.term:
        assert present == before
    else:
        assert present.seed == draft.meta.beacon
        assert present.members == members.pop()
    if ends_term(world.height + choice_delay(world.parameters), term_blocks):
        members.append(rightly_chosen(world) or present.members)


def rightly_chosen(world):
    """Who ought to be chosen now, found another way than by the rule's own code."""
    draft = world.draft
    rows = sorted(
        (-draft.stakes.at(stake_key("validator", account)).amount_base, account)
        for account in draft.roster(RosterName.CANDIDATES)
        if draft.candidates.at(account).jailed_until <= world.height
    )
    assert all(-amount >= world.parameters.validator_stake_base for amount, _ in rows)
    accounts = sorted(account for _, account in rows[: world.parameters.validators_maximum])
    members = tuple(draft.candidates.at(account).validator for account in accounts)
    for member in members:
        key = draft.validator_keys.at(member.key)
        assert (key.account, key.convicted) == (member.account, False)
    return members


@given(st.integers(1, 7), STEPS)
@settings(max_examples=60, deadline=None)
def test_random_histories_keep_a_set_that_follows_its_rule(count, steps):
    play(count, steps)


@given(st.integers(1, 7), STEPS)
@settings(max_examples=15, deadline=None)
def test_replay_from_genesis_gives_the_same_state(count, steps):
    world = play(count, steps)
    state = genesis_state(world.genesis)
    for context, signed in world.blocks:
        received = decode(tuple[type(signed[0]), ...], encode(signed)) if signed else ()
        state.commit(execute(state, context, received).draft)
    assert state.root == world.state.root
    stored = {
        key: decode(type(record), encode(record))
        for key, record in reversed(world.state.records.items())
    }
    assert State.of(stored).root == world.state.root
