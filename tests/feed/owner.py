"""An owner with one feed, for tests of everything that stores or carries chunks."""

from feed.feed import Feed, signed_by
from feed.manifest import default_manifest, manifest_key
from feed.store import FeedStore
from wire.keys import KeyPair

PAIR = KeyPair(bytes(range(32)))
MANIFEST = default_manifest(PAIR.public)
KEY = manifest_key(MANIFEST)
SIGN = signed_by(PAIR, KEY, MANIFEST)


def chunk(index: int) -> bytes:
    """The content of every chunk, so that what survived or came can be compared."""
    return index.to_bytes(4, "big") * (1 + index % 2000)


def owned(store: FeedStore, length: int) -> Feed:
    """The owner's feed of so many chunks."""
    feed = store.create(KEY, MANIFEST)
    feed.append([chunk(index) for index in range(length)], SIGN)
    return feed
