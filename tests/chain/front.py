"""A front before a node that bends what passes: a node that lies, forgets, or drops the line.

async with front(url) as bent:
    bent.answer = lambda path, body: ...    # the node's good answer, bent
    bent.event = lambda line: [...]         # each line of its events
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from tests.chain.nodes import HOST

Answer = bytes | web.StreamResponse | None
"""Other bytes, or a whole response; None: the line is dropped."""


def plainly(path: str, body: bytes) -> Answer:
    """What the node says is what the client hears."""
    return body


def every_line(line: bytes) -> Sequence[bytes]:
    """What the node tells is what the client hears."""
    return [line]


@dataclass
class Front:
    """What becomes of requests and answers on their way."""

    backend: str
    url: str = ""
    ask: Callable[[str, bytes], Answer] = lambda path, body: body
    """Given a request before the node hears of it: other bytes, or an answer in its stead."""
    answer: Callable[[str, bytes], Answer] = plainly
    event: Callable[[bytes], Sequence[bytes]] = every_line
    asked: list[str] = field(default_factory=list)
    """Paths of all requests."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path_qs
        self.asked.append(path)
        body = self.ask(path, await request.read())
        if not isinstance(body, bytes):
            return _dropped(request) if body is None else body
        async with aiohttp.ClientSession() as session:
            try:
                async with session.request(request.method, self.backend + path, data=body) as good:
                    if path.startswith("/api/v1/events"):
                        return await self._stream(request, good)
                    said = await good.read()
            except aiohttp.ClientError:
                return _dropped(request)
            if good.status >= 400:
                kind = good.content_type
                return web.Response(status=good.status, body=said, content_type=kind)
        bent = self.answer(path, said)
        if bent is None:
            return _dropped(request)
        return web.Response(body=bent) if isinstance(bent, bytes) else bent

    async def _stream(
        self, request: web.Request, good: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async for line in good.content:
            for bent in self.event(line):
                await response.write(bent)
        return response


def _dropped(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


@asynccontextmanager
async def serving(handle: Callable[[web.Request], object]) -> AsyncIterator[str]:
    """Any server that answers every path; yields its URL."""
    app = web.Application(client_max_size=1 << 23)
    app.router.add_route("*", "/{path:.*}", handle)  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        yield f"http://{HOST}:{port}"
    finally:
        with suppress(TimeoutError):
            await runner.cleanup()


@asynccontextmanager
async def front(backend: str) -> AsyncIterator[Front]:
    """A front before the node at a URL."""
    made = Front(backend)
    async with serving(made.handle) as url:
        made.url = url
        yield made
