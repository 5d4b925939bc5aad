"""`python -m tests.mutants [LIST ...] [--jobs N] [--only TEXT]`: run the tests on every mutant.

Each worker has its own copy of the source tree. A mutant is killed when the tests fail on it or
do not end; exit code 1 when one survives.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.mutant import Mutant, Suite, names, read

ROOT = Path(__file__).parent.parent.parent
TIMEOUT_S = 300
"""Many times what the tests take; a mutant that never ends has been noticed."""

IGNORED = shutil.ignore_patterns(".*", "node_modules", "__pycache__", "vectors")


def main() -> int:
    """Run the lists named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("lists", nargs="*", metavar="LIST", help=f"of {', '.join(names())}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="mutants whose line contains this")
    options = parser.parse_args()
    if unknown := set(options.lists) - set(names()):
        parser.error(f"no list {', '.join(sorted(unknown))}")
    survived = 0
    for name in options.lists or names():
        suite = read(name)
        chosen = tuple(mutant for mutant in suite.mutants if options.only in str(mutant))
        survived += _run(name, suite._replace(mutants=chosen), options.jobs)
    return 1 if survived else 0


def _run(name: str, suite: Suite, jobs: int) -> int:
    with tempfile.TemporaryDirectory(prefix="holdfast-mutants-") as place:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(jobs):
            trees.put(Path(shutil.copytree(ROOT, Path(place) / str(number), ignore=IGNORED)))

        def killed(mutant: Mutant | None) -> bool:
            tree = trees.get()
            try:
                return _fails(tree, suite.tests, mutant)
            finally:
                trees.put(tree)

        if killed(None):
            _say(f"{name}: the tests fail without any fault")
            return 1
        survived = 0
        with ThreadPoolExecutor(jobs) as pool:
            for mutant, dead in zip(suite.mutants, pool.map(killed, suite.mutants), strict=True):
                survived += not dead
                _say(f"{'killed  ' if dead else 'SURVIVED'} {mutant}")
    _say(f"{name}: {len(suite.mutants)} mutants, {survived} survived")
    return survived


def _fails(tree: Path, tests: Sequence[str], mutant: Mutant | None) -> bool:
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    path = tree / mutant.path if mutant else None
    sound = path.read_text() if path else ""
    try:
        if mutant and path:
            path.write_text(mutant.applied_to(sound))
        done = subprocess.run(
            command,
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree)},
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    finally:
        if path:
            path.write_text(sound)
    return done.returncode != 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a program's own output


if __name__ == "__main__":
    sys.exit(main())
