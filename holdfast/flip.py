"""A real coin flip between peers of this process, over loopback Noise connections.

Each peer is whole: keys, a listener, an encrypted connection to every other, a session. The
chain is not: a `Bulletin` stands in for it. Attestors use the chain itself
(`attestor.flip_service`) and keep their logs on disk; here the logs are in memory.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import blake2b
from itertools import takewhile
from time import perf_counter

from coinflip.events import Landed, Malicious, Outcome, Phase
from coinflip.opening import topic_id
from coinflip.seat import Seat, derive_seat
from coinflip.service import Members
from coinflip.session import Patience, Session
from holdfast.bulletin import Bulletin, MuteBulletin
from holdfast.flip_faults import Fault, FaultyMembers, misdealing
from swarm.service import Swarm, Topic, open_swarm
from wire.errors import Unavailable
from wire.keys import KeyPair, Use

MAX_PEERS = 20
"""They share one core; of more, times would tell of this process and not of the protocol."""

MIN_MEMBERS = 2
ATTEMPTS = 4
"""As many as a challenge on the chain has by default."""

HOST = "127.0.0.1"
NETWORK = blake2b(b"holdfast flip: a network of one process", digest_size=32).digest()
CHALLENGE = bytes(32)

DEADLINE_S = 4.0
"""What the bulletin gives an attempt to be sealed; honest peers need a small part of it."""

PATIENCE = Patience(
    commit_s=DEADLINE_S,
    deal_s=DEADLINE_S,
    reveal_s=0.5,
    recover_s=5.0,
    confirm_s=2.0,
    stall_s=1.0,
)
"""On loopback, whoever has been silent for half a second is silent."""

CONNECT_TIMEOUT_S = 30.0
"""For all peers to reach and measure each other; it takes about a second."""

Watch = Callable[[int, Phase], None]
"""Told that the peer of this number has entered this phase."""


class Peer:
    """One peer: its number, from 1, what follows from its seed, and its fault if it has one."""

    def __init__(self, number: int, master: bytes, fault: Fault | None = None) -> None:
        self.number = number
        self.master = master
        self.fault = fault
        self.account = KeyPair.derive(master, Use.ACCOUNT).public
        self.swarm_key = KeyPair.derive(master, Use.SWARM)
        self.swarm: Swarm


def make_peers(seed: bytes, count: int, faults: Sequence[Fault] = ()) -> list[Peer]:
    """Peers whose keys follow from 32 bytes; the last ones have the faults, in their order."""
    assert len(faults) < count, "somebody must be honest"
    honest: list[Fault | None] = [None] * (count - len(faults))
    return [
        Peer(number, blake2b(bytes([number]), key=seed, digest_size=32).digest(), fault)
        for number, fault in enumerate((*honest, *faults), start=1)
    ]


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt went for the honest peers. Peers are named by number, phases by name."""

    members: tuple[int, ...]
    exit: int
    """1: the coin landed; 2: someone was silent too long; 3: guilt was proven before the seal."""
    coin: bytes | None
    recovered: tuple[int, ...]
    withheld: tuple[int, ...]
    """Those recovered of whom no honest peer could show a Reveal: on a chain they pay."""
    excluded: tuple[int, ...]
    silent: tuple[int, ...]
    """Whom more than half of the members missed when the time was up."""
    guilty: dict[int, str]
    """The kind of the evidence against each."""
    connect_s: float
    """For all to reach and measure each other, before anyone commits."""
    phases_s: dict[str, float]
    """From the last honest peer through one phase to the last one through the next."""
    finality_s: float
    """How much of that the bulletin took to finalize the seal."""

    @property
    def flip_s(self) -> float:
        """From the first Commit until the last honest peer had ended."""
        return sum(self.phases_s.values())


async def flip(
    peers: Sequence[Peer], attempts: int = ATTEMPTS, watch: Watch = lambda _, __: None
) -> list[Attempt]:
    """Flip until a coin lands, each time without those whom the attempt before found at fault.

    Ends early when fewer than two would be left.
    """
    found: list[Attempt] = []
    members = list(peers)
    async with AsyncExitStack() as stack:
        for peer in peers:
            peer.swarm = await stack.enter_async_context(open_swarm(peer.swarm_key, HOST, 0))
        while len(found) < attempts and len(members) >= MIN_MEMBERS:
            attempt = await _Table(len(found), members, watch).play()
            found.append(attempt)
            if attempt.coin is not None:
                break
            left_out = {*attempt.silent, *attempt.guilty}
            members = [peer for peer in members if peer.number not in left_out]
    return found


class _Log:
    """A flip's log, gone when the process ends."""

    def __init__(self) -> None:
        self._entries: list[bytes] = []

    async def append(self, entry: bytes) -> None:
        self._entries.append(entry)

    async def load(self) -> list[bytes]:
        return list(self._entries)


