"""Run `holdfast` as a user would."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "holdfast")


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}


def holdfast(
    *arguments: str | Path, home: Path | None = None, timeout_s: float = 120
) -> "subprocess.CompletedProcess[str]":
    place = () if home is None else ("--home", str(home))
    return subprocess.run(
        [*COMMAND, *place, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=timeout_s,
        check=False,
    )


def document(*arguments: str | Path, home: Path | None = None, timeout_s: float = 240) -> Any:
    done = holdfast(*arguments, home=home, timeout_s=timeout_s)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
