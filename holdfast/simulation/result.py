"""What a scenario found: counts for programs, bars for people."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

Tell = Callable[[int, int], None]
"""Told how many runs are done, of how many."""


@dataclass(frozen=True, slots=True)
class Bar:
    """How often the attack worked against one rule."""

    label: str
    hits: int
    runs: int
    chance: float
    """The share of runs in which luck alone would have done it."""

    @property
    def share(self) -> float:
        """Hits as a part of the runs."""
        return self.hits / self.runs

    @property
    def bias(self) -> float:
        """The share beyond luck."""
        return self.share - self.chance

    @property
    def error(self) -> float:
        """How far off the share may be, with 95 %: two standard errors, at least three runs."""
        spread = self.share * (1 - self.share) / self.runs
        return min(max(2 * sqrt(spread), 3 / self.runs), 1.0)


@dataclass(frozen=True, slots=True)
class Result:
    """One scenario, and what became of its attack."""

    title: str
    question: str
    """What a bar shows, in words."""
    bars: tuple[Bar, ...]
    document: dict[str, Any]
    """For `--json`: {runs, source: {forced, ...}, ours: {forced, ...}}."""
    remarks: tuple[str, ...] = ()
    tick: str = "what luck alone gives"
    """What a bar's `chance` stands for."""
