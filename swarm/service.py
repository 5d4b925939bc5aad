"""The shell of private topics: who is dialled, what is sent on, what is received.

    async with open_swarm(key, "0.0.0.0", 4002) as swarm:
        topic = swarm.join(topic_id, {their_key: ("198.51.100.7", 4002)})
        topic.broadcast(b"hello")
        peer, payload = await topic.receive()

All topics of a swarm share its listener and one connection to each member. Every task belongs to
the swarm's task group and ends with the block. What a member is sent waits in the topic's history,
not in buffers: a slow member falls behind alone.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from secrets import SystemRandom
from typing import Any

import structlog

from swarm.peers import Bucket, Drop, Limits
from swarm.protomux import MESSAGE_OVERHEAD_BYTES
from swarm.server import Listener, listen, plain_task_group
from swarm.session import TcpChannel, TcpConnection
from swarm.tcp import dial
from swarm.topic import (
    BYTES_PER_S,
    HISTORY_BYTES,
    HISTORY_MESSAGES,
    MESSAGE,
    MESSAGES_PER_S,
    PING,
    PING_TIMEOUT_S,
    PONG,
    PROTOCOL,
    RECEIVE_BYTES,
    STEADY_S,
    Endpoint,
    History,
    Measurement,
    Meter,
    Received,
    check_size,
    dials,
    retry_delay,
)
from wire.errors import HoldfastError, Malformed, Unavailable
from wire.keys import KeyPair
from wire.ports import ChannelMessage, Connection
from wire.zbase32 import encode

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Link:
    """One topic's channel on one connection, opening or up."""

    connection: TcpConnection
    channel: TcpChannel | None = None
    cursor: int = 0
    """Up to where in the topic's history the member was sent everything."""
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    ponged: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False, slots=True)
class _Peer:
    """One member of any topic."""

    endpoint: Endpoint
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    connection: TcpConnection | None = None
    dialling: asyncio.Task[None] | None = None


