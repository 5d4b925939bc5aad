"""An owner that signed two histories of one feed, and the evidence of it (WIRE.md section 9).

A feed only grows; an owner who takes something back must say so with a higher fork. Two signed
heads of one fork that disagree about the first `length` chunks are therefore proof, to anyone who
has the feed's key, that its owner told different people different things.

The evidence is a pair of ordinary `data` messages: each answers the request for the roots of
`length` chunks, and leads from them to a signed head.

    evidence    buffer data message · buffer data message

Who finds such a pair keeps it with the feed and lets the feed grow no more: which history is the
true one cannot be said. What is stored stays readable, and is served on: it is signed, and its
hoster has done nothing wrong.
"""

from feed import flat_tree
from feed.codec import decode, encode
from feed.manifest import Manifest
from feed.messages import Data, Kind, Request, UpgradeRequest
from feed.proof import State, verify
from feed.tree import tree_hash
from wire.compact import Reader, put_buffer
from wire.errors import Malformed, Unavailable

REQUEST_ID = 0
"""What a request has in place of a number when it looks for a conflict."""


class Conflict(Unavailable):
    """The owner has signed two histories of the feed, which grows no more."""

    def __init__(self, key: bytes) -> None:
        super().__init__(
            f"the owner of feed {key.hex()[:16]}… has signed two histories: it grows no more here"
        )


def question(fork: int, length: int) -> Request:
    """Asks a peer to show its signed history of so many chunks."""
    return Request(REQUEST_ID, fork, upgrade=UpgradeRequest(0, length), manifest=True)


def is_conflict(key: bytes, one: Data, other: Data, manifest: Manifest | None = None) -> bool:
    """Whether two answers prove that the owner signed two histories.

    Raises `Malformed` when one of them is no valid answer; `manifest` is for answers without it.
    """
    if one.upgrade is None or other.upgrade is None:
        raise Malformed("an answer without an upgrade proves no history")
    same = one.fork == other.fork and one.upgrade.length == other.upgrade.length
    manifest = manifest or one.manifest or other.manifest
    hashes = [_history(key, data, manifest) for data in (one, other)]
    return same and hashes[0] != hashes[1]


def _history(key: bytes, data: Data, manifest: Manifest | None) -> bytes:
    """The tree hash of the chunks that an answer was asked for, once it is found signed."""
    upgrade = data.upgrade
    assert upgrade is not None
    asked = question(data.fork, upgrade.length)._replace(id=data.request)
    bare = Data(data.request, data.fork, upgrade=upgrade, manifest=data.manifest)
    state = State.empty(key, manifest)
    if upgrade.start or upgrade.length < 1:
        raise Malformed("a history that does not begin at the first chunk")
    verify(state._replace(fork=data.fork), asked, bare)
    return tree_hash(upgrade.nodes[: len(flat_tree.full_roots(upgrade.length))])


def encode_evidence(one: Data, other: Data) -> bytes:
    """The evidence as it is kept and passed on."""
    out = bytearray()
    put_buffer(out, encode(one))
    put_buffer(out, encode(other))
    return bytes(out)


def check_evidence(key: bytes, evidence: bytes) -> bool:
    """Whether this proves, with nothing else known, that the feed's owner signed two histories.

    Raises `Malformed` for what is no evidence at all.
    """
    reader = Reader(evidence)
    pair = [decode(Kind.DATA, reader.buffer()) for _ in range(2)]
    one, other = pair
    if not isinstance(one, Data) or not isinstance(other, Data):
        raise Malformed("the evidence holds another message")
    return is_conflict(key, one, other)
