"""A hoster's word on one session, which can be neither replayed nor lent."""

from dataclasses import replace

import pytest

from audit.faults import ReceiptsHeard
from audit.messages import Receipt
from audit.receipts import (
    CLOCK_SKEW_MS,
    ServedAccount,
    is_receipt_signed,
    is_timely,
    served_root,
)
from tests.audit.visits import BINDING, NETWORK, SERVED, SIGNER, VISIT_KEY, receipt_over
from wire import merkle
from wire.codec import decode, encode
from wire.errors import Malformed

RECEIPT = receipt_over(SERVED)


def test_both_sides_come_to_the_same_root():
    hoster, reader = ServedAccount(), ServedAccount()
    for count, entry in enumerate(SERVED, start=1):
        hoster.add(entry)
        reader.add(entry)
        assert hoster.root() == reader.root() == served_root(SERVED[:count])
        assert (hoster.count, hoster.bytes) == (count, sum(one.size for one in SERVED[:count]))


def test_an_account_of_nothing_has_the_empty_root():
    assert ServedAccount().root() == served_root(()) == merkle.EMPTY_ROOT


def test_the_root_tells_chunk_size_hash_digest_and_order_apart():
    entry = SERVED[0]
    roots = {
        served_root(tuple(entries))
        for entries in (
            [entry, SERVED[1]],
            [SERVED[1], entry],
            [entry],
            [entry, entry],
            [entry._replace(chunk=4)],
            [entry._replace(size=4)],
            [entry._replace(hash=b"w" * 32)],
            [entry._replace(digest=b"w" * 16)],
        )
    }
    assert len(roots) == 8


def test_a_receipt_says_what_was_served_and_where():
    receipt = RECEIPT.receipt
    assert (receipt.count, receipt.root) == (len(SERVED), served_root(SERVED))
    assert receipt.bytes == sum(entry.size for entry in SERVED)
    assert (receipt.hoster, receipt.peer, receipt.feed) == (
        BINDING.hoster,
        BINDING.peer,
        BINDING.feed,
    )
    assert ReceiptsHeard(BINDING, SIGNER.public).hear(encode(RECEIPT)) == RECEIPT


@pytest.mark.parametrize(
    "changes",
    [
        {"network": b"x" * 32},
        {"hoster": b"x" * 32},
        {"handshake_hash": b"x" * 64},
        {"peer": b"x" * 32},
        {"feed": b"x" * 32},
    ],
)
def test_a_receipt_is_good_in_its_own_session_only(changes):
    with pytest.raises(Malformed):
        ReceiptsHeard(replace(BINDING, **changes), SIGNER.public).hear(encode(RECEIPT))


def test_a_receipt_of_another_signer_is_no_receipt():
    with pytest.raises(Malformed, match="not signed"):
        ReceiptsHeard(BINDING, VISIT_KEY.public).hear(encode(RECEIPT))
    assert not is_receipt_signed(NETWORK, VISIT_KEY.public, RECEIPT)


def other_value(name):
    value = getattr(RECEIPT.receipt, name)
    return value + 1 if isinstance(value, int) else bytes(len(value))


@pytest.mark.parametrize("name", Receipt.model_fields)
def test_every_field_is_signed(name):
    receipt = RECEIPT.receipt.model_copy(update={name: other_value(name)})
    changed = RECEIPT.model_copy(update={"receipt": receipt})
    assert is_receipt_signed(NETWORK, SIGNER.public, RECEIPT)
    assert not is_receipt_signed(NETWORK, SIGNER.public, changed)


def test_a_receipt_is_timely_within_the_window_and_a_little_around_it():
    for time_ms, timely in (
        (1_000_000 - CLOCK_SKEW_MS - 1, False),
        (1_000_000 - CLOCK_SKEW_MS, True),
        (1_500_000, True),
        (2_000_000 + CLOCK_SKEW_MS, True),
        (2_000_000 + CLOCK_SKEW_MS + 1, False),
        (0, False),
    ):
        receipt = RECEIPT.receipt.model_copy(update={"time_ms": time_ms})
        assert is_timely(receipt, 1_000_000, 2_000_000) == timely


def test_receipts_travel_as_messages():
    assert decode(type(RECEIPT), encode(RECEIPT)) == RECEIPT
