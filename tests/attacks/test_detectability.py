"""A classifier that finds attestors without a disguise at once does not find disguised ones.

A few dozen sessions, so the bound is generous: `python -m benchmarks detectability` measures.
"""

import pytest

from attestor.disguise import Habit
from benchmarks import detectability

SESSIONS = 60


@pytest.mark.parametrize("bare", [True, False])
async def test_attestors_cannot_be_told_from_clones_by_what_they_do(bare, monkeypatch):
    monkeypatch.setattr(detectability, "BARE", bare)
    rows = await detectability.observe(SESSIONS, None)
    assert sum(is_attestor for _, is_attestor, _ in rows) == SESSIONS // 2
    found = detectability.auc(rows, Habit.CLONE)
    assert found > 0.95 if bare else found < 0.8
