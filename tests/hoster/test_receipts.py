"""The receipts of one session: when they are due, and what each is over."""

import pytest

from audit.entries import Entry
from audit.faults import ReceiptsHeard
from audit.messages import RECEIPT_EVERY_CHUNKS
from audit.receipts import SessionBinding, served_root
from hoster.receipts import ReceiptBook
from tests.people import HOSTERS, Library
from wire.codec import encode
from wire.keys import Use

HOSTER = HOSTERS[0]
LIBRARY = Library("library", 40)
KEY = HOSTER.key(Use.RECEIPT)
BINDING = SessionBinding(b"n" * 32, HOSTER.id, b"s" * 64, b"p" * 32, LIBRARY.key)


def book() -> ReceiptBook:
    return ReceiptBook(KEY, BINDING)


def serve(made: ReceiptBook, index: int) -> bool:
    return made.add(index, LIBRARY.nodes[2 * index].hash, LIBRARY.chunk(index))


def test_a_receipt_is_due_every_sixteen_chunks():
    made = book()
    due = []
    for index in range(40):
        if serve(made, index):
            due.append(index + 1)
            made.sign(fork=0, length=40, time_ms=1)
    assert due == [16, 32]
    assert (RECEIPT_EVERY_CHUNKS, made.unsigned) == (16, 8)


def test_a_receipt_stays_due_until_it_is_signed():
    made = book()
    due = [serve(made, index) for index in range(18)]
    assert due == [False] * 15 + [True] * 3
    made.sign(fork=0, length=40, time_ms=1)
    assert not serve(made, 18)


@pytest.mark.parametrize("count", [0, 1, 5, 16, 40])
def test_a_receipt_is_over_everything_served_so_far(count):
    made = book()
    served: list[Entry] = [LIBRARY.entry(index) for index in range(count)]
    for index in range(count):
        serve(made, index)
    signed = made.sign(fork=3, length=40, time_ms=77)
    receipt = signed.receipt
    assert ReceiptsHeard(BINDING, KEY.public).hear(encode(signed)) == signed
    assert (receipt.count, receipt.root) == (count, served_root(served))
    assert receipt.bytes == made.served_bytes == sum(entry.size for entry in served)
    assert (receipt.fork, receipt.length, receipt.time_ms) == (3, 40, 77)
    assert made.unsigned == 0


def test_receipts_are_numbered_from_one_and_cumulative():
    made = book()
    for number in range(1, 5):
        serve(made, number)
        receipt = made.sign(fork=0, length=40, time_ms=number).receipt
        assert (receipt.sequence, receipt.count) == (number, number)


def test_a_chunk_served_twice_counts_twice():
    made = book()
    for _ in range(2):
        serve(made, 7)
    assert made.sign(fork=0, length=40, time_ms=1).receipt.count == 2
