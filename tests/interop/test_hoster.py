"""Node reads from a hoster: beside receipts that it knows nothing of, and beside audits."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from audit.faults import ReceiptsHeard
from audit.messages import RECEIPT_EXTENSION
from audit.receipts import SessionBinding
from chain.challenge_records import Availability, VerdictRecord
from chain.client.light_client import ChainClient
from chain.records import Table
from feed.feed import Feed
from feed.replication.session import serve
from feed.store import FeedStore
from holdfast.network import LOCAL_PARAMETERS, LocalNetwork
from hoster.receipts import ReceiptBook
from hoster.serving_service import Serving as ReceiptServing
from swarm.server import listen
from tests.e2e.published import publish
from tests.interop.node import HOST, OWNER, Flavour, NodePeer, Stores
from wire.keys import KeyPair
from wire.ports import Connection

RECEIPT_KEY = KeyPair(b"receipts" * 4)


async def test_node_reads_from_a_hoster_that_pushes_receipts(
    node: NodePeer, stores: Stores
) -> None:
    """One reader has no word for receipts; another registers for them and can check them."""
    feed = Flavour(11).owned(stores(), 100)
    bindings = list[SessionBinding]()

    async def serve_reader(connection: Connection) -> None:
        binding = SessionBinding(
            network=bytes(32),
            hoster=b"H" * 32,
            handshake_hash=connection.handshake_hash,
            peer=connection.remote_key,
            feed=feed.key,
        )
        bindings.append(binding)
        await serve(
            connection, feed, ReceiptServing(ReceiptBook(RECEIPT_KEY, binding), feed).on_event
        )

    async with listen(HOST, 0, OWNER, on_open=lambda *opened: serve_reader(opened[2])) as ours:
        for core in ("plain", "curious"):
            await node.open(Flavour(11), core, owned=False)
            if core == "curious":
                await node.call("extend", core, extension=RECEIPT_EXTENSION)
            await node.call("dial", cores=[core], port=ours.port)
            await node.call("waitFor", core, length=100)
            await node.call("download", core)
            await node.require_same(core=core)
            await node.call("hangUp")
        heard = await node.call("heard", "curious", extension=RECEIPT_EXTENSION, count=6)
    last = ReceiptsHeard(bindings[1], RECEIPT_KEY.public).hear(bytes.fromhex(heard[-1]))
    assert last.receipt.count >= 96


def _digest(feed: Feed) -> str:
    """As the driver computes it."""
    whole = hashlib.sha256()
    for index in range(feed.length):
        whole.update(hashlib.sha256(feed.chunk(index).value).digest())
    return whole.hexdigest()


@pytest.mark.full
@pytest.mark.xdist_group("network")
async def test_node_reads_from_hosters_while_attestors_visit(
    node: NodePeer, tmp_path: Path
) -> None:
    """A whole network; Node reads again and again until a challenge is settled."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "data.bin").write_bytes(os.urandom(1 << 20))
    parameters = LOCAL_PARAMETERS.model_copy(update={"window_blocks": 48})
    network = LocalNetwork(tmp_path / "network", attestors=4, hosters=2, parameters=parameters)
    reads = 0
    async with network, ChainClient(network.url, network.genesis) as chain:
        await network.start(*network.validators, *network.attestors, *network.hosters)
        async with asyncio.timeout(150), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(chain.run())
            key = await publish(network, chain, folder)
            with FeedStore(network.homes["owner"].feeds) as store:
                owned = store.open(key)
                length, digest = owned.length, _digest(owned)
            settled = tasks.create_task(
                chain.wait(Availability, Table.AVAILABILITY, key, lambda a: bool(a.verdicts))
            )
            while not settled.done():
                core = f"reader-{reads}"
                await node.call("open", core, key=key.hex())
                port = network.port(network.hosters[reads % 2])
                await node.call("dial", cores=[core], port=port)
                await node.call("waitFor", core, length=length)
                await node.call("download", core)
                assert await node.call("digest", core) == digest
                await node.call("hangUp")
                reads += 1
            names = settled.result().verdicts
            verdicts = await chain.records(
                VerdictRecord,
                Table.VERDICT,
                [a + b for a, b in zip(names[::2], names[1::2], strict=True)],
            )
            following.cancel()
    assert reads > 2
    assert len(verdicts) >= 2
    assert all((each.verdict, each.missing) == ("served", 0) for each in verdicts)
