"""What waits for a block, and what of it a block takes first."""

import pytest

from chain.mempool import MAX_PER_SENDER, Mempool
from chain.messages import SignedTransaction, Transfer
from chain.reasons import Reason
from tests.people import ATTESTORS, OWNER, STRANGER, Person
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
