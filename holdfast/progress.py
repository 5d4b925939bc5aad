"""Progress for people, on stderr: bars for bytes, lines for steps."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from holdfast.output import err


@contextmanager
def steps() -> Iterator["StepTeller"]:
    """A bar whose label and total change from step to step."""
    columns = (TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        yield StepTeller(progress)


class StepTeller:
    """Shows (step, done, of) on one line."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=1)

    def __call__(self, step: str, done: int, of: int) -> None:
        self._progress.update(self._task, description=step, completed=done, total=of)


@contextmanager
def transfer(label: str) -> Iterator["ByteTeller"]:
    """A bar of bytes with rate and remaining time."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        yield ByteTeller(progress, label)


class ByteTeller:
    """Shows bytes done of bytes in all."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=None)

    def __call__(self, done: int, of: int | None) -> None:
        self._progress.update(self._task, completed=done, total=of)
