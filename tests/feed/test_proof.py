"""Proofs, judged as a real hypercore judged them and produced as a real hypercore produces."""

from feed.codec import decode
from feed.manifest import decode_manifest
from feed.messages import Data, Kind, Request
from feed.proof import Reorg, State, verify
from feed.tree import tree_hash
from wire.errors import HoldfastError, Malformed


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
