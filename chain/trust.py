"""Following the validators from term to term, so that a chain is believed by its own history.

The genesis names the first set. The last block of a term is final by that term's votes, and the
state it leads to holds the next set: one header, one certificate and one record are a step.
Whoever holds a later *checkpoint* begins there, and need not believe who left long before.
"""

from typing import Annotated

from pydantic import Field

from chain.blocks import Descendants, Header, ProvenRecord, StateProof, TransactionProof
from chain.genesis import Genesis
from chain.light import Forked, proven_record, require_included, verify_final
from chain.records import Table
from chain.validators import ValidatorSet, term_of
from chain.votes import Certificate
from wire.codec import Message
from wire.errors import Malformed
from wire.primitives import Hash, Natural

MAX_STEPS = 100_000
"""Terms that are followed from where trust begins: years. After that, from a checkpoint."""

STEPS_AT_ONCE = 32
"""In one answer of a node: with the largest sets half of a message."""


class Checkpoint(Message):
    """A place in a chain that is believed, and who finalizes what follows it."""

    network: Hash
    height: Natural
    """Of the last block of a term; 0 at the genesis."""
    block: Hash
    """That block's id; the network's at the genesis."""
    validators: ValidatorSet


class TermStep(Message):
    """What leads from the validators of a term to those of the next."""

    header: Header
    """The last block of the term."""
    certificate: Certificate
    """Of that very block: nothing is built on it before it is final."""
    validators: ProvenRecord
    """The next set, in the state that the block leads to."""


TermSteps = Annotated[tuple[TermStep, ...], Field(max_length=STEPS_AT_ONCE)]
"""Steps that follow one another."""


def beginning(genesis: Genesis) -> Checkpoint:
    """The checkpoint that everybody has who knows the network."""
    network = genesis.network
    return Checkpoint(network=network, height=0, block=network, validators=genesis.first_set)


class Trust:
    """What is believed of one network so far; grows by steps that prove themselves."""

    def __init__(
        self, genesis: Genesis, checkpoint: Checkpoint | None = None, *, most: int = MAX_STEPS
    ) -> None:
        """From a checkpoint that came from where one trusts; else from the genesis.

        The newest `most` sets are remembered: blocks of older terms are not believed any more.
        """
        self._most = most
        self._term_blocks = genesis.parameters.term_blocks
        self.network = genesis.network
        start = checkpoint or beginning(genesis)
        self._require_place(start.network, start.height + 1, start.validators.term)
        if start.height % self._term_blocks:
            raise Malformed(f"block {start.height} ends no term: it is no checkpoint")
        self._sets = [start.validators]
        self._ends = [start.block]
        """Of each set: the block that its first one follows."""

    @property
    def term(self) -> int:
        """The newest term whose validators are known."""
        return self._sets[-1].term

    @property
    def first_term(self) -> int:
        """The first term that is remembered: nothing is known of earlier ones."""
        return self._sets[0].term

    @property
    def checkpoint(self) -> Checkpoint:
        """Where trust has come to, to begin there another time."""
        newest = self._sets[-1]
        return Checkpoint(
            network=self.network,
            height=newest.term * self._term_blocks,
            block=self._ends[-1],
            validators=newest,
        )

    def validators(self, term: int) -> ValidatorSet:
        """Who finalizes the blocks of a term that trust has come to."""
        return self._sets[term - self.first_term]

    def missing(self, header: Header) -> int:
        """How many steps lead from here to the validators of a block; 0 where they are known.

        Raises `Malformed` for a block that no number of steps leads to.
        """
        self._require_place(header.network, header.height, header.term)
        if header.term < self.first_term:
            raise Malformed(
                f"block {header.height} is of term {header.term}, and trust begins with term "
                f"{self.first_term}: begin at an earlier checkpoint, or at the genesis"
            )
        if header.term - self.term > MAX_STEPS:
            raise Malformed(
                f"term {header.term} is more than {MAX_STEPS} steps away: begin with a checkpoint"
            )
        return max(header.term - self.term, 0)

    def advance(self, step: TermStep) -> None:
        """Follow a step to the next term; one that was followed before changes nothing.

        Raises `Malformed` where it proves nothing, and `Forked` where it leads elsewhere than
        an equally good one did.
        """
        header = step.header
        if header.height != (header.term + 1) * self._term_blocks:
            raise Malformed(f"block {header.height} does not end term {header.term}")
        self.require_final(header, step.certificate)
        if header.term < self.term:
            return
        if (step.validators.table, step.validators.key) != (Table.VALIDATORS, b""):
            raise Malformed("the step proves another record than the validators")
        following = proven_record(header.state_root, step.validators)
        if not isinstance(following, ValidatorSet) or following.term != header.term + 1:
            raise Malformed(f"the step does not lead to the validators of term {header.term + 1}")
        before = self._sets[-1]
        if following.members == before.members:
            # Sets seldom change, and a long history has many terms.
            following = following.model_copy(update={"members": before.members})
        self._sets.append(following)
        self._ends.append(header.id)
        if len(self._sets) > self._most:
            del self._sets[0], self._ends[0]

    def require_passes(self, checkpoint: Checkpoint) -> None:
        """Raise `Forked` where a checkpoint that is believed lies on another history."""
        term = checkpoint.validators.term
        if self.first_term <= term <= self.term and (
            self._ends[term - self.first_term] != checkpoint.block
            or self.validators(term) != checkpoint.validators
        ):
            raise Forked(
                f"this history is not the one of the checkpoint at height {checkpoint.height}: one "
                "of the two was made by validators that broke their word"
            )

    def require_final(
        self, header: Header, certificate: Certificate, descendants: Descendants = ()
    ) -> None:
        """Raise `Malformed` unless a quorum of its term made a block final."""
        if missing := self.missing(header):
            raise Malformed(
                f"{missing} steps are missing to know the validators of term {header.term}"
            )
        validators = self.validators(header.term)
        verify_final(self.network, validators, header, certificate, descendants)
        for block in (header, *descendants):
            self._require_no_fork(block)

    def _require_no_fork(self, header: Header) -> None:
        """Raise `Forked` where another block at a border was final before."""
        term, rest = divmod(header.height, self._term_blocks)
        if rest == 0 and self.first_term <= term <= self.term:
            known = self._ends[term - self.first_term]
            if known != header.id:
                raise Forked(
                    f"two final blocks at height {header.height}, {known.hex()} and "
                    f"{header.id.hex()}: the validators of this network cannot be trusted"
                )
        if rest == 1 and header.parent != (known := self._ends[header.term - self.first_term]):
            raise Forked(
                f"two final blocks at height {header.height - 1}, {known.hex()} and "
                f"{header.parent.hex()}: the validators of this network cannot be trusted"
            )

    def _require_place(self, network: bytes, height: int, term: int) -> None:
        if network != self.network:
            raise Malformed("the block is of another network")
        if height < 1 or term != term_of(height, self._term_blocks):
            raise Malformed(f"block {height} is not of term {term}")


def verify_state(trust: Trust, proof: StateProof) -> list[Message | None]:
    """The records that a final state has, None for those that it has not."""
    trust.require_final(proof.header, proof.certificate, proof.descendants)
    return [proven_record(proof.header.state_root, record) for record in proof.records]


def verify_transaction(trust: Trust, transaction: bytes, proof: TransactionProof) -> str:
    """Why the included transaction was rejected, or "" if it was applied."""
    trust.require_final(proof.header, proof.certificate, proof.descendants)
    require_included(transaction, proof)
    return proof.reason
