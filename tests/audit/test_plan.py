"""Whom to visit, when, and which chunks: derived, spread, and known to nobody else."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.plan import Eligible, VisitPlan, _shuffled, draw_targets, plan_input, visit_plans
from tests.people import Person
from wire import vrf
from wire.keys import Use
from wire.primitives import blake2b_256

COIN = b"coin" * 8
COMMITTEE = [Person(f"member {number}") for number in range(10)]
ACCOUNTS = sorted(person.id for person in COMMITTEE)
PROOFS = {
    person.id: vrf.prove(person.key(Use.VRF), plan_input(b"n" * 32, b"h" * 32, COIN))
    for person in COMMITTEE
}


def target(name, length=1_000, samples=30, hoster=b"h" * 32, owner=b"o" * 32):
    return Eligible(blake2b_256(name.encode()), hoster, owner, length, samples)


def plans_of(attestor, targets, coin=COIN, committee=ACCOUNTS):
    return visit_plans(coin, committee, attestor, PROOFS[attestor], targets)


def test_the_plan_is_the_same_for_whoever_computes_it():
    targets = [target("a"), target("b")]
    assert plans_of(ACCOUNTS[0], targets) == plans_of(ACCOUNTS[0], targets)


def test_plans_stay_the_same_between_releases():
    (plan,) = plans_of(ACCOUNTS[0], [target("a", samples=4)])
    assert plan == VisitPlan(target("a").contract, 111867, (466, 81, 79, 127))


@pytest.mark.parametrize("length", [300, 301, 309, 310, 1_000, 99_999])
def test_members_of_a_committee_ask_for_different_chunks(length):
    feed = target("a", length=length)
    indices = [index for a in ACCOUNTS for index in plans_of(a, [feed])[0].indices]
    assert len(indices) == len(set(indices)) == 300
    assert all(0 <= index < length for index in indices)


@pytest.mark.parametrize("length", [1, 2, 29, 30, 31, 299])
def test_of_a_short_feed_each_asks_for_different_chunks_of_its_own(length):
    for account in ACCOUNTS:
        (plan,) = plans_of(account, [target("a", length=length)])
        assert len(set(plan.indices)) == len(plan.indices) == min(30, length)
        assert all(0 <= index < length for index in plan.indices)


@given(st.integers(1, 2_000), st.integers(1, 40), st.integers(2, 10))
@settings(max_examples=60)
def test_plans_are_within_the_feed_and_disjoint_where_it_allows(length, samples, members):
    committee = ACCOUNTS[:members]
    feed = target("a", length=length, samples=samples)
    indices = [plans_of(a, [feed], committee=committee)[0].indices for a in committee]
    for own in indices:
        assert len(set(own)) == len(own) == min(samples, length)
        assert all(0 <= index < length for index in own)
    if length >= members * samples:
        assert len(set(itertools.chain(*indices))) == members * samples


def test_the_requests_of_a_member_have_nothing_in_common():
    # A hoster that sees only numbers of one residue has found an attestor.
    for account in ACCOUNTS:
        (plan,) = plans_of(account, [target("a", length=100_000)])
        assert len({index % 10 for index in plan.indices}) > 5


@given(st.integers(1, 300), st.binary(min_size=32, max_size=32))
def test_the_shuffle_is_a_permutation(length, key):
    assert sorted(_shuffled(key, range(length), length)) == list(range(length))


def test_join_times_are_uniform_and_have_no_order():
    targets = [target(str(number), samples=1) for number in range(60)]
    times = [plan.join_ppm for a in ACCOUNTS for plan in plans_of(a, targets)]
    assert len(times) == 600
    assert all(0 <= time < 1_000_000 for time in times)
    for tenth in range(10):
        # 60 of 600 expected in each tenth; the sixth standard deviation is 44 away.
        inside = sum(tenth * 100_000 <= time < (tenth + 1) * 100_000 for time in times)
        assert 20 < inside < 105
    rising = sum(one < two for one, two in itertools.pairwise(times))
    assert 230 < rising < 370


def test_times_and_chunks_differ_by_member_target_and_coin():
    (one, two) = plans_of(ACCOUNTS[0], [target("a"), target("b")])
    (other,) = plans_of(ACCOUNTS[1], [target("a")])
    (later,) = plans_of(ACCOUNTS[0], [target("a")], coin=b"next" * 8)
    assert len({one.join_ppm, two.join_ppm, other.join_ppm}) == 3
    assert len({one.indices, two.indices, other.indices, later.indices}) == 4


def test_nobody_visits_itself_or_its_own_feed():
    me = ACCOUNTS[0]
    targets = [target("a"), target("b", hoster=me), target("c", owner=me), target("d")]
    assert [plan.contract for plan in plans_of(me, targets)] == [
        targets[0].contract,
        targets[3].contract,
    ]
    assert len(plans_of(ACCOUNTS[1], targets)) == 4


def test_targets_are_drawn_by_the_coin_without_repetition():
    eligible = [target(str(number)) for number in range(40)]
    drawn = draw_targets(COIN, eligible, 16)
    assert len({one.contract for one in drawn}) == 16
    assert drawn == draw_targets(COIN, eligible, 16)
    assert drawn != draw_targets(b"next" * 8, eligible, 16)


def test_all_targets_are_drawn_when_there_are_few():
    eligible = [target("a"), target("b")]
    assert sorted(one.contract for one in draw_targets(COIN, eligible, 16)) == sorted(
        one.contract for one in eligible
    )
    assert draw_targets(COIN, [], 16) == []


def test_every_target_has_the_same_chance():
    eligible = [target(str(number)) for number in range(10)]
    counts = dict.fromkeys((one.contract for one in eligible), 0)
    for number in range(400):
        for drawn in draw_targets(blake2b_256(number.to_bytes(2, "big")), eligible, 3):
            counts[drawn.contract] += 1
    # 120 expected, the standard deviation is 9.
    assert all(70 < count < 170 for count in counts.values())


def test_the_plan_input_binds_network_challenge_and_coin():
    inputs = {
        plan_input(network, challenge, coin)
        for network, challenge, coin in itertools.product((b"a" * 32, b"b" * 32), repeat=3)
    }
    assert len(inputs) == 8
