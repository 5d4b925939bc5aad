"""How many requests may be on their way to one peer at once."""

from feed.feed import Feed

IN_FLIGHT = 48
"""Requests on their way at once: what Node allows itself over TCP."""

IN_FLIGHT_BYTES = 3 << 20
MAX_IN_FLIGHT = 512
"""Of small chunks there may be more, one more with every answer and up to what 48 of 64 KiB weigh:
else both sides do little but wait for each other. Node allows itself 512 where it can measure the
line. A peer that is slow to begin with gets no more, and leaves the rest to others."""


class Window:
    """The window of one peer; it grows with what the peer answers."""

    def __init__(self, given: int | None) -> None:
        """`given` is for readers that chose a number themselves."""
        self._given = given
        self._earned = IN_FLIGHT

    def answered(self) -> None:
        """An answer came."""
        self._earned = min(self._earned + 1, MAX_IN_FLIGHT)

    def reset(self) -> None:
        """One did not."""
        self._earned = IN_FLIGHT

    def size(self, feed: Feed, *, whole: bool) -> int:
        """Requests at once, when the `whole` feed is fetched or a part of it."""
        if self._given is not None:
            return self._given
        if not whole or not feed.byte_length:
            return IN_FLIGHT
        fitting = IN_FLIGHT_BYTES * feed.length // feed.byte_length
        return max(IN_FLIGHT, min(fitting, self._earned))
