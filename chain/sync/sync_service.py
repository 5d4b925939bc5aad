"""Catching up with a network, and following it: asks peers for final blocks until cancelled.

Peers are asked in turn. One that is gone is asked again later, one that lied much later; what
it said before was either checked or thrown away, so another peer goes on from there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from chain.client.http_client import NodeHttp
from chain.consensus.port import Decided
from chain.ledger import Ledger
from chain.runs import MAX_RUN_BLOCKS, BlockRange, BlockRun, Catchup
from wire.codec import decode
from wire.errors import Malformed, Unavailable

log = structlog.get_logger()

RETRY_S = (1, 2, 5, 10, 30)
"""Waits before a peer that did not answer is asked again, the last one for ever after."""

LIAR_S = 600
"""A peer that sent what no honest one sends is left alone for so long."""

TURN_S = 60
"""How long one peer is followed before others are asked: it may be slow, or hold back."""

POLL_S = 15
"""How long a peer may hold back an answer until there is a block."""

PROGRESS_S = 5
"""How often progress is told while there is much to catch up with."""


class BlockSource(Protocol):
    """A peer that final blocks can be asked of."""

    @property
    def name(self) -> str:
        """For logs: who it is."""

    async def fetch(self, wanted: BlockRange, wait_s: int) -> BlockRun:
        """Its answer. It may be held back for `wait_s` while there is no such block.

        Raises `Unavailable` (`NotFound` where the blocks are no longer kept) or `Malformed`.
        """


class HttpSource:
    """A node's API as a source. Its HTTP client must be open."""

    def __init__(self, http: NodeHttp) -> None:
        self._http = http

    @property
    def name(self) -> str:
        """Its URL."""
        return self._http.url

    async def fetch(self, wanted: BlockRange, wait_s: int) -> BlockRun:
        """As the protocol says."""
        query = f"from={wanted.from_height}&count={wanted.count}&wait={wait_s}"
        body = await self._http.read("GET", f"/api/v1/sync/blocks?{query}")
        run: BlockRun = decode(BlockRun, body)
        return run


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a node has caught up."""

    height: int
    target: int
    """What peers say is the last final block."""
    blocks_per_s: int
    eta_s: int
    """Until `target` is reached at this rate; 0 once it is."""


class _Gone(Exception):
    """A peer does not answer: not to be mistaken for a disk that does not."""


@dataclass
class _Peer:
    source: BlockSource
    answers: bool = False
    """Whether it did the last time."""
    failures: int = 0
    asked_at: float = 0
    not_before: float = 0
    height: int = 0
    """What it said of itself."""


class Sync:
    """One node's catching up. Nobody else may commit to the ledger meanwhile."""

    def __init__(
        self,
        ledger: Ledger,
        keep: Callable[[Sequence[Decided]], Awaitable[None]],
        sources: Sequence[BlockSource],
        tell: Callable[[Progress], None] | None = None,
    ) -> None:
        """`keep` stores and commits a run; `tell` hears of progress now and then."""
        self._ledger = ledger
        self._keep = keep
        self._peers = [_Peer(source) for source in sources]
        self._tell = tell or _log_progress
        self._catchup = Catchup(ledger)
        self._began: tuple[float, int] | None = None
        self._told = 0.0
        self.heard_at = time.monotonic()
        """When a peer last answered, whether it had a block or not."""
        self._why = "no peer has answered yet"

    @property
    def target(self) -> int:
        """The highest block that a peer says is final."""
        return max((peer.height for peer in self._peers), default=0)

    @property
    def trouble(self) -> str:
        """Why no peer gives anything, as far as the last one says; empty while one does."""
        return "" if any(peer.answers for peer in self._peers) else self._why

    async def run(self) -> None:
        """Catch up and follow until cancelled. Raises `Forked`, `Diverged`, or what `keep` does."""
        if not self._peers:
            raise Unavailable("there is no node to follow")
        while True:
            peer = min(self._peers, key=lambda peer: peer.not_before)
            await asyncio.sleep(max(0, peer.not_before - time.monotonic()))
            await self._ask(peer, POLL_S)

    async def catch_up(self) -> None:
        """Until no peer that answers has more; raises `Unavailable` when none answers."""
        gave: list[bool | None] = [True]
        while any(gave):
            ready = [peer for peer in self._peers if peer.not_before <= time.monotonic()]
            gave = [await self._ask(peer, 0) for peer in ready]
        if all(each is None for each in gave):
            raise Unavailable(self.trouble)

    async def _ask(self, peer: _Peer, wait_s: int) -> bool | None:
        """Take what a peer has, for a while; whether it gave blocks, None when it failed."""
        began, gave = time.monotonic(), False
        answer = asyncio.create_task(self._fetch(peer, self._catchup.wanted, wait_s))
        try:
            while True:
                run = await answer
                if not run.blocks or time.monotonic() > began + TURN_S:
                    # One that does not hold its answer back is not asked without a pause.
                    pause_s = RETRY_S[0] if wait_s else 0
                    peer.not_before = max(time.monotonic(), peer.asked_at + pause_s)
                    return gave
                # The next answer comes while this one is executed.
                after = run.blocks[-1].block.header.height + 1
                wanted = BlockRange(from_height=after, count=MAX_RUN_BLOCKS)
                answer = asyncio.create_task(self._fetch(peer, wanted, wait_s))
                await self._take(run)
                gave = True
        except Malformed as lie:
            log.warning("a peer lies", peer=peer.source.name, why=str(lie))
            self._put_off(peer, LIAR_S, str(lie))
        except _Gone as gone:
            log.info("a peer gives no blocks", peer=peer.source.name, why=str(gone))
            self._put_off(peer, RETRY_S[min(peer.failures, len(RETRY_S) - 1)], str(gone))
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)
        return gave or None

    async def _fetch(self, peer: _Peer, wanted: BlockRange, wait_s: int) -> BlockRun:
        """A peer's answer; raises `_Gone` where it has none."""
        peer.asked_at = time.monotonic()
        try:
            run = await peer.source.fetch(wanted, wait_s)
        except Unavailable as error:
            raise _Gone(str(error)) from None
        if not run.blocks and run.height >= wanted.from_height:
            raise _Gone(f"it says it has block {run.height}, and gives none")
        peer.answers, peer.failures, peer.height = True, 0, run.height
        self.heard_at = time.monotonic()
        return run

    def _put_off(self, peer: _Peer, wait_s: float, why: str) -> None:
        peer.answers, peer.failures = False, peer.failures + 1
        peer.not_before = time.monotonic() + wait_s
        self._why = f"{peer.source.name}: {why}"

    async def _take(self, run: BlockRun) -> None:
        if self._began is None:
            self._began = time.monotonic(), self._ledger.height
        for decided in self._catchup.take(run):
            if decided:
                await self._keep(decided)
            else:
                await asyncio.sleep(0)
        self._report()

    def _report(self) -> None:
        now, height = time.monotonic(), self._ledger.height
        behind = max(self.target - height, 0)
        if behind and now < self._told + PROGRESS_S:
            return
        began, from_height = self._began or (now, height)
        rate = int((height - from_height) / max(now - began, 0.001))
        if not behind:
            self._began = None
        if behind or self._told:
            self._tell(Progress(height, self.target, rate, -(-behind // rate) if rate else 0))
        self._told = now if behind else 0.0


def _log_progress(progress: Progress) -> None:
    log.info(
        "catching up" if progress.eta_s else "caught up",
        height=progress.height,
        of=progress.target,
        blocks_per_s=progress.blocks_per_s,
        eta_s=progress.eta_s,
    )
