"""The replication core: two of them on a simulated line, with everything that can go wrong."""

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path

import pytest

from feed.check import check
from feed.codec import decode, encode
from feed.feed import Feed, SignedHead, StoredChunk
from feed.manifest import decode_manifest, default_manifest
from feed.messages import (
    Bitfield,
    Cancel,
    Data,
    Extension,
    Message,
    NoData,
    PathRequest,
    Range,
    Reason,
    Request,
    Sync,
    UpgradeRequest,
    Want,
)
from feed.replication.core import Replication
from feed.replication.downloader import (
    MAX_REFUSALS,
    REQUEST_TIMEOUT_US,
    SILENCE_US,
)
from feed.replication.events import (
    Arrived,
    Damaged,
    Drop,
    Effect,
    Event,
    Failure,
    GiveUp,
    Grown,
    Heard,
    Lost,
    Served,
)
from feed.replication.manner import Manner
from feed.replication.uploader import MAX_INVALID, MAX_REQUESTS, MAX_WANTS
from feed.replication.window import IN_FLIGHT, MAX_IN_FLIGHT
from feed.signature import sign_head
from feed.store import FeedStore
from feed.tree import Appender, leaf_hash
from tests.feed.models import MODELS
from tests.feed.owner import KEY, MANIFEST, PAIR, SIGN, chunk, owned
from wire.keys import KeyPair

Line = Callable[[Message], Iterable[Message]]
Stores = Callable[[], FeedStore]


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """Makes stores that are closed at the end of the test."""
    opened = list[FeedStore]()
    numbers = count()

    def open_store() -> FeedStore:
        opened.append(FeedStore(tmp_path / f"{next(numbers)}.db"))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


class End:
    """One core, what it did, and the line it sends on."""

    def __init__(self, feed: Feed, line: Line | None = None, **options: object) -> None:
        self.feed = feed
        self.core = Replication(feed, **options)  # type: ignore[arg-type]
        self.line = line or (lambda message: [message])
        self.sent = list[Message]()
        self.events = list[Event]()
        self.outbox = list[Message]()
        feed.watch(self.core.note)
        self.do(self.core.start())

    def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Event):
                self.events.append(effect)
                continue
            message = decode(effect.kind, encode(effect))
            assert message == effect
            self.sent.append(message)
            self.outbox += self.line(message)

    def hear(self, messages: list[Message], now_us: int) -> None:
        self.do(self.core.receive(messages, now_us))
        self.do(self.core.answer(1 << 20))
        self.do(self.core.settle(now_us))

    def of(self, kind: type) -> list[object]:
        return [event for event in self.events if isinstance(event, kind)]

    def said(self, kind: type) -> list[object]:
        return [message for message in self.sent if isinstance(message, kind)]


class World:
    """A clock and the lines between pairs of ends; a round carries all that was sent before."""

    def __init__(self, *pairs: tuple[End, End]) -> None:
        self.pairs = pairs
        self.now_us = 1_000_000

    def run(self, rounds: int = 400) -> None:
        for _ in range(rounds):
            ends = [end for pair in self.pairs for end in pair]
            if not any(end.outbox for end in ends):
                due_us = [end.core.commit_due_us for end in ends if end.core.commit_due_us]
                if not due_us:
                    return
                self.now_us = max(self.now_us, *due_us)
                for end in ends:
                    end.do(end.core.settle(self.now_us))
            self.now_us += 1000
            for one, other in self.pairs:
                to_other, one.outbox = one.outbox, []
                to_one, other.outbox = other.outbox, []
                other.hear(to_other, self.now_us)
                one.hear(to_one, self.now_us)
        raise AssertionError("the two never stop talking")

    def wait(self, passed_us: int) -> None:
        self.now_us += passed_us
        for end in (end for pair in self.pairs for end in pair):
            end.do(end.core.tick(self.now_us))
        self.run()