class Topic:
    """One private topic; made by `Swarm.join`."""

    def __init__(
        self, swarm: "Swarm", id: bytes, members: frozenset[bytes], history: History
    ) -> None:
        self.id = id
        self.members = members
        """The other members' keys."""
        self._swarm = swarm
        self._history = history
        self._links: dict[bytes, _Link] = {}
        self._meters = {member: Meter() for member in members}
        self._left = False
        self._received: deque[Received] = deque()
        self._received_bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()

    def broadcast(self, payload: bytes) -> None:
        """Send to every member, now or when it connects; at most 4 MiB."""
        self._say(None, payload)

    def send(self, peer: bytes, payload: bytes) -> None:
        """Send to one member, now or when it connects; at most 4 MiB."""
        assert peer in self.members, "only members are sent to"
        self._say(peer, payload)

    async def receive(self) -> Received:
        """The next message; the same one may come again after a reconnection.

        Raises `Unavailable` once the topic is left and all is read.
        """
        while not self._received:
            if self._left:
                raise Unavailable("the topic was left")
            self._arrived.clear()
            await self._arrived.wait()
        received = self._received.popleft()
        self._received_bytes -= len(received.payload) + MESSAGE_OVERHEAD_BYTES
        self._room.set()
        return received

    @property
    def connected(self) -> frozenset[bytes]:
        """The members whose channel is up."""
        up = (peer for peer, link in self._links.items() if link.channel is not None)
        return self.members.intersection(up)

    def measurements(self) -> dict[bytes, Measurement]:
        """Round trip, throughput and loss of each member that has answered a ping."""
        found = {peer: self._meters[peer].measurement for peer in self.members}
        return {peer: figures for peer, figures in found.items() if figures is not None}

    def update_member(self, peer: bytes, endpoint: Endpoint) -> None:
        """A member moved: it is dialled there from now on, in all topics."""
        assert peer in self.members, "only members have endpoints"
        self._swarm.move(peer, endpoint)

    def change_members(self, members: Mapping[bytes, Endpoint]) -> None:
        """These are the members from now on, by key; those that stay do not notice.

        Who is new hears all that the history holds.
        """
        before = self.members
        self.members = frozenset(members) - {self._swarm.me}
        here = self.members | self._links.keys()
        self._meters = {key: self._meters.get(key) or Meter() for key in here}
        for key in before - self.members:
            link = self._links.get(key)
            if link is not None and link.channel is not None:
                link.channel.close()
        self._swarm.let_go(before - self.members)
        for key in self.members:
            self._swarm.welcome(key, members[key], self)

    def leave(self) -> None:
        """Stop taking part; connections that no other topic needs are closed."""
        self._swarm.forget(self)
        self._left = True
        self._arrived.set()
        self._room.set()
        for link in list(self._links.values()):
            if link.channel is not None:
                link.channel.close()

    async def run(self, connection: TcpConnection, *, wanted: bool) -> None:
        """Open the topic on a member's connection and carry messages until either is closed.

        `wanted`: the member has opened it. Nothing happens if the connection carries it already.
        """
        older = self._links.get(connection.remote_key)
        if older is not None and older.connection is connection:
            up = older.channel is not None and not older.channel.closed
            if up or not wanted:
                return
        peer = connection.remote_key
        link = _Link(connection)
        self._links[peer] = link
        if older is not None and older.channel is not None:
            older.channel.close()
        try:
            link.channel = await connection.open(PROTOCOL, self.id)
            if peer not in self.members:
                link.channel.close()
            log.debug("member joined", topic=self.id.hex()[:8], peer=connection.peer)
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write(peer, link, link.channel))
                measuring = tasks.create_task(self._measure(peer, link, link.channel))
                await self._read(peer, link, link.channel)
                writing.cancel()
                measuring.cancel()
        except* Malformed as errors:
            connection.drop(Drop.MALFORMED, str(errors.exceptions[0]))
        except* Unavailable as errors:
            reason = str(errors.exceptions[0])
            log.debug("topic not carried", topic=self.id.hex()[:8], reason=reason)
        finally:
            self._meters[peer].give_up()
            if self._links.get(peer) is link:
                del self._links[peer]

    def _say(self, target: bytes | None, payload: bytes) -> None:
        end = self._history.end
        self._history.append(target, payload)
        for peer, link in self._links.items():
            if link.cursor != end or link.channel is None or link.connection.congested:
                link.grown.set()
                continue
            # Nothing waits before it: to wake a task for each member would cost more than to send.
            link.cursor += 1
            if target in (None, peer):
                link.channel.send(MESSAGE, payload)

    async def _write(self, peer: bytes, link: _Link, channel: TcpChannel) -> None:
        while True:
            link.grown.clear()
            payload, link.cursor = self._history.next_for(peer, link.cursor)
            if payload is None:
                await link.grown.wait()
            else:
                channel.send(MESSAGE, payload)
                await channel.drain()

    async def _measure(self, peer: bytes, link: _Link, channel: TcpChannel) -> None:
        meter = self._meters[peer]
        loop = asyncio.get_running_loop()
        while True:
            link.ponged.clear()
            channel.send(PING, meter.ping(loop.time()))
            try:
                async with asyncio.timeout(PING_TIMEOUT_S):
                    await link.ponged.wait()
            except TimeoutError:
                meter.give_up()
            await asyncio.sleep(meter.pause_s)

    async def _read(self, peer: bytes, link: _Link, channel: TcpChannel) -> None:
        loop = asyncio.get_running_loop()
        count = Bucket(MESSAGES_PER_S, HISTORY_MESSAGES, loop.time())
        size = Bucket(BYTES_PER_S, HISTORY_BYTES, loop.time())
        while messages := await channel.receive():
            for message in messages:
                self._take(peer, link, channel, message)
            while self._received_bytes > RECEIVE_BYTES and not self._left:
                self._room.clear()
                await self._room.wait()
            now_s = loop.time()
            total_bytes = sum(len(message.payload) for message in messages)
            wait_s = max(count.spend(len(messages), now_s), size.spend(total_bytes, now_s))
            if wait_s > 0:
                await asyncio.sleep(wait_s)

    def _take(self, peer: bytes, link: _Link, channel: TcpChannel, message: ChannelMessage) -> None:
        kind, payload = message
        check_size(kind, payload)
        if kind == MESSAGE:
            self._received.append(Received(peer, payload))
            self._received_bytes += len(payload) + MESSAGE_OVERHEAD_BYTES
            self._arrived.set()
        elif kind == PING:
            # Waiting here for room to answer could lock two members that wait for each other.
            if not link.connection.congested:
                channel.send(PONG, payload)
        elif kind == PONG and self._meters[peer].pong(payload, asyncio.get_running_loop().time()):
            link.ponged.set()


