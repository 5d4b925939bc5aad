"""Consensus among validators that lie, forget and stop: one fault at a time."""

from collections.abc import Iterator

import pytest

from chain.bodies.validators import Delist
from tests.simulation.consensus.adversaries import LIARS, SPEAKS_WITH_TWO_TONGUES, Mute, Twin
from tests.simulation.consensus.fast import computing_once
from tests.simulation.consensus.history import Client, joining
from tests.simulation.consensus.node import Node
from tests.simulation.consensus.world import DELAY_MS, INTERVAL_MS, STORM, Weather, World

TIMEOUT_MS = INTERVAL_MS + 4 * DELAY_MS
"""The longest that a view takes which fails, where none before it has failed."""


@pytest.fixture(autouse=True)
def _once() -> Iterator[None]:
    with computing_once():
        yield


def world_of(villain: type[Node], seed: int = 1, count: int = 4, **options: int) -> World:
    doubled = [1] if villain is Twin else []
    return World(seed, count, {1: villain}, doubled, **options).start()


def level(world: World, height: int) -> bool:
    return all(node.ledger.height >= height for node in world.honest)


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_a_quiet_network_fails_no_view(count: int) -> None:
    """In one term: at the border of two, who is late with the last block may miss a first view."""
    world = World(2, count, term_blocks=1_000).start()
    assert world.run(60_000, lambda: level(world, 30))
    assert all(not any(node.engine.core.missed) for node in world.nodes)
    views = [block.header.view for block in world.oracle.chain]
    assert views == list(range(1, len(views) + 1))


@pytest.mark.parametrize("villain", LIARS)
@pytest.mark.parametrize("seed", range(2))
def test_one_liar_in_four_neither_splits_nor_stops_the_chain(
    villain: type[Node], seed: int
) -> None:
    world = world_of(villain, seed, term_blocks=5)
    assert world.run(300_000, lambda: level(world, 12))
    if villain in SPEAKS_WITH_TWO_TONGUES:
        assert world.run(900_000, lambda: world.oracle.convicted == {1})


@pytest.mark.parametrize("villain", LIARS)
def test_a_third_of_liars_in_a_storm_neither_splits_nor_stops_the_chain(
    villain: type[Node],
) -> None:
    doubled = [0, 3] if villain is Twin else []
    world = World(5, 7, {0: villain, 3: villain}, doubled, term_blocks=6)
    world.weather = STORM
    world.start()
    assert world.run(900_000, lambda: level(world, 8))


def test_twins_on_two_sides_of_a_partition_make_no_two_chains() -> None:
    for seed in range(6):
        world = World(seed, 4, {1: Twin}, [1], term_blocks=1_000).start()
        world.split([0, 1, 2], [3, 4])  # either side has a quorum but for one
        world.run(20_000)
        world.split([0, 1], [2, 3, 4])
        world.run(40_000)
        world.heal()
        reached = len(world.oracle.chain)
        assert world.run(world.ms + 300_000, lambda: level(world, reached + 3))  # noqa: B023


def test_a_crashed_leader_costs_one_view_timeout_at_most() -> None:
    world = World(2, 4, {1: Mute}).start()
    world.run(120_000)
    chain, final_ms = world.oracle.chain, world.oracle.final_ms
    assert len(chain) > 50
    skipped = 0
    for number in range(1, len(chain)):
        views = chain[number].header.view - chain[number - 1].header.view
        skipped += views - 1
        if views == 2:
            assert final_ms[number] - final_ms[number - 1] <= INTERVAL_MS + TIMEOUT_MS + 6 * 60
    assert skipped > 10


def test_an_equivocating_leader_is_convicted_by_all_who_heard_both() -> None:
    world = world_of(LIARS[1])
    world.run(60_000)
    assert world.oracle.convicted == {1}


@pytest.mark.parametrize("seed", range(3))
def test_all_killed_at_once_in_bad_times_go_on(seed: int) -> None:
    """No view was final for long, nobody remembers a certificate but from its own disk."""
    world = World(seed, 4).start()
    world.run(4_000)
    world.weather = Weather(delay_ms=(1, 4_000), loss_ppm=500_000)
    world.run(64_000)
    for node in world.nodes:
        node.crash()
    world.weather = Weather()
    for node in world.nodes[:3]:  # one never comes back
        node.start()
    reached = len(world.oracle.chain)
    alive = world.nodes[:3]
    assert world.run(400_000, lambda: all(n.ledger.height >= reached + 3 for n in alive))


def test_a_wiped_validator_catches_up_and_votes_again_in_the_next_term() -> None:
    world = World(4, 4, term_blocks=10).start()
    world.run(3_000)
    victim = world.nodes[2]
    victim.crash()
    victim.wipe()
    victim.start()
    assert not victim.engine.seated
    assert world.run(60_000, lambda: "votes again" in victim.engine.abstains)
    term = victim.engine.core.term
    assert victim.engine.height
    assert world.run(120_000, lambda: victim.engine.seated)
    assert victim.engine.core.term == term + 1


def test_where_all_logs_are_new_all_vote_once_they_have_met() -> None:
    world = World(4, 4)
    for node in world.nodes:
        node.disk.begun = False
    world.start()
    assert world.run(20_000, lambda: level(world, 5))
    assert all(node.engine.seated for node in world.nodes)
    assert not any(any(node.engine.core.missed) for node in world.nodes)


@pytest.mark.parametrize("skew_ms", [-3_600_000, 3_600_000])
def test_a_clock_that_is_an_hour_wrong_is_one_fault_and_no_more(skew_ms: int) -> None:
    world = World(6, 4, term_blocks=8)
    world.nodes[3].skew_ms = skew_ms
    world.start()
    assert world.run(300_000, lambda: level(world, 20))


def test_clocks_apart_within_tolerance_cost_no_view() -> None:
    world = World(6, 4)
    for node, skew_ms in zip(world.nodes, (-4_900, 0, 2_000, 4_900), strict=True):
        node.skew_ms = skew_ms
    world.start()
    assert world.run(60_000, lambda: level(world, 30))
    assert not any(any(node.engine.core.missed) for node in world.nodes)


def test_one_joins_and_one_leaves_at_the_border_of_a_term() -> None:
    world = World(8, 4, term_blocks=6, joiners=1).start()
    newcomer, leaver = world.nodes[4], world.nodes[1]
    for person, bodies in (
        (newcomer.person, joining(world.genesis, newcomer.person)),
        (leaver.person, [Delist()]),
    ):
        Client(world, person, world.nodes[0], bodies).act()
    assert not newcomer.engine.seated and leaver.engine.seated
    assert world.run(60_000, lambda: newcomer.engine.seated and not leaver.engine.seated)
    # Long enough that nobody is left out by chance.
    assert world.run(240_000, lambda: level(world, 60))
    proposers = {block.header.proposer for block in world.oracle.chain[18:]}
    assert newcomer.account in proposers and leaver.account not in proposers
