"""Answers, byte for byte those of a real hypercore."""

import pytest

from feed import flat_tree
from feed.codec import decode, encode
from feed.manifest import Manifest, Prologue, Signer, decode_manifest, manifest_key
from feed.messages import Kind, PathRequest, Request, SeekRequest, UpgradeRequest
from feed.proof import State, verify
from feed.prover import Source, byte_offset, produce
from feed.signature import sign_head
from feed.tree import tree_hash
from tests.feed.feeds import Feed, chunks_of
from tests.feed.models import MODELS
from wire.errors import Malformed, NotFound
from wire.keys import KeyPair


def source_of(feed, length, *, seed, key, manifest, fork=0):
    """A hoster of the first `length` chunks, with the signature over them."""
    shorter = Feed(feed.chunks[:length])
    signature = sign_head(
        KeyPair(seed),
        key,
        manifest,
        fork=fork,
        length=length,
        tree_hash=tree_hash(shorter.roots),
    )
    return Source(manifest, fork, length, signature, shorter.node, shorter.chunk)


def length_signed(data, whole):
    """How long the feed was when it gave this answer; without upgrade it does not matter."""
    if data.upgrade is None:
        return whole
    added = sum(flat_tree.leaves(node.index) for node in data.upgrade.additional_nodes)
    return data.upgrade.start + data.upgrade.length + added


def test_proofs_are_those_that_node_produced(vectors):
    feeds = {feed["feed"]: feed for feed in vectors("tree")["feeds"]}
    produced = 0
    for case in vectors("proofs")["cases"]:
        if case["feed"] not in feeds or not case["accept"]:
            continue
        row = feeds[case["feed"]]
        feed = Feed(chunks_of(row))
        request = decode(Kind.REQUEST, bytes.fromhex(case["request"]))
        data = decode(Kind.DATA, bytes.fromhex(case["data"]))
        if request.manifest and data.manifest is None and not row["compat"]:
            request = request._replace(manifest=False)
        source = source_of(
            feed,
            length_signed(data, feed.length),
            seed=bytes.fromhex(row["seed"]),
            key=bytes.fromhex(row["key"]),
            manifest=None if row["compat"] else decode_manifest(bytes.fromhex(row["manifest"])),
        )
        assert produce(source, request) == data, case["name"]
        assert encode(data).hex() == case["data"]
        produced += 1
    assert produced


def test_data_in_sessions_is_byte_for_byte_what_node_sent(vectors):
    produced = 0
    for session in vectors("sessions")["sessions"]:
        cores = {core["discoveryKey"]: core for core in session["cores"]}
        for core, request, data, frame in answers_of(session, cores):
            if data.fork != core["fork"] or not core["blocks"]:
                continue
            source = source_of(
                Feed(bytes.fromhex(block) for block in core["blocks"]),
                length_signed(data, len(core["blocks"])),
                seed=bytes.fromhex(core["keyPairSeed"]),
                key=bytes.fromhex(core["key"]),
                manifest=None
                if core["compat"]
                else decode_manifest(bytes.fromhex(core["manifest"])),
                fork=core["fork"],
            )
            assert produce(source, request) == data, session["name"]
            assert encode(data).hex() in frame, session["name"]
            produced += 1
    assert produced


def answers_of(session, cores):
    """Every answer with its feed, its request and the frame it came in."""
    channels, asked = {}, {}
    for frame in session["frames"]:
        side = frame["from"]
        for message in frame["decoded"]["messages"]:
            if message.get("control") == "open":
                channels[side, message["channel"]] = message["id"]
            name = channels.get((side, message.get("channel")))
            if message.get("name") == "request":
                request = MODELS["request"](message["value"])
                asked[side, name, request.id] = request
            if message.get("name") == "data":
                data = MODELS["data"](message["value"])
                other = "responder" if side == "initiator" else "initiator"
                yield cores[name], asked[other, name, data.request], data, frame["hex"]


SEED = bytes(range(32))
PAIR = KeyPair(SEED)
FEED = Feed(bytes([index]) * (index % 5) for index in range(21))


