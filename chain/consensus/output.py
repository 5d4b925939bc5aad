"""What the consensus core wants done: it does nothing itself.

Order matters. All of `keep` must be on disk before anything of `say` leaves the machine, or a
crash could make a validator contradict what it said. `final` is stored in order.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from chain.blocks import Block
from chain.consensus.gossip import (
    Announce,
    Certificates,
    Propose,
    Range,
    Status,
    Supply,
    Votes,
    WantBlocks,
    WantRange,
)
from chain.consensus.port import Decided
from chain.consensus.view import Contradiction
from chain.messages import SignedTransaction
from chain.votes import Certificate, SignedVote

Say = Announce | Propose | Votes | Certificates | Status | WantBlocks | Supply | WantRange | Range


class Now(NamedTuple):
    """The present, by two clocks: one that only goes forward, and the one on the wall."""

    ms: int
    wall_ms: int


@dataclass(slots=True)
class Output:
    """Collected while events are handled, taken by whoever does it."""

    keep: list[SignedVote | Block | Certificate] = field(default_factory=list)
    """Own votes, the blocks that they are about, and the decisions that they build on."""
    say: list[tuple[bytes | None, Say]] = field(default_factory=list)
    """Messages for the validator with a Noise key, or for all others (None)."""
    final: list[Decided] = field(default_factory=list)
    """Blocks that the ledger has committed, to be stored."""
    returned: list[SignedTransaction] = field(default_factory=list)
    """Transactions of blocks that lost, oldest first: they go to the head of the pool."""
    faults: list[Contradiction] = field(default_factory=list)

    def to_all(self, message: Say) -> None:
        """Tell every other validator."""
        self.say.append((None, message))

    def take(self) -> "Output":
        """All that was collected; what follows is collected anew."""
        taken = Output(self.keep, self.say, self.final, self.returned, self.faults)
        self.keep, self.say, self.final, self.returned, self.faults = [], [], [], [], []
        return taken
