"""What was found is on the disk until the chain has judged it."""

from pathlib import Path

import pytest

from chain.bodies.faults import DigestFault
from chain.client.found_store import Found, FoundStore
from wire.errors import Unavailable


def found(number: int) -> Found:
    fault = DigestFault(
        challenge=bytes([number]) * 32, attestor=b"a" * 32, contract=b"c" * 32, evidence=b"e" * 32
    )
    return Found(fault=fault, sidecar=b"chunk" * 100)


def test_what_is_kept_is_there_until_it_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "found"
    assert not list(FoundStore(path).all())
    FoundStore(path).drop(found(1))
    for number in (1, 2, 1):
        FoundStore(path).keep(found(number))
    kept = list(FoundStore(path).all())
    assert len(kept) == 2 and {one.fault for one in kept} == {found(1).fault, found(2).fault}
    FoundStore(path).drop(found(1))
    assert list(FoundStore(path).all()) == [found(2)]


def test_what_was_not_written_whole_is_not_there_and_what_is_damaged_stays(tmp_path: Path) -> None:
    store = FoundStore(tmp_path)
    store.keep(found(1))
    (whole,) = tmp_path.iterdir()
    torn = whole.read_bytes()[:-1]
    (tmp_path / f"{'0' * 64}.new").write_bytes(torn)
    damaged = tmp_path / f"{'0' * 64}.fault"
    damaged.write_bytes(torn)
    assert list(store.all()) == [found(1)]
    assert damaged.read_bytes() == torn


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "found").write_bytes(b"not a directory")
    with pytest.raises(Unavailable, match=r"found: .*; free the disk"):
        FoundStore(tmp_path / "found").keep(found(1))
