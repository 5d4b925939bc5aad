"""Feeds of any shape: a proof proves exactly what is so, whoever bends it."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import multiproof
from feed.codec import decode, encode
from feed.manifest import Manifest, Prologue, Signer
from feed.messages import (
    Bitfield,
    Cancel,
    ChunkPart,
    Data,
    Extension,
    HashPart,
    NoData,
    PathRequest,
    Range,
    Request,
    SeekPart,
    SeekRequest,
    Sync,
    Unwant,
    UpgradePart,
    UpgradeRequest,
    Want,
)
from feed.proof import State, missing_levels, verify
from feed.prover import Source, produce
from feed.signature import sign_head
from feed.tree import Node, leaf
from tests.feed.feeds import Feed
from wire.compact import MAX_UINT
from wire.errors import Malformed, NotFound
from wire.keys import KeyPair

PAIR = KeyPair(bytes(range(32)))

uints = st.integers(0, MAX_UINT)
hashes = st.binary(min_size=32, max_size=32)
nodes = st.lists(st.builds(Node, uints, uints, hashes), max_size=4).map(tuple)
manifests = st.builds(
    Manifest,
    version=st.integers(2, 3),
    quorum=uints,
    signers=st.lists(st.builds(Signer, hashes, hashes), max_size=3).map(tuple),
    allow_patch=st.booleans(),
    prologue=st.none() | st.builds(Prologue, hashes, uints),
    linked=st.none() | st.lists(hashes, max_size=3).map(tuple),
    user_data=st.none() | st.binary(max_size=20),
)
stretches = st.integers(0, 2**52 - 1)
messages = st.one_of(
    st.builds(Sync, uints, uints, uints, *[st.booleans()] * 5),
    st.builds(
        Request,
        uints,
        uints,
        st.none() | st.builds(PathRequest, uints, uints),
        st.none() | st.builds(PathRequest, uints, uints),
        st.none() | st.builds(SeekRequest, uints, uints),
        st.none() | st.builds(UpgradeRequest, uints, uints),
        st.booleans(),
        uints,
    ),
    st.builds(Cancel, uints),
    st.builds(
        Data,
        uints,
        uints,
        st.none() | st.builds(ChunkPart, uints, st.binary(max_size=300), nodes),
        st.none() | st.builds(HashPart, uints, nodes),
        st.none() | st.builds(SeekPart, uints, nodes),
        st.none()
        | st.builds(UpgradePart, uints, uints, nodes, nodes, st.none() | st.binary(min_size=1)),
        st.none() | manifests,
    ),
    st.builds(NoData, uints, uints),
    st.builds(Want, uints, uints, st.booleans()),
    st.builds(Unwant, uints, uints, st.booleans()),
    st.builds(
        Bitfield,
        st.integers(0, 2**40).map(lambda word: 32 * word),
        st.binary(max_size=40).map(lambda bits: bits[: len(bits) // 4 * 4]),
    ),
    st.builds(Range, stretches, stretches, st.booleans()),
    st.builds(Extension, st.text(max_size=40), st.binary(max_size=40)),
)
chunks = st.lists(st.binary(max_size=6), min_size=1, max_size=40)


@given(messages)
def test_a_message_is_decoded_to_what_was_encoded(message):
    assert decode(message.kind, encode(message)) == message


@given(st.integers(0, 9), st.binary(max_size=120))
def test_any_bytes_are_a_message_or_malformed(kind, payload):
    try:
        message = decode(kind, payload)
    except Malformed:
        return
    assert decode(message.kind, encode(message)) == message


def source_of(feed):
    signature = sign_head(
        PAIR, PAIR.public, None, fork=0, length=feed.length, tree_hash=feed.head.tree_hash
    )
    return Source(None, 0, feed.length, signature, feed.node, feed.chunk)


class Reader:
    def __init__(self):
        self.state = State.empty(PAIR.public)
        self.nodes = {}

    def ask(self, source, request):
        self.store(verify(self.state, request, produce(source, request)))

    def store(self, verified):
        self.nodes |= {node.index: node for node in verified.nodes}
        length = verified.head.length if verified.head else self.state.length
        self.state = State(PAIR.public, None, 0, length, verified.roots, self.nodes.get)


@given(chunks, st.data())
def test_a_reader_that_grows_and_fetches_in_any_order_learns_the_true_tree(all_chunks, draw):
    reader = Reader()
    whole = Feed(all_chunks)
    lengths = draw.draw(st.sets(st.integers(1, len(all_chunks)), max_size=4)) | {len(all_chunks)}
    for length in sorted(lengths):
        feed = Feed(all_chunks[:length])
        source, start = source_of(feed), reader.state.length
        target = draw.draw(st.integers(start + 1, length))
        reader.ask(source, Request(1, 0, upgrade=UpgradeRequest(start, target - start)))
        assert reader.state.roots == feed.roots
        for index in draw.draw(st.lists(st.integers(0, length - 1), max_size=6)):
            levels = missing_levels(index, length, reader.nodes.__contains__)
            reader.ask(source, Request(1, 0, chunk=PathRequest(index, levels)))
            assert reader.nodes[2 * index] == leaf(index, all_chunks[index])
    assert reader.state.roots == whole.roots
    assert all(whole.nodes[index] == node for index, node in reader.nodes.items())


def requests(length, start):
    """Every kind of question that a reader of `start` chunks may ask a feed of `length`."""
    upgrades = [st.none()] if start else []
    if start < length:
        upgrades.append(st.builds(UpgradeRequest, st.just(start), st.integers(1, length - start)))
    paths = st.builds(PathRequest, st.integers(0, 2 * length - 2), st.integers(0, 6))
    return st.builds(
        Request,
        st.just(1),
        st.just(0),
        st.none() | paths.map(lambda path: path._replace(index=path.index // 2)),
        st.none() | paths,
        st.none() | st.builds(SeekRequest, st.integers(0, 3 * length)),
        st.one_of(upgrades),
    )


def bend(data, draw):
    """The message with one or two nodes, or the chunk, changed."""
    parts = [name for name in ("chunk", "hash", "seek", "upgrade") if getattr(data, name)]
    name = draw(st.sampled_from(parts))
    part = getattr(data, name)
    field = draw(
        st.sampled_from([f for f in ("value", "nodes", "additional_nodes") if f in part._fields])
    )
    old = getattr(part, field)
    if field == "value":
        return data._replace(chunk=part._replace(value=draw(st.binary(max_size=6))))
    items = list(old)
    change = draw(st.sampled_from(["size", "sizes", "hash", "index", "drop", "add", "swap"]))
    if items and change == "drop":
        del items[draw(st.integers(0, len(items) - 1))]
    elif items and change in ("size", "hash", "index"):
        at = draw(st.integers(0, len(items) - 1))
        value = draw(hashes if change == "hash" else st.integers(0, 200))
        items[at] = items[at]._replace(**{change: value})
    elif len(items) > 1 and change == "sizes":
        one, other = draw(st.permutations(range(len(items))))[:2]
        moved = draw(st.integers(0, items[one].size))
        items[one] = items[one]._replace(size=items[one].size - moved)
        items[other] = items[other]._replace(size=items[other].size + moved)
    elif len(items) > 1 and change == "swap":
        items[0], items[1] = items[1], items[0]
    elif change == "add":
        items.append(draw(st.builds(Node, st.integers(0, 90), st.integers(0, 9), hashes)))
    return data._replace(**{name: part._replace(**{field: tuple(items)})})


@given(chunks, st.data())
def test_a_bent_message_is_refused_or_proves_only_what_is_so(all_chunks, draw):
    feed = Feed(all_chunks)
    source, reader = source_of(feed), Reader()
    start = draw.draw(st.integers(0, feed.length))
    if start:
        reader.ask(
            source_of(Feed(all_chunks[:start])), Request(1, 0, upgrade=UpgradeRequest(0, start))
        )
    request = draw.draw(requests(feed.length, start))
    try:
        data = produce(source, request)
    except (Malformed, NotFound):
        return
    if any(data[2:6]):
        data = bend(data, draw.draw)
    try:
        verified = verify(reader.state, request, data)
    except Malformed:
        return
    assert verified.head in (None, feed.head)
    assert verified.chunk is None or verified.chunk.value == all_chunks[request.chunk.index]
    reader.store(verified)
    assert all(feed.nodes[index] == node for index, node in reader.nodes.items())
    assert all(root in reader.nodes.values() for root in reader.state.roots)


@given(chunks, st.data())
def test_a_proof_of_one_chunk_never_proves_it_at_another_index(all_chunks, draw):
    feed = Feed(all_chunks)
    index = draw.draw(st.integers(0, feed.length - 1))
    other = draw.draw(st.integers(0, feed.length + 1).filter(lambda other: other != index))
    request = Request(1, 0, chunk=PathRequest(index, 0), upgrade=UpgradeRequest(0, feed.length))
    data = produce(source_of(feed), request)
    assert verify(State.empty(PAIR.public), request, data).chunk.value == all_chunks[index]
    moved = data._replace(chunk=data.chunk._replace(index=other))
    asked = request._replace(chunk=PathRequest(other, 0))
    with pytest.raises(Malformed):
        verify(State.empty(PAIR.public), asked, moved)


@given(chunks, st.data())
def test_a_multiproof_proves_its_chunks_and_no_others(all_chunks, draw):
    feed = Feed(all_chunks)
    length = feed.length
    indices = draw.draw(st.sets(st.integers(0, length - 1)))
    uncles = multiproof.make(length, indices, feed.node)
    leaves = {index: feed.nodes[2 * index][1:] for index in indices}
    assert multiproof.verify(length, leaves, uncles) == feed.head.tree_hash
    if not indices:
        return
    index = draw.draw(st.sampled_from(sorted(indices)))
    other = draw.draw(st.integers(0, length - 1))
    forged = dict(leaves)
    forged[other] = forged.pop(index)
    if forged == leaves or feed.nodes[2 * other][1:] == leaves[index]:
        return
    with contextlib.suppress(Malformed):
        assert multiproof.verify(length, forged, uncles) != feed.head.tree_hash
