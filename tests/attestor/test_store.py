"""What an attestor remembers: the first word stays, and a damaged file says so."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from attestor.messages import CoinKept, FaultKept, ReportKept, VisitResult
from attestor.store import AttestorStore
from attestor.visit import skipped
from audit.plan import VisitPlan
from coinflip.messages import Echo, Equivocation, Signed
from wire.errors import HoldfastError, Malformed, Unavailable
from wire.primitives import blake2b_256

ONE, OTHER = b"1" * 32, b"2" * 32
CONTRACTS = b"c" * 32, b"d" * 32


def coin(value: bytes) -> CoinKept:
    return CoinKept(attempt=0, coin=value * 32, opening=b"opening")


def result(contract: bytes, planned: int = 1) -> VisitResult:
    plan = VisitPlan(contract, 0, tuple(range(planned)))
    return VisitResult(contract=contract, summary=skipped(plan), evidence=None)


def report(salt: bytes) -> ReportKept:
    return ReportKept(evidence=salt * 32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attestor.db"


@pytest.fixture
def store(path: Path) -> Iterator[AttestorStore]:
    with AttestorStore(path) as made:
        yield made


def test_nothing_is_known_at_first(store):
    assert store.coin(ONE) is None
    assert store.report(ONE) is None
    assert store.visits(ONE) == {}
    assert store.flip_log(b"topic") == []


def test_the_first_word_stays(store):
    store.keep_coin(ONE, coin(b"a"))
    store.keep_coin(ONE, coin(b"b"))
    assert store.coin(ONE) == coin(b"a")
    store.keep_visit(ONE, result(CONTRACTS[0], 1))
    store.keep_visit(ONE, result(CONTRACTS[0], 2))
    assert store.visits(ONE) == {CONTRACTS[0]: result(CONTRACTS[0], 1)}
    assert store.keep_report(ONE, report(b"s")) == report(b"s")
    assert store.keep_report(ONE, report(b"t")) == report(b"s"), "what was committed is opened"
    assert store.report(ONE) == report(b"s")


def test_all_is_there_after_a_restart(path):
    with AttestorStore(path) as store:
        store.keep_coin(ONE, coin(b"a"))
        store.keep_report(ONE, report(b"s"))
        for contract in CONTRACTS:
            store.keep_visit(ONE, result(contract))
        for entry in (b"first", b"second"):
            store.add_flip_entry(ONE, b"topic", entry)
    with AttestorStore(path) as store:
        assert store.coin(ONE) == coin(b"a")
        assert store.report(ONE) == report(b"s")
        assert set(store.visits(ONE)) == set(CONTRACTS)
        store.add_flip_entry(ONE, b"topic", b"third")
        assert store.flip_log(b"topic") == [b"first", b"second", b"third"]


def test_flips_keep_apart_and_in_order(store):
    for number in range(20):
        store.add_flip_entry(ONE, b"topic", bytes([number]))
        store.add_flip_entry(OTHER, b"other", bytes([number, number]))
    assert store.flip_log(b"topic") == [bytes([number]) for number in range(20)]
    assert store.flip_log(b"other") == [bytes([number, number]) for number in range(20)]


def test_a_settled_challenge_is_forgotten_but_for_its_report(store):
    for challenge, topic in ((ONE, b"topic"), (OTHER, b"other")):
        store.add_flip_entry(challenge, topic, b"word")
        store.keep_coin(challenge, coin(b"a"))
        store.keep_visit(challenge, result(CONTRACTS[0]))
        store.keep_report(challenge, report(b"s"))
    store.forget(ONE)
    assert (store.flip_log(b"topic"), store.visits(ONE)) == ([], {})
    assert store.report(ONE) == report(b"s")
    assert (len(store.flip_log(b"other")), len(store.visits(OTHER))) == (1, 1)
    store.forget(ONE)


def fault(accused: bytes, attempt: int = 0) -> FaultKept:
    said = Signed(sender=accused * 32, body=Echo(digest=ONE), signature=bytes(64))
    evidence = Equivocation(first=said, second=said)
    return FaultKept(attempt=attempt, accused=accused * 32, evidence=evidence)


def test_evidence_stays_until_the_chain_has_it(path):
    with AttestorStore(path) as store:
        assert store.keep_fault(ONE, fault(b"a"))
        assert not store.keep_fault(ONE, fault(b"a", 1)), "one conviction a member is enough"
        assert store.keep_fault(ONE, fault(b"b"))
        assert store.keep_fault(OTHER, fault(b"a"))
        store.forget(ONE)
    with AttestorStore(path) as store:
        assert store.faults(ONE) == [fault(b"a"), fault(b"b")]
        store.drop_fault(ONE, b"a" * 32)
        assert store.faults(ONE) == [fault(b"b")]
        assert store.faults(OTHER) == [fault(b"a")]


def test_a_challenge_is_unfinished_until_it_is_forgotten_and_its_evidence_gone(store):
    store.add_flip_entry(ONE, b"topic", b"word")
    store.add_flip_entry(ONE, b"later", b"word")
    store.keep_fault(ONE, fault(b"a"))
    store.keep_fault(OTHER, fault(b"a"))
    assert store.unfinished() == [ONE, OTHER]
    store.forget(ONE)
    assert store.unfinished() == [ONE, OTHER]
    store.drop_fault(ONE, b"a" * 32)
    assert store.unfinished() == [OTHER]


def test_a_file_of_the_version_before_is_brought_up_to_date(path):
    with AttestorStore(path) as store:
        store.keep_coin(ONE, coin(b"a"))
    with closing(sqlite3.connect(path)) as older:
        older.executescript("DROP TABLE fault; PRAGMA user_version = 1;")
    for _ in range(2):
        with AttestorStore(path) as store:
            assert store.coin(ONE) == coin(b"a")
            store.keep_fault(ONE, fault(b"a"))
            assert store.faults(ONE) == [fault(b"a")]


def test_a_file_that_is_no_database_is_named_and_left_alone(path):
    path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(Malformed, match=path.name):
        AttestorStore(path)
    assert path.read_bytes() == b"not a database at all" * 500


@pytest.mark.parametrize("mark", [0, 5])
def test_another_programs_database_is_left_alone(path, mark):
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (value)")
        other.execute(f"PRAGMA application_id = {mark}")
        other.commit()
    before = path.read_bytes()
    with pytest.raises(Malformed, match="another program"):
        AttestorStore(path)
    assert path.read_bytes() == before


def test_a_newer_versions_file_is_not_touched(path):
    AttestorStore(path).__exit__()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(Unavailable, match="newer version"):
        AttestorStore(path)


def test_a_damaged_page_is_told_of(path):
    with AttestorStore(path) as store:
        for number in range(400):
            store.keep_coin(blake2b_256(bytes([number & 255, number >> 8])), coin(b"a"))
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xaa" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(Malformed, match=path.name), AttestorStore(path) as store:
        store.coin(ONE)


@pytest.mark.parametrize("table", ["coin", "report", "visit", "fault"])
def test_a_record_that_rotted_is_told_of(path, table):
    with AttestorStore(path) as store:
        store.keep_coin(ONE, coin(b"a"))
        store.keep_report(ONE, report(b"s"))
        store.keep_visit(ONE, result(CONTRACTS[0]))
        store.keep_fault(ONE, fault(b"a"))
    column = {"coin": "coin", "report": "report", "visit": "result", "fault": "kept"}[table]
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"UPDATE {table} SET {column} = ?", (b"\xff\xff",))
        database.commit()
    with AttestorStore(path) as store:
        read = {
            "coin": store.coin,
            "report": store.report,
            "visit": store.visits,
            "fault": store.faults,
        }[table]
        with pytest.raises(Malformed, match=path.name):
            read(ONE)


def test_a_folder_that_is_not_there_is_told_of(tmp_path):
    with pytest.raises(Unavailable, match="cannot open"):
        AttestorStore(tmp_path / "none" / "attestor.db")


def test_a_file_that_another_holds_is_told_of(path, store):
    store.keep_coin(ONE, coin(b"a"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store._database.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(HoldfastError, match="try again"):
            store.keep_coin(OTHER, coin(b"b"))
        other.execute("ROLLBACK")
    store.keep_coin(OTHER, coin(b"b"))
    assert store.coin(OTHER) == coin(b"b")
