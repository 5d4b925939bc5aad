"""Whatever people do: coins are conserved, books agree with each other, and replay agrees.

A history is a list of numbers; each step picks what somebody does next, sensible or not.
"""

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from chain.bodies.challenges import CoinFault, CommitReport, ReportAbsent, ShowReveals
from chain.bodies.coins import Stake, Transfer, Unstake
from chain.bodies.data import AskData, Maintain
from chain.bodies.feeds import UpdateHead
from chain.bodies.hosting import Drain, Offer
from chain.bodies.plans import CancelPlan, PausePlan, ResumePlan, TopUpPlan
from chain.challenge_records import ChallengeRecord
from chain.hosting_records import DataRequest, Maintenance
from chain.records import (
    ContractRecord,
    PlanRecord,
    Registration,
    RosterName,
    StakeRecord,
    Table,
    stake_key,
)
from chain.state import State
from chain.transition import execute, genesis_state
from tests import asking
from tests.faults import FAULTS
from tests.people import (
    ATTESTORS,
    BY_ID,
    EVERYBODY,
    HOSTERS,
    OWNER,
    STRANGER,
    Library,
    create_plan,
    register,
)
from tests.reports import account_of
from tests.stages import drawn, funded, planned, staffed
from wire.codec import decode, digest, encode

HOW = {}
"""How the visits of a challenge went: what was committed must be opened."""

WAYS = ("served", "served", "served", "silent", "partial", "fault", "skipped")
LIBRARIES = [Library("library", length) for length in (40, 41, 50)]
STARTS = (funded, staffed, planned, drawn)


def pick(options, number):
    return options[number % len(options)]


def move_coins(world, one, two, three):
    if three % 3 == 0:
        return [(pick(EVERYBODY, one), Transfer(to=pick(EVERYBODY, two).id, amount_base=1 + two))]
    role, person = ("hoster", pick(HOSTERS, one)) if one % 2 else ("attestor", pick(ATTESTORS, one))
    kind = Stake if three % 3 == 1 else Unstake
    return [(person, kind(role=role, amount_base=1 + two * 37 % 3_000))]


def publish(world, one, two, three):
    library = pick(LIBRARIES, one)
    person = pick((OWNER, OWNER, STRANGER), two)
    if world.draft.feeds.get(library.key) is None:
        return [(person, library.publish(consent=library.consent(person)))]
    head = library.head(fork=three % 2)
    return [(person, UpdateHead(feed=library.key, head=head, source=person.endpoint))]


def change_registration(world, one, two, three):
    person = pick((*HOSTERS, *ATTESTORS), one)
    offer = Offer(capacity_bytes=1 + two * 500, price_base_per_gib=three)
    changes = {"operator": pick(("", "Acme"), two)}
    if person in HOSTERS:
        changes["offer"] = pick((None, offer), three)
    else:
        changes["attests"] = bool(three % 2)
    return [(person, register(person, **changes))]


def order(world, one, two, three):
    body = create_plan(
        LIBRARIES[0].key,
        replicas=1 + one % 3,
        epochs=1 + two % 2,
        price_base=1 + three * 13,
        start_height=pick((0, world.height + 3), two),
    )
    return [(pick((OWNER, OWNER, STRANGER), three), body)]


def cancel(world, one, two, three):
    plans = [plan for plan in records(world.state, PlanRecord) if plan.status != "ended"]
    if not plans:
        return []
    plan = pick(plans, one)
    owner = BY_ID[plan.owner] if three % 5 else STRANGER
    return [(owner, CancelPlan(plan=plan.plan))]


def top_up(world, one, two, three):
    """More epochs for a plan that lasts, or that does not."""
    plans = records(world.state, PlanRecord)
    if not plans:
        return []
    body = TopUpPlan(plan=pick(plans, one).plan, epochs=1 + two % 3)
    return [(pick(EVERYBODY, three), body)]


def rest(world, one, two, three):
    """Pause a plan, or have it go on."""
    plans = [plan for plan in records(world.state, PlanRecord) if plan.status != "ended"]
    if not plans:
        return []
    plan = pick(plans, one)
    kind = ResumePlan if (plan.status == "paused") == bool(two % 4) else PausePlan
    return [(BY_ID[plan.owner] if three % 5 else STRANGER, kind(plan=plan.plan))]


