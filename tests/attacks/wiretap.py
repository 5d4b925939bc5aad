"""Who listens in: on the wire between two parties, and at a node, as anybody may."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b

from chain.blocks import RecordName
from chain.client.http_client import NodeHttp
from chain.records import RosterName, Table
from wire import zbase32
from wire.codec import encode
from wire.errors import HoldfastError


@dataclass
class Tape:
    """All bytes that passed, in order, and when each piece did (the event loop's clock)."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)

    def add(self, data: bytes) -> None:
        self.pieces.append((asyncio.get_running_loop().time(), data))

    def between(self, start_s: float, end_s: float) -> bytes:
        return b"".join(data for at_s, data in self.pieces if start_s <= at_s <= end_s)

    @property
    def all(self) -> bytes:
        return b"".join(data for _, data in self.pieces)


@asynccontextmanager
async def tapped(
    host: str, port: int, to_host: str, to_port: int | None = None
) -> AsyncIterator[Tape]:
    """Pass everything on from `host` to `to_host`, to the same port or another, and keep a copy."""
    tape = Tape()
    open_: set[asyncio.StreamWriter] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                tape.add(data)
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            writer.close()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(to_host, to_port or port)
        except OSError:
            writer.close()
            return
        open_.update((writer, back))
        try:
            await asyncio.gather(copy(reader, back), copy(there, writer))
        finally:
            for each in (writer, back):
                each.close()
                open_.discard(each)

    server = await asyncio.start_server(pass_on, host, port)
    try:
        yield tape
    finally:
        server.close()
        for writer in open_:
            writer.close()


def spellings(name: bytes) -> set[bytes]:
    """The ways in which a key or an id can be said."""
    key = blake2b(b"hypercore", key=name, digest_size=32).digest()
    return {name, name.hex().encode(), zbase32.encode(name).encode(), key}


def mentions(name: bytes, data: bytes) -> int:
    """How often a key or an id is said in some bytes, or a feed's discovery key."""
    return sum(data.count(spelling) for spelling in spellings(name))


class Outsider:
    """Somebody without any key, who asks a node for all that it gives out, again and again."""

    def __init__(self, node: NodeHttp) -> None:
        self.tape = Tape()
        self._node = node
        self._blocks = 0

    async def listen(self) -> None:
        """Hear of every block; never ends."""
        while True:
            try:
                async for data in self._node.events("/api/v1/events?after=0"):
                    self.tape.add(base64.b64decode(data))
            except HoldfastError:
                await asyncio.sleep(0.1)

    async def ask(self, keys: Iterable[bytes], pages: Iterable[str], height: int) -> None:
        """Read every table at every key, every page, and the blocks since the last time."""
        heights = [number.to_bytes(8, "big") for number in range(height, height + 60)]
        known = [b"", *keys, *heights, *(name.key for name in RosterName)]
        for table in Table:
            names = tuple(RecordName(table=int(table), key=key) for key in known)
            await self._read("POST", "/api/v1/records", encode(names))
        for page in pages:
            await self._read("GET", page)
        for number in range(self._blocks + 1, height + 1):
            await self._read("GET", f"/api/v1/blocks/{number}")
        self._blocks = height

    async def _read(self, method: str, path: str, data: bytes | None = None) -> None:
        try:
            self.tape.add(await self._node.read(method, path, data))
        except HoldfastError as error:
            self.tape.add(str(error).encode())
