"""How much of a rewritten feed is what it was: down the new tree to where the two part.

An owner who truncates a feed and goes on changes few chunks and nearly every root, so roots alone
say little. Each question asks for the path of the first chunk under the first subtree that
differs: of the siblings on it the leading ones that are stored already are shared, and the first
that is not is where the next question begins. Every answer is bound to the new head, and a
dozen questions are enough for any feed.

Of a subtree that this side knows nothing of, it holds no chunks either: nothing there is lost.
"""

from typing import NamedTuple

from feed import flat_tree
from feed.messages import Data, PathRequest, Request
from feed.proof import NodeLookup, Verified, climb_to
from feed.tree import Node


class Descent:
    """The search in one feed for what two forks share; mutable, owned by one downloader."""

    def __init__(self, roots: tuple[Node, ...], length: int, stored: NodeLookup) -> None:
        """`roots` are those of the new fork; `length` and `stored` of what is here."""
        self.shared = 0
        """How many of the first chunks are known to be the same."""
        self.nodes: list[Node] = []
        """Nodes of the new tree that were learnt on the way."""
        self._length = length
        self._stored = stored
        self._under: Node | None = None
        self._pass(roots)

    @property
    def question(self) -> PathRequest | None:
        """The node to ask for next; None when all that is shared has been found."""
        under = self._under
        if under is None:
            return None
        return PathRequest(flat_tree.span(under.index)[0], flat_tree.depth(under.index))

    def take(self, request: Request, data: Data) -> None:
        """The answer to `question`. Raises `Malformed` when it does not lead to the new head."""
        assert self._under is not None, "there was a question"
        self.nodes += climb_to(self._under, request, data)
        assert data.hash is not None
        leaf, *siblings = data.hash.nodes
        if self._stored(leaf.index) == leaf:
            self.nodes += (leaf, siblings[0])
        self._pass((leaf, *siblings))

    def _pass(self, nodes: tuple[Node, ...]) -> None:
        """Go along neighbouring subtrees, left to right, up to the first that may differ."""
        self._under = None
        for node in nodes:
            first, width = flat_tree.span(node.index)[0] >> 1, flat_tree.leaves(node.index)
            stored = self._stored(node.index) if first + width <= self._length else None
            if first >= self._length:
                return
            is_unknown = stored is None and first + width <= self._length
            if stored != node and not is_unknown:
                self._under = node if node.index & 1 else None
                return
            self.shared = first + width


class Rewrite(NamedTuple):
    """A signed head of a higher fork, while it is found out how much of the feed it shares."""

    verified: Verified
    fork: int
    descent: Descent
