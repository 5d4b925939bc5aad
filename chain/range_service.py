"""Final blocks for validators that lack them, sent beside the work of consensus."""

import asyncio
from contextlib import suppress

from chain.blocks import FinalBlock
from chain.consensus.gossip import Range, WantRange
from chain.gossip_service import GossipService
from chain.store import ChainStore
from wire.codec import encode
from wire.errors import NotFound

RANGE_BYTES = 3 << 20
"""Final blocks in one answer, in bytes."""

WAITING = 64
"""Requests that wait for their answer: who is passed over asks again, or asks another."""


class RangeService:
    """Answers one request after the other."""

    def __init__(self, store: ChainStore, gossip: GossipService) -> None:
        self._store = store
        self._gossip = gossip
        self._asked: asyncio.Queue[tuple[bytes, WantRange]] = asyncio.Queue(WAITING)

    def ask(self, peer: bytes, want: WantRange) -> None:
        """Take a request of the validator with Noise key `peer`."""
        with suppress(asyncio.QueueFull):
            self._asked.put_nowait((peer, want))

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            peer, want = await self._asked.get()
            found: list[FinalBlock] = []
            size = 0
            with suppress(NotFound):
                for height in range(want.from_height, want.from_height + want.count):
                    final = await self._store.block(height)
                    size += len(encode(final))
                    if found and size > RANGE_BYTES:
                        break
                    found.append(final)
            while found and found[-1].certificate is None:
                found.pop()
            self._gossip.say(peer, Range(from_height=want.from_height, blocks=tuple(found)))
