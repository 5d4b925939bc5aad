"""How much samples say: what is at least true of a hoster, and which loss they would have shown.

Integers only, so that every node computes the same. Both figures are about random samples of what
is there: no number of them says that a feed is whole.
"""

from functools import lru_cache
from math import comb, perm

MILLION = 1_000_000
SAMPLES_COUNTED = 4_096
"""More samples are taken as so many with the same share of misses: bounded work."""

_ONE = 10**40
"""Fixed point of the binomial tail: far finer than a step of 1 ppm moves it."""


@lru_cache(maxsize=1 << 14)
def lower_bound_ppm(served: int, missed: int) -> int:
    """The share that a hoster serves at least, with 95 % confidence, in ppm, rounded down.

    The 5 % quantile of Beta(1 + served, 1 + missed), what is known when at first every share was
    as likely: the largest p at which more than `served` of one try more succeed with a chance of
    at most 5 %.
    """
    if (total := served + missed) > SAMPLES_COUNTED:
        served = served * SAMPLES_COUNTED // total
        missed = SAMPLES_COUNTED - served
    holds, fails = 0, MILLION
    while fails - holds > 1:
        middle = (holds + fails) // 2
        if 20 * _most_failing(served + missed + 1, missed, middle) <= _ONE:
            holds = middle
        else:
            fails = middle
    return holds


def _most_failing(tries: int, failing: int, success_ppm: int) -> int:
    """The chance that at most `failing` of `tries` fail, times `_ONE`, rounded up.

    From the last term, which is the largest where it matters, towards the first.
    """
    failure_ppm = MILLION - success_ppm
    last: int = comb(tries, failing) * failure_ppm**failing * success_ppm ** (tries - failing)
    term: int = -(-last * _ONE // MILLION**tries)
    total = term
    for count in range(failing, 0, -1):
        term = -(-term * count * success_ppm // ((tries - count + 1) * failure_ppm))
        total += term
        if total > _ONE:
            break
    return total


@lru_cache(maxsize=1 << 14)
def detection_ppm(length: int, asked: int) -> int:
    """The chance that a loss of 1 % of a feed's chunks shows, in ppm, rounded down.

    `asked` different chunks, chosen at random, of `length`. The least loss there is is one chunk,
    which of fewer than a hundred is more than 1 %.
    """
    assert 0 <= asked <= length
    lost = -(-length // 100)
    # None of the lost is asked for: choose the fewer, to multiply fewer.
    few, many = sorted((lost, asked))
    if many + few > length:
        return MILLION
    if few > SAMPLES_COUNTED:
        return MILLION - 1  # 0.99 to that power is far below a millionth
    return MILLION + -perm(length - many, few) * MILLION // perm(length, few)
