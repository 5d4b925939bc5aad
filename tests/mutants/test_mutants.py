"""The lists of mutants stay true to the code; `make mutants` runs them."""

from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant, names, read

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("name", names())
def test_a_list_names_its_tests_and_no_mutant_twice(name: str) -> None:
    suite = read(name)
    assert suite.tests and all((ROOT / tests).exists() for tests in suite.tests)
    assert len(set(suite.mutants)) == len(suite.mutants) >= 15


@pytest.mark.parametrize("mutant", [m for name in names() for m in read(name).mutants], ids=str)
def test_a_mutant_can_be_applied_and_is_still_python(mutant: Mutant) -> None:
    assert mutant.old != mutant.new
    compile(mutant.applied_to((ROOT / mutant.path).read_text()), mutant.path, "exec")
