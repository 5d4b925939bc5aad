"""What a peer says of itself and of the chunks it holds.

Memory follows what the peer sent, never what it claims. A range message may cover the whole feed
in three bytes and is kept as a stretch; a bitfield is kept as the bytes it came in. Past the
limits below, more is not remembered: the peer is then asked for less than it has, and nothing
worse happens.
"""

from dataclasses import dataclass, field

from feed.ranges import Ranges

MAX_STRETCHES = 1 << 14
"""Separate ranges remembered: 1 MiB; an honest peer merges its own."""

MAX_PAGES = 1 << 10
"""Pages of bitfields remembered: 4 MiB, or 32 million chunks of a peer that has only some."""

_PAGE_BYTES = 4096
_PAGE_CHUNKS = 8 * _PAGE_BYTES


class Announced:
    """A mutable set of chunk indices, fed with range and bitfield messages."""

    __slots__ = ("_pages", "_stretches")

    def __init__(self) -> None:
        self._stretches = Ranges()
        self._pages: dict[int, bytearray] = {}

    def __contains__(self, index: int) -> bool:
        if index in self._stretches:
            return True
        page = self._pages.get(index // _PAGE_CHUNKS)
        return page is not None and bool(page[index % _PAGE_CHUNKS >> 3] >> (index & 7) & 1)

    def contains_all(self, start: int, stop: int) -> bool:
        """Whether one announced range covers `start..stop-1`."""
        return self._stretches.contiguous(start) >= stop

    def contiguous(self, start: int) -> int:
        """The first index from `start` on that the announced ranges do not cover."""
        return self._stretches.contiguous(start)

    def next(self, start: int, stop: int) -> int | None:
        """The first announced index in `start..stop-1`."""
        found = next(self._stretches.within(start, stop), None)
        nearest = stop if found is None else found[0]
        for number in sorted(self._pages):
            if (number + 1) * _PAGE_CHUNKS <= start or number * _PAGE_CHUNKS >= nearest:
                continue
            inside = max(start - number * _PAGE_CHUNKS, 0)
            bits = int.from_bytes(self._pages[number], "little") >> inside
            if bits:
                lowest = (bits & -bits).bit_length() - 1
                nearest = min(nearest, number * _PAGE_CHUNKS + inside + lowest)
                break
        return nearest if nearest < stop else None

    def add(self, start: int, stop: int) -> None:
        """Take in a range."""
        if len(self._stretches) < MAX_STRETCHES or start in self._stretches:
            self._stretches.add(start, stop)

    def drop(self, start: int, stop: int) -> None:
        """Take in that a range is gone."""
        if len(self._stretches) < MAX_STRETCHES:
            self._stretches.remove(start, stop)
        else:
            self._stretches = Ranges()
        for number, page in self._pages.items():
            first = max(start - number * _PAGE_CHUNKS, 0)
            last = min(stop - number * _PAGE_CHUNKS, _PAGE_CHUNKS) - 1
            if first <= last:
                _clear(page, first, last)

    def add_bits(self, start: int, bits: bytes) -> None:
        """Take in a bitfield, which is the whole truth about the stretch that it covers."""
        self.drop(start, start + 8 * len(bits))
        position = start >> 3
        taken = 0
        while taken < len(bits):
            number, inside = divmod(position + taken, _PAGE_BYTES)
            part = bits[taken : taken + _PAGE_BYTES - inside]
            page = self._pages.get(number)
            if page is None and len(self._pages) < MAX_PAGES and any(part):
                page = self._pages[number] = bytearray(_PAGE_BYTES)
            if page is not None:
                page[inside : inside + len(part)] = part
            taken += len(part)


@dataclass(slots=True)
class Remote:
    """What a peer says of itself; nothing of it is proven."""

    synced: bool = False
    """Whether it has said anything yet."""
    fork: int = 0
    length: int = 0
    acknowledged: int = 0
    """The length that it believes we have."""
    can_upgrade: bool = False
    has_manifest: bool = False
    has: Announced = field(default_factory=Announced)


def _clear(page: bytearray, first: int, last: int) -> None:
    """Clear the bits `first..last` of a page."""
    low, high = first >> 3, last >> 3
    kept_below, kept_above = (1 << (first & 7)) - 1, 0xFF << (last & 7) + 1 & 0xFF
    if low == high:
        page[low] &= kept_below | kept_above
        return
    page[low] &= kept_below
    page[low + 1 : high] = bytes(high - low - 1)
    page[high] &= kept_above
