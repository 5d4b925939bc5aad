"""Hosters on loopback, honest or bent, and the visit that an attestor makes to them.

A bent hoster is an honest one whose messages are changed on their way to the channel: `bend` is
given each message that it wants to send and returns those that it does.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from attestor.disguise import Disguise, Habit
from attestor.itinerary import Control, VisitTask
from attestor.messages import VisitResult
from attestor.session import Patience, make_visit
from attestor.witness_session import Accuse
from audit.evidence import Judged, Target, Task, judge_visit
from audit.messages import RECEIPT_EXTENSION, SignedReceipt
from audit.plan import VisitPlan
from audit.receipts import DOMAIN, SessionBinding
from chain.endpoint import Endpoint
from feed import codec
from feed.feed import Feed
from feed.manifest import discovery_key
from feed.messages import Data, Extension, Message
from feed.replication.session import serve
from feed.store import FeedStore
from feed.tree import leaf_hash, tree_hash
from hoster.receipts import ReceiptBook
from hoster.serving_service import Serving
from swarm.peers import Limits
from swarm.server import listen
from tests.feed.owner import KEY, SIGN, chunk, owned
from tests.people import ATTESTORS, HOSTERS, Person
from wire import signing
from wire.codec import decode, encode
from wire.errors import HoldfastError
from wire.keys import KeyPair, Use
from wire.ports import Channel, Connection

HOST = "127.0.0.1"
NETWORK, CHALLENGE, CONTRACT, COIN = b"n" * 32, b"h" * 32, b"c" * 32, b"m" * 32
ATTESTOR, HOSTER, OTHER = ATTESTORS[0], HOSTERS[0], HOSTERS[1]
VISIT_KEY = ATTESTOR.key(Use.VISIT, CHALLENGE, CONTRACT)
LENGTH = 40
PLANNED = (7, 31, 0, 39, 12, 20)
OPENED_MS = 1_700_000_000_000
CLOSED_MS = 4_000_000_000_000
"""The window is open as long as any clock that these tests run by."""

IDLE_S = 0.01
QUICK = Patience(
    quiet_s=1.5,
    linger_s=0.3,
    truth_s=5.0,
    limits=Limits(handshake_timeout_s=2.0, open_timeout_s=2.0),
)
"""Long enough for what comes, short enough to wait for what does not."""

HURRIED = replace(QUICK, quiet_s=1.0, linger_s=0.1)
"""For hosters from which nothing more comes."""

DEADLINE_S = 10.0

Bend = Callable[[Message], Sequence[Message]]


def honest(message: Message) -> Sequence[Message]:
    """What is said is what is sent."""
    return [message]


class BentChannel:
    """A channel of a hoster that does not say what it should."""

    def __init__(self, channel: Channel, hosting: "Hosting") -> None:
        self._channel = channel
        self._hosting = hosting
        self.remote_handshake = channel.remote_handshake
        self.drain, self.receive, self.close = channel.drain, channel.receive, channel.close

    def send(self, kind: int, payload: bytes) -> None:
        message = codec.decode(kind, payload)
        assert message is not None
        for bent in self._hosting.bend(message):
            self.send_plain(bent)

    def send_plain(self, message: Message) -> None:
        self._channel.send(message.kind, codec.encode(message))


class BentConnection:
    """A connection on which a hoster opens bent channels."""

    def __init__(self, connection: Connection, hosting: "Hosting") -> None:
        self._connection = connection
        self._hosting = hosting
        self.initiator = connection.initiator
        self.handshake_hash = connection.handshake_hash
        self.remote_key = connection.remote_key
        self.close = connection.close

    async def open(
        self, protocol: str, id: bytes, handshake: bytes = b"", aliases: tuple[str, ...] = ()
    ) -> Channel:
        channel = await self._connection.open(protocol, id, handshake, aliases)
        self._hosting.channels.append(BentChannel(channel, self._hosting))
        return self._hosting.channels[-1]


@dataclass
class Hosting:
    """A hoster that listens."""

    endpoint: Endpoint
    bend: Bend
    channels: list[BentChannel] = field(default_factory=list)
    """Those that were opened, the newest last."""


@asynccontextmanager
async def hosting(
    feed: Feed, bend: Bend = honest, hoster: Person = HOSTER, key: KeyPair | None = None
) -> AsyncIterator[Hosting]:
    """A hoster of one feed, until the block ends."""
    made: Hosting

    async def serve_reader(connection: Connection) -> None:
        binding = SessionBinding(
            network=NETWORK,
            hoster=hoster.id,
            handshake_hash=connection.handshake_hash,
            peer=connection.remote_key,
            feed=feed.key,
        )
        serving = Serving(ReceiptBook(hoster.key(Use.RECEIPT), binding), feed, IDLE_S)
        try:
            await serve(BentConnection(connection, made), feed, serving.on_event)
        except HoldfastError:
            pass
        finally:
            serving.finish()

    swarm_key = key or hoster.key(Use.SWARM)

    def on_open(
        protocol: str, id: bytes, connection: Connection
    ) -> Coroutine[Any, Any, None] | None:
        return serve_reader(connection) if id == discovery_key(feed.key) else None

    async with listen(HOST, 0, swarm_key, on_open=on_open) as listener:
        endpoint = Endpoint(host=HOST, port=listener.port, swarm_key=hoster.key(Use.SWARM).public)
        made = Hosting(endpoint, bend)
        yield made


def stored(length: int = LENGTH) -> Feed:
    """The whole feed in a store of its own."""
    return owned(FeedStore(":memory:"), length)


def falsified(feed: Feed, *indices: int) -> Feed:
    """The feed as a dishonest operator stores it: other bytes, and hashes that fit them."""
    store = feed._tables
    for index in indices:
        value = b"false " + feed.chunk(index).value
        store.run(
            "UPDATE chunk SET bytes = ?, hash = ? WHERE id = ?",
            (value, leaf_hash(value), feed._chunk_id(index)),
        )
    feed.reload()
    return feed


def target_of(feed: Feed) -> Target:
    return Target(
        contract=CONTRACT,
        hoster=HOSTER.id,
        receipt_key=HOSTER.key(Use.RECEIPT).public,
        feed=KEY,
        fork=feed.fork,
        length=feed.length,
        tree_hash=tree_hash(feed.roots),
    )


TARGET = target_of(stored())


def bare(planned: tuple[int, ...]) -> Disguise:
    """No more than what is planned, as fast as it comes."""
    return Disguise(Habit.LOOKUPS, b"d" * 32, planned, at_once=4, think_ms=0, linger_ms=0)


async def visit(
    endpoint: Endpoint,
    *elsewhere: Endpoint,
    planned: tuple[int, ...] = PLANNED,
    target: Target = TARGET,
    patience: Patience = QUICK,
    deadline_s: float = DEADLINE_S,
    disguise: Disguise | None = None,
    controls: tuple[Control, ...] = (),
    accuse: Accuse | None = None,
) -> tuple[VisitResult, Judged]:
    """Visit, and have the chain's judge look at what came of it: it must never void a report."""
    plan = VisitPlan(CONTRACT, 0, planned)
    task = VisitTask(
        network=NETWORK,
        challenge=CHALLENGE,
        attestor=ATTESTOR.id,
        target=target,
        plan=plan,
        coin=COIN,
        opened_ms=OPENED_MS,
        byte_length=1_000 * target.length,
        disguise=disguise or bare(planned),
        room_bytes=1 << 20,
        controls=controls,
        endpoint=endpoint,
        elsewhere=elsewhere,
    )
    result = await make_visit(task, VISIT_KEY, deadline_s, patience, accuse)
    terms = Task(CHALLENGE, ATTESTOR.id, OPENED_MS, CLOSED_MS)
    judged = judge_visit(NETWORK, terms, target, plan, result.summary, result.evidence)
    return result, judged