def _fetch_all(world: World, *readers: End) -> None:
    for reader in readers:
        reader.do(reader.core.want_all(world.now_us))
    world.run()


def _same(feed: Feed, length: int) -> bool:
    progress = list(check(feed))[-1]
    return (
        progress.chunks == length == feed.length
        and not progress.damaged
        and all(feed.chunk(i).value == chunk(i) for i in range(length))
    )


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 21, 64, 100, 257])
def test_a_reader_that_knows_only_the_key_fetches_everything(stores: Stores, length: int) -> None:
    hoster = End(owned(stores(), length))
    reader = End(stores().create(KEY))
    _fetch_all(World((hoster, reader)), reader)
    assert _same(reader.feed, length) and reader.core.is_complete
    assert reader.events[0] == Grown(0, length)
    assert [event.chunk for event in reader.of(Arrived)] == list(range(length))
    assert [event.chunk for event in hoster.of(Served)] == list(range(length))
    assert hoster.of(Served)[-1] == Served(
        length - 1, leaf_hash(chunk(length - 1)), chunk(length - 1)
    )
    assert reader.said(Range) == [Range(0, length)]


def test_arrivals_tell_when_they_were_asked_for_and_when_they_came(stores: Stores) -> None:
    reader = End(stores().create(KEY))
    world = World((End(owned(stores(), 5)), reader))
    reader.do(reader.core.want([3], world.now_us))
    world.run()
    (arrived,) = reader.of(Arrived)
    assert arrived.leaf_hash == leaf_hash(chunk(3)) and arrived.data == chunk(3)
    assert arrived.came_us - arrived.asked_us == 2000


@pytest.mark.parametrize(
    ("size", "given", "limit"),
    [(100, None, MAX_IN_FLIGHT), (1 << 16, None, IN_FLIGHT), (1 << 14, None, 192), (100, 5, 5)],
)
def test_no_more_is_asked_for_at_once_than_the_limit(
    stores: Stores, size: int, given: int | None, limit: int
) -> None:
    unanswered, most = set[int](), 0

    def count_answers(message: Message) -> list[Message]:
        unanswered.discard(message.request if isinstance(message, Data) else 0)
        return [message]

    def count_requests(message: Message) -> list[Message]:
        nonlocal most
        if isinstance(message, Request):
            assert message.id not in unanswered
            unanswered.add(message.id)
            most = max(most, len(unanswered))
        return [message]

    source = stores().create(KEY, MANIFEST)
    source.append([bytes(size)] * (4 * limit), SIGN)
    hoster = End(source, count_answers)
    reader = End(stores().create(KEY), count_requests, manner=Manner(in_flight=given))
    _fetch_all(World((hoster, reader)), reader)
    assert most == limit and not reader.feed.missing


def test_an_auditor_fetches_the_chunks_it_picks_in_its_order(stores: Stores) -> None:
    reader = End(stores().create(KEY), manner=Manner(in_flight=1))
    world = World((End(owned(stores(), 40)), reader))
    reader.do(reader.core.want([31, 4, 17], world.now_us))
    world.run()
    assert [event.chunk for event in reader.of(Arrived)] == [31, 4, 17]
    assert list(reader.feed.held) == [(4, 5), (17, 18), (31, 32)]
    assert all(request.priority == 1 for request in reader.said(Request)[1:])
    assert list(check(reader.feed))[-1].chunks == 3
    assert reader.said(Range) == []


def test_requests_look_like_those_of_an_ordinary_reader(stores: Stores) -> None:
    """One chunk after another of 60: the levels asked for are those WIRE.md section 11 tells."""
    reader = End(stores().create(KEY), manner=Manner(in_flight=1))
    world = World((End(owned(stores(), 60)), reader))
    for index in range(60):
        reader.do(reader.core.want([index], world.now_us))
        world.run()
    levels = [request.chunk.nodes for request in reader.said(Request)[1:]]
    assert levels[:8] == [5, 0, 1, 0, 2, 0, 1, 0]
    assert {request.id for request in reader.said(Request)} == {1}


