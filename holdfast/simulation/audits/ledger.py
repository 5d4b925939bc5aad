"""The chain's own state and blocks, without signatures and without the tree over the state."""

from collections.abc import Callable

from chain.context import BlockContext
from chain.genesis import Genesis
from chain.money import held_base
from chain.state import Draft, Key, State
from chain.transition import execute, genesis_state
from wire.codec import Message
from wire.primitives import tagged_hash

Step = Callable[[Draft, BlockContext], None]
"""What a transaction does once its signatures are found good."""


class Records(State):
    """A state that keeps no tree, as nobody asks for its root, and notes what was written."""

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[Key, None] = {}

    def take_written(self) -> list[Message]:
        """The records written since this was asked before, as they are now."""
        written, self._written = self._written, {}
        return [record for key in written if (record := self.get(key)) is not None]

    def follow(self, draft: Draft) -> None:
        """Make a draft's writes part of the state."""
        self._written |= dict.fromkeys(draft.changes)
        for key, record in draft.changes.items():
            if record is None:
                self.records.pop(key, None)
            else:
                self.records[key] = record


class Ledger:
    """One chain that nobody has to agree on: a block whenever it is asked for."""

    def __init__(self, genesis: Genesis, seed: bytes) -> None:
        self.genesis = genesis
        self.network = genesis.network
        self.height = 0
        self.state = Records()
        self.state.records = genesis_state(genesis).records
        self._seed = seed
        self._supply_base = self.coins_base()

    @property
    def draft(self) -> Draft:
        """The present state, to look at."""
        return Draft(self.state)

    def coins_base(self) -> int:
        """All coins in all records, counted one by one."""
        return sum(held_base(record) for record in self.state.records.values())

    def is_conserved(self) -> bool:
        """Whether there are as many coins as in the beginning."""
        return self.coins_base() == self._supply_base

    def write(self, step: Callable[[Draft], None]) -> None:
        """Write records as years of transactions would have left them."""
        draft = Draft(self.state)
        step(draft)
        self.state.commit(draft)

    def block(self, *steps: Step) -> None:
        """One block: what its transactions do, then what its height brings."""
        context = self._context()
        held = Draft(self.state)
        for step in steps:
            step(held, context)
        held.merge(execute(held, context, ()).draft)
        self.state.commit(held)
        self.height += 1

    def _context(self) -> BlockContext:
        height, meta = self.height + 1, self.draft.meta
        number = height.to_bytes(8, "big")
        first = tagged_hash("simulate/vrf", self._seed, number)
        term_blocks = self.genesis.parameters.term_blocks
        view = (height - 1) % term_blocks + 1
        return BlockContext(
            network=self.network,
            parameters=self.genesis.parameters,
            height=height,
            time_ms=meta.time_ms + self.genesis.parameters.block_interval_ms,
            proposer=self.genesis.validators[0].account,
            vrf_output=first * 2,
            term=(height - 1) // term_blocks,
            view=view,
            parent_view=view - 1,
        )
