"""Simplex consensus (Chan and Pass, TCC 2023) among the validators of one term.

In every view the committer announces a leader by its VRF; the leader proposes a block on the
highest notarized one; a quorum of NOTARIZE makes it notarized and ends the view; whoever sees
that, and has not given the view up before, sends FINALIZE; a quorum of those makes the block and
all before it final. A view that stays silent is given up by a quorum of NULLIFY.

Two blocks cannot be notarized in one view, since two quorums share an honest validator and that
votes once. FINALIZE and NULLIFY cannot both reach a quorum, since nobody honest sends both: so
no later block can leave out a final one.

Pure: events come in with the time, and what is to be done collects in an `Output`.
"""

from collections.abc import Callable, Iterable, Sequence

import structlog

from chain.blocks import Block
from chain.consensus.branches import Branches, held_by, require_own_body
from chain.consensus.gossip import Announce, Certificates, Propose, Votes
from chain.consensus.knowledge import Knowledge, require_leader
from chain.consensus.output import Now, Output
from chain.consensus.port import Decided, LedgerPort, Prepared, Proposal
from chain.consensus.tally import Seat, sign_vote, vote_for, vote_to_nullify
from chain.consensus.view import View
from chain.genesis import Genesis
from chain.messages import SignedTransaction
from chain.validators import ends_term, view_input
from chain.votes import Certificate, SignedVote, Vote, VoteKind
from wire import vrf
from wire.errors import Malformed

log = structlog.get_logger()

BLOCKS_AHEAD_VIEWS = 1
"""Proposals are large: kept for this view and the next."""

GROWTH_UNIT = 2**8
GROWTH: tuple[int, ...] = tuple(3**power * 2 ** (8 - power) for power in range(9))
"""Timeouts grow by half with each view in a row that is not final, up to about 26 times."""

Choose = Callable[[frozenset[bytes]], tuple[SignedTransaction, ...]]
"""Transactions for a block, without those that the blocks below it hold already."""


