"""An owner that signs two histories is found out between Node and us, by both."""

import pytest

from feed.conflict import Conflict, check_evidence
from feed.replication.session import download
from swarm.tcp import dial
from tests.interop.node import HOST, READER, Flavour, NodePeer, Stores, chunks, serving, until

both = pytest.mark.parametrize("flavour", [Flavour(11), Flavour(10)], ids=repr)


@both
async def test_we_find_that_node_shows_another_history(
    flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    await node.open(flavour, owned=True)
    await node.write(0, 10)
    await node.write(10, 30, salt=1)
    feed = flavour.owned(stores(), 20)
    connection = await dial(HOST, await node.call("listen", cores=["a"]), READER)
    with pytest.raises(Conflict):
        await download(connection, feed)
    await connection.close()
    assert feed.conflict is not None and check_evidence(flavour.key, feed.conflict)


@both
async def test_node_finds_that_we_show_another_history(
    flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    """It asks us for our history, and what it then shows lets us find the same."""
    feed = flavour.owned(stores(), 10)
    feed.append(chunks(10, 30, salt=1), flavour.sign)
    await node.open(flavour, owned=True)
    await node.write(0, 20)
    async with serving(feed) as ours:
        await node.call("dial", cores=["a"], port=ours.port)
        assert "conflict: 0/20" in await node.call("noted", pattern="conflict")
        await until(lambda: feed.conflict is not None)
    assert feed.conflict is not None and check_evidence(flavour.key, feed.conflict)
    assert feed.length == 30
