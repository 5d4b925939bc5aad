"""A Node process under remote control, and our own end of the connections to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from feed.feed import Feed, Sign, signed_by
from feed.manifest import default_manifest, discovery_key, manifest_key
from feed.messages import PROTOCOL, PROTOCOL_ALIAS
from feed.replication.session import OnEvent, Session, open_session
from feed.store import FeedStore
from swarm.server import Listener, listen
from swarm.tcp import dial
from wire.errors import HoldfastError
from wire.keys import KeyPair
from wire.ports import Connection

Stores = Callable[[], FeedStore]

DRIVER = Path(__file__).parent / "driver.mjs"
HOST = "127.0.0.1"
CALL_TIMEOUT_S = 60
LINE_BYTES = 1 << 24

OWNER = KeyPair(bytes(range(32)))
READER = KeyPair(b"R" * 32)
SIZES = (1000, 1, 64, 4096, 0, 333)
"""Bytes in the chunks of most tests; the empty chunk is one of them."""


def chunk(index: int, sizes: Sequence[int] = SIZES, salt: int = 0) -> bytes:
    """The content of every chunk, by the same rule as in the driver."""
    size = sizes[index % len(sizes)]
    piece = index.to_bytes(4, "little") + salt.to_bytes(4, "little")
    return (piece * (size // 8 + 1))[:size]


def chunks(start: int, stop: int, sizes: Sequence[int] = SIZES, salt: int = 0) -> list[bytes]:
    """Several of them."""
    return [chunk(index, sizes, salt) for index in range(start, stop)]


class Flavour:
    """A version of Hypercore, with the kind of feed that it makes by default."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.manifest = None if version == 10 else default_manifest(OWNER.public)
        self.key = OWNER.public if self.manifest is None else manifest_key(self.manifest)
        self.sign: Sign = signed_by(OWNER, self.key, self.manifest)

    def owned(self, store: FeedStore, length: int, sizes: Sequence[int] = SIZES) -> Feed:
        """Our feed of so many chunks."""
        feed = store.create(self.key, self.manifest)
        feed.append(chunks(0, length, sizes), self.sign)
        return feed

    def __repr__(self) -> str:
        return f"hypercore-{self.version}"


class NodePeer:
    """One Node process; every method of the driver is a call."""

    def __init__(self, packages: Path, scratch: Path) -> None:
        self._packages = packages
        self._scratch = scratch
        self._ids = count(1)
        self._process: asyncio.subprocess.Process | None = None
        self._errors = scratch / "stderr"

    async def __aenter__(self) -> Self:
        self._scratch.mkdir()
        with self._errors.open("wb") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *("node", str(DRIVER), str(self._packages), str(self._scratch)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                limit=LINE_BYTES,
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            async with asyncio.timeout(10):
                await self.call("close")
                process.stdin.close()
                await process.wait()
        except (TimeoutError, AssertionError, OSError):
            process.kill()
            await process.wait()

    async def call(self, name: str, core: str = "a", **arguments: Any) -> Any:
        """Call a function of the driver; its error is an assertion here."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        number = next(self._ids)
        request = {"id": number, "call": name, "core": core, **arguments}
        process.stdin.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(CALL_TIMEOUT_S):
            line = await process.stdout.readline()
        assert line, f"node ended: {self._errors.read_text()[-2000:]}"
        answer = json.loads(line)
        assert answer["id"] == number
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def open(self, flavour: Flavour, core: str = "a", *, owned: bool) -> bytes:
        """A feed of the owner's key pair, or a reader of it; returns its key."""
        options = {"seed": OWNER.seed.hex()} if owned else {"key": flavour.key.hex()}
        found = await self.call("open", core, version=flavour.version, **options)
        assert bytes.fromhex(found["key"]) == flavour.key
        return flavour.key

    async def write(self, start: int, stop: int, **arguments: Any) -> None:
        """Append chunks of the common rule."""
        options = {"sizes": SIZES} | arguments
        await self.call("append", start=start, count=stop - start, **options)

    async def require_same(self, **arguments: Any) -> None:
        """Assert that Node has all chunks of the common rule."""
        options = {"sizes": SIZES} | arguments
        assert await self.call("compare", **options) == {"wrong": [], "missing": 0}


def require_same(feed: Feed, length: int, sizes: Sequence[int] = SIZES, salt: int = 0) -> None:
    """Assert that we have all chunks of the common rule."""
    assert (feed.length, feed.missing) == (length, 0)
    assert all(feed.chunk(i).value == chunk(i, sizes, salt) for i in range(length))


Wrap = Callable[[Connection], Connection]


class Serving:
    """Our listening end: serves feeds, and keeps what ended the sessions."""

    def __init__(
        self, feeds: Sequence[Feed], on_event: OnEvent | None, wrap: Wrap, fetch: bool
    ) -> None:
        self.sessions: list[Session] = []
        self.failures: list[HoldfastError] = []
        self.listener: Listener | None = None
        self._feeds = {discovery_key(feed.key): feed for feed in feeds}
        self._on_event = on_event
        self._wrap = wrap
        self._fetch = fetch

    @property
    def port(self) -> int:
        """Where we listen."""
        assert self.listener is not None
        return self.listener.port

    def on_open(
        self, protocol: str, id: bytes, connection: Connection
    ) -> Coroutine[Any, Any, None] | None:
        """A peer opens a channel."""
        if protocol not in (PROTOCOL, PROTOCOL_ALIAS) or id not in self._feeds:
            return None
        return self._serve(self._wrap(connection), self._feeds[id])

    async def _serve(self, connection: Connection, feed: Feed) -> None:
        session = await open_session(connection, feed, self._on_event)
        self.sessions.append(session)
        if self._fetch:
            session.fetch_all()
        await session.replicate()
        if session.failure is not None:
            self.failures.append(session.failure)
            raise session.failure


@asynccontextmanager
async def serving(
    *feeds: Feed,
    on_event: OnEvent | None = None,
    wrap: Wrap = lambda connection: connection,
    fetch: bool = False,
) -> AsyncIterator[Serving]:
    """Listen on a free port; with `fetch` everything is fetched from whoever comes."""
    found = Serving(feeds, on_event, wrap, fetch)
    async with listen(HOST, 0, OWNER, on_open=found.on_open) as found.listener:
        yield found


@asynccontextmanager
async def dialled(
    port: int, *feeds: Feed, on_event: OnEvent | None = None
) -> AsyncIterator[list[Session]]:
    """One connection to a Node peer with a session a feed; it follows all that happens there."""
    connection = await dial(HOST, port, READER)
    async with asyncio.TaskGroup() as group:
        sessions = []
        for feed in feeds:
            session = await open_session(connection, feed, on_event)
            group.create_task(session.replicate())
            sessions.append(session)
        try:
            yield sessions
        finally:
            for session in sessions:
                session.close()
            await connection.close()


async def until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    """Let the loop run until the condition holds; the time limit ends a vain wait."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
            await asyncio.sleep(0.005)
