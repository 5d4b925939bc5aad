"""What happens at a height by itself: deadlines, starts and returns, kept by height."""

from chain.records import Due, DueItem, height_key
from chain.state import Draft

ROOM = 256
"""What senders can put on one height: else many could make one block too heavy for all."""


def at(draft: Draft, height: int, item: DueItem) -> None:
    """Let `item` happen at the end of block `height`."""
    key = height_key(height)
    due = draft.dues.get(key) or Due()
    draft.dues.put(key, due.model_copy(update={"items": (*due.items, item)}))


def soon(draft: Draft, height: int, item: DueItem) -> int:
    """Let `item` happen at `height`, or at the next height with room; returns which.

    Heights that are passed over remember where there was room: what fills many pays for the steps
    over them, and who comes after takes few.
    """
    passed = []
    while (due := draft.dues.get(height_key(height))) and len(due.items) >= ROOM:
        passed.append((height, due))
        height = due.onward or height + 1
    for full, due in passed[:-1]:
        draft.dues.put(height_key(full), due.model_copy(update={"onward": height}))
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
