"""The store: what it gives back, what survives a killed process, what it refuses to open."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from feed.check import Progress, check
from feed.checkpoint_store import FOLD_BYTES
from feed.checksum import LARGE_BYTES, checksum
from feed.feed import Change, Feed, SignedHead, StoredChunk, signed_by
from feed.manifest import default_manifest, manifest_key
from feed.store import APPLICATION_ID, SCHEMA_VERSION, FeedStore
from feed.tables import StoreFailure, StoreFull
from feed.tree import Node, leaf_hash
from tests.feed.owner import KEY, MANIFEST, SIGN, chunk, owned
from tests.feed.victim import BATCH, kill_after
from wire.errors import Malformed, NotFound, Unavailable
from wire.keys import KeyPair

CHUNKS = [chunk(index) for index in range(21)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeedStore]:
    with FeedStore(tmp_path / "feeds.db") as store:
        yield store


def _owned(store: FeedStore) -> Feed:
    return owned(store, len(CHUNKS))


def _last(steps: Iterator[Progress]) -> Progress:
    return list(steps)[-1]


def _replica(path: Path, source: Feed, indices: list[int]) -> Feed:
    """A feed that has these chunks and all of the tree."""
    feed = FeedStore(path).create(KEY)
    nodes = [node for i in range(2 * source.length) if (node := source.node(i)) is not None]
    head = SignedHead(source.fork, source.roots, source.signature)
    feed.put([source.chunk(i) for i in indices], nodes, head, source.manifest)
    return feed


def test_what_was_appended_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with FeedStore(path) as store:
        head = _owned(store).append([b"", b"last"], SIGN)
    with FeedStore(path) as store:
        feed = store.open(KEY)
        assert (feed.length, feed.byte_length, feed.fork) == (23, head.byte_length, 0)
        assert [feed.chunk(i).value for i in range(23)] == [*CHUNKS, b"", b"last"]
        assert feed.chunk(21).hash == leaf_hash(b"")
        assert feed.manifest == MANIFEST and feed.missing == 0
        assert _last(check(feed)) == Progress(23, 23, head.byte_length, ())


def test_one_batch_and_many_give_the_same_head(tmp_path: Path, store: FeedStore) -> None:
    whole = _owned(store)
    with FeedStore(tmp_path / "other.db") as other:
        slow = other.create(KEY, MANIFEST)
        for value in CHUNKS:
            slow.append([value], SIGN)
        assert (slow.roots, slow.signature) == (whole.roots, whole.signature)


def test_staged_chunks_are_seen_by_nobody_until_they_are_signed(store: FeedStore) -> None:
    feed = store.create(KEY, MANIFEST)
    feed.stage(CHUNKS[:9])
    assert (feed.length, feed.staged_length, feed.signature, feed.has(0)) == (0, 9, None, False)
    feed.stage(CHUNKS[9:20])
    feed.append(CHUNKS[20:], SIGN)
    assert (feed.length, feed.staged_length, feed.held.count) == (21, 21, 21)
    assert _last(check(feed)).damaged == ()


def test_staged_chunks_can_be_thrown_away(store: FeedStore) -> None:
    feed = _owned(store)
    signature = feed.signature
    feed.stage([b"wrong"] * 50)
    feed.unstage()
    assert (feed.length, feed.staged_length, feed.signature) == (21, 21, signature)
    feed.append([b"right"] * 50, SIGN)
    assert _last(check(feed)).chunks == 71


def test_a_replica_holds_what_was_put_and_finds_what_is_missing(
    tmp_path: Path, store: FeedStore
) -> None:
    source = _owned(store)
    feed = _replica(tmp_path / "replica.db", source, [3, 4, 5, 9])
    assert list(feed.held) == [(3, 6), (9, 10)]
    assert (feed.missing, feed.contiguous_length) == (17, 0)
    assert feed.manifest == MANIFEST
    with pytest.raises(NotFound):
        feed.chunk(2)
    feed.put([source.chunk(i) for i in (2, 1, 0, 3)])
    assert (list(feed.held), feed.contiguous_length) == ([(0, 6), (9, 10)], 6)
    assert feed.held_bytes == sum(len(CHUNKS[i]) for i in (0, 1, 2, 3, 4, 5, 9))
    assert _last(check(feed)).chunks == 7


def test_a_higher_fork_keeps_what_is_shared_and_drops_the_rest(
    tmp_path: Path, store: FeedStore
) -> None:
    source = _owned(store)
    feed = _replica(tmp_path / "replica.db", source, [0, 1, 2, 15, 16, 20])
    feed.put([], [], SignedHead(1, source.roots, b"new"), shared=16)
    for _ in range(2):
        assert (feed.fork, feed.length, feed.signature) == (1, 21, b"new")
        assert list(feed.held) == [(0, 3), (15, 16)]
        assert feed.held_bytes == sum(len(CHUNKS[i]) for i in (0, 1, 2, 15))
        assert feed.node(3) == source.node(3) and feed.node(33) is None
        feed.reload()
    feed.put([], [], SignedHead(2, source.roots, b"newer"))
    assert (feed.fork, feed.length, feed.held.count, feed.held_bytes) == (2, 21, 0, 0)
    assert feed.node(0) is None and feed.roots == source.roots


def test_damage_is_found_and_can_be_fetched_again(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with FeedStore(path) as store:
        original = _owned(store).chunk(5)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE chunk SET bytes = zeroblob(length(bytes)) WHERE id & 0xff = 5")
    raw.close()
    with FeedStore(path) as store:
        feed = store.open(KEY)
        assert _last(check(feed)).damaged == (5,)
        feed.forget([5])
        assert (feed.missing, feed.has(5)) == (1, False)
        feed.put([original])
        assert _last(check(feed)) == Progress(21, 21, feed.byte_length, ())


def test_a_tree_that_contradicts_itself_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with FeedStore(path) as store:
        _owned(store)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE node SET size = size + 1 WHERE id & 0xff = 3")
    raw.close()
    with FeedStore(path) as store, pytest.raises(Malformed, match="node 7 of a stored tree"):
        list(check(store.open(KEY)))


def test_many_feeds_live_in_one_file_and_one_can_be_deleted(store: FeedStore) -> None:
    kept = _owned(store)
    pair = KeyPair(bytes(32))
    gone = store.create(pair.public, default_manifest(pair.public))
    gone.append([bytes(100_000)] * 10, signed_by(pair, gone.key, gone.manifest))
    assert [(info.key, info.length, info.held_chunks) for info in store.feeds()] == [
        (KEY, 21, 21),
        (pair.public, 10, 10),
    ]
    before = store.space()
    store.delete(pair.public)
    assert [info.key for info in store.feeds()] == [KEY]
    assert store.space().chunk_bytes == before.chunk_bytes - 1_000_000
    assert store.space().file_bytes < before.file_bytes - 900_000
    with pytest.raises(NotFound):
        gone.chunk(0)
    with pytest.raises(NotFound):
        gone.append([b"to nowhere"], signed_by(pair, gone.key, gone.manifest))
    with pytest.raises(NotFound):
        store.open(pair.public)
    assert _last(check(kept)).chunks == 21


def test_a_feed_is_one_object_however_often_it_is_opened(store: FeedStore) -> None:
    assert store.create(KEY, MANIFEST) is store.open(KEY) is store.create(KEY)


def test_a_manifest_of_another_feed_is_refused(store: FeedStore) -> None:
    other = default_manifest(KeyPair(bytes(32)).public)
    with pytest.raises(Malformed):
        store.create(KEY, other)
    assert store.feeds() == []
    assert store.create(manifest_key(other), other).length == 0


def test_metadata_is_kept_and_dropped(store: FeedStore) -> None:
    feed = _owned(store)
    feed.set_metadata("origin", b"a folder")
    feed.set_metadata("origin", b"a file")
    assert feed.metadata("origin") == b"a file"
    feed.set_metadata("origin", None)
    assert feed.metadata("origin") is None


def test_watchers_are_told_what_was_added(tmp_path: Path, store: FeedStore) -> None:
    feed, told = store.create(KEY, MANIFEST), list[Change]()
    stop = feed.watch(told.append)
    feed.append(CHUNKS[:4], SIGN)
    feed.stage([b"x"])
    assert told == [Change([(0, 4)])]
    replica = _replica(tmp_path / "replica.db", _filled(feed), [])
    replica.watch(told.append)
    replica.put([feed.chunk(i) for i in (9, 1, 0)])
    assert told[-1] == Change([(0, 2), (9, 10)])
    replica.forget([9, 0, 5])
    assert told[-1] == Change(dropped=[(0, 1), (9, 10)])
    stop()


def _filled(feed: Feed) -> Feed:
    feed.unstage()
    feed.append(CHUNKS[4:], SIGN)
    return feed


def test_another_process_s_work_is_seen_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with FeedStore(path) as mine, FeedStore(path) as theirs:
        feed = mine.create(KEY, MANIFEST)
        told = list[Change]()
        feed.watch(told.append)
        theirs.refresh()
        _owned(theirs)
        with pytest.raises(Unavailable, match="another process"):
            feed.append([b"second history"], SIGN)
        theirs.open(KEY).append([b"more"], SIGN)
        mine.refresh()
        assert (feed.length, told) == (22, [Change([(21, 22)], [])])
        feed.append([b"even more"], SIGN)
        assert _last(check(feed)).chunks == 23


def test_what_another_process_dropped_is_told(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with FeedStore(path) as mine, FeedStore(path) as theirs:
        told = list[Change]()
        _owned(mine).watch(told.append)
        theirs.open(KEY).forget([3, 4, 8])
        mine.refresh()
        assert told == [Change([], [(3, 5), (8, 9)])]


@pytest.mark.parametrize("length", [0, 1, 16, 20, 21])
def test_a_truncated_feed_is_what_it_was_at_that_length(tmp_path: Path, length: int) -> None:
    with FeedStore(tmp_path / "a.db") as store, FeedStore(tmp_path / "b.db") as other:
        feed, shorter = _owned(store), owned(other, length)
        feed.stage([b"never signed"])
        head = feed.truncate(length, SIGN)
        assert (feed.fork, feed.length, feed.roots) == (1, length, shorter.roots)
        assert (feed.byte_length, feed.held_bytes) == (shorter.byte_length, shorter.held_bytes)
        assert (feed.missing, feed.staged_length, list(feed.held)) == (
            0,
            length,
            [(0, length)][:length],
        )
        assert (head.fork, head.length) == (1, length)
        assert _last(check(feed)).total == length
        rest = [b"another history", b"!"]
        feed.append(rest, SIGN)
        shorter.append(rest, SIGN)
        assert (feed.fork, feed.roots) == (1, shorter.roots)
        assert feed.signature != shorter.signature, "the fork is signed too"
        assert _last(check(feed)).damaged == ()
    with FeedStore(tmp_path / "a.db") as store:
        feed = store.open(KEY)
        assert (feed.fork, feed.length) == (1, length + 2)
        assert feed.chunk(length).value == b"another history"


def test_a_truncation_that_is_not_signed_did_not_happen(store: FeedStore) -> None:
    feed = _owned(store)

    def refuse(_head: object) -> bytes:
        raise Unavailable("the key is locked")

    with pytest.raises(Unavailable, match="locked"):
        feed.truncate(3, refuse)
    with pytest.raises(AssertionError):
        feed.truncate(22, SIGN)
    assert (feed.fork, feed.length, feed.missing) == (0, 21, 0)
    assert _last(check(feed)).total == 21


def test_two_processes_that_stage_at_once_cannot_sign_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with FeedStore(path) as mine, FeedStore(path) as theirs:
        feed, other = mine.create(KEY, MANIFEST), theirs.create(KEY, MANIFEST)
        feed.stage(CHUNKS[:9])
        other.reload()
        other.unstage()
        other.stage([b"something else"] * 9)
        with pytest.raises(Unavailable, match="another process"):
            feed.append(CHUNKS[9:], SIGN)
        feed.unstage()
        feed.append(CHUNKS, SIGN)
        assert _last(check(feed)).chunks == len(CHUNKS)


def test_a_failed_transaction_leaves_memory_and_file_as_they_were(store: FeedStore) -> None:
    feed = _owned(store)
    third = feed.chunk(3)
    feed.forget([3, 4])
    before = feed.length, feed.roots, feed.signature, feed.held_bytes, list(feed.held)

    def refuse(_head: object) -> bytes:
        raise Unavailable("the key is locked")

    with pytest.raises(Unavailable, match="locked"):
        feed.append([b"x"], refuse)
    with pytest.raises(Unavailable, match="TEXT"):
        feed.put([third], [Node(0, "no size", b"")])  # type: ignore[arg-type]
    assert (feed.length, feed.roots, feed.signature, feed.held_bytes, list(feed.held)) == before
    feed.reload()
    assert (feed.length, feed.roots, feed.signature, feed.held_bytes, list(feed.held)) == before


@pytest.mark.parametrize(
    "content", [b"A letter to my future self.\n" * 9, bytes(5000), b"SQLite format 3\0" + bytes(20)]
)
def test_a_foreign_file_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    with pytest.raises(Malformed, match="choose another path"):
        FeedStore(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_another_program_s_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "addresses.db"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE addresses (name TEXT)")
    raw.close()
    content = path.read_bytes()
    with pytest.raises(Malformed, match="another program's database"):
        FeedStore(path)
    assert path.read_bytes() == content


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    FeedStore(path).close()
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    raw.close()
    with pytest.raises(Unavailable, match="newer version"):
        FeedStore(path)


def test_a_store_of_the_first_version_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with FeedStore(path) as store:
        feed = _owned(store)
        chunks = [feed.chunk(i) for i in range(21)]
    with sqlite3.connect(path) as raw:
        raw.execute("ALTER TABLE chunk DROP COLUMN checksum")
        raw.execute("PRAGMA user_version = 1")
    raw.close()
    with FeedStore(path) as store:
        feed = store.open(KEY)
        assert [feed.chunk(i)[:3] for i in range(21)] == [chunk[:3] for chunk in chunks]
        assert feed.chunk(5).checksum is None and feed.chunk(5).is_intact()
        store.run("UPDATE chunk SET bytes = zeroblob(size) WHERE id & 0xff = 5")
        assert not feed.chunk(5).is_intact()
        feed.append([b"new"], SIGN)
        assert feed.chunk(21).checksum is not None
        assert _last(check(feed)).damaged == (5,)
    FeedStore(path).close()


def test_a_chunk_is_intact_with_its_checksum_or_its_hash(tmp_path: Path) -> None:
    with FeedStore(tmp_path / "feeds.db") as store:
        feed = _owned(store)
        feed.append([Random(size).randbytes(size) for size in (LARGE_BYTES - 1, LARGE_BYTES)], SIGN)
        chunks = [feed.chunk(index) for index in (5, 21, 22)]
    for stored in chunks:
        assert stored.checksum == checksum(stored.hash, stored.value)
        assert stored.is_intact() and stored._replace(checksum=None).is_intact()
        value = stored.value
        for spoilt in (value + b"x", value[:-1], bytes([value[0] ^ 1]) + value[1:]):
            assert checksum(stored.hash, spoilt) != stored.checksum
            assert not stored._replace(value=spoilt).is_intact()
        assert checksum(bytes(32), value) != stored.checksum
        assert not stored._replace(hash=bytes(32)).is_intact()


def test_what_was_committed_is_synced_without_the_store_s_locks_being_lost(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with FeedStore(path) as store, FeedStore(path) as other:
        _owned(store)
        store.sync()
        other.close()
        assert Path(f"{path}-wal").exists(), "whoever closes sees that the store is in use"
        assert store.open(KEY).chunk(5).is_intact()
    store.sync()
    assert not Path(f"{path}-wal").exists(), "all is in the file itself"


def test_a_damaged_file_gives_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with FeedStore(path) as store:
        _owned(store)
        store.flush()
    whole = path.read_bytes()
    path.write_bytes(whole[:16384] + b"\xff" * 40_000 + whole[56384:])
    with pytest.raises(StoreFailure, match="damaged") as caught, FeedStore(path) as store:
        list(check(store.open(KEY)))
    assert "\n" not in str(caught.value) and "move it away" in str(caught.value)


def test_a_path_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="unable to open"):
        FeedStore(tmp_path / "no such folder" / "feeds.db")


def test_kill_while_appending_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    for lines in (1, 4, 9):
        acknowledged = kill_after(lines, "append", str(path))
        with FeedStore(path) as store:
            feed = store.open(KEY)
            assert feed.length >= acknowledged and feed.length % BATCH == 0
            assert _last(check(feed)).damaged == ()
            assert all(feed.chunk(i).value == chunk(i) for i in range(feed.length))


def test_kill_while_storing_fetched_chunks_loses_nothing_acknowledged(tmp_path: Path) -> None:
    source_path, path = tmp_path / "source.db", tmp_path / "feeds.db"
    with FeedStore(source_path) as store:
        store.create(KEY, MANIFEST).append([chunk(i) for i in range(4000)], SIGN)
    for lines in (1, 3, 5):
        acknowledged = kill_after(lines, "put", str(path), str(source_path))
        with FeedStore(path) as store:
            feed = store.open(KEY)
            assert feed.held.count >= acknowledged and feed.length == 4000
            assert _last(check(feed)).damaged == ()


def test_a_store_grows_to_its_limit_and_no_further(tmp_path: Path) -> None:
    limit = 1 << 20
    with FeedStore(tmp_path / "feeds.db", max_bytes=limit) as store:
        feed = _owned(store)
        while store.space().file_bytes < limit - 100_000:
            feed.append([b"x" * 10_000], SIGN)
        before = feed.length, feed.roots, feed.held_bytes, list(feed.held)
        with pytest.raises(StoreFull, match=f"limit is {limit} bytes; raise the limit"):
            feed.append([b"x" * 150_000], SIGN)
        assert (feed.length, feed.roots, feed.held_bytes, list(feed.held)) == before
        assert 0.8 * limit < store.space().file_bytes <= limit
        assert _last(check(feed)).damaged == ()
        other_pair = KeyPair(b"O" * 32)
        other = store.create(other_pair.public)
        with pytest.raises(StoreFull):
            other.put([StoredChunk(0, leaf_hash(b"y" * 150_000), b"y" * 150_000)])
        store.delete(KEY)
        other.append([b"y" * 500_000], signed_by(other_pair, other.key, None))
    with FeedStore(tmp_path / "feeds.db", max_bytes=limit // 2) as store:
        kept = store.open(other_pair.public)
        assert _last(check(kept)).damaged == ()
        with pytest.raises(StoreFull):
            kept.append([b"z" * 50_000], signed_by(other_pair, kept.key, None))
        kept.forget([0])


def test_a_store_at_rest_folds_its_log_in_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with FeedStore(path) as store:
        feed = _owned(store)
        threads = threading.active_count()
        feed.append([bytes(1 << 20)], SIGN)
        assert threading.active_count() == threads, "a little is not worth a thread"
        feed.append([bytes(1 << 20)] * (FOLD_BYTES >> 20), SIGN)
        deadline = time.monotonic() + 30
        while path.stat().st_size < FOLD_BYTES and time.monotonic() < deadline:
            time.sleep(0.02)
        assert path.stat().st_size >= FOLD_BYTES
        feed.append([b"and on"], SIGN)
        assert _last(check(feed)).damaged == ()
    assert threading.active_count() == threads
    assert not path.with_name("feeds.db-wal").exists()
