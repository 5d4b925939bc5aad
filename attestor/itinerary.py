"""What an attestor has to do in one challenge: each visit with everything that it needs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attestor.disguise import Disguise, Habit, put_on, visit_seed
from audit.evidence import Target
from audit.plan import VisitPlan
from chain.challenge_records import ChallengeRecord, DrawnContract, DrawRecord
from chain.challenges.judging import target_of
from chain.endpoint import Endpoint
from chain.records import FeedRecord, Registration
from wire import vrf
from wire.prng import Stream

VISIT_BYTES = 4 << 20
"""What an attestor may fetch in one visit to hide its planned chunks, unless it is told otherwise:
ten of them cost a hoster 40 MiB a challenge at most, beside the planned chunks of larger feeds."""

LEAST_RATE = 128 << 10
"""Bytes per second below which a hoster is too slow."""

BASE_S = 15
"""Time for all that does not grow with the bytes: to connect, to prove the head, to think."""

CONTROLS = 3
"""Hosters of other operators that are tried before an attestor calls its own line dead."""


@dataclass(frozen=True, slots=True)
class Control:
    """A chunk that somebody else is known to hold, and where."""

    endpoint: Endpoint
    feed: bytes
    chunk: int


@dataclass(frozen=True, slots=True)
class VisitTask:
    """Everything that one visit needs to know."""

    network: bytes
    challenge: bytes
    attestor: bytes
    target: Target
    plan: VisitPlan
    coin: bytes
    disguise: Disguise
    room_bytes: int
    """How much the visit may fetch to hide its planned chunks."""
    opened_ms: int
    """Block time at which the visiting window opened."""
    byte_length: int
    """Of the feed, when the challenge was drawn."""
    endpoint: Endpoint
    elsewhere: tuple[Endpoint, ...]
    """Other peers that have the feed: asked only for what the visit left open."""
    controls: tuple[Control, ...] = ()
    """What other hosters of the draw hold, tried when the fault may be our own."""

    @property
    def chunk_bytes(self) -> int:
        """Of a chunk of the feed, on average."""
        return self.byte_length // self.target.length

    @property
    def allowance_ms(self) -> int:
        """How long a hoster may take that is not too slow."""
        whole = self.disguise.habit is not Habit.LOOKUPS
        size = self.byte_length if whole else len(self.disguise.lookups) * self.chunk_bytes
        return BASE_S * 1_000 + size * 1_000 // LEAST_RATE


def tasks_of(
    network: bytes,
    record: ChallengeRecord,
    draw: DrawRecord,
    attestor: bytes,
    coin: bytes,
    proof: bytes,
    plans: Sequence[VisitPlan],
    registrations: Mapping[bytes, Registration],
    feeds: Mapping[bytes, FeedRecord],
    room_bytes: int,
) -> tuple[VisitTask, ...]:
    """The visits of one member, in the order of its plans; `proof` is its VRF's over the coin."""
    drawn_of = {drawn.contract: drawn for drawn in draw.eligible}
    tasks = []
    for plan in plans:
        drawn = drawn_of[plan.contract]
        others = [other for other in draw.eligible if other.hoster != drawn.hoster]
        elsewhere = [
            registrations[other.hoster].endpoint for other in others if other.feed == drawn.feed
        ]
        seed = visit_seed(vrf.output(proof), plan.contract)
        head = drawn.head
        tasks.append(
            VisitTask(
                network=network,
                challenge=record.challenge,
                attestor=attestor,
                target=target_of(drawn),
                plan=plan,
                coin=coin,
                disguise=put_on(seed, plan.indices, head.length, head.byte_length, room_bytes),
                room_bytes=room_bytes,
                opened_ms=record.window_opened_ms,
                byte_length=head.byte_length,
                endpoint=registrations[drawn.hoster].endpoint,
                elsewhere=(*elsewhere, feeds[drawn.feed].source),
                controls=_controls(seed, drawn, others, registrations, feeds),
            )
        )
    return tuple(tasks)


def _controls(
    seed: bytes,
    drawn: DrawnContract,
    others: Sequence[DrawnContract],
    registrations: Mapping[bytes, Registration],
    feeds: Mapping[bytes, FeedRecord],
) -> tuple[Control, ...]:
    """A random chunk of each of some other operators, and of who published the target's feed.

    Operators are drawn, not contracts or hosters: who runs most of these refuses all of them
    together. Where there is no other operator there is nothing to compare with.
    """
    stream = Stream(seed, b"controls")

    def operator(contract: DrawnContract) -> bytes:
        name = registrations[contract.hoster].operator.encode()
        return b"named " + name if name else contract.hoster

    of_operator = {operator(other): other for other in stream.shuffle(others)}
    of_operator.pop(operator(drawn), None)
    chosen = [of_operator[name] for name in stream.shuffle(sorted(of_operator))[:CONTROLS]]
    places = [(registrations[other.hoster].endpoint, other) for other in chosen]
    if places:
        places.append((feeds[drawn.feed].source, drawn))
    return tuple(
        Control(endpoint, other.feed, stream.below(other.head.length)) for endpoint, other in places
    )
