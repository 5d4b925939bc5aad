"""What validators sign of a view, and the certificates that a quorum of their votes makes."""

from typing import Annotated, Literal

from pydantic import Field, PlainSerializer

from chain.validators import MAX_VALIDATORS
from wire.codec import Message
from wire.primitives import Hash, Natural, Signature

VOTE_DOMAIN = "vote"

VrfProof = Annotated[
    bytes,
    Field(min_length=80, max_length=80),
    PlainSerializer(bytes.hex, return_type=str, when_used="json"),
]


VoteKind = Literal["propose", "notarize", "nullify", "finalize"]


class Vote(Message):
    """One thing that a validator can say of a view, and signs at most once.

    To *nullify* names no block: height 0 and a hash of zeros.
    """

    kind: VoteKind
    term: Natural
    view: Natural
    height: Natural
    block: Hash


class ValidatorSignature(Message):
    """One validator's signature, by its place in the validator set."""

    index: Natural
    signature: Signature


class SignedVote(Message):
    """A vote and the validator's signature over it."""

    vote: Vote
    index: Natural
    signature: Signature


class Certificate(Message):
    """A quorum's signatures over one vote. Of the kind *finalize*: its block is never replaced."""

    vote: Vote
    signatures: Annotated[tuple[ValidatorSignature, ...], Field(max_length=MAX_VALIDATORS)]
