"""What a member has to do, and what each of its visits knows."""

from collections.abc import Mapping

import pytest

from attestor.disguise import Habit
from attestor.itinerary import BASE_S, CONTROLS, LEAST_RATE, VisitTask, _controls, tasks_of
from tests.builders import World
from tests.people import Person
from tests.stages import sealed


def itinerary(
    world: World,
    member: Person,
    room_bytes: int = 1 << 20,
    operators: Mapping[bytes, str] | None = None,
) -> tuple[VisitTask, ...]:
    draft, draw = world.draft, world.draw
    registrations = {each.hoster: draft.registrations.at(each.hoster) for each in draw.eligible}
    for hoster, name in (operators or {}).items():
        registrations[hoster] = registrations[hoster].model_copy(update={"operator": name})
    feeds = {each.feed: draft.feeds.at(each.feed) for each in draw.eligible}
    return tasks_of(
        world.network,
        world.challenge,
        draw,
        member.id,
        world.coin(),
        world.plan_proof(member),
        world.visit_plans(member),
        registrations,
        feeds,
        room_bytes,
    )


def test_each_visit_knows_its_target_and_who_else_has_the_feed():
    world = sealed()
    member = world.members[0]
    tasks = itinerary(world, member)
    assert [task.plan for task in tasks] == world.visit_plans(member)
    endpoints = {each.hoster: each for each in world.draw.eligible}
    for task in tasks:
        assert task.target.hoster in endpoints
        assert task.endpoint not in task.elsewhere
        assert task.target.contract == task.plan.contract


def test_controls_are_a_few_other_hosters_with_chunks_that_they_hold_and_the_publisher():
    world = sealed()
    lengths = {each.feed: each.head.length for each in world.draw.eligible}
    others = len({each.hoster for each in world.draw.eligible}) - 1
    for task in itinerary(world, world.members[0]):
        *hosters, publisher = task.controls
        assert len(hosters) == min(CONTROLS, others) > 0
        assert publisher.endpoint == world.draft.feeds.at(task.target.feed).source
        places = [control.endpoint for control in hosters]
        assert task.endpoint not in places
        assert len({place.port for place in places}) == len(places), "no hoster twice"
        assert all(control.chunk < lengths[control.feed] for control in task.controls)


def test_an_operator_is_one_control_however_many_hosters_it_has():
    """Fifty hosters, of which forty-seven have one operator: it is one of three, and not more."""
    world = sealed()
    drawn = world.draw.eligible[0]
    known = world.draft.registrations.at(drawn.hoster)
    names = [bytes([number]) * 32 for number in range(50)]
    eligible = [drawn.model_copy(update={"hoster": name, "contract": name}) for name in names]
    registrations = {
        name: known.model_copy(
            update={
                "operator": "" if number < 3 else "many",
                "endpoint": known.endpoint.model_copy(update={"port": 1_000 + number}),
            }
        )
        for number, name in enumerate(names)
    }
    feeds = {drawn.feed: world.draft.feeds.at(drawn.feed)}
    for number in range(50):
        target, *others = eligible
        found = _controls(bytes([number]) * 32, target, others, registrations, feeds)
        ports = sorted(control.endpoint.port for control in found[:-1])
        assert ports[:2] == [1_001, 1_002] and len(ports) == 3


def test_where_one_operator_has_all_hosters_there_is_nothing_to_compare_with():
    world = sealed()
    operators = {each.hoster: "one" for each in world.draw.eligible}
    for task in itinerary(world, world.members[0], operators=operators):
        assert task.controls == ()


def test_members_wear_different_disguises_and_the_same_again():
    world = sealed()
    worn = [[task.disguise for task in itinerary(world, member)] for member in world.members]
    assert worn == [[task.disguise for task in itinerary(world, m)] for m in world.members]
    seeds = [disguise.seed for each in worn for disguise in each]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("room_bytes", [0, 1 << 30])
def test_a_visit_may_take_as_long_as_its_bytes_need(room_bytes):
    world = sealed()
    for task in itinerary(world, world.members[0], room_bytes):
        whole = task.disguise.habit is not Habit.LOOKUPS
        assert not (whole and room_bytes == 0)
        size = task.byte_length if whole else len(task.disguise.lookups) * task.chunk_bytes
        assert task.allowance_ms == BASE_S * 1_000 + size * 1_000 // LEAST_RATE
