"""What one validator knows of a term's views: announcements, votes and decisions, all checked."""

from collections.abc import Iterable

from chain.consensus.tally import require_certificate, require_vote
from chain.consensus.view import Contradiction, View
from chain.validators import ValidatorSet, drawn
from chain.votes import Certificate, SignedVote
from wire.errors import Malformed

AHEAD_VIEWS = 64
"""Votes and certificates for views further ahead are not kept: they are asked for later."""

BEHIND_VIEWS = 64
"""Of views further behind only the decisions are kept."""


class Knowledge:
    """Views above the last final one; whatever is older does not matter any more."""

    def __init__(self, network: bytes, validators: ValidatorSet, floor: int) -> None:
        self.network = network
        self.validators = validators
        self.floor = floor
        """The view of the last final block, 0 at the start of a term."""
        self.views: dict[int, View] = {}
        self.finalized: Certificate | None = None
        """Makes the highest block final that is known to be, committed or not."""
        self.contradictions: list[Contradiction] = []

    def recall(self, certificates: Iterable[Certificate]) -> None:
        """Take in decisions that were checked before a restart."""
        for certificate in certificates:
            vote = certificate.vote
            if vote.term == self.validators.term and vote.view > self.floor:
                self.view(vote.view).decide(certificate)

    @property
    def decisions(self) -> list[Certificate]:
        """All that is known to be decided on views above the last final one, and not final."""
        views = (self.views[number] for number in sorted(self.views))
        return [each for v in views for each in (v.notarized, v.nullified) if each is not None]

    def view(self, number: int) -> View:
        """What is known of a view."""
        known = self.views.get(number)
        if known is None:
            known = self.views[number] = View(number)
        return known

    def matters(self, number: int, present: int) -> bool:
        """Whether news of a view is worth keeping."""
        return self.floor < number <= present + AHEAD_VIEWS

    def rise(self, floor: int) -> None:
        """Forget all views up to one that is final."""
        self.floor = floor
        self.views = {number: view for number, view in self.views.items() if number > floor}

    def shrink(self, present: int, place: int | None) -> None:
        """Forget others' votes of views long gone by: in bad times views pass and none is final."""
        view = self.views.get(present - BEHIND_VIEWS)
        if view is not None:
            view.forget_votes(place)

    def learn_leader(self, view: View, proof: bytes) -> None:
        """Take in a committer's announcement; raises `Malformed`."""
        if view.proof is not None:
            return  # a committer can prove its output in many ways, but has no other
        key, members = self.validators.committer(view.number).vrf_key, self.validators
        output = drawn(key, self.network, members.seed, members.term, view.number, proof)
        view.proof, view.leader = proof, self.validators.leader(output)

    def check_vote(self, signed: SignedVote) -> bool:
        """Whether a vote is news; raises `Malformed` for one that is not well signed."""
        known = self.view(signed.vote.view).said(signed.index, signed.vote.kind)
        if known is not None and known.vote == signed.vote:
            return False
        require_vote(self.network, self.validators, signed)
        return True

    def count(self, signed: SignedVote) -> Certificate | None:
        """Count a vote that was checked; the certificate that it completes, if that is news."""
        view = self.view(signed.vote.view)
        contradiction = view.contradiction(signed)
        if contradiction is not None:
            self.contradictions.append(contradiction)
        certificate = view.count(signed, self.validators.quorum)
        if certificate is None or not view.decide(certificate):
            return None
        self._note_final(certificate)
        return certificate

    def check_certificate(self, certificate: Certificate, present: int) -> bool:
        """Take in a decision, and whether it is news; raises `Malformed`."""
        vote = certificate.vote
        final = vote.kind == "finalize"
        if vote.term != self.validators.term or vote.view <= self.floor:
            return False
        near = self.matters(vote.view, present)
        view = self.view(vote.view) if near else View(vote.view)
        if (not near and not final) or vote in (known.vote for known in view.certificates):
            return False
        require_certificate(self.network, self.validators, certificate)
        view.decide(certificate)
        self._note_final(certificate)
        for one in certificate.signatures if near else ():  # they may contradict what is known
            self.count(SignedVote(vote=vote, index=one.index, signature=one.signature))
        return True

    def _note_final(self, certificate: Certificate) -> None:
        best = self.finalized.vote.height if self.finalized else 0
        if certificate.vote.kind == "finalize" and certificate.vote.height > best:
            self.finalized = certificate

    def base(self, number: int, root: bytes) -> bytes | None:
        """The highest notarized block below a view, if no view between is open.

        `root` is the last final block.
        """
        for below in range(number - 1, self.floor, -1):
            view = self.views.get(below)
            if view is None or not view.decided:
                return None
            if view.notarized is not None:
                return view.notarized.vote.block
        return root

    def stands(self, block: bytes, number: int, root: bytes) -> bool:
        """Whether a view may build on a block: notarized, and every view since given up."""
        for below in range(number - 1, self.floor, -1):
            view = self.views.get(below)
            if view is None:
                return False
            if view.notarized is not None and view.notarized.vote.block == block:
                return True
            if view.nullified is None:
                return False
        return block == root

    def highest(self, number: int) -> Certificate | None:
        """The decision on the highest notarized block of all views below one."""
        below = sorted((each for each in self.views if each < number), reverse=True)
        return next((found for each in below if (found := self.views[each].notarized)), None)

    def is_notarized(self, block: bytes) -> bool:
        """Whether a quorum has notarized a block, in a view that is not settled yet."""
        views = self.views.values()
        return any(v.notarized is not None and v.notarized.vote.block == block for v in views)

    def gaps(self, number: int, limit: int) -> tuple[int, ...]:
        """The lowest views before one that are not known to be decided."""
        found: list[int] = []
        for below in range(self.floor + 1, number):
            view = self.views.get(below)
            if view is None or not view.decided:
                found.append(below)
                if len(found) == limit:
                    break
        return tuple(found)


def require_leader(view: View, signed: SignedVote) -> None:
    """Raise `Malformed` unless a proposal is signed by the leader of its view."""
    if signed.index != view.leader:
        raise Malformed("a proposal by somebody who does not lead the view")
