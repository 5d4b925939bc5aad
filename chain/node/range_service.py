"""Final blocks for validators that lack them, sent beside the work of consensus."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from chain.consensus.gossip import WantRange
from chain.node.gossip_service import GossipService
from chain.runs import MAX_RUN_BYTES
from chain.store import ChainStore
from wire.codec import array, encode
from wire.errors import NotFound


class RangeService:
    """Answers one request after the other."""

    def __init__(self, store: ChainStore, gossip: GossipService, height: Callable[[], int]) -> None:
        """`height` is that of the last block in the store."""
        self._store = store
        self._gossip = gossip
        self._height = height
        self._asked: dict[bytes, WantRange] = {}
        """One request of each: a later one takes its place, not its turn."""
        self._news = asyncio.Event()

    def ask(self, peer: bytes, want: WantRange) -> None:
        """Take a request of the validator with Noise key `peer`."""
        self._asked[peer] = want
        self._news.set()

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            while not self._asked:
                self._news.clear()
                await self._news.wait()
            peer = next(iter(self._asked))
            want = self._asked.pop(peer)
            asked, height = want.range, self._height()
            with suppress(NotFound):  # it is pruned: others may have it still
                run = await self._store.run(asked.from_height, asked.count, MAX_RUN_BYTES, height)
                # The blocks are put together from stored bytes, never decoded: a `Range`.
                self._gossip.say_encoded(peer, array((encode("range"), run)))
