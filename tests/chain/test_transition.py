"""What a block does: envelopes, fees, refusals, and what its height brings."""

import pytest

from chain import money
from chain.bodies.coins import Stake, Transfer
from chain.challenges import lottery
from chain.fees import least_fee_base, with_least_fee
from chain.reasons import Reason
from chain.records import Account, Table
from chain.rules import transfer
from chain.state import Draft
from chain.transition import check_envelope, execute
from tests.builders import World
from tests.people import (
    ATTESTORS,
    BALANCE,
    HOSTERS,
    OWNER,
    PARAMETERS,
    STRANGER,
    VALIDATOR,
    Library,
    Person,
    create_plan,
    genesis,
)
from tests.reports import account_of
from tests.stages import coin_opened, drawn, funded, opening, planned, published
from wire.codec import decode, encode
from wire.errors import Rejected
from wire.primitives import blake2b_256

PAY = Transfer(to=STRANGER.id, amount_base=1)


def test_an_empty_block_moves_height_time_and_beacon():
    world = funded()
    before = world.draft.meta
    world.pass_blocks()
    meta = world.draft.meta
    context = world.context(1)
    assert (meta.height, meta.time_ms) == (1, context.time_ms)
    assert meta.beacon == lottery.next_beacon(before.beacon, context.vrf_output)
    assert set(world.state.records) == set(funded().state.records)


def test_a_transaction_pays_its_fee_to_the_blocks_writer_and_uses_its_nonce():
    world = funded()
    outcome, *_ = world.block(world.sign(OWNER, PAY, fee_base=25))
    assert outcome.reason == ""
    assert world.draft.accounts.at(OWNER.id) == Account(balance_base=BALANCE - 26, nonce=1)
    assert world.balance(VALIDATOR) == BALANCE + 25


def test_the_blocks_writer_pays_its_fee_to_itself():
    world = funded()
    world.must(VALIDATOR, PAY)
    assert world.balance(VALIDATOR) == BALANCE - 1


def test_a_refused_transaction_pays_its_fee_and_changes_nothing_else():
    world = funded()
    empty = world.fork()
    empty.pass_blocks()
    assert world.do(OWNER, Transfer(to=STRANGER.id, amount_base=BALANCE)) == "insufficient_balance"
    differing = {
        key for key in world.state.records if world.state.records[key] != empty.state.records[key]
    }
    assert differing == {(Table.ACCOUNT, OWNER.id), (Table.ACCOUNT, VALIDATOR.id)}
    assert world.draft.accounts.at(OWNER.id) == Account(balance_base=BALANCE - 10, nonce=1)


def test_transactions_of_a_block_apply_in_their_order():
    world = funded()
    rich = Transfer(to=STRANGER.id, amount_base=1_000)
    generous = Transfer(to=OWNER.id, amount_base=900)
    forth, back = world.sign(OWNER, rich), world.sign(STRANGER, generous)
    assert [outcome.reason for outcome in world.fork().block(forth, back)] == ["", ""]
    refused = [outcome.reason for outcome in world.block(back, forth)]
    assert refused == ["insufficient_balance", ""]


def test_several_transactions_of_one_sender_count_up():
    world = funded()
    world.block(*(world.sign(OWNER, PAY, nonce=number) for number in range(5)))
    assert world.draft.accounts.at(OWNER.id).nonce == 5


def envelope(world: World, person: Person = OWNER, pending: int = 0, **changes: object) -> None:
    signed = world.sign(person, PAY, **changes)
    check_envelope(world.draft, world.context(), signed, pending=pending)


GOOD_ENVELOPES = {
    "as it should be": {},
    "the least fee": {"fee_base": 10},
    "valid for this height only": {"valid_until": 4},
    "valid as long as allowed": {"valid_until": 4 + 50},
    "all coins as the fee": {"fee_base": BALANCE},
}

BAD_ENVELOPES = {
    "another network": ({"network": b"x" * 32}, Reason.WRONG_NETWORK),
    "a nonce ahead": ({"nonce": 1}, Reason.NONCE_AHEAD),
    "a fee below the least": ({"fee_base": 9}, Reason.FEE_TOO_LOW),
    "no fee": ({"fee_base": 0}, Reason.FEE_TOO_LOW),
    "expired": ({"valid_until": 3}, Reason.EXPIRED),
    "valid for too long": ({"valid_until": 55}, Reason.VALID_TOO_LONG),
    "valid for ever": ({"valid_until": 2**63 - 1}, Reason.VALID_TOO_LONG),
    "a fee above the balance": ({"fee_base": BALANCE + 1}, Reason.INSUFFICIENT_BALANCE),
}


@pytest.mark.parametrize("changes", GOOD_ENVELOPES.values(), ids=GOOD_ENVELOPES)
def test_a_good_envelope(changes):
    world = funded()
    world.pass_blocks(3)
    envelope(world, **changes)
    world.execute(world.sign(OWNER, PAY, **changes))