def on_receipt(change: Callable[[SignedReceipt], bytes | None]) -> Bend:
    """Change what travels as a receipt; None: say nothing."""

    def bend(message: Message) -> Sequence[Message]:
        if not isinstance(message, Extension):
            return [message]
        changed = change(decode(SignedReceipt, message.payload))
        # The short form of the name counts on the one sent before.
        return [] if changed is None else [Extension(RECEIPT_EXTENSION, changed)]

    return bend


def on_chunk(change: Callable[[Data], Sequence[Message]]) -> Bend:
    """Change the answers that carry a chunk."""

    def bend(message: Message) -> Sequence[Message]:
        if isinstance(message, Data) and message.chunk is not None:
            return change(message)
        return [message]

    return bend


def signed_anew(signer: KeyPair | None = None, **changes: object) -> Bend:
    """Receipts that say something else, with a good signature."""
    key = signer or HOSTER.key(Use.RECEIPT)

    def change(signed: SignedReceipt) -> bytes:
        receipt = signed.receipt.model_copy(update=changes)
        signature = signing.sign(key, DOMAIN, NETWORK, encode(receipt))
        return encode(SignedReceipt(receipt=receipt, signature=signature))

    return on_receipt(change)


def grown(feed: Feed, length: int) -> Feed:
    """The same feed after its owner appended to it."""
    feed.append([chunk(index) for index in range(feed.length, length)], SIGN)
    return feed
