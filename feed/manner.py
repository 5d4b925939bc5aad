"""How a reader goes about fetching, where programs that speak the same protocol differ.

A peer sees these differences, so who wants to look like another program takes on its manner.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """How long a reader is busy with what ours does at once, in microseconds."""

    take_in_us: Callable[[], int]
    """From messages that came to what is done about them; what they brought is stored then."""
    look_up_us: Callable[[int, int, int], int]
    """From choosing a chunk to asking for it: by the levels of its path that have to be looked up,
    by its place among those that are looked up together, and by how many they are."""


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
    """Node looks up each level of a path on the disk, with many lookups under way."""


OURS = Manner()

LINGER_MS = (1_500, 3_000)
"""How long a reader stays when it has all: longer than a hoster waits before it signs for what
was served last. If attestors alone did, hosters would know them by it."""


def linger_ms(below: Callable[[int], int]) -> int:
    """How long one reader stays; `below` draws a number below another."""
    shortest, longest = LINGER_MS
    return shortest + below(longest - shortest + 1)
