"""Judging one `data` message: what it proves to a reader that knows only the feed's key.

Everything received is climbed to something trusted: a node already stored, or the roots that
the owner's signature covers. The order of the steps is WIRE.md section 5; `prover.py` is the
other side.

A node's hash binds its own size, but a parent's hash binds its children's sizes only as a sum:
of two siblings that both came from the peer, bytes could be moved from one to the other. Such
a pair proves its parent and is not handed on to be stored, so every stored size is true.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from feed import flat_tree
from feed.manifest import Manifest, is_compat, require_manifest
from feed.messages import ChunkPart, Data, Request, SeekPart, UpgradePart
from feed.signature import verify_head
from feed.tree import MAX_LENGTH, Appender, Head, Node, leaf, parent_of, size_of
from wire.errors import Malformed, Unavailable

NodeLookup = Callable[[int], Node | None]
"""The stored node of a tree index, roots included; None when it is not stored."""


class State(NamedTuple):
    """What a reader has of a feed; a new reader has `State.empty`."""

    key: bytes
    manifest: Manifest | None
    fork: int
    length: int
    roots: tuple[Node, ...]
    node: NodeLookup

    @classmethod
    def empty(cls, key: bytes, manifest: Manifest | None = None) -> "State":
        """The state of one who knows only the key, and perhaps the manifest."""
        return cls(key, manifest, 0, 0, (), lambda _index: None)


class Verified(NamedTuple):
    """What a message proved; stored whole or not at all.

    `head` and `signature` are None when the feed did not grow (a head that the manifest itself
    fixes has no signature either), `manifest` is None unless it is news. `roots` are those after
    this message. Of every node in `nodes` (new roots among them) hash and size are certain; the
    leaf of `chunk` is among them.
    """

    head: Head | None
    roots: tuple[Node, ...]
    signature: bytes | None
    manifest: Manifest | None
    nodes: tuple[Node, ...]
    chunk: ChunkPart | None


@dataclass(frozen=True, slots=True)
class Reorg:
    """The owner truncated the feed and went on with a higher fork, and the proof of it is good.

    How much of what is stored stays valid is for `feed.replication.descent` to find out.
    """

    verified: Verified


def verify(state: State, request: Request, data: Data) -> Verified | Reorg:
    """Judge an answer to `request`, which the caller found by its id.

    Raises `Malformed` for what no honest peer sends, and `Unavailable` when the feed moved on
    between question and answer, which is nobody's fault.
    """
    _require_answer(request, data)
    if data.fork < state.fork:
        raise Unavailable(f"an answer of fork {data.fork} when fork {state.fork} is known")
    if data.chunk and data.fork == state.fork and not (data.upgrade or data.seek or data.manifest):
        return _verify_chunk(state, data.chunk)
    manifest = _manifest(state, data)
    news = manifest if state.manifest is None else None
    reorg = data.fork > state.fork
    seen = _Seen()
    top = _climb(data, seen)
    tree = Appender(() if reorg else state.roots)
    before = tree.length
    if data.upgrade is not None:
        _require_current(state, request, reorg)
        top = _grow(tree, data.upgrade, top, seen)
    if top is not None:
        _require_stored(state, top, reorg)
    if tree.length == before:
        if reorg:
            raise Malformed("data of a higher fork that does not lead to its signature")
        return Verified(None, state.roots, None, news, seen.certain(()), data.chunk)
    assert data.upgrade is not None
    head = _require_signed(state.key, manifest, data.fork, tree, data.upgrade)
    roots = tuple(tree.roots)
    signature = data.upgrade.signature
    verified = Verified(head, roots, signature, news, seen.certain(roots), data.chunk)
    return Reorg(verified) if reorg and state.length else verified


def _verify_chunk(state: State, part: ChunkPart) -> Verified:
    """The usual answer, once for every chunk: a chunk, and its path up to a stored node."""
    current = leaf(part.index, part.value)
    nodes = [current]
    for node in part.nodes:
        if node.index != flat_tree.sibling(current.index):
            raise Malformed(f"node {node.index} is not the sibling of {current.index}")
        current = parent_of(current, node)
        nodes += (node, current)
    _require_stored(state, current, reorg=False)
    return Verified(None, state.roots, None, None, tuple(nodes), part)


def missing_levels(chunk_index: int, length: int, has_node: Callable[[int], bool]) -> int:
    """How many levels of a chunk's path to ask for, so that the proof ends at a stored node.

    `length` is the reader's; a chunk beyond it is proven by the upgrade it rides on, with 0.
    """
    if chunk_index >= length:
        return 0
    index = 2 * chunk_index
    levels = 0
    while not has_node(index):
        index = flat_tree.parent(index)
        assert index < 2 * length, "the roots of a feed are always stored"
        levels += 1
    return levels


def climb_to(top: Node, request: Request, data: Data) -> tuple[Node, ...]:
    """The nodes on the path of a hash part that must lead to a known node.

    Raises `Malformed`. Left out are two siblings whose sizes are sure only as a sum.
    """
    _require_answer(request, data)
    seen = _Seen()
    if data.hash is None or data.chunk or data.seek or _climb(data, seen) != top:
        raise Malformed(f"the path does not lead to node {top.index}")
    return seen.certain(())


class _Seen:
    """The nodes of one message: those received, and those computed from others."""

    __slots__ = ("computed", "received")

    def __init__(self) -> None:
        self.received: dict[int, Node] = {}
        self.computed: dict[int, Node] = {}

    def join(self, one: Node, other: Node) -> Node:
        """The parent of two siblings."""
        node = parent_of(one, other)
        self.computed[node.index] = node
        return node

    def certain(self, roots: Iterable[Node]) -> tuple[Node, ...]:
        """The nodes whose size is proven too, once the message is: not two received siblings."""
        received, computed = self.received, self.computed
        settled = {root.index for root in roots}
        sure = [
            node
            for index, node in received.items()
            if index in settled
            or ((pair := flat_tree.sibling(index)) not in received or pair in computed)
        ]
        return (*computed.values(), *(node for node in sure if node.index not in computed))


class _Queue:
    """Received nodes in the order they must be used, and one node that may be used any time."""

    __slots__ = ("nodes", "position", "seen", "spare")

    def __init__(self, nodes: tuple[Node, ...], spare: Node | None, seen: _Seen) -> None:
        self.nodes = nodes
        self.position = 0
        self.spare = spare
        self.seen = seen

    def take(self, index: int) -> Node:
        """The node of this index: the spare one if it fits, else the next."""
        spare = self.spare
        if spare is not None and spare.index == index:
            self.spare = None
            return spare
        if self.position == len(self.nodes):
            raise Malformed(f"the proof ends before node {index}")
        node = self.nodes[self.position]
        if node.index != index:
            raise Malformed(f"node {node.index} where the proof needs node {index}")
        self.position += 1
        self.seen.received[index] = node
        return node

    def unused(self) -> bool:
        """Whether anything is left."""
        return self.position < len(self.nodes) or self.spare is not None


def _require_answer(request: Request, data: Data) -> None:
    chunk, hash_, seek = data.chunk, data.hash, data.seek
    if (
        data.fork != request.fork
        or (chunk and (not request.chunk or chunk.index != request.chunk.index))
        or (hash_ and (not request.hash or hash_.index != request.hash.index))
        or (seek and (not request.seek or seek.byte_offset != request.seek.byte_offset))
        or (data.upgrade and not request.upgrade)
    ):
        raise Malformed("an answer to another question")


def _require_current(state: State, request: Request, reorg: bool) -> None:
    assert request.upgrade is not None
    if not reorg and request.upgrade.start != state.length:
        raise Unavailable("the feed grew before the answer came")


def _manifest(state: State, data: Data) -> Manifest | None:
    """The feed's manifest, ours or theirs; None in a compat feed or when nobody knows it."""
    if state.manifest is not None or data.manifest is None:
        return state.manifest
    require_manifest(state.key, data.manifest)
    return None if is_compat(state.key, data.manifest) else data.manifest