def test_fetching_all_at_once_costs_hardly_more_nodes_than_one_after_another(
    stores: Stores,
) -> None:
    hoster = End(owned(stores(), 256))
    reader = End(stores().create(KEY))
    _fetch_all(World((hoster, reader)), reader)
    nodes = sum(len(data.chunk.nodes) for data in hoster.said(Data) if data.chunk)
    assert nodes == 255


def test_what_is_appended_later_is_fetched_too(stores: Stores) -> None:
    hoster, reader = End(owned(stores(), 20)), End(stores().create(KEY))
    world = World((hoster, reader))
    _fetch_all(world, reader)
    for length in (21, 22, 25):
        hoster.feed.append([chunk(i) for i in range(hoster.feed.length, length)], SIGN)
        world.wait(1000)
        assert _same(reader.feed, length)
    assert reader.said(Range) == [Range(0, 20), Range(0, 21), Range(0, 22), Range(0, 25)]


def test_a_feed_that_is_empty_at_first_is_followed(stores: Stores) -> None:
    hoster, reader = End(stores().create(KEY, MANIFEST)), End(stores().create(KEY))
    world = World((hoster, reader))
    _fetch_all(world, reader)
    assert reader.core.is_complete and reader.feed.manifest == MANIFEST
    hoster.feed.append([chunk(0), chunk(1)], SIGN)
    world.wait(1000)
    assert _same(reader.feed, 2)


def test_every_sync_of_a_shorter_peer_is_answered_with_its_length(stores: Stores) -> None:
    """Else a Node reader never asks for the upgrade."""
    hoster = End(owned(stores(), 9))
    hoster.hear([Sync(0, 4)], 0)
    assert hoster.sent[-1] == Sync(0, 9, remote_length=4, can_upgrade=True, has_manifest=True)
    before = len(hoster.sent)
    hoster.hear([Sync(0, 9)], 0)
    assert len(hoster.sent) == before


def test_a_hoster_of_some_chunks_tells_which_and_serves_them(stores: Stores) -> None:
    source = End(owned(stores(), 33))
    partial = End(stores().create(KEY))
    first = World((source, partial))
    held = [2, 3, 9, 20, 21, 22, 23, 24]
    partial.do(partial.core.want(held, first.now_us))
    first.run()

    hoster, reader = End(partial.feed), End(stores().create(KEY))
    world = World((hoster, reader))
    _fetch_all(world, reader)
    assert hoster.said(Bitfield) == [Bitfield(0, (32506380).to_bytes(8, "little"))]
    assert list(reader.feed.held) == [(2, 4), (9, 10), (20, 25)]
    assert not reader.core.is_complete

    partial.do(partial.core.want([0, 1, 32], first.now_us))
    first.run()
    world.wait(1000)
    assert list(reader.feed.held) == [(0, 4), (9, 10), (20, 25), (32, 33)]


def test_a_download_goes_on_with_another_peer_from_what_is_stored(stores: Stores) -> None:
    answers = count()
    cut = End(owned(stores(), 90), lambda message: [message] if next(answers) < 40 else [])
    store = stores()
    reader = End(store.create(KEY))
    _fetch_all(World((cut, reader)), reader)
    reader.do(reader.core.settle(0, flush=True))
    assert 20 < reader.feed.held.count < 60
    reader.core.close()

    whole = End(owned(stores(), 90))
    again = End(reader.feed)
    _fetch_all(World((whole, again)), again)
    assert _same(again.feed, 90)
    assert len(whole.of(Served)) == 90 - len(reader.of(Arrived))


