"""What npm hypercore does where our own reader does nothing: one queue of small jobs.

Node verifies each chunk that came, and looks up, level by level, how much of a chosen chunk's path
is stored. Both wait for the same threads, so lookups of many chunks go on side by side, and
those of few levels are known first. What is verified while something is being stored is stored
together, next. A level that was looked up before what brought it is stored counts as missing.

Mutable, owned by one downloader: see `feed.manner`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

from feed import flat_tree
from feed.asked import Came
from feed.manner import Manner, Work
from feed.picker import Picker

LATE_US = 300
"""Who is behind by more does not make up for it, but goes on from here, as after other work."""


class Known(NamedTuple):
    """A chosen chunk of which it is known what to ask for."""

    request_id: int
    chunk: int
    levels: int


class Step(Enum):
    """What becomes of verified chunks."""

    STORE = 1
    """It is time to store all that are verified."""
    STORED = 2
    """They count as stored."""
    CHOOSE = 3
    """It is time to choose what is next."""


class _Lookup(NamedTuple):
    request_id: int
    chunk: int
    node: int
    levels: int

    def above(self) -> "_Lookup":
        """The same, one level higher."""
        return self._replace(node=flat_tree.parent(self.node), levels=self.levels + 1)


class _Job(NamedTuple):
    begins_us: int
    cost_us: int
    lookup: _Lookup | None
    """None: it is about chunks that came."""
    stores: bool
    """Whether chunks are stored, or one is verified."""


class Workload:
    """The jobs of one reader. What came is handed back when it is to be verified."""

    def __init__(
        self,
        manner: Manner,
        work: Work,
        picker: Picker,
        claims: set[int],
        new_id: Callable[[], int],
        is_stored: Callable[[int], bool],
    ) -> None:
        self._scatter = manner.scatter
        self._in_flight = manner.in_flight or 1
        self._work = work
        self._picker = picker
        self._claims = claims
        self._new_id = new_id
        self._is_stored = is_stored
        self._choosing: set[int] = set()
        self._may_fill = False
        self._jobs: deque[_Job] = deque()
        self._free_us = 0
        self._verifying: deque[Came] = deque()
        self._has_verified = self._is_storing = False

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def is_taking_in(self) -> bool:
        """Whether something that came is not yet stored."""
        return bool(self._verifying) or self._has_verified or self._is_storing

    @property
    def due_us(self) -> int | None:
        """When the next job is done; None: there is none."""
        if not self._jobs:
            return None
        job = self._jobs[0]
        return max(self._free_us, job.begins_us) + job.cost_us

    def nudge(self) -> None:
        """Something happened upon which Node chooses as many chunks as there is room for.

        When it is told to fetch them all, it chooses just one.
        """
        self._may_fill = True

    def choose(self, flying: int, now_us: int) -> None:
        """Choose what is next, with so many requests on their way."""
        fill, self._may_fill = self._may_fill, False
        while (together := flying + len(self._choosing)) < self._in_flight:
            if self._scatter is None or self._picker.picks_singly:
                chunk = self._picker.next()
            elif fill or not (together or self._jobs):
                chunk = self._picker.next_scattered(self._scatter)
            else:
                return
            if chunk is None:
                return
            self._claims.add(chunk)
            self._choosing.add(chunk)
            self._look_up(_Lookup(self._new_id(), chunk, 2 * chunk, 0), now_us)

    def came(self, came: Came) -> None:
        """A chunk came."""
        self._verifying.append(came)
        self._add(came.at_us, self._work.verify_us(), None)

    def done(self, now_us: int) -> Iterator[Known | Came | Step]:
        """What is known by now, what is to be verified, and what becomes of that, in its order.

        Whoever asks may stop after any of them, and ask again.
        """
        while (due_us := self.due_us) is not None and due_us <= now_us:
            lookup, stores = self._jobs.popleft()[2:]
            self._free_us = due_us if now_us - due_us < LATE_US else now_us
            if lookup is not None and self._is_stored(lookup.node):
                self._choosing.remove(lookup.chunk)
                yield Known(lookup.request_id, lookup.chunk, lookup.levels)
            elif lookup is not None:
                self._look_up(lookup.above(), due_us)
            elif stores:
                self._is_storing = False
                self.nudge()
                yield Step.STORED
                yield from self._store(due_us)
                yield Step.CHOOSE
            else:
                self._has_verified = True
                yield self._verifying.popleft()
                yield from self._store(due_us)

    def clear(self) -> list[Came]:
        """Drop all jobs; returns what came and was not verified."""
        left = [*self._verifying]
        self._jobs.clear()
        self._verifying.clear()
        self._has_verified = self._is_storing = False
        self._claims -= self._choosing
        self._choosing.clear()
        return left

    def _store(self, now_us: int) -> Iterator[Step]:
        """Store what is verified, unless something is being stored."""
        if self._has_verified and not self._is_storing:
            self._has_verified, self._is_storing = False, True
            self._add(now_us, self._work.store_us(), None, stores=True)
            yield Step.STORE

    def _look_up(self, lookup: _Lookup, now_us: int) -> None:
        self._add(now_us, self._work.look_up_us(), lookup)
        jobs = self._jobs
        for place in range(len(jobs) - 1, len(jobs) - 1 - self._work.overtakes(), -1):
            if place < 1 or jobs[place - 1].lookup is None:
                return
            jobs[place], jobs[place - 1] = jobs[place - 1], jobs[place]

    def _add(
        self, now_us: int, cost_us: int, lookup: _Lookup | None, *, stores: bool = False
    ) -> None:
        self._jobs.append(_Job(now_us + self._work.wake_us, cost_us, lookup, stores))
