"""A head of a feed, as records hold it."""

from wire.codec import Message
from wire.primitives import Hash, Natural


class Head(Message):
    """A proven state of a feed: the tree hash binds length and bytes."""

    fork: Natural
    length: Natural
    byte_length: Natural
    tree_hash: Hash
