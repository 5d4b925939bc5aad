"""A validator's memory on a real disk: what it said, it knows; what it may have lost, it says."""

import os
import resource
from pathlib import Path

import pytest

from chain.consensus.tally import vote_to_nullify
from chain.consensus.vote_store import VoteStore
from chain.votes import Certificate
from tests.chain.consensus.council import Council
from wire.errors import Unavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "votes"


def opened(path: Path, term: int = 0) -> tuple[VoteStore, Council]:
    council = Council()
    store, _ = VoteStore.open(path, council.genesis.network, term)
    return store, council


def test_votes_blocks_and_decisions_are_there_after_a_restart(path: Path) -> None:
    council = Council()
    network = council.genesis.network
    VoteStore.create(path, network)
    store, remembered = VoteStore.open(path, network, 0)
    assert not remembered.spoken and not remembered.fresh
    vote, block = council.sign(0, vote_to_nullify(0, 1)), council.block(1)
    decision: Certificate = council.certificate("nullify", 1, None)
    store.append([vote, block, decision])
    store.close()
    _, remembered = VoteStore.open(path, network, 0)
    assert remembered.spoken == (vote,)
    assert remembered.blocks == (block,)
    assert remembered.certificates == (decision,)
    assert not remembered.fresh and not remembered.votes_from_term


def test_a_log_that_was_not_found_is_in_doubt_until_the_first_vote(path: Path) -> None:
    network = Council().genesis.network
    for _ in range(2):  # killed before it knew whether all is new
        store, remembered = VoteStore.open(path, network, 0)
        assert remembered.fresh
        store.close()
    store, _ = VoteStore.open(path, network, 0)
    store.append([Council().sign(0, vote_to_nullify(0, 1))])
    assert not VoteStore.open(path, network, 0)[1].fresh


def test_a_log_that_is_gone_while_the_chain_is_not_costs_the_term(path: Path) -> None:
    assert VoteStore.open(path, Council().genesis.network, 3)[1].votes_from_term == 4


@pytest.mark.parametrize("cut", [1, 20])
def test_a_torn_log_is_set_aside_and_costs_the_term(path: Path, cut: int) -> None:
    store, council = opened(path)
    store.append([council.sign(0, vote_to_nullify(0, view)) for view in (1, 2)])
    store.close()
    path.write_bytes(path.read_bytes()[:-cut])
    _, remembered = VoteStore.open(path, council.genesis.network, 5)
    assert remembered.votes_from_term == 6 and remembered.spoken == ()
    assert path.with_name("votes.damaged").exists()
    assert VoteStore.open(path, council.genesis.network, 5)[1].votes_from_term == 6


def test_a_log_of_another_network_is_refused(path: Path) -> None:
    opened(path)
    with pytest.raises(Unavailable, match="another network"):
        VoteStore.open(path, bytes(32), 0)


def test_a_log_written_anew_keeps_what_is_not_settled(path: Path) -> None:
    store, council = opened(path)
    old, vote = (council.sign(0, vote_to_nullify(0, view)) for view in (1, 2))
    decision, block = council.certificate("nullify", 2, None), council.block(1)
    store.append([old, block, vote, decision])
    store.forget(0, 0, 1)
    store.append([council.sign(0, vote_to_nullify(0, 3))])
    store.close()
    _, remembered = VoteStore.open(path, council.genesis.network, 0)
    assert [signed.vote.view for signed in remembered.spoken] == [2, 3]
    assert remembered.certificates == (decision,) and remembered.blocks == (block,)


def test_it_is_known_how_far_a_log_written_anew_has_forgotten(path: Path) -> None:
    store, council = opened(path)
    store.append([council.sign(0, vote_to_nullify(0, 1)), council.block(1)])
    store.forget(7, 0, 5)
    store.close()
    _, remembered = VoteStore.open(path, council.genesis.network, 0)
    assert (remembered.votes_from_height, remembered.spoken, remembered.blocks) == (7, (), ())


def test_a_damaged_log_beside_a_lost_chain_says_nothing_of_terms(path: Path) -> None:
    store, council = opened(path)
    store.append([council.sign(0, vote_to_nullify(3, 1))])
    store.close()
    path.write_bytes(path.read_bytes()[:-1])
    assert VoteStore.open(path, council.genesis.network, 0)[1].fresh


def test_a_byte_that_changed_in_the_middle_costs_the_term(path: Path) -> None:
    store, council = opened(path)
    store.append([council.sign(0, vote_to_nullify(0, view)) for view in range(1, 9)])
    store.close()
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        _, remembered = VoteStore.open(path, council.genesis.network, 5)
        assert (remembered.votes_from_term, remembered.spoken) == (6, ()), place


def test_what_a_full_disk_took_in_part_is_no_damage(path: Path) -> None:
    """Files cannot grow beyond a limit here: as with a full disk, the first bytes go in."""
    store, council = opened(path)
    store.append([council.sign(0, vote_to_nullify(0, 1))])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, before[1]))
    try:
        with pytest.raises(Unavailable, match="make room and start it again"):
            store.append([council.sign(0, vote_to_nullify(0, view)) for view in (2, 3)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    store.close()
    store, remembered = VoteStore.open(path, council.genesis.network, 0)
    assert [signed.vote.view for signed in remembered.spoken] == [1]
    assert not remembered.votes_from_term
    store.append([council.sign(0, vote_to_nullify(0, 2))])
    store.close()
    _, remembered = VoteStore.open(path, council.genesis.network, 0)
    assert [signed.vote.view for signed in remembered.spoken] == [1, 2]


def test_a_closed_log_takes_no_more_and_writes_into_no_other_file(path: Path) -> None:
    store, council = opened(path)
    store.close()
    with path.with_name("other").open("wb"):  # it gets the number of the closed one
        with pytest.raises(Unavailable, match="closed"):
            store.append([council.sign(0, vote_to_nullify(0, 1))])
        with pytest.raises(Unavailable, match="closed"):
            store.forget(0, 0, 0)
    assert not path.with_name("other").stat().st_size


def test_a_disk_that_takes_nothing_is_told_before_anything_is_said(path: Path) -> None:
    store, council = opened(path)
    with path.open("rb") as readable:
        os.dup2(readable.fileno(), store._file)
    with pytest.raises(Unavailable, match="does not vote"):
        store.append([council.sign(0, vote_to_nullify(0, 1))])
