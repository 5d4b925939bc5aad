"""A real audit, read back through a node: verdicts, hints, the story, and how everybody stands."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from chain.challenge_records import Availability
from chain.client.light_client import ChainClient
from chain.records import Table
from holdfast.network import LocalNetwork
from tests.e2e.commands import document, holdfast
from tests.e2e.published import publish
from tests.e2e.test_bad_input import assert_one_line
from wire.zbase32 import encode

pytestmark = pytest.mark.e2e

CHUNKS = 24


async def test_an_audit_can_be_read_back_coin_by_coin(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(os.urandom(8192 * CHUNKS))
    async with LocalNetwork(tmp_path / "network", attestors=4, hosters=2) as network:
        await network.start(*network.validators, *network.attestors, *network.hosters)
        async with ChainClient(network.url, network.genesis) as chain, asyncio.TaskGroup() as tasks:
            following = tasks.create_task(chain.run())
            feed = await publish(network, chain, tmp_path / "data.bin")
            await chain.wait(
                Availability, Table.AVAILABILITY, feed, lambda found: len(found.verdicts) >= 4
            )
            following.cancel()
        await asyncio.to_thread(read_back, network, encode(feed), tmp_path / "report.holdfast")


def by_contract(story: dict[str, Any]) -> dict[str, Any]:
    """Verdicts and visits; their plans may have gone on."""
    found = story["verdicts"]
    return {one["verdict"]["contract"]: (one["verdict"], one["visits"]) for one in found}


def read_back(network: LocalNetwork, feed: str, file: Path) -> None:
    owner = network.homes["owner"].path
    found = document("report", feed, "--json", home=owner)
    verdict = found["verdicts"][0]
    assert verdict["verdict"] == "served"
    assert 0 < verdict["lower_bound_ppm"] < verdict["score_ppm"] == 1_000_000
    assert set(found["hints"]) == {"visits", "relays", "pairs"}
    told = holdfast("report", feed, home=owner).stdout
    assert "that a feed is whole" in told

    story = document("explain", feed, "--json", home=owner)
    assert {member["conduct"] for member in story["members"]} == {"reported"}
    for one in story["verdicts"]:
        spent = [one["verdict"]["paid_base"], one["validator_base"], one["kept_base"]]
        spent += [visit["paid_base"] for visit in one["visits"]]
        assert sum(spent) == one["plan"]["price_base"]
        for visit in one["visits"]:
            assert len(visit["task"]["indices"]) == visit["judged"]["summary"]["planned"] > CHUNKS
    challenge = story["challenge"]["challenge"]
    by_id = document("explain", challenge, "--json", home=owner)
    assert by_id == story

    assert holdfast("report", feed, "--export", file, home=owner).returncode == 0
    offline = document("explain", challenge, "--bundle", file, "--json", home=file.parent)
    # A file is of one feed, and here there is no other.
    assert offline["members"] == story["members"]
    assert by_contract(offline) == by_contract(story)
    checkpoint = owner / "checkpoint.cbor"
    flags = ("--checkpoint", checkpoint) if checkpoint.exists() else ()
    assert "valid" in holdfast("verify", file, *flags).stdout

    attestor, hoster = (network.homes[name].path for name in ("attestor-1", "hoster-1"))
    standing = document("attest", "status", "--json", home=attestor)
    assert (standing["state"], standing["listed"], standing["strikes"]) == ("good", True, 0)
    assert standing["rounds"] >= 1
    (score,) = document("host", "score", "--json", home=hoster)
    assert score["verdict"]["verdict"] == "served"
    assert score["status"] == "active"
    assert_one_line(holdfast("attest", "status", home=hoster.parent / "owner"), 3, "not registered")
    assert_one_line(holdfast("host", "score", home=attestor), 3, "no contract")
    assert_one_line(holdfast("explain", "x" * 64, home=owner), 1, "not a hexadecimal key")
    assert_one_line(holdfast("explain", "0" * 64, home=owner), 3, "no such feed")
