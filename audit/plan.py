"""Whom to visit, when, and which chunks to ask for: derived, so that nobody chooses.

The coin, known to the committee alone until the window ends, draws the targets. Each member
then runs its own VRF over the coin: its join times and chunk indices follow from the output,
unknown to the other members and checkable by all once it shows the proof. A traitor in the
committee can tell a hoster that it is a target, not when it is visited or for which chunks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TypeVar

from wire import vrf
from wire.primitives import tagged_hash
from wire.prng import Stream

T = TypeVar("T")

_FEISTEL_TURNS = 6
"""Four would do against who sees few places; two more for feeds of a handful of chunks."""

_HALF_IN_TABLE = 7
"""Of feeds of up to 2^14 chunks all turns are worked out at once: 768 hashes, where ten members
that ask for 30 chunks each need 1,800."""


EARLIEST_PPM = 300_000
"""How early a visit that takes long begins, as a share of when the shortest does."""


@dataclass(frozen=True, slots=True)
class Eligible:
    """A contract that the coin may draw, as it stood when the committee was drawn."""

    contract: bytes
    hoster: bytes
    owner: bytes
    length: int
    """Chunks of the acknowledged head."""
    samples: int
    """Chunks that each attestor asks for."""


@dataclass(frozen=True, slots=True)
class VisitPlan:
    """One attestor's task at one target."""

    contract: bytes
    join_ppm: int
    """When to join: parts per million of the visiting window."""
    indices: tuple[int, ...]

    def heights(self, window_start: int, window_blocks: int) -> tuple[int, int]:
        """From when to when the visit may begin: a longer one must begin earlier."""
        latest = window_blocks * self.join_ppm
        earliest = latest * EARLIEST_PPM // 1_000_000
        return window_start + earliest // 1_000_000, window_start + latest // 1_000_000


def plan_input(network: bytes, challenge: bytes, coin: bytes) -> bytes:
    """The VRF input of every member's plan in one challenge."""
    return tagged_hash("audit/plan", network, challenge, coin)


def draw_targets(coin: bytes, eligible: Sequence[T], count: int) -> list[T]:
    """The contracts that the committee visits: at most `count`, in the order drawn."""
    return [eligible[place] for place in _places(coin, len(eligible), count)]


@lru_cache(maxsize=64)
def _places(coin: bytes, eligible: int, count: int) -> list[int]:
    return Stream(coin, b"targets").sample(eligible, min(count, eligible))


def visit_plans(
    coin: bytes,
    committee: Sequence[bytes],
    attestor: bytes,
    proof: bytes,
    targets: Sequence[Eligible],
) -> list[VisitPlan]:
    """The visits of one member, in target order; nobody visits itself or its own feed.

    `proof` is the member's VRF proof over `plan_input`, already verified. Where a feed is
    long enough the members' indices are disjoint: the coin deals the feed's chunks out to them.
    """
    output = vrf.output(proof)
    slot = _slots(coin, len(committee))[list(committee).index(attestor)]
    plans = []
    for target in targets:
        if attestor in (target.hoster, target.owner):
            continue
        seed = tagged_hash("audit/visit", output, target.contract)
        deal = tagged_hash("audit/deal", coin, target.contract)
        indices = _indices(Stream(seed, b"chunks"), deal, target, slot, len(committee))
        join_ppm = Stream(seed, b"time").below(1_000_000)
        plans.append(VisitPlan(target.contract, join_ppm, indices))
    return plans


@lru_cache(maxsize=64)
def _slots(coin: bytes, members: int) -> list[int]:
    return Stream(coin, b"slots").shuffle(range(members))


def may_overlap(length: int, samples: int, members: int) -> bool:
    """Whether a feed is too short to give each member chunks of its own."""
    return length < members * samples


def as_bits(indices: Sequence[int], length: int) -> bytes:
    """Chunks of a feed of `length` as bits: chunk i is bit i mod 8 of byte i // 8."""
    bits = sum(1 << index for index in indices)
    return bits.to_bytes(-(-length // 8), "little")


def _indices(
    stream: Stream, deal: bytes, target: Eligible, slot: int, members: int
) -> tuple[int, ...]:
    if may_overlap(target.length, target.samples, members):
        return tuple(stream.sample(target.length, min(target.samples, target.length)))
    # Every `members`-th card of the shuffled feed is this member's. Without the shuffle its
    # requests would share a residue, and a hoster would know an attestor by it.
    own = (target.length - slot + members - 1) // members
    turns = stream.sample(own, target.samples)
    return _shuffled(deal, [slot + members * turn for turn in turns], target.length)


def forget() -> None:
    """Drop what is kept between reports of a challenge; it changes no result."""
    _places.cache_clear()
    _slots.cache_clear()
    _tables.cache_clear()


def _shuffled(key: bytes, positions: Sequence[int], length: int) -> tuple[int, ...]:
    """What stands at `positions` when 0..length-1 are shuffled by `key`, without shuffling.

    A Feistel network over the next even power of two, walked until it lands inside. Two turns at
    a time, as halves change places in each.
    """
    half = ((length - 1).bit_length() + 1) // 2
    mask = (1 << half) - 1
    pairs = _tables(key, half) if half <= _HALF_IN_TABLE else _turns(key, mask)
    found = []
    for start in positions:
        position = start
        while True:
            left, right = position >> half, position & mask
            for one, other in pairs:
                left ^= one[right]
                right ^= other[left]
            position = left << half | right
            if position < length:
                break
        found.append(position)
    return tuple(found)


def _added(key: bytes, block: bytes) -> int:
    return int.from_bytes(blake2b(block, key=key, digest_size=8).digest(), "big")


class _Turn:
    """What one turn adds to a left half, by the right half."""

    def __init__(self, key: bytes, number: bytes, mask: int) -> None:
        self._key = key
        self._number = number
        self._mask = mask

    def __getitem__(self, right: int) -> int:
        return _added(self._key, self._number + right.to_bytes(8, "big")) & self._mask


_Adds = Sequence[int] | _Turn
_Pairs = Sequence[tuple[_Adds, _Adds]]


def _in_pairs(turns: Sequence[_Adds]) -> _Pairs:
    return list(zip(turns[::2], turns[1::2], strict=True))


def _turns(key: bytes, mask: int) -> _Pairs:
    return _in_pairs([_Turn(key, bytes([number]), mask) for number in range(_FEISTEL_TURNS)])


@lru_cache(maxsize=256)
def _tables(key: bytes, half: int) -> _Pairs:
    """All that the turns can add. A committee needs about as much of it anyway."""
    mask = (1 << half) - 1
    halves = [right.to_bytes(8, "big") for right in range(1 << half)]
    numbers = [bytes([number]) for number in range(_FEISTEL_TURNS)]
    return _in_pairs(
        [[_added(key, number + right) & mask for right in halves] for number in numbers]
    )
