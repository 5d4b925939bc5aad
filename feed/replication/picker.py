"""Which chunk to ask one peer for next: those picked by hand first, then all that are missing.

Mutable state of one replication core. `claims` are the chunks that this core or another of the
same feed has on its way or is about to store; it is shared so that no two ask for the same one.
"""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from feed.feed import Feed
from feed.messages import Want
from feed.replication.announced import Remote
from feed.replication.events import Effect

WANT_CHUNKS = 1 << 21
"""The stretch that one want message covers: Node's unit."""

SCAN_STEPS = 4096
"""Steps in search of a chunk before other work gets its turn: some milliseconds."""


class Picker:
    """What is wanted from one peer."""

    def __init__(self, feed: Feed, remote: Remote, out: list[Effect], claims: set[int]) -> None:
        self.all = False
        """Whether every chunk is wanted, also those to come."""
        self._feed = feed
        self._remote = remote
        self._out = out
        self._claims = claims
        self._wanted: dict[int, None] = {}
        self._again: deque[int] = deque()
        self._cursor = self._stop = 0
        """The chunks from the one to the other are missing here, and the peer has them, unless it
        said otherwise since: they are gone through without looking again."""
        self._refused: set[int] = set()
        self._told_wants: set[int] = set()

    @property
    def picks_singly(self) -> bool:
        """Whether the next chunk may be one picked by hand, or one that came without its path."""
        return bool(self._again or self._wanted)

    def want(self, chunks: Iterable[int]) -> None:
        """These chunks are wanted, in this order, before all others."""
        for chunk in chunks:
            if not self._feed.has(chunk):
                self._wanted[chunk] = None

    def again(self, chunk: int) -> None:
        """The answer for a chunk was of no use; it is wanted before everything else."""
        self._again.append(chunk)

    def refuse(self, chunk: int) -> None:
        """The peer does not give a chunk that it announced."""
        self._refused.add(chunk)

    def announced(self, start: int, stop: int) -> None:
        """The peer told which of these chunks it has."""
        self._cursor, self._stop = min(self._cursor, start), 0
        self._refused = {chunk for chunk in self._refused if not start <= chunk < stop}

    def look_again(self) -> None:
        """The peer no longer has all that it told of."""
        self._stop = 0

    def start_over(self) -> None:
        """What the peer told was of another fork."""
        self._stop = 0
        self._told_wants.clear()

    def rewind(self) -> None:
        """Look for missing chunks from the first again: what others had claimed may be free."""
        self._cursor = self._stop = 0

    def next(self) -> int | None:
        """The next chunk to ask for, which the peer has announced; None: nothing now."""
        while self._again:
            chunk = self._again.popleft()
            if chunk < self._feed.length and self._is_open(chunk):
                return chunk
        wanted = self._next_wanted() if self._wanted else None
        return self._next_missing() if wanted is None and self.all else wanted

    def next_scattered(self, scatter: Callable[[int], int]) -> int | None:
        """The next chunk as npm hypercore chooses it, of those that are all wanted.

        It goes forward from a random place between the first and the last that are not stored,
        then from the first.
        """
        held = self._feed.held
        first, stop = held.contiguous(), held.complete_from(self._feed.length)
        if not self.all or first >= stop:
            return None
        place = first + scatter(stop - first)
        found = self._first_open(place, stop)
        return self._first_open(first, place) if found is None else found

    def _first_open(self, start: int, stop: int) -> int | None:
        for gap in self._feed.held.gaps(start, stop):
            for chunk in range(*gap):
                is_there = chunk in self._remote.has and chunk not in self._refused
                if is_there and chunk not in self._claims:
                    return chunk
        return None

    def _next_wanted(self) -> int | None:
        done, found = [], None
        for chunk in islice(self._wanted, SCAN_STEPS):
            if self._feed.has(chunk):
                done.append(chunk)
            elif chunk >= self._feed.length:
                continue
            elif chunk not in self._remote.has:
                self._tell_want(chunk)
            elif chunk not in self._claims:
                done.append(chunk)
                found = chunk
                break
        for chunk in done:
            del self._wanted[chunk]
        return found

    def _next_missing(self) -> int | None:
        for _ in range(SCAN_STEPS):
            if self._cursor >= self._stop and not self._find_run():
                return None
            chunk = self._cursor
            self._cursor += 1
            if chunk not in self._refused and self._is_open(chunk):
                return chunk
        return None

    def _find_run(self) -> bool:
        """Go to the next chunks that are missing here and that the peer has."""
        held, has, length = self._feed.held, self._remote.has, self._feed.length
        missing = held.contiguous(self._cursor)
        if missing >= length:
            return False
        start = has.next(missing, length)
        if start != missing:
            self._tell_want(missing)
        if start is None:
            return False
        gap = next(held.gaps(start, length), (start, start + 1))
        self._cursor = start
        self._stop = max(start + 1, min(gap[1], has.contiguous(start)))
        return True

    def _is_open(self, chunk: int) -> bool:
        return chunk not in self._claims and not self._feed.has(chunk)

    def _tell_want(self, chunk: int) -> None:
        """Ask which chunks the peer has around this one, once."""
        unit = chunk // WANT_CHUNKS
        if unit not in self._told_wants:
            self._told_wants.add(unit)
            self._out.append(Want(unit * WANT_CHUNKS, WANT_CHUNKS))
