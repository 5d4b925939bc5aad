"""How a reader goes about fetching, where programs that speak the same protocol differ.

A peer sees these differences, so who wants to look like another program takes on its manner.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """How long a reader is busy with what ours does at once, in microseconds: see `workload.py`."""

    open_us: Callable[[], int]
    """From the open channel, or a head that came, to what is said about it."""
    wake_us: Callable[[], int]
    """Until something that waits for a thread is begun."""
    look_up_us: Callable[[], int]
    """To look up whether one node is stored."""
    lag: Callable[[], int]
    """After how many lookups that were begun later one is done: there are several threads."""
    verify_us: Callable[[], int]
    """To verify one chunk, beside what it takes here."""
    store_us: Callable[[int], int]
    """To store what was verified, of so many nodes."""
    write_lag: Callable[[int], int]
    """The same of a write, of so many lookups of what is chosen right after it is begun."""


@dataclass(frozen=True, slots=True)
class Manner:
    """The choices of one reader; the defaults are those of `holdfast feed clone`."""

    in_flight: int | None = None
    """Requests on their way at once; None: what fits the size of the chunks."""
    scatter: Callable[[int], int] | None = None
    """For all chunks in the random order of npm hypercore: draws a number below another."""
    keep_wrong: bool = False
    """Whether a wrong chunk is told of and the peer kept: an auditor wants to hear it sign."""
    work: Work | None = None
    """Node looks up each level of a path on the disk, and stores before it asks for more."""


OURS = Manner()

LINGER_MS = (1_500, 3_000)
"""How long a reader stays when it has all: longer than a hoster waits before it signs for what
was served last. If attestors alone did, hosters would know them by it."""


def linger_ms(below: Callable[[int], int]) -> int:
    """How long one reader stays; `below` draws a number below another."""
    shortest, longest = LINGER_MS
    return shortest + below(longest - shortest + 1)
