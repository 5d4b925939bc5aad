"""What waits for a block, and what of it a block takes first."""

import pytest

from chain.bodies.coins import Transfer
from chain.ledger import Ledger
from chain.messages import SignedTransaction
from chain.node import mempool
from chain.node.mempool import MAX_PER_SENDER, Mempool
from chain.reasons import Reason
from tests.chain.test_ledger import proposal
from tests.people import ATTESTORS, OWNER, STRANGER, Person, genesis
from tests.stages import funded
from wire.codec import encode
from wire.errors import Rejected, Unavailable

ONE, TWO, THREE = ATTESTORS[:3]
MEBIBYTE = 1 << 20


def pay(person: Person, fee_base: int, nonce: int = 0, sidecar: bytes = b"") -> SignedTransaction:
    body = Transfer(to=STRANGER.id, amount_base=1)
    return funded().sign(person, body, sidecar, fee_base=fee_base, nonce=nonce)


def pool(*waiting: SignedTransaction) -> Mempool:
    made = Mempool()
    for signed in waiting:
        made.add(signed, lambda signed, pending: None)
    return made


def test_the_highest_fee_per_byte_comes_first():
    small, middle, large = pay(ONE, 20), pay(TWO, 30), pay(THREE, 3_000, sidecar=bytes(100_000))
    for order in ((small, middle, large), (large, middle, small), (middle, large, small)):
        assert pool(*order).select(10, MEBIBYTE) == (middle, small, large)


def test_a_large_fee_for_a_large_transaction_is_a_small_one():
    dear = pay(ONE, 3_000, sidecar=bytes(100_000))
    dearer = pay(TWO, 300_000, sidecar=bytes(100_000))
    plain = pay(THREE, 20)
    assert pool(dear, dearer, plain).select(10, MEBIBYTE) == (dearer, plain, dear)


def test_a_senders_transactions_stay_in_their_order():
    first, second = pay(ONE, 20), pay(ONE, 10**6, nonce=1)
    between = pay(TWO, 30)
    assert pool(first, second, between).select(10, MEBIBYTE) == (between, first, second)
    assert pool(first, second, between).select(2, MEBIBYTE) == (between, first)


def test_each_transaction_counts_for_itself_and_not_for_those_behind_it():
    first, second = pay(ONE, 30), pay(ONE, 10, nonce=1)
    other = pay(TWO, 20)
    assert pool(first, second, other).select(10, MEBIBYTE) == (first, other, second)


def test_what_does_not_fit_holds_back_its_sender_and_nobody_else():
    large, behind = pay(ONE, 10**6, sidecar=bytes(10_000)), pay(ONE, 10**6, nonce=1)
    other = pay(TWO, 10)
    room = len(encode(large)) - 1
    assert pool(large, behind, other).select(10, room) == (other,)
    assert pool(large, behind, other).select(10, room + 1) == (large,)


def test_the_same_pool_selects_the_same_whatever_came_first():
    equal = [pay(person, 10) for person in (ONE, TWO, THREE)]
    chosen = pool(*equal).select(2, MEBIBYTE)
    assert pool(*reversed(equal)).select(2, MEBIBYTE) == chosen


def test_adding_twice_changes_nothing():
    signed = pay(ONE, 10)
    made = pool(signed, signed)
    assert len(made) == 1
    assert made.select(10, MEBIBYTE) == (signed,)


def test_one_sender_cannot_fill_the_pool():
    made = pool(*(pay(OWNER, 10, nonce) for nonce in range(MAX_PER_SENDER)))
    with pytest.raises(Unavailable):
        made.add(pay(OWNER, 10, MAX_PER_SENDER), lambda signed, pending: None)
    made.add(pay(ONE, 10), lambda signed, pending: None)


def test_what_a_block_held_is_forgotten_and_what_no_longer_fits_as_well():
    held, spoilt, other = pay(ONE, 10), pay(ONE, 10, nonce=1), pay(TWO, 10)
    made = pool(held, spoilt, other)

    def refuse(signed: SignedTransaction, pending: int) -> None:
        raise Rejected(Reason.INSUFFICIENT_BALANCE)

    made.settle((held,), 1, refuse)
    assert made.select(10, MEBIBYTE) == (other,)


def admits(signed: SignedTransaction, pending: int) -> None:
    """A ledger that takes everything."""


def test_the_pool_holds_so_many_and_no_more(monkeypatch):
    monkeypatch.setattr(mempool, "MAX_WAITING", 3)
    made = pool(pay(ONE, 10), pay(TWO, 10), pay(THREE, 10))
    with pytest.raises(Unavailable, match="full"):
        made.add(pay(OWNER, 10), admits)
    made.settle((pay(ONE, 10),), 1, admits)
    made.add(pay(OWNER, 10), admits)
    assert len(made) == 3


