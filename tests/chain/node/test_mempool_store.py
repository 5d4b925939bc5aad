"""What a node accepted is there after it was killed, whatever became of the file's end."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from chain.bodies.coins import Transfer
from chain.ledger import Ledger
from chain.messages import SignedTransaction
from chain.node.mempool import Mempool
from chain.node.mempool_store import MAGIC, MempoolStore
from tests.chain.pool_victim import kill_after, restart
from tests.chain.test_ledger import proposal
from tests.people import ATTESTORS, OWNER, STRANGER, genesis
from tests.stages import funded
from wire.codec import encode
from wire.errors import Unavailable

NETWORK = genesis().network


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chain.pool"


def pay(nonce: int = 0, sidecar: bytes = b"") -> SignedTransaction:
    return funded().sign(OWNER, Transfer(to=STRANGER.id, amount_base=1), sidecar, nonce=nonce)


def write(path: Path, *accepted: SignedTransaction) -> None:
    store, _ = MempoolStore.open(path, NETWORK)
    store.rewrite(())
    store.append(accepted)
    store.close()


def read(path: Path) -> list[SignedTransaction]:
    store, found = MempoolStore.open(path, NETWORK)
    store.close()
    return found


def test_what_was_accepted_comes_back_in_its_order(path):
    accepted = [pay(nonce) for nonce in range(3)]
    assert read(path) == []
    write(path, *accepted)
    assert read(path) == accepted


def test_a_node_killed_again_and_again_has_all_that_it_confirmed(path):
    ledger = Ledger(genesis(), funded().state, None)
    confirmed: set[bytes] = set()
    for lines in (3, 40, 100):
        confirmed |= set(kill_after(lines, path))
        store, pool = restart(path, ledger)
        store.close()
        assert confirmed <= {signed.transaction.id for signed in pool}
    assert len(confirmed) >= 143


def test_what_is_final_does_not_wait_again(path):
    ledger = Ledger(genesis(), funded().state, None)
    write(path, pay(0), pay(1))
    ledger.commit(ledger.propose(ledger.root, proposal(1), (pay(0),)))
    store, found = MempoolStore.open(path, NETWORK)
    pool = Mempool()
    for signed in found[1:]:
        pool.add(signed, ledger.check)
    store.rewrite(pool)
    store.close()
    assert read(path) == [pay(1)]


@pytest.mark.parametrize("left", [1, 7, 8, 60, 192])
def test_a_torn_end_is_left_out_and_told_of(path, left):
    write(path, pay(0), pay(1))
    whole = path.read_bytes()
    one = len(MAGIC) + 32 + 8 + len(encode(pay(0)))
    assert left < len(whole) - one
    path.write_bytes(whole[: one + left])
    with capture_logs() as logs:
        assert read(path) == [pay(0)]
    assert [entry["left_out_bytes"] for entry in logs] == [left]


def test_every_flipped_byte_costs_at_most_what_follows(path):
    accepted = [pay(0), pay(1), pay(2)]
    write(path, *accepted)
    whole = path.read_bytes()
    for place in range(len(MAGIC) + 32, len(whole), 11):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        found = read(path)
        assert found == accepted[: len(found)]
        assert len(found) < 3


@pytest.mark.parametrize("torn", [0, 5, len(MAGIC), len(MAGIC) + 31])
def test_a_file_torn_in_its_first_bytes_is_an_empty_one(path, torn):
    write(path)
    path.write_bytes(path.read_bytes()[:torn])
    assert read(path) == []


@pytest.mark.parametrize("other", [b"someone's letters", MAGIC + b"n" * 32 + b"more"])
def test_what_is_not_ours_is_put_aside(path, other):
    path.write_bytes(other)
    with capture_logs() as logs:
        assert read(path) == []
    assert path.with_name("chain.pool.other").read_bytes() == other
    assert len(logs) == 1
    write(path, pay())
    assert read(path) == [pay()]


def test_the_file_is_written_anew_when_most_of_it_waits_no_more(path, monkeypatch):
    monkeypatch.setattr("chain.node.mempool_store.SLACK_BYTES", 10_000)
    pool = Mempool()
    store, _ = MempoolStore.open(path, NETWORK)
    store.rewrite(pool)
    for nonce in range(20):
        signed = pay(nonce, bytes(1_000))
        pool.add(signed, lambda signed, pending: None)
        store.append((signed,))
    store.tidy(pool)
    assert path.stat().st_size > 20_000
    pool.settle([pay(nonce, bytes(1_000)) for nonce in range(19)], 1, lambda signed, pending: None)
    store.tidy(pool)
    assert path.stat().st_size < 2_000
    store.append((pay(20),))
    store.close()
    assert read(path) == [pay(19, bytes(1_000)), pay(20)]


def test_a_full_disk_refuses_and_spoils_nothing(path, monkeypatch):
    store, _ = MempoolStore.open(path, NETWORK)
    store.rewrite(())
    store.append((pay(0),))
    real = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, data: real(file, data[:50]))
        with pytest.raises(Unavailable, match=r"cannot keep transactions in .*chain\.pool"):
            store.append((pay(1),))
    store.append((pay(1),))
    store.close()
    assert read(path) == [pay(0), pay(1)]


def test_a_folder_that_is_not_there_is_told_of(tmp_path):
    store, _ = MempoolStore.open(tmp_path / "none" / "chain.pool", NETWORK)
    with pytest.raises(Unavailable, match="cannot keep"):
        store.rewrite(())


def test_what_everybody_sent_is_kept_beside_one_another(path):
    accepted = [
        funded().sign(person, Transfer(to=STRANGER.id, amount_base=1)) for person in ATTESTORS
    ]
    write(path, *accepted)
    assert read(path) == accepted
