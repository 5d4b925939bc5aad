"""When visits start and reports are due, from heights and the plan."""

import pytest

from attestor.schedule import (
    answer_height,
    elapsed_ms,
    elsewhere_ms,
    join_at_ms,
    longest_visit_ms,
    report_height,
    vote_height,
)
from audit.plan import VisitPlan

INTERVAL_MS = 2_000


def plan(join_ppm: int) -> VisitPlan:
    return VisitPlan(b"c" * 32, join_ppm, (0,))


@pytest.mark.parametrize(
    ("join_ppm", "expected_ms"), [(0, 0), (1, 0), (250_000, 82_500), (999_999, 329_999)]
)
def test_a_visit_starts_anywhere_in_the_window_that_leaves_time_for_it(join_ppm, expected_ms):
    assert join_at_ms(plan(join_ppm), 200, INTERVAL_MS, 40_000) == expected_ms


@pytest.mark.parametrize("window_blocks", [1, 2, 3, 5, 7, 40, 200, 10**6])
@pytest.mark.parametrize("allowance_ms", [0, 1, 15_000, 10**9])
def test_every_visit_can_end_before_the_report_is_due(window_blocks, allowance_ms):
    due = report_height(100, window_blocks)
    assert 100 < due <= 100 + window_blocks
    longest_ms = longest_visit_ms(allowance_ms, window_blocks, INTERVAL_MS)
    last_ms = join_at_ms(plan(999_999), window_blocks, INTERVAL_MS, longest_ms)
    assert last_ms + longest_ms + elsewhere_ms(longest_ms) <= (due - 100) * INTERVAL_MS


@pytest.mark.parametrize(
    ("allowance_ms", "expected_ms"), [(47_000, 47_000), (131_999, 131_999), (10**9, 132_000)]
)
def test_a_visit_may_take_what_it_needs_but_not_the_whole_window(allowance_ms, expected_ms):
    assert longest_visit_ms(allowance_ms, 200, INTERVAL_MS) == expected_ms


@pytest.mark.parametrize(
    ("blocks", "due"), [(1, 1), (2, 1), (5, 4), (48, 39), (50, 40), (200, 190)]
)
def test_the_report_is_due_before_the_window_closes(blocks, due):
    assert report_height(100, blocks) == 100 + due


@pytest.mark.parametrize(("height", "expected_ms"), [(90, 0), (100, 0), (101, 2_000), (150, 10**5)])
def test_time_in_the_window_is_counted_in_blocks(height, expected_ms):
    assert elapsed_ms(height, 100, INTERVAL_MS) == expected_ms


@pytest.mark.parametrize(("blocks", "members"), [(20, 10), (6, 4), (40, 100), (1, 2)])
def test_all_can_answer_in_the_first_half_of_the_time_one_after_the_other(blocks, members):
    turns = [answer_height(1_000, blocks, place, members) for place in range(members)]
    assert turns == sorted(turns)
    assert turns[0] == 1_000 - blocks
    assert turns[-1] <= 1_000 - blocks + blocks // 2
    if blocks >= 2 * members:
        assert len(set(turns)) == members


@pytest.mark.parametrize(("blocks", "left"), [(1, 1), (2, 1), (3, 2), (5, 3), (6, 4), (20, 4)])
def test_the_silent_are_reported_late_but_in_time(blocks, left):
    assert vote_height(1_000, blocks) == 1_000 - left
    assert blocks == 1 or left < blocks, "others have had some time to speak"
