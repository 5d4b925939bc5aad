"""A private topic: a full mesh among listed members, over one connection for each pair.

    channel   protocol "holdfast/topic", id = the topic's 32 bytes
    kind 0    message: the payload
    kind 1    ping: u32 sequence (little-endian) · filler
    kind 2    pong: the ping's payload, returned

Of two members the lower key dials, and both check that the other's Noise key is listed. Whenever a
channel comes up each side replays what it has said in the topic so far, from a bounded history; a
receiver may therefore see a message twice, and must not rely on more order than one sender's own.
A topic hides messages from non-members only: members must sign what others are to believe.

These are the decisions, without sockets: `swarm.service` carries them out. Time is an argument.
"""

from collections import deque
from statistics import median_low
from typing import NamedTuple

from wire.errors import Malformed

PROTOCOL = "holdfast/topic"
MESSAGE, PING, PONG = range(3)

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""A block of the chain with room to spare; feeds have their own channels."""

HISTORY_MESSAGES = 4096
HISTORY_BYTES = 32 * 1024 * 1024
"""What a coin flip among a thousand says many times over; older messages are not replayed."""

RECEIVE_BYTES = 16 * 1024 * 1024
"""Messages a topic holds for its reader; beyond it members' connections are not read."""

MESSAGES_PER_S = 1000.0
BYTES_PER_S = 16.0 * 1024 * 1024
"""What one member may send on average before it is read more slowly; a whole history at once."""

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 10.0
"""A restarted member is back in the mesh within this, and a dead one costs a dial this often."""

STEADY_S = 5.0
"""A connection that lasted so long starts the next retries afresh."""

PING_INTERVAL_S = 2.0
PING_TIMEOUT_S = 5.0
"""Slower than this is as good as lost for any protocol in a topic."""

FIRST_PINGS = 4
"""Sent one after the other when a channel comes up, so that figures exist at once."""

FILLER_BYTES = 64 * 1024
"""One ping in four carries so much: large beside the overhead, small beside any line."""

FILLED_EVERY = 4
WINDOW = 32
"""Measurements remembered; medians over them shrug off a busy moment."""

MAX_PING_BYTES = 4 + FILLER_BYTES


Endpoint = tuple[str, int]
"""A host and a port."""


class Received(NamedTuple):
    """One message, and the member whose Noise key sent it."""

    peer: bytes
    payload: bytes


def dials(me: bytes, peer: bytes) -> bool:
    """Whether I dial this peer, or wait for it to dial me."""
    return me < peer


def retry_delay(failures: int, jitter: float) -> float:
    """Seconds to wait after so many failures in a row; `jitter` is uniform in [0, 1).

    Half of the delay is random, so that members which lost each other do not return in step.
    """
    longest = min(LONGEST_RETRY_S, FIRST_RETRY_S * (1 << min(failures, 16)))
    return longest * (0.5 + jitter / 2)


class History:
    """What this member has said, to all or to one, in order; the oldest is forgotten first."""

    def __init__(
        self, limit_messages: int = HISTORY_MESSAGES, limit_bytes: int = HISTORY_BYTES
    ) -> None:
        self._limit_messages = limit_messages
        self._limit_bytes = limit_bytes
        self._entries: deque[tuple[bytes | None, bytes]] = deque()
        self._first = 0
        self._bytes = 0

    def append(self, target: bytes | None, payload: bytes) -> None:
        """Remember a message to one member, or to all when `target` is None."""
        assert len(payload) <= MAX_MESSAGE_BYTES, "a topic's message must fit its limit"
        self._entries.append((target, payload))
        self._bytes += len(payload)
        while len(self._entries) > self._limit_messages or self._bytes > self._limit_bytes:
            _, forgotten = self._entries.popleft()
            self._bytes -= len(forgotten)
            self._first += 1

    @property
    def end(self) -> int:
        """The cursor behind the last message."""
        return self._first + len(self._entries)

    def next_for(self, peer: bytes, cursor: int) -> tuple[bytes | None, int]:
        """The first message for `peer` from `cursor` on, and the cursor behind it; None: no more.

        Cursor 0 is the beginning of all that is remembered.
        """
        position = max(cursor - self._first, 0)
        while position < len(self._entries):
            target, payload = self._entries[position]
            position += 1
            if target is None or target == peer:
                return payload, self._first + position
        return None, self._first + position


class Measurement(NamedTuple):
    """How well a member was reachable lately, by its answers to pings."""

    rtt_us: int
    bytes_per_s: int
    loss_ppm: int


class Meter:
    """Measures one member with one ping at a time."""

    def __init__(self) -> None:
        self._sequence = 0
        self._sent_s: float | None = None
        self._filled = False
        self._rtts_us: deque[int] = deque(maxlen=WINDOW)
        self._rates: deque[int] = deque(maxlen=WINDOW)
        self._lost: deque[bool] = deque(maxlen=WINDOW)

    def ping(self, now_s: float) -> bytes:
        """The payload of the next ping; one still unanswered is lost."""
        self.give_up()
        self._sequence = (self._sequence + 1) % 2**32
        self._sent_s = now_s
        self._filled = self._sequence % FILLED_EVERY == 0
        return self._sequence.to_bytes(4, "little") + bytes(FILLER_BYTES if self._filled else 0)

    def pong(self, payload: bytes, now_s: float) -> bool:
        """Take an answer; False if it is not the one waited for (late, or made up)."""
        expected = FILLER_BYTES if self._filled else 0
        known = payload[:4] == self._sequence.to_bytes(4, "little")
        if self._sent_s is None or not known or len(payload) != 4 + expected:
            return False
        elapsed_us = max(1, round((now_s - self._sent_s) * 1_000_000))
        self._sent_s = None
        self._lost.append(False)
        if self._filled and self._rtts_us:
            transfer_us = max(1, elapsed_us - median_low(self._rtts_us))
            self._rates.append(2 * FILLER_BYTES * 1_000_000 // transfer_us)
        elif not self._filled:
            self._rtts_us.append(elapsed_us)
        return True

    def give_up(self) -> None:
        """The ping on its way, if any, is lost."""
        if self._sent_s is not None:
            self._sent_s = None
            self._lost.append(True)

    @property
    def pause_s(self) -> float:
        """How long to wait before the next ping."""
        return 0.0 if self._sequence < FIRST_PINGS else PING_INTERVAL_S

    @property
    def measurement(self) -> Measurement | None:
        """Medians of what was measured; None before the first answer."""
        if not self._rtts_us:
            return None
        return Measurement(
            rtt_us=median_low(self._rtts_us),
            bytes_per_s=median_low(self._rates) if self._rates else 0,
            loss_ppm=sum(self._lost) * 1_000_000 // len(self._lost),
        )


def check_size(kind: int, payload: bytes) -> None:
    """Raise `Malformed` for a message longer than any honest member sends."""
    limit = MAX_MESSAGE_BYTES if kind == MESSAGE else MAX_PING_BYTES
    if len(payload) > limit:
        raise Malformed(f"a topic message of kind {kind} with {len(payload)} bytes")
