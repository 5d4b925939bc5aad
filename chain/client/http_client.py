"""One node over HTTP: its answers bounded, its refusals as our errors. Believes nothing.

Nothing is unpacked, followed or kept on the word of a node: neither archives that grow a
thousandfold, nor redirections to other machines, nor cookies.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from chain.reasons import parse_reason
from wire.errors import HoldfastError, Malformed, NotFound, Rejected, Unavailable

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=20)
"""A node that has not answered by then is busy or gone; the request is repeated."""

EVENTS_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=120)
"""Events never end; two minutes without a block and the connection is made anew."""

MAX_ANSWER_BYTES = 4 << 20
"""The largest message the codec takes; more is cut off unread."""

MAX_EVENT_BYTES = 8 << 20
"""One notice, in base64."""

MAX_ERROR_BYTES = 1 << 16
"""What a node may say about why it does not answer."""


class NodeHttp:
    """Requests to one node; a context manager."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            read_bufsize=MAX_EVENT_BYTES,
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def read(self, method: str, path: str, data: bytes | None = None) -> bytes:
        """The whole answer to one request; raises `Unavailable`, `NotFound` or `Malformed`."""
        try:
            return await self.submit(method, path, data)
        except Rejected as rejected:
            # No rule of the ledger forbids to read.
            raise Malformed(f"the node refuses to be read: {rejected}") from None

    async def submit(self, method: str, path: str, data: bytes | None) -> bytes:
        """As `read`, for what the ledger's rules may refuse: raises `Rejected` too."""
        async with self._request(method, path, data, REQUEST_TIMEOUT) as response:
            return await _body_of(response, MAX_ANSWER_BYTES)

    async def events(self, path: str) -> AsyncGenerator[bytes]:
        """The data of each server-sent event, until the node ends the stream."""
        async with self._request("GET", path, None, EVENTS_TIMEOUT) as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    yield line[6:].strip()

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, data: bytes | None, limit: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        assert self._session is not None, "use the client as a context manager"
        try:
            async with self._session.request(
                method, self.url + path, data=data, timeout=limit, allow_redirects=False
            ) as response:
                if response.status >= 300:
                    raise await _error_of(response)
                yield response
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError) as error:
            # The second is what becomes of an event that is too long.
            raise Unavailable(f"the node at {self.url} does not answer: {error}") from None


async def _body_of(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """A whole body; raises `Malformed` when there is more of it than the limit."""
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > limit_bytes:
            raise Malformed(f"the node answered with more than {limit_bytes} bytes")
    return bytes(body)


async def _error_of(response: aiohttp.ClientResponse) -> HoldfastError:
    """A node's refusal as the error it stands for."""
    try:
        body = json.loads(await _body_of(response, MAX_ERROR_BYTES))
        reason, detail = str(body["reason"]), str(body["detail"])[:500]
    except (ValueError, KeyError, TypeError, RecursionError, Malformed):
        return Unavailable(f"the node answered with status {response.status}")
    match response.status:
        case 404:
            return NotFound(detail)
        case 409:
            return Rejected(parse_reason(reason), detail)
        case 400:
            return Malformed(detail)
        case _:
            return Unavailable(detail)