def test_readers_of_one_feed_share_the_work(stores: Stores) -> None:
    feed, claims = stores().create(KEY), set[int]()
    hosters = [End(owned(stores(), 200)) for _ in range(3)]
    readers = [End(feed, claims=claims, manner=Manner(in_flight=IN_FLIGHT)) for _ in range(3)]
    world = World(*zip(hosters, readers, strict=True))
    _fetch_all(world, *readers)
    assert _same(feed, 200) and not claims
    shares = [len(hoster.of(Served)) for hoster in hosters]
    assert sum(shares) == 200 and min(shares) > 20


def test_what_a_lost_peer_was_asked_for_is_asked_of_others(stores: Stores) -> None:
    feed, claims = stores().create(KEY), set[int]()
    mute = End(owned(stores(), 100), lambda m: [] if isinstance(m, Data) and m.chunk else [m])
    good = End(owned(stores(), 100))
    readers = [End(feed, claims=claims, manner=Manner(in_flight=IN_FLIGHT)) for _ in range(2)]
    world = World((mute, readers[0]), (good, readers[1]))
    _fetch_all(world, *readers)
    assert feed.missing == IN_FLIGHT == len(claims)
    readers[0].core.close()
    World((good, readers[1])).wait(1_000_000)
    assert _same(feed, 100)


def _without_drops(message: Message) -> list[Message]:
    """A hoster that does not tell what it lost."""
    return [] if isinstance(message, Range) and message.drop else [message]


def test_what_the_hoster_says_it_lost_is_not_asked_for(stores: Stores) -> None:
    hoster, reader = End(owned(stores(), 30)), End(stores().create(KEY))
    hoster.feed.forget([7, 8, 20])
    world = World((hoster, reader))
    _fetch_all(world, reader)
    assert hoster.said(Range) == [
        Range(0, 30),
        *(Range(7, 2, drop=True), Range(9, 11), Range(20, 1, drop=True), Range(21, 9)),
    ]
    assert not reader.of(Lost) and not hoster.said(NoData)
    assert list(reader.feed.held) == [(0, 7), (9, 20), (21, 30)]
    hoster.feed.put([StoredChunk(i, leaf_hash(chunk(i)), chunk(i)) for i in (7, 8, 20)])
    world.wait(1000)
    assert _same(reader.feed, 30)


def test_a_chunk_that_the_hoster_lost_is_reported_and_the_others_come(stores: Stores) -> None:
    hoster, reader = End(owned(stores(), 30), _without_drops), End(stores().create(KEY))
    hoster.feed.forget([7])
    world = World((hoster, reader))
    _fetch_all(world, reader)
    (lost,) = reader.of(Lost)
    assert (lost.chunk, lost.failure) == (7, Failure.NOT_AVAILABLE)
    assert list(reader.feed.held) == [(0, 7), (8, 30)]
    hoster.feed.put([StoredChunk(7, leaf_hash(chunk(7)), chunk(7))])
    world.wait(1000)
    assert _same(reader.feed, 30)


def test_a_peer_that_refuses_too_much_is_asked_for_no_more(stores: Stores) -> None:
    hoster = End(owned(stores(), 200), _without_drops)
    reader = End(stores().create(KEY), manner=Manner(in_flight=IN_FLIGHT))
    hoster.feed.forget(range(0, 200, 2))
    _fetch_all(World((hoster, reader)), reader)
    assert MAX_REFUSALS <= len(reader.of(Lost)) <= MAX_REFUSALS + IN_FLIGHT
    assert not reader.of(Drop)


def test_an_unanswered_request_times_out_and_is_asked_again(stores: Stores) -> None:
    swallowed = list[Message]()

    def swallow(message: Message) -> list[Message]:
        if isinstance(message, Data) and message.chunk and message.chunk.index == 4:
            swallowed.append(message)
            return [message] if len(swallowed) > 1 else []
        return [message]

    hoster, reader = End(owned(stores(), 9), swallow), End(stores().create(KEY))
    world = World((hoster, reader))
    _fetch_all(world, reader)
    assert reader.feed.missing == 1
    world.wait(REQUEST_TIMEOUT_US)
    (lost,) = reader.of(Lost)
    assert (lost.chunk, lost.failure) == (4, Failure.TIMEOUT)
    assert lost.lost_us - lost.asked_us >= REQUEST_TIMEOUT_US
    assert len(reader.said(Cancel)) == 1 and _same(reader.feed, 9)
    reader.hear(swallowed[:1], world.now_us)
    assert not reader.of(Drop)