@pytest.mark.parametrize(("changes", "reason"), BAD_ENVELOPES.values(), ids=BAD_ENVELOPES)
def test_a_bad_envelope_may_be_in_no_block(changes, reason):
    world = funded()
    world.pass_blocks(3)
    for attempt in (
        lambda: envelope(world, **changes),
        lambda: world.execute(world.sign(OWNER, PAY, **changes)),
    ):
        with pytest.raises(Rejected) as refused:
            attempt()
        assert refused.value.reason is reason


def test_the_fee_grows_with_each_started_kib_of_transaction_and_evidence():
    world = coin_opened()
    member = world.members[0]
    parts = account_of(world, member)
    bodies = ((PAY, b""), (parts.open(), parts.sidecar), (world.open_coin(), b""))
    assert len(parts.sidecar) > 1_024
    world.genesis = genesis(PARAMETERS.model_copy(update={"fee_base_per_kib": 7}))
    for body, sidecar in bodies:
        size = len(encode(world.sign(member, body, sidecar).transaction)) + len(sidecar)
        least = 10 + 7 * (size // 1_024 + 1)
        with pytest.raises(Rejected) as refused:
            world.execute(world.sign(member, body, sidecar, fee_base=least - 1))
        assert refused.value.reason is Reason.FEE_TOO_LOW
        world.execute(world.sign(member, body, sidecar, fee_base=least))


@pytest.mark.parametrize("length", [0, 1, 700, 701, 702, 703, 704, 705, 1_024, 9_000, 1 << 20])
@pytest.mark.parametrize("per_kib", [0, 1, 13, 10**6])
def test_a_wallet_pays_the_least_fee(length, per_kib):
    parameters = funded().parameters.model_copy(update={"fee_base_per_kib": per_kib})
    transaction = funded().sign(OWNER, PAY, fee_base=0).transaction
    paid = with_least_fee(parameters, transaction, bytes(length))
    assert paid.fee_base == least_fee_base(parameters, paid, bytes(length))
    assert paid.model_copy(update={"fee_base": 0}) == transaction


def test_an_unknown_account_may_send_nothing():
    with pytest.raises(Rejected) as refused:
        envelope(funded(), Person("nobody"))
    assert refused.value.reason is Reason.UNKNOWN_ACCOUNT


def test_a_transaction_cannot_be_replayed():
    world = funded()
    signed = world.sign(OWNER, PAY)
    world.block(signed)
    with pytest.raises(Rejected) as refused:
        world.execute(signed)
    assert refused.value.reason is Reason.NONCE_USED
    with pytest.raises(Rejected):
        funded().execute(signed, signed)


def test_a_refused_transaction_cannot_be_replayed_either():
    world = funded()
    signed = world.sign(OWNER, Transfer(to=STRANGER.id, amount_base=BALANCE))
    world.block(signed)
    world.must(STRANGER, Transfer(to=OWNER.id, amount_base=10))
    with pytest.raises(Rejected):
        world.execute(signed)


def test_waiting_transactions_are_taken_to_come_first():
    world = funded()
    envelope(world, nonce=2, pending=2)
    for nonce, reason in ((1, Reason.NONCE_USED), (3, Reason.NONCE_AHEAD)):
        with pytest.raises(Rejected) as refused:
            envelope(world, nonce=nonce, pending=2)
        assert refused.value.reason is reason


def test_a_block_that_is_refused_leaves_the_state_as_it_was():
    world = funded()
    before = world.state.root
    with pytest.raises(Rejected):
        world.execute(world.sign(OWNER, PAY), world.sign(OWNER, PAY, nonce=9))
    assert world.state.root == before


def test_who_writes_a_block_leaves_out_what_it_may_not_hold():
    world = funded()
    spend = world.sign(OWNER, Transfer(to=STRANGER.id, amount_base=BALANCE - 10))
    broke = world.sign(OWNER, PAY, nonce=1)
    late = world.sign(STRANGER, PAY, valid_until=0)
    fine = world.sign(ATTESTORS[0], PAY)
    refused = world.sign(STRANGER, Transfer(to=OWNER.id, amount_base=2 * BALANCE))
    waiting = (spend, broke, late, fine, refused)
    with pytest.raises(Rejected):
        world.execute(*waiting)
    written = execute(world.state, world.context(), waiting, leave_out=True)
    assert written.transactions == (spend, fine, refused)
    reasons = [outcome.reason for outcome in written.outcomes]
    assert reasons == ["", "", "insufficient_balance"]


def test_only_a_report_brings_evidence():
    world = funded()
    signed = world.sign(OWNER, PAY, b"uninvited")
    assert world.execute(signed).outcomes[0].reason == Reason.UNEXPECTED_SIDECAR


def test_evidence_is_bound_to_its_transaction():
    world = coin_opened()
    member = world.members[0]
    parts = account_of(world, member)
    signed = world.sign(member, parts.open(), parts.sidecar)
    assert signed.is_signed()
    for sidecar in (b"", parts.sidecar + b"\x00"):
        assert not signed.model_copy(update={"sidecar": sidecar}).is_signed()
    pay = world.sign(OWNER, PAY)
    assert pay.is_signed()
    assert not pay.model_copy(update={"sidecar": b"uninvited"}).is_signed()


@pytest.mark.parametrize("field", ["network", "sender", "nonce", "fee_base", "valid_until", "body"])
def test_every_field_is_signed(field):
    signed = funded().sign(OWNER, PAY)
    transaction = signed.transaction
    value = {
        "network": b"x" * 32,
        "sender": STRANGER.id,
        "body": Transfer(to=STRANGER.id, amount_base=2),
    }.get(field, 7)
    changed = transaction.model_copy(update={field: value})
    assert changed.id != transaction.id
    assert not signed.model_copy(update={"transaction": changed}).is_signed()


def test_transactions_travel_as_messages():
    world = coin_opened()
    parts = account_of(world, world.members[0])
    library = Library("library", 40)
    for signed in (
        world.sign(OWNER, PAY),
        world.sign(OWNER, library.publish()),
        world.sign(world.members[0], parts.open(), parts.sidecar),
        world.sign(STRANGER, world.open_coin()),
    ):
        assert decode(type(signed), encode(signed)) == signed


def test_every_record_reads_as_it_was_written():
    world = coin_opened()
    for record in world.state.records.values():
        assert decode(type(record), encode(record)) == record


def test_what_is_drawn_does_not_depend_on_the_block_itself():
    # The writer of a block sees the coins in it: they may not move what it draws.
    world = opening()
    world.must(OWNER, create_plan(world.library.key, start_height=world.height + 2))
    with_coin, without = world.fork(), world.fork()
    with_coin.must(STRANGER, world.open_coin())
    without.pass_blocks()
    assert with_coin.plan.contracts == without.plan.contracts != ()
    hosters = [contract.hoster for contract in with_coin.contracts]
    assert hosters == [contract.hoster for contract in without.contracts]
    assert with_coin.draft.meta.beacon != without.draft.meta.beacon


def test_two_executions_of_a_block_agree():
    world = drawn()
    signed = (world.sign(STRANGER, world.seal()), world.sign(OWNER, PAY))
    one, other = world.execute(*signed), world.execute(*signed)
    assert one.outcomes == other.outcomes
    assert one.draft.changes == other.draft.changes
    assert one.draft.tree == other.draft.tree


def test_coins_that_appear_stop_the_process(monkeypatch):
    world = funded()
    draft = Draft(world.state)
    money.credit(draft, OWNER.id, 1)
    with pytest.raises(AssertionError, match="supply"):
        money.assert_conserved(draft)
    draft = Draft(world.state)
    draft.accounts.change(OWNER.id, balance_base=-1)
    draft.accounts.change(STRANGER.id, balance_base=100 + BALANCE + 1)
    with pytest.raises(AssertionError, match="would hold -1"):
        money.assert_conserved(draft)


def test_a_block_that_makes_coins_stops_the_process(monkeypatch):
    def mint(draft, sender, body):
        money.credit(draft, body.to, body.amount_base)

    monkeypatch.setattr(transfer, "apply", mint)
    world = funded()
    with pytest.raises(AssertionError, match="supply by 1"):
        world.execute(world.sign(OWNER, PAY))


def test_things_fall_due_in_the_order_they_were_put():
    world = published()
    bodies = [create_plan(world.library.key, replicas=1, start_height=world.height + 3)] * 2
    nonce = world.draft.accounts.at(OWNER.id).nonce
    world.block(*(world.sign(OWNER, body, nonce=nonce + i) for i, body in enumerate(bodies)))
    world.pass_blocks(2)
    plans = [world.draft.plans.at(plan) for plan in world.draft.feeds.at(world.library.key).plans]
    assert all(plan.status == "running" for plan in plans)


def test_what_fell_due_leaves_no_record():
    world = planned()
    world.pass_blocks(3 * world.parameters.acknowledge_blocks)
    heights = [
        int.from_bytes(key, "big") for table, key in world.state.records if table is Table.DUE
    ]
    assert all(height > world.height for height in heights)


def test_a_fee_can_be_all_there_is():
    world = funded()
    signed = world.sign(STRANGER, PAY, fee_base=100)
    assert world.block(signed)[0].reason == "insufficient_balance"
    assert world.balance(STRANGER) == 0


def test_every_role_can_act_in_one_block():
    world = published()
    outcomes = world.block(
        world.sign(OWNER, create_plan(world.library.key)),
        world.sign(HOSTERS[0], Stake(role="hoster", amount_base=5)),
        world.sign(ATTESTORS[0], Stake(role="attestor", amount_base=5)),
        world.sign(STRANGER, PAY),
    )
    assert not any(outcome.reason for outcome in outcomes)
    assert world.execute().outcomes == ()


def test_a_name_is_the_digest_of_the_unsigned_transaction():
    signed = funded().sign(OWNER, PAY)
    assert signed.transaction.id == blake2b_256(encode(signed.transaction))
    other = signed.model_copy(update={"signature": bytes(64)})
    assert other.transaction.id == signed.transaction.id


def test_a_plans_id_is_its_transactions():
    world = published()
    signed = world.sign(OWNER, create_plan(world.library.key))
    world.block(signed)
    assert world.plan.plan == signed.transaction.id
