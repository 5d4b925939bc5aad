"""Who paid for a plan, and what part of its escrow is whose.

Coins are spent in proportion: when somebody adds some, the others' parts are first brought down
to what is left of them. Else who came late would pay back who came first.
"""

from itertools import pairwise

from chain.reasons import Reason
from wire.codec import Message
from wire.errors import Rejected
from wire.primitives import Natural, PublicKey

SPONSORS_MAXIMUM = 64
"""Of one plan: its record is written with every verdict."""


class Sponsor(Message):
    """Who paid for a plan."""

    account: PublicKey
    part_base: Natural
    """Its part of the escrow when coins last came in."""


def parts(escrow_base: int, sponsors: tuple[Sponsor, ...]) -> tuple[int, ...]:
    """What is each sponsor's of the escrow, in their order: in proportion, and all of it.

    Each running sum is rounded down, so each part is off by less than one base unit, nothing is
    left over, and splitting again changes nothing while nothing is spent.
    """
    total, ends = 0, [0]
    for sponsor in sponsors:
        total += sponsor.part_base
        ends.append(total)
    marks = [escrow_base * end // total for end in ends]
    found = tuple(mark - before for before, mark in pairwise(marks))
    assert sum(found) == escrow_base
    return found


def joined(
    sponsors: tuple[Sponsor, ...], escrow_base: int, account: bytes, amount_base: int
) -> tuple[Sponsor, ...]:
    """The sponsors after one of them, or somebody new, has added coins to the escrow.

    A newcomer brings a part worth a place: to take all places costs more than the escrow itself.
    """
    shared = dict(zip((one.account for one in sponsors), parts(escrow_base, sponsors), strict=True))
    if account not in shared:
        least = -(-escrow_base // SPONSORS_MAXIMUM)
        if len(shared) == SPONSORS_MAXIMUM:
            raise Rejected(Reason.TOO_MANY_SPONSORS, f"{SPONSORS_MAXIMUM} pay for this plan")
        if amount_base < least:
            raise Rejected(Reason.TOP_UP_TOO_SMALL, f"{amount_base} is less than {least}")
    shared[account] = shared.get(account, 0) + amount_base
    return tuple(Sponsor(account=one, part_base=part) for one, part in shared.items())
