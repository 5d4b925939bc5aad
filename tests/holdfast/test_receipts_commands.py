"""`holdfast host receipts`: what a hoster has signed for."""

import json
from pathlib import Path

import pytest

from audit.messages import SignedReceipt
from hoster.receipt_store import ReceiptStore
from tests.audit.visits import LIBRARY, SERVED, receipt_over
from tests.e2e.commands import holdfast
from wire import zbase32
from wire.codec import decode

SIGNED = receipt_over(SERVED, sequence=2)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert holdfast("init", home=tmp_path).returncode == 0
    with ReceiptStore(tmp_path / "receipts.db") as store:
        store.keep(receipt_over(SERVED[:2], sequence=1))
        store.keep(SIGNED)
    return tmp_path


def test_the_last_of_each_session_is_listed(home):
    done = holdfast("host", "receipts", home=home)
    assert done.returncode == 0
    (line,) = done.stdout.strip().splitlines()
    assert f"{len(SERVED)} chunks" in line and zbase32.encode(LIBRARY.key)[:12] in line


def test_every_one_is_shown_as_json_and_of_one_feed(home):
    done = holdfast("host", "receipts", "--every", "--json", home=home)
    counts = [one["receipt"]["count"] for one in json.loads(done.stdout)["receipts"]]
    assert counts == [len(SERVED), 2]
    other = zbase32.encode(b"x" * 32)
    done = holdfast("host", "receipts", "--feed", other, "--json", home=home)
    assert json.loads(done.stdout) == {"receipts": []}


def test_they_are_exported_whole(home):
    file = home / "exported"
    assert holdfast("host", "receipts", "--export", file, home=home).returncode == 0
    data = file.read_bytes()
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    assert decode(SignedReceipt, data[4:]) == SIGNED


def test_a_home_without_any_says_what_makes_them(tmp_path):
    holdfast("init", home=tmp_path)
    done = holdfast("host", "receipts", home=tmp_path)
    assert done.returncode != 0
    assert "holdfast host run" in done.stderr and "Traceback" not in done.stderr


def test_a_feed_that_is_none_is_refused_in_a_line(home):
    done = holdfast("host", "receipts", "--feed", "nonsense", home=home)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