def _climb(data: Data, seen: _Seen) -> Node | None:
    """The topmost node that the chunk, hash and seek parts lead to, not yet trusted."""
    spare = _climb_seek(data.seek, seen) if data.seek and data.seek.nodes else None
    if data.chunk is not None:
        queue = _Queue(data.chunk.nodes, spare, seen)
        current = leaf(data.chunk.index, data.chunk.value)
        seen.computed[current.index] = current
    elif data.hash is not None:
        queue = _Queue(data.hash.nodes, spare, seen)
        current = queue.take(data.hash.index)
    else:
        return spare
    while queue.unused():
        current = seen.join(current, queue.take(flat_tree.sibling(current.index)))
    return current


def _climb_seek(seek: SeekPart, seen: _Seen) -> Node:
    queue = _Queue(seek.nodes, None, seen)
    current = queue.take(seek.nodes[0].index)
    while queue.unused():
        current = seen.join(current, queue.take(flat_tree.sibling(current.index)))
    return current


def _grow(tree: Appender, upgrade: UpgradePart, top: Node | None, seen: _Seen) -> Node | None:
    """Apply an upgrade to our roots; returns `top` if the new tree does not contain it."""
    target = upgrade.start + upgrade.length
    if target > MAX_LENGTH:
        raise Malformed(f"an upgrade to {target} chunks")
    queue = _Queue(upgrade.nodes, top, seen)
    own, kept = len(tree.roots), 0
    for root in flat_tree.full_roots(target):
        if kept == own:
            _push(tree, queue.take(root), seen)
        elif tree.roots[kept].index == root:
            kept += 1
        else:
            while tree.roots[-1].index != root:
                _push(tree, queue.take(flat_tree.sibling(tree.roots[-1].index)), seen)
            kept = own
    _grow_further(tree, upgrade.additional_nodes, seen)
    return queue.spare


