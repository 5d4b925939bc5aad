"""How commands speak: one JSON document on stdout with `--json`, plain text otherwise.

What is for people while they wait (progress, hints, errors) goes to stderr, so stdout can be
piped. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 unhealthy,
130 interrupted.
"""

import json
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.markup import escape

from holdfast.plain import one_line
from wire.errors import HoldfastError, NotFound

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Exit(IntEnum):
    """What the exit code of every command means."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNHEALTHY = 4
    INTERRUPTED = 130


def print_json(document: Any) -> None:
    """One document on stdout, for programs."""
    print(json.dumps(document, indent=2, ensure_ascii=False), flush=True)  # noqa: T201


def print_error(error: HoldfastError) -> Exit:
    """One clear line on stderr; returns the exit code."""
    err.print(f"[bold red]error:[/] {escape(one_line(str(error)))}")
    return Exit.NOT_FOUND if isinstance(error, NotFound) else Exit.FAILED


def bytes_text(count: float) -> str:
    """A number of bytes for people."""
    if round(count) < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if round(count, 1) < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"


def ppm_text(ppm: int) -> str:
    """Parts per million as a percentage that never rounds up to 100 %."""
    return f"{ppm // 100 / 100:.2f} %"


def time_text(us: int) -> str:
    """A duration for people."""
    if us < 1_000:
        return f"{us} µs"
    return f"{us / 1_000:.1f} ms" if us < 999_950 else f"{us / 1_000_000:.2f} s"
