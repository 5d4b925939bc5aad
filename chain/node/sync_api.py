"""The routes by which other nodes catch up: final blocks in runs, and a state in parts.

Nothing in the answers needs trust: see `chain.sync` and `chain.snapshot`.
"""

import asyncio
from contextlib import aclosing, suppress
from typing import Annotated

from fastapi import FastAPI, Path, Query
from fastapi.responses import Response

from chain.node.reading_node import Reader
from chain.runs import MAX_RUN_BLOCKS, MAX_RUN_BYTES
from chain.sync.snapshot import MAX_DEPTH
from wire.errors import NotFound, Unavailable
from wire.primitives import MAX_INT

CBOR = "application/cbor"

MAX_WAIT_S = 15
"""Below the patience of whoever asks."""

MAX_RUNS_AT_ONCE = 4
"""Answers that are read from the disk at the same time: each may take 4 MiB."""


def add_sync(api: FastAPI, node: Reader) -> None:
    """Hang these routes into a node's application."""
    turns = asyncio.Semaphore(MAX_RUNS_AT_ONCE)

    @api.get("/api/v1/sync/blocks", tags=["sync"], response_class=Response)
    async def blocks(
        start: Annotated[int, Query(alias="from", ge=1, le=MAX_INT)],
        count: Annotated[int, Query(ge=1, le=MAX_RUN_BLOCKS)] = MAX_RUN_BLOCKS,
        wait: Annotated[int, Query(ge=0, le=MAX_WAIT_S, description="seconds")] = 0,
    ) -> Response:
        """Final blocks from a height on (CBOR): as many as fit, none when there are none yet.

        With `wait` the answer is held back for so long at most, until there is one.
        """
        if wait and start > node.height:
            await _final_at(node, start, wait)
        async with turns:
            run = await node.store.run(start, count, MAX_RUN_BYTES, node.height)
        return Response(run, media_type=CBOR)

    @api.get("/api/v1/sync/snapshot", tags=["sync"], response_class=Response)
    async def snapshot() -> Response:
        """The head of the newest state that is offered in parts (CBOR)."""
        store = node.require_snapshots()
        async with turns:
            head = await asyncio.to_thread(store.head)
        return Response(head, media_type=CBOR)

    @api.get("/api/v1/sync/snapshot/{height}/{part}", tags=["sync"], response_class=Response)
    async def snapshot_part(
        height: Annotated[int, Path(ge=1, le=MAX_INT)],
        part: Annotated[int, Path(ge=0, lt=1 << MAX_DEPTH)],
    ) -> Response:
        """The records of one part (CBOR)."""
        store = node.require_snapshots()
        async with turns:
            found = await asyncio.to_thread(store.part, height, part)
        return Response(found, media_type=CBOR)


async def _final_at(node: Reader, height: int, limit_s: int) -> None:
    """Wait until a block is final, but not longer than the limit."""
    with suppress(TimeoutError, StopAsyncIteration, NotFound, Unavailable):
        async with asyncio.timeout(limit_s), aclosing(node.follow(node.height)) as notices:
            async for notice in notices:
                if notice.header.height >= height:
                    return
