"""One measured number beside what limits it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

Wanted = Callable[[str], bool]
"""Whether a figure of this name was asked for."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`ratio` is figure / against_figure; the bar is on the ratio, at most or at least."""

    name: str
    figure: float
    unit: str
    against: str
    against_figure: float
    bar: float
    at_most: bool = False

    @property
    def ratio(self) -> float:
        """The figure as a multiple of what it is compared with."""
        return self.figure / self.against_figure if self.against_figure else float("inf")

    @property
    def holds(self) -> bool:
        """Whether the bar holds."""
        return self.ratio <= self.bar if self.at_most else self.ratio >= self.bar

    def document(self) -> dict[str, Any]:
        """For `--json`, one line a figure."""
        rounded = {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }
        return rounded | {"ratio": round(self.ratio, 4), "holds": self.holds}
