"""What was verified and waits to be stored, in one transaction with what comes just after it.

Mutable, owned by one downloader; this runs once a chunk.
"""

from feed.feed import Feed, SignedHead, StoredChunk
from feed.proof import Verified
from feed.replication.events import Arrived
from feed.tree import Node

COMMIT_CHUNKS = 512
COMMIT_BYTES = 4 << 20
"""One transaction: large enough that its cost vanishes, short enough not to hold up the loop."""

COMMIT_DELAY_US = 20_000
"""How long a verified chunk may wait for others to be stored with."""


class Batch:
    """Chunks with what to tell of them, and nodes; `nodes` also has their leaves."""

    def __init__(self, feed: Feed) -> None:
        self.nodes: dict[int, Node] = {}
        self.chunks: dict[int, StoredChunk] = {}
        self._feed = feed
        self._arrived: list[Arrived] = []
        self._size = 0
        self._since_us = 0

    @property
    def due_us(self) -> int | None:
        """When it must be stored at the latest; None when no chunk waits."""
        return self._since_us + COMMIT_DELAY_US if self.chunks else None

    @property
    def new_nodes(self) -> frozenset[int]:
        """The nodes that are not stored yet."""
        return frozenset(index for index in self.nodes if self._feed.node(index) is None)

    def is_due(self, now_us: int) -> bool:
        """Whether it is large enough, or has waited long enough, to be stored."""
        full = len(self.chunks) >= COMMIT_CHUNKS or self._size >= COMMIT_BYTES
        return full or now_us >= self._since_us + COMMIT_DELAY_US

    def add(self, verified: Verified, asked_us: int, now_us: int) -> None:
        """Take in what a message proved."""
        nodes = self.nodes
        for node in verified.nodes:
            nodes[node.index] = node
        part = verified.chunk
        if part is None or self._feed.has(part.index):
            return
        if not self.chunks:
            self._since_us = now_us
        _, size, digest = nodes[2 * part.index]
        self.chunks[part.index] = StoredChunk(part.index, digest, part.value)
        self._size += size
        self._arrived.append(Arrived(part.index, digest, part.value, asked_us, now_us))

    def store(self, verified: Verified | None, fork: int, shared: int) -> list[Arrived]:
        """Store all of it, with the head and manifest of `verified`; what is to be told then."""
        head = manifest = None
        if verified is not None:
            manifest = verified.manifest
            if verified.head is not None:
                head = SignedHead(fork, verified.roots, verified.signature)
        leaves = {2 * chunk for chunk in self.chunks}
        nodes = [node for index, node in self.nodes.items() if index not in leaves]
        self._feed.put(list(self.chunks.values()), nodes, head, manifest, shared)
        arrived = self._arrived.copy()
        self.clear()
        return arrived

    def clear(self) -> None:
        """Forget all of it."""
        self.nodes.clear()
        self.chunks.clear()
        self._arrived.clear()
        self._size = 0
