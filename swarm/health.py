"""Signs of life and of flooding on one connection: when to keep it alive, slow it or drop it.

Time is an argument, in seconds of any steady clock. Mutable; owned by the connection it watches.
"""

from typing import NamedTuple

from swarm.peers import Bucket, Drop, Limits

PROGRESS_BYTES = 4096
"""A frame in transit is a sign of life each time so much more of it came: a byte now and then
does not hold a connection."""


class Checkup(NamedTuple):
    """What to do now, and in how many seconds to look again."""

    drop: Drop | None
    keepalive: bool
    again_s: float


class Health:
    """What is known of one connection's traffic since its handshake."""

    def __init__(self, limits: Limits, now_s: float) -> None:
        self._limits = limits
        self._messages = Bucket(limits.messages_per_s, limits.messages_per_s, now_s)
        self._opens = Bucket(limits.opens_per_s, limits.opens_burst, now_s)
        self._heard_s = now_s
        self._unframed_bytes = 0
        self._sent_s = now_s
        self._stalled_s: float | None = None

    def sent(self, now_s: float) -> None:
        """Something was written, so no keepalive is needed for a while."""
        self._sent_s = now_s

    def heard(self, nbytes: int, frames: int, now_s: float) -> None:
        """Bytes came, completing so many frames."""
        self._unframed_bytes += nbytes
        if frames or self._unframed_bytes >= PROGRESS_BYTES:
            self._heard_s = now_s
            self._unframed_bytes = 0

    def resumed(self, now_s: float) -> None:
        """We read again after a pause of our own, in which silence proved nothing."""
        self._heard_s = now_s

    def stalled(self, now_s: float) -> None:
        """The socket takes no more."""
        self._stalled_s = now_s

    def flowing(self) -> None:
        """The socket takes bytes again."""
        self._stalled_s = None

    def spend(self, messages: int, opens: int, now_s: float) -> float:
        """The peer used so much of its allowance: how many seconds not to read from it."""
        return max(self._messages.spend(messages, now_s), self._opens.spend(opens, now_s))

    def check(self, *, reading: bool, now_s: float) -> Checkup:
        """Look at the clock; `reading` tells whether this side listens at all."""
        limits = self._limits
        drop = None
        if reading and now_s - self._heard_s >= limits.idle_timeout_s:
            drop = Drop.IDLE
        elif self._stalled_s is not None and now_s - self._stalled_s >= limits.stall_timeout_s:
            drop = Drop.STALLED
        if self._stalled_s is not None:
            return Checkup(drop, keepalive=False, again_s=limits.keepalive_s)
        keepalive = now_s - self._sent_s >= limits.keepalive_s
        due_s = limits.keepalive_s if keepalive else self._sent_s + limits.keepalive_s - now_s
        return Checkup(drop, keepalive, due_s)
