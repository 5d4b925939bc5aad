"""What a node's pages say of validators."""

import aiohttp

from chain.bodies.coins import Unstake
from chain.bodies.validators import Delist
from tests.chain.history import History, shelf
from tests.chain.nodes import answering
from tests.validators import MANY, fault
from wire.codec import encode
from wire.zbase32 import encode as key_text


async def read(url: str, path: str) -> tuple[int, object]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v1{path}") as answer:
        return answer.status, await answer.json()


async def test_the_set_and_its_candidates_are_shown(tmp_path):
    made = History(4)
    made.join(MANY[4])
    made.end_term()  # five serve now
    world = made.world()
    made.block(
        (MANY[0], Delist()),
        (MANY[1], Unstake(role="validator", amount_base=1_000)),
        (MANY[6], fault(world, MANY[2])),
    )
    async with shelf(tmp_path / "chain.db", made) as node, answering(node) as url:
        status, found = await read(url, "/validators")
        assert status == 200
        assert (found["height"], found["term"], found["last_height"]) == (6, 1, 10)
        assert found["quorum"] == 4
        by_account = {each["account"]: each for each in found["validators"]}
        rows = [by_account[key_text(person.id)] for person in MANY[:5]]
        assert sorted(row["place"] for row in rows) == [0, 1, 2, 3, 4]
        assert [row["standing"] for row in rows] == [False, False, False, True, True]
        assert [row["listed"] for row in rows] == [False, True, False, True, True]
        assert [row["convicted"] for row in rows] == [False, False, True, False, False]
        assert [row["faults"] for row in rows] == [0, 0, 1, 0, 0]
        assert [row["stake_base"] for row in rows] == [5_000, 4_000, 2_500, 5_000, 5_000]
        assert [row["unbonding_base"] for row in rows] == [0, 1_000, 0, 0, 0]
        assert sum(row["turns"] for row in rows) == 1
        stakes = [each["stake_base"] for each in found["validators"]]
        assert stakes == sorted(stakes, reverse=True)

        one = f"/validators/{key_text(MANY[2].id)}"
        status, alone = await read(url, one)
        shown = {name: rows[2][name] for name in alone}
        assert (status, alone) == (200, shown)
        status, _ = await read(url, f"/validators/{key_text(MANY[7].id)}")
        assert status == 404


async def test_steps_are_those_that_are_there(tmp_path):
    made = History(4)
    for _ in range(3):
        made.end_term()
    async with shelf(tmp_path / "chain.db", made) as node, answering(node) as url:
        cases = {
            "/terms/1": made.steps[:1],
            "/terms/2?count=9": made.steps[1:],
            "/terms/3?count=1": made.steps[2:],
            "/terms/4?count=1": [],
            "/terms/9223372036854775807?count=9223372036854775807": [],
        }
        async with aiohttp.ClientSession() as session:
            for path, steps in cases.items():
                async with session.get(f"{url}/api/v1{path}") as answer:
                    assert (answer.status, await answer.read()) == (200, encode(tuple(steps)))
            for path in ("/terms/0", "/terms/1?count=0", "/terms/x", "/terms/9223372036854775808"):
                async with session.get(f"{url}/api/v1{path}") as answer:
                    assert answer.status == 422
