"""The ledger behind the consensus port: one state, one tip, and blocks on top of them."""

from dataclasses import dataclass
from typing import cast

from chain.blocks import Block, Header, outcomes_root, transactions_root
from chain.consensus.port import Prepared, Proposal
from chain.context import BlockContext
from chain.genesis import Genesis
from chain.messages import SignedTransaction
from chain.reasons import Reason
from chain.records import Table
from chain.state import Draft, State
from chain.statetree import root
from chain.transition import check_envelope, execute
from chain.validators import ValidatorSet, drawn, ends_term
from wire import vrf
from wire.errors import Malformed, Rejected

SIGNATURES_KNOWN = 50_000
"""Signatures found good, by transaction: a pool's worth and some blocks; about 10 MiB."""

MAX_BLOCK_BYTES = 3 << 20
"""Evidence included. Below the 4 MiB that the codec takes, with room for the certificate."""


class Ledger:
    """Implements `consensus.port.LedgerPort`. Its owner is the node's one block task."""

    def __init__(self, genesis: Genesis, state: State, tip: Header | None) -> None:
        self.genesis = genesis
        self.network = genesis.network
        self.state = state
        self._tip = tip
        self._root = tip.id if tip else self.network
        self._prepared: dict[bytes, Prepared] = {}
        self._signatures: dict[bytes, bytes] = {}
        self._next: tuple[Draft, BlockContext] | None = None
        """What transactions are checked against, made once a block."""

    @property
    def tip(self) -> Header | None:
        """The header of the last committed block."""
        return self._tip

    @property
    def root(self) -> bytes:
        """What names the tip as a parent: its block's id, or the network's before the first."""
        return self._root

    @property
    def height(self) -> int:
        """Height of the last committed block; 0 before the first."""
        return self._tip.height if self._tip else 0

    @property
    def validators(self) -> ValidatorSet:
        """Who finalizes the block after the tip."""
        return cast("ValidatorSet", self.state.records[Table.VALIDATORS, b""])

    def check(self, signed: SignedTransaction, pending: int) -> None:
        """Raise `Rejected` unless the next block could hold the transaction.

        `pending` transactions of its sender wait before it. The body's own rule is not
        tried: it may depend on what comes before.
        """
        if not self._is_signed(signed):
            raise Rejected(Reason.BAD_SIGNATURE)
        self.check_again(signed, pending)

    def check_again(self, signed: SignedTransaction, pending: int) -> None:
        """As `check`, for a transaction whose signature was found good before."""
        if self._next is None:
            draft = Draft(self.state)
            proposal = Proposal(view=0, time_ms=0, proposer=b"", vrf_proof=b"", vrf_output=b"")
            self._next = draft, self._context(_Base(self._tip, draft), proposal)
        check_envelope(*self._next, signed, pending=pending)

    def holds(self, block: bytes) -> bool:
        """Whether a block is the tip, or prepared on top of it."""
        return block == self.root or block in self._prepared

    def prepared(self, block: bytes) -> Prepared | None:
        """A prepared block."""
        return self._prepared.get(block)

    def propose(
        self, parent: bytes, proposal: Proposal, transactions: tuple[SignedTransaction, ...]
    ) -> Prepared:
        """A block on top of `parent` with those of the transactions that it may hold."""
        prepared = self._prepare(self._base(parent), proposal, transactions, leave_out=True)
        self._prepared[prepared.block.header.id] = prepared
        return prepared

    def validate(self, block: Block, *, certified: bool = False) -> Prepared:
        """Execute another validator's block and compare every root; raises `Malformed`.

        `certified`: a quorum made this header final, and what draws its leader is in it. Then
        the draw is not checked again; what no header covers, such as signatures, always is.
        """
        header = block.header
        name = header.id
        if (known := self._known(block)) is not None:
            return known
        base = self._base(header.parent)
        before = base.header
        if header.height != base.height + 1:
            raise Malformed(f"block {header.height} does not follow block {base.height}")
        if before and (
            header.time_ms <= before.time_ms
            or (header.term, header.view) <= (before.term, before.view)
        ):
            raise Malformed("time and view must grow from block to block")
        validators = base.draft.validators
        output = self._drawn(validators, header, certified)
        if header.proposer != validators.members[validators.leader(output)].account:
            raise Malformed("the block is not by the leader of its view")
        parameters = self.genesis.parameters
        if len(block.transactions) > parameters.block_transactions_maximum:
            raise Malformed(f"a block of {len(block.transactions)} transactions")
        if sum(signed.size for signed in block.transactions) > MAX_BLOCK_BYTES:
            raise Malformed("the block is too large")
        if not all(self._is_signed(signed) for signed in block.transactions):
            raise Malformed("a transaction in the block is not signed by its sender")
        proposal = Proposal(header.view, header.time_ms, header.proposer, header.vrf_proof, output)
        try:
            prepared = self._prepare(base, proposal, block.transactions, leave_out=False)
        except Rejected as rejected:
            raise Malformed(f"the block holds a transaction it may not: {rejected}") from None
        if prepared.block.header != header:
            raise Malformed("the block's roots are not those of its transactions")
        self._prepared[name] = prepared
        return prepared

    def _known(self, block: Block) -> Prepared | None:
        """The same block, prepared before. A transaction can be signed in two ways: what came
        first stays; raises `Malformed` for one that is not signed.
        """
        known = self._prepared.get(block.header.id)
        if known is None or known.block == block:
            return known
        held, come = known.block.transactions, block.transactions
        if [signed.transaction for signed in held] != [signed.transaction for signed in come]:
            return None
        if not all(map(self._is_signed, come)):
            raise Malformed("a transaction in the block is not signed by its sender")
        return known

    def _is_signed(self, signed: SignedTransaction) -> bool:
        """As the transaction says itself; one that waited here before its block came is known."""
        name = signed.transaction.id
        if not signed.sidecar and self._signatures.get(name) == signed.signature:
            return True
        if not signed.is_signed():
            return False
        if not signed.sidecar:  # the evidence beside it can be swapped, the name stays
            self._signatures[name] = signed.signature
        if len(self._signatures) > SIGNATURES_KNOWN:
            del self._signatures[next(iter(self._signatures))]
        return True

    def _drawn(self, validators: ValidatorSet, header: Header, certified: bool) -> bytes:
        """The VRF output that draws the block's leader."""
        if certified:
            try:
                return vrf.output(header.vrf_proof)
            except RuntimeError:
                raise Malformed("the block's VRF proof has no point in it") from None
        key, view = validators.committer(header.view).vrf_key, header.view
        return drawn(key, self.network, validators.seed, validators.term, view, header.vrf_proof)

    def commit(self, prepared: Prepared) -> None:
        """Make a final block part of the state; prepared blocks that do not grow from it go."""
        self.state.commit(prepared.draft)
        self._tip = prepared.block.header
        self._root = self._tip.id
        self._next = None
        growing = {self._root}
        kept: dict[bytes, Prepared] = {}
        for name, above in self._prepared.items():  # parents were prepared before children
            parent = above.block.header.parent
            if parent in growing:
                growing.add(name)
                kept[name] = above
                if parent == self._root:
                    above.draft.base = self.state
        self._prepared = kept

    def _base(self, parent: bytes) -> "_Base":
        """What a block with this parent is executed on; raises `Malformed`."""
        if parent == self.root:
            return _Base(self._tip, Draft(self.state))
        prepared = self._prepared.get(parent)
        if prepared is None:
            raise Malformed("the block's parent is not known")
        header = prepared.block.header
        if ends_term(header.height, self.genesis.parameters.term_blocks):
            raise Malformed("the last block of a term must be final before the next is built")
        return _Base(header, Draft(prepared.draft))

    def _prepare(
        self,
        base: "_Base",
        proposal: Proposal,
        transactions: tuple[SignedTransaction, ...],
        *,
        leave_out: bool,
    ) -> Prepared:
        context = self._context(base, proposal)
        execution = execute(base.draft.base, context, transactions, leave_out=leave_out)
        transactions = execution.transactions
        header = Header(
            network=self.network,
            height=context.height,
            term=context.term,
            view=proposal.view,
            parent=base.header.id if base.header else self.network,
            proposer=proposal.proposer,
            vrf_proof=proposal.vrf_proof,
            time_ms=proposal.time_ms,
            transactions_root=transactions_root(transactions),
            outcomes_root=outcomes_root(execution.outcomes),
            state_root=root(execution.draft.tree),
            validators_hash=base.draft.validators.hash,
        )
        block = Block(header=header, transactions=transactions)
        return Prepared(block, execution.outcomes, execution.draft)

    def _context(self, base: "_Base", proposal: Proposal) -> BlockContext:
        term, before = base.draft.validators.term, base.header
        return BlockContext(
            network=self.network,
            parameters=self.genesis.parameters,
            height=base.height + 1,
            time_ms=proposal.time_ms,
            proposer=proposal.proposer,
            vrf_output=proposal.vrf_output,
            term=term,
            view=proposal.view,
            parent_view=before.view if before and before.term == term else 0,
        )


@dataclass(frozen=True, slots=True)
class _Base:
    """What a block grows from."""

    header: Header | None
    draft: Draft
    """Without writes: only to look through."""

    @property
    def height(self) -> int:
        return self.header.height if self.header else 0