def test_a_silent_peer_is_given_up(stores: Stores) -> None:
    hoster = End(owned(stores(), 9), lambda m: [] if isinstance(m, Data) else [m])
    reader = End(stores().create(KEY))
    world = World((hoster, reader))
    _fetch_all(world, reader)
    for _ in range(4):
        world.wait(SILENCE_US // 4)
    assert len(reader.of(GiveUp)) >= 1 and not reader.of(Drop)


def test_answers_in_another_order_are_asked_for_again_with_the_whole_path(stores: Stores) -> None:
    held_back = list[Message]()

    def shuffle(message: Message) -> list[Message]:
        if not isinstance(message, Data) or message.chunk is None:
            return [message]
        held_back.append(message)
        if len(held_back) < 8 and message.chunk.index < 96:
            return []
        released = held_back[::-1]
        held_back.clear()
        return released

    hoster = End(owned(stores(), 100), shuffle)
    reader = End(stores().create(KEY), manner=Manner(in_flight=IN_FLIGHT))
    world = World((hoster, reader))
    _fetch_all(world, reader)
    world.wait(1_000_000)
    assert not reader.of(Drop) and not reader.of(Lost)
    assert _same(reader.feed, 100)


def _corrupt(change: Callable[[Data], Data]) -> Line:
    return lambda m: [change(m) if isinstance(m, Data) else m]


def _with_other_byte(data: Data) -> Data:
    if data.chunk is None or data.chunk.index != 5:
        return data
    value = data.chunk.value[:-1] + bytes([data.chunk.value[-1] ^ 1])
    return data._replace(chunk=data.chunk._replace(value=value))


def _with_other_index(data: Data) -> Data:
    if data.chunk is None:
        return data
    return data._replace(chunk=data.chunk._replace(index=data.chunk.index ^ 1))


def _with_other_signature(data: Data) -> Data:
    if data.upgrade is None:
        return data
    assert data.upgrade.signature is not None
    signature = data.upgrade.signature[:9] + b"\0" + data.upgrade.signature[10:]
    return data._replace(upgrade=data.upgrade._replace(signature=signature))


def _with_other_manifest(data: Data) -> Data:
    manifest = default_manifest(KeyPair(bytes(32)).public)
    return data if data.manifest is None else data._replace(manifest=manifest)


def _without_path(data: Data) -> Data:
    return data if data.chunk is None else data._replace(chunk=data.chunk._replace(nodes=()))


@pytest.mark.parametrize(
    "change",
    [
        _with_other_byte,
        _with_other_index,
        _with_other_signature,
        _with_other_manifest,
        _without_path,
    ],
)
def test_a_lying_hoster_is_dropped_and_nothing_of_its_lie_is_stored(
    stores: Stores, change: Callable[[Data], Data]
) -> None:
    hoster = End(owned(stores(), 12), _corrupt(change))
    reader = End(stores().create(KEY))
    world = World((hoster, reader))
    _fetch_all(world, reader)
    assert len(reader.of(Drop)) >= 1
    assert list(check(reader.feed))[-1].damaged == ()
    assert all(reader.feed.chunk(e.chunk).value == chunk(e.chunk) for e in reader.of(Arrived))


def test_a_peer_that_asks_for_too_much_at_once_is_dropped(stores: Stores) -> None:
    hoster = End(owned(stores(), 3))
    requests = [Request(id_, 0, PathRequest(0, 0)) for id_ in range(1, MAX_REQUESTS + 2)]
    hoster.do(hoster.core.receive(requests, 0))
    assert len(hoster.of(Drop)) == 1


def test_a_peer_that_asks_for_the_impossible_again_and_again_is_dropped(stores: Stores) -> None:
    hoster = End(owned(stores(), 3))
    for id_ in range(1, MAX_INVALID + 2):
        assert not hoster.of(Drop)
        hoster.hear([Request(id_, 0, upgrade=UpgradeRequest(2, 9))], 0)
    assert hoster.said(NoData)[0] == NoData(1, Reason.INVALID_REQUEST)
    assert len(hoster.of(Drop)) == 1


def test_a_request_replaces_one_of_the_same_id_and_a_cancel_removes_it(stores: Stores) -> None:
    hoster = End(owned(stores(), 3))
    asked = [Request(1, 0, PathRequest(0, 0)), Request(2, 0, PathRequest(1, 0))]
    hoster.do(hoster.core.receive([*asked, Request(1, 0, PathRequest(2, 0)), Cancel(2)], 0))
    hoster.do(hoster.core.answer(1))
    assert [event.chunk for event in hoster.of(Served)] == [2]
    assert not hoster.core.has_requests


def test_answers_are_made_a_budget_at_a_time(stores: Stores) -> None:
    hoster = End(owned(stores(), 9))
    hoster.do(hoster.core.receive([Request(i + 1, 0, PathRequest(i, 0)) for i in range(9)], 0))
    hoster.do(hoster.core.answer(len(chunk(0)) + 1))
    assert len(hoster.of(Served)) == 2 and hoster.core.has_requests
    hoster.do(hoster.core.answer(1 << 20))
    assert len(hoster.of(Served)) == 9 and not hoster.core.has_requests


def test_a_chunk_that_rotted_on_disk_is_never_served(stores: Stores) -> None:
    store = stores()
    hoster = End(owned(store, 9))
    store.run("UPDATE chunk SET bytes = zeroblob(size) WHERE id & 0xff = 5")
    reader = End(stores().create(KEY))
    _fetch_all(World((hoster, reader)), reader)
    assert hoster.of(Damaged) == [Damaged(5)]
    assert hoster.feed.missing == reader.feed.missing == 1 and not reader.of(Drop)


def test_a_rotten_chunk_asked_for_twice_at_once_is_found_once(stores: Stores) -> None:
    store = stores()
    hoster = End(owned(store, 9))
    store.run("UPDATE chunk SET bytes = zeroblob(size) WHERE id & 0xff = 5")
    asked = enumerate((8, 5, 2, 5), start=1)
    hoster.do(hoster.core.receive([Request(n, 0, PathRequest(i, 0)) for n, i in asked], 0))
    hoster.do(hoster.core.answer(1 << 20))
    assert hoster.of(Damaged) == [Damaged(5)] and not hoster.feed.has(5)
    assert [event.chunk for event in hoster.of(Served)] == [8, 2]
    assert [message.request for message in hoster.said(NoData)] == [2, 4]


def test_extension_names_are_shortened_and_understood(stores: Stores) -> None:
    one, other = End(owned(stores(), 1)), End(stores().create(KEY))
    world = World((one, other))
    for name in ("receipt", "receipt", "other", "receipt"):
        one.do(one.core.extension(name, b"payload"))
    world.run()
    assert [message.name for message in one.said(Extension)] == ["receipt", "", "other", "receipt"]
    names = ["receipt", "receipt", "other", "receipt"]
    assert other.events == [Heard(name, b"payload") for name in names]


def _forked(store: FeedStore, chunks: list[bytes]) -> Feed:
    """The owner's feed after a truncation and new chunks: fork 1."""
    appender, nodes = Appender(), []
    for value in chunks:
        nodes += appender.append(value)
    head = appender.head(1)
    signature = sign_head(PAIR, KEY, MANIFEST, fork=1, length=head.length, tree_hash=head.tree_hash)
    feed = store.create(KEY, MANIFEST)
    stored = [StoredChunk(i, leaf_hash(value), value) for i, value in enumerate(chunks)]
    feed.put(stored, nodes, SignedHead(1, tuple(appender.roots), signature))
    return feed


def test_a_higher_fork_is_followed_and_what_is_shared_is_kept(stores: Stores) -> None:
    reader = End(stores().create(KEY))
    _fetch_all(World((End(owned(stores(), 21)), reader)), reader)
    chunks = [chunk(i) for i in range(16)] + [b"new"] * 9
    hoster, again = End(_forked(stores(), chunks)), End(reader.feed)
    _fetch_all(World((hoster, again)), again)
    assert (again.feed.fork, again.feed.length, again.feed.missing) == (1, 25, 0)
    assert [again.feed.chunk(i).value for i in range(25)] == chunks
    assert len(hoster.of(Served)) == 9
    assert list(check(again.feed))[-1].chunks == 25


def test_a_lower_fork_is_neither_followed_nor_served(stores: Stores) -> None:
    old, new = End(owned(stores(), 21)), End(_forked(stores(), [b"new"] * 3))
    world = World((old, new))
    _fetch_all(world, new)
    assert (new.feed.fork, new.feed.length) == (1, 3)
    assert not old.of(Served) and not old.of(Drop) and not new.of(Drop)


def test_a_bitfield_and_a_want_without_end_are_harmless(stores: Stores) -> None:
    hoster = End(owned(stores(), 40))
    hoster.feed.forget([3])
    hoster.do(hoster.core.settle(0))
    before = len(hoster.sent)
    hoster.hear([Want(0, 1 << 40), Want(1 << 40, 1 << 21), Bitfield(1 << 40, b"\xff" * 64)], 0)
    assert len(hoster.sent) == before
    hoster.hear([Want(64, 32), Want(0, 40, any=True), Want(0, 1), Want(0, 1)], 0)
    assert hoster.sent[before:] == [Range(0, 3), Range(0, 3)]
    hoster.hear([Want(start, 99) for start in range(100)], 0)
    assert len(hoster.said(Bitfield)) == 40 and len(hoster.sent) - before < MAX_WANTS


UPLOADERS = {"get-one", "get-one-compat", "extension", "cancel", "seek", "clear-and-nodata"}


@pytest.mark.parametrize("name", sorted(UPLOADERS))
def test_a_recorded_node_reader_gets_what_node_gave_it(
    stores: Stores, vectors: Callable[[str], dict], name: str
) -> None:
    """The reader's own messages are played; every answer must be what Node's hoster sent."""
    session = next(row for row in vectors("sessions")["sessions"] if row["name"] == name)
    (core,) = session["cores"]
    feed = _of_vector(stores(), core)
    reader = "responder" if name == "get-one-compat" else "initiator"
    hoster, expected = End(feed), list[Message]()
    for frame in session["frames"]:
        rows = [row for row in frame["decoded"]["messages"] if "name" in row]
        messages = [MODELS[row["name"]](row["value"]) for row in rows]
        if frame["from"] == reader:
            hoster.hear(messages, 0)
        else:
            expected += messages
    assert hoster.sent[:2] == expected[:2]
    assert hoster.said(Data) == [message for message in expected if isinstance(message, Data)]
    assert not hoster.of(Drop)


def _of_vector(store: FeedStore, core: dict) -> Feed:
    pair = KeyPair(bytes.fromhex(core["keyPairSeed"]))
    manifest = None if core["compat"] else decode_manifest(bytes.fromhex(core["manifest"]))
    key = bytes.fromhex(core["key"])
    feed = store.create(key, manifest)
    feed.append(
        [bytes.fromhex(block) for block in core["blocks"]],
        lambda head: sign_head(
            pair, key, manifest, fork=0, length=head.length, tree_hash=head.tree_hash
        ),
    )
    return feed
