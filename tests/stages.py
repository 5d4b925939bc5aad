"""Worlds at every point of a plan's life. Each is built once; whoever asks gets a fork."""

from collections.abc import Callable, Sequence
from functools import cache

from chain.bodies.coins import Stake
from chain.transition import genesis_state
from tests.builders import World
from tests.people import (
    ATTESTORS,
    BY_ID,
    HOSTERS,
    OWNER,
    STRANGER,
    Library,
    Person,
    create_plan,
    genesis,
    register,
)
from tests.reports import Behaviour, account_of


def staged(build: Callable[[], World]) -> Callable[[], World]:
    """A stage is built once; whoever asks gets a fork."""
    built = cache(build)

    def fork() -> World:
        return built().fork()

    fork.__doc__ = build.__doc__
    return fork


@staged
def funded() -> World:
    """Everybody has coins; nothing has happened."""
    made = genesis()
    return World(made, genesis_state(made))


@staged
def staffed() -> World:
    """Hosters and attestors are registered and staked, long enough to be drawn."""
    world = funded()
    for role, people in (("hoster", HOSTERS), ("attestor", ATTESTORS)):
        for person in people:
            world.must(person, register(person))
            world.must(person, Stake(role=role, amount_base=2_000))
    world.pass_blocks(world.parameters.registration_lag_blocks)
    return world


@staged
def published() -> World:
    """The owner's library of 40 chunks is registered."""
    world = staffed()
    world.libraries["library"] = Library("library", 40)
    world.must(OWNER, world.library.publish())
    return world


@staged
def planned() -> World:
    """A plan with two replicas has found its hosters."""
    world = published()
    world.must(OWNER, create_plan(world.library.key))
    world.pass_blocks()
    return world


@staged
def lined_up() -> World:
    """Both contracts are active, and it is fixed whom the draw is among."""
    world = planned()
    world.block(*(world.sign(BY_ID[c.hoster], world.acknowledge(c)) for c in world.contracts))
    assert world.line_up.height == world.height
    return world


@staged
def drawn() -> World:
    """Both contracts are active, and a committee is drawn."""
    world = lined_up()
    world.pass_until(world.line_up.draw_height)
    assert world.challenge.status == "flipping"
    return world


@staged
def sealed() -> World:
    """The committee's coin is sealed: the window is open."""
    world = drawn()
    world.must(STRANGER, world.seal())
    return world


def committed(behave: Behaviour | None = None, silent: Sequence[int] = ()) -> World:
    """All members but the silent ones have committed to reports of what they found."""
    return _commit(sealed(), behave, silent)


def opening(behave: Behaviour | None = None, silent: Sequence[int] = ()) -> World:
    """The window is over."""
    world = committed(behave, silent)
    world.pass_until(world.challenge.window_end)
    assert world.challenge.status == "opening"
    return world


def coin_opened(behave: Behaviour | None = None, silent: Sequence[int] = ()) -> World:
    """The coin is open; reports may be opened."""
    world = opening(behave, silent)
    world.must(STRANGER, world.open_coin())
    return world


def settled(behave: Behaviour | None = None, silent: Sequence[int] = ()) -> World:
    """The reports are open and the challenge is concluded."""
    return open_reports(coin_opened(behave, silent), behave, silent)


def play(world: World, behave: Behaviour | None = None, silent: Sequence[int] = ()) -> World:
    """From wherever the world is through its next challenge, up to the verdicts."""
    world.focus = b""
    while not world.draft.meta.open_challenges:
        world.pass_blocks()
    if world.challenge.status == "flipping":
        world.must(STRANGER, world.seal())
    _commit(world, behave, silent)
    world.pass_until(world.challenge.window_end)
    world.must(STRANGER, world.open_coin())
    return open_reports(world, behave, silent)


def _reporting(world: World, silent: Sequence[int]) -> list[Person]:
    return [member for place, member in enumerate(world.members) if place not in silent]


def _commit(world: World, behave: Behaviour | None, silent: Sequence[int]) -> World:
    world.block(
        *(
            world.sign(member, account_of(world, member, behave).commit(world, member))
            for member in _reporting(world, silent)
        )
    )
    return world


def open_reports(
    world: World, behave: Behaviour | None = None, silent: Sequence[int] = ()
) -> World:
    """Those that have committed show what they found, and the challenge is settled."""
    world.focus = world.challenge.challenge
    parts = [(member, account_of(world, member, behave)) for member in _reporting(world, silent)]
    outcomes = world.block(
        *(world.sign(member, account.open(), account.sidecar) for member, account in parts)
    )
    assert not any(outcome.reason for outcome in outcomes), outcomes
    assert world.challenge.status == "settled"
    return world
