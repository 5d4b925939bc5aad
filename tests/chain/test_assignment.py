"""Who hosts what: assigned, replaced and released."""

from collections import Counter

import pytest

from chain.assignment import ranked
from chain.bodies.coins import Stake, Unstake
from chain.bodies.hosting import Offer
from chain.records import Desk, RosterName, Table, stake_key
from chain.rules import create_plan as create_plan_rule
from tests.asking import answer_warnings
from tests.builders import World
from tests.people import (
    BY_ID,
    HOSTERS,
    OFFER,
    OWNER,
    PARAMETERS,
    STRANGER,
    create_plan,
    register,
)
from tests.stages import drawn, planned, play, published

SIZE = sum(len(f"chunk {number} of this library") for number in range(40))


def offering(world: World, person, **changes: object) -> None:
    offer = Offer(capacity_bytes=1 << 30, price_base_per_gib=1_000)
    world.must(person, register(person, offer=offer.model_copy(update=changes)))


def start(world: World, **changes: object) -> World:
    world.must(OWNER, create_plan(world.library.key, **changes))
    world.pass_blocks()
    return world


def assigned(world: World) -> list[str]:
    return sorted(
        str(BY_ID[contract.hoster]) for contract in world.contracts if contract.status == "assigned"
    )


def locked(world: World, hoster: bytes) -> int:
    return world.draft.stakes.at(stake_key("hoster", hoster)).locked_base


def acknowledge(world: World, number: int) -> None:
    contract = world.contracts[number]
    world.must(BY_ID[contract.hoster], world.acknowledge(contract))


def test_each_replica_gets_a_hoster_of_its_own():
    world = planned()
    one, other = world.contracts
    assert one.hoster != other.hoster
    for contract in (one, other):
        assert (contract.status, contract.head, contract.collateral_base) == ("assigned", None, 0)
        assert (contract.epochs_left, contract.bytes, contract.samples) == (3, SIZE, 3)
        assert contract.acknowledge_by == world.height + world.parameters.acknowledge_blocks
        assert world.draft.desks.at(contract.hoster) == Desk(contracts=(contract.contract,))
        assert world.draft.registrations.at(contract.hoster).hosted_bytes == SIZE
    assert (world.plan.status, world.plan.vacancies) == ("running", ())


def test_the_beacon_chooses_among_hosters():
    chosen = set()
    for wait in range(12):
        world = published()
        world.pass_blocks(wait)
        chosen.update(assigned(start(world, replicas=1)))
    assert chosen == {str(hoster) for hoster in HOSTERS}


def test_to_leave_when_the_seed_is_known_moves_the_others_up_and_nothing_else():
    # Each subset of hosters that leaves would be another draw, were the list only shuffled.
    for wait in range(6):
        world = published()
        world.pass_blocks(wait)
        orders = []
        for leaving in (None, *HOSTERS):
            late = world.fork()
            late.must(OWNER, create_plan(late.library.key, replicas=3))
            # The seed of the next block is known; its assignment is the last of all.
            if leaving is None:
                late.pass_blocks()
            else:
                late.must(leaving, register(leaving, offer=None))
            orders.append([contract.hoster for contract in late.contracts])
        everybody = orders[0]
        for leaving, order in zip(HOSTERS, orders[1:], strict=True):
            assert order == [hoster for hoster in everybody if hoster != leaving.id]


def test_the_rank_of_a_hoster_is_its_own():
    hosters = [bytes([number]) * 32 for number in range(40)]
    seed = b"s" * 32
    order = ranked(seed, hosters)
    assert sorted(order) == hosters and order != hosters
    assert order == ranked(seed, hosters[::-1])
    assert ranked(seed, hosters[::3]) == [one for one in order if one in hosters[::3]]
    assert order != ranked(b"t" * 32, hosters)
    firsts = Counter(ranked(number.to_bytes(32, "big"), hosters[:4])[0] for number in range(1_000))
    # Each of four is first 250 times, give or take five standard deviations of 14.
    assert all(180 < firsts[hoster] < 320 for hoster in hosters[:4])


