"""Answering one request: the other side of `proof.py`, and a function of request and feed alone.

Which node goes into which part is fixed by WIRE.md section 5, so that any two hosters of a feed
answer with the same bytes. A target (chunk, node or byte offset) that lies in what an upgrade
adds is *embedded*: where the upgrade would list a node over it, the path from the target up to
that node goes into the target's own part instead.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from feed import flat_tree
from feed.manifest import Manifest
from feed.messages import (
    ChunkPart,
    Data,
    HashPart,
    Request,
    SeekPart,
    SeekRequest,
    UpgradePart,
    UpgradeRequest,
)
from feed.proof import NodeLookup
from feed.tree import MAX_LENGTH, Node
from wire.errors import Malformed, NotFound

_MAX_LEVELS = MAX_LENGTH.bit_length()
"""No tree is deeper."""


class Source(NamedTuple):
    """A feed as its hoster stores it; the manifest is None in a compat feed."""

    manifest: Manifest | None
    fork: int
    length: int
    signature: bytes | None
    node: NodeLookup
    chunk: Callable[[int], bytes | None]


def produce(source: Source, request: Request) -> Data:
    """The answer to a request.

    Raises `NotFound` when something asked for is not held, also because it is of another fork,
    and `Malformed` when no feed of this length could answer. A chunk that is not held does not
    keep the manifest from being sent.
    """
    if request.fork != source.fork:
        raise NotFound(f"fork {request.fork} is not held")
    manifest = source.manifest if request.manifest else None
    nothing = Data(request.id, source.fork, manifest=manifest)
    if not (request.chunk or request.hash or request.seek or request.upgrade):
        return nothing
    value = b""
    if request.chunk is not None:
        held = source.chunk(request.chunk.index)
        if held is None and manifest is not None:
            return nothing
        if held is None:
            raise NotFound(f"chunk {request.chunk.index} is not held")
        value = held
    if request.chunk is not None and not (request.seek or request.upgrade):
        path = _path(source, *request.chunk)
        return Data(
            request.id, source.fork, ChunkPart(request.chunk.index, value, path), manifest=manifest
        )
    draft = _Draft(source, request)
    draft.fill()
    return draft.data(value, manifest)


def _path(source: Source, chunk: int, levels: int) -> tuple[Node, ...]:
    """The usual question, once for every chunk: the siblings on its way so many levels up."""
    if levels > _MAX_LEVELS or (chunk >> levels) + 1 << levels > source.length:
        raise Malformed(f"{levels} levels above chunk {chunk} is beyond the feed")
    node, index = source.node, 2 * chunk
    path = []
    for _ in range(levels):
        sibling = node(flat_tree.sibling(index))
        if sibling is None:
            raise NotFound(f"node {flat_tree.sibling(index)} is not held")
        path.append(sibling)
        index = flat_tree.parent(index)
    return tuple(path)


def byte_offset(index: int, length: int, node: NodeLookup, padding: int = 0) -> int:
    """How many bytes of a feed of `length` chunks lie to the left of a tree node.

    Each chunk counts `padding` bytes less. Raises `NotFound` when a node on the way is missing.
    """
    before = 0
    for root in flat_tree.full_roots(length):
        if not flat_tree.contains(root, index):
            before += _size(root, node, padding)
            continue
        current = root
        while current != index:
            left = flat_tree.left_child(current)
            if index < current:
                current = left
            else:
                before += _size(left, node, padding)
                current = flat_tree.right_child(current)
        return before
    raise Malformed(f"node {index} is beyond a feed of {length} chunks")


class _Draft:
    """One answer in the making: the node lists of its parts."""

    __slots__ = ("additional", "nodes", "path", "request", "seek", "source", "upgrade")

    def __init__(self, source: Source, request: Request) -> None:
        self.source = source
        self.request = request
        self.upgrade = _whole_prologue(source.manifest, request.upgrade)
        self.path: list[Node] | None = None
        self.seek: list[Node] | None = None
        self.nodes: list[Node] = []
        self.additional: list[Node] = []

    def fill(self) -> None:
        """Collect all nodes; `start`, `end` and `head` are leaf indices."""
        request, upgrade, asked = self.request, self.upgrade, self._asked()
        head = 2 * self.source.length
        start = 2 * upgrade.start if upgrade else 0
        end = start + 2 * upgrade.length if upgrade else head
        if not start < end <= head:
            raise Malformed(f"an upgrade to {end >> 1} of {head >> 1} chunks")
        target = None
        if asked is not None and (upgrade is None or flat_tree.span(asked)[1] < start):
            self._climb(asked, end)
        elif upgrade is not None and request.seek is not None:
            if asked is not None:
                raise Malformed("a seek and a chunk, both in what an upgrade adds")
            target = self._seek_from_head(request.seek, end)
        elif upgrade is not None:
            target = asked
        if upgrade is not None:
            self._list_upgrade(start, end, target)
            self.additional += [self._node(index) for index in _upgrade_path(end, head)]
        if asked is not None and self.path is None:
            raise Malformed(f"node {asked} is not in the upgrade it was asked for with")

    def data(self, value: bytes, manifest: Manifest | None) -> Data:
        """The message."""
        chunk, hash_, seek = self.request.chunk, self.request.hash, self.request.seek
        path = tuple(self.path or ())
        return Data(
            self.request.id,
            self.source.fork,
            None if chunk is None else ChunkPart(chunk.index, value, path),
            None if hash_ is None or chunk is not None else HashPart(hash_.index, path),
            None
            if seek is None or self.seek is None
            else SeekPart(seek.byte_offset, tuple(self.seek)),
            None
            if self.upgrade is None
            else UpgradePart(
                *self.upgrade, tuple(self.nodes), tuple(self.additional), self.source.signature
            ),
            manifest,
        )

    def _asked(self) -> int | None:
        """The tree index of the chunk or the node asked for."""
        if self.request.chunk is not None:
            return 2 * self.request.chunk.index
        return None if self.request.hash is None else self.request.hash.index

    def _climb(self, asked: int, end: int) -> None:
        """The path, as many levels as asked for, of a target in the asker's own tree."""
        part = self.request.chunk or self.request.hash
        assert part is not None
        top = asked
        for _ in range(part.nodes):
            if flat_tree.span(top)[1] >= end:
                break
            top = flat_tree.parent(top)
        if flat_tree.span(top)[1] >= end:
            raise Malformed(f"{part.nodes} levels above node {asked} is beyond the feed")
        seek = self.request.seek
        self._embed(asked, None if seek is None else self._seek_within(seek, top), top)

    def _list_upgrade(self, start: int, end: int, target: int | None) -> None:
        """The upgrade's nodes, and in place of the one over `target` the path up to it."""
        asked = self._asked()
        for index in _upgrade_path(start, end):
            if target is None or not flat_tree.contains(index, target):
                self.nodes.append(self._node(index))
            elif asked is None:
                self.seek = self._siblings(target, index)
            else:
                self._embed(asked, None, index)

    def _embed(self, asked: int, sought: int | None, top: int) -> None:
        """The path from `asked` to `top`; the sibling over `sought` goes into the seek part."""
        path = [] if self.request.chunk is not None else [self._node(asked)]
        while asked != top:
            sibling = flat_tree.sibling(asked)
            if sought is None or sought == sibling or not flat_tree.contains(sibling, sought):
                path.append(self._node(sibling))
            else:
                self.seek = self._siblings(sought, sibling)
            asked = flat_tree.parent(asked)
        self.path = path

    def _siblings(self, target: int, top: int) -> list[Node]:
        """The target's node, then the siblings on its way up to `top`."""
        nodes = [self._node(target)]
        while target != top:
            nodes.append(self._node(flat_tree.sibling(target)))
            target = flat_tree.parent(target)
        return nodes

    def _seek_from_head(self, seek: SeekRequest, end: int) -> int | None:
        """The node at a byte offset of the whole tree; None when it lies beyond."""
        left = seek.byte_offset
        for root in flat_tree.full_roots(end >> 1):
            size = _size(root, self.source.node, seek.padding)
            if left == size:
                return root
            if left < size:
                return self._seek_down(root, left, seek.padding)
            left -= size
        return None

    def _seek_within(self, seek: SeekRequest, top: int) -> int:
        """The node at a byte offset that must lie under `top`."""
        node, padding = self.source.node, seek.padding
        left = seek.byte_offset - byte_offset(top, self.source.length, node, padding)
        if left and not 0 < left < _size(top, node, padding):
            raise Malformed(f"byte {seek.byte_offset} is not under node {top}")
        return self._seek_down(top, left, padding)

    def _seek_down(self, index: int, left: int, padding: int) -> int:
        """The node that begins or ends `left` bytes into a subtree, as far as nodes are stored."""
        while left and index & 1:
            child = flat_tree.left_child(index)
            stored = self.source.node(child)
            if stored is None:
                return index
            size = stored.size - padding * flat_tree.leaves(child)
            if left == size:
                return child
            if left < size:
                index = child
            else:
                left -= size
                index = flat_tree.right_child(index)
        return index

    def _node(self, index: int) -> Node:
        return _stored(index, self.source.node)


def _stored(index: int, lookup: NodeLookup) -> Node:
    node = lookup(index)
    if node is None:
        raise NotFound(f"node {index} is not held")
    return node


def _size(index: int, lookup: NodeLookup, padding: int) -> int:
    return _stored(index, lookup).size - padding * flat_tree.leaves(index)


def _whole_prologue(
    manifest: Manifest | None, upgrade: UpgradeRequest | None
) -> UpgradeRequest | None:
    """The upgrade, or the one to the end of the fixed beginning when it starts inside that."""
    prologue = manifest.prologue if manifest is not None else None
    if upgrade is None or prologue is None or upgrade.start >= prologue.length:
        return upgrade
    return UpgradeRequest(0, prologue.length)


def _upgrade_path(start: int, end: int) -> Iterator[int]:
    """The nodes that turn a tree up to leaf `start` into one up to leaf `end`, both excluded."""
    if start == end:
        return
    last = start - 2
    for root in flat_tree.full_roots(end >> 1):
        if flat_tree.span(root)[1] < start:
            continue
        if last < 0 or not flat_tree.contains(root, last):
            yield root
            continue
        current = last
        while current != root:
            sibling = flat_tree.sibling(current)
            if sibling > last:
                yield sibling
            current = flat_tree.parent(current)
