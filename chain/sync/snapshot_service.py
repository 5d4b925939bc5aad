"""Begin a chain at a final state that others have, instead of executing its history.

The header is believed for the validators of its term, which are followed from the genesis or a
checkpoint; the state for the header's root, part by part.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from chain.blocks import Header
from chain.client.http_client import NodeHttp
from chain.client.light_client import ChainClient
from chain.genesis import Genesis
from chain.proving import term_step
from chain.store import ChainStore
from chain.sync.snapshot import Assembly, SnapshotHead, SnapshotPart
from chain.trust import Trust
from chain.validators import ends_term
from wire.codec import decode, encode
from wire.errors import Malformed, Unavailable

log = structlog.get_logger()

PATH = "/api/v1/sync/snapshot"


async def load_snapshot(
    genesis: Genesis, database: Path, urls: Sequence[str], trust: Trust | None = None
) -> Header | None:
    """Fill an empty database with the newest state that a peer proves; its header.

    None: it has blocks already, from which to go on. Raises `Unavailable` where no peer has one.
    """
    async with AsyncExitStack() as opened:
        store = await ChainStore.open(database, genesis)
        opened.push_async_callback(store.close)
        if await store.height() is not None:
            return None
        peers = [await opened.enter_async_context(NodeHttp(url)) for url in urls]
        heads = [await _head(peer, genesis, trust) for peer in peers]
        offered = [head for head in heads if head is not None]
        for head in sorted(offered, key=lambda head: -head.header.height):
            assembly = Assembly(head)
            log.info("fetching a state", height=head.header.height, parts=len(assembly.missing))
            await _fetch_parts(assembly, peers)
            if not assembly.missing:
                await _keep(store, assembly, genesis, peers)
                return head.header
        raise Unavailable("no peer gave a whole state: try others, or follow without --snapshot")


async def _head(peer: NodeHttp, genesis: Genesis, trust: Trust | None) -> SnapshotHead | None:
    """What a peer offers, when it is final; the rest is for `Assembly` to check."""
    try:
        head: SnapshotHead = decode(SnapshotHead, await peer.read("GET", PATH))
        async with ChainClient(peer.url, genesis, trust=trust) as client:
            await client.follow_terms(head.header)
            client.trust.require_final(head.header, head.certificate)
        Assembly(head)
    except Malformed as lie:
        log.warning("a peer lies", peer=peer.url, why=str(lie))
    except Unavailable as error:
        log.info("a peer gives no state", peer=peer.url, why=str(error))
    else:
        return head
    return None


async def _fetch_parts(assembly: Assembly, peers: Sequence[NodeHttp]) -> None:
    """Have every peer fetch what is missing, until all is there or no peer is left."""
    left = list(peers)
    while assembly.missing and left:
        waiting = deque(assembly.missing)
        good = await asyncio.gather(*(_fetch_some(assembly, waiting, peer) for peer in left))
        left = [peer for peer, is_good in zip(left, good, strict=True) if is_good]


async def _fetch_some(assembly: Assembly, waiting: deque[int], peer: NodeHttp) -> bool:
    """Fetch parts from one peer while there are any; whether it gave all it was asked for."""
    while waiting:
        number = waiting.popleft()
        try:
            path = f"{PATH}/{assembly.head.header.height}/{number}"
            assembly.add(number, decode(SnapshotPart, await peer.read("GET", path)))
        except Malformed as lie:
            log.warning("a peer lies", peer=peer.url, why=str(lie))
            return False
        except Unavailable as error:
            log.info("a peer gives no part of the state", peer=peer.url, why=str(error))
            return False
    return True


async def _keep(
    store: ChainStore, assembly: Assembly, genesis: Genesis, peers: Sequence[NodeHttp]
) -> None:
    """Store the state, and the steps that lead light clients to its term."""
    head, state = assembly.head, assembly.state()
    await store.put_snapshot(head.header, head.certificate, state.records)
    if ends_term(head.header.height, genesis.parameters.term_blocks):
        step = term_step(state, head.header, head.certificate)
        await store.put_step(head.header.term + 1, encode(step))
    for peer in peers:
        try:
            async with ChainClient(peer.url, genesis) as client:
                for step in await client.steps(head.header):
                    await store.put_step(step.header.term + 1, encode(step))
        except (Malformed, Unavailable) as error:
            log.info("a peer gives no steps between terms", peer=peer.url, why=str(error))
        else:
            return
    log.warning("no peer gave the steps between terms: light clients need another node for them")
