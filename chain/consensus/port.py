"""All that consensus knows of the ledger: check, propose, validate, commit.

Between `validate` and `commit` nothing is written anywhere: an engine may hold several
prepared blocks, and drops those that lose.
"""

from dataclasses import dataclass
from typing import Protocol

from chain.messages import Block, Certificate, Header, SignedTransaction, TransactionOutcome
from chain.state import Draft


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
    """A block that is final, with the certificate that makes it so."""

    prepared: Prepared
    certificate: Certificate


class LedgerPort(Protocol):
    """The ledger as an engine drives it."""

    @property
    def tip(self) -> Header | None:
        """The header of the last committed block."""

    def check(self, signed: SignedTransaction, pending: int) -> None:
        """Raise `Rejected` unless a later block may hold the transaction."""

    def propose(self, proposal: Proposal, transactions: tuple[SignedTransaction, ...]) -> Prepared:
        """A block on top of the tip with those of the transactions that it may hold."""

    def validate(self, block: Block) -> Prepared:
        """Another validator's block, executed; raises `Malformed` when it is not valid."""

    def commit(self, prepared: Prepared) -> None:
        """Make a final block part of the state."""
