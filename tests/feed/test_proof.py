"""Proofs, judged as a real hypercore judged them and produced as a real hypercore produces."""

import pytest

from feed.codec import decode
from feed.manifest import decode_manifest
from feed.messages import (
    ChunkPart,
    Data,
    Kind,
    PathRequest,
    Request,
    SeekRequest,
    UpgradeRequest,
)
from feed.proof import Reorg, State, missing_levels, verify
from feed.prover import Source, produce
from feed.signature import sign_head
from feed.tree import Node, tree_hash
from tests.feed.feeds import Feed
from wire.compact import MAX_UINT
from wire.errors import HoldfastError, Malformed, Unavailable
from wire.keys import KeyPair


class Reader:
    """A reader that stores what messages prove, as little as a store can be."""

    def __init__(self, feed, manifest_known):
        manifest = decode_manifest(bytes.fromhex(feed["manifest"])) if feed["manifest"] else None
        known = manifest_known and not feed["compat"]
        self.state = State.empty(bytes.fromhex(feed["key"]), manifest if known else None)
        self.nodes = {}
        self.held = set()

    def receive(self, request, data):
        verified = verify(self.state, request, data)
        if isinstance(verified, Reorg):
            return verified
        head, state = verified.head, self.state
        self.nodes |= {node.index: node for node in verified.nodes}
        self.state = State(
            state.key,
            verified.manifest or state.manifest,
            head.fork if head else state.fork,
            head.length if head else state.length,
            verified.roots,
            self.nodes.get,
        )
        if verified.chunk is not None:
            self.held.add(verified.chunk.index)
        return verified


def messages_of(row):
    request = decode(Kind.REQUEST, bytes.fromhex(row["request"]))
    data = decode(Kind.DATA, bytes.fromhex(row["data"]))
    assert isinstance(request, Request)
    assert isinstance(data, Data)
    return request, data


def run(file, case):
    """The reader after a case, and what came of the case's message."""
    reader = Reader(file["keys"][case["feed"]], case["manifestKnown"])
    for index in case["setup"]:
        assert not isinstance(reader.receive(*messages_of(file["setups"][index])), Reorg)
    try:
        return reader, reader.receive(*messages_of(case))
    except HoldfastError as error:
        return reader, error


def assert_state(reader, after):
    state = reader.state
    assert state.length == after["length"]
    assert state.fork == after["fork"]
    assert sum(root.size for root in state.roots) == after["byteLength"]
    assert tree_hash(state.roots).hex() == after["treeHash"]
    assert sorted(reader.held) == after["has"]
    for root in state.roots:
        assert reader.nodes[root.index] == root


def test_proofs_are_judged_as_by_node(vectors):
    file = vectors("proofs")
    for case in file["cases"]:
        reader, outcome = run(file, case)
        if case["code"] == "REORG_UNFINISHED":
            assert isinstance(outcome, Reorg), case["name"]
        elif case["accept"]:
            assert not isinstance(outcome, (HoldfastError, Reorg)), (case["name"], outcome)
            assert_state(reader, case["after"])
        else:
            assert isinstance(outcome, Malformed), case["name"]


def test_nothing_that_node_refuses_is_accepted(vectors):
    file = vectors("proofs-negative")
    stricter = []
    for case in file["cases"]:
        reader, outcome = run(file, case)
        refused = isinstance(outcome, HoldfastError)
        if not case["accept"]:
            assert refused, case["name"]
        elif refused:
            stricter.append(case["part"])
        else:
            assert_state(reader, case["after"])
    assert set(stricter) <= {"hash.nodes sizes"}


PAIR = KeyPair(bytes(range(32)))
FEED = Feed(b"%d" % index * index for index in range(8))


def source_of(feed, pair=PAIR, fork=0):
    signature = sign_head(
        pair, pair.public, None, fork=fork, length=feed.length, tree_hash=feed.head.tree_hash
    )
    return Source(None, fork, feed.length, signature, feed.node, feed.chunk)


def state_of(feed, fork=0):
    return State(PAIR.public, None, fork, feed.length, feed.roots, feed.node)


def moved(nodes, position, size):
    """The nodes with the size of one of them changed."""
    node = nodes[position]
    return (*nodes[:position], node._replace(size=node.size + size), *nodes[position + 1 :])


def test_sizes_moved_between_two_received_siblings_are_not_stored():
    request = Request(1, 0, hash=PathRequest(4, 3))
    data = produce(source_of(FEED), request)
    liar = data._replace(hash=data.hash._replace(nodes=moved(moved(data.hash.nodes, 0, -1), 1, 1)))
    state = State(PAIR.public, None, 0, 8, FEED.roots, {7: FEED.nodes[7]}.get)
    for answer in (data, liar):
        assert {node.index for node in verify(state, request, answer).nodes} == {5, 1, 3, 11, 7}
        assert all(FEED.nodes[n.index] == n for n in verify(state, request, answer).nodes)


