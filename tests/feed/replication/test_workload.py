"""What npm hypercore is busy with: what is looked up and stored in which order."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest

from feed.messages import Data, Request
from feed.ranges import Ranges
from feed.replication.announced import Remote
from feed.replication.asked import Asked, Came
from feed.replication.manner import Manner, Work
from feed.replication.picker import Picker
from feed.replication.workload import LATE_US, Known, Step, Workload

LENGTH = 64
LOOK_UP_US, WAKE_US, STORE_US = 20, 30, 500
WORK = Work(
    open_us=lambda: 0,
    wake_us=lambda: WAKE_US,
    look_up_us=lambda: LOOK_UP_US,
    lag=lambda: 0,
    verify_us=lambda: 10,
    store_us=lambda nodes: STORE_US,
    write_lag=lambda begun: 0,
)


@pytest.fixture
def stored() -> set[int]:
    """The nodes that are stored; at first the root alone."""
    return {LENGTH - 1}


@pytest.fixture
def workload(stored: set[int]) -> Workload:
    """Of a reader that has the head and no chunk."""
    return made(stored, WORK)


def made(stored: set[int], work: Work) -> Workload:
    copy = SimpleNamespace(length=LENGTH, held=Ranges(), has=lambda _: False)
    claims: set[int] = set()
    remote = Remote()
    remote.has.add(0, LENGTH)
    picker = Picker(copy, remote, [], claims)
    picker.all = True
    ids = iter(range(1, 1_000))
    manner = Manner(in_flight=8, scatter=lambda below: below // 2, work=work)
    return Workload(manner, work, picker, claims, lambda: next(ids), _finder(stored))


def _finder(stored: set[int]) -> Callable[[int], int | None]:
    return lambda node: node if node in stored else None


def arrival(chunk: int, at_us: int) -> Came:
    request = Request(chunk, 0)
    return Came(chunk, Asked(request, 0, chunk, True, []), Data(chunk, 0), at_us)


def run(workload: Workload, until_us: int) -> list[tuple[int, Known | int | Step]]:
    """All that is done until then, each at its time; of what came, the chunk."""
    found: list[tuple[int, Known | int | Step]] = []
    while (due_us := workload.due_us) is not None and due_us <= until_us:
        found += (
            (due_us, done.chunk if isinstance(done, Came) else done)
            for done in workload.done(due_us)
        )
    return found


def test_one_chunk_is_chosen_until_something_happens(workload: Workload) -> None:
    workload.choose(0, 0)
    assert [known.chunk for _, known in run(workload, 10_000)] == [LENGTH // 2]
    workload.choose(1, 10_000)
    assert not run(workload, 20_000)
    workload.nudge()
    workload.choose(1, 20_000)
    assert len(run(workload, 30_000)) == 7, "as many as may be under way"


def test_lookups_wait_for_one_another(workload: Workload) -> None:
    workload.nudge()
    workload.choose(0, 0)
    done = run(workload, 10_000)
    levels = LENGTH.bit_length() - 1
    assert {known.levels for _, known in done} == {levels}
    assert done[0][0] >= levels * 8 * LOOK_UP_US
    assert [at - before for (before, _), (at, _) in pairwise(done)] == [LOOK_UP_US] * 7


def test_a_node_that_is_stored_too_late_counts_as_missing(
    workload: Workload, stored: set[int]
) -> None:
    workload.choose(0, 0)
    chunk = LENGTH // 2
    run(workload, WAKE_US + LOOK_UP_US)
    stored |= {2 * chunk, 2 * chunk + 3}  # the leaf, seen missing, and the node two levels above it
    assert [known.levels for _, known in run(workload, 10_000)] == [2]


def test_what_comes_while_something_is_stored_is_stored_together(workload: Workload) -> None:
    for chunk in range(4):
        workload.came(arrival(chunk, 0))
    assert [done for _, done in run(workload, 10_000)] == [
        *(0, Step.STORE, 1, 2, 3, Step.STORED),
        *(Step.CHOOSE, Step.STORE, Step.STORED, Step.CHOOSE),
    ]


def written(workload: Workload, until_us: int, nodes: set[int]) -> list[Known | int | Step]:
    """As `run`, where each write is of these nodes."""
    found: list[Known | int | Step] = []
    while (due_us := workload.due_us) is not None and due_us <= until_us:
        for done in workload.done(due_us):
            found.append(done.chunk if isinstance(done, Came) else done)
            if done is Step.STORE:
                workload.hide(nodes)
    return found


def test_a_node_is_seen_when_its_write_is_done(workload: Workload, stored: set[int]) -> None:
    chunk = LENGTH // 2
    workload.choose(0, 0)
    workload.came(arrival(chunk + 1, 0))
    stored |= {2 * chunk + 1, 2 * chunk + 3}  # one and two levels above the chunk's leaf
    known = [done for done in written(workload, 10_000, {2 * chunk + 1}) if isinstance(done, Known)]
    assert [each.levels for each in known] == [2], "what was written behind it counts as missing"


@pytest.mark.parametrize("lag", [0, 1])
def test_a_write_may_be_done_after_lookups_of_what_is_chosen(lag: int, stored: set[int]) -> None:
    stored |= set(range(0, 2 * LENGTH, 2))
    workload = made(stored, replace(WORK, write_lag=lambda begun: lag))
    workload.came(arrival(0, 0))
    workload.came(arrival(1, 0))
    kinds = []
    while (due_us := workload.due_us) is not None and due_us <= 10_000:
        for done in workload.done(due_us):
            kinds.append(done if isinstance(done, Step) else type(done))
            if done is Step.CHOOSE:
                workload.choose(0, due_us)
    chosen = kinds[kinds.index(Step.CHOOSE) + 1 :]
    assert chosen.index(Step.STORED) == 1 + lag, "after the next write is begun"


def test_what_is_written_is_taken_in_when_that_is_done(workload: Workload) -> None:
    workload.came(arrival(0, 0))
    run(workload, 10 + WAKE_US)
    workload.hide(())
    assert (workload.arrivals, workload.taken_in) == (1, 0)
    assert [done for _, done in run(workload, 10_000)] == [Step.STORED, Step.CHOOSE]
    assert (workload.arrivals, workload.taken_in) == (1, 1)


def test_a_lookup_may_be_done_after_later_ones(stored: set[int]) -> None:
    stored |= set(range(0, 2 * LENGTH, 2))
    lags = iter([2])
    workload = made(stored, replace(WORK, lag=lambda: next(lags, 0)))
    workload.nudge()
    workload.choose(0, 0)
    known = [done for _, done in run(workload, 10_000) if isinstance(done, Known)]
    assert [each.request_id for each in known] == [2, 3, 1, 4, 5, 6, 7, 8]


def test_who_is_late_does_not_make_up_for_it(workload: Workload) -> None:
    workload.nudge()
    workload.choose(0, 0)
    assert workload.due_us is not None
    late_us = workload.due_us + LATE_US
    assert not list(workload.done(late_us))
    assert workload.due_us == late_us + LOOK_UP_US


def test_what_was_not_stored_is_handed_back(workload: Workload) -> None:
    workload.nudge()
    workload.choose(0, 0)
    workload.came(arrival(0, 0))
    assert [came.chunk for came in workload.clear()] == [0]
    assert workload.due_us is None
    workload.nudge()
    workload.choose(0, 0)
    assert len(run(workload, 10_000)) == 8, "nothing is claimed any more"
