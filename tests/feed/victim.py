"""A process to be killed: `python -m tests.feed.victim append|put STORE [SOURCE]`.

It writes one line for every batch that the store has acknowledged, and never ends by itself.
"""

import sys
from collections.abc import Iterator

from feed.feed import Feed, SignedHead
from feed.store import FeedStore
from tests.feed.owner import KEY, MANIFEST, SIGN, chunk

BATCH = 7


def append_for_ever(feed: Feed) -> Iterator[int]:
    """Append batch after batch; yields the length that was acknowledged."""
    while True:
        start = feed.length
        yield feed.append([chunk(i) for i in range(start, start + BATCH)], SIGN).length


def put_for_ever(feed: Feed, source: Feed) -> Iterator[int]:
    """Copy chunks from the last to the first, again and again; yields how many are held."""
    while True:
        index = next(i for i in reversed(range(source.length)) if not feed.has(i))
        batch = [source.chunk(i) for i in range(max(0, index - BATCH), index + 1)]
        nodes = [node for i in range(2 * source.length) if (node := source.node(i)) is not None]
        feed.put(batch, nodes, SignedHead(0, source.roots, source.signature), source.manifest)
        yield feed.held.count


if __name__ == "__main__":
    feed = FeedStore(sys.argv[2]).create(KEY)
    if sys.argv[1] == "append":
        acknowledged = append_for_ever(FeedStore(sys.argv[2]).create(KEY, MANIFEST))
    else:
        acknowledged = put_for_ever(feed, FeedStore(sys.argv[3]).open(KEY))
    for count in acknowledged:
        sys.stdout.write(f"{count}\n")
        sys.stdout.flush()
