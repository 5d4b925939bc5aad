"""Publish a folder on a local network, as its owner."""

import json
from pathlib import Path

from chain.client.light_client import ChainClient
from chain.records import Roster, RosterName, Table
from holdfast.network import LocalNetwork
from wire.zbase32 import parse_key


async def publish(network: LocalNetwork, chain: ChainClient, path: Path, *options: str) -> bytes:
    """Wait for all members, publish, wait until it is hosted; returns the feed's key."""
    for name, members in (
        (RosterName.ATTESTORS, network.attestors),
        (RosterName.HOSTERS, network.hosters),
    ):
        wanted = len(members)
        await chain.wait(
            Roster,
            Table.ROSTER,
            name.key,
            lambda found: len(found.members) >= wanted,  # noqa: B023
        )
    replicas = str(len(network.hosters))
    options = options or ("--chunk-bytes", "8192")
    owner = await network.run(
        "owner", "publish", str(path), "--json", "--replicas", replicas, *options
    )
    assert await owner.wait() == 0, network.last_words("owner")
    network.processes.pop("owner")
    output = (network.homes["owner"].path / "log").read_text()
    return parse_key(json.loads(output[output.index("{\n") :])["feed"])
