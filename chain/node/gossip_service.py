"""Validators' messages over the swarm: a private topic that only validators can join.

Candidates are members too, so that they are up to date when their term begins. The topic sends
again what a lost connection swallowed, a bounded number of messages; consensus repairs the rest.
"""

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import structlog

from chain.consensus.gossip import Gossip
from chain.endpoint import Endpoint
from swarm.service import Swarm, Topic, open_swarm
from swarm.topic import MAX_MESSAGE_BYTES
from wire.codec import Message, decode, encode
from wire.errors import Malformed, Unavailable
from wire.keys import KeyPair
from wire.primitives import tagged_hash

log = structlog.get_logger()

HISTORY_MESSAGES = 2_048
"""Kept for a member that is slow: beyond it, it has to ask."""

INBOX_MESSAGES = 1_024
"""Messages that wait to be handled; beyond it connections are not read."""

MAX_MALFORMED = 16
BARRED_S = 60
"""Who sends so many bad messages within that time is not listened to until it is over."""


class GossipService:
    """What the others say, decoded, and what is said to them."""

    def __init__(self, key: KeyPair, network: bytes, host: str, port: int) -> None:
        self.awake = asyncio.Event()
        """Set when a message has come; whoever waits for it clears it."""
        self._key = key
        self._id = tagged_hash("validators", network)
        self._listen = (host, port)
        self._stack = AsyncExitStack()
        self._swarm: Swarm | None = None
        self._inbox: asyncio.Queue[tuple[bytes, Message]] = asyncio.Queue(INBOX_MESSAGES)
        self._members: dict[bytes, tuple[str, int]] = {}
        self._topic: Topic | None = None
        self._reading: asyncio.Task[None] | None = None
        self._malformed: dict[bytes, tuple[float, int]] = {}
        """When each member first sent nonsense lately, and how often since."""

    async def __aenter__(self) -> Self:
        """Listen for the other validators; raises `Unavailable`."""
        self._swarm = await self._stack.enter_async_context(open_swarm(self._key, *self._listen))
        self._stack.push_async_callback(self._leave)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def connected(self) -> int:
        """How many others are connected."""
        return len(self._topic.connected) if self._topic else 0

    def take(self, limit: int) -> list[tuple[bytes, Message]]:
        """Messages that have come, each with its sender's Noise key; the oldest first."""
        return [self._inbox.get_nowait() for _ in range(min(limit, self._inbox.qsize()))]

    async def gather(self, endpoints: tuple[Endpoint, ...]) -> None:
        """These are the members from now on; connections with those that stay go on.

        Any candidate may change the list with every block.
        """
        members = {each.swarm_key: (each.host, each.port) for each in endpoints}
        if members == self._members:
            return
        assert self._swarm is not None, "enter it first"
        self._members = members
        if self._topic is not None:
            self._topic.change_members(members)
            return
        topic = self._swarm.join(self._id, members, history_messages=HISTORY_MESSAGES)
        self._topic = topic
        self._reading = asyncio.create_task(self._read(topic))

    def say(self, peer: bytes | None, message: Message) -> None:
        """Send to one member, or to all (None); one who is no member any more is passed over."""
        self.say_encoded(peer, encode(message))

    def say_encoded(self, peer: bytes | None, message: bytes) -> None:
        """As `say`, for a message that is encoded already."""
        if self._topic is None:
            return
        if len(message) > MAX_MESSAGE_BYTES:
            log.error("a message is too large to be sent", bytes=len(message))
        elif peer is None:
            self._topic.broadcast(message)
        elif peer in self._topic.members:
            self._topic.send(peer, message)

    async def _leave(self) -> None:
        if self._topic is not None and self._reading is not None:
            self._topic.leave()
            self._reading.cancel()
            await asyncio.wait([self._reading])
            self._topic = self._reading = None

    async def _read(self, topic: Topic) -> None:
        while True:
            try:
                peer, payload = await topic.receive()
            except Unavailable:
                return
            if self._is_barred(peer):
                continue
            try:
                message: Message = decode(Gossip, payload)
            except Malformed as malformed:
                self.refuse(peer, malformed)
                continue
            await self._inbox.put((peer, message))
            self.awake.set()

    def refuse(self, peer: bytes, malformed: Malformed) -> None:
        """Note that a member sent what no honest one sends; many such, and it is not read."""
        now_s = asyncio.get_running_loop().time()
        since_s, count = self._malformed.get(peer, (now_s, 0))
        if now_s > since_s + BARRED_S:
            since_s, count = now_s, 0
        self._malformed[peer] = (since_s, count + 1)
        log.warning("refused a validator's message", peer=peer.hex()[:16], why=str(malformed))

    def _is_barred(self, peer: bytes) -> bool:
        since_s, count = self._malformed.get(peer, (0.0, 0))
        now_s = asyncio.get_running_loop().time()
        return count >= MAX_MALFORMED and now_s <= since_s + BARRED_S