def _grow_further(tree: Appender, nodes: tuple[Node, ...], seen: _Seen) -> None:
    """Apply the nodes that lead from the length asked for to the length signed."""
    if nodes and not tree.roots:
        raise Malformed("additional nodes on an empty tree")
    for node in nodes:
        position = flat_tree.sibling(tree.roots[-1].index)
        while node.index != position:
            if not position & 1:
                raise Malformed(f"additional node {node.index} has no place")
            position = flat_tree.left_child(position)
        seen.received[position] = node
        _push(tree, node, seen)


def _push(tree: Appender, node: Node, seen: _Seen) -> None:
    for computed in tree.push(node)[1:]:
        seen.computed[computed.index] = computed


def _require_stored(state: State, top: Node, reorg: bool) -> None:
    if reorg or top.index >= 2 * state.length:
        raise Malformed(f"node {top.index} is not in the tree it came with")
    stored = state.node(top.index)
    if stored is None:
        raise Malformed(f"the path ends at node {top.index}, which is not stored")
    if stored != top:
        raise Malformed(f"the path does not lead to the stored node {top.index}")


def _require_signed(
    key: bytes, manifest: Manifest | None, fork: int, tree: Appender, upgrade: UpgradePart
) -> Head:
    """The new head, once its length, its prologue and its signature are found good."""
    if tree.length > MAX_LENGTH:
        raise Malformed(f"a feed of {tree.length} chunks")
    assert [root.index for root in tree.roots] == flat_tree.full_roots(tree.length)
    prologue = manifest.prologue if manifest is not None else None
    if prologue is not None and upgrade.start + upgrade.length < prologue.length:
        raise Malformed("an upgrade that ends inside the part the manifest fixes")
    size_of(tree.roots)
    head = tree.head(fork)
    verify_head(
        key,
        manifest,
        upgrade.signature,
        fork=fork,
        length=head.length,
        tree_hash=head.tree_hash,
    )
    return head
