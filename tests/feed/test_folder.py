"""Files and folders as feeds: exact, deterministic, resumable, and safe to write out."""

import os
import random
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import folder
from feed.check import check
from feed.feed import Feed
from feed.folder import Entry, Header, Kind, Shape
from feed.service import Progress, contents, ingest, restore
from feed.store import FeedStore
from tests.feed.owner import KEY, MANIFEST, PAIR, SIGN
from tests.feed.victim import kill_after
from wire.compact import put_string, put_uint
from wire.errors import Malformed, NotFound, Unavailable

CHUNK_BYTES = 1024


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeedStore]:
    with FeedStore(tmp_path / "feeds.db") as store:
        yield store


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with everything that can be published in it."""
    root = tmp_path / "source"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "empty folder").mkdir()
    (root / "empty").write_bytes(b"")
    (root / "exact").write_bytes(bytes(2 * CHUNK_BYTES))
    (root / "größe.txt").write_text("groß\n" * 1000)
    (root / "deep" / "er" / "data").write_bytes(random.Random(1).randbytes(50_001))
    (root / "deep" / "run.sh").write_text("#!/bin/sh\n")
    (root / "deep" / "run.sh").chmod(0o755)
    (root / "deep" / "link").symlink_to("../größe.txt")
    (root / "dangling").symlink_to("nowhere")
    return root


def _ingest(store: FeedStore, path: Path) -> Feed:
    return ingest(store, path, PAIR, chunk_bytes=CHUNK_BYTES)


def _snapshot(root: Path) -> dict[str, object]:
    """All that the format promises to keep."""
    if not root.is_dir():
        return {"": (root.read_bytes(), bool(root.stat().st_mode & stat.S_IXUSR))}
    kept = dict[str, object]()
    for place in sorted(root.rglob("*")):
        path = str(place.relative_to(root))
        if place.is_symlink():
            kept[path] = os.readlink(place)
        elif place.is_dir():
            kept[path] = "folder"
        else:
            kept[path] = (place.read_bytes(), bool(place.stat().st_mode & stat.S_IXUSR))
    return kept


def _entries_left(tmp_path: Path) -> list[str]:
    return sorted(place.name for place in tmp_path.iterdir() if "feeds.db" not in place.name)


def test_a_folder_comes_back_exactly(store: FeedStore, source: Path, tmp_path: Path) -> None:
    feed = _ingest(store, source)
    restore(feed, tmp_path / "target")
    assert _snapshot(tmp_path / "target") == _snapshot(source)
    assert _entries_left(tmp_path) == ["source", "target"]
    assert list(check(feed))[-1].damaged == ()
    assert feed.key == KEY


def test_a_file_comes_back_exactly(store: FeedStore, source: Path, tmp_path: Path) -> None:
    feed = _ingest(store, source / "deep" / "run.sh")
    assert contents(feed) == [Entry(Kind.EXECUTABLE, "run.sh", size=10, first_chunk=1)]
    restore(feed, tmp_path / "target")
    assert _snapshot(tmp_path / "target") == _snapshot(source / "deep" / "run.sh")


def test_an_empty_file_comes_back(store: FeedStore, source: Path, tmp_path: Path) -> None:
    restore(_ingest(store, source / "empty"), tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b""


def test_equal_folders_make_equal_feeds(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for place in sorted(source.rglob("*"), reverse=True):
        target = copy / place.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if place.is_symlink():
            target.symlink_to(os.readlink(place))
        elif place.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(place.read_bytes())
            target.chmod(place.stat().st_mode)
    with FeedStore(tmp_path / "1.db") as one, FeedStore(tmp_path / "2.db") as other:
        first, second = _ingest(one, source), _ingest(other, copy)
        assert (first.length, first.roots) == (second.length, second.roots)
        assert first.signature == second.signature


def test_a_file_is_found_by_the_last_chunks_alone(store: FeedStore, source: Path) -> None:
    feed = _ingest(store, source)
    entry = next(entry for entry in contents(feed) if entry.path == "deep/er/data")
    count = folder.chunk_count(entry.size, CHUNK_BYTES)
    chunks = [feed.chunk(entry.first_chunk + i).value for i in range(count)]
    assert b"".join(chunks) == (source / "deep" / "er" / "data").read_bytes()


def test_progress_tells_bytes_and_files_and_what_was_ignored(
    store: FeedStore, source: Path, tmp_path: Path
) -> None:
    (source / ".git").mkdir()
    (source / "deep" / "node_modules").mkdir()
    steps = list[Progress]()
    feed = ingest(store, source, PAIR, progress=steps.append)
    total = 50_001 + 6000 + 2 * CHUNK_BYTES + 10
    ignored = (".git", "deep/node_modules")
    assert steps[-1] == Progress(total, total, 5, 5, ignored)
    assert [entry.path for entry in contents(feed) if "node" in entry.path] == []
    restore(feed, tmp_path / "target", progress=steps.append)
    assert steps[-1] == Progress(total, total, 5, 5)


def test_nothing_is_ignored_when_told_so(store: FeedStore, source: Path) -> None:
    (source / ".git").mkdir()
    feed = ingest(store, source, PAIR, ignore=())
    assert ".git" in [entry.path for entry in contents(feed)]


def test_ingesting_again_changes_nothing(store: FeedStore, source: Path) -> None:
    feed = _ingest(store, source)
    before = feed.length, feed.signature
    assert _ingest(store, source) is feed
    assert (feed.length, feed.signature) == before


def test_a_key_that_signed_other_content_is_refused(store: FeedStore, source: Path) -> None:
    feed = _ingest(store, source)
    before = feed.length, feed.signature
    (source / "empty").write_bytes(b"no longer")
    with pytest.raises(Unavailable, match="take another"):
        _ingest(store, source)
    assert (feed.length, feed.signature) == before


def test_killed_while_ingesting_it_goes_on_to_the_same_head(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(6):
        content = random.Random(number).randbytes(5_000_000 + number)
        (source / f"file {number}").write_bytes(content)
    with FeedStore(tmp_path / "whole.db") as whole, FeedStore(tmp_path / "cut.db") as cut:
        expected = _ingest(whole, source)
        done = [kill_after(2, "ingest", str(tmp_path / "cut.db"), str(source)) for _ in range(3)]
        assert done == sorted(done) and done[0] > 8_000_000
        feed = cut.open(KEY)
        feed.reload()
        assert feed.length == 0 < feed.staged_length
        _ingest(cut, source)
        assert (feed.length, feed.roots) == (expected.length, expected.roots)
        assert feed.signature == expected.signature
        assert list(check(feed))[-1].damaged == ()


def test_a_source_that_changed_since_the_interruption_is_begun_anew(
    source: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cut.db"
    with FeedStore(path) as store:
        feed = store.create(KEY, MANIFEST)
        feed.stage([b"of an older state"] * 9)
        feed.set_metadata("folder source", b"another fingerprint")
        _ingest(store, source)
        restore(feed, tmp_path / "target")
    assert _snapshot(tmp_path / "target") == _snapshot(source)


def test_a_source_that_changes_while_it_is_read_leaves_no_feed(
    store: FeedStore, source: Path
) -> None:
    def change(_progress: Progress) -> None:
        (source / "empty").write_bytes(b"no longer")

    with pytest.raises(Unavailable, match="changed while it was read"):
        ingest(store, source, PAIR, progress=change)
    assert store.feeds() == []


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda root: root.rmdir(), "no such file or directory"),
        (lambda root: None, "nothing to publish"),
        (lambda root: (root / "__pycache__").mkdir(), "nothing to publish"),
        (lambda root: os.mkfifo(root / "pipe"), "neither file, folder nor link"),
        (lambda root: (root / "out").symlink_to("/etc/passwd"), "leads outside"),
        (lambda root: (root / "up").symlink_to("../secret"), "leads outside"),
        (lambda root: (root / "up").symlink_to("a/../../secret"), "leads outside"),
        (lambda root: (root / "bad\udcff").write_bytes(b""), "not UTF-8"),
    ],
)
def test_what_cannot_be_published_is_told_in_one_line_and_leaves_nothing(
    store: FeedStore, tmp_path: Path, make: object, complaint: str
) -> None:
    root = tmp_path / "source"
    root.mkdir()
    make(root)  # type: ignore[operator]
    with pytest.raises(Unavailable, match=complaint) as caught:
        _ingest(store, root)
    assert "\n" not in str(caught.value)
    assert store.feeds() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_an_unreadable_file_is_told(store: FeedStore, source: Path) -> None:
    (source / "empty").chmod(0)
    with pytest.raises(Unavailable, match="permission denied"):
        _ingest(store, source)
    assert store.feeds() == []


def test_a_link_is_not_followed_to_what_it_names(store: FeedStore, source: Path) -> None:
    with pytest.raises(Unavailable, match="is a link"):
        _ingest(store, source / "deep" / "link")


def test_folders_in_folders_have_a_limit(store: FeedStore, tmp_path: Path) -> None:
    root = place = tmp_path / "source"
    place.mkdir()
    for _ in range(folder.MAX_DEPTH):
        place = place / "d"
        place.mkdir()
    restore(_ingest(store, root), tmp_path / "target")
    assert (tmp_path / "target" / place.relative_to(root)).is_dir()
    (place / "file").write_bytes(b"too deep")
    with pytest.raises(Unavailable, match="too long a path"):
        _ingest(store, root)


def test_nothing_is_overwritten_unless_told(store: FeedStore, source: Path, tmp_path: Path) -> None:
    feed = _ingest(store, source)
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine").write_bytes(b"precious")
    with pytest.raises(Unavailable, match="exists"):
        restore(feed, target)
    assert _snapshot(target) == {"mine": (b"precious", False)}
    restore(feed, target, overwrite=True)
    assert _snapshot(target) == _snapshot(source)
    assert _entries_left(tmp_path) == ["source", "target"]


def test_a_file_can_replace_a_file_and_a_folder(
    store: FeedStore, source: Path, tmp_path: Path
) -> None:
    feed = _ingest(store, source / "exact")
    for make in (lambda: (tmp_path / "t").write_bytes(b"old"), (tmp_path / "t").mkdir):
        make()
        restore(feed, tmp_path / "t", overwrite=True)
        assert (tmp_path / "t").read_bytes() == (source / "exact").read_bytes()
        (tmp_path / "t").unlink()


def test_a_failed_restore_leaves_nothing(store: FeedStore, source: Path, tmp_path: Path) -> None:
    feed = _ingest(store, source)
    store.run("UPDATE chunk SET bytes = zeroblob(size) WHERE id & 0xff = 9")
    with pytest.raises(Unavailable, match="chunk 9 is damaged"):
        restore(feed, tmp_path / "target")
    assert _entries_left(tmp_path) == ["source"]
    with pytest.raises(Unavailable, match="no such file"):
        restore(feed, tmp_path / "no such folder" / "target")


def test_a_feed_with_missing_chunks_is_not_restored(
    store: FeedStore, source: Path, tmp_path: Path
) -> None:
    feed = _ingest(store, source)
    feed.forget([3, 4])
    with pytest.raises(Unavailable, match="2 chunks of the feed are missing"):
        restore(feed, tmp_path / "target")
    with pytest.raises(NotFound):
        feed.chunk(3)


def test_leftovers_of_a_killed_restore_are_cleared_away(
    store: FeedStore, source: Path, tmp_path: Path
) -> None:
    (tmp_path / ".target.holdfast-part").mkdir()
    (tmp_path / ".target.holdfast-part" / "half").write_bytes(b"half")
    restore(_ingest(store, source), tmp_path / "target")
    assert _snapshot(tmp_path / "target") == _snapshot(source)
    assert not (tmp_path / ".target.holdfast-part").exists()


def _feed_of(store: FeedStore, index: bytes, entries: int, contents: list[bytes]) -> Feed:
    """A feed that its owner made by hand, to harm whoever restores it."""
    header = folder.encode_header(Header(Shape.FOLDER, CHUNK_BYTES))
    trailer = folder.encode_trailer(index, 1 + len(contents), entries)
    feed = store.create(KEY, MANIFEST)
    feed.append([header, *contents, *folder.pieces(index, CHUNK_BYTES), trailer], SIGN)
    return feed


def _raw(*entries: tuple[int, str, object]) -> bytes:
    out = bytearray()
    for kind, path, rest in entries:
        put_uint(out, kind)
        put_string(out, path)
        if isinstance(rest, int):
            put_uint(out, rest)
        elif isinstance(rest, str):
            put_string(out, rest)
    return bytes(out)


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ([(0, "../escaped", 3)], "not a path inside"),
        ([(0, "/escaped", 3)], "not a path inside"),
        ([(0, "a//b", 3)], "not a path inside"),
        ([(0, "a\0b", 3)], "not a path inside"),
        ([(0, "x" * 300, 3)], "too long"),
        ([(0, "no/such/folder", 3)], "lies in no folder"),
        ([(3, "out", "/etc"), (0, "out/passwd", 3)], "leads outside"),
        ([(3, "in", "."), (0, "in/file", 3)], "lies in no folder"),
        ([(2, "a", None), (3, "a/out", "../../etc")], "leads outside"),
        ([(2, "a", None), (3, "a/out", "b/../../../etc")], "leads outside"),
        ([(0, "b", 3), (2, "a", None)], "out of order"),
        ([(0, "b", 3), (0, "b", 3)], "out of order"),
        ([(0, "b", 3000)], "do not add up"),
        ([(0, "b", 2**50)], "do not add up"),
        ([(2, "b", None)], "do not add up"),
        ([(7, "b", None)], "unknown kind"),
        ([(0, "b", 5)], "wrong size"),
    ],
)
def test_a_hostile_index_is_refused_before_anything_is_written(
    store: FeedStore, tmp_path: Path, entries: list[tuple[int, str, object]], complaint: str
) -> None:
    feed = _feed_of(store, _raw(*entries), len(entries), [b"bad"])
    with pytest.raises(Malformed, match=complaint):
        restore(feed, tmp_path / "target")
    assert _entries_left(tmp_path) == []


def test_a_feed_that_holds_no_folder_is_told_from_one_that_does(store: FeedStore) -> None:
    feed = store.create(KEY, MANIFEST)
    for chunks, complaint in (
        ([b"x"], "holds no file or folder"),
        ([b"y"], "holds no file or folder"),
    ):
        feed.append(chunks, SIGN)
        with pytest.raises(Malformed, match=complaint):
            contents(feed)


def test_a_folder_that_was_cut_short_is_told(store: FeedStore, source: Path) -> None:
    feed = _ingest(store, source)
    feed.append([b"one more"], SIGN)
    with pytest.raises(Malformed, match="cut short"):
        contents(feed)


_names = st.sampled_from(["a", "b", "c d", "ü", "a-b"])


@given(
    st.dictionaries(
        st.lists(_names, min_size=1, max_size=3).map(tuple),
        st.integers(0, 5000),
        max_size=8,
    )
)
def test_an_index_says_what_it_was_given(files: dict[tuple[str, ...], int]) -> None:
    files = {
        path: size
        for path, size in files.items()
        if not any(path[:cut] in files for cut in range(1, len(path)))
    }
    parents = {path[:cut] for path in files for cut in range(1, len(path))}
    entries = [Entry(Kind.FOLDER, "/".join(path)) for path in parents]
    entries += [Entry(Kind.FILE, "/".join(path), size) for path, size in files.items()]
    entries.sort(key=lambda entry: entry.path.encode())
    header = Header(Shape.FOLDER, CHUNK_BYTES)
    index = folder.encode_index(entries)
    chunks = sum(folder.chunk_count(size, CHUNK_BYTES) for size in files.values())
    trailer = folder.encode_trailer(index, 1 + chunks, len(entries))
    length = 2 + chunks + folder.chunk_count(len(index), CHUNK_BYTES)
    read = folder.decode_index(index, header, folder.decode_trailer(trailer, length, header))
    assert [(e.kind, e.path, e.size) for e in read] == [(e.kind, e.path, e.size) for e in entries]
    assert folder.decode_header(folder.encode_header(header)) == header
