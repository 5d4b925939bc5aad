"""Service levels as bands: how much of a price is paid for how much of what was agreed.

Two qualities are paid for, each in ppm: the *score*, and the *speed*, the smaller of how much of
the agreed throughput came and of how far latency stayed within what was agreed.
"""

from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

from wire.codec import Message
from wire.primitives import Ppm

MILLION = 1_000_000


class Band(Message):
    """From this quality on, so much is paid."""

    least_ppm: Ppm
    pay_ppm: Ppm


def _falling(bands: tuple[Band, ...]) -> tuple[Band, ...]:
    """Best first: a worse quality is never paid more."""
    for better, worse in pairwise(bands):
        if worse.least_ppm >= better.least_ppm or worse.pay_ppm > better.pay_ppm:
            raise ValueError("bands go from the best down, and none pays more than a better one")
    return bands


Bands = Annotated[tuple[Band, ...], Field(min_length=1, max_length=16), AfterValidator(_falling)]


def bands(*edges: tuple[int, int]) -> tuple[Band, ...]:
    """Bands from (least, pay) pairs, best first."""
    return tuple(Band(least_ppm=least, pay_ppm=pay) for least, pay in edges)


def pay_ppm(of: tuple[Band, ...], quality_ppm: int) -> int:
    """What a quality is paid: of the first band that it reaches; below the last one nothing."""
    return next((band.pay_ppm for band in of if quality_ppm >= band.least_ppm), 0)


def speed_ppm(latency_us: int, agreed_us: int, throughput: int, agreed_throughput: int) -> int:
    """How much of the agreed speed came, at most all of it; rounded down.

    Twice the latency that was agreed is half of it, as is half of the throughput.
    """
    latency = MILLION if latency_us <= agreed_us else agreed_us * MILLION // latency_us
    if throughput >= agreed_throughput:
        return latency
    return min(latency, throughput * MILLION // agreed_throughput)
