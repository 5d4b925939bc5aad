"""Votes and certificates: made, checked and counted."""

from dataclasses import dataclass, field

from chain.blocks import Header
from chain.light import require_quorum
from chain.validators import ValidatorSet
from chain.votes import VOTE_DOMAIN, Certificate, SignedVote, ValidatorSignature, Vote, VoteKind
from wire import signing
from wire.codec import encode
from wire.errors import Malformed
from wire.keys import KeyPair

NO_BLOCK = bytes(32)
"""What a vote to nullify names."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A validator's own place in the set of a term, and the keys of that place."""

    place: int
    key: KeyPair
    vrf_key: KeyPair


def vote_for(kind: VoteKind, term: int, view: int, header: Header) -> Vote:
    """What one says of a block in a view: its own, or a later one that proposes it again."""
    return Vote(kind=kind, term=term, view=view, height=header.height, block=header.id)


def vote_to_nullify(term: int, view: int) -> Vote:
    """What one says of a view that has come to nothing."""
    return Vote(kind="nullify", term=term, view=view, height=0, block=NO_BLOCK)


def sign_vote(seat: Seat, network: bytes, vote: Vote) -> SignedVote:
    """`vote`, signed. Whoever calls this must have made sure that it contradicts no other."""
    signature = signing.sign(seat.key, VOTE_DOMAIN, network, encode(vote))
    return SignedVote(vote=vote, index=seat.place, signature=signature)


def require_vote(network: bytes, validators: ValidatorSet, signed: SignedVote) -> None:
    """Raise `Malformed` unless a member of `validators` signed a well-formed vote of its term."""
    vote = signed.vote
    if vote.term != validators.term or signed.index >= len(validators.members):
        raise Malformed("a vote of another term or of no validator")
    if vote.kind == "nullify" and (vote.height, vote.block) != (0, NO_BLOCK):
        raise Malformed("a vote to nullify that names a block")
    key = validators.members[signed.index].key
    signing.require_signed(key, VOTE_DOMAIN, network, encode(vote), signed.signature)


def require_certificate(network: bytes, validators: ValidatorSet, certificate: Certificate) -> None:
    """Raise `Malformed` unless a quorum of `validators` signed a well-formed vote."""
    vote = certificate.vote
    if vote.term != validators.term or vote.kind == "propose":
        raise Malformed("a certificate of another term, or of no decision")
    if vote.kind == "nullify" and (vote.height, vote.block) != (0, NO_BLOCK):
        raise Malformed("a certificate to nullify that names a block")
    require_quorum(network, validators, certificate)


@dataclass(slots=True)
class Tally:
    """The votes of one kind in one view: the first of each validator, and what they add up to."""

    votes: dict[int, SignedVote] = field(default_factory=dict)

    def add(self, signed: SignedVote, quorum: int) -> Certificate | None:
        """Count a vote that was checked; the certificate, if it is the last that was needed."""
        if signed.index in self.votes:
            return None
        self.votes[signed.index] = signed
        same = [each for each in self.votes.values() if each.vote == signed.vote]
        return certify(same) if len(same) == quorum else None


def certify(votes: list[SignedVote]) -> Certificate:
    """A certificate of votes that all say the same."""
    signatures = (ValidatorSignature(index=v.index, signature=v.signature) for v in votes)
    return Certificate(
        vote=votes[0].vote,
        signatures=tuple(sorted(signatures, key=lambda signature: signature.index)),
    )
