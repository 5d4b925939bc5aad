"""Validators driven by hand: what each says waits until the test lets it through."""

from collections.abc import Callable
from dataclasses import dataclass, field

from chain.blocks import Block, Header
from chain.consensus.engine import Engine, Keys, Remembered
from chain.consensus.gossip import Propose
from chain.consensus.output import Now, Output, Say
from chain.consensus.port import Proposal
from chain.consensus.tally import Seat, certify, sign_vote, vote_for, vote_to_nullify
from chain.ledger import Ledger
from chain.messages import SignedTransaction
from chain.transition import genesis_state
from chain.validators import view_input
from chain.votes import Certificate, SignedVote, Vote, VoteKind
from tests.people import START_MS
from tests.simulation.consensus.world import network, people
from wire import vrf
from wire.keys import Use

Passes = Callable[[int, int, Say], bool]


def always(_: int, __: int, ___: Say) -> bool:
    return True


@dataclass
class Member:
    """One validator, and all that its core ever wanted done."""

    place: int
    ledger: Ledger
    engine: Engine
    done: Output = field(default_factory=Output)
    pool: tuple[SignedTransaction, ...] = ()

    def said(self, kind: VoteKind, view: int) -> list[SignedVote]:
        """Its own votes of a kind in a view, as its log has them."""
        votes = [one for one in self.done.keep if isinstance(one, SignedVote)]
        return [s for s in votes if (s.vote.kind, s.vote.view) == (kind, view)]


class Council:
    """All validators of a network, with one clock for all."""

    def __init__(self, count: int = 4, term_blocks: int = 1_000, clearing_ms: int = 0) -> None:
        self.genesis = network(count, term_blocks=term_blocks, clearing_ms=clearing_ms)
        self.people = people(count)
        self.validators = self.genesis.first_set
        self.ms = 0
        self.members = [self._member(place, Remembered()) for place in range(count)]
        self.waiting: list[tuple[int, int, Say]] = []
        """(from, to, message) not yet let through."""

    def _member(self, place: int, remembered: Remembered) -> Member:
        person = self.people[place]
        ledger = Ledger(self.genesis, genesis_state(self.genesis), None)
        keys = Keys(person.key(Use.VALIDATOR), person.key(Use.VRF))

        def choose(without: frozenset[bytes]) -> tuple[SignedTransaction, ...]:
            pool = self.members[place].pool
            return tuple(signed for signed in pool if signed.transaction.id not in without)

        return Member(place, ledger, Engine(self.genesis, ledger, keys, choose, remembered))

    @property
    def now(self) -> Now:
        return Now(self.ms, START_MS + self.ms)

    def start(self) -> "Council":
        for member in self.members:
            member.engine.start(self.now)
            self.collect(member)
        return self

    def restart(self, place: int, remembered: Remembered) -> Member:
        """A validator anew, with what its log says, from the first block on."""
        member = self.members[place] = self._member(place, remembered)
        member.engine.start(self.now)
        self.collect(member)
        return member

    def collect(self, member: Member) -> None:
        output = member.engine.output.take()
        done = member.done
        done.keep += output.keep
        done.say += output.say
        done.final += output.final
        done.returned += output.returned
        done.faults += output.faults
        for peer, message in output.say:
            for place, person in enumerate(self.people):
                if place != member.place and peer in (None, person.key(Use.SWARM).public):
                    self.waiting.append((member.place, place, message))

    def hear(self, place: int, sender: int, message: Say) -> None:
        """Let one message reach a validator; raises `Malformed`."""
        member = self.members[place]
        try:
            member.engine.receive(self.peer(sender), message, self.now)  # type: ignore[arg-type]
        finally:
            self.collect(member)

    def flush(self, passes: Passes = always) -> None:
        """Let through what may pass, and what follows from it; the rest is lost."""
        while self.waiting:
            sender, target, message = self.waiting.pop(0)
            if passes(sender, target, message):
                self.hear(target, sender, message)

    def tick(self, ms: int = 0, places: tuple[int, ...] | None = None) -> None:
        """Time passes, for all or for some."""
        self.ms += ms
        for member in self.members:
            if places is None or member.place in places:
                member.engine.tick(self.now)
                self.collect(member)

    def run(self, ms: int, passes: Passes = always, step_ms: int = 50) -> None:
        """Time passes, and messages as far as they may."""
        for _ in range(0, ms, step_ms):
            self.tick(step_ms)
            self.flush(passes)

    # Making what validators make

    def peer(self, place: int) -> bytes:
        return self.people[place].key(Use.SWARM).public

    def seat(self, place: int) -> Seat:
        person = self.people[place]
        return Seat(place, person.key(Use.VALIDATOR), person.key(Use.VRF))

    def proof(self, view: int) -> bytes:
        """The announcement of a view in the first term."""
        person = self.people[view % len(self.people)]
        alpha = view_input(self.genesis.network, self.validators.seed, 0, view)
        return vrf.prove(person.key(Use.VRF), alpha)

    def leader(self, view: int) -> int:
        return self.validators.leader(vrf.output(self.proof(view)))

    def view_led_by_another(self, *places: int, after: int = 0) -> int:
        """The next view that none of some validators leads."""
        return next(view for view in range(after + 1, 999) if self.leader(view) not in places)

    def sign(self, place: int, vote: Vote) -> SignedVote:
        return sign_vote(self.seat(place), self.genesis.network, vote)

    def vote(self, place: int, kind: VoteKind, view: int, header: Header) -> SignedVote:
        return self.sign(place, vote_for(kind, 0, view, header))

    def certificate(self, kind: VoteKind, view: int, header: Header | None) -> Certificate:
        """What a quorum of all but the last validators would have decided."""
        vote = vote_for(kind, 0, view, header) if header else vote_to_nullify(0, view)
        return certify([self.sign(place, vote) for place in range(self.validators.quorum)])

    def block(
        self,
        view: int,
        parent: bytes | None = None,
        transactions: tuple[SignedTransaction, ...] = (),
        time_ms: int | None = None,
        ledger: Ledger | None = None,
    ) -> Block:
        """What the leader of a view could write, on the beginning or on what `ledger` holds."""
        ledger = ledger or Ledger(self.genesis, genesis_state(self.genesis), None)
        proof = self.proof(view)
        proposal = Proposal(
            view=view,
            time_ms=START_MS + (self.ms if time_ms is None else time_ms),
            proposer=self.people[self.leader(view)].id,
            vrf_proof=proof,
            vrf_output=vrf.output(proof),
        )
        return ledger.propose(parent or ledger.root, proposal, transactions).block

    def propose(self, view: int, block: Block) -> Propose:
        """A block, proposed by the leader of a view."""
        signed = self.vote(self.leader(view), "propose", view, block.header)
        return Propose(signed=signed, proof=self.proof(view), block=block)
