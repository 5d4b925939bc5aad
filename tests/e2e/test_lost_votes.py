"""Validators that lose their memory of what they signed: wiped, torn, without room, run twice."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chain.blocks import FinalBlock
from chain.validators import term_of
from holdfast.home import Home
from holdfast.network import LocalNetwork, free_ports
from tests.e2e.agreement import QUICK, Council, council, four, kinds, paying
from wire import zbase32
from wire.keys import KeyPair, Use
from wire.zbase32 import parse_key

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]

LIMIT_S = 120
"""A generous limit that ends a vain wait."""

TERM_BLOCKS = 20
TERMS = QUICK.model_copy(update={"term_blocks": TERM_BLOCKS, "clock_tolerance_ms": 1_000})


def wipe(home: Home) -> None:
    for path in [*home.path.glob("chain.*"), home.votes]:
        path.unlink()


def restore(home: Home) -> None:
    """A new disk, and the backup of the seed."""
    agreed = home.genesis()
    for path in [*home.path.glob("*.*")]:
        if path.name != "holdfast.toml":
            path.unlink()
    home.write_genesis(agreed)


def cut(home: Home) -> None:
    home.votes.write_bytes(home.votes.read_bytes()[:-3])


def flip(home: Home) -> None:
    data = bytearray(home.votes.read_bytes())
    data[len(data) // 2] ^= 1
    home.votes.write_bytes(data)


@pytest.mark.parametrize("damage", [wipe, restore, cut, flip])
async def test_who_forgot_its_votes_is_silent_until_the_next_term(
    tmp_path: Path, damage: Callable[[Home], None]
) -> None:
    network = four(tmp_path, TERMS)
    one, two, other, victim = network.validators
    async with network, council(network) as chain, asyncio.timeout(LIMIT_S):
        await network.start(*network.validators)
        async with paying(chain, 1, one):
            await chain.reach(TERM_BLOCKS + 2)
            # Two of four decide nothing: the term cannot end before the victim is back.
            await asyncio.gather(network.kill(other), network.kill(victim))
            damage(network.homes[victim])
            height = max(await chain.height(one), await chain.height(two))
            await network.start(victim)
            if damage in (wipe, restore):
                await network.start(other)  # only new blocks tell which term the chain is in
                term = await silent_until(chain, victim)
                assert term > term_of(height + 1, TERM_BLOCKS)
            else:
                term = await silent_until(chain, victim)
                assert term == term_of(height + 1, TERM_BLOCKS) + 1
                assert not (await chain.consensus(victim))["votes"]
                log = (network.homes[victim].path / "log").read_text()
                assert "the log of votes is damaged" in log
                await network.start(other)
            await chain.reach(term * TERM_BLOCKS + 1)
            # What it had said before it was killed may still have counted a little later.
            for final in (await chain.blocks(one))[height + 3 : term * TERM_BLOCKS]:
                assert victim not in signers(network, final)
            await network.kill(other)
            await chain.go_on(3, one, two, victim)
            await network.start(other)
        await chain.assert_agreed()


async def silent_until(chain: Council, name: str) -> int:
    """The term in which a validator votes again, as soon as it says so."""
    while True:
        why = (await chain.consensus(name))["abstains"]
        if found := re.search(r"it votes again from term (\d+) on", why):
            return int(found[1])
        await asyncio.sleep(0.05)


def signers(network: LocalNetwork, final: FinalBlock) -> set[str]:
    """Whose votes made a block final; nobody's where a later one did."""
    members = sorted(network.account(name) for name in network.validators)
    names = {network.account(name): name for name in network.validators}
    signed = final.certificate.signatures if final.certificate else ()
    return {names[members[signature.index]] for signature in signed}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, with very little room."""
    path = tmp_path / "disk"
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield path
    subprocess.run(["umount", path], check=True)


async def test_without_room_for_votes_it_stops_and_goes_on_later(
    tmp_path: Path, small_disk: Path
) -> None:
    network = four(tmp_path / "network", QUICK)
    *others, full = network.validators
    async with network, council(network) as chain, asyncio.timeout(LIMIT_S):
        votes = network.homes[full].votes
        shutil.move(votes, small_disk)
        votes.symlink_to(small_disk / votes.name)
        await network.start(*network.validators)
        async with paying(chain, 2, *others):
            await chain.reach(3)
            with (small_disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
                while True:
                    filler.write(bytes(4096))
            process = network.processes.pop(full)
            assert await process.wait() == 1
            lines = (network.homes[full].path / "log").read_text().splitlines()
            assert [line for line in lines if "cannot write the log of votes" in line] == [
                f"error: cannot write the log of votes {votes}: No space left on device. A "
                "validator that cannot remember its votes does not vote: make room and start "
                "it again"
            ]
            assert "Traceback" not in "".join(lines)
            await chain.go_on(3, *others)
            (small_disk / "filler").unlink()
            await network.start(full)
            await chain.go_on(3)
            assert (await chain.consensus(full))["votes"]
            await network.kill(others[0])
            await chain.go_on(3, *others[1:], full)
            await network.start(others[0])
        await chain.assert_agreed()


async def test_a_validator_that_runs_twice_is_convicted_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    network = four(tmp_path, TERMS)
    async with network, asyncio.timeout(LIMIT_S):
        # The lower key dials: so both can reach all of the others.
        twice = min(network.validators, key=lambda name: swarm_key(network, name))
        others = [name for name in network.validators if name != twice]
        network.homes["twin"] = copied(network, twice, tmp_path / "twin")
        async with council(network) as chain:
            await network.start(*network.validators)
            await network.run("twin", "chain", "run")
            async with paying(chain, 3, *others):
                blocks: list[FinalBlock] = []
                while not kinds(blocks)["validator_fault"]:
                    blocks += await chain.blocks(others[0], len(blocks))
                    await asyncio.sleep(0.1)
                    network.require_alive()
                account = zbase32.encode(network.account(twice))
                while not (await chain.read(others[0], f"/validators/{account}"))["convicted"]:
                    await chain.go_on(1, others[0])
                convicted = await chain.height(others[0])
                await chain.reach(convicted + 2 * TERM_BLOCKS, *others)
            for name in others:
                await chain.blocks(name)
                serving = (await chain.read(name, "/validators"))["validators"]
                assert {parse_key(each["account"]) for each in serving} == {
                    network.account(other) for other in others
                }
                assert not any(each["convicted"] for each in serving)
                found = await chain.read(name, f"/validators/{account}")
                assert found["convicted"]
                assert found["stake_base"] == TERMS.validator_stake_base // 2


def swarm_key(network: LocalNetwork, name: str) -> bytes:
    """What a validator is known by among the others."""
    return KeyPair.derive(network.homes[name].seed(), Use.SWARM).public


def copied(network: LocalNetwork, name: str, path: Path) -> Home:
    """A home with the same seed, on ports of its own."""
    twin = Home(Path(shutil.copytree(network.homes[name].path, path)))
    settings = twin.path / "holdfast.toml"
    text = settings.read_text()
    theirs = (network.port(name), network.gossip_ports[name])
    for old, new in zip(theirs, free_ports(2), strict=True):
        text = text.replace(f"port = {old}", f"port = {new}")
    settings.write_text(text)
    return twin
