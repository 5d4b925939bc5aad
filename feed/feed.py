"""One stored feed: its head, its chunks and its tree, over the tables of a store.

A `Feed` mirrors its row, its roots and its held ranges in memory, and some of its nodes
(`feed.nodes`). What changes memory does so inside `_change`, which takes everything from the file
again when the transaction fails.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from feed import flat_tree
from feed.checksum import checksum
from feed.conflict import Conflict
from feed.manifest import Manifest, decode_manifest, encode_manifest
from feed.nodes import Nodes
from feed.ranges import Ranges, runs
from feed.signature import sign_head
from feed.tables import CHUNK_BITS, NODE_BITS, NODE_BYTES, StoreFailure, StoreFull, Tables, cut
from feed.tree import MAX_LENGTH, Appender, Head, Node, leaf_hash, length_of, size_of, tree_hash
from wire.errors import Malformed, NotFound, Unavailable
from wire.keys import KeyPair

_EVIDENCE, _CHANGED = "conflict", "another process changed the feed; try again"


class StoredChunk(NamedTuple):
    """A chunk with the hash of its leaf, as verified when it came."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    hash: bytes
    value: bytes
    checksum: int | None = None
    """Of hash and value, as they were stored."""

    def is_intact(self) -> bool:
        """Whether the disk gave back what was stored.

        The checksum finds what rots by itself, in a tenth of the time that the hash takes.
        """
        return self.checksum == checksum(self.hash, self.value) or (
            leaf_hash(self.value) == self.hash
        )


class SignedHead(NamedTuple):
    """A verified head, as `put` takes it."""

    fork: int
    roots: tuple[Node, ...]
    signature: bytes | None


Sign = Callable[[Head], bytes]
"""Signs a head; returns the signature as it travels (see `feed.signature.sign_head`)."""


def signed_by(pair: KeyPair, key: bytes, manifest: Manifest | None) -> Sign:
    """How the one owner of a feed signs its heads."""
    return lambda head: sign_head(
        pair, key, manifest, fork=head.fork, length=head.length, tree_hash=head.tree_hash
    )


class Change(NamedTuple):
    """The stretches of chunks that a commit added and dropped; both are empty for a new head.

    A new fork says for itself what is gone.
    """

    added: Sequence[tuple[int, int]] = ()
    dropped: Sequence[tuple[int, int]] = ()


Watcher = Callable[[Change], None]
"""Called after each commit."""


