"""What happens at a height by itself: deadlines, starts and returns, kept by height."""

from chain.records import Due, DueItem, height_key
from chain.state import Draft

ROOM = 256
"""What senders can put on one height: else many could make one block too heavy for all."""


def at(draft: Draft, height: int, item: DueItem) -> None:
    """Let `item` happen at the end of block `height`."""
    key = height_key(height)
    due = draft.dues.get(key) or Due()
    draft.dues.put(key, Due(items=(*due.items, item)))


def soon(draft: Draft, height: int, item: DueItem) -> int:
    """Let `item` happen at `height`, or at the next height with room; returns which."""
    while (due := draft.dues.get(height_key(height))) and len(due.items) >= ROOM:
        height += 1
    at(draft, height, item)
    return height


def take(draft: Draft, height: int) -> tuple[DueItem, ...]:
    """What is due at the end of block `height`, taken off the schedule."""
    key = height_key(height)
    due = draft.dues.get(key)
    if due is None:
        return ()
    draft.dues.remove(key)
    return due.items
