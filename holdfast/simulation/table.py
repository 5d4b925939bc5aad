"""Coin flips inside a `World`: honest members, a chain that seals, and named adversaries."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import ClassVar

from coinflip.events import (
    Broadcast,
    Effect,
    Expired,
    Input,
    Landed,
    Malicious,
    Offline,
    Outcome,
    Phase,
    Received,
    Save,
    Sealed,
    Stalled,
    Start,
    SubmitSeal,
)
from coinflip.evidence import Slot, slot_of, verify_evidence
from coinflip.flip import resume, step
from coinflip.messages import Body, Evidence, Ping, Pong, Reveal, Share, Signed
from coinflip.opening import open_coin, topic_id, verify_seal
from coinflip.seat import Seat, derive_seat
from coinflip.state import Flip
from holdfast.simulation.world import Weather, World
from wire.codec import Message, decode, encode
from wire.errors import Malformed
from wire.keys import KeyPair, Use

NETWORK = sha256(b"the simulated network").digest()
STALL_MS = 250
PATIENCE_MS = {
    Phase.COMMIT: 8_000,
    Phase.DEAL: 8_000,
    Phase.REVEAL: 2_000,
    Phase.RECOVER: 8_000,
    Phase.CONFIRM: 2_000,
}
SEAL_DEADLINE_MS = 20_000
CALM_STALL_MS = 1_000
"""How often members repeat themselves where no message is lost: often costs time, not coins."""

LIMIT_MS = 60_000
AFTERMATH_MS = 1_000
"""The flip goes on a little after all have ended: late evidence, late confirmations."""

cached_decode = lru_cache(maxsize=4096)(decode)


def master(seed: int, member: int) -> bytes:
    """The master seed of a simulated operator."""
    return sha256(f"{seed}/{member}".encode()).digest()


def challenge_of(seed: int) -> bytes:
    """The name of the challenge that a seed's flip is for."""
    return sha256(f"challenge {seed}".encode()).digest()


def seats(
    seed: int,
    count: int,
    strict: bool = False,
    attempt: int = 0,
    left_out: Collection[bytes] = (),
) -> list[Seat]:
    """Seats for one attempt of a challenge's flip, in the members' order."""
    masters = {
        KeyPair.derive(master(seed, i), Use.ACCOUNT).public: master(seed, i) for i in range(count)
    }
    members = tuple(sorted(masters.keys() - set(left_out)))
    topic = topic_id(NETWORK, challenge_of(seed), attempt, members, SEAL_DEADLINE_MS)
    return [derive_seat(masters[key], NETWORK, topic, members, strict) for key in members]


class Chain:
    """Finalizes the first good seal before the deadline, and tells everyone, each in its time."""

    def __init__(self, world: World, deadline_ms: int = SEAL_DEADLINE_MS) -> None:
        self.world = world
        self.verdict: Sealed | Expired | None = None
        self.players: list[Player] = []
        world.after(deadline_ms, lambda: self.decide(Expired(phase=Phase.SEAL)))

    def submit(self, seat: Seat, seal: SubmitSeal) -> None:
        """Take a seal transaction; a bad one is a bug of ours."""
        verify_seal(seat.network, seat.topic, seat.members, seal.digest, seal.signatures)
        if self.verdict is None:
            self.decide(Sealed(digest=seal.digest))

    def decide(self, verdict: Sealed | Expired) -> None:
        """Make the first verdict final."""
        if self.verdict is None:
            self.verdict = verdict
            for player in self.players:
                self.inform(player)

    def inform(self, player: "Player") -> None:
        """Let a player that follows the chain see the verdict a little later."""
        verdict = self.verdict
        if verdict is not None:
            delay_ms = self.world.between(20, 800)
            self.world.after(delay_ms, lambda: player.take(verdict), owner=player.name)


