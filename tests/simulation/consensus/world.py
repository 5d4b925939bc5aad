"""Validators in one thread, with a clock, a net and disks that fail as a seed says.

The core is the real one, and so are ledger, pool, signatures and rules; only time, delivery and
disks are made here. The same seed gives the same trace, whatever Python's hash seed is.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from hashlib import blake2b
from heapq import heappop, heappush
from random import Random

from chain.genesis import Genesis, GenesisBalance, Parameters
from tests.people import BALANCE, PARAMETERS, Person, genesis, genesis_validator
from tests.simulation.consensus.fast import Shared
from tests.simulation.consensus.node import Node
from tests.simulation.consensus.oracle import Oracle
from wire.codec import Message
from wire.errors import Malformed

DELAY_MS = 500
INTERVAL_MS = 500

Event = Callable[[], None]


@dataclass(frozen=True)
class Weather:
    """How the net treats messages, until it calms down."""

    delay_ms: tuple[int, int] = (10, 60)
    loss_ppm: int = 0
    duplicate_ppm: int = 0


CALM = Weather()
STORM = Weather(delay_ms=(10, 700), loss_ppm=150_000, duplicate_ppm=100_000)


@cache
def people(count: int) -> tuple[Person, ...]:
    return tuple(Person(f"validator {number}") for number in range(count))


@cache
def network(count: int, term_blocks: int = 1_000, clearing_ms: int = 0) -> Genesis:
    parameters = PARAMETERS.model_copy(
        update={
            "block_interval_ms": INTERVAL_MS,
            "network_delay_ms": DELAY_MS,
            "term_blocks": term_blocks,
            "clearing_ms": clearing_ms,
            "transaction_lifetime_blocks": 100_000,
            "jail_blocks": 0,  # who is made to fail most of its views serves on
        }
    )
    made = genesis(Parameters.model_validate(parameters.model_dump()))
    coins = (
        GenesisBalance(account=person.id, balance_base=BALANCE) for person in people(count + 1)
    )
    return made.model_copy(
        update={
            "validators": tuple(genesis_validator(person) for person in people(count)),
            "balances": (*made.balances, *coins),
        }
    )


class World:
    """All validators of a network, and all that happens among them."""

    def __init__(
        self,
        seed: int,
        count: int = 4,
        villains: Mapping[int, type[Node]] | None = None,
        doubled: Iterable[int] = (),
        joiners: int = 0,
        **options: int,
    ) -> None:
        self.seed = seed
        self.genesis = network(count, **options)
        self.ms = 0
        self.events = 0
        self.weather = CALM
        self.disk_delay_ms = (0, 5)
        self.shared = Shared()
        self.oracle = Oracle(self)
        kinds = villains or {}
        self.people = people(count + joiners)
        self.nodes = [
            kinds.get(place, Node)(self, place, person) for place, person in enumerate(self.people)
        ]
        self.peers = [node.peer for node in self.nodes]
        for place in doubled:
            self.nodes.append(kinds[place](self, place, self.people[place]))
        for number, node in enumerate(self.nodes):
            node.number = number
        self.pauses = self.chances("clients")
        self._net = self.chances("net")
        self._disks = self.chances("disks")
        self._groups: dict[int, int] = {}
        self._trace = blake2b(digest_size=16)
        self._heap: list[tuple[int, int, Event]] = []
        self._number = 0

    def chances(self, what: str) -> Random:
        """Random numbers of one concern: more of one do not shift another."""
        return Random(f"{what} {self.seed}")

    @property
    def trace(self) -> str:
        """A hash of all that happened so far."""
        return self._trace.hexdigest()

    @property
    def honest(self) -> list[Node]:
        return [node for node in self.nodes if node.honest]

    def note(self, *facts: object) -> None:
        self._trace.update(repr((self.ms, facts)).encode())

    # Time

    def at(self, ms: int, event: Event) -> None:
        self._number += 1
        heappush(self._heap, (ms, self._number, event))

    def after(self, ms: int, event: Event) -> None:
        self.at(self.ms + ms, event)

    def run(self, until_ms: int, done: Callable[[], bool] = lambda: False) -> bool:
        """Let things happen until it is done, or too late."""
        while not done():
            if not self._heap or self._heap[0][0] > until_ms:
                self.ms = until_ms
                return False
            self.ms, _, event = heappop(self._heap)
            self.events += 1
            event()
        return True

    def start(self) -> "World":
        for node in self.nodes:
            node.start()
        return self

    # Net and disks

    def disk_ms(self) -> int:
        return self._disks.randint(*self.disk_delay_ms)

    def split(self, *groups: Iterable[int]) -> None:
        """Let messages pass only inside a group; who is in none forms one more."""
        self._groups = {node: number for number, group in enumerate(groups) for node in group}
        self.note("split", sorted(self._groups.items()))

    def heal(self) -> None:
        self._groups = {}
        self.note("heal")

    def deliver(self, sender: Node, peer: bytes, message: Message) -> None:
        self.send(sender, peer, self.shared.encode(message))

    def send(self, sender: Node, peer: bytes, data: bytes) -> None:
        """Put bytes on the net, which may lose, delay or double them."""
        weather, net = self.weather, self._net
        for target in self.nodes:
            apart = self._groups.get(sender.number) != self._groups.get(target.number)
            if target.peer != peer or apart:
                continue
            for _ in range(1 + (net.randrange(1_000_000) < weather.duplicate_ppm)):
                if net.randrange(1_000_000) >= weather.loss_ppm:
                    delay_ms = net.randint(*weather.delay_ms)
                    self.after(delay_ms, partial(self._arrive, sender, target, data))

    def _arrive(self, sender: Node, target: Node, data: bytes) -> None:
        if not target.alive:
            return
        self._trace.update(b"%d %d %d " % (self.ms, sender.place, target.place))
        self._trace.update(data)
        try:
            message = self.shared.decode(data)
        except Malformed as malformed:
            self.oracle.refused(sender, target, str(malformed))
            return
        if why := target.receive(sender.peer, message):
            self.oracle.refused(sender, target, why)
