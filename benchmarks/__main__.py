"""`python -m benchmarks [NAME ...] [--figure FIGURE ...] [--json] [--list]`."""

import argparse
import importlib
import json
import sys

from benchmarks.figure import Figure
from holdfast.logs import set_up

NAMES = (
    "age",
    "audit",
    "coinflip",
    "consensus",
    "detectability",
    "memory",
    "mempool",
    "replication",
    "truth",
)


def main() -> int:
    """Run the benchmarks named, or all; exit code 1 when a bar does not hold."""
    set_up("warning", "text")
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--figure", action="append", metavar="FIGURE", help="default: all")
    parser.add_argument("--json", action="store_true", help="one JSON line a figure")
    parser.add_argument("--list", action="store_true", help="what there is")
    options = parser.parse_args()
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in NAMES}
    if options.list:
        for name, module in modules.items():
            print(f"{name:12} {(module.__doc__ or '').strip().splitlines()[0]}")
        return 0
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; see --list")
    figures: list[Figure] = []
    for name in options.names or NAMES:
        for figure in modules[name].run(lambda figure: figure in (options.figure or [figure])):
            figures.append(figure)
            print(json.dumps(figure.document()) if options.json else _line(figure), flush=True)
    if not figures:
        parser.error(f"there is no figure {', '.join(options.figure or [])}")
    return 0 if all(figure.holds for figure in figures) else 1


def _line(figure: Figure) -> str:
    sign = "<=" if figure.at_most else ">="
    verdict = "holds" if figure.holds else "DOES NOT HOLD"
    return (
        f"{figure.name:32} {figure.figure:12,.2f} {figure.unit:6} {figure.ratio:7.3f} x "
        f"{figure.against} (bar {sign} {figure.bar:g}) {verdict}"
    )


if __name__ == "__main__":
    sys.exit(main())
