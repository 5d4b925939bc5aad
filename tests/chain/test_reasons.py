"""Every reason the ledger can give is given by some test."""

from pathlib import Path

import pytest

from audit.evidence import Flaw
from chain.reasons import Reason

TESTS = Path(__file__).parent.parent
SOURCE = "".join(
    path.read_text() for folder in ("chain", "audit") for path in (TESTS / folder).rglob("*.py")
)


@pytest.mark.parametrize("member", [*Reason, *Flaw], ids=str)
def test_a_test_names_the_reason(member):
    assert f"{type(member).__name__}.{member.name}" in SOURCE


def test_reasons_and_flaws_share_no_name():
    names = [member.value for member in (*Reason, *Flaw)]
    assert len(names) == len(set(names))