@dataclass(eq=False)
class Player:
    """A member that follows the protocol; adversaries override what they do otherwise.

    `crimes` are the kinds of evidence that its way to play can be convicted by, and `absent`
    whether it can be missed when a flip ends offline: blame is exact if no other is ever laid.
    """

    crimes: ClassVar[tuple[type[Message], ...]] = ()
    absent: ClassVar[bool] = False

    world: World
    chain: Chain
    name: int
    seat: Seat
    honest: bool = True
    disk: list[bytes] = field(default_factory=list)
    malformed: int = 0
    stalls: int = 0
    stall_ms: int = STALL_MS
    fuse: int | None = None
    outages_ms: list[int] = field(default_factory=list)
    told: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.flip = Flip(self.seat)
        self.seen: set[bytes] = set()
        self.words: dict[Slot, Body] = {}
        self.world.join(self.name, self.receive)
        self.chain.players.append(self)

    @property
    def key(self) -> bytes:
        """The member's account key."""
        return self.seat.key.public

    def start(self) -> None:
        """Come up, from an empty disk or from what was saved before a crash."""
        self.seen = set()
        self.flip = resume(self.seat, self.disk)
        self._set_timer()
        self._tick()
        self.take(Start())
        self.chain.inform(self)

    def receive(self, _: int, data: bytes) -> None:
        """What the network delivers."""
        if data not in self.seen:
            self.seen.add(data)
            self.take(Received(message=cached_decode(Signed, data)))

    def take(self, given: Input) -> None:
        """Step, and carry the effects out; a burnt fuse kills between two of them."""
        before = self.flip.phase
        try:
            flip, effects = step(self.flip, given)
        except Malformed:
            self.malformed += 1
            return None
        self.flip = flip
        for effect in effects:
            if self.fuse is not None:
                self.fuse -= 1
                if self.fuse < 0:
                    return self._die()
            self.perform(effect)
        if self.flip.phase is not before:
            self.world.note(self.name, self.flip.phase.value)
            self._set_timer()
        return None

    def perform(self, effect: Effect) -> None:
        """Carry out one effect."""
        match effect:
            case Save(entry=entry):
                self.disk.append(entry)
            case Broadcast(message=message):
                self.tell(message)
            case SubmitSeal():
                self.chain.submit(self.seat, effect)
            case Landed() | Offline() | Malicious():
                self.told.append(effect)

    def tell(self, message: Signed) -> None:
        """Send a message to everyone."""
        if self.honest and message.sender == self.key:
            self._check(message.body)
        self.world.broadcast(self.name, encode(message))

    def tell_some(self, message: Signed, receivers: Collection[int]) -> None:
        """Send a message to some only."""
        for receiver in receivers:
            if receiver != self.name:
                self.world.send(self.name, receiver, encode(message))

    def _check(self, body: Body) -> None:
        """No life of an honest member contradicts an earlier one or speaks before the seal."""
        assert self.words.setdefault(slot_of(body), body) == body, "contradicts itself"
        if isinstance(body, Reveal | Share | Ping | Pong):
            assert isinstance(self.chain.verdict, Sealed), "spoke before the seal"

    def _die(self) -> None:
        self.fuse = None
        self.world.crash(self.name)
        outage_ms = self.outages_ms.pop() if self.outages_ms else 300
        self.world.after(outage_ms, self._rise)

    def _rise(self) -> None:
        self.world.restart(self.name)
        self.start()

    def _set_timer(self) -> None:
        phase = self.flip.phase
        if phase in PATIENCE_MS:
            expired = Expired(phase=phase)
            self.world.after(PATIENCE_MS[phase], lambda: self.take(expired), owner=self.name)

    def _tick(self) -> None:
        self.seen.clear()
        self.stalls += 1
        self.take(Stalled(times=self.stalls))
        self.world.after(self.stall_ms, self._tick, owner=self.name)


Cast = Mapping[int, Callable[[World, Chain, int, Seat], Player]]
"""Who plays otherwise than by the rules, by position among the members."""


def sit_down(
    seed: int,
    count: int,
    crooks: Cast | None = None,
    weather: Weather | None = None,
    strict: bool = False,
) -> list[Player]:
    """A world with one flip in it; `crooks` says which members are which adversary."""
    return arrange(seed, seats(seed, count, strict), crooks or {}, weather)


def arrange(
    seed: int,
    seated: Sequence[Seat],
    crooks: Cast,
    weather: Weather | None = None,
    deadline_ms: int = SEAL_DEADLINE_MS,
    stall_ms: int = STALL_MS,
) -> list[Player]:
    """A world with one flip between these seats in it."""
    world = World(seed, weather or Weather())
    chain = Chain(world, deadline_ms)
    players = [
        crooks.get(name, Player)(world, chain, name, seat) for name, seat in enumerate(seated)
    ]
    for player in players:
        player.stall_ms = stall_ms
        world.after(world.between(0, 300), player.start, owner=player.name)
    return players


def play(players: list[Player]) -> None:
    """Let a flip run until every honest member has ended, and check what must always hold."""
    world, honest = players[0].world, [player for player in players if player.honest]
    ended = world.run(LIMIT_MS, lambda: all(player.flip.outcome for player in honest))
    assert ended, f"unfinished: {[(p.name, p.flip.phase) for p in honest]}"
    world.run(world.now_ms + AFTERMATH_MS)
    known = {player.key: player for player in players}
    keys = {player.key for player in honest}
    coins = set()
    for player in honest:
        outcome, seat = player.flip.outcome, player.seat
        for accused, evidence in player.flip.convicted.items():
            assert accused not in keys, "an honest member was accused"
            assert isinstance(evidence, known[accused].crimes), "convicted of what it did not do"
            claim = (seat.network, seat.topic, seat.members)
            assert verify_evidence(*claim, decode(Evidence, encode(evidence))) == accused
        if isinstance(outcome, Offline):
            assert not keys & set(outcome.who), "an honest member was blamed"
            assert all(known[key].absent for key in outcome.who), "a member that spoke was blamed"
        if isinstance(outcome, Landed):
            assert player.flip.digest
            coin = open_coin(seat.topic, seat.members, player.flip.digest, outcome.opening)
            assert coin.value == outcome.coin and coin.excluded == outcome.excluded
            assert not keys & set(coin.excluded)
            coins.add(outcome.coin)
    assert len(coins) <= 1, "two coins"
    exits = {type(player.flip.outcome) for player in honest}
    strict = players[0].seat.strict
    assert strict or Landed not in exits or len(exits) == 1, "some landed and some did not"
