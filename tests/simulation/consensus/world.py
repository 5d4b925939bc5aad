"""Validators in one thread, with a clock, a net and disks that fail as a seed says.

The core is the real one, and so are ledger, signatures and rules; only time, delivery and disks
are made here. The same seed gives the same trace, whatever Python's hash seed is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from heapq import heappop, heappush
from random import Random

from chain.blocks import FinalBlock
from chain.consensus.engine import Engine, Keys, Remembered
from chain.consensus.gossip import Gossip, Range, Transactions, WantRange
from chain.consensus.output import Now, Output
from chain.consensus.port import Decided
from chain.genesis import Genesis, Parameters
from chain.ledger import Ledger
from chain.mempool import Mempool
from chain.messages import SignedTransaction
from chain.transition import genesis_state
from tests.people import PARAMETERS, START_MS, Person, genesis, genesis_validator
from wire.codec import decode, encode
from wire.errors import HoldfastError, Malformed
from wire.keys import Use

DELAY_MS = 1_000


@dataclass(frozen=True)
class Weather:
    """How the net treats messages, until it calms down."""

    delay_ms: tuple[int, int] = (10, 60)
    loss_ppm: int = 0
    duplicate_ppm: int = 0


CALM = Weather()


@cache
def people(count: int) -> tuple[Person, ...]:
    return tuple(Person(f"validator {number}") for number in range(count))


@cache
def network(count: int, term_blocks: int = 1_000, interval_ms: int = 200) -> Genesis:
    parameters = PARAMETERS.model_copy(
        update={
            "block_interval_ms": interval_ms,
            "network_delay_ms": DELAY_MS,
            "term_blocks": term_blocks,
        }
    )
    made = genesis(Parameters.model_validate(parameters.model_dump()))
    return made.model_copy(
        update={"validators": tuple(genesis_validator(person) for person in people(count))}
    )


@dataclass
class Disk:
    """What a node has written: records that are on the disk, and those that are on their way."""

    spoken: list[bytes] = field(default_factory=list)
    final: list[Decided] = field(default_factory=list)


class Node:
    """One validator; subclasses lie."""

    def __init__(self, world: "World", place: int) -> None:
        self.world = world
        self.place = place
        self.person = people(world.count)[place]
        self.peer = self.person.key(Use.SWARM).public
        self.disk = Disk()
        self.skew_ms = 0
        self.alive = False
        self.alarm = 0
        self.engine: Engine
        self.ledger: Ledger
        self.pool: Mempool
        self.remembered = Remembered()
        self.faults: list[object] = []

    def start(self) -> None:
        self.alive = True
        state = genesis_state(self.world.genesis)
        self.ledger = Ledger(self.world.genesis, state, None)
        for decided in self.disk.final:
            self.ledger.commit(self.ledger.validate(decided.prepared.block))
        self.pool = Mempool()
        keys = Keys(self.person.key(Use.VALIDATOR), self.person.key(Use.VRF))
        self.engine = Engine(self.world.genesis, self.ledger, keys, self.choose, self.remembered)
        self.engine.start(self.now)
        self.act()

    @property
    def now(self) -> Now:
        return Now(self.world.ms, START_MS + self.world.ms + self.skew_ms)

    def choose(self, without: frozenset[bytes]) -> tuple[SignedTransaction, ...]:
        chosen = self.pool.select(100, 1 << 20)
        return tuple(s for s in chosen if s.transaction.id not in without)

    def hear(self, peer: bytes, message: object) -> None:
        if not self.alive:
            return
        try:
            if isinstance(message, WantRange):
                self.send(peer, self.range(message))
            elif isinstance(message, Transactions):
                for signed in message.transactions:
                    self.accept(signed)
            else:
                self.engine.receive(peer, message, self.now)
        except Malformed as malformed:
            self.world.refused.append((self.place, str(malformed)))
        self.act()

    def accept(self, signed: SignedTransaction) -> None:
        try:
            self.pool.add(signed, self.ledger.check)
        except HoldfastError:
            pass

    def range(self, want: WantRange) -> Range:
        blocks = self.disk.final[want.from_height - 1 : want.from_height - 1 + 50]
        while blocks and blocks[-1].certificate is None:
            blocks.pop()
        return Range(
            from_height=want.from_height,
            blocks=tuple(
                FinalBlock(block=d.prepared.block, certificate=d.certificate) for d in blocks
            ),
        )

    def act(self) -> None:
        """Do what the engine says, and wake it when it wants."""
        self.perform(self.engine.output.take())
        at = max(self.engine.wake_at(self.now), self.world.ms + 1)
        self.alarm += 1
        alarm = self.alarm
        self.world.at(at, lambda: self.wake(alarm))

    def wake(self, alarm: int) -> None:
        if self.alive and alarm == self.alarm:
            self.engine.tick(self.now)
            self.act()

    def perform(self, output: Output) -> None:
        self.faults += output.faults
        for decided in output.final:
            self.disk.final.append(decided)
            self.pool.settle(
                decided.prepared.block.transactions, self.ledger.height, self.ledger.check
            )
        for peer, message in output.say:
            if peer is None:
                for node in self.world.nodes:
                    if node is not self:
                        self.send(node.peer, message)
            else:
                self.send(peer, message)

    def send(self, peer: bytes, message: object) -> None:
        self.world.deliver(self, peer, message)


class World:
    def __init__(self, seed: int, count: int = 4, **options: int) -> None:
        self.random = Random(seed)
        self.count = count
        self.genesis = network(count, **options)
        self.ms = 0
        self.nodes = [Node(self, place) for place in range(count)]
        self.weather = CALM
        self.refused: list[tuple[int, str]] = []
        self.trace = blake2b(digest_size=16)
        self.messages = 0
        self.blocked: set[tuple[int, int]] = set()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, ms: int, event: Callable[[], None]) -> None:
        self._number += 1
        heappush(self._events, (ms, self._number, event))

    def deliver(self, sender: Node, peer: bytes, message: object) -> None:
        target = next(node for node in self.nodes if node.peer == peer)
        weather = self.weather
        copies = 1 + (self.random.randrange(1_000_000) < weather.duplicate_ppm)
        data = encode(message)
        for _ in range(copies):
            if self.random.randrange(1_000_000) < weather.loss_ppm:
                continue
            if (sender.place, target.place) in self.blocked:
                continue
            at = self.ms + self.random.randint(*weather.delay_ms)
            self.at(at, lambda: self._arrive(sender, target, data))

    def _arrive(self, sender: Node, target: Node, data: bytes) -> None:
        self.messages += 1
        self.trace.update(b"%d %d %d " % (self.ms, sender.place, target.place) + data)
        target.hear(sender.peer, decode(Gossip, data))

    def run(self, until_ms: int) -> None:
        while self._events and self._events[0][0] <= until_ms:
            self.ms, _, event = heappop(self._events)
            event()
        self.ms = until_ms
