"""The table of attacks names tests, and they are there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))
ROWS = {int(row.split("|")[1]): row for row in PAGE.splitlines() if re.match(r"\| \d+ \|", row)}


@cache
def names_in(path: Path) -> frozenset[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_is_named_is_there(path: str, name: str) -> None:
    assert (TESTS / path).exists(), f"docs/security.md names tests/{path}"
    assert name in names_in(TESTS / path), f"docs/security.md names {name}, not in tests/{path}"
    assert name.startswith("test_")


def test_every_attack_has_a_row_with_a_test() -> None:
    assert sorted(ROWS) == list(range(1, 41))
    for number, row in ROWS.items():
        assert "::test_" in row, f"row {number} names no test"