def acknowledge(world, one, two, three):
    contracts = records(world.state, ContractRecord)
    chosen = [contract for contract in contracts if contract.status in ("assigned", "active")]
    return [(BY_ID[one.hoster], world.acknowledge(one)) for one in chosen]


def drain(world, one, two, three):
    """A hoster leaves some of its contracts, or lets itself be listed again."""
    hoster = pick(HOSTERS, one)
    desk = world.draft.desks.get(hoster.id)
    leave = desk.contracts[two % 3 :][: three % 3] if desk else ()
    return [(hoster, Drain(on=bool(three % 2), leave=leave))]


def ask(world, one, two, three):
    """For chunks of a contract that is active, or is not."""
    contracts = records(world.state, ContractRecord)
    if not contracts:
        return []
    chunks = tuple(sorted({one % 41, two % 41, three % 41}))
    return [(pick(EVERYBODY, two), AskData(contract=pick(contracts, one).contract, chunks=chunks))]


def show(world, one, two, three):
    """Some or all of the chunks that a hoster was asked for, or another's answer."""
    requests = [each for each in records(world.state, DataRequest) if each.left]
    if not requests:
        return []
    request = pick(requests, one)
    chunks = request.left[: 1 + two % len(request.left)]
    hoster = BY_ID[request.hoster] if three % 5 else pick(HOSTERS, three)
    return [(hoster, *asking.answer(request, asking.shown(world, request, chunks)))]


def announce(world, one, two, three):
    """An absence of a hoster, in order or not."""
    soon = world.height + world.parameters.challenge_blocks
    body = Maintain(from_height=soon + one % 20 - 2, blocks=1 + two % 4)
    return [(pick(HOSTERS, three), body)]


def flip(world, one, two, three):
    if not focus(world, "flipping"):
        return []
    if one % 3:
        return [(STRANGER, world.seal())]
    silent = pick(world.members, two)
    body = ReportAbsent(
        challenge=world.challenge.challenge,
        attempt=world.challenge.attempt,
        absent=(silent.id,),
    )
    return [(member, body) for member in world.members if member is not silent]


def accuse(world, one, two, three):
    if not focus(world, pick(("flipping", "visiting", "opening"), three)):
        return []
    members = world.members
    accused, reporter = pick(members, one), pick(members, one + 1 + two % (len(members) - 1))
    body = CoinFault(
        challenge=world.challenge.challenge,
        attempt=world.challenge.attempt,
        evidence=pick(FAULTS, two)(world, accused),
    )
    return [(reporter, body)]


def visit(world, one, two, three):
    if not focus(world, "visiting"):
        return []
    bodies = []
    behave = HOW.get(world.challenge.challenge, how(one, two))
    for place, member in enumerate(world.members):
        parts = account_of(world, member, behave)
        junk = CommitReport(challenge=world.challenge.challenge, commitment=bytes(32))
        if (place + three) % 5:
            bodies.append((member, parts.commit(world, member)))
        elif three % 2:
            bodies.append((member, junk))
    HOW.setdefault(world.challenge.challenge, how(one, two))
    return bodies


def how(one, two):
    def behave(attestor, plan):
        return pick(WAYS, one + two * ATTESTORS.index(attestor) + plan.join_ppm)

    return behave


def conclude(world, one, two, three):
    if not focus(world, "opening"):
        return []
    if world.challenge.coin is None:
        silent = [place for place in range(len(world.members)) if (two >> place) & 1]
        return [(STRANGER, world.open_coin(silent=silent))]
    behave = HOW.get(world.challenge.challenge)
    if behave is None:
        return []
    parts = [(member, account_of(world, member, behave)) for member in world.members]
    return [
        (member, account.open(), account.sidecar)
        for place, (member, account) in enumerate(parts)
        if (place + three) % 4 or one % 2
    ]