class Swarm:
    """One member's listener, connections and topics; made by `open_swarm`."""

    def __init__(
        self, me: KeyPair, limits: Limits, jitter: Callable[[], float], tasks: asyncio.TaskGroup
    ) -> None:
        self.listener: Listener
        self.me = me.public
        """This member's key."""
        self._me = me
        self._limits = limits
        self._jitter = jitter
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()
        self._topics: dict[bytes, Topic] = {}
        self._peers: dict[bytes, _Peer] = {}

    def join(
        self,
        id: bytes,
        members: Mapping[bytes, Endpoint],
        *,
        history_messages: int = HISTORY_MESSAGES,
    ) -> Topic:
        """Take part in a topic with these members, by key; one's own entry is ignored.

        `history_messages` are kept for members that are slow or away.
        """
        assert len(id) == 32 and id not in self._topics, "a topic is joined once, by its 32 bytes"
        others = frozenset(members) - {self.me}
        history = History(limit_messages=history_messages)
        topic = self._topics[id] = Topic(self, id, others, history)
        for key in others:
            self.welcome(key, members[key], topic)
        return topic

    def welcome(self, key: bytes, endpoint: Endpoint, topic: Topic) -> None:
        """A member of a topic, new or not, is here."""
        peer = self._peers.get(key)
        if peer is None:
            peer = self._peers[key] = _Peer(endpoint)
            if dials(self.me, key):
                peer.dialling = self._spawn(self._keep_dialled(key, peer))
        else:
            self.move(key, endpoint)
        if peer.connection is not None:
            self._link(peer.connection, topic)

    def move(self, key: bytes, endpoint: Endpoint) -> None:
        """A member's endpoint is this from now on."""
        peer = self._peers[key]
        if peer.endpoint != endpoint:
            peer.endpoint = endpoint
            peer.moved.set()

    def forget(self, topic: Topic) -> None:
        """A topic is left: so is every member that no other topic has."""
        if self._topics.get(topic.id) is not topic:
            return
        del self._topics[topic.id]
        self.let_go(topic.members)

    def let_go(self, members: frozenset[bytes]) -> None:
        """Some left a topic: those that no topic has any more are disconnected."""
        needed = frozenset[bytes]().union(*(other.members for other in self._topics.values()))
        for key in members - needed:
            peer = self._peers.pop(key)
            if peer.dialling is not None:
                peer.dialling.cancel()
            if peer.connection is not None:
                self._spawn(peer.connection.close())

    def allows(self, key: bytes) -> bool:
        """Whether a peer with this key may connect to our listener."""
        return key in self._peers and dials(key, self.me)

    async def accepted(self, connection: TcpConnection) -> None:
        """Serve a member that dialled us, until it is gone."""
        peer = self._peers.get(connection.remote_key)
        if peer is not None:
            await self._attend(connection, peer)

    def on_open(
        self, protocol: str, id: bytes, connection: Connection
    ) -> Coroutine[Any, Any, None] | None:
        """A member opens a topic: join in if it is one of ours and the member is listed."""
        topic = self._topics.get(id) if protocol == PROTOCOL else None
        if topic is None or connection.remote_key not in topic.members:
            return None
        assert isinstance(connection, TcpConnection)
        return topic.run(connection, wanted=True)

    async def close(self) -> None:
        """End every task and connection."""
        for task in self._running:
            task.cancel()
        async with asyncio.TaskGroup() as closing:
            for peer in self._peers.values():
                if peer.connection is not None:
                    closing.create_task(peer.connection.close())

    async def _keep_dialled(self, key: bytes, peer: _Peer) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started_s = loop.time()
            peer.moved.clear()
            try:
                connection = await dial(
                    *peer.endpoint,
                    self._me,
                    expected_remote=key,
                    on_open=self.on_open,
                    spawn=self._spawn,
                    limits=self._limits,
                )
                await self._attend(connection, peer)
            except HoldfastError as error:
                log.debug("member not reached", member=encode(key)[:8], reason=str(error))
            failures = 0 if loop.time() - started_s >= STEADY_S else failures + 1
            try:
                async with asyncio.timeout(retry_delay(failures, self._jitter())):
                    await peer.moved.wait()
            except TimeoutError:
                pass

    async def _attend(self, connection: TcpConnection, peer: _Peer) -> None:
        if peer.connection is not None:
            peer.connection.drop(Drop.SUPERSEDED)
        peer.connection = connection
        for topic in self._topics.values():
            self._link(connection, topic)
        try:
            await connection.wait_over()
        finally:
            if peer.connection is connection:
                peer.connection = None

    def _link(self, connection: TcpConnection, topic: Topic) -> None:
        if connection.remote_key in topic.members:
            self._spawn(topic.run(connection, wanted=False))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


@asynccontextmanager
async def open_swarm(
    me: KeyPair,
    host: str,
    port: int,
    *,
    limits: Limits | None = None,
    jitter: Callable[[], float] | None = None,
) -> AsyncIterator[Swarm]:
    """Listen for members and dial them until the block ends; port 0 picks a free one.

    `jitter` spreads reconnections: uniform in [0, 1), the system's randomness by default.
    """
    limits = limits or Limits()
    async with plain_task_group() as tasks:
        swarm = Swarm(me, limits, jitter or SystemRandom().random, tasks)
        async with listen(
            host,
            port,
            me,
            on_connection=swarm.accepted,
            on_open=swarm.on_open,
            allow=swarm.allows,
            limits=limits,
        ) as listener:
            swarm.listener = listener
            try:
                yield swarm
            finally:
                await swarm.close()
