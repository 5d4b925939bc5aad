"""A seeded world for pure cores: time, a bad network, crashes; one seed, one history.

Everything that happens is an entry of one heap, ordered by (time, sequence number), and is
hashed as it happens, so two runs of one seed can be compared by `trace`. Time is in whole
milliseconds and passes only between entries.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b

from wire.prng import Stream

Action = Callable[[], None]
Receive = Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class Weather:
    """What the network does to a message; reordering follows from unequal delays."""

    delay_ms: tuple[int, int] = (5, 40)
    loss_ppm: int = 0
    duplicate_ppm: int = 0


class World:
    """Nodes are small integers; a node that is down receives nothing and its timers are void."""

    def __init__(self, seed: int, weather: Weather) -> None:
        self._chances = Stream(blake2b(str(seed).encode(), digest_size=32).digest(), b"world")
        self.weather = weather
        self.now_ms = 0
        self.delivered = 0
        self._heap: list[tuple[int, int, int | None, int, Action]] = []
        self._sequence = 0
        self._receivers: dict[int, Receive] = {}
        self._lives: dict[int, int] = {}
        self._down: set[int] = set()
        self._group: dict[int, int] = {}
        self._trace = blake2b(digest_size=16)

    @property
    def trace(self) -> str:
        """A hash of all that happened so far."""
        return self._trace.hexdigest()

    def between(self, low: int, high: int) -> int:
        """A random number that the seed decides; both ends are possible."""
        return low + self._chances.below(high - low + 1)

    def join(self, node: int, receive: Receive) -> None:
        """Attach a node to the network, or replace what receives for it."""
        self._receivers[node] = receive
        self._lives.setdefault(node, 0)

    def after(self, delay_ms: int, action: Action, owner: int | None = None) -> None:
        """Do something later, unless its owner has crashed by then, even if it is up again."""
        self._sequence += 1
        life = self._lives.get(owner, 0) if owner is not None else 0
        entry = (self.now_ms + delay_ms, self._sequence, owner, life, action)
        heapq.heappush(self._heap, entry)

    def send(self, sender: int, receiver: int, data: bytes) -> None:
        """Put a message on the network, which may lose, delay or double it."""
        copies = 1 + self._chance(self.weather.duplicate_ppm)
        for _ in range(copies):
            if not self._chance(self.weather.loss_ppm):
                delay_ms = self.between(*self.weather.delay_ms)
                self.after(delay_ms, lambda: self._deliver(sender, receiver, data))

    def broadcast(self, sender: int, data: bytes) -> None:
        """Send to every other node."""
        for receiver in self._receivers:
            if receiver != sender:
                self.send(sender, receiver, data)

    def split(self, *groups: Iterable[int]) -> None:
        """Let messages pass only inside a group; nodes in no group form one more."""
        self._group = {node: index for index, group in enumerate(groups) for node in group}

    def heal(self) -> None:
        """End the partition."""
        self._group = {}

    def crash(self, node: int) -> None:
        """Take a node down at once; what is under way to it while it is down is lost."""
        self.note("crash", node)
        self._down.add(node)
        self._lives[node] += 1

    def restart(self, node: int) -> None:
        """Bring a node up again; its memory is its own affair."""
        self.note("restart", node)
        self._down.discard(node)

    def is_up(self, node: int) -> bool:
        """Whether a node is running."""
        return node not in self._down

    def note(self, *facts: object) -> None:
        """Make facts part of the trace."""
        self._trace.update(repr((self.now_ms, facts)).encode())

    def run(self, limit_ms: int, done: Callable[[], bool] = lambda: False) -> bool:
        """Let things happen until `done`, or until nothing is left or the time is up."""
        while not done():
            if not self._heap or self._heap[0][0] > limit_ms:
                return False
            self.now_ms, _, owner, life, action = heapq.heappop(self._heap)
            if owner is None or (self._lives.get(owner, 0) == life and self.is_up(owner)):
                action()
        return True

    def _deliver(self, sender: int, receiver: int, data: bytes) -> None:
        parted = self._group.get(sender) != self._group.get(receiver)
        if parted or not self.is_up(receiver):
            return
        self.delivered += 1
        self.note(sender, receiver, blake2b(data, digest_size=8).hexdigest())
        self._receivers[receiver](sender, data)

    def _chance(self, ppm: int) -> bool:
        return ppm > 0 and self._chances.below(1_000_000) < ppm