def test_the_pool_holds_so_many_bytes_and_no_more(monkeypatch):
    large = pay(ONE, 10, sidecar=bytes(10_000))
    monkeypatch.setattr(mempool, "MAX_BYTES", len(encode(large)) + 100)
    made = pool(large)
    with pytest.raises(Unavailable, match="full"):
        made.add(pay(TWO, 10, sidecar=bytes(10_000)), admits)
    made.settle((large,), 1, admits)
    made.add(pay(TWO, 10, sidecar=bytes(10_000)), admits)


def test_what_is_not_admitted_takes_no_room():
    made = pool(pay(ONE, 10))

    def refuse(signed: SignedTransaction, pending: int) -> None:
        raise Rejected(Reason.FEE_TOO_LOW)

    for nonce in range(3):
        with pytest.raises(Rejected):
            made.add(pay(TWO, 10, nonce), refuse)
    assert len(made) == 1
    assert pay(TWO, 10).transaction.id not in made
    assert made.select(10, MEBIBYTE) == (pay(ONE, 10),)


def test_a_sender_is_asked_about_with_what_waits_before_it():
    asked: list[int] = []
    made = Mempool()
    for nonce in range(3):
        made.add(pay(ONE, 10, nonce), lambda _, pending: asked.append(pending))
    made.add(pay(TWO, 10), lambda _, pending: asked.append(pending))
    assert asked == [0, 1, 2, 0]


# what replaces, and what makes room


def test_a_transaction_gives_way_to_one_that_pays_a_tenth_more():
    made = Mempool()
    ledger = Ledger(genesis(), funded().state, None)
    cheap, behind = pay(ONE, 100), pay(ONE, 10, nonce=1)
    for signed in (cheap, behind):
        made.add(signed, ledger.check)
    with pytest.raises(Rejected, match="110 would replace it") as refused:
        made.add(pay(ONE, 109), ledger.check)
    assert refused.value.reason is Reason.NONCE_USED
    assert made.add(cheap, ledger.check) == cheap.transaction.id
    dear = pay(ONE, 110)
    made.add(dear, ledger.check)
    assert cheap.transaction.id not in made
    assert made.select(10, MEBIBYTE) == (dear, behind)


def test_what_would_replace_must_not_pay_less_by_the_byte():
    made = pool(pay(ONE, 100))
    with pytest.raises(Rejected):
        made.add(pay(ONE, 200, sidecar=bytes(100_000)), admits)


def test_what_the_ledger_refuses_replaces_nothing():
    made = pool(pay(ONE, 100))

    def refuse(signed: SignedTransaction, pending: int) -> None:
        raise Rejected(Reason.BAD_SIGNATURE)

    with pytest.raises(Rejected):
        made.add(pay(ONE, 200), refuse)
    assert made.select(10, MEBIBYTE) == (pay(ONE, 100),)


def test_a_full_pool_lets_the_cheapest_end_of_a_queue_go(monkeypatch):
    monkeypatch.setattr(mempool, "MAX_WAITING", 4)
    first, second = pay(ONE, 10), pay(ONE, 40, nonce=1)
    made = pool(first, second, pay(TWO, 20), pay(THREE, 30))
    made.add(pay(OWNER, 50), admits)
    assert made.select(10, MEBIBYTE) == (pay(OWNER, 50), pay(THREE, 30), first, second)
    made.add(pay(OWNER, 50, nonce=1), admits)
    assert pay(THREE, 30).transaction.id not in made
    made.add(pay(TWO, 50), admits)
    assert second.transaction.id not in made, "the end of a queue goes before what it needs"
    made.add(pay(TWO, 50, nonce=1), admits)
    assert first.transaction.id not in made
    with pytest.raises(Unavailable, match="full"):
        made.add(pay(THREE, 50), admits)


def test_nobody_makes_room_for_itself_by_its_own_queue(monkeypatch):
    monkeypatch.setattr(mempool, "MAX_WAITING", 2)
    first, second = pay(ONE, 10), pay(ONE, 10, nonce=1)
    made = pool(first, second)
    with pytest.raises(Unavailable, match="full"):
        made.add(pay(ONE, 10**6, nonce=2), admits)
    assert made.select(10, MEBIBYTE) == (first, second)


def test_a_large_transaction_takes_the_room_of_several_or_of_none(monkeypatch):
    small = [pay(person, 10, sidecar=bytes(1_000)) for person in (ONE, TWO, THREE)]
    monkeypatch.setattr(mempool, "MAX_BYTES", 3 * len(encode(small[0])))
    made = pool(*small)
    with pytest.raises(Unavailable, match="full"):
        made.add(pay(OWNER, 10**6, sidecar=bytes(5_000)), admits)
    assert len(made) == 3
    made.add(pay(OWNER, 10**6, sidecar=bytes(2_000)), admits)
    assert len(made) == 2


