"""What a visit looks like to the hoster: a reader's session, chosen by the visit's own seed. Pure.

The planned chunks travel among others, in an order and at times that readers have. The seed comes
from the attestor's VRF, so nobody else can tell which session it will make, and the attestor,
killed and restarted, makes the same one.

What a reader's program does is its own code (`feed.replication.session`) with its own parameters
(`feed.replication.manner`). Which program it is, how many chunks somebody looks up and how long
they stay is invented here: an attestor sees no readers of other people's feeds whom it could copy.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from feed.replication.manner import Work, linger_ms
from wire.primitives import tagged_hash
from wire.prng import Stream

NODE_IN_FLIGHT = 48
"""What npm hypercore allows itself over TCP."""

LOOKUPS_AT_ONCE = (1, 1, 2, 4)
THINK_MS = 60
"""The longest average time between one lookup and the next of the same kind."""

OPEN_US, WAKE_US, LOOK_UP_US, VERIFY_US = 400, 90, 18, 10
"""Average times: npm hypercore answers a head; one of its threads wakes up; it looks a node up.
Verifying a chunk takes what it takes here, which is nearly as long, and so much more."""

STORE_US, STORE_NODE_US = 60, 6
"""Average time of a write, and of each node in it."""

START_US, START_MORE_US = (0, 0, 100), 200
"""When its program asks for chunks, from when it has answered the head: one of them, and up to so
much more, beside what we take ourselves. It looks once a millisecond for the length."""

BUSY_MS = (0,) * 13 + (1, 2, 3, 5, 8, 14)
"""How much longer other work holds it up then: one of them."""

LAGS, LAG_OF = (*(1,) * 9, *(2,) * 4, 3, 3, 4, 5, 7, 10, 16), 600
"""In each of so many cases, a lookup is done after so many that were begun later."""

WRITE_LAG, WRITE_LAG_OF = 48, 3
"""One write in so many is done after lookups that were begun later; after how many at most."""

WHOLE_CHUNKS = 8_192
"""Longer feeds are not fetched whole, however small: it costs both sides a signature and a proof
for every few chunks."""

MORE_LOOKUPS = 20
"""The longest that a session of lookups goes on beyond what it has to ask for."""


_DONE_BY = [(1 << 32) - (7**eighth << 32) // 8**eighth for eighth in range(1, 64)]
"""In how many of 2^32 cases something memoryless is done by each eighth of its average."""


class Habit(StrEnum):
    """What kind of reader a session looks like."""

    CLONE = "clone"
    """`holdfast feed clone`: all chunks in their order, many at once."""
    DOWNLOAD = "download"
    """`core.download()` of npm hypercore: all chunks, in its random order."""
    LOOKUPS = "lookups"
    """A program on npm hypercore that gets a chunk here and a chunk there."""


@dataclass(frozen=True, slots=True)
class Disguise:
    """What one session looks like."""

    habit: Habit
    seed: bytes
    lookups: tuple[int, ...]
    """With `LOOKUPS`: which chunks, in which order."""
    at_once: int
    """With `LOOKUPS`: how many at a time."""
    think_ms: int
    """With `LOOKUPS`: the average time between an answer and the next question."""
    linger_ms: int
    """How long it stays when it has all."""


def visit_seed(vrf_output: bytes, contract: bytes) -> bytes:
    """The seed of one visit's disguise: private to the attestor until it opens its report."""
    return tagged_hash("audit/disguise", vrf_output, contract)


def put_on(
    seed: bytes, planned: Sequence[int], length: int, byte_length: int, room_bytes: int
) -> Disguise:
    """The disguise of a visit to a feed of `length` chunks; `room_bytes` is what it may fetch.

    A feed that has room is fetched whole. Of a larger one the planned chunks are looked up,
    with as many others as there is room for.
    """
    stream = Stream(seed, b"disguise")
    has_room = byte_length <= room_bytes and length <= WHOLE_CHUNKS
    habits = tuple(Habit) if has_room else (Habit.LOOKUPS,)
    habit = habits[stream.below(len(habits))]
    chunk_bytes = max(byte_length // max(length, 1), 1)
    room = max(room_bytes // chunk_bytes - len(planned), 0)
    count = min(len(planned) + min(stream.below(MORE_LOOKUPS + 1), room), length)
    return Disguise(
        habit,
        seed,
        tuple(_among(stream, planned, length, count)),
        LOOKUPS_AT_ONCE[stream.below(len(LOOKUPS_AT_ONCE))],
        stream.below(THINK_MS + 1),
        linger_ms(stream.below),
    )


def _among(stream: Stream, planned: Sequence[int], length: int, count: int) -> list[int]:
    """`count` different chunks with the planned ones among them, in random order."""
    wanted = dict.fromkeys(planned)
    while len(wanted) < count:
        wanted[stream.below(length)] = None
    return stream.shuffle(list(wanted))


def think_us(stream: Stream, average_ms: int) -> int:
    """How long a program works on what it got: memoryless, as far as integers go."""
    return _memoryless(stream) * average_ms * 1_000 // 8


def _memoryless(stream: Stream) -> int:
    """Eighths of an average: at each of them there is one chance in eight to be done."""
    return 1 + bisect_right(_DONE_BY, int.from_bytes(stream.take(4), "big"))


def node_work(seed: bytes) -> Work:
    """How busy npm hypercore is: measured in its sessions.

    Machines differ, and so do moments: all times of a session share a factor.
    """
    stream = Stream(seed, b"work")
    pace = 500 + 125 * stream.below(9)

    def about(average_us: int) -> int:
        return average_us * pace * (8 + _memoryless(stream)) // 16_000

    def lag() -> int:
        place = stream.below(LAG_OF)
        return LAGS[place] if place < len(LAGS) else 0

    def write_lag(begun: int) -> int:
        return 0 if stream.below(WRITE_LAG_OF) else min(begun, 1 + stream.below(WRITE_LAG))

    return Work(
        open_us=lambda: about(OPEN_US),
        wake_us=lambda: WAKE_US * pace * _memoryless(stream) // 8_000,
        look_up_us=lambda: about(LOOK_UP_US),
        lag=lag,
        verify_us=lambda: about(VERIFY_US),
        store_us=lambda nodes: about(STORE_US + nodes * STORE_NODE_US),
        write_lag=write_lag,
    )


def start_us(disguise: Disguise) -> int:
    """How long a reader's program takes from knowing the feed's length to its first request."""
    if disguise.habit is Habit.CLONE:
        return 0
    stream = Stream(disguise.seed, b"start")
    start = START_US[stream.below(len(START_US))] + stream.below(START_MORE_US)
    return start + 1_000 * BUSY_MS[stream.below(len(BUSY_MS))]
