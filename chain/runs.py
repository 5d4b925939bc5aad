"""Catching up: final blocks from any peer, believed for their certificates and nothing else.

A block is executed only after a certificate of its term's validators was checked for it, or for
a block that follows it. So a peer that lies costs some signature checks, and what it says is
never part of the state. What no certificate covers (signatures beside transactions, evidence)
is checked as in a new block; the draw of a block's leader is in its certified header, and is
not checked again.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from chain.blocks import (
    Block,
    Descendants,
    FinalBlock,
    Header,
    transactions_root,
)
from chain.consensus.port import Decided, LedgerPort, Prepared
from chain.light import Forked, verify_final
from chain.validators import ends_term
from chain.votes import Certificate
from wire.codec import Message, array, encode
from wire.errors import HoldfastError, Malformed
from wire.primitives import Natural, Positive

MAX_RUN_BLOCKS = 512
"""Blocks in one answer."""

MAX_RUN_BYTES = 7 << 19
"""3.5 MiB of blocks in one answer, or one block: with all that proves it below a message's 4."""

STORED_AT_ONCE = 64
"""Blocks in one transaction of the store: to wait for the disk for each would take longest."""

BREATH_BLOCKS = 8
"""Blocks that are executed before the event loop may do something else."""


class Diverged(HoldfastError):
    """A final block leads elsewhere by this program's rules: it must not go on."""


class BlockRange(Message):
    """Ask for final blocks from a height on."""

    from_height: Positive
    count: Annotated[int, Field(ge=1, le=MAX_RUN_BLOCKS)]


class BlockRun(Message):
    """Final blocks that follow one another: as many of those asked for as fit, perhaps none."""

    blocks: Annotated[tuple[FinalBlock, ...], Field(max_length=MAX_RUN_BLOCKS)]
    descendants: Descendants
    """Where the last block has no certificate: up to the block that makes it final."""
    certificate: Certificate | None
    """Of the last descendant."""
    height: Natural
    """The sender's last final block. Nothing proves it: for progress, and to choose whom to ask."""


def run_bytes(
    blocks: Sequence[bytes],
    descendants: Sequence[Header],
    certificate: Certificate | None,
    height: int,
) -> bytes:
    """The bytes of a `BlockRun` whose blocks are encoded already."""
    ends = (encode(tuple(descendants)), encode(certificate), encode(height))
    return array((array(blocks), *ends))


class Catchup:
    """Takes answers from whoever gives them, and turns them into blocks to store and commit."""

    def __init__(self, ledger: LedgerPort) -> None:
        self._ledger = ledger
        self._open: list[Decided] = []
        """Executed and final, and not handed out: each run must end with a certificate."""

    @property
    def _tip(self) -> Header | None:
        """The last block that was executed, here or by whoever else owns the ledger."""
        header = self._open[-1].prepared.block.header if self._open else None
        return header if header and header.height > self._ledger.height else self._ledger.tip

    @property
    def next_height(self) -> int:
        """The lowest height that is still to be asked for."""
        return self._tip.height + 1 if self._tip else 1

    @property
    def wanted(self) -> BlockRange:
        """What to ask for next."""
        return BlockRange(from_height=self.next_height, count=MAX_RUN_BLOCKS)

    def take(self, answer: BlockRun) -> Iterator[tuple[Decided, ...]]:
        """Check and execute an answer, step by step.

        Yields runs, each to be stored and committed before the next step; an empty one is an
        opportunity to do something else. Raises `Malformed` with what is wrong with the answer:
        what was yielded stays good. Raises `Forked` or `Diverged` where no peer is to blame.
        """
        blocks = answer.blocks
        height = self._ledger.height  # whoever owns it may have come further by other ways
        self._open = [one for one in self._open if one.prepared.block.header.height > height]
        while blocks:
            place = next((n for n, final in enumerate(blocks) if final.certificate), None)
            if place is None:
                part, blocks = blocks, ()
                self._require_final(part, answer.descendants, answer.certificate)
            else:
                part, blocks = blocks[: place + 1], blocks[place + 1 :]
                self._require_final(part, (), part[-1].certificate)
            for final in part:
                self._open.append(Decided(self._execute(final.block), final.certificate))
                if len(self._open) % BREATH_BLOCKS == 0:
                    yield ()
            if self._is_run(blocks):
                run, self._open = tuple(self._open), []
                yield run
                if self._ledger.height > run[-1].prepared.block.header.height:
                    return  # its owner has come further by it: what is left is old news

    def _is_run(self, rest: Sequence[FinalBlock]) -> bool:
        """Whether what has been executed is to be stored now."""
        last = self._open[-1]
        if last.certificate is None:
            return False
        height = last.prepared.block.header.height
        ends = ends_term(height, self._ledger.genesis.parameters.term_blocks)
        more = any(final.certificate for final in rest)
        return ends or not more or len(self._open) >= STORED_AT_ONCE

    def _require_final(
        self,
        part: Sequence[FinalBlock],
        descendants: Sequence[Header],
        certificate: Certificate | None,
    ) -> None:
        """Raise `Malformed` unless the certificate makes all of these final, after what we have."""
        header = part[0].block.header
        if header.height != self.next_height:
            raise Malformed(f"block {header.height} came where {self.next_height} belongs")
        if certificate is None:
            raise Malformed(f"nothing makes block {part[-1].block.header.height} final")
        following = (*(final.block.header for final in part[1:]), *descendants)
        validators = self._ledger.validators
        verify_final(self._ledger.genesis.network, validators, header, certificate, following)
        if header.parent != (self._tip.id if self._tip else self._ledger.root):
            raise Forked(
                f"a quorum made block {header.height} final on another block than the one "
                "this node has: the validators of this network cannot be trusted"
            )

    def _execute(self, block: Block) -> Prepared:
        """A block whose header is known to be final."""
        height = block.header.height
        if transactions_root(block.transactions) != block.header.transactions_root:
            raise Malformed(f"block {height} came with other transactions than its own")
        try:
            return self._ledger.validate(block, certified=True)
        except Malformed as malformed:
            if not all(signed.is_signed() for signed in block.transactions):
                raise
            raise Diverged(
                f"block {height} is final, and not valid here ({malformed}): this version of "
                "holdfast has other rules than the validators' one"
            ) from None
