"""What all validators that lie have in common."""

from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING

from chain.blocks import Block
from chain.consensus.gossip import (
    Propose,
    Votes,
)
from chain.consensus.port import Prepared, Proposal
from chain.consensus.tally import Seat, sign_vote, vote_for
from chain.votes import SignedVote, Vote, VoteKind
from tests.people import Person
from tests.simulation.consensus.node import Node
from wire import vrf
from wire.codec import Message

if TYPE_CHECKING:
    from tests.simulation.consensus.world import World


Said = tuple[bytes | None, Message]

TO_ALL: tuple[VoteKind, ...] = ("notarize", "finalize")


class Villain(Node):
    """Says what it likes in its own name; nobody looks at its promises."""

    honest = False

    def __init__(self, world: "World", place: int, person: Person) -> None:
        super().__init__(world, place, person)
        self.chances: Random = world.chances(f"villain {place}")
        self.split: set[tuple[int, int]] = set()

    @property
    def seat(self) -> Seat | None:
        return self.engine._seat()

    @property
    def others(self) -> list[bytes]:
        return [peer for peer in self.world.peers if peer != self.peer]

    def halves(self) -> tuple[list[bytes], list[bytes]]:
        others = self.chances.sample(self.others, len(self.others))
        middle = (len(others) + 1) // 2
        return others[:middle], others[middle:]

    def signed(self, kind: VoteKind, view: int, block: Block) -> SignedVote | None:
        return self.sign(vote_for(kind, self.engine.core.term, view, block.header))

    def sign(self, vote: Vote) -> SignedVote | None:
        seat = self.seat
        return None if seat is None else sign_vote(seat, self.world.genesis.network, vote)

    def vote(self, peers: Iterable[bytes], signed: SignedVote | None) -> None:
        if signed is not None:
            for peer in peers:
                self.tell(peer, Votes(votes=(signed,)))

    def say(self, messages: Iterable[Said]) -> None:
        for peer, message in messages:
            self.lie(self.others if peer is None else [peer], message)

    def lie(self, peers: list[bytes], message: Message) -> None:
        """Send a message, or something else in its place."""
        self.pass_on(peers, message)

    def pass_on(self, peers: Iterable[bytes], message: Message) -> None:
        for peer in peers:
            self.tell(peer, message)

    def write(self, parent: bytes, propose: Propose, later_ms: int = 1) -> Prepared | None:
        """Another valid block of one's own turn."""
        header = propose.block.header
        if not self.ledger.holds(parent):
            return None
        proposal = Proposal(
            view=propose.signed.vote.view,
            time_ms=header.time_ms + later_ms,
            proposer=self.person.id,
            vrf_proof=propose.proof,
            vrf_output=vrf.output(propose.proof),
        )
        return self.ledger.propose(parent, proposal, ())

    def proposal(self, block: Block, old: Propose) -> Propose | None:
        signed = self.signed("propose", old.signed.vote.view, block)
        if signed is None:
            return None
        return Propose(signed=signed, proof=old.proof, block=block)

    def is_new(self, propose: Propose) -> bool:
        """Whether it proposes a block of its own and not a term's last once more."""
        return propose.block.header.view == propose.signed.vote.view
