"""Two receipts that cannot both be true cost the hoster the collateral of a contract."""

import pytest

from audit.messages import SignedReceipt
from audit.receipts import CLOCK_SKEW_MS
from chain.bodies.faults import ReceiptFault
from chain.bodies.plans import CancelPlan
from chain.genesis import Parameters
from chain.reasons import Reason
from chain.records import RosterName, Table, stake_key
from tests.builders import World
from tests.chain.refusals import assert_refused
from tests.faults import claimed
from tests.people import ATTESTORS, BLOCK_MS, BY_ID, OWNER, STRANGER, Person, register
from tests.reports import make_receipt
from tests.stages import sealed, settled, staffed
from wire.keys import KeyPair, Use

COLLATERAL = 301


def hoster_of(world: World) -> Person:
    plan = world.visit_plans(world.members[0])[0]
    return BY_ID[world.draft.contracts.at(plan.contract).hoster]


def receipt(world: World, **changes: object) -> SignedReceipt:
    """Of the first visit of the first member."""
    member = world.members[0]
    plan = world.visit_plans(member)[0]
    return make_receipt(world, member, plan, [world.library.entry(3)], **changes)


def lie(world: World, **changes: object) -> ReceiptFault:
    key = hoster_of(world).key(Use.RECEIPT).public
    return ReceiptFault(key=key, first=receipt(world), second=receipt(world, count=9, **changes))


def show(world: World, finder: Person, body: ReceiptFault) -> None:
    world.must(finder, claimed(world, finder, body))


def stake_of(world: World, person: Person) -> tuple[int, int]:
    stake = world.draft.stakes.at(stake_key("hoster", person.id))
    return stake.amount_base, stake.locked_base


def balance(world: World, person: Person) -> int:
    return world.draft.accounts.at(person.id).balance_base


def test_a_lie_costs_the_contract_and_its_collateral_in_the_next_block():
    world = sealed()
    hoster, before = hoster_of(world), balance(world, STRANGER)
    staked, locked = stake_of(world, hoster)
    contract = next(one for one in world.contracts if one.hoster == hoster.id)
    show(world, STRANGER, lie(world))
    assert stake_of(world, hoster) == (staked, locked)
    world.pass_blocks()
    assert stake_of(world, hoster) == (staked - COLLATERAL, locked - COLLATERAL)
    assert balance(world, STRANGER) == before - 10 + COLLATERAL // 4
    assert world.draft.meta.burnt_base == COLLATERAL - COLLATERAL // 4
    assert world.draft.contracts.at(contract.contract).status == "ended"
    assert contract.contract not in world.draft.roster(RosterName.ACTIVE_CONTRACTS)


def test_who_has_its_contract_ended_in_that_block_pays_all_the_same():
    """A hoster's own plan can be cancelled in the very block in which the collateral is forfeit."""
    world = settled()
    hoster, before = hoster_of(world), balance(world, STRANGER)
    staked, _ = stake_of(world, hoster)
    show(world, STRANGER, lie(world))
    world.must(OWNER, CancelPlan(plan=world.plan.plan))
    assert {contract.status for contract in world.contracts} == {"ended"}
    assert stake_of(world, hoster) == (staked - COLLATERAL, 0)
    assert balance(world, STRANGER) == before - 10 + COLLATERAL // 4


def test_a_session_is_punished_once_and_another_again():
    world = sealed()
    show(world, STRANGER, lie(world))
    again = claimed(world, OWNER, lie(world, bytes=1))
    assert_refused(world, OWNER, again, Reason.ALREADY_CONVICTED)
    other = {"handshake_hash": b"x" * 64}
    body = ReceiptFault(
        key=hoster_of(world).key(Use.RECEIPT).public,
        first=receipt(world, **other),
        second=receipt(world, count=9, **other),
    )
    show(world, OWNER, body)


MEMORY_MS = 60_000


@pytest.fixture
def _short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Parameters, "evidence_ms", MEMORY_MS)


def false_sessions(world: World) -> list[bytes]:
    return [key for table, key in world.state.records if table is Table.FALSE_SESSION]


@pytest.mark.usefixtures("_short_memory")
def test_a_false_session_is_forgotten_when_nothing_can_prove_it_again():
    world = sealed()
    body = lie(world)
    show(world, STRANGER, body)
    proven, blocks = world.height, (MEMORY_MS + CLOCK_SKEW_MS) // BLOCK_MS
    world.pass_until(proven + blocks)
    assert len(false_sessions(world)) == 1
    assert_refused(world, OWNER, body, Reason.BAD_EVIDENCE)
    world.pass_blocks()
    assert false_sessions(world) == []
    assert_refused(world, OWNER, body, Reason.BAD_EVIDENCE)


@pytest.mark.usefixtures("_short_memory")
def test_when_blocks_come_faster_than_time_it_is_looked_at_again():
    world = sealed()
    show(world, STRANGER, lie(world))
    (session,) = false_sessions(world)
    until_ms = world.context().time_ms + 2 * MEMORY_MS
    draft = world.draft
    draft.false_sessions.change(session, until_ms=until_ms)
    world.state.commit(draft)
    while world.context().time_ms <= until_ms:
        world.block()
        assert false_sessions(world) == [session]
    world.block()
    assert false_sessions(world) == []


