"""Feeds rebuilt from the vectors, for the tests of this folder."""

from feed.tree import Appender, Node


def node_of(row):
    """A node as the vectors write it."""
    return Node(row["index"], row["size"], bytes.fromhex(row["hash"]))


def chunks_of(feed):
    """The chunks of a feed, listed or given by a rule."""
    if feed["blocks"] is not None:
        return [bytes.fromhex(block) for block in feed["blocks"]]
    return [
        bytes((r["a"] * i + r["b"] + (i >> 8)) & 255 for i in range(r["len"])) for r in feed["rule"]
    ]


class Feed:
    """All that a hoster of these chunks stores of the tree."""

    def __init__(self, chunks):
        self.chunks = list(chunks)
        self.nodes = {}
        appender = Appender()
        for chunk in self.chunks:
            for node in appender.append(chunk):
                self.nodes[node.index] = node
        self.roots = tuple(appender.roots)
        self.head = appender.head(0)

    @property
    def length(self):
        return len(self.chunks)

    def node(self, index):
        return self.nodes.get(index)

    def chunk(self, index):
        return self.chunks[index] if index < len(self.chunks) else None
