"""The ledger behind the consensus port: one state, one tip, and blocks on top of them."""

from chain.consensus.port import Prepared, Proposal
from chain.context import BlockContext
from chain.genesis import Genesis
from chain.light import validators_hash, view_input
from chain.messages import (
    Block,
    Header,
    SignedTransaction,
    outcomes_root,
    transactions_root,
)
from chain.reasons import Reason
from chain.state import Draft, State
from chain.statetree import root
from chain.transition import check_envelope, execute
from wire import vrf
from wire.codec import encode
from wire.errors import Malformed, Rejected

MAX_BLOCK_BYTES = 3 << 20
"""Evidence included. Below the 4 MiB that the codec takes, with room for the certificate."""


class Ledger:
    """Implements `consensus.port.LedgerPort`. Its owner is the node's one block task."""

    def __init__(self, genesis: Genesis, state: State, tip: Header | None) -> None:
        self.genesis = genesis
        self.network = genesis.network
        self.state = state
        self._tip = tip
        self._validators_hash = validators_hash(genesis.validators)

    @property
    def tip(self) -> Header | None:
        """The header of the last committed block."""
        return self._tip

    @property
    def height(self) -> int:
        """Height of the last committed block; 0 before the first."""
        return self._tip.height if self._tip else 0

    def check(self, signed: SignedTransaction, pending: int) -> None:
        """Raise `Rejected` unless the next block could hold the transaction.

        `pending` transactions of its sender wait before it. The body's own rule is not
        tried: it may depend on what comes before.
        """
        if not signed.is_signed():
            raise Rejected(Reason.BAD_SIGNATURE)
        check_envelope(Draft(self.state), self._context(b"", 0, b""), signed, pending=pending)

    def propose(self, proposal: Proposal, transactions: tuple[SignedTransaction, ...]) -> Prepared:
        """A block on top of the tip with those of the transactions that it may hold."""
        return self._prepare(proposal, transactions, leave_out=True)

    def _prepare(
        self,
        proposal: Proposal,
        transactions: tuple[SignedTransaction, ...],
        *,
        leave_out: bool,
    ) -> Prepared:
        context = self._context(proposal.proposer, proposal.time_ms, proposal.vrf_output)
        execution = execute(self.state, context, transactions, leave_out=leave_out)
        transactions = execution.transactions
        header = Header(
            network=self.network,
            height=context.height,
            view=proposal.view,
            parent=self._tip.id if self._tip else self.network,
            proposer=proposal.proposer,
            vrf_proof=proposal.vrf_proof,
            time_ms=proposal.time_ms,
            transactions_root=transactions_root(transactions),
            outcomes_root=outcomes_root(execution.outcomes),
            state_root=root(execution.draft.tree()),
            validators_hash=self._validators_hash,
        )
        block = Block(header=header, transactions=transactions)
        return Prepared(block, execution.outcomes, execution.draft)

    def validate(self, block: Block) -> Prepared:
        """Execute another validator's block and compare every root; raises `Malformed`."""
        header = block.header
        if header.height != self.height + 1 or header.parent != (
            self._tip.id if self._tip else self.network
        ):
            raise Malformed(f"block {header.height} does not follow block {self.height}")
        if self._tip and (header.time_ms <= self._tip.time_ms or header.view <= self._tip.view):
            raise Malformed("time and view must grow from block to block")
        proposer = next((v for v in self.genesis.validators if v.account == header.proposer), None)
        if proposer is None:
            raise Malformed("the proposer is not a validator")
        alpha = view_input(self.network, header.view)
        output = vrf.verify(proposer.vrf_key, alpha, header.vrf_proof)
        parameters = self.genesis.parameters
        if len(block.transactions) > parameters.block_transactions_maximum:
            raise Malformed(f"a block of {len(block.transactions)} transactions")
        if sum(len(encode(signed)) for signed in block.transactions) > MAX_BLOCK_BYTES:
            raise Malformed("the block is too large")
        if not all(signed.is_signed() for signed in block.transactions):
            raise Malformed("a transaction in the block is not signed by its sender")
        proposal = Proposal(header.view, header.time_ms, header.proposer, header.vrf_proof, output)
        try:
            prepared = self._prepare(proposal, block.transactions, leave_out=False)
        except Rejected as rejected:
            raise Malformed(f"the block holds a transaction it may not: {rejected}") from None
        if prepared.block.header != header:
            raise Malformed("the block's roots are not those of its transactions")
        return prepared

    def commit(self, prepared: Prepared) -> None:
        """Make a final block part of the state."""
        self.state.commit(prepared.draft)
        self._tip = prepared.block.header

    def _context(self, proposer: bytes, time_ms: int, vrf_output: bytes) -> BlockContext:
        return BlockContext(
            network=self.network,
            parameters=self.genesis.parameters,
            height=self.height + 1,
            time_ms=time_ms,
            proposer=proposer,
            vrf_output=vrf_output,
        )