@pytest.mark.usefixtures("_short_memory")
def test_receipts_convict_for_a_time_by_the_newer_one():
    world = sealed()
    now, memory = world.context().time_ms, MEMORY_MS

    def shown(first_ms: int, second_ms: int) -> str:
        key = hoster_of(world).key(Use.RECEIPT).public
        first, second = receipt(world, time_ms=first_ms), receipt(world, count=9, time_ms=second_ms)
        body = claimed(world, STRANGER, ReceiptFault(key=key, first=first, second=second))
        signed = world.sign(STRANGER, body)
        return world.execute(signed).outcomes[0].reason

    assert shown(1, now - memory) == shown(now - memory, 1) == ""
    assert shown(1, now + CLOCK_SKEW_MS) == ""
    assert shown(now - memory - 1, 1) == Reason.BAD_EVIDENCE
    assert shown(1, now + CLOCK_SKEW_MS + 1) == Reason.BAD_EVIDENCE


def test_a_hoster_that_serves_the_feed_no_more_pays_from_what_it_has():
    world = sealed()
    hoster = hoster_of(world)
    show(world, STRANGER, lie(world))
    world.pass_blocks()
    staked, locked = stake_of(world, hoster)
    assert locked == 0
    other = {"handshake_hash": b"x" * 64}
    before = balance(world, OWNER)
    body = ReceiptFault(
        key=hoster.key(Use.RECEIPT).public,
        first=receipt(world, **other),
        second=receipt(world, count=9, **other),
    )
    show(world, OWNER, body)
    assert stake_of(world, hoster) == (staked - COLLATERAL, 0)
    assert balance(world, OWNER) == before - 10 + COLLATERAL // 4


def test_collateral_of_other_contracts_is_left_alone():
    world = sealed()
    hoster = hoster_of(world)
    draft = world.draft
    draft.stakes.change(stake_key("hoster", hoster.id), amount_base=COLLATERAL, unbonding_base=99)
    burnt = 2_000 - COLLATERAL - 99
    meta = draft.meta.model_copy(update={"burnt_base": draft.meta.burnt_base + burnt})
    draft.meta = meta
    contract = next(one for one in world.contracts if one.hoster == hoster.id)
    draft.contracts.change(contract.contract, feed=b"x" * 32)
    world.state.commit(draft)
    show(world, STRANGER, lie(world))
    stake = world.draft.stakes.at(stake_key("hoster", hoster.id))
    assert (stake.amount_base, stake.locked_base, stake.unbonding_base) == (COLLATERAL, 301, 0)


def test_an_old_key_answers_for_its_receipts_for_ever():
    world = sealed()
    hoster, body = hoster_of(world), lie(world)
    world.must(hoster, register(hoster, receipts=hoster.key(Use.RECEIPT, b"another")))
    show(world, STRANGER, body)


def test_who_stole_a_seed_has_nobody_slashed_with_it_after_the_rotation():
    world = sealed()
    hoster, body = hoster_of(world), lie(world)
    world.rotate(hoster, KeyPair(b"n" * 32))
    assert_refused(world, STRANGER, body, Reason.KEY_RETIRED)
    fresh = hoster.key(Use.RECEIPT, b"another")
    world.must(hoster, register(hoster, receipts=fresh))
    assert_refused(world, STRANGER, body, Reason.KEY_RETIRED)
    lies = (receipt(world, signer=fresh), receipt(world, signer=fresh, count=9))
    show(world, STRANGER, ReceiptFault(key=fresh.public, first=lies[0], second=lies[1]))


def test_a_key_of_nobody_convicts_nobody():
    world = sealed()
    body = lie(world).model_copy(update={"key": b"x" * 32})
    assert_refused(world, STRANGER, body, Reason.NOT_REGISTERED)


WRONG = {
    "by the hoster itself": (lie, True),
    "both can be true": (
        lambda world: lie(world).model_copy(update={"second": receipt(world)}),
        False,
    ),
    "with another account's key": (
        lambda world: lie(world).model_copy(update={"key": ATTESTORS[0].key(Use.RECEIPT).public}),
        False,
    ),
    "a hoster that is named by another": (
        lambda world: ReceiptFault(
            key=ATTESTORS[0].key(Use.RECEIPT).public,
            first=receipt(world, signer=ATTESTORS[0].key(Use.RECEIPT), count=1),
            second=receipt(world, signer=ATTESTORS[0].key(Use.RECEIPT), count=9),
        ),
        False,
    ),
}


@pytest.mark.parametrize(("make", "itself"), WRONG.values(), ids=WRONG)
def test_evidence_with_one_thing_wrong_is_refused(make, itself):
    world = sealed()
    sender = hoster_of(world) if itself else STRANGER
    assert_refused(world, sender, make(world), Reason.BAD_EVIDENCE)


def test_a_receipt_key_belongs_to_one_account_for_ever():
    world = staffed()
    one, other = ATTESTORS[0], ATTESTORS[1]
    key = one.key(Use.RECEIPT)
    assert_refused(world, other, register(other, receipts=key), Reason.KEY_TAKEN)
    world.must(one, register(one, receipts=one.key(Use.RECEIPT, b"another")))
    assert_refused(world, other, register(other, receipts=key), Reason.KEY_TAKEN)
    world.must(one, register(one))


def test_a_receipt_key_is_registered_only_by_who_has_it():
    world = staffed()
    for proof in (bytes(64), register(ATTESTORS[1]).receipt_proof, register(OWNER).swarm_proof):
        body = register(OWNER, receipts=ATTESTORS[0].key(Use.RECEIPT), receipt_proof=proof)
        assert_refused(world, OWNER, body, Reason.KEY_UNPROVEN)