class Simplex:
    """One validator's part in one term; without a seat it only watches."""

    def __init__(
        self,
        genesis: Genesis,
        ledger: LedgerPort,
        seat: Seat | None,
        choose: Choose,
        output: Output,
    ) -> None:
        self.validators = validators = ledger.validators
        self.term = validators.term
        tip, parameters = ledger.tip, genesis.parameters
        floor = tip.view if tip and tip.term == self.term else 0
        self.known = Knowledge(genesis.network, validators, floor)
        self.branches = Branches(ledger, parameters.term_blocks, parameters.side_views)
        self.view = 0
        """The present view; 0 before the first."""
        self.missed = [0] * len(validators.members)
        """For each validator: views that it was to open or to lead and that timed out here."""

        self._parameters = parameters
        self._ledger = ledger
        self._seat = seat
        self._choose = choose
        self._out = output
        self._entered_ms = 0
        self._muted_until_ms = 0

    # What happens

    def start(
        self,
        now: Now,
        spoken: Iterable[SignedVote] = (),
        blocks: Iterable[Block] = (),
        certificates: Iterable[Certificate] = (),
    ) -> None:
        """Begin, or go on after a restart with all that this validator said in the term."""
        self.branches.recall(blocks)
        self.known.recall(certificates)
        last = self.known.floor + 1
        for signed in spoken:
            if signed.vote.term == self.term and signed.vote.view > self.known.floor:
                last = max(last, signed.vote.view)
                self._count(signed)
        for view in list(self.known.views.values()):
            proposed = self._said(view, "propose")
            view.block = self.branches.get(proposed.vote.block) if proposed else None
            if view.block is not None and view.block.header.view == view.number:
                self.known.learn_leader(view, view.block.header.vrf_proof)
        self._enter(last, now)
        self._settle(now)

    def hear_announce(self, announce: Announce, now: Now) -> None:
        """A committer's announcement; raises `Malformed`."""
        if self._matters(announce.term, announce.view):
            self.known.learn_leader(self.known.view(announce.view), announce.proof)
            self._settle(now)

    def hear_proposal(self, propose: Propose, now: Now) -> None:
        """A leader's block; raises `Malformed`."""
        signed, block = propose.signed, propose.block
        vote = signed.vote
        if vote != vote_for("propose", vote.term, vote.view, block.header):
            raise Malformed("a proposal of something else than its block")
        if not self._matters(vote.term, vote.view):
            return
        view = self.known.view(vote.view)
        if not self.known.check_vote(signed) and view.block is not None:
            return
        self.known.learn_leader(view, propose.proof)
        require_leader(view, signed)
        self._count(signed)
        if view.block is None and vote.view <= self.view + BLOCKS_AHEAD_VIEWS:
            view.block = block
            self.branches.keep(block)
        self._settle(now)

    def hear_vote(self, signed: SignedVote, now: Now) -> None:
        """A vote; raises `Malformed`."""
        if self._matters(signed.vote.term, signed.vote.view) and self.known.check_vote(signed):
            self._count(signed)
            self._show_proposal(signed)
            self._settle(now)

    def hear_certificate(self, certificate: Certificate, now: Now) -> None:
        """A decision on a view; raises `Malformed`."""
        if self.known.check_certificate(certificate, self.view):
            self._remember(certificate)
            self._settle(now)

    def hear_block(self, block: Block, now: Now) -> None:
        """A block that was asked for; raises `Malformed`."""
        if block.header.id in self.branches.wanted:
            require_own_body(block)
            self.branches.keep(block)
            self._settle(now)

    def caught_up(self, path: Sequence[Prepared], now: Now) -> None:
        """Final blocks of this term were committed without this core's doing."""
        self._rise(path[-1].block.header.view, path)
        self._settle(now)

    @property
    def seated(self) -> bool:
        """Whether this validator votes."""
        return self._seat is not None

    def take_seat(self, seat: Seat, now: Now) -> None:
        """Vote from now on."""
        self._seat = seat
        self._announce(self.view)
        self._settle(now)

    def tick(self, now: Now) -> None:
        """Time has passed."""
        view = self.known.view(self.view)
        why, deadline_ms = self._waits_for(view)
        if now.ms >= deadline_ms and self._may_nullify(view):
            committer = self.view % len(self.validators.members)
            self.missed[committer if view.leader is None else view.leader] += 1
            log.debug("gave a view up", term=self.term, view=self.view, waited_for=why)
            self._cast(vote_to_nullify(self.term, self.view))
        self._settle(now)

    @property
    def over(self) -> bool:
        """Whether the last block of the term is final."""
        return self._ledger.validators.term != self.term

    def wake_at(self, now: Now) -> int:
        """When `tick` is to be called at the latest, by the clock that only goes forward."""
        view = self.known.view(self.view)
        times = [self._muted_until_ms, self._waits_for(view)[1]]
        if self._leads(view):
            times.append(self._ready_ms(now))
        return min((time for time in times if time > now.ms), default=now.ms + self.delay_ms)

    @property
    def delay_ms(self) -> int:
        """What a message is given, stretched while views fail."""
        # The view before is notarized and not yet final when all is well.
        failed = max(self.view - self.known.floor - 2, 0)
        growth = GROWTH[min(failed, len(GROWTH) - 1)]
        return self._parameters.network_delay_ms * growth // GROWTH_UNIT

    def own_votes(self, after_view: int = 0) -> list[SignedVote]:
        """What this validator has said in the term since a view, and is not settled yet."""
        if self._seat is None:
            return []
        latest = [view for n, view in sorted(self.known.views.items()) if n > after_view]
        kinds: tuple[VoteKind, ...] = ("propose", "notarize", "nullify", "finalize")
        said = [self._said(view, kind) for view in latest for kind in kinds]
        return [vote for vote in said if vote is not None]

    def own_words(self) -> Announce | Propose | None:
        """What this validator has proposed or announced in the present view."""
        view = self.known.view(self.view)
        if view.block is None and view.proof is not None and self._announces(self.view):
            return Announce(term=self.term, view=self.view, proof=view.proof)
        signed = self._said(view, "propose")
        if signed is None or view.block is None or view.proof is None:
            return None
        return Propose(signed=signed, proof=view.proof, block=view.block)

    # What follows from it

    def _settle(self, now: Now) -> None:
        """Do all that has become possible."""
        while not self.over and (
            self._commit()
            or self._go_on(now)
            or self._finalize()  # before the next view: one validator alone decides at once
            or self._propose(now)
            or self._notarize(now)
        ):
            pass

    def _go_on(self, now: Now) -> bool:
        """Leave a view that is decided, or below the last final one, for the next that is not."""
        following = max(self.view, self.known.floor + 1)
        while (view := self.known.views.get(following)) and view.decided:
            following += 1
        if following == self.view:
            return False
        self._enter(following, now)
        return True

    def _enter(self, number: int, now: Now) -> None:
        """Rule 1: the clock of a view starts, and its committer announces the leader."""
        before = self.known.views.get(number - 1)
        if before is not None and before.notarized is None and before.nullified is not None:
            self._muted_until_ms = now.ms + self._parameters.clearing_ms
        self.view = number
        self._entered_ms = now.ms
        self.known.shrink(number, self._seat.place if self._seat else None)
        self._announce(number)

    def _announce(self, number: int) -> None:
        view, seat = self.known.view(number), self._seat
        if seat is None or view.proof or not self._announces(number):
            return
        alpha = view_input(self.known.network, self.validators.seed, self.term, number)
        view.proof = vrf.prove(seat.vrf_key, alpha)
        view.leader = self.validators.leader(vrf.output(view.proof))
        self._out.to_all(Announce(term=self.term, view=number, proof=view.proof))

    def _propose(self, now: Now) -> bool:
        """Rule 2: on the highest notarized block, once the interval since it has passed."""
        view = self.known.view(self.view)
        if not self._leads(view) or now.ms < self._muted_until_ms:
            return False
        base = self.known.base(self.view, self._ledger.root)
        if base is None or not self.branches.execute(base, now.ms):
            return False
        if now.ms < self._ready_ms(now):
            return False
        assert view.proof is not None
        block = self.branches.ending(base) or self._build(base, view.proof, now)
        view.block = block
        self.branches.keep(block)
        self._out.keep.append(block)
        signed = self._sign(vote_for("propose", self.term, self.view, block.header))
        self._out.to_all(Propose(signed=signed, proof=view.proof, block=block))
        self._count(signed)
        return True

    def _build(self, base: bytes, proof: bytes, now: Now) -> Block:
        assert self._seat is not None
        proposal = Proposal(
            view=self.view,
            time_ms=max(now.wall_ms, self.branches.time_ms(base) + 1),
            proposer=self.validators.members[self._seat.place].account,
            vrf_proof=proof,
            vrf_output=vrf.output(proof),
        )
        below = held_by(self.branches.path(base))
        return self._ledger.propose(base, proposal, self._choose(below)).block

    def _notarize(self, now: Now) -> bool:
        """Rule 3: once a view, for a valid block on a notarized one with no open view between."""
        view = self.known.view(self.view)
        if (
            self._seat is None
            or view.block is None
            or view.refused
            or now.ms < self._muted_until_ms
            or self._said(view, "notarize")
            or self._said(view, "nullify")
        ):
            return False
        header = view.block.header
        again = header.view != self.view
        anchor = header.id if again else header.parent
        if not self.known.stands(anchor, self.view, self._ledger.root):
            return False
        if not self.branches.execute(anchor, now.ms) or not self._is_valid(view, view.block, now):
            return False
        if not self._said(view, "propose"):
            self._out.keep.append(view.block)
        self._cast(vote_for("notarize", self.term, self.view, header))
        self._announce(self.view + 1)  # so that the next view need not wait for it
        return True

    def _is_valid(self, view: View, block: Block, now: Now) -> bool:
        header = block.header
        try:
            if header.view == view.number:
                self.branches.check_time(header, now.wall_ms, self._parameters.clock_tolerance_ms)
                self._ledger.validate(block)
            elif not ends_term(header.height, self._parameters.term_blocks):
                raise Malformed("a block of an earlier view is proposed again")
        except Malformed as malformed:
            view.refused = str(malformed)
            log.warning("refused a proposal", view=view.number, why=view.refused)
        return not view.refused

    def _finalize(self) -> bool:
        """Rule 4: what is notarized, and was not given up by this validator before."""
        if self._seat is None:
            return False
        ripe = [
            view.notarized.vote.model_copy(update={"kind": "finalize"})
            for view in self.known.views.values()
            if view.notarized is not None and self._may_nullify(view)
        ]
        for vote in ripe:
            self._cast(vote)
        return bool(ripe)

    def _commit(self) -> bool:
        """Rule 6: the block of a finalization and all before it."""
        certificate, tip = self.known.finalized, self._ledger.tip
        if certificate is None or (tip and certificate.vote.height <= tip.height):
            return False
        block = certificate.vote.block
        if not self.branches.execute(block, self._entered_ms):
            return False
        path = self.branches.path(block)
        for prepared in path:
            self._ledger.commit(prepared)
            self._out.final.append(Decided(prepared, certificate if prepared is path[-1] else None))
        self._rise(certificate.vote.view, path)
        return True

    def _rise(self, floor: int, path: Iterable[Prepared]) -> None:
        """Forget what the last final block has decided, and save the transactions that lost."""
        self.known.rise(floor)
        self._out.returned += self.branches.settle(floor, held_by(path))

    # Where it stands

    def _matters(self, term: int, view: int) -> bool:
        return term == self.term and self.known.matters(view, self.view)

    def _said(self, view: View, kind: VoteKind) -> SignedVote | None:
        return view.said(self._seat.place, kind) if self._seat else None

    def _announces(self, number: int) -> bool:
        """Whether this validator is the committer of a view."""
        return self._seat is not None and number % len(self.validators.members) == self._seat.place

    def _leads(self, view: View) -> bool:
        """Whether this validator has yet to propose in a view."""
        return (
            self._seat is not None
            and view.leader == self._seat.place
            and not self._said(view, "propose")
            and not self._said(view, "nullify")
        )

    def _may_nullify(self, view: View) -> bool:
        """Whether it has neither finalized nor given up a view."""
        return (
            self._seat is not None
            and not self._said(view, "nullify")
            and not self._said(view, "finalize")
        )

    def _waits_for(self, view: View) -> tuple[str, int]:
        """What the present view lacks, and until when that is waited for."""
        if view.leader is None:
            return "its leader", self._entered_ms + self.delay_ms
        begun_ms = max(self._entered_ms, self._muted_until_ms)
        proposing_ms = begun_ms + self._parameters.block_interval_ms
        if view.block is None:
            return "a proposal", proposing_ms + 3 * self.delay_ms
        return "a quorum", proposing_ms + 4 * self.delay_ms

    def _ready_ms(self, now: Now) -> int:
        """When the present view's block may be written.

        One interval after its parent by the clock on the wall; but whoever wrote that one may
        have a clock that is fast, and must not make the others wait.
        """
        base = self.known.base(self.view, self._ledger.root)
        if base is None or self.branches.ending(base):
            return now.ms
        interval_ms = self._parameters.block_interval_ms
        by_the_wall_ms = self.branches.time_ms(base) + interval_ms - now.wall_ms
        return min(now.ms + by_the_wall_ms, self._entered_ms + interval_ms)

    # What is said

    def _sign(self, vote: Vote) -> SignedVote:
        assert self._seat is not None
        signed = sign_vote(self._seat, self.known.network, vote)
        self._out.keep.append(signed)
        return signed

    def _cast(self, vote: Vote) -> None:
        signed = self._sign(vote)
        self._out.to_all(Votes(votes=(signed,)))
        self._count(signed)

    def _count(self, signed: SignedVote) -> None:
        certificate = self.known.count(signed)
        if certificate is not None:
            self._remember(certificate)
            self._pass_on(certificate)

    def _remember(self, certificate: Certificate) -> None:
        """After a restart of everybody nobody could decide again what was decided by then."""
        if self._seat is not None and certificate.vote.kind != "finalize":
            self._out.keep.append(certificate)

    def _show_proposal(self, signed: SignedVote) -> None:
        """To who votes for another block than this one's leader has proposed here."""
        proposed = self.known.view(signed.vote.view).to_show(signed)
        if proposed is not None:
            voter = self.validators.members[signed.index].endpoint.swarm_key
            self._out.say.append((voter, Votes(votes=(proposed,))))

    def _pass_on(self, certificate: Certificate) -> None:
        """To those whose votes are not in it: the others most likely have it by now."""
        voted = {signature.index for signature in certificate.signatures}
        for place, member in enumerate(self.validators.members):
            if place not in voted and (self._seat is None or place != self._seat.place):
                message = Certificates(certificates=(certificate,))
                self._out.say.append((member.endpoint.swarm_key, message))
