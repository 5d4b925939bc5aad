"""One simulated validator: the real core, ledger and pool, on a disk that can lose and tear."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from chain.blocks import Block, FinalBlock, Header
from chain.consensus.engine import Engine, Keys, Remembered
from chain.consensus.gossip import Range, Transactions, WantRange
from chain.consensus.output import Now, Output
from chain.consensus.port import Decided, Prepared
from chain.ledger import MAX_BLOCK_BYTES, Ledger
from chain.messages import SignedTransaction
from chain.node.mempool import Mempool
from chain.runs import BlockRun
from chain.state import State
from chain.transition import genesis_state
from chain.votes import Certificate, SignedVote
from tests.people import START_MS, Person
from wire.codec import Message
from wire.errors import HoldfastError, Malformed
from wire.keys import Use

if TYPE_CHECKING:
    from tests.simulation.consensus.world import World

RANGE_BLOCKS = 20
"""Final blocks in one answer: few, so that catching up takes several."""

Said = SignedVote | Block | Certificate


@dataclass
class Disk:
    """What survives a crash."""

    state: State
    tip: Header | None = None
    final: list[FinalBlock] = field(default_factory=list)
    spoken: list[Said] = field(default_factory=list)
    pool: list[SignedTransaction] = field(default_factory=list)
    votes_from_term: int = 0
    begun: bool = True
    """Whether there is a log of votes: who joins a network begins one, who finds none lost it."""

    def store(self, decided: Decided) -> None:
        draft, block = decided.prepared.draft, decided.prepared.block
        for key, record in draft.changes.items():
            if record is None:
                self.state.records.pop(key, None)
            else:
                self.state.records[key] = record
        self.state.tree = draft.tree
        self.tip = block.header
        self.final.append(FinalBlock(block=block, certificate=decided.certificate))

    def copy_of_state(self) -> State:
        copy = State()
        copy.records, copy.tree = dict(self.state.records), self.state.tree
        return copy


def in_range(blocks: Sequence[FinalBlock]) -> Range:
    """An answer with just these blocks, each final by itself or by one after it."""
    run = BlockRun(blocks=tuple(blocks), descendants=(), certificate=None, height=len(blocks))
    return Range(run=run)


class Node:
    """An honest validator. Subclasses are not."""

    honest = True

    def __init__(self, world: "World", place: int, person: Person) -> None:
        self.world = world
        self.place = place
        self.number = place
        """In the simulation, where a validator may run twice."""
        self.person = person
        self.peer = person.key(Use.SWARM).public
        self.account = person.id
        self.disk = Disk(genesis_state(world.genesis))
        self.skew_ms = 0
        self.alive = False
        self.life = 0
        """Counts restarts: what was planned in an earlier life does not happen."""
        self.engine: Engine
        self.ledger: Ledger
        self.pool: Mempool
        self._alarm_ms = -1
        self._term = 0
        self._steps: deque[Callable[[], None]] = deque()
        self._writing: list[Said] = []
        self._busy = False

    @property
    def now(self) -> Now:
        return Now(self.world.ms, START_MS + self.world.ms + self.skew_ms)

    # Life and death

    def start(self) -> None:
        self.alive = True
        self.life += 1
        self._alarm_ms = -1
        self._steps, self._writing, self._busy = deque(), [], False
        disk = self.disk
        self.ledger = Ledger(self.world.genesis, disk.copy_of_state(), disk.tip)
        self.pool = Mempool()
        for signed in disk.pool:
            self._admit(signed)
        keys = Keys(self.person.key(Use.VALIDATOR), self.person.key(Use.VRF))
        self.engine = Engine(self.world.genesis, self.ledger, keys, self.choose, self._recall())
        self._term = self.ledger.validators.term
        self.engine.start(self.now)
        self.act()

    def _recall(self) -> Remembered:
        spoken = self.disk.spoken
        return Remembered(
            spoken=tuple(one for one in spoken if isinstance(one, SignedVote)),
            blocks=tuple(one for one in spoken if isinstance(one, Block)),
            certificates=tuple(one for one in spoken if isinstance(one, Certificate)),
            votes_from_term=self.disk.votes_from_term,
            fresh=not self.disk.begun and not spoken,
        )

    def crash(self, kept: int = 0) -> None:
        """Lose what is not on the disk, but for some records that just made it."""
        self.disk.spoken += self._writing[:kept]
        self.alive = False
        self.world.note("crash", self.place)

    def tear(self) -> None:
        """Find the log of votes damaged, while it is down."""
        disk = self.disk
        term = Ledger(self.world.genesis, disk.state, disk.tip).validators.term
        disk.spoken, disk.votes_from_term = [], term + 1

    def wipe(self) -> None:
        """Lose the whole disk, while it is down."""
        self.disk = Disk(genesis_state(self.world.genesis), begun=False)

    # What comes in

    def choose(self, without: frozenset[bytes]) -> tuple[SignedTransaction, ...]:
        return self.pool.select(100, MAX_BLOCK_BYTES, without)

    def hear(self, peer: bytes, message: Message) -> None:
        match message:
            case WantRange():
                self.tell(peer, self.range(message))
            case Transactions():
                for signed in message.transactions:
                    self._admit(signed)
            case _:
                self.engine.receive(peer, message, self.now)  # type: ignore[arg-type]

    def receive(self, peer: bytes, message: Message) -> str:
        """Take a message in; why it was refused, or ""."""
        why = ""
        try:
            self.hear(peer, message)
        except Malformed as malformed:
            why = str(malformed) or "malformed"
        self.act()
        return why

    def submit(self, signed: SignedTransaction) -> bool:
        """A client's transaction: kept over a crash, and passed on."""
        if not self.alive or not self._admit(signed):
            return False
        self.disk.pool.append(signed)
        self.say([(None, Transactions(transactions=(signed,)))])
        return True

    def _admit(self, signed: SignedTransaction) -> bool:
        try:
            self.pool.add(signed, self.ledger.check)
        except HoldfastError:
            return False
        return True

    def range(self, want: WantRange) -> Range:
        first = want.range.from_height - 1
        blocks = self.disk.final[first : first + RANGE_BLOCKS]
        while blocks and blocks[-1].certificate is None:
            blocks.pop()
        return in_range(blocks)

    # What goes out

    def act(self) -> None:
        """Do what the engine says, and wake it when it wants."""
        self.perform(self.engine.output.take())
        at_ms = max(self.engine.wake_at(self.now), self.world.ms + 1)
        if self._alarm_ms < self.world.ms or at_ms < self._alarm_ms:
            self._alarm_ms = at_ms
            self.world.at(at_ms, partial(self._wake, at_ms, self.life))

    def _wake(self, at_ms: int, life: int) -> None:
        if self.alive and life == self.life and at_ms == self._alarm_ms:
            self._alarm_ms = -1
            self.engine.tick(self.now)
            self.act()

    def perform(self, output: Output) -> None:
        """As the shell: what is said must be on the disk, and a term's end before the next."""
        self.world.oracle.observe(self, output)
        ended, self._term = self._term != self.engine.core.term, self.engine.core.term
        store = [partial(self._store, output)] if output.final else []
        write = [partial(self._write, output.keep)] if output.keep else []
        say = [partial(self.say, output.say)] if output.say else []
        self._steps += (*store, *write, *say) if ended else (*write, *say, *store)
        self._go_on()

    def _go_on(self) -> None:
        while self._steps and not self._busy:
            self._steps.popleft()()

    def _store(self, output: Output) -> None:
        for decided in output.final:
            self.disk.store(decided)
            self.world.oracle.stored(self, decided)
        included = [s for one in output.final for s in one.prepared.block.transactions]
        names = {signed.transaction.id for signed in included}
        self.disk.pool = [s for s in self.disk.pool if s.transaction.id not in names]
        self.pool.settle(included, self.ledger.height, self.ledger.check_again)
        self.pool.give_back(output.returned, self.ledger.check_again)

    def _write(self, records: list[Said]) -> None:
        self._busy, self._writing = True, records
        self.world.after(self.world.disk_ms(), partial(self._written, self.life))

    def _written(self, life: int) -> None:
        if life == self.life and self.alive:
            self.disk.spoken += self._writing
            self._busy, self._writing = False, []
            self._go_on()

    def say(self, messages: Iterable[tuple[bytes | None, Message]]) -> None:
        for peer, message in messages:
            self.world.oracle.hear(self, message)
            if peer is None:
                for other in self.world.peers:
                    if other != self.peer:
                        self.tell(other, message)
            else:
                self.tell(peer, message)

    def tell(self, peer: bytes, message: Message) -> None:
        self.world.deliver(self, peer, message)

    # For adversaries and tests

    def prepared(self, block: bytes) -> Prepared | None:
        return self.ledger.prepared(block)
