"""What npm hypercore does where our own reader does nothing: one queue of small jobs.

Node verifies each chunk that came, and looks up, level by level, how much of a chosen chunk's path
is stored. Both wait for the same threads, so lookups of many chunks go on side by side, and
those of few levels are known first. What is verified while something is being stored is stored
together, next. A write waits its turn among the lookups: a level that was looked up before it is
done counts as missing.

Mutable, owned by one downloader: see `feed.replication.manner`.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from enum import Enum
from typing import NamedTuple

from feed import flat_tree
from feed.replication.asked import Came
from feed.replication.manner import Manner, Work
from feed.replication.picker import Picker

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
    """It is time to store all that are verified; `hide` their nodes."""
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
    cost_us: int | None
    """None: a write, which costs by what it is to write."""
    lookup: _Lookup | None
    """None: it is about chunks that came."""


class Workload:
    """The jobs of one reader. What came is handed back when it is to be verified."""

    def __init__(
        self,
        manner: Manner,
        work: Work,
        picker: Picker,
        claims: set[int],
        new_id: Callable[[], int],
        node: Callable[[int], object | None],
    ) -> None:
        self._scatter = manner.scatter
        self._in_flight = manner.in_flight or 1
        self._work = work
        self._picker = picker
        self._claims = claims
        self._new_id = new_id
        self._node = node
        self._choosing: set[int] = set()
        self._may_fill = False
        self._jobs: deque[_Job] = deque()
        self._free_us = 0
        self._verifying: deque[Came] = deque()
        self.arrivals = self.taken_in = 0
        """How many chunks came; how many of them count as stored, or are given up."""
        self._verified = self._writing = 0
        """How many of them were verified; how many are stored when the write is done."""
        self._is_storing = False
        self._hidden: Collection[int] = ()
        self._write_us = 0
        self._lag = 0
        """How many lookups that are begun from now on are done before the last job."""

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def is_storing(self) -> bool:
        """Whether something is stored that does not yet count as stored."""
        return self._is_storing

    @property
    def due_us(self) -> int | None:
        """When the next job is done; None: there is none."""
        if not self._jobs:
            return None
        job = self._jobs[0]
        cost_us = self._write_us if job.cost_us is None else job.cost_us
        return max(self._free_us, job.begins_us) + cost_us

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
        self.arrivals += 1
        self._verifying.append(came)
        self._add(came.at_us, self._work.verify_us(), None)

    def done(self, now_us: int) -> Iterator[Known | Came | Step]:
        """What is known by now, what is to be verified, and what becomes of that, in its order.

        Whoever asks may stop after what is known, and ask again.
        """
        while (due_us := self.due_us) is not None and due_us <= now_us:
            _, cost_us, lookup = self._jobs.popleft()
            self._free_us = due_us if now_us - due_us < LATE_US else now_us
            if lookup is not None and self._sees(lookup.node):
                self._choosing.remove(lookup.chunk)
                yield Known(lookup.request_id, lookup.chunk, lookup.levels)
            elif lookup is not None:
                self._look_up(lookup.above(), due_us)
            elif cost_us is None:
                self._is_storing, self._hidden = False, ()
                self.taken_in = self._writing
                self.nudge()
                yield Step.STORED
                next_write = self._store(due_us)
                place = len(self._jobs)
                yield Step.CHOOSE
                if next_write and len(self._jobs) > place:
                    self._let_pass(place)
                yield from next_write
                return  # what was kept back until then leaves before what is known next
            else:
                self._verified += 1
                yield self._verifying.popleft()
                yield from self._store(due_us)

    def clear(self) -> list[Came]:
        """Drop all jobs; returns what came and was not verified."""
        left = [*self._verifying]
        self._jobs.clear()
        self._verifying.clear()
        self._verified = self._writing = self.taken_in = self.arrivals
        self._is_storing, self._hidden = False, ()
        self._claims -= self._choosing
        self._choosing.clear()
        return left

    def hide(self, nodes: Collection[int]) -> None:
        """These nodes are being written: lookups see them when that is done."""
        self._hidden, self._write_us = nodes, self._work.store_us(len(nodes))

    def _sees(self, node: int) -> bool:
        return node not in self._hidden and self._node(node) is not None

    def _store(self, now_us: int) -> tuple[Step, ...]:
        """Have what is verified stored, unless something is being stored."""
        if self._verified == self._writing or self._is_storing:
            return ()
        self._writing, self._is_storing = self._verified, True
        self._add(now_us, None, None)
        return (Step.STORE,)

    def _let_pass(self, place: int) -> None:
        """Have lookups that were begun right after the write at this place be done before it."""
        write, begun = self._jobs[place - 1], len(self._jobs) - place
        passing = self._work.write_lag(begun)
        self._lag = max(passing - begun, 0)
        if passing:
            del self._jobs[place - 1]
            self._jobs.insert(place - 1 + min(passing, begun), write)

    def _look_up(self, lookup: _Lookup, now_us: int) -> None:
        jobs, lag = self._jobs, self._lag
        self._add(now_us, self._work.look_up_us(), lookup)
        if lag and len(jobs) > 1:
            jobs[-1], jobs[-2] = jobs[-2], jobs[-1]
            self._lag = lag - 1
        else:
            self._lag = self._work.lag()

    def _add(self, now_us: int, cost_us: int | None, lookup: _Lookup | None) -> None:
        self._jobs.append(_Job(now_us + self._work.wake_us(), cost_us, lookup))
        self._lag = 0