class _Stopwatch:
    """When each peer was through each phase."""

    def __init__(self) -> None:
        self._through_s: dict[Phase, dict[int, float]] = {phase: {} for phase in Phase}

    def entered(self, peer: int, phase: Phase) -> None:
        """A peer is through all earlier phases, some of which it may have skipped."""
        now_s = perf_counter()
        for earlier in takewhile(lambda each: each is not phase, Phase):
            self._through_s[earlier].setdefault(peer, now_s)

    def durations(self, began_s: float) -> dict[str, float]:
        """From the last peer through one phase to the last one through the next."""
        found = {}
        for phase, through_s in self._through_s.items():
            if through_s:
                last_s = max(through_s.values())
                found[phase.value] = last_s - began_s
                began_s = last_s
        return found


class _Table:
    """One attempt."""

    def __init__(self, attempt: int, members: Sequence[Peer], watch: Watch) -> None:
        self._members = members
        self._honest = [peer for peer in members if peer.fault is None]
        self._watch = watch
        self._keys = tuple(sorted(peer.account for peer in members))
        self._number_of = {peer.account: peer.number for peer in members}
        self._topic = topic_id(NETWORK, CHALLENGE, attempt, self._keys, 0)
        self._bulletin = Bulletin(NETWORK, self._topic, self._keys, DEADLINE_S)
        self._stopwatch = _Stopwatch()
        self._missed: Counter[bytes] = Counter()
        self._revealed: set[bytes] = set()

    async def play(self) -> Attempt:
        """Connect, flip, and part."""
        places = {peer.swarm_key.public: (HOST, peer.swarm.listener.port) for peer in self._members}
        began_s = perf_counter()
        topics = [peer.swarm.join(self._topic, places) for peer in self._members]
        try:
            await _connected(topics)
            connected_s = perf_counter()
            outcomes = await self._flip(topics)
        finally:
            for topic in topics:
                topic.leave()
        return self._describe(outcomes, connected_s - began_s, connected_s)

    async def _flip(self, topics: Sequence[Topic]) -> list[Outcome]:
        """How it ended for each honest peer. The others are stopped then; all vote on absence."""
        sessions = {
            peer.number: self._session(peer, topic)
            for peer, topic in zip(self._members, topics, strict=True)
        }
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(session.run()) for session in sessions.values()]
            outcomes = [await sessions[peer.number].outcome() for peer in self._honest]
            self._missed.update(key for each in sessions.values() for key in each.missing)
            self._revealed.update(*(sessions[peer.number].revealed for peer in self._honest))
            for task in running:
                task.cancel()
        return outcomes

    def _session(self, peer: Peer, topic: Topic) -> Session:
        seat: Seat = derive_seat(peer.master, NETWORK, self._topic, self._keys)
        seat = misdealing(seat, peer.fault)
        transport = FaultyMembers(topic, seat, peer.fault) if peer.fault else Members(topic)
        mute = peer.fault is Fault.REFUSE
        bulletin = MuteBulletin(self._bulletin) if mute else self._bulletin
        self._watch(peer.number, Phase.COMMIT)
        return Session(
            seat, transport, bulletin, _Log(), PATIENCE, lambda phase: self._entered(peer, phase)
        )

    def _entered(self, peer: Peer, phase: Phase) -> None:
        self._watch(peer.number, phase)
        if peer.fault is None:
            self._stopwatch.entered(peer.number, phase)

    def _describe(self, outcomes: list[Outcome], connect_s: float, began_s: float) -> Attempt:
        landed = next((each for each in outcomes if isinstance(each, Landed)), None)
        coins = {each.coin for each in outcomes if isinstance(each, Landed)}
        assert len(coins) <= 1, "two coins"
        proven = any(isinstance(each, Malicious) for each in outcomes)
        majority = len(self._members) // 2 + 1
        return Attempt(
            members=tuple(peer.number for peer in self._members),
            exit=1 if landed else 3 if proven else 2,
            coin=landed.coin if landed else None,
            recovered=self._numbers(landed.recovered if landed else ()),
            withheld=self._numbers({*landed.recovered} - self._revealed if landed else ()),
            excluded=self._numbers(landed.excluded if landed else ()),
            silent=self._numbers(
                key
                for key, votes in self._missed.items()
                if votes >= majority and not landed and not proven
            ),
            guilty={
                self._number_of[key]: evidence.kind
                for key, evidence in sorted(self._bulletin.guilty.items())
            },
            connect_s=connect_s,
            phases_s=self._stopwatch.durations(began_s),
            finality_s=self._bulletin.finality_s,
        )

    def _numbers(self, keys: Iterable[bytes]) -> tuple[int, ...]:
        return tuple(sorted(self._number_of[key] for key in keys))


async def _connected(topics: Sequence[Topic]) -> None:
    """Wait until all have reached and measured all, as attestors do on the way to a flip."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            for topic in topics:
                while not _is_settled(topic):  # noqa: ASYNC110 - a topic tells of neither
                    await asyncio.sleep(0.005)
    except TimeoutError:
        raise Unavailable(f"peers did not connect within {CONNECT_TIMEOUT_S:.0f} s") from None


def _is_settled(topic: Topic) -> bool:
    figures = topic.measurements()
    measured = {peer for peer, each in figures.items() if each.bytes_per_s}
    return topic.connected >= topic.members and measured >= topic.members
