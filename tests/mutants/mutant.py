"""Lists of one-line faults: how they are written down, and how one is put into the code."""

from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Mutant(NamedTuple):
    """In the file at `path`, `old` (a part of a line, found once) becomes `new`."""

    path: str
    old: str
    new: str

    def applied_to(self, text: str) -> str:
        """The file's text with the fault."""
        assert text.count(self.old) == 1, f"{self.path}: {text.count(self.old)} x {self.old!r}"
        return text.replace(self.old, self.new)

    def __str__(self) -> str:
        return f"{self.path}: {self.old}  ->  {self.new}"


class Suite(NamedTuple):
    """What is mutated, and the tests that must notice each fault."""

    tests: tuple[str, ...]
    mutants: tuple[Mutant, ...]


def names() -> list[str]:
    """The lists there are."""
    return sorted(path.stem for path in HERE.glob("*.txt"))


def read(name: str) -> Suite:
    """The list of a name: lines `tests PATH...`, `file PATH`, `- OLD`, `+ NEW`, `# comment`."""
    tests: tuple[str, ...] = ()
    path, old = "", ""
    mutants = []
    for line in (HERE / f"{name}.txt").read_text().splitlines():
        sign, _, rest = line.partition(" ")
        match sign:
            case "tests":
                tests = tuple(rest.split())
            case "file":
                path = rest
            case "-":
                old = rest
            case "+":
                mutants.append(Mutant(path, old, rest))
            case _:
                assert sign in ("", "#"), f"{name}: {line!r} is no line of a list"
    return Suite(tests, tuple(mutants))
