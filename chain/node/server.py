"""Serve a node's API with hypercorn, on a socket that was bound before anything else began."""

import asyncio
import errno
import socket

from hypercorn.asyncio import serve
from hypercorn.config import Config

from chain.node.api import create_api
from chain.node.reading_node import Reader
from wire.errors import Unavailable

SHUTDOWN_S = 3
"""For answers under way; event streams are cut."""

MAX_HEADER_BYTES = 1 << 15
"""Requests have short paths and no cookies."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, or `Unavailable` with what to do."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Unavailable(
                f"port {port} on {host} is already in use: stop the other process or choose "
                "another with --listen"
            ) from None
        raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror}") from None
    listener.setblocking(False)
    return listener


async def run_node(node: Reader, listener: socket.socket) -> None:
    """Write blocks and serve the API until cancelled."""
    config = Config()
    # The server closes the one it is given, and whoever bound ours closes that.
    config.bind = [f"fd://{listener.dup().detach()}"]
    config.graceful_timeout = SHUTDOWN_S
    config.shutdown_timeout = SHUTDOWN_S
    config.h11_max_incomplete_size = MAX_HEADER_BYTES
    config.errorlog = None
    stop = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            blocks = tasks.create_task(node.run())
            web = tasks.create_task(
                serve(create_api(node), config, shutdown_trigger=stop.wait, mode="asgi")  # type: ignore[arg-type]
            )
            try:
                await blocks
            finally:
                stop.set()
                await asyncio.shield(web)
    finally:
        await node.close()
