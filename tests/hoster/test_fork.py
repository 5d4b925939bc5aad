"""A hoster keeps what was drawn until nobody can come for it, whatever the owner announces."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chain.challenge_records import ChallengeRecord
from chain.client.light_client import ChainClient
from chain.records import Meta, Table
from hoster.fork_service import until_free
from tests.asking import ask
from tests.builders import World
from tests.chain.nodes import answering, following, node_at, writing
from tests.stages import drawn, lined_up, play, sealed


@asynccontextmanager
async def going_on(world: World, path: Path) -> AsyncIterator[ChainClient]:
    async with (
        node_at(world, path / "chain.db") as node,
        answering(node) as url,
        ChainClient(url, world.genesis) as chain,
        writing(node),
        following(chain),
    ):
        yield chain


def contracts(world: World) -> list[bytes]:
    return [contract.contract for contract in world.contracts]


async def test_what_was_drawn_is_kept_until_all_visits_are_over(tmp_path):
    world = sealed()
    async with asyncio.timeout(60), going_on(world, tmp_path) as chain:
        await until_free(chain, world.library.key, contracts(world))
        challenge = world.challenge.challenge
        now = await chain.need(ChallengeRecord, Table.CHALLENGE, challenge)
        assert now.status in ("opening", "failed", "settled")


@pytest.mark.parametrize("stage", [lined_up, drawn])
async def test_between_line_up_and_visits_it_waits(stage, tmp_path):
    world = stage()
    async with going_on(world, tmp_path) as chain:
        waiting = asyncio.create_task(until_free(chain, world.library.key, contracts(world)))
        await chain.reach(world.height + 3)
        assert not waiting.done()
        waiting.cancel()


async def test_just_before_a_line_up_it_waits_for_it(tmp_path):
    world = play(drawn())
    world.pass_until(world.draft.meta.next_draw - 1)
    assert not world.draft.meta.open_challenges and not world.draft.line_ups.get(b"")
    async with going_on(world, tmp_path) as chain:
        waiting = asyncio.create_task(until_free(chain, world.library.key, contracts(world)))
        await chain.reach(world.height + 2)
        meta = await chain.need(Meta, Table.META, b"")
        assert meta.height > world.height and not waiting.done()
        waiting.cancel()


async def test_who_was_not_drawn_need_not_wait(tmp_path):
    world = sealed()
    async with asyncio.timeout(60), going_on(world, tmp_path) as chain:
        await until_free(chain, b"f" * 32, contracts(world))
        await until_free(chain, world.library.key, [])
        challenge = world.challenge.challenge
        now = await chain.need(ChallengeRecord, Table.CHALLENGE, challenge)
        assert now.status == "visiting"


async def test_what_was_asked_for_is_shown_first(tmp_path):
    world = play(drawn())
    ask(world, world.contracts[0], 3)
    async with going_on(world, tmp_path) as chain:
        waiting = asyncio.create_task(until_free(chain, world.library.key, contracts(world)))
        await chain.reach(world.height + 2)
        assert not waiting.done()
        waiting.cancel()
