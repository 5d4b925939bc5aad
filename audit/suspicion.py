"""What visits hint at and do not prove: a hoster that fetches elsewhere, several on one store.

For people who choose hosters. No rule reads it, nobody is paid or punished by it: a slow disk looks
like a relay, and two honest hosters in one hall like one. Both sides of each figure come from the
attestors' own clocks and are their word.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median_low

from audit.confidence import lower_bound_ppm

RELAY_US = 20_000
"""Longer than disks take, and shorter than a round trip to most other places."""

ROUND_TRIPS = 2
"""To connect: TCP's and Noise's. A chunk takes one."""

MAJORITY_PPM = 500_000
"""Of a hoster's visits that must be slow, with 95 % confidence, before it is named."""

ALIKE_PPM = 800_000
"""Of two hosters' visits or failed rounds that must agree, with 95 % confidence."""

LEAST_TOGETHER = 8
"""Visits, or failed rounds, below which nothing is said of two hosters."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One visit that brought chunks."""

    round: bytes
    """The challenge."""
    attestor: bytes
    hoster: bytes
    connect_us: int
    first_byte_us: int


@dataclass(frozen=True, slots=True)
class Relay:
    """A hoster whose first chunk takes longer than its line explains, in most visits."""

    hoster: bytes
    visits: int
    slow: int
    """Of these: beyond what is usual by more than RELAY_US."""
    extra_us: int
    """Median of what they took beyond the round trip and the usual."""


@dataclass(frozen=True, slots=True)
class OneStore:
    """Two hosters that fail together, or are reached by the same line, far more often than not."""

    hosters: tuple[bytes, bytes]
    rounds_failed_together: int
    rounds_failed_apart: int
    visits_alike: int
    visits_unlike: int


def relays(visits: Iterable[Timed]) -> list[Relay]:
    """Hosters that seem to fetch elsewhere what they are asked for, with 95 % confidence each.

    What a first chunk takes beyond the round trip is compared with the other hosters' median.
    """
    extra: dict[bytes, list[int]] = defaultdict(list)
    for visit in visits:
        extra[visit.hoster].append(visit.first_byte_us - visit.connect_us // ROUND_TRIPS)
    medians = {hoster: median_low(values) for hoster, values in extra.items()}
    found = []
    for hoster, values in sorted(extra.items()):
        usual = median_low([m for other, m in medians.items() if other != hoster] or [0])
        slow = sum(value > usual + RELAY_US for value in values)
        if lower_bound_ppm(slow, len(values) - slow) > MAJORITY_PPM:
            found.append(Relay(hoster, len(values), slow, max(medians[hoster] - usual, 0)))
    return found


def one_store(
    visits: Iterable[Timed], failed: Mapping[bytes, Mapping[bytes, bool]]
) -> list[OneStore]:
    """Pairs of hosters that seem to be one.

    `failed` says of each round, and each hoster that it had a verdict on, whether that was bad.
    Alike are two visits of one attestor in one round whose connections took the same time, within
    a twentieth and at most 1 ms.
    """
    by_visitor: dict[tuple[bytes, bytes], dict[bytes, int]] = defaultdict(dict)
    hosters: set[bytes] = set()
    for visit in visits:
        by_visitor[visit.round, visit.attestor][visit.hoster] = visit.connect_us
        hosters.add(visit.hoster)
    for verdicts in failed.values():
        hosters.update(verdicts)
    pairs = (
        _compare((one, other), by_visitor.values(), failed.values())
        for one, other in combinations(sorted(hosters), 2)
    )
    return [pair for pair in pairs if _is_suspicious(pair)]


def _compare(
    hosters: tuple[bytes, bytes],
    visits: Iterable[Mapping[bytes, int]],
    rounds: Iterable[Mapping[bytes, bool]],
) -> OneStore:
    one, other = hosters
    times = [(seen[one], seen[other]) for seen in visits if one in seen and other in seen]
    alike = sum(abs(a - b) <= min(max(a, b) // 20, 1_000) for a, b in times)
    ends = [(bad[one], bad[other]) for bad in rounds if one in bad and other in bad]
    together, apart = sum(a and b for a, b in ends), sum(a != b for a, b in ends)
    return OneStore(hosters, together, apart, alike, len(times) - alike)


def _is_suspicious(pair: OneStore) -> bool:
    return any(
        same + different >= LEAST_TOGETHER and lower_bound_ppm(same, different) > ALIKE_PPM
        for same, different in (
            (pair.rounds_failed_together, pair.rounds_failed_apart),
            (pair.visits_alike, pair.visits_unlike),
        )
    )


def clusters(pairs: Sequence[OneStore]) -> list[tuple[bytes, ...]]:
    """Hosters that are linked by pairs, each group sorted."""
    groups: list[set[bytes]] = []
    for pair in pairs:
        touching = [group for group in groups if group & set(pair.hosters)]
        groups = [group for group in groups if group not in touching]
        groups.append(set(pair.hosters).union(*touching))
    return sorted(tuple(sorted(group)) for group in groups)
