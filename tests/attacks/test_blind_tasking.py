"""Before a window ends, nobody but its committee can tell whom it visits.

A whole network runs; somebody without a key reads all that a node gives out, and copies every
byte between attestors, hosters and the node. That attestors dial the hosters that they visit
cannot be hidden from who watches a hoster's line; what is said there is.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from chain.challenge_records import ChallengeRecord, DrawRecord
from chain.challenges.judging import targets_of
from chain.client.http_client import NodeHttp
from chain.client.light_client import ChainClient
from chain.records import Meta, Registration, Table, stake_key
from holdfast.network import LOCAL_PARAMETERS, LocalNetwork, free_ports
from tests.attacks.wiretap import Outsider, Tape, mentions, tapped
from tests.e2e.published import publish
from wire import zbase32
from wire.keys import KeyPair, Use

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]

HERE, TAPPED = "127.0.0.1", "127.0.0.2"
HOSTERS = 4
PARAMETERS = LOCAL_PARAMETERS.model_copy(
    update={"challenge_targets": 1, "committee_members": 4, "window_blocks": 64}
)


class Scene:
    """A network whose lines are all tapped."""

    def __init__(self, network: LocalNetwork, chain: ChainClient) -> None:
        self.network, self.chain = network, chain
        self.requests: dict[str, Tape] = {}
        """What passed between each attestor and the node."""
        self.lines: dict[str, Tape] = {}
        """What passed on the lines to each attestor and hoster, and between validators."""


@asynccontextmanager
async def tapped_network(path: Path) -> AsyncIterator[Scene]:
    roles = [f"attestor-{n}" for n in range(1, 5)] + [f"hoster-{n}" for n in range(1, HOSTERS + 1)]
    settings = {name: f'{name.partition("-")[0]}.listen.public_host = "{TAPPED}"' for name in roles}
    gossip = dict(zip(("validator-1", "validator-2"), free_ports(2), strict=True))
    network = LocalNetwork(
        path,
        validators=2,
        attestors=4,
        hosters=HOSTERS,
        parameters=PARAMETERS,
        settings=settings,
        through=gossip,
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(network)
        chain = await stack.enter_async_context(ChainClient(network.url, network.genesis))
        scene = Scene(network, chain)
        for name in roles:
            tape = await stack.enter_async_context(tapped(TAPPED, network.port(name), HERE))
            scene.lines[name] = tape
        for name, port in gossip.items():
            tape = await stack.enter_async_context(
                tapped(HERE, port, HERE, network.gossip_ports[name])
            )
            scene.lines[name] = tape
        for number, name in enumerate(network.attestors, 1):
            place, config = f"127.0.1.{number}", network.homes[name].path / "holdfast.toml"
            (port,) = (
                p for p in map(network.port, network.validators) if f":{p}" in config.read_text()
            )
            tape = await stack.enter_async_context(tapped(place, port, HERE))
            scene.requests[name] = tape
            text = config.read_text().replace(f"{HERE}:{port}", f"{place}:{port}")
            config.write_text(text)
        await network.start(*network.validators, *network.attestors, *network.hosters)
        yield scene


async def test_nothing_names_a_target_before_the_window_ends(tmp_path: Path) -> None:
    source = tmp_path / "data.bin"
    source.write_bytes(os.urandom(400_000))
    async with tapped_network(tmp_path / "network") as scene:
        chain = scene.chain
        async with asyncio.timeout(150), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(chain.run())
            feed = await publish(scene.network, chain, source)
            challenge, draw = await _drawn(chain)
            node = NodeHttp(scene.network.url)
            async with node:
                outsider = Outsider(node)
                listening = tasks.create_task(outsider.listen())
                opened_s, closed_s = await _listen_in(chain, outsider, challenge, draw, feed)
                listening.cancel()
            settled = await chain.wait(
                ChallengeRecord,
                Table.CHALLENGE,
                challenge.challenge,
                lambda now: now.status in ("settled", "failed"),
            )
            registrations = await chain.records(
                Registration, Table.REGISTRATION, [drawn.hoster for drawn in draw.eligible]
            )
            following.cancel()
    assert settled.status == "settled" and settled.coin is not None
    assert settled.opened, "nobody visited: there was nothing to hide"
    (target,) = targets_of(PARAMETERS, draw, settled.coin)
    public = outsider.tape.between(opened_s, closed_s)
    for drawn_as in ("contract", "hoster"):
        said = {
            drawn.contract: mentions(getattr(drawn, drawn_as), public) for drawn in draw.eligible
        }
        others = {count for contract, count in said.items() if contract != target.contract}
        assert others == {said[target.contract]} != {0}, f"a {drawn_as} stands out: {said}"
    for name, tape in scene.requests.items():
        asked = tape.between(opened_s, closed_s)
        said = {drawn.contract: mentions(drawn.hoster, asked) for drawn in draw.eligible}
        assert len(set(said.values())) == 1 and 0 not in said.values(), f"{name} asks {said}"
        assert mentions(settled.coin, asked) == 0
    assert mentions(settled.coin, public) == 0
    _assert_sealed(scene, draw, registrations, settled, feed)


async def _drawn(chain: ChainClient) -> tuple[ChallengeRecord, DrawRecord]:
    """The first challenge that may visit every hoster, once its coin is sealed."""
    seen: tuple[bytes, ...] = ()
    while True:
        before = seen
        meta = await chain.wait(
            Meta, Table.META, b"", lambda meta, before=before: meta.open_challenges != before
        )
        seen = meta.open_challenges
        for name in seen:
            draw = await chain.need(DrawRecord, Table.DRAW, name)
            if len(draw.eligible) == HOSTERS:
                record = await chain.wait(
                    ChallengeRecord, Table.CHALLENGE, name, lambda now: now.status != "flipping"
                )
                assert record.status == "visiting", record.status
                return record, draw


async def _listen_in(
    chain: ChainClient,
    outsider: Outsider,
    challenge: ChallengeRecord,
    draw: DrawRecord,
    feed: bytes,
) -> tuple[float, float]:
    """Ask for everything until the window ends; when the first and the last round of it was."""
    name = challenge.challenge
    keys = [name, feed]
    for drawn in draw.eligible:
        keys += [drawn.contract, drawn.hoster, stake_key("hoster", drawn.hoster)]
        keys += [drawn.receipt_key, name + drawn.contract]
    keys += [name + member for member in challenge.members]
    pages = ["/api/v1/status", "/api/v1/validators", f"/api/v1/challenges/{name.hex()}"]
    pages += [
        f"/api/v1/feeds/{zbase32.encode(feed)}",
        f"/api/v1/feeds/{zbase32.encode(feed)}/report",
    ]
    pages += [f"/api/v1/accounts/{zbase32.encode(drawn.hoster)}" for drawn in draw.eligible]
    pages += [f"/api/v1/evidence/{name.hex()}/{member.hex()}" for member in challenge.members]
    clock = asyncio.get_running_loop()
    opened_s = closed_s = clock.time()
    while True:
        await outsider.ask(keys, pages, chain.height)
        record = await chain.need(ChallengeRecord, Table.CHALLENGE, name)
        if record.status != "visiting":
            return opened_s, closed_s
        closed_s = clock.time()
        await asyncio.sleep(0.3)


def _assert_sealed(
    scene: Scene,
    draw: DrawRecord,
    registrations: list[Registration],
    settled: ChallengeRecord,
    feed: bytes,
) -> None:
    """What passes between the parties names nobody and nothing, at any time."""
    names = {feed, settled.challenge, settled.coin or b""}
    for drawn in draw.eligible:
        names |= {drawn.contract, drawn.hoster, drawn.receipt_key}
    names |= {registration.endpoint.swarm_key for registration in registrations}
    for attestor in scene.network.attestors:
        seed = scene.network.homes[attestor].seed()
        names |= {KeyPair.derive(seed, use).public for use in (Use.ACCOUNT, Use.SWARM)}
        for drawn in draw.eligible:
            names.add(KeyPair.derive(seed, Use.VISIT, settled.challenge, drawn.contract).public)
    heard = 0
    for place, tape in scene.lines.items():
        heard += len(tape.all)
        for name in names:
            assert mentions(name, tape.all) == 0, f"{name.hex()} passes openly to {place}"
    assert heard > 400_000, "the lines were not tapped"
    assert any(scene.lines[name].all for name in scene.network.validators)
