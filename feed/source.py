"""A stored feed as answers are made from it."""

from feed.feed import Feed, StoredChunk
from feed.manifest import is_compat
from feed.prover import Source


def source(feed: Feed, chunk: StoredChunk | None = None) -> Source:
    """The feed, with the one chunk that is asked for."""
    manifest = None if is_compat(feed.key, feed.manifest) else feed.manifest
    return Source(
        manifest,
        feed.fork,
        feed.length,
        feed.signature,
        feed.node,
        lambda _index: None if chunk is None else chunk.value,
    )