def test_sizes_moved_between_an_upgrade_and_its_additional_nodes_are_not_stored():
    request = Request(1, 0, upgrade=UpgradeRequest(0, 5))
    data = produce(source_of(FEED), request)
    upgrade = data.upgrade
    assert [node.index for node in upgrade.nodes + upgrade.additional_nodes] == [3, 8, 10, 13]
    liar = upgrade._replace(
        nodes=moved(upgrade.nodes, 1, 1), additional_nodes=moved(upgrade.additional_nodes, 0, -1)
    )
    for answer in (data, data._replace(upgrade=liar)):
        verified = verify(State.empty(PAIR.public), request, answer)
        assert verified.head == FEED.head
        assert {node.index for node in verified.nodes} == {3, 13, 9, 11, 7}
        assert all(FEED.nodes[node.index] == node for node in verified.nodes)


def test_an_answer_to_another_question_is_malformed():
    asked = Request(1, 0, PathRequest(3, 3), None, None, None)
    data = produce(source_of(FEED), asked)
    for request in (
        Request(1, 1, PathRequest(3, 3)),
        Request(1, 0, PathRequest(4, 3)),
        Request(1, 0, None, PathRequest(3, 3)),
    ):
        with pytest.raises(Malformed):
            verify(state_of(FEED), request, data)
    hashed = produce(source_of(FEED), Request(1, 0, hash=PathRequest(3, 1)))
    with pytest.raises(Malformed):
        verify(state_of(FEED), Request(1, 0, hash=PathRequest(11, 1)), hashed)
    sought = produce(source_of(FEED), Request(1, 0, PathRequest(3, 3), seek=SeekRequest(8)))
    with pytest.raises(Malformed):
        verify(state_of(FEED), Request(1, 0, PathRequest(3, 3), seek=SeekRequest(4)), sought)
    grown = produce(source_of(FEED), Request(1, 0, upgrade=UpgradeRequest(0, 8)))
    with pytest.raises(Malformed):
        verify(State.empty(PAIR.public), asked, grown)


def test_a_feed_that_moved_on_is_nobodys_fault():
    request = Request(1, 0, upgrade=UpgradeRequest(0, 5))
    data = produce(source_of(FEED), request)
    with pytest.raises(Unavailable):
        verify(state_of(FEED), request, data)
    with pytest.raises(Unavailable):
        verify(state_of(FEED, fork=1), request, data)


def test_a_higher_fork_is_told_from_growth():
    longer = Feed([*FEED.chunks[:6], b"other", b"chunks", b"here"])
    request = Request(1, 3, upgrade=UpgradeRequest(0, 9))
    data = produce(source_of(longer, fork=3), request)
    for length in (8, 4):
        outcome = verify(state_of(Feed(FEED.chunks[:length])), request, data)
        assert isinstance(outcome, Reorg)
        assert (outcome.verified.head.fork, outcome.verified.roots) == (3, longer.roots)
    verified = verify(state_of(Feed([])), request, data)
    assert (verified.head.fork, verified.roots) == (3, longer.roots), "nothing is here to lose"


def test_a_higher_fork_must_be_signed_and_contain_what_it_came_with():
    request = Request(1, 3, PathRequest(1, 0), upgrade=UpgradeRequest(0, 8))
    data = produce(source_of(FEED, fork=3), request)
    assert isinstance(verify(state_of(FEED), request, data), Reorg)
    for wrong in (
        data._replace(upgrade=None),
        data._replace(upgrade=data.upgrade._replace(signature=bytes(64))),
        data._replace(chunk=data.chunk._replace(nodes=data.chunk.nodes[:-1])),
    ):
        with pytest.raises(Malformed):
            verify(state_of(FEED), request, wrong)


def test_numbers_that_no_feed_reaches_are_malformed():
    upgrade = Request(1, 0, upgrade=UpgradeRequest(0, 8))
    data = produce(source_of(FEED), upgrade)
    for part in (
        data.upgrade._replace(length=MAX_UINT),
        data.upgrade._replace(start=2**52, length=2**52),
        data.upgrade._replace(length=0, nodes=(), additional_nodes=data.upgrade.nodes),
        data.upgrade._replace(additional_nodes=(Node(2**53 - 1, MAX_UINT, bytes(32)),)),
    ):
        with pytest.raises(Malformed):
            verify(State.empty(PAIR.public), upgrade, data._replace(upgrade=part))
    far = Data(1, 0, ChunkPart(MAX_UINT, b"", ()))
    with pytest.raises(Malformed):
        verify(state_of(FEED), Request(1, 0, PathRequest(MAX_UINT, 0)), far)


def test_missing_levels_end_at_the_first_stored_node():
    stored = {7, 16, 1}
    assert [missing_levels(i, 9, stored.__contains__) for i in range(11)] == [
        *(1, 1, 3, 3, 3, 3, 3, 3),
        *(0, 0, 0),
    ]
