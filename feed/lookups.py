"""Choosing chunks as npm hypercore does, and looking their paths up before they are asked for.

Mutable, owned by one downloader: see `feed.manner`.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import NamedTuple

from feed.manner import Manner, Work
from feed.picker import Picker


class _Lookup(NamedTuple):
    due_us: int
    request_id: int
    chunk: int
    levels: int


class Lookups:
    """What was chosen, and when it will be known how much of its path is missing."""

    def __init__(
        self,
        manner: Manner,
        work: Work,
        picker: Picker,
        claims: set[int],
        new_id: Callable[[], int],
        levels: Callable[[int], int],
    ) -> None:
        self._scatter = manner.scatter
        self._in_flight = manner.in_flight or 1
        self._work = work
        self._picker = picker
        self._claims = claims
        self._new_id = new_id
        self._levels = levels
        self._heap: list[_Lookup] = []
        self._is_first = True

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def due_us(self) -> int | None:
        """When the next one is known; None: nothing is looked up."""
        return self._heap[0].due_us if self._heap else None

    def choose(self, flying: int, now_us: int, done: frozenset[int] = frozenset()) -> None:
        """Choose what is next, with so many requests on their way.

        Chunks that came are `done` when they are stored; those that are not stand in the way.
        """
        before = len(self._heap)
        limit = 1 if self._is_first and self._picker.all else self._in_flight
        chosen = list[tuple[int, int, int]]()
        while (together := before + len(chosen)) + flying < limit:
            if self._scatter is None or self._picker.picks_singly:
                chunk = self._picker.next()
            else:
                chunk = self._picker.next_scattered(self._scatter, together + flying, done)
            if chunk is None:
                break
            self._claims.add(chunk)
            chosen.append((self._new_id(), chunk, self._levels(chunk)))
        for place, (request_id, chunk, levels) in enumerate(chosen, start=before):
            took_us = self._work.look_up_us(levels, place, before + len(chosen))
            heappush(self._heap, _Lookup(now_us + took_us, request_id, chunk, levels))

    def choose_after(self, stored: Iterable[int], flying: int, now_us: int) -> None:
        """Choose anew whenever one of these is stored: it is done one by one."""
        done = set[int]()
        for chunk in stored:
            self._is_first = False
            done.add(chunk)
            self.choose(flying, now_us, frozenset(done))

    def known(self, now_us: int) -> tuple[int, int, int] | None:
        """Request id, chunk and levels of one that is known by now."""
        if not self._heap or self._heap[0].due_us > now_us:
            return None
        return heappop(self._heap)[1:]

    def clear(self) -> None:
        """Forget all."""
        self._claims.difference_update(lookup.chunk for lookup in self._heap)
        self._heap.clear()
