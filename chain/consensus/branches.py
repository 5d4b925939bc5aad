"""The blocks above the last final one: seen, executed, and what is left of those that lose."""

from collections.abc import Iterable

import structlog

from chain.blocks import Block, Header, transactions_root
from chain.consensus.port import LedgerPort, Prepared
from chain.messages import SignedTransaction
from chain.validators import ends_term
from wire.errors import Malformed

log = structlog.get_logger()


class Branches:
    """Which blocks there are, by id. Executed ones are the ledger's; the others wait here."""

    def __init__(self, ledger: LedgerPort, term_blocks: int, side_views: int) -> None:
        self.wanted: dict[bytes, int] = {}
        """Blocks that are needed and not there, and since when (ms); 0: ask at once."""
        self.side: dict[bytes, Block] = {}
        """Blocks that lost, kept for some views."""
        self._ledger = ledger
        self._term_blocks = term_blocks
        self._side_views = side_views
        self._blocks: dict[bytes, Block] = {}

    def keep(self, block: Block) -> None:
        """Take in a block whose header is worth it; its body may still be wrong."""
        self._blocks[block.header.id] = block
        self.wanted.pop(block.header.id, None)

    def recall(self, blocks: Iterable[Block]) -> None:
        """Take in blocks that were known before a restart."""
        for block in blocks:
            if block.header.height > self._height:
                self.keep(block)

    def get(self, block: bytes) -> Block | None:
        """A block that is not final, for who asks for it."""
        return self._blocks.get(block)

    def execute(self, block: bytes, now_ms: int) -> bool:
        """Whether the ledger holds a notarized block, after executing what is there of it.

        What is missing, or came with a wrong body, is wanted from then on.
        """
        missing: list[Block] = []
        while not self._ledger.holds(block):
            known = self._blocks.get(block)
            if known is None:
                self.wanted.setdefault(block, now_ms)
                return False
            if known.header.height <= self._height:
                return False
            missing.append(known)
            block = known.header.parent
        for each in reversed(missing):
            try:
                self._ledger.validate(each)
            except Malformed as malformed:
                # An honest validator found the block good: somebody passed it on with another body.
                log.warning("a notarized block does not hold as it came", why=str(malformed))
                del self._blocks[each.header.id]
                self.wanted.setdefault(each.header.id, 0)
                return False
        return True

    def path(self, block: bytes) -> list[Prepared]:
        """The executed blocks from the one after the last final one up to `block`."""
        path: list[Prepared] = []
        while (prepared := self._ledger.prepared(block)) is not None:
            path.append(prepared)
            block = prepared.block.header.parent
        return path[::-1]

    def time_ms(self, block: bytes) -> int:
        """When an executed block, or the last final one, was written."""
        prepared = self._ledger.prepared(block)
        header = prepared.block.header if prepared else self._ledger.tip
        return header.time_ms if header else 0

    def check_time(self, header: Header, wall_ms: int, tolerance_ms: int) -> None:
        """Raise `Malformed` for a new block's time that is far from the clock on the wall.

        Where clocks went back, the least step from the block before is allowed.
        """
        ahead_ms = header.time_ms - wall_ms
        least_ms = self.time_ms(header.parent) + 1
        if abs(ahead_ms) > tolerance_ms and (ahead_ms < 0 or header.time_ms > least_ms):
            raise Malformed(f"its time is {ahead_ms} ms ahead of this validator's clock")

    def ending(self, block: bytes) -> Block | None:
        """The block, if it is the last of its term and not yet final: proposed till it is."""
        prepared = self._ledger.prepared(block)
        if prepared and ends_term(prepared.block.header.height, self._term_blocks):
            return prepared.block
        return None

    def settle(self, floor: int, included: frozenset[bytes]) -> list[SignedTransaction]:
        """After blocks became final: the transactions of those that lost, oldest first.

        `floor` is the view of the last final block, `included` what has become final with it.
        """
        returned: list[SignedTransaction] = []
        for block in sorted(self._blocks.values(), key=lambda block: block.header.view):
            header = block.header
            if header.height > self._height and header.view > floor:
                continue
            del self._blocks[header.id]
            lost = [s for s in block.transactions if s.transaction.id not in included]
            sound = [signed for signed in lost if signed.is_signed()]  # perhaps nobody has looked
            returned += sound
            if lost and len(sound) == len(lost) and _has_own_body(block):
                self.side[header.id] = block
        self.side = {
            name: block
            for name, block in self.side.items()
            if block.header.view + self._side_views > floor
        }
        self.wanted = {}
        return returned

    @property
    def _height(self) -> int:
        return self._ledger.tip.height if self._ledger.tip else 0


def held_by(path: Iterable[Prepared]) -> frozenset[bytes]:
    """The ids of all transactions in some blocks."""
    return frozenset(s.transaction.id for above in path for s in above.block.transactions)


def require_own_body(block: Block) -> None:
    """Raise `Malformed` unless a block's transactions are those that its header stands for."""
    if not _has_own_body(block) or not all(signed.is_signed() for signed in block.transactions):
        raise Malformed("a block with another body than its own")


def _has_own_body(block: Block) -> bool:
    return transactions_root(block.transactions) == block.header.transactions_root
