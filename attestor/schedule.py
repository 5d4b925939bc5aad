"""When an attestor does what, from heights and its plan. Pure.

The chain counts in blocks, a visit starts at an instant: the window's length in time is its
blocks times the interval. Visits start in its first part, so that the last can end and the
report be committed before the window closes.
"""

from audit.plan import VisitPlan

VISITING_PPM = 500_000
"""The share of the window in which visits may start."""

REPORTING_PPM = 850_000
"""The share of the window after which no visit is waited for: the report must get through."""

VOTE_BLOCKS = 4
"""This long before the seal's deadline the silent are reported."""

MILLION = 1_000_000


def join_at_ms(plan: VisitPlan, window_blocks: int, interval_ms: int) -> int:
    """When to start a visit, in milliseconds after the window's first block."""
    return window_blocks * interval_ms * VISITING_PPM // MILLION * plan.join_ppm // MILLION


def report_height(window_start: int, window_blocks: int) -> int:
    """The height by which the report is made, with whatever is known then."""
    return window_start + max(window_blocks * REPORTING_PPM // MILLION, 1)


def elapsed_ms(height: int, window_start: int, interval_ms: int) -> int:
    """How long the window has been open, as far as heights tell."""
    return max(height - window_start, 0) * interval_ms


def answer_height(deadline: int, blocks: int, place: int, members: int) -> int:
    """When the member at `place` answers for who is asked for its Reveal, if nobody has before.

    All have their turn in the first half of the `blocks` before the deadline.
    """
    return deadline - blocks + place * blocks // (2 * members)


def vote_height(deadline: int, blocks: int) -> int:
    """When to report who is silent in an attempt that lasts `blocks`, while it still counts.

    Not sooner than after a third of a short one: who votes at once finds all others silent.
    """
    return deadline - min(VOTE_BLOCKS, max(blocks * 2 // 3, 1))
