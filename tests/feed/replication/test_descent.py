"""How much of a rewritten feed is kept: all that both forks share, found in few questions."""

import random
from pathlib import Path

import pytest

from feed.check import check
from feed.feed import Feed
from feed.messages import Data, HashPart, NoData, Reason, Request
from feed.prover import Source, produce
from feed.replication.descent import Descent
from feed.store import FeedStore
from tests.feed.feeds import Feed as Tree
from tests.feed.owner import KEY, MANIFEST, SIGN, chunk
from tests.feed.replication.test_replication import End, World
from wire.errors import Malformed

CHUNKS = [chunk(index) for index in range(64)]


def _source(tree: Tree) -> Source:
    return Source(None, 1, tree.length, None, tree.node, tree.chunk)


def _search(old: Tree, new: Tree, stored=None) -> tuple[Descent, int]:
    """Let the new tree answer all questions; the descent and how many there were."""
    descent = Descent(new.roots, old.length, stored or old.node)
    asked = 0
    while descent.question is not None:
        asked += 1
        request = Request(asked, 1, hash=descent.question)
        descent.take(request, produce(_source(new), request))
    return descent, asked


def _shared(old: Tree, new: Tree) -> int:
    """What a comparison of all chunks gives."""
    pairs = zip(old.chunks, new.chunks, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(old.length, new.length))


@pytest.mark.parametrize("old", [1, 2, 5, 8, 13, 16, 33, 64])
def test_the_first_chunk_that_differs_is_found(old: int) -> None:
    for kept in range(old + 1):
        for added in (0, 1, 2, 7, 40):
            one = Tree(CHUNKS[:old])
            other = Tree([*CHUNKS[:kept], *(b"new" + c for c in CHUNKS[:added])])
            descent, asked = _search(one, other)
            assert descent.shared == _shared(one, other), (old, kept, added)
            assert asked <= 6
            assert all(other.node(node.index) == node for node in descent.nodes)


def test_a_large_feed_takes_few_questions() -> None:
    length = 5000
    chunks = [i.to_bytes(4, "big") for i in range(length)]
    for kept in (0, 1, 777, 2048, 4095, 4096, 4999):
        one, other = Tree(chunks), Tree([*chunks[:kept], b"new", *chunks[kept:]])
        descent, asked = _search(one, other)
        assert descent.shared == kept
        assert asked <= 13


def test_an_answer_that_does_not_lead_to_the_new_head_is_refused() -> None:
    one, other = Tree(CHUNKS[:16]), Tree([*CHUNKS[:9], b"new", *CHUNKS[:6]])
    descent = Descent(other.roots, one.length, one.node)
    assert descent.question is not None
    request = Request(1, 1, hash=descent.question)
    good = produce(_source(other), request)
    assert good.hash is not None
    nodes = good.hash.nodes
    moved = (nodes[0]._replace(size=nodes[0].size + 1), *nodes[1:])
    for wrong in (
        Data(1, 1),
        good._replace(hash=HashPart(request.hash.index, nodes[:-1])),
        good._replace(hash=HashPart(request.hash.index, moved)),
        good._replace(hash=HashPart(request.hash.index, nodes[:1])),
        good._replace(hash=HashPart(2, nodes)),
        good._replace(fork=2),
        produce(_source(one), request),
    ):
        with pytest.raises(Malformed):
            descent.take(request, wrong)
    descent.take(request, good)


def _owned(path: Path, chunks: list[bytes]) -> Feed:
    feed = FeedStore(path).create(KEY, MANIFEST)
    feed.append(chunks, SIGN)
    return feed


def _rewritten(path: Path, old: int, kept: int, added: int) -> Feed:
    feed = _owned(path, CHUNKS[:old])
    feed.truncate(kept, SIGN)
    feed.append([b"new" + c for c in CHUNKS[:added]], SIGN)
    return feed


def _copy(path: Path, source: Feed, chunks: list[int]) -> Feed:
    """A reader's feed that fetched these chunks only, in this order."""
    hoster, reader = End(source), End(FeedStore(path).create(KEY))
    reader.do(reader.core.want(chunks, 0))
    World((hoster, reader)).run()
    assert reader.feed.held.count == len(set(chunks))
    return reader.feed


@pytest.mark.parametrize("seed", range(30))
def test_a_copy_keeps_every_chunk_that_both_forks_have(tmp_path: Path, seed: int) -> None:
    """Whole copies and sparse ones; afterwards the store is sound and the rest can be fetched."""
    rng = random.Random(seed)
    old = rng.randint(1, 60)
    kept = rng.randint(0, old)
    wanted = rng.sample(range(old), rng.randint(0, old))
    copy = _copy(tmp_path / "copy.db", _owned(tmp_path / "old.db", CHUNKS[:old]), wanted)
    hoster = End(_rewritten(tmp_path / "new.db", old, kept, rng.randint(1, 40)))
    reader = End(copy)
    reader.do(reader.core.want([], 0))
    world = World((hoster, reader))
    world.run()
    assert (copy.fork, copy.length, copy.roots) == (1, hoster.feed.length, hoster.feed.roots)
    assert [i for i in range(copy.length) if copy.has(i)] == sorted(i for i in wanted if i < kept)
    assert list(check(copy))[-1].damaged == ()
    reader.do(reader.core.want_all(world.now_us))
    world.run()
    assert copy.missing == 0 and list(check(copy))[-1].damaged == ()
    assert all(copy.chunk(i) == hoster.feed.chunk(i) for i in range(copy.length))
    last = End(FeedStore(tmp_path / "last.db").create(KEY))
    last.do(last.core.want_all(0))
    World((End(copy), last)).run()
    assert last.feed.missing == 0 and last.feed.length == copy.length, "the copy can serve it"


def test_a_peer_that_answers_no_questions_is_followed_all_the_same(tmp_path: Path) -> None:
    copy = _copy(tmp_path / "a.db", _owned(tmp_path / "b.db", CHUNKS[:32]), list(range(32)))

    def refuse(message):
        if isinstance(message, Data) and message.hash is not None:
            return [NoData(message.request, Reason.NOT_AVAILABLE)]
        return [message]

    hoster, reader = End(_rewritten(tmp_path / "c.db", 32, 20, 12), refuse), End(copy)
    reader.do(reader.core.want_all(0))
    World((hoster, reader)).run()
    assert (copy.fork, copy.length, copy.missing) == (1, 32, 0)
    assert list(check(copy))[-1].damaged == ()