def answer(world, one, two, three):
    """For some that the opening of the newest open coin left out."""
    asking = [c for c in records(world.state, ChallengeRecord) if c.unrevealed]
    if not asking:
        return []
    world.focus = asking[-1].challenge
    members = world.challenge.members
    asked = [members.index(one.member) for one in world.challenge.unrevealed]
    shown = asked[: 1 + one % len(asked)]
    body = ShowReveals(challenge=world.focus, reveals=world.reveals(*shown))
    return [(pick(EVERYBODY, two), body)]


def attest(world, one, two, three):
    """The next thing that the committee has to do, whichever it is."""
    if not focus(world, "visiting") or not world.challenge.commitments:
        return (
            flip(world, 1 + one // 100, two, three)
            or visit(world, one, two, three)
            or conclude(world, one, two, three)
        )
    world.pass_until(world.challenge.window_end)
    return conclude(world, one, two, three)


def focus(world, status):
    """Speak of an open challenge in this phase, if there is one."""
    for challenge in world.draft.meta.open_challenges:
        if world.draft.challenges.at(challenge).status == status:
            world.focus = challenge
            return True
    return False


def wait(world, one, two, three):
    world.pass_blocks(one % 6)
    return []


ACTIONS = (
    move_coins,
    publish,
    change_registration,
    order,
    top_up,
    top_up,
    rest,
    rest,
    drain,
    ask,
    ask,
    show,
    show,
    announce,
    cancel,
    acknowledge,
    acknowledge,
    flip,
    accuse,
    visit,
    conclude,
    answer,
    *[attest] * 8,
    wait,
)
STEPS = st.lists(
    st.tuples(st.sampled_from(ACTIONS), *[st.integers(0, 200)] * 3), min_size=5, max_size=50
)


def play(start, steps):
    world = start()
    HOW.clear()
    # The longest has all nodes of the shorter ones.
    world.libraries["library"] = LIBRARIES[-1]
    for action, *numbers in steps:
        nonces = Counter()
        signed = []
        for person, *body in action(world, *numbers):
            account = world.draft.accounts.at(person.id)
            if account.balance_base < 20 * (1 + nonces[person]):
                continue
            signed.append(world.sign(person, *body, nonce=account.nonce + nonces[person]))
            nonces[person] += 1
        # Every block of a world is recounted: see `World.block`.
        world.block(*signed)
        check_books(world)
    return world


def records(state, kind):
    return [record for record in state.records.values() if isinstance(record, kind)]


def check_books(world):
    """What different records say of the same thing must agree."""
    contracts = records(world.state, ContractRecord)
    serving = [contract for contract in contracts if contract.status in ("assigned", "active")]
    assert_stakes_agree(world, serving)
    for registration in records(world.state, Registration):
        mine = [contract for contract in serving if contract.hoster == registration.account]
        assert registration.hosted_bytes == sum(contract.bytes for contract in mine)
        desk = world.draft.desks.get(registration.account)
        assert sorted(desk.contracts if desk else ()) == sorted(one.contract for one in mine)
    active = sorted(
        one.contract
        for one in contracts
        if one.status == "active"
        and not one.is_over
        and world.draft.plans.at(one.plan).status == "running"
    )
    assert list(world.draft.roster(RosterName.ACTIVE_CONTRACTS)) == active
    for plan in records(world.state, PlanRecord):
        mine = [world.draft.contracts.at(contract) for contract in plan.contracts]
        due = sum(one.epochs_left + one.handed_on for one in mine if one in serving)
        owed = (due + sum(plan.vacancies)) * plan.price_base
        assert plan.escrow_base >= owed if plan.status != "ended" else plan.escrow_base == 0
        assert all(vacancy > 0 for vacancy in plan.vacancies)
        staying = [one for one in mine if one in serving and not one.leaving]
        assert len(staying) + len(plan.vacancies) <= plan.replicas
        shares = sum(sponsor.part_base for sponsor in plan.sponsors)
        assert shares > 0 and plan.escrow_base <= shares
        if plan.status in ("ending", "ended"):
            assert not plan.vacancies
            assert not any(contract.status == "assigned" for contract in mine)
        if plan.status == "paused":
            assert world.height < plan.ends_at
        if plan.status == "ending":
            assert any(contract.status == "active" for contract in mine)
    check_requests(world)
    opened = [c for c in records(world.state, ChallengeRecord) if c.status not in DONE]
    assert sorted(c.challenge for c in opened) == sorted(world.draft.meta.open_challenges)
    for challenge in records(world.state, ChallengeRecord):
        assert len(challenge.earlier) == challenge.attempt
        assert not set(challenge.members) & set(challenge.excluded) or challenge.status in DONE
        assert len(set(challenge.convicted)) == len(challenge.convicted)
        asked = [one.member for one in challenge.unrevealed]
        assert sorted(set(asked)) == asked and set(asked) <= set(challenge.members)
        assert challenge.coin is not None or not asked
    for table, key in world.state.records:
        assert table is not Table.DUE or int.from_bytes(key, "big") > world.height


def check_requests(world):
    """Each is open at its contract, or over; collateral waits for it, and so does its bond."""
    waiting = [each for each in records(world.state, DataRequest) if each.status in WAITING]
    for request in records(world.state, DataRequest):
        assert bool(request.bond_base) == (request in waiting and request.asker is not None)
        assert set(request.shown) < set(request.chunks) or request.status == "answered"
        assert request.status != "answered" or request.shown == request.chunks
    for request in waiting:
        contract = world.draft.contracts.at(request.contract)
        assert request.request in (contract.asked, contract.warned)
        assert request.status == "asked" or request.deadline > world.height
    asked = sum(each.size_bytes for each in waiting if each.asker is not None)
    assert world.draft.meta.asked_bytes == asked
    for contract in records(world.state, ContractRecord):
        open_here = [each.request for each in waiting if each.contract == contract.contract]
        named = [each for each in (contract.asked, contract.warned) if each is not None]
        assert sorted(open_here) == sorted(named)
        assert contract.status != "active" or contract.epochs_left or named
    for maintenance in records(world.state, Maintenance):
        absences = maintenance.absences
        assert all(one.until_height < two.from_height for one, two in pairwise(absences))


WAITING = ("asked", "open")
DONE = ("settled", "failed")


def assert_stakes_agree(world, serving):
    for (table, key), record in world.state.records.items():
        if table is not Table.STAKE:
            continue
        assert isinstance(record, StakeRecord)
        assert 0 <= record.locked_base <= record.amount_base
        assert record.unbonding_base >= 0
        collateral = sum(
            contract.collateral_base
            for contract in serving
            if stake_key("hoster", contract.hoster) == key
        )
        assert record.locked_base == collateral


@given(st.sampled_from(STARTS), STEPS)
@settings(max_examples=100)
def test_random_histories_conserve_coins_and_keep_the_books(start, steps):
    play(start, steps)


@given(st.sampled_from(STARTS), STEPS)
@settings(max_examples=25)
def test_replay_from_genesis_gives_the_same_state(start, steps):
    world = play(start, steps)
    state = genesis_state(world.genesis)
    for context, signed in world.blocks:
        received = decode(tuple[type(signed[0]), ...], encode(signed)) if signed else ()
        state.commit(execute(state, context, received).draft)
    assert state.root == world.state.root
    assert state.records == world.state.records


@given(st.sampled_from(STARTS), STEPS)
@settings(max_examples=25)
def test_the_state_as_stored_and_loaded_has_the_same_root(start, steps):
    world = play(start, steps)
    stored = {}
    for key, record in reversed(world.state.records.items()):
        stored[key] = decode(type(record), encode(record))
        assert digest(stored[key]) == digest(record)
    assert State.of(stored).root == world.state.root


def test_the_histories_reach_every_phase():
    """A whole life in one history, so that the generator above is known to be able to."""
    life = [
        (acknowledge, 0, 0, 0),
        (wait, 2, 0, 0),
        (flip, 1, 0, 0),
        (visit, 0, 0, 1),
        *[(wait, 5, 0, 0)] * 1,
        (conclude, 1, 0, 0),
        (conclude, 1, 0, 0),
        (wait, 5, 0, 0),
    ]
    world = play(planned, life)
    statuses = {challenge.status for challenge in records(world.state, ChallengeRecord)}
    assert "settled" in statuses
