"""A node without a vote: it catches up with others over HTTP, and serves the same API as they do.

It believes its peers nothing: blocks are executed, and final by certificates that follow from
the genesis or a checkpoint. Transactions that it is given it passes on to its peers.
"""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from chain.client.http_client import NodeHttp
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.messages import SignedTransaction
from chain.node.reading_node import Reader
from chain.store import ChainStore
from chain.sync.sync_service import POLL_S, HttpSource, Sync
from chain.transition import genesis_state
from chain.votes import Certificate
from wire.codec import encode
from wire.errors import NotFound, Unavailable

STALLED_S = 2 * POLL_S
"""A peer answers at least this often, whether there is a block or not."""


class Follower(Reader):
    """One read-only node of one network."""

    def __init__(
        self,
        genesis: Genesis,
        store: ChainStore,
        ledger: Ledger,
        certificate: Certificate | None,
        peers: Sequence[NodeHttp],
        opened: AsyncExitStack,
    ) -> None:
        """`opened` closes the store and the peers."""
        super().__init__(genesis, store, ledger, certificate)
        self._peers = peers
        self._opened = opened
        self._sync = Sync(ledger, self.keep, [HttpSource(peer) for peer in peers])
        self._condition = "starting"

    @classmethod
    async def open(cls, genesis: Genesis, database: Path, urls: Sequence[str]) -> Self:
        """Load what is stored; raises `Unavailable` with what to do."""
        async with AsyncExitStack() as opened:
            store = await ChainStore.open(database, genesis)
            opened.push_async_callback(store.close)
            state, tip = await store.load(genesis_state(genesis))
            certificate: Certificate | None = None
            if tip is not None:
                _, _, certificate = await store.certified(tip.height)
            peers = [await opened.enter_async_context(NodeHttp(url)) for url in urls]
            ledger = Ledger(genesis, state, tip)
            return cls(genesis, store, ledger, certificate, peers, opened.pop_all())

    @property
    def healthy(self) -> str:
        """Why no blocks are coming; empty while this node is where its peers are."""
        if self._condition:
            return self._condition
        if self._sync.trouble:
            return self._sync.trouble
        behind = self._sync.target - self.height
        late_s = time.monotonic() - self._sync.heard_at
        if late_s > STALLED_S:
            return f"no peer has answered for {late_s:.0f} s"
        return f"catching up: {behind} blocks behind" if behind > MOST_BEHIND else ""

    async def run(self) -> None:
        """Catch up and follow until cancelled."""
        self._condition = ""
        try:
            await self._sync.run()
        finally:
            self._condition = "stopped"
            self.end_followers()

    async def catch_up(self) -> None:
        """Fetch what there is, and stop; raises `Unavailable` when no peer answers."""
        await self._sync.catch_up()

    async def accept(self, signed: SignedTransaction) -> bytes:
        """Pass a transaction on to the first peer that takes it; what it says is the answer."""
        if not signed.is_signed():
            self.ledger.check(signed, 0)  # says which rule it breaks
        trouble = "there is no peer"
        for peer in self._peers:
            try:
                await peer.submit("POST", "/api/v1/transactions", encode(signed))
            except NotFound:
                trouble = f"{peer.url} takes no transactions"
            except Unavailable as error:
                trouble = str(error)
            else:
                return signed.transaction.id
        raise Unavailable(f"this node only follows, and could not pass it on: {trouble}")

    async def close(self) -> None:
        """Close the store and the connections; following goes on where it stopped."""
        await super().close()
        await self._opened.aclose()


MOST_BEHIND = 10
"""Blocks: a node that is less far behind is doing what it should."""
