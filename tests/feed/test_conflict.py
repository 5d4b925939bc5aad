"""Owners that sign two histories: found by whoever meets both, proven, and stopped."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from feed.conflict import Conflict, check_evidence, encode_evidence, is_conflict, question
from feed.feed import Feed, signed_by
from feed.manifest import default_manifest, manifest_key
from feed.messages import Data, Request, UpgradeRequest
from feed.prover import produce
from feed.replication.events import Conflicted, Event
from feed.replication.session import download, serve
from feed.source import source
from feed.store import FeedStore
from tests.feed.channels import connect
from tests.feed.owner import KEY, MANIFEST, PAIR, SIGN, chunk, owned
from wire.errors import HoldfastError, Malformed
from wire.keys import KeyPair

Stores = Callable[[], FeedStore]


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    opened = list[FeedStore]()
    numbers = count()

    def open_store() -> FeedStore:
        opened.append(FeedStore(tmp_path / f"{next(numbers)}.db"))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


def _second(store: FeedStore, shared: int, length: int) -> Feed:
    """The owner's feed with another history from chunk `shared` on."""
    feed = store.create(KEY, MANIFEST)
    rest = [b"second" + chunk(i) for i in range(shared, length)]
    feed.append([*(chunk(i) for i in range(shared)), *rest], SIGN)
    return feed


def _answer(feed: Feed, length: int) -> Data:
    return produce(source(feed), question(0, length))


async def _meet(reader: Feed, hoster: Feed) -> tuple[HoldfastError | None, list[Event]]:
    """Download from a hoster: what came of it, and what was told."""
    here, there = connect()
    told = list[Event]()
    failure = None

    async def serve_it() -> None:
        with suppress(HoldfastError):
            await serve(there, hoster)

    async with asyncio.TaskGroup() as group:
        group.create_task(serve_it())
        try:
            await download(here, reader, lambda _, event: told.append(event))
        except HoldfastError as error:
            failure = error
    return failure, told


@pytest.mark.parametrize(("ours", "theirs"), [(20, 30), (20, 21), (16, 40)])
async def test_a_longer_second_history_is_found_when_it_is_offered(
    stores: Stores, ours: int, theirs: int
) -> None:
    feed, other = owned(stores(), ours), _second(stores(), 10, theirs)
    failure, told = await _meet(feed, other)
    assert isinstance(failure, Conflict)
    assert Conflicted(0, ours) in told
    assert feed.conflict is not None and check_evidence(KEY, feed.conflict)
    assert (feed.length, feed.missing) == (ours, 0)


async def test_a_second_history_of_the_same_length_is_found_by_a_chunk(stores: Stores) -> None:
    feed, other = owned(stores(), 20), _second(stores(), 10, 20)
    feed.forget([4, 15])
    failure, _ = await _meet(feed, other)
    assert isinstance(failure, Conflict)
    assert feed.conflict is not None and check_evidence(KEY, feed.conflict)


async def test_a_frozen_feed_grows_no_more_but_is_mended_and_served(stores: Stores) -> None:
    store = stores()
    feed = owned(store, 20)
    await _meet(feed, _second(stores(), 10, 30))
    for grow in (
        lambda: feed.append([b"x"], SIGN),
        lambda: feed.stage([b"x"]),
        lambda: feed.truncate(3, SIGN),
    ):
        with pytest.raises(Conflict, match="two histories"):
            grow()
    with FeedStore(store.path) as again:
        assert again.open(KEY).conflict == feed.conflict
    feed.forget([3])
    failure, _ = await _meet(feed, owned(stores(), 25))
    assert isinstance(failure, Conflict), "the head is not followed"
    assert (feed.length, feed.missing) == (20, 0), "the gap is filled"
    copy = stores().create(KEY)
    failure, _ = await _meet(copy, feed)
    assert failure is None and (copy.length, copy.missing) == (20, 0)


async def test_a_peer_that_merely_lies_freezes_nothing(stores: Stores) -> None:
    feed = owned(stores(), 20)
    thief = KeyPair(b"T" * 32)
    other = _second(stores(), 10, 30)
    forged = signed_by(thief, KEY, default_manifest(thief.public))
    other.signature = forged(other.truncate(29, SIGN))
    other.fork = 0
    failure, told = await _meet(feed, other)
    assert isinstance(failure, Malformed)
    assert feed.conflict is None and not any(isinstance(e, Conflicted) for e in told)


def test_two_heads_of_one_history_are_no_conflict(stores: Stores) -> None:
    short, long = _answer(owned(stores(), 20), 20), _answer(owned(stores(), 30), 20)
    assert short != long and not is_conflict(KEY, short, long)
    second = _answer(_second(stores(), 10, 30), 20)
    assert is_conflict(KEY, short, second) and is_conflict(KEY, second, long)
    same = _answer(owned(stores(), 30), 10), _answer(_second(stores(), 10, 30), 10)
    assert not is_conflict(KEY, *same), "they part only later"


def test_heads_of_different_forks_or_lengths_are_no_conflict(stores: Stores) -> None:
    one = owned(stores(), 20)
    other = _second(stores(), 10, 30)
    assert not is_conflict(KEY, _answer(one, 20), _answer(other, 21))
    other.truncate(25, SIGN)
    assert not is_conflict(KEY, _answer(one, 20), produce(source(other), question(1, 20)))


def test_evidence_convinces_whoever_has_the_key_and_no_forgery_does(stores: Stores) -> None:
    one, other = _answer(owned(stores(), 20), 20), _answer(_second(stores(), 10, 30), 20)
    evidence = encode_evidence(one, other)
    assert check_evidence(KEY, evidence)
    assert not check_evidence(KEY, encode_evidence(one, one))
    stranger = manifest_key(default_manifest(KeyPair(b"S" * 32).public))
    with pytest.raises(Malformed):
        check_evidence(stranger, evidence)
    assert other.upgrade is not None
    for upgrade in (
        other.upgrade._replace(signature=None),
        other.upgrade._replace(length=19),
        other.upgrade._replace(nodes=other.upgrade.nodes[::-1]),
        other.upgrade._replace(additional_nodes=()),
    ):
        with pytest.raises(Malformed):
            check_evidence(KEY, encode_evidence(one, other._replace(upgrade=upgrade)))
    part = produce(source(owned(stores(), 20)), Request(1, 0, upgrade=UpgradeRequest(10, 10)))
    for strange in (part, Data(0, 0)):
        with pytest.raises(Malformed):
            is_conflict(KEY, one, strange)
    for cut in (b"", evidence[: len(evidence) // 2], evidence[:-1]):
        with pytest.raises(Malformed):
            check_evidence(KEY, cut)


def test_evidence_of_a_compat_feed_needs_no_manifest(stores: Stores) -> None:
    sign = signed_by(PAIR, PAIR.public, None)
    one, other = stores().create(PAIR.public), stores().create(PAIR.public)
    one.append([b"a", b"b"], sign)
    other.append([b"a", b"c", b"d"], sign)
    evidence = encode_evidence(_answer(one, 2), _answer(other, 2))
    assert check_evidence(PAIR.public, evidence)
