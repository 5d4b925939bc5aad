"""Two signatures of one validator that no honest one gives together.

All four kinds are two votes of one term and one view. To notarize a block and then to nullify
its view is legal; so is to notarize one block and to finalize another, which others notarized;
and so is the same block in two views: the last block of a term is proposed until it is final.
"""

from enum import StrEnum

from chain.votes import VOTE_DOMAIN, SignedVote
from wire import signing
from wire.codec import encode
from wire.errors import Malformed


class FaultKind(StrEnum):
    """What a validator's two signatures show."""

    TWO_PROPOSALS = "two proposals in one view"
    TWO_NOTARIZATIONS = "notarizations of two blocks in one view"
    FINALIZED_AND_NULLIFIED = "finalized a view and nullified it"
    TWO_FINALIZATIONS = "finalizations of two blocks in one view"


_KINDS = {
    ("propose", "propose"): FaultKind.TWO_PROPOSALS,
    ("notarize", "notarize"): FaultKind.TWO_NOTARIZATIONS,
    ("finalize", "nullify"): FaultKind.FINALIZED_AND_NULLIFIED,
    ("finalize", "finalize"): FaultKind.TWO_FINALIZATIONS,
}


def contradiction(network: bytes, key: bytes, first: SignedVote, second: SignedVote) -> FaultKind:
    """Of which fault two votes convict the validator that signs with `key`.

    Raises `Malformed` when they prove none. Their order does not matter.
    """
    one, other = sorted((first.vote, second.vote), key=lambda vote: vote.kind)
    if (one.term, one.view) != (other.term, other.view):
        raise Malformed("the votes are of two views")
    if one == other:
        raise Malformed("it is the same vote twice")
    kind = _KINDS.get((one.kind, other.kind))
    if kind is None:
        raise Malformed(f"a validator may {one.kind} and {other.kind} in one view")
    for signed in (first, second):
        body = encode(signed.vote)
        signing.require_signed(key, VOTE_DOMAIN, network, body, signed.signature)
    return kind
