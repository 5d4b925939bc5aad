"""All that consensus knows of the ledger: check, propose, validate, commit.

Between `validate` and `commit` nothing is written anywhere: an engine may hold a whole tree of
prepared blocks above the last final one, and those that lose are dropped.
"""

from dataclasses import dataclass
from typing import Protocol

from chain.blocks import Block, Header, TransactionOutcome
from chain.genesis import Genesis
from chain.messages import SignedTransaction
from chain.state import Draft
from chain.validators import ValidatorSet
from chain.votes import Certificate


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the engine decides about a block; the ledger fills in the rest."""

    view: int
    time_ms: int
    proposer: bytes
    vrf_proof: bytes
    vrf_output: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """A valid block and its effect, not yet part of the state."""

    block: Block
    outcomes: tuple[TransactionOutcome, ...]
    draft: Draft


@dataclass(frozen=True, slots=True)
class Decided:
    """A final block, and the certificate that makes it so; None: that of a later one does."""

    prepared: Prepared
    certificate: Certificate | None


class LedgerPort(Protocol):
    """The ledger as an engine drives it: a final tip, and prepared blocks that grow from it."""

    @property
    def genesis(self) -> Genesis:
        """What the network agreed on before its first block."""

    @property
    def tip(self) -> Header | None:
        """The header of the last committed block."""

    @property
    def height(self) -> int:
        """Height of the last committed block; 0 before the first."""

    @property
    def root(self) -> bytes:
        """What names the tip as a parent: its block's id, or the network's before the first."""

    @property
    def validators(self) -> ValidatorSet:
        """Who finalizes the block after the tip."""

    def check(self, signed: SignedTransaction, pending: int) -> None:
        """Raise `Rejected` unless a later block may hold the transaction."""

    def holds(self, block: bytes) -> bool:
        """Whether a block is the tip, or prepared on top of it."""

    def propose(
        self, parent: bytes, proposal: Proposal, transactions: tuple[SignedTransaction, ...]
    ) -> Prepared:
        """A block on top of `parent` with those of the transactions that it may hold.

        `parent` is the tip or a prepared block; the new block is kept as prepared.
        """

    def validate(self, block: Block, *, certified: bool = False) -> Prepared:
        """Another validator's block, executed on its parent and kept as prepared.

        `certified`: a quorum made its header final. Raises `Malformed` when it is not valid.
        """

    def prepared(self, block: bytes) -> Prepared | None:
        """A prepared block."""

    def commit(self, prepared: Prepared) -> None:
        """Make a final block part of the state; prepared blocks that do not grow from it go."""
