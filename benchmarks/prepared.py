"""A server that has every answer ready: what is left is to join, to seal and to send it.

It shows how fast a reader can be served at all, with the cryptography and the sockets of this
program and without its store, checksums and proofs. It holds the whole feed in memory.
"""

import time
from collections.abc import Iterable
from itertools import count

from feed.codec import decode, encode, encode_handshake
from feed.feed import Feed
from feed.manifest import capability, discovery_key
from feed.messages import PROTOCOL, Handshake, Kind, Message, PathRequest, Request
from feed.prover import produce
from feed.replication.core import Replication
from feed.replication.events import Effect, Event
from feed.source import source
from wire.compact import put_uint
from wire.errors import Malformed
from wire.ports import Channel, Connection

ANSWER_BYTES = 1 << 20


class PreparedServer:
    """Serves one complete feed."""

    def __init__(self, feed: Feed) -> None:
        """Read all chunks, and make all paths that can be asked for."""
        self._feed = feed
        self._chunks = [feed.chunk(index).value for index in range(feed.length)]
        self._heads = [self._head(index) for index in range(feed.length)]
        self._paths = [list(self._paths_of(index)) for index in range(feed.length)]

    async def serve(self, connection: Connection) -> None:
        """Serve until the channel closes."""
        feed = self._feed
        proof = capability(connection.handshake_hash, feed.key, connection.initiator)
        handshake = encode_handshake(Handshake(proof))
        channel = await connection.open(PROTOCOL, discovery_key(feed.key), handshake)
        core = Replication(feed)
        _send(channel, core.start())
        while received := await channel.receive():
            others: list[Message] = []
            for message in [decode(*each) for each in received]:
                if isinstance(message, Request) and message.chunk and not message.upgrade:
                    channel.send(Kind.DATA, self._answer(message.id, message.chunk))
                elif message is not None:
                    others.append(message)
            _send(channel, core.receive(others, time.monotonic_ns() // 1000))
            while core.has_requests:
                _send(channel, core.answer(ANSWER_BYTES))

    def _answer(self, request: int, asked: PathRequest) -> bytes:
        index, levels = asked
        start = bytearray(b"\x01")
        put_uint(start, request)
        return b"".join(
            (start, self._heads[index], self._chunks[index], self._paths[index][levels])
        )

    def _head(self, index: int) -> bytes:
        """What stands between the request's id and the chunk."""
        head = bytearray()
        for value in (self._feed.fork, index, len(self._chunks[index])):
            put_uint(head, value)
        return bytes(head)

    def _paths_of(self, index: int) -> Iterable[bytes]:
        """What stands behind the chunk, for 0, 1, 2... levels of its path."""
        chunk = self._feed.chunk(index)
        for levels in count():
            asked = Request(0, self._feed.fork, PathRequest(index, levels))
            try:
                answer = encode(produce(source(self._feed, chunk), asked))
            except Malformed:
                return
            yield answer[2 + len(self._heads[index]) + len(chunk.value) :]


def _send(channel: Channel, effects: Iterable[Effect]) -> None:
    for effect in effects:
        if not isinstance(effect, Event):
            channel.send(effect.kind, encode(effect))