class Feed:
    """A feed of a store. Attributes are for reading; methods change them and the file together.

    Chunks beyond `length` are *staged*: stored, but under no signed head and seen by nobody.
    """

    def __init__(self, tables: Tables, id: int) -> None:
        self._tables = tables
        self._run = tables.run
        self.reading = tables.reading
        self._id = id
        self._watchers: list[Watcher] = []
        self.max_bytes: int | None = None
        """More bytes of chunks than these are not `put`, though the disk has room; to be set."""
        self.max_fork: int | None = None
        """A head of a later fork is not `put`: it would take back what is here; to be set."""
        self._load()

    def _load(self) -> None:
        row = self._run(
            "SELECT key, manifest, fork, length, byte_length, signature, held_bytes"
            " FROM feed WHERE id = ?",
            (self._id,),
        ).fetchone()
        if row is None:
            raise NotFound("the feed was deleted")
        self.key: bytes = row[0]
        self.fork: int = row[2]
        self.length: int = row[3]
        self.byte_length: int = row[4]
        self.signature: bytes | None = row[5]
        self.held_bytes: int = row[6]
        held = self._run("SELECT start, stop FROM held WHERE feed = ?", (self._id,))
        self.held = Ranges(held.fetchall())
        self._nodes = Nodes(self._tables, self._id)
        self.staged_length = self._read_staged_length()
        try:
            self.manifest: Manifest | None = None if row[1] is None else decode_manifest(row[1])
        except Malformed as error:
            raise self._tables.damaged(f"a manifest: {error}") from None
        self.conflict: bytes | None = self.metadata(_EVIDENCE)
        """The evidence that its owner signed two histories, if there is any."""
        self.roots = self._roots_of(self.length)
        self._staged_roots = self._roots_of(self.staged_length)

    def _read_staged_length(self) -> int:
        (last,) = self._run(
            "SELECT max(id) FROM chunk WHERE id >= ? AND id < ?",
            (self._chunk_id(self.length), self._chunk_id(MAX_LENGTH)),
        ).fetchone()
        return self.length if last is None else last - self._chunk_id(0) + 1

    def _roots_of(self, length: int) -> tuple[Node, ...]:
        roots = []
        for index in flat_tree.full_roots(length):
            root = self.node(index)
            if root is None:
                raise self._tables.damaged(f"root {index} of a feed is missing")
            roots.append(root)
        return tuple(roots)

    def _chunk_id(self, index: int) -> int:
        return (self._id << CHUNK_BITS) + index

    def has(self, index: int) -> bool:
        """Whether the chunk is here."""
        return index in self.held

    @property
    def missing(self) -> int:
        """How many chunks of the feed are not here."""
        return self.length - self.held.count

    @property
    def contiguous_length(self) -> int:
        """How many chunks are here from the first on without a gap."""
        return self.held.contiguous()

    def chunk(self, index: int) -> StoredChunk:
        """A chunk and its leaf hash; raises `NotFound` when it is not here.

        The bytes are what the disk gives: see `StoredChunk.is_intact`, and `feed.check`.
        """
        if index not in self.held and not self.length <= index < self.staged_length:
            raise NotFound(f"chunk {index} is not here")
        row = self._run(
            "SELECT hash, bytes, checksum FROM chunk WHERE id = ?", (self._chunk_id(index),)
        ).fetchone()
        if row is None:
            self._load()
            raise self._tables.damaged(f"chunk {index} is missing")
        return StoredChunk(index, *row)

    def chunks(self, start: int, stop: int, max_bytes: int) -> list[StoredChunk]:
        """The chunks that are here among `start..stop-1`, until they are `max_bytes` together."""
        base, found, size = self._chunk_id(0), list[StoredChunk](), 0
        rows = self._run(
            "SELECT id, hash, bytes, checksum FROM chunk WHERE id >= ? AND id < ?",
            (base + start, base + min(stop, self.length)),
        )
        while size < max_bytes and (row := rows.fetchone()) is not None:
            found.append(StoredChunk(row[0] - base, *row[1:]))
            size += len(row[2])
        return found

    def node(self, index: int) -> Node | None:
        """A node of the tree, if it is known."""
        try:
            return self._nodes.known[index]
        except KeyError:
            return self._read_node(index)

    def _read_node(self, index: int) -> Node | None:
        chunk = index >> 1
        is_chunk = not index & 1 and (chunk in self.held or chunk >= self.length)
        return self._nodes.read(index, is_chunk=is_chunk)

    def read_around(self, chunk: int) -> None:
        """Have the nodes around a chunk at hand, for who goes on to its neighbours."""
        self._nodes.read_around(chunk)

    def stage(self, chunks: Sequence[bytes]) -> None:
        """Store chunks beyond the head in one transaction; `append` signs them later."""
        self._grow(chunks, None)

    def append(self, chunks: Sequence[bytes], sign: Sign) -> Head:
        """Add chunks, after all that is staged, under a new signed head; durable on return."""
        head = self._grow(chunks, sign)
        added = (self.length, head.length)
        self.length, self.byte_length = head.length, head.byte_length
        self.roots = self._staged_roots
        self._tell(Change([added]))
        return head

    def truncate(self, length: int, sign: Sign) -> Head:
        """Take back all chunks from `length` on, under a new head of the next fork.

        What was staged goes too; durable on return. Peers that follow drop what was taken back.
        """
        assert 0 <= length <= self.length, "a feed is not truncated to more than it has"
        self.require_growing()
        roots = self._roots_of(length)
        head = Head(self.fork + 1, length, size_of(roots), tree_hash(roots))
        signed = SignedHead(head.fork, roots, sign(head))
        with self._change(durable=True):
            self._take(signed, shared=length)
        self._tell(Change())
        return head

    def _grow(self, chunks: Sequence[bytes], sign: Sign | None) -> Head:
        self.require_growing()
        appender = Appender(self._staged_roots)
        first = appender.length
        if first + len(chunks) > MAX_LENGTH:
            raise Unavailable(f"a feed holds at most {MAX_LENGTH} chunks")
        added, parents = appender.extend(chunks)
        leaves = [
            (row_id, node.size, node.hash, checksum(node.hash, chunk), chunk)
            for row_id, (node, chunk) in enumerate(
                zip(added, chunks, strict=True), self._chunk_id(first)
            )
        ]
        head = appender.head(self.fork)
        signature = None if sign is None else sign(head)
        with self._change(durable=sign is not None):
            self._require_staged()
            self._insert(leaves, parents)
            if sign is not None:
                self._hold([(self.length, head.length)], head.byte_length - self.byte_length)
                self._move(head.length, head.byte_length, self.fork, signature)
                self.signature = signature
            self._nodes.clear()
            self._nodes.remember(appender.roots)
            self.staged_length, self._staged_roots = head.length, tuple(appender.roots)
        self._tables.wrote(sum([node.size for node in added]) + NODE_BYTES * 2 * len(added))
        return head

    def _require_staged(self) -> None:
        """Two processes that stage at once would sign what neither has stored."""
        staged = all(self._read_node(root.index) == root for root in self._staged_roots)
        if not staged or self._read_staged_length() != self.staged_length:
            raise StoreFailure(_CHANGED)

    def unstage(self) -> None:
        """Throw away what was staged and never signed."""
        with self._change():
            cut(self._tables, self._id, self.length)
        self._load()

    def put(
        self,
        chunks: Sequence[StoredChunk],
        nodes: Sequence[Node] = (),
        head: SignedHead | None = None,
        manifest: Manifest | None = None,
        shared: int = 0,
    ) -> None:
        """Store in one transaction what was verified against the head, or the new one given.

        A head of another fork keeps the first `shared` chunks that are here and drops the rest.
        Leaves of `chunks` need not be among `nodes`. Chunks that are here already stay as they
        are. Raises `StoreFull` when there would be more than `max_bytes`.
        """
        with self._change():
            if manifest is not None and self.manifest is None:
                self._run(
                    "UPDATE feed SET manifest = ? WHERE id = ?",
                    (encode_manifest(manifest), self._id),
                )
                self.manifest = manifest
            if head is not None:
                self._take(head, shared)
            fresh = sorted({c.index: c for c in chunks if c.index not in self.held}.values())
            self._insert(
                [
                    (self._chunk_id(i), len(value), digest, checksum(digest, value), value)
                    for i, digest, value, _ in fresh
                ],
                nodes,
            )
            stretches = list(runs(c.index for c in fresh))
            size = sum([len(c.value) for c in fresh])
            self._hold(stretches, size)
            if self.max_bytes is not None and self.held_bytes > self.max_bytes:
                raise StoreFull(f"the feed has reached its limit of {self.max_bytes} bytes here")
            self._nodes.remember(nodes)
            self._nodes.remember([Node(2 * i, len(value), digest) for i, digest, value, _ in fresh])
        self._tables.wrote(size + NODE_BYTES * (len(fresh) + len(nodes)))
        self._tell(Change(stretches))

    def _take(self, head: SignedHead, shared: int) -> None:
        self.require_growing()
        if self.max_fork is not None and head.fork > self.max_fork:
            raise StoreFailure(f"fork {head.fork} is not wanted here, only {self.max_fork}")
        if head.fork != self.fork:
            cut(self._tables, self._id, shared)
            self._nodes.clear()
            self.held.remove(shared, self.length)
            (kept,) = self._run(
                "SELECT coalesce(sum(size), 0) FROM chunk WHERE id >= ? AND id < ?",
                (self._chunk_id(0), self._chunk_id(shared)),
            ).fetchone()
            self._hold_again(kept - self.held_bytes)
        elif self.staged_length > self.length:
            cut(self._tables, self._id, self.length)
            self._nodes.clear()
        self.fork, self.roots, self.signature = head.fork, head.roots, head.signature
        self.length, self.byte_length = length_of(head.roots), size_of(head.roots)
        self.staged_length, self._staged_roots = self.length, head.roots
        self._move(self.length, self.byte_length, head.fork, head.signature)
        self._insert((), head.roots)
        self._nodes.remember(head.roots)

    def forget(self, indices: Iterable[int]) -> None:
        """Drop chunks, such as damaged ones, so that they can be fetched again.

        Their leaves stay in the tree: the proofs of their neighbours need them.
        """
        with self._change():
            size = 0
            gone = sorted({index for index in indices if index in self.held})
            for index in gone:
                leaf = self.node(2 * index)
                assert leaf is not None
                self._insert((), [leaf])
                self._run("DELETE FROM chunk WHERE id = ?", (self._chunk_id(index),))
                self.held.remove(index, index + 1)
                size += leaf.size
            self._hold_again(-size)
        self._tell(Change(dropped=list(runs(gone))))

    def freeze(self, evidence: bytes) -> None:
        """Keep evidence that the owner signed two histories (`feed.conflict`): it grows no more.

        What is here stays and can be served, and what is missing of it can still be put.
        """
        self.set_metadata(_EVIDENCE, evidence)
        self.conflict = evidence

    def require_growing(self) -> None:
        """Raise `Conflict` when the feed is frozen."""
        if self.conflict is not None:
            raise Conflict(self.key)

    def metadata(self, name: str) -> bytes | None:
        """The bytes kept beside the feed under a name."""
        row = self._run(
            "SELECT value FROM metadata WHERE feed = ? AND name = ?", (self._id, name)
        ).fetchone()
        return None if row is None else row[0]

    def set_metadata(self, name: str, value: bytes | None) -> None:
        """Keep bytes beside the feed under a name; None drops them."""
        with self._change():
            if value is None:
                self._run("DELETE FROM metadata WHERE feed = ? AND name = ?", (self._id, name))
            else:
                self._run(
                    "INSERT OR REPLACE INTO metadata VALUES (?, ?, ?)", (self._id, name, value)
                )

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Have `watcher` called after every change; returns what ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def reload(self) -> None:
        """Take what another process changed."""
        before = self.fork, self.length, self.held
        self._load()
        if (self.fork, self.length, self.held) != before:
            old, new = before[2], self.held
            added = [gap for stretch in new for gap in old.gaps(*stretch)]
            dropped = [gap for stretch in old for gap in new.gaps(*stretch)]
            self._tell(Change(added, dropped))

    def _tell(self, change: Change) -> None:
        for watcher in tuple(self._watchers):
            watcher(change)

    @contextmanager
    def _change(self, durable: bool = False) -> Iterator[None]:
        """A transaction that first makes sure that this mirror is true."""
        try:
            with self._tables.transaction(durable):
                row = self._run("SELECT fork, length FROM feed WHERE id = ?", (self._id,))
                if row.fetchone() != (self.fork, self.length):
                    raise StoreFailure(_CHANGED)
                yield
        except BaseException:
            self._load()
            raise

    def _insert(
        self, leaves: Sequence[tuple[int, int, bytes, int, bytes]], nodes: Sequence[Node]
    ) -> None:
        self._tables.run_many(
            "INSERT OR REPLACE INTO chunk (id, size, hash, checksum, bytes) VALUES (?, ?, ?, ?, ?)",
            leaves,
        )
        base = self._id << NODE_BITS
        self._tables.run_many(
            "INSERT OR REPLACE INTO node VALUES (?, ?, ?)",
            [(base | index, size, digest) for index, size, digest in nodes],
        )

    def _move(self, length: int, byte_length: int, fork: int, signature: bytes | None) -> None:
        self._run(
            "UPDATE feed SET length = ?, byte_length = ?, fork = ?, signature = ? WHERE id = ?",
            (length, byte_length, fork, signature, self._id),
        )

    def _hold(self, stretches: list[tuple[int, int]], added_bytes: int) -> None:
        for stretch in stretches:
            self.held.add(*stretch)
        # All of one kind together: scattered chunks have a stretch each.
        grown = {self.held.around(start) for start, stop in stretches if start < stop}
        rows = [(self._id, start, stop) for start, stop in grown]
        self._tables.run_many("DELETE FROM held WHERE feed = ? AND start BETWEEN ? AND ?", rows)
        self._tables.run_many("INSERT INTO held VALUES (?, ?, ?)", rows)
        self.held_bytes += added_bytes
        self._run("UPDATE feed SET held_bytes = ? WHERE id = ?", (self.held_bytes, self._id))

    def _hold_again(self, added_bytes: int) -> None:
        """Write all held ranges anew, after some were removed."""
        self._run("DELETE FROM held WHERE feed = ?", (self._id,))
        self._hold(list(self.held), added_bytes)