def late(world: World, what: str) -> None:
    """The first hoster is as it will be but for one thing, for long enough."""
    hoster = HOSTERS[0]
    match what:
        case "an offer":
            world.must(hoster, register(hoster, offer=None))
        case "another offer":
            world.must(
                hoster, register(hoster, offer=OFFER.model_copy(update={"capacity_bytes": 9}))
            )
        case "another operator":
            world.must(hoster, register(hoster, operator="Acme"))
        case "stake":
            world.must(hoster, Unstake(role="hoster", amount_base=2_000))
    world.pass_blocks(world.parameters.registration_lag_blocks)


@pytest.mark.parametrize("what", ["an offer", "another offer", "another operator", "stake"])
def test_who_comes_when_the_seed_is_known_comes_too_late(what):
    hoster = HOSTERS[0]
    stake = Stake(role="hoster", amount_base=2_000)
    body = stake if what == "stake" else register(hoster)
    lag = PARAMETERS.registration_lag_blocks
    for early in range(lag + 1):
        world = published()
        late(world, what)
        world.must(hoster, body)
        assert hoster.id in world.draft.roster(RosterName.HOSTERS)
        world.pass_blocks(early)
        start = world.height + 1
        world.state.commit(due_now(world, start))
        world.pass_blocks()
        # Registered at `start - 1 - early`.
        assert (str(hoster) in assigned(world)) == (early + 1 >= lag)


def due_now(world: World, height: int):
    """A plan that starts with the block at `height`, as if it had been made long ago."""
    draft = world.draft
    create_plan_rule.apply(
        draft,
        world.context(height - 1),
        OWNER.id,
        b"p" * 32,
        create_plan(world.library.key, replicas=3),
    )
    return draft


def test_more_replicas_than_hosters_leave_vacancies():
    world = start(published(), replicas=5)
    assert len(world.contracts) == 3
    assert world.plan.vacancies == (3, 3)


def test_accounts_of_one_operator_never_serve_a_plan_twice():
    world = published()
    for hoster in HOSTERS[:2]:
        world.must(hoster, register(hoster, operator="Acme"))
    start(world, replicas=3)
    assert len(world.contracts) == 2
    operators = [world.draft.registrations.at(c.hoster).operator for c in world.contracts]
    assert sorted(operators) == ["", "Acme"]


