"""Uploaders that lie, on either side, are refused, and nothing of theirs is kept."""

from typing import Any

import pytest

from feed.codec import decode, encode
from feed.messages import Data, Kind
from feed.replication.session import download
from swarm.tcp import dial
from tests.interop.node import HOST, READER, Flavour, NodePeer, Stores, serving, until
from wire.errors import Malformed
from wire.ports import Channel, Connection

both = pytest.mark.parametrize("flavour", [Flavour(11), Flavour(10)], ids=repr)


class _LyingChannel:
    """A channel that changes what a class of lies says of each data message."""

    def __init__(self, channel: Channel, lie: Any) -> None:
        self._channel = channel
        self._lie = lie

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def send(self, kind: int, payload: bytes) -> None:
        if kind == Kind.DATA:
            message = decode(kind, payload)
            assert isinstance(message, Data)
            payload = encode(self._lie(message))
        self._channel.send(kind, payload)


class _LyingConnection:
    def __init__(self, connection: Connection, lie: Any) -> None:
        self._connection = connection
        self._lie = lie

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def open(self, *arguments: Any) -> Any:
        return _LyingChannel(await self._connection.open(*arguments), self._lie)


def _other_byte(data: Data) -> Data:
    if data.chunk is None or not data.chunk.value:
        return data
    value = data.chunk.value[:-1] + bytes([data.chunk.value[-1] ^ 1])
    return data._replace(chunk=data.chunk._replace(value=value))


def _other_hash(data: Data) -> Data:
    if data.chunk is None or not data.chunk.nodes:
        return data
    first, *rest = data.chunk.nodes
    return data._replace(chunk=data.chunk._replace(nodes=(first._replace(hash=bytes(32)), *rest)))


def _other_signature(data: Data) -> Data:
    if data.upgrade is None or data.upgrade.signature is None:
        return data
    signature = bytearray(data.upgrade.signature)
    signature[20] ^= 1
    return data._replace(upgrade=data.upgrade._replace(signature=bytes(signature)))


def _longer(data: Data) -> Data:
    if data.upgrade is None:
        return data
    return data._replace(upgrade=data.upgrade._replace(length=data.upgrade.length + 1))


@both
async def test_we_refuse_a_node_that_lies(flavour: Flavour, node: NodePeer, stores: Stores) -> None:
    await node.open(flavour, owned=True)
    await node.write(0, 50, sizes=(100,))
    await node.call("lie")
    feed = stores().create(flavour.key)
    connection = await dial(HOST, await node.call("listen", cores=["a"]), READER)
    with pytest.raises(Malformed):
        await download(connection, feed)
    await connection.close()
    assert (feed.length, feed.held.count) == (50, 0), "the head was true, the chunks were not"


@both
@pytest.mark.parametrize("lie", [_other_byte, _other_hash, _other_signature, _longer])
async def test_node_refuses_us_when_we_lie(
    lie: Any, flavour: Flavour, node: NodePeer, stores: Stores
) -> None:
    feed = flavour.owned(stores(), 50, sizes=(100,))
    await node.open(flavour, owned=False)
    await node.call("follow")
    lies = list[Data]()

    def note(data: Data) -> Data:
        changed: Data = lie(data)
        if changed != data:
            lies.append(changed)
        return changed

    async with serving(feed, wrap=lambda c: _LyingConnection(c, note)) as ours:  # type: ignore[arg-type,return-value]
        await node.call("dial", cores=["a"], port=ours.port)
        await until(lambda: bool(lies))
        await node.call("noted", pattern="verification")
        found = await node.call("compare", sizes=(100,))
        assert found["wrong"] == [], "nothing false is kept"
        length = (await node.call("info"))["length"]
        assert length == (0 if lie in (_other_signature, _longer) else 50)
        assert found["missing"] > 0 or length == 0


async def test_a_node_that_does_not_know_the_key_gets_nothing(
    node: NodePeer, stores: Stores
) -> None:
    """It knows another feed: our channel for this one is never opened on its side."""
    feed = Flavour(11).owned(stores(), 5)
    await node.call("open", "other", version=11, seed="33" * 32)
    async with serving(feed) as ours:
        await node.call("dial", cores=["other"], port=ours.port)
        await node.call("peerless", "other")
        assert ours.sessions == []
