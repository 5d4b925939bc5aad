"""What one validator knows of one view."""

from dataclasses import dataclass, field

from chain.blocks import Block
from chain.consensus.tally import Tally
from chain.votes import Certificate, SignedVote, VoteKind

Contradiction = tuple[SignedVote, SignedVote]
"""Two votes of one validator that no honest one signs both."""


def _tallies() -> dict[VoteKind, Tally]:
    return {"propose": Tally(), "notarize": Tally(), "nullify": Tally(), "finalize": Tally()}


_EXCLUDES: dict[VoteKind, VoteKind] = {"finalize": "nullify", "nullify": "finalize"}
"""To notarize and then to nullify is allowed; to finalize what one nullified never is."""


@dataclass(slots=True)
class View:
    """One attempt at a block."""

    number: int
    proof: bytes | None = None
    """The committer's announcement, once it is known and found good."""
    leader: int | None = None
    block: Block | None = None
    """What its leader proposed first."""
    refused: str = ""
    """Why that is not a valid block."""
    tallies: dict[VoteKind, Tally] = field(default_factory=_tallies)
    shown: set[int] = field(default_factory=set)
    """To whom the leader's other proposal was shown."""
    notarized: Certificate | None = None
    nullified: Certificate | None = None
    finalized: Certificate | None = None

    @property
    def decided(self) -> bool:
        """Whether the view is over: a quorum notarized a block in it, or gave it up."""
        return self.notarized is not None or self.nullified is not None

    def said(self, place: int, kind: VoteKind) -> SignedVote | None:
        """The vote of one kind that a validator has cast here, if it has."""
        return self.tallies[kind].votes.get(place)

    @property
    def voters(self) -> set[int]:
        """All who are known to have said anything here."""
        return {index for tally in self.tallies.values() for index in tally.votes}

    def contradiction(self, signed: SignedVote) -> Contradiction | None:
        """An earlier vote that its signer contradicts by this one, and this one."""
        kind = signed.vote.kind
        before = self.said(signed.index, kind)
        if before is not None and before.vote != signed.vote:
            return before, signed
        other = _EXCLUDES.get(kind)
        before = self.said(signed.index, other) if other else None
        return None if before is None else (before, signed)

    def to_show(self, signed: SignedVote) -> SignedVote | None:
        """The leader's proposal, where somebody votes for another block; once to each."""
        if signed.vote.kind != "notarize" or self.block is None or self.leader is None:
            return None
        proposed = self.said(self.leader, "propose")
        if proposed is None or proposed.vote.block == signed.vote.block:
            return None
        if signed.index in self.shown:
            return None
        self.shown.add(signed.index)
        return proposed

    def count(self, signed: SignedVote, quorum: int) -> Certificate | None:
        """Count a vote that was checked; the certificate that it completes, if it does."""
        return self.tallies[signed.vote.kind].add(signed, quorum)

    def forget_votes(self, place: int | None) -> None:
        """Drop all votes but those of one validator; the decisions stay."""
        for tally in self.tallies.values():
            tally.votes = {index: v for index, v in tally.votes.items() if index == place}

    def decide(self, certificate: Certificate) -> bool:
        """Take in a certificate that was checked; False if nothing is new in it."""
        match certificate.vote.kind:
            case "notarize" if self.notarized is None:
                self.notarized = certificate
            case "nullify" if self.nullified is None:
                self.nullified = certificate
            case "finalize" if self.finalized is None:
                self.finalized = certificate
            case _:
                return False
        return True

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """All decisions on this view that are known."""
        known = (self.notarized, self.nullified, self.finalized)
        return tuple(certificate for certificate in known if certificate is not None)