def compat_source(length=21):
    return source_of(FEED, length, seed=SEED, key=PAIR.public, manifest=None)


def test_an_empty_request_has_an_empty_answer():
    data = produce(compat_source(), Request(7, 0))
    assert data == (7, 0, None, None, None, None, None)


def test_one_message_proves_a_chunk_to_a_reader_that_knows_only_the_key():
    source = compat_source()
    for index in range(21):
        request = Request(1, 0, chunk=PathRequest(index, 0), upgrade=UpgradeRequest(0, 21))
        verified = verify(State.empty(PAIR.public), request, produce(source, request))
        assert verified.head == FEED.head
        assert verified.roots == FEED.roots
        assert verified.chunk.value == FEED.chunks[index]
        assert all(FEED.nodes[node.index] == node for node in verified.nodes)


@pytest.mark.parametrize(
    "request_",
    [
        Request(1, 1, upgrade=UpgradeRequest(0, 21)),
        Request(1, 0, chunk=PathRequest(21, 0)),
        Request(1, 0, chunk=PathRequest(21, 0), upgrade=UpgradeRequest(0, 21)),
    ],
)
def test_what_is_not_held_is_not_found(request_):
    with pytest.raises(NotFound):
        produce(compat_source(), request_)


@pytest.mark.parametrize(
    "request_",
    [
        Request(1, 0, upgrade=UpgradeRequest(0, 22)),
        Request(1, 0, upgrade=UpgradeRequest(21, 0)),
        Request(1, 0, chunk=PathRequest(20, 1)),
        Request(1, 0, chunk=PathRequest(3, 2**53 - 1)),
        Request(1, 0, hash=PathRequest(42, 0)),
        Request(1, 0, hash=PathRequest(31, 0), upgrade=UpgradeRequest(9, 12)),
        Request(1, 0, chunk=PathRequest(8, 0), upgrade=UpgradeRequest(0, 8)),
        Request(
            1,
            0,
            chunk=PathRequest(8, 0),
            seek=SeekRequest(1),
            upgrade=UpgradeRequest(0, 21),
        ),
        Request(1, 0, chunk=PathRequest(8, 1), seek=SeekRequest(1)),
    ],
)
def test_what_no_feed_of_this_length_can_answer_is_malformed(request_):
    with pytest.raises(Malformed):
        produce(compat_source(), request_)


def test_a_missing_chunk_does_not_keep_the_manifest_back():
    manifest = Manifest(1, 1, (Signer(PAIR.public),))
    source = source_of(FEED, 21, seed=SEED, key=manifest_key(manifest), manifest=manifest)
    data = produce(source, Request(1, 0, chunk=PathRequest(30, 0), manifest=True))
    assert (data.chunk, data.manifest) == (None, manifest)
    verified = verify(
        State.empty(manifest_key(manifest)),
        Request(1, 0, chunk=PathRequest(30, 0), manifest=True),
        data,
    )
    assert verified.manifest == manifest


def test_an_upgrade_that_starts_in_the_prologue_is_one_to_its_end():
    prologue = Prologue(tree_hash(Feed(FEED.chunks[:6]).roots), 6)
    manifest = Manifest(1, 1, (Signer(PAIR.public),), prologue=prologue)
    key = manifest_key(manifest)
    source = source_of(FEED, 21, seed=SEED, key=key, manifest=manifest)
    request = Request(1, 0, upgrade=UpgradeRequest(0, 21), manifest=True)
    data = produce(source, request)
    assert data.upgrade[:2] == (0, 6)
    assert verify(State.empty(key), request, data).head == FEED.head


def test_byte_offsets_are_sums_of_what_lies_to_the_left():
    for index in range(21):
        before = sum(len(chunk) for chunk in FEED.chunks[:index])
        assert byte_offset(2 * index, 21, FEED.node) == before
        assert byte_offset(2 * index, 21, FEED.node, padding=1) == before - index
    with pytest.raises(Malformed):
        byte_offset(42, 21, FEED.node)
    with pytest.raises(NotFound):
        byte_offset(4, 21, lambda _index: None)
