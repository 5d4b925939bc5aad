"""A validator joins and another leaves, by commands, while payments and light clients go on."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from holdfast.network import free_ports
from tests.e2e.agreement import QUICK, council, four, paying
from tests.e2e.commands import document, holdfast
from tests.e2e.test_bad_input import assert_one_line
from tests.e2e.test_follow import health
from wire import zbase32

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network")]

LIMIT_S = 180
"""A generous limit that ends a vain wait."""

TERMS = QUICK.model_copy(update={"term_blocks": 20})


async def test_one_joins_and_one_leaves(tmp_path: Path) -> None:
    api, gossip = free_ports(2)
    lines = f"chain.listen.port = {api}\nchain.gossip.port = {gossip}\n"
    network = four(tmp_path, TERMS, settings={"owner": lines})
    leaver, steady, other, _ = network.validators
    light = tmp_path / "light"
    url = f"http://127.0.0.1:{api}"
    async with network, asyncio.timeout(LIMIT_S), council(network, owner=url) as chain:

        async def run(name: str, *arguments: str) -> Any:
            return await asyncio.to_thread(
                document, "chain", *arguments, "--json", home=network.homes[name].path
            )

        async def place(name: str) -> int | None:
            account = zbase32.encode(network.account(name))
            found = (await chain.read(steady, "/validators"))["validators"]
            return next((each["place"] for each in found if each["account"] == account), None)

        async def verified() -> int:
            account = zbase32.encode(network.account(other))
            found = await asyncio.to_thread(
                document, "chain", "account", account, "--verify", "--json", home=light
            )
            return int(found["verified"]["height"])

        genesis = network.homes[steady].path / "genesis.cbor"
        assert holdfast("init", "--genesis", genesis, home=light).returncode == 0
        (light / "holdfast.toml").write_text(f'chain.url = "{network.url_for(1)}"\n')
        await network.start(*network.validators)
        async with paying(chain, 5, steady, other):
            await chain.reach(1, steady)
            assert await verified() > 0
            await network.run("owner", "chain", "follow", "--from", network.url_for(1))
            await chain.go_on(3, "owner")
            await run("owner", "join", "--stake", str(TERMS.validator_stake_base))
            await network.kill("owner", signal.SIGTERM)
            await network.run("owner", "chain", "run")
            while await place("owner") is None:
                await chain.go_on(1, steady)
            assert await verified() > TERMS.term_blocks

            # Of five four must vote: without the new one there would be too few.
            await chain.go_on(1)
            await network.kill(other)
            await chain.go_on(3, leaver, steady, "owner")
            await network.start(other)

            await run(leaver, "leave")
            while await place(leaver) is not None:
                await chain.go_on(1, steady)
            while "holdfast chain follow" not in await asyncio.to_thread(
                health, network.port(leaver)
            ):
                await chain.go_on(1, steady)
            await network.kill(leaver)
            await chain.go_on(TERMS.term_blocks, steady, other, "owner")
            assert await verified() > 2 * TERMS.term_blocks
            # The others may have let it go before it heard of the term's last block.
            follow = ("chain", "follow", "--from", network.url_for(1))
            await network.run(leaver, *follow)
            await chain.go_on(1, leaver)
            await network.kill(leaver)
            home = network.homes[leaver].path
            done = await asyncio.to_thread(holdfast, "chain", "run", home=home)
            assert_one_line(done, 1, "no validator", "chain follow")
            await network.run(leaver, *follow)
        await chain.assert_agreed()