def test_accounts_that_name_no_operator_are_not_taken_for_one():
    assert len(start(published(), replicas=3).contracts) == 3


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({"capacity_bytes": SIZE}, True),
        ({"capacity_bytes": SIZE - 1}, False),
        ({"price_base_per_gib": 10_000 * (1 << 30) // SIZE}, True),
        ({"price_base_per_gib": 10_000 * (1 << 30) // SIZE + 1}, False),
        ({"price_base_per_gib": 0}, True),
    ],
)
def test_an_offer_must_have_the_room_and_the_price(changes, fits):
    world = published()
    offering(world, HOSTERS[0], **changes)
    start(world, replicas=3)
    assert (str(HOSTERS[0]) in assigned(world)) == fits


def test_what_is_hosted_already_counts_against_the_capacity():
    world = published()
    for hoster in HOSTERS:
        offering(world, hoster, capacity_bytes=SIZE)
    start(world, replicas=2)
    start(world, replicas=2)
    assert len(world.contracts) == 1
    assert world.plan.vacancies == (3,)


def test_nobody_hosts_its_own_plan():
    world = published()
    world.must(HOSTERS[0], create_plan(world.library.key, replicas=3))
    world.pass_blocks()
    assert assigned(world) == [str(hoster) for hoster in HOSTERS[1:]]


def test_a_hoster_without_stake_is_not_assigned():
    world = published()
    world.must(STRANGER, register(STRANGER, offer=Offer(capacity_bytes=SIZE, price_base_per_gib=1)))
    start(world, replicas=5)
    assert str(STRANGER) not in assigned(world)


def test_who_does_not_acknowledge_in_time_is_replaced_without_a_penalty():
    world = planned()
    acknowledge(world, 0)
    lapsing = world.contracts[1]
    stake = world.draft.stakes.at(stake_key("hoster", lapsing.hoster))
    world.pass_until(lapsing.acknowledge_by)
    _, lapsed, successor = world.contracts
    assert (lapsed.status, successor.status) == ("lapsed", "assigned")
    assert successor.hoster not in (lapsed.hoster, world.contracts[0].hoster)
    assert successor.epochs_left == 3
    assert world.draft.stakes.at(stake_key("hoster", lapsed.hoster)) == stake
    assert world.draft.registrations.at(lapsed.hoster).hosted_bytes == 0
    assert world.draft.desks.at(lapsed.hoster) == Desk()


def test_an_acknowledged_contract_does_not_lapse():
    world = planned()
    acknowledge(world, 0)
    world.pass_until(world.contracts[0].acknowledge_by + 1)
    assert world.contracts[0].status == "active"


def test_a_hoster_that_failed_a_plan_is_not_asked_again():
    world = start(published(), replicas=1)
    for _ in range(4):
        world.pass_until(world.contracts[-1].acknowledge_by)
    hosters = [contract.hoster for contract in world.contracts]
    assert len(hosters) == len(set(hosters)) == 3
    assert world.plan.vacancies == (3,)


def test_vacancies_are_offered_again_when_there_are_new_hosters():
    world = published()
    for hoster in HOSTERS:
        world.must(hoster, register(hoster, offer=None))
    start(world, replicas=1)
    assert world.plan.vacancies == (3,)
    retry_at = world.plan.retry_at
    assert retry_at == world.height + world.parameters.acknowledge_blocks
    world.must(HOSTERS[1], register(HOSTERS[1]))
    world.pass_until(retry_at - 1)
    assert world.contracts == []
    world.pass_blocks()
    assert assigned(world) == [str(HOSTERS[1])]


def test_a_vacancy_is_not_filled_by_the_operator_of_another_replica():
    world = published()
    for hoster in HOSTERS[:2]:
        world.must(hoster, register(hoster, operator="Acme"))
    start(world, replicas=2)
    first, second = world.contracts
    lone = first if first.hoster == HOSTERS[2].id else second
    kept = world.contracts.index(second if lone is first else first)
    acknowledge(world, kept)
    world.pass_until(lone.acknowledge_by)
    assert world.draft.contracts.at(lone.contract).status == "lapsed"
    assert len(world.contracts) == 2
    assert world.plan.vacancies == (3,)


def test_one_look_at_a_plans_vacancies_is_due_at_a_time():
    world = start(published(), replicas=9)
    world.pass_until(world.contracts[0].acknowledge_by)
    due = [
        item
        for (table, _), record in world.state.records.items()
        if table is Table.DUE
        for item in record.items
        if item.kind == "assign"
    ]
    assert len(due) == 1


def test_a_plan_with_a_vacancy_goes_on_when_a_contract_is_served():
    world = published()
    for hoster in HOSTERS[1:]:
        world.must(hoster, register(hoster, offer=None))
    start(world, replicas=2, epochs=1)
    acknowledge(world, 0)
    play(world)
    assert world.contracts[0].status == "ended"
    assert (world.plan.status, world.plan.vacancies) == ("running", (1,))
    assert world.plan.escrow_base == 10_000
    world.must(HOSTERS[1], register(HOSTERS[1]))
    world.pass_until(world.plan.retry_at)
    acknowledge(world, 1)
    play(world)
    assert (world.plan.status, world.plan.escrow_base) == ("ended", 0)


def test_vacancies_are_looked_at_once_each_time():
    world = start(published(), replicas=9)
    for _ in range(3):
        retry_at = world.plan.retry_at
        world.pass_until(retry_at)
        assert world.plan.retry_at == retry_at + world.parameters.acknowledge_blocks


def test_a_plan_that_is_served_ends_and_returns_what_is_left():
    world = drawn()
    before = world.balance(OWNER)
    for epoch in range(3):
        assert [contract.epochs_left for contract in world.contracts] == [3 - epoch] * 2
        play(world)
    plan = world.plan
    assert (plan.status, plan.escrow_base) == ("ended", 0)
    # All shares of six served epochs were paid out: 700 000 + 250 000 + 50 000 ppm.
    assert world.balance(OWNER) == before
    for contract in world.contracts:
        assert (contract.status, contract.collateral_base) == ("ended", 0)
        assert contract.earned_base == 3 * 7_000
        assert locked(world, contract.hoster) == 0
        assert world.draft.registrations.at(contract.hoster).hosted_bytes == 0
        assert world.draft.desks.at(contract.hoster) == Desk()
    assert world.draft.roster(RosterName.ACTIVE_CONTRACTS) == ()


def test_what_silence_saves_returns_to_the_owner():
    world = drawn()
    before = world.balance(OWNER)
    for _ in range(3):
        play(world, lambda attestor, plan: "silent")
        answer_warnings(world)
    assert world.plan.status == "ended"
    # Each epoch of each contract cost the validators' 500 and four quarters of 625.
    assert world.balance(OWNER) == before + 60_000 - 6 * (500 + 4 * 156)


def faulty(world: World, number: int):
    contract = world.contracts[number].contract
    return lambda attestor, plan: "fault" if plan.contract == contract else "served"


def test_a_proven_fault_costs_the_collateral_and_the_contract():
    world = drawn()
    accused = world.contracts[0]
    burnt = world.draft.meta.burnt_base
    provers = world.members
    before = {prover: world.balance(prover) for prover in provers}
    play(world, faulty(world, 0))
    contract, other, successor = world.contracts
    assert (contract.status, contract.collateral_base, contract.earned_base) == ("ended", 0, 0)
    assert (other.status, successor.status) == ("active", "assigned")
    assert successor.epochs_left == 2
    assert successor.hoster not in (accused.hoster, other.hoster)
    stake = world.draft.stakes.at(stake_key("hoster", accused.hoster))
    assert (stake.amount_base, stake.locked_base) == (2_000 - 301, 0)
    # Half of 301 shared by four is 37 each; all else is burnt.
    assert world.draft.meta.burnt_base == burnt + 301 - 4 * 37
    for prover in provers:
        paid = 2 * 625 + 37 - 2 * 10
        assert world.balance(prover) == before[prover] + paid


def test_a_hoster_whose_stake_is_slashed_below_the_least_is_not_assigned_again():
    world = drawn()
    accused = BY_ID[world.contracts[0].hoster]
    draft = world.draft
    draft.stakes.change(stake_key("hoster", accused.id), amount_base=1_300)
    draft.accounts.change(accused.id, balance_base=world.balance(accused) + 700)
    world.state.commit(draft)
    play(world, faulty(world, 0))
    assert accused.id not in world.draft.roster(RosterName.HOSTERS)
    world.must(accused, Stake(role="hoster", amount_base=1))
    assert accused.id in world.draft.roster(RosterName.HOSTERS)


def test_a_fault_in_the_last_epoch_leaves_nothing_to_serve():
    world = published()
    before = world.balance(OWNER)
    start(world, replicas=1, epochs=1)
    acknowledge(world, 0)
    play(world, faulty(world, 0))
    plan = world.plan
    assert (plan.status, plan.vacancies, plan.escrow_base) == ("ended", (), 0)
    assert len(world.contracts) == 1
    assert world.contracts[0].epochs_left == 0
    # Not paid to the hoster: 7 000 of the 10 000 came back.
    assert world.balance(OWNER) == before - 10 - 3_000


def test_a_fault_in_the_last_epoch_of_one_leaves_the_others_their_plan():
    world = published()
    start(world, replicas=2, epochs=1)
    for number in range(2):
        acknowledge(world, number)
    # The first acknowledgement drew a challenge for the first contract alone.
    play(world, faulty(world, 0))
    assert [contract.status for contract in world.contracts] == ["ended", "active"]
    assert world.plan.status == "running"
    play(world)
    assert world.plan.status == "ended"


def test_a_replacement_serves_only_what_is_left():
    world = drawn()
    play(world, faulty(world, 0))
    acknowledge(world, 2)
    while world.plan.status == "running":
        play(world)
    epochs = [contract.epochs_left for contract in world.contracts]
    assert epochs == [2, 0, 0]
    assert [contract.earned_base for contract in world.contracts] == [0, 21_000, 14_000]
    assert world.plan.escrow_base == 0