# what stands in blocks that are not final


def test_what_stands_in_blocks_below_is_left_out_and_what_follows_it_is_not():
    first, second, third = (pay(ONE, 10, nonce) for nonce in range(3))
    other = pay(TWO, 20)
    made = pool(first, second, third, other)
    below = frozenset((first.transaction.id, other.transaction.id))
    assert made.select(10, MEBIBYTE, below) == (second, third)
    assert made.select(10, MEBIBYTE) == (other, first, second, third)


def test_what_a_lost_block_held_comes_first_and_in_its_order():
    rich = pay(OWNER, 10**6)
    lost = (pay(TWO, 10), pay(ONE, 20), pay(TWO, 10, nonce=1))
    made = pool(rich, lost[1])
    made.give_back(lost, admits)
    assert made.select(10, MEBIBYTE) == (*lost, rich)
    made.give_back(lost, admits)
    assert len(made) == 4
    made.settle(lost[:1], 1, admits)
    assert made.select(10, MEBIBYTE) == (*lost[1:], rich)


def test_what_is_given_back_waits_for_what_its_nonce_needs():
    first, second = pay(ONE, 10), pay(ONE, 10, nonce=1)
    made = pool(first, second, pay(TWO, 20))
    made.give_back((second,), admits)
    assert made.select(10, MEBIBYTE) == (first, second, pay(TWO, 20))


def test_what_is_final_or_was_replaced_is_not_given_back():
    world = funded()
    ledger = Ledger(genesis(), world.state, None)
    final, replaced, dearer = pay(ONE, 10), pay(TWO, 10), pay(TWO, 20)
    made = Mempool()
    made.add(dearer, ledger.check)
    ledger.commit(ledger.propose(ledger.root, proposal(1), (final,)))
    made.give_back((final, replaced, pay(THREE, 10, nonce=5)), ledger.check_again)
    assert made.select(10, MEBIBYTE) == (dearer,)


def test_a_full_pool_takes_back_what_a_lost_block_held(monkeypatch):
    monkeypatch.setattr(mempool, "MAX_WAITING", 2)
    made = pool(pay(ONE, 100), pay(TWO, 200))
    made.give_back((pay(THREE, 10),), admits)
    assert made.select(10, MEBIBYTE) == (pay(THREE, 10), pay(TWO, 200))
    made.give_back((pay(OWNER, 10),), admits)
    assert made.select(10, MEBIBYTE) == (pay(THREE, 10), pay(OWNER, 10))
    with pytest.raises(Unavailable, match="full"):
        made.add(pay(ONE, 10**6), admits)


def test_a_gap_in_the_nonces_is_not_admitted():
    made = Mempool()
    ledger = Ledger(genesis(), funded().state, None)
    with pytest.raises(Rejected) as refused:
        made.add(pay(ONE, 10, nonce=1), ledger.check)
    assert refused.value.reason is Reason.NONCE_AHEAD


def test_what_is_settled_can_be_known_by_its_name_no_more():
    one, two = pay(ONE, 10), pay(TWO, 10)
    made = pool(one, two)
    assert one.transaction.id in made
    made.settle((one,), 1, admits)
    assert one.transaction.id not in made
    assert two.transaction.id in made
    made.settle((one, two), 2, admits)
    assert len(made) == 0
    assert made.select(10, MEBIBYTE) == ()


@pytest.mark.parametrize("expiring", [0, 1, 2])
def test_what_expires_goes_and_so_does_what_needs_its_nonce(expiring):
    lives = [3 if nonce == expiring else 40 for nonce in range(3)]
    world = funded()
    one = Ledger(genesis(), world.state, None)
    waiting = [
        world.sign(ONE, Transfer(to=STRANGER.id, amount_base=1), nonce=nonce, valid_until=life)
        for nonce, life in enumerate(lives)
    ]
    made = Mempool()
    for signed in waiting:
        made.add(signed, one.check)
    for height in range(1, 4):
        one.commit(one.propose(one.root, proposal(height), ()))
        made.settle((), height, one.check)
        assert len(made) == (3 if height < 3 else expiring)
    assert made.select(10, MEBIBYTE) == tuple(waiting[:expiring])


def test_what_its_sender_can_no_longer_pay_for_goes():
    world = funded()
    one = Ledger(genesis(), world.state, None)
    rich = world.balance(ONE)
    spend = world.sign(ONE, Transfer(to=STRANGER.id, amount_base=rich - 15), nonce=0)
    behind = world.sign(ONE, Transfer(to=STRANGER.id, amount_base=1), nonce=1)
    made = Mempool()
    for signed in (spend, behind):
        made.add(signed, one.check)
    prepared = one.propose(one.root, proposal(1), made.select(1, MEBIBYTE))
    one.commit(prepared)
    made.settle((spend,), 1, one.check)
    assert len(made) == 0
