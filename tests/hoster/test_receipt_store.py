"""What a hoster keeps of its receipts, and for how long."""

import pytest

from audit.messages import SignedReceipt
from hoster.receipt_store import KEEP_DAYS, ReceiptStore
from tests.audit.visits import SERVED, receipt_over
from wire.errors import Malformed

DAY_MS = 86_400_000


def receipt(sequence: int, session: bytes = b"s", **changes: object) -> SignedReceipt:
    return receipt_over(SERVED, sequence=sequence, handshake_hash=session * 64, **changes)


def test_of_each_session_the_last_is_listed_and_every_one_is_kept(tmp_path):
    with ReceiptStore(tmp_path / "receipts.db") as store:
        kept = [receipt(1), receipt(1, b"t"), receipt(2), receipt(3)]
        for signed in kept:
            store.keep(signed)
        assert list(store.receipts()) == [kept[3], kept[1]]
        assert list(store.receipts(every=True)) == kept[::-1]
        assert list(store.receipts(every=True, limit=1)) == [kept[3]]
    with ReceiptStore(tmp_path / "receipts.db") as again:
        assert list(again.receipts(every=True)) == kept[::-1]


def test_receipts_of_one_feed_can_be_asked_for(tmp_path):
    with ReceiptStore(tmp_path / "receipts.db") as store:
        other = receipt(1, feed=b"x" * 32)
        store.keep(receipt(1))
        store.keep(other)
        assert list(store.receipts(b"x" * 32)) == [other]
        assert list(store.receipts(b"y" * 32)) == []


def test_a_month_is_kept_and_no_more_than_fits(tmp_path, monkeypatch):
    with ReceiptStore(tmp_path / "receipts.db") as store:
        for day in range(3):
            store.keep(receipt(day + 1, bytes([day]), time_ms=day * DAY_MS))
        store.prune((KEEP_DAYS + 1) * DAY_MS)
        assert [signed.receipt.sequence for signed in store.receipts()] == [3, 2]
        monkeypatch.setattr("hoster.receipt_store.MOST", 1)
        store.prune(0)
        assert [signed.receipt.sequence for signed in store.receipts()] == [3]


def test_it_prunes_as_it_goes(tmp_path, monkeypatch):
    monkeypatch.setattr("hoster.receipt_store.PRUNE_EVERY", 4)
    monkeypatch.setattr("hoster.receipt_store.MOST", 2)
    with ReceiptStore(tmp_path / "receipts.db") as store:
        for number in range(9):
            store.keep(receipt(number))
        assert len(list(store.receipts(every=True))) == 3


def test_another_programs_file_is_left_alone(tmp_path):
    path = tmp_path / "receipts.db"
    path.write_bytes(b"no database at all, but long enough to be looked at as one" * 9)
    with pytest.raises(Malformed, match="damaged"):
        ReceiptStore(path)
    assert path.read_bytes().startswith(b"no database")
