"""How hosters of a simulation answer: each way is what a visitor would see of it."""

from dataclasses import dataclass
from functools import cache

from audit.messages import Outcome
from wire.primitives import tagged_hash
from wire.prng import Stream

MILLION = 1_000_000
ROUND_TRIP_US = 40_000
"""The longest way to a hoster, there and back; each has its own, evenly spread."""

JITTER_US = 8_000
"""By how much visits to one hoster differ."""

SERVICE_US = 2_000
"""To find and send one chunk."""

CHUNK_BYTES = 65_536
LINE_BYTES_PER_S = 8_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """What one visit brought home, as its attestor knows it."""

    outcome: Outcome
    planned: int
    unproven: tuple[int, ...] = ()
    """Planned chunks that did not come, in the order of the plan."""
    fault: bool = False
    connect_us: int = 0
    """Two round trips: TCP's and Noise's."""
    latency_us: int = 0
    bytes: int = 0
    throughput_bytes_per_s: int = 0
    made_up: bool = False
    """Whether digests are shown that nobody made of the chunks' bytes."""

    @property
    def served(self) -> int:
        """Planned chunks that the hoster signed for."""
        return self.planned - len(self.unproven)


@dataclass(frozen=True, slots=True)
class Way:
    """How a hoster behaves. The plain one keeps everything and answers everybody."""

    lost_ppm: int = 0
    """Of each feed's chunks, gone for good."""
    dark: bool = False
    """It answers nobody."""
    dripping: bool = False
    """It sends a byte now and then, until the visitor gives up."""
    relay_us: int = 0
    """It holds nothing and fetches from another hoster, this far away."""
    recognises_ppm: int | None = None
    """It serves only whom it takes for an attestor, and tells one from a reader so often."""
    false_ppm: int = 0
    """Of each feed's chunks, replaced by other bytes, for which it signs."""


@dataclass(frozen=True, slots=True)
class Line:
    """What lies between a visitor and a hoster."""

    loss_ppm: int = 0
    """Of requests that stay without an answer, on an otherwise good line."""


@cache
def missing(contract: bytes, length: int, ppm: int, label: bytes = b"lost") -> frozenset[int]:
    """The chunks of a contract that are gone: so many, anywhere."""
    return frozenset(Stream(contract, label).sample(length, length * ppm // MILLION))


def answer(
    way: Way, line: Line, contract: bytes, length: int, planned: tuple[int, ...], chance: Stream
) -> Found:
    """What a visitor finds that asks a hoster for the planned chunks."""
    count = len(planned)
    if way.dark:
        return Found(Outcome.CONNECT_TIMEOUT, count, planned)
    if way.recognises_ppm is not None and chance.below(MILLION) >= way.recognises_ppm:
        return Found(Outcome.FEED_REFUSED, count, planned)
    if way.dripping:
        return Found(Outcome.TOO_SLOW, count, planned)
    pair = int.from_bytes(tagged_hash("simulate/way", contract)[:4], "big") % ROUND_TRIP_US
    round_trip_us = pair + chance.below(JITTER_US)
    latency_us = round_trip_us + SERVICE_US + way.relay_us
    wrong = missing(contract, length, way.false_ppm, b"false") if way.false_ppm else frozenset()
    if not wrong.isdisjoint(planned):
        kept = tuple(index for index in planned if index in wrong)
        return _came(Outcome.FAULT, count, kept, round_trip_us, latency_us, fault=True)
    gone = missing(contract, length, way.lost_ppm) if way.lost_ppm else frozenset()
    unproven = tuple(
        index
        for index in planned
        if index in gone or (line.loss_ppm and chance.below(MILLION) < line.loss_ppm)
    )
    outcome = Outcome.CHUNKS_MISSING if unproven else Outcome.SERVED
    return _came(outcome, count, unproven, round_trip_us, latency_us)


def can_show(way: Way, contract: bytes, length: int, chunks: tuple[int, ...]) -> bool:
    """Whether a hoster can show all these chunks on the chain, when it is asked to."""
    gone = missing(contract, length, way.lost_ppm)
    false = missing(contract, length, way.false_ppm, b"false")
    return not way.dark and (gone | false).isdisjoint(chunks)


def _came(
    outcome: Outcome,
    planned: int,
    unproven: tuple[int, ...],
    round_trip_us: int,
    latency_us: int,
    fault: bool = False,
) -> Found:
    size = (planned - len(unproven)) * CHUNK_BYTES
    busy_us = max(latency_us, size * MILLION // LINE_BYTES_PER_S)
    return Found(
        outcome,
        planned,
        unproven,
        fault,
        2 * round_trip_us,
        latency_us,
        size,
        size * MILLION // busy_us,
    )
