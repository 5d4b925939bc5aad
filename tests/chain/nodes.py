"""Nodes for tests: in this process, on a chain of their own or at a point of a world's life."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

from chain.client.light_client import ChainClient
from chain.consensus.engine import Keys, Remembered
from chain.consensus.vote_store import VoteStore
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.node.accusing import Accuser
from chain.node.api import create_api
from chain.node.case_store import CaseStore
from chain.node.gossip_service import GossipService
from chain.node.mempool_store import MempoolStore
from chain.node.server import bind, run_node
from chain.node.validator_node import Node, Place
from chain.store import ChainStore
from tests.builders import World
from tests.chain.final import header
from tests.people import PARAMETERS, VALIDATOR, genesis
from wire.keys import Use

INTERVAL_MS = 20
QUICK = genesis(PARAMETERS.model_copy(update={"block_interval_ms": INTERVAL_MS}))
"""A network that writes fifty blocks a second."""

HOST = "127.0.0.1"


def place(database: Path, agreed: Genesis = QUICK) -> Place:
    """Beside its database, and on any free port."""
    votes = database.with_suffix(".votes")
    if not votes.exists() and not database.exists():
        VoteStore.create(votes, agreed.network)
    return Place(database, votes, HOST, 0)


@asynccontextmanager
async def idle_node(path: Path, agreed: Genesis = QUICK) -> AsyncIterator[Node]:
    """A node that does not write blocks by itself."""
    node = await Node.open(agreed, VALIDATOR.master, place(path, agreed))
    try:
        yield node
    finally:
        await node.close()


@asynccontextmanager
async def writing(node: Node) -> AsyncIterator[Node]:
    """Have a node write its blocks until the block ends."""
    task = asyncio.create_task(node.run())
    try:
        yield node
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def node_at(world: World, path: Path) -> AsyncIterator[Node]:
    """A node that goes on where a world is; earlier blocks are not in its store."""
    store = await ChainStore.open(path, world.genesis)
    tip = header(world.genesis, world.height, state_root=world.state.root)
    ledger = Ledger(world.genesis, world.fork().state, tip)
    votes = path.with_suffix(".votes")
    VoteStore.create(votes, world.genesis.network)
    opened, _ = VoteStore.open(votes, world.genesis.network, 0)
    gossip = GossipService(VALIDATOR.key(Use.SWARM), world.genesis.network, HOST, 0)
    waited, _ = MempoolStore.open(path.with_suffix(".pool"), world.genesis.network)
    waited.rewrite(())
    keys = Keys(VALIDATOR.key(Use.VALIDATOR), VALIDATOR.key(Use.VRF))
    accuser = Accuser(world.genesis, VALIDATOR.account, CaseStore(path.with_suffix(".cases")))
    kept = store, ledger, None, opened, Remembered()
    node = Node(world.genesis, *kept, gossip, keys, accuser, waited)
    try:
        yield node
    finally:
        await node.close()


async def write(node: Node, blocks: int = 1) -> None:
    """Have an idle node write so many blocks."""
    height = node.height + blocks
    await node.step([])
    await node._store()
    while node.height < height:
        await asyncio.sleep(node.genesis.parameters.block_interval_ms / 1000)
        await node.step([])
        await node._store()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; a generous limit ends a vain wait."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.002)


def free_port() -> int:
    with closing(socket.socket()) as each:
        each.bind((HOST, 0))
        port: int = each.getsockname()[1]
        return port


@asynccontextmanager
async def served_node(path: Path, port: int = 0, agreed: Genesis = QUICK) -> AsyncIterator[str]:
    """A node that writes blocks and answers over HTTP; yields its URL."""
    listener = bind(HOST, port)
    with listener:
        node = await Node.open(agreed, VALIDATOR.master, place(path, agreed))
        task = asyncio.create_task(run_node(node, listener))
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def answering(node: Node, port: int = 0) -> AsyncIterator[str]:
    """Answer for a node over HTTP, whether it writes blocks or not; yields its URL."""
    config = Config()
    stop = asyncio.Event()
    with bind(HOST, port) as listener:
        config.bind = [f"fd://{listener.dup().detach()}"]
        config.graceful_timeout = 0.1
        config.shutdown_timeout = 0.1
        config.errorlog = None
        api: Any = create_api(node)
        task = asyncio.create_task(serve(api, config, shutdown_trigger=stop.wait, mode="asgi"))
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            for queue in node._followers:
                queue.put_nowait(None)
            stop.set()
            await asyncio.wait_for(task, 20)


@asynccontextmanager
async def following(chain: ChainClient) -> AsyncIterator[ChainClient]:
    """Have a client hear its node's events until the block ends."""
    task = asyncio.create_task(chain.run())
    try:
        yield chain
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
