"""When an attestor does what, from heights and its plan. Pure.

The chain counts in blocks, a visit starts at an instant: the window's length in time is its
blocks times the interval. Visits start anywhere in it, as long as the last can end and the report
be committed before the window closes.
"""

from audit.plan import VisitPlan

LONGEST_VISIT_PPM = 330_000
"""The share of the window that one visit may take at most, however slow its hoster is."""

LONGEST_ELSEWHERE_MS = 10_000
"""For what other peers are asked after a visit; half of what it may take, if that is less."""

REPORTING_BLOCKS = 10
"""This long before the window's end the report is made, and no visit waited for any more: it must
get into a block. Of a short window it is a fifth."""

VOTE_BLOCKS = 4
"""This long before the seal's deadline the silent are reported."""

MILLION = 1_000_000


def longest_visit_ms(allowance_ms: int, window_blocks: int, interval_ms: int) -> int:
    """How long a visit may take that needs no more than `allowance_ms`."""
    return min(allowance_ms, window_blocks * interval_ms * LONGEST_VISIT_PPM // MILLION)


def join_at_ms(plan: VisitPlan, window_blocks: int, interval_ms: int, longest_ms: int) -> int:
    """When to start a visit, in milliseconds after the window's first block.

    Anywhere in the window, as long as a visit of `longest_ms`, and the half of it for what is
    fetched elsewhere after it, ends before the report is due.
    """
    due_ms = report_height(0, window_blocks) * interval_ms
    return max(due_ms - longest_ms - elsewhere_ms(longest_ms), 0) * plan.join_ppm // MILLION


def elsewhere_ms(longest_ms: int) -> int:
    """How long an attestor may look elsewhere for what a visit left open."""
    return min(longest_ms // 2, LONGEST_ELSEWHERE_MS)


def report_height(window_start: int, window_blocks: int) -> int:
    """The height by which the report is made, with whatever is known then."""
    return window_start + max(window_blocks - max(min(REPORTING_BLOCKS, window_blocks // 5), 1), 1)


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
