"""Fetching a feed from one peer: how to ask for it, what to believe, when to store.

A request says how many levels of the chunk's path must come with it. When all chunks are
fetched, with many requests on their way, the nodes that earlier requests will bring are counted
on (`_coming`), so that hardly more travels than if each request waited for the one before. A
peer that answers in another order, or not at all, makes such an answer end at a node that is
not stored: it is asked again, for the whole path, and only that answer is held against it.

What a bad proof means is for `suspicion.py` to find out, and how much of a rewritten feed can be
kept for `descent.py`.

What was verified waits in a `Batch`, and its events are told when it is stored.

Mutable state of one replication core, because this runs once a chunk. Which chunk is next is
`feed.replication.picker`'s to say.
"""

from feed import flat_tree
from feed.conflict import REQUEST_ID
from feed.feed import Feed
from feed.messages import (
    Cancel,
    ChunkPart,
    Data,
    NoData,
    PathRequest,
    Reason,
    Request,
    UpgradeRequest,
)
from feed.nodes import AROUND_CHUNKS
from feed.proof import Reorg, State, Verified, missing_levels, verify
from feed.replication.announced import Remote
from feed.replication.asked import Asked, Came
from feed.replication.batch import Batch
from feed.replication.descent import Descent, Rewrite
from feed.replication.events import Arrived, Effect, Failure, Grown, Lost, Stray, Wrong
from feed.replication.manner import Manner
from feed.replication.picker import Picker
from feed.replication.suspicion import Suspicion
from feed.replication.window import Window
from feed.replication.workload import Known, Step, Workload
from feed.tables import StoreFailure
from feed.tree import Node, leaf_hash
from wire.errors import Malformed, Unavailable

REQUEST_TIMEOUT_US = 20_000_000
"""A slow peer on a slow line answers 48 chunks of 64 KiB in this time at 1.3 Mbit/s."""

SILENCE_US = 60_000_000
"""A peer that owes answers and gives none for so long is not coming back."""

MAX_REFUSALS = 32
"""Refused chunks before the peer is asked for no more, as Node does."""

MAX_OVERTAKEN = 64
"""Answers that lacked part of their path, less a quarter of those that did not, before requests
no longer count on one another."""


class Downloader:
    """What one peer was asked for, and what of it waits to be stored."""

    def __init__(
        self,
        feed: Feed,
        remote: Remote,
        out: list[Effect],
        claims: set[int],
        manner: Manner,
    ) -> None:
        self.feed = feed
        self.picker = Picker(feed, remote, out, claims)
        self.follow = False
        """Whether to fetch newer heads."""
        self._remote = remote
        self._out = out
        self._claims = claims
        self._manner = manner
        self._window = Window(manner.in_flight)
        self._around = -1
        self._asked: dict[int, Asked] = {}
        self._free_ids: list[int] = []
        self._last_id = 0
        self._may_upgrade = True
        self._upgrading = False
        self._owed_us: int | None = None
        self._refusals = 0
        self._overtaken = 0
        self._coming: set[int] = set()
        self._batch = Batch(feed)
        self._untold: list[Arrived] = []
        """Of what a workload does not yet count as stored."""
        self._fork = feed.fork
        self._suspicion = Suspicion(feed, remote, out)
        self.workload: Workload | None = None
        """What the reader is busy with; `go_on` is to be called when that is done."""
        if manner.work is not None:
            self.workload = Workload(
                manner, manner.work, self.picker, claims, self._new_id, feed.node
            )
        self._rewrite: Rewrite | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way and all that came is stored."""
        return not self._asked and not self.workload and not self._batch.chunks

    @property
    def is_waiting(self) -> bool:
        """Whether the peer owes answers."""
        return bool(self._asked)

    @property
    def commit_due_us(self) -> int | None:
        """When `settle` must be called at the latest; None when nothing waits."""
        return self._batch.due_us if self.workload is None else None

    def synced(self) -> None:
        """The peer told of its state: an upgrade it refused may be possible now."""
        self._may_upgrade = True
        if self.workload is not None:
            self.workload.nudge()

    def take(self, data: Data, now_us: int) -> None:
        """An answer came. Raises `Malformed` when it is not what an honest peer sends."""
        if data.request == REQUEST_ID:
            self._suspicion.judge(data)
            return
        asked = self._finish(data.request)
        if asked is None:
            return
        self._owed_us = now_us if self._asked else None
        if self.workload is not None and asked.chunk is not None and data.chunk is not None:
            self._claims.add(asked.chunk)
            self.workload.came(Came(asked.chunk, asked, data, now_us))
        else:
            self._take_in(asked, data, now_us)

    def _take_in(self, asked: Asked, data: Data, now_us: int) -> None:
        if self._rewrite is not None:
            self._rewrite.descent.take(asked.request, data)
            self._descend(now_us)
        elif asked.chunk is not None and data.chunk is None:
            self._refuse(asked, Failure.NOT_AVAILABLE, now_us)
        elif not asked.exact and not self._is_anchored(data):
            self._overtaken += 4
            if data.chunk is not None:
                self._tell(Stray, data.chunk, asked, now_us)
            self._repeat(asked)
        else:
            self._overtaken = max(0, self._overtaken - 1)
            self._window.answered()
            self._judge(asked, data, now_us)

    def _judge(self, asked: Asked, data: Data, now_us: int) -> None:
        try:
            result = verify(self._state(), asked.request, data)
        except Malformed as error:
            if self._manner.keep_wrong and data.chunk is not None:
                self._tell(Wrong, data.chunk, asked, now_us)
            else:
                self._suspicion.begin(error, asked.request.fork, now_us)
        except StoreFailure:
            raise
        except Unavailable:
            self._repeat(asked)
        else:
            self._accept(result, asked, now_us)

    def _tell(self, kind: type[Wrong | Stray], part: ChunkPart, asked: Asked, now_us: int) -> None:
        if not self._manner.keep_wrong:
            return
        if self._batch.chunks or self._untold:
            self._commit()  # events keep the order of the wire
        value = part.value
        self._out.append(kind(part.index, leaf_hash(value), value, asked.at_us, now_us))

    def _accept(self, result: Verified | Reorg, asked: Asked, now_us: int) -> None:
        if isinstance(result, Reorg):
            self._start_over()
            verified, feed = result.verified, self.feed
            descent = Descent(verified.roots, feed.length, feed.node)
            self._rewrite = Rewrite(verified, asked.request.fork, descent)
            self._descend(now_us)
            return
        self._keep(result, asked, now_us)
        if result.head is not None or result.manifest is not None:
            self._commit(result, asked.request.fork)
        elif asked.chunk is None:
            self._may_upgrade = False  # an empty answer: not again before the next sync

    def _descend(self, now_us: int) -> None:
        """Ask on for what a rewritten feed shares with ours; take it over once that is known."""
        rewrite = self._rewrite
        assert rewrite is not None
        question = rewrite.descent.question
        if question is None:
            self._take_over()
            return
        self._upgrading = True
        request = Request(self._new_id(), rewrite.fork, hash=question)
        self._ask(Asked(request, now_us, None, True, []))

    def _take_over(self) -> None:
        rewrite = self._rewrite
        assert rewrite is not None
        self._start_over()
        nodes = (*rewrite.verified.nodes, *rewrite.descent.nodes)
        self._batch.nodes.update((node.index, node) for node in nodes)
        self._commit(rewrite.verified, rewrite.fork, rewrite.descent.shared)

    def refuse(self, answer: NoData, now_us: int) -> None:
        """The peer will not answer a request."""
        if answer.request == REQUEST_ID:
            self._suspicion.end()
        asked = self._finish(answer.request)
        if asked is not None:
            self._owed_us = now_us if self._asked else None
            invalid = answer.reason == Reason.INVALID_REQUEST
            failure = Failure.INVALID_REQUEST if invalid else Failure.NOT_AVAILABLE
            self._refuse(asked, failure, now_us)

    def expire(self, now_us: int) -> None:
        """Give up on what was asked for too long ago.

        Raises `Unavailable` for a silent peer, `Malformed` for one that does not explain itself.
        """
        late = [i for i, asked in self._asked.items() if now_us >= asked.at_us + REQUEST_TIMEOUT_US]
        self._suspicion.expire(now_us)
        if self._owed_us is not None and now_us >= self._owed_us + SILENCE_US:
            raise Unavailable(f"no answer for {SILENCE_US // 1_000_000} seconds")
        for id_ in late:
            asked = self._asked[id_]
            self._finish(id_)
            self._free_ids.remove(id_)  # the answer may still come, and not to another question
            self._out.append(Cancel(id_))
            self._window.reset()
            self._refuse(asked, Failure.TIMEOUT, now_us)
        if not self._asked:
            self.picker.rewind()

    def pump(self, now_us: int) -> None:
        """Ask for what is wanted, as far as the peer has it and the limit allows."""
        if not self._remote.synced or self._refusals >= MAX_REFUSALS or self._suspicion.is_pending:
            return
        if self._fork != self.feed.fork:
            self._start_over()
        if self.follow:
            self._ask_for_upgrade(now_us)
        if self._remote.fork != self.feed.fork:
            return
        if self.workload is not None:
            self.workload.choose(len(self._asked), now_us)
            return
        limit = self._window.size(self.feed, whole=self.picker.all)
        while len(self._asked) < limit:
            exact = self.picker.picks_singly or self._overtaken >= MAX_OVERTAKEN
            chunk = self.picker.next()
            if chunk is None:
                return
            self._ask_for_chunk(chunk, exact, now_us)

    def go_on(self, now_us: int) -> None:
        """Do what is due. Raises `Malformed` when something came that honest peers do not send."""
        if (workload := self.workload) is None:
            return
        for done in workload.done(now_us):
            if isinstance(done, Known):
                self._request(*done, [], True, now_us)
                return  # each leaves by itself
            if isinstance(done, Came):
                self._verify(done)
            elif done is Step.STORE and self._fork == self.feed.fork:
                workload.hide(self._batch.new_nodes)
                self._untold += self._store()
            elif done is Step.STORED:
                self._tell_stored()
            elif done is Step.CHOOSE:
                self.pump(now_us)

    def _verify(self, came: Came) -> None:
        self._claims.discard(came.chunk)
        self._take_in(came.asked, came.data, came.at_us)

    def _tell_stored(self) -> None:
        self._out += self._untold
        self._untold.clear()

    def settle(self, now_us: int, *, flush: bool = False) -> None:
        """Store what waits, if it is enough, has waited long enough, or nothing else will come."""
        if self.workload is not None and self._fork == self.feed.fork:
            if not flush:
                return
            for came in self.workload.clear():
                self._verify(came)
        if not self._batch.chunks and not self._untold:
            return
        if self._fork != self.feed.fork:
            self._start_over()
        elif flush or not self._asked or self._batch.is_due(now_us):
            self._commit()

    def close(self) -> None:
        """Let other cores ask for what this one had asked for."""
        self._start_over()

    def _start_over(self) -> None:
        """Forget what is on its way and what was not stored; late answers find no question."""
        for asked in self._asked.values():
            if asked.chunk is not None:
                self._claims.discard(asked.chunk)
        self._claims.difference_update(self._batch.chunks)
        self._tell_stored()
        if self.workload is not None:
            self._claims.difference_update(each.chunk for each in self.workload.clear())
        self._asked.clear()
        self._coming.clear()
        self._batch.clear()
        self._may_upgrade = True
        self._upgrading = False
        self._rewrite = None
        self._owed_us = None
        self.picker.rewind()
        self._fork = self.feed.fork

    def _state(self) -> State:
        feed = self.feed
        return State(feed.key, feed.manifest, feed.fork, feed.length, feed.roots, self._node)

    def _node(self, index: int) -> Node | None:
        return self._batch.nodes.get(index) or self.feed.node(index)

    def _is_stored(self, index: int) -> bool:
        return index in self._batch.nodes or self.feed.node(index) is not None

    def _is_coming(self, index: int) -> bool:
        return index in self._coming or self._is_stored(index)

    def _is_anchored(self, data: Data) -> bool:
        """Whether the chunk's path ends at a node that is known."""
        assert data.chunk is not None
        return self._is_stored(flat_tree.above(2 * data.chunk.index, len(data.chunk.nodes)))

    def _ask(self, asked: Asked) -> None:
        if self._owed_us is None:
            self._owed_us = asked.at_us
        self._asked[asked.request.id] = asked
        self._out.append(asked.request)

    def _new_id(self) -> int:
        """The id freed last, else the next number, as Node does."""
        if self._free_ids:
            return self._free_ids.pop()
        self._last_id += 1
        return self._last_id

    def _ask_for_upgrade(self, now_us: int) -> None:
        feed, remote = self.feed, self._remote
        if self._upgrading or not self._may_upgrade or feed.conflict is not None:
            return
        upgrade = None
        manifest = remote.has_manifest and feed.manifest is None
        if remote.fork > feed.fork and remote.length > 0:
            upgrade = UpgradeRequest(0, remote.length)
        elif (
            remote.fork == feed.fork
            and remote.length > feed.length == remote.acknowledged
            and remote.can_upgrade
        ):
            upgrade = UpgradeRequest(feed.length, remote.length - feed.length)
        elif remote.length or not manifest:
            return
        self._upgrading = True
        request = Request(self._new_id(), remote.fork, upgrade=upgrade, manifest=manifest)
        self._ask(Asked(request, now_us, None, True, []))

    def _ask_for_chunk(self, chunk: int, exact: bool, now_us: int) -> None:
        if not exact and chunk // AROUND_CHUNKS != self._around:
            self._around = chunk // AROUND_CHUNKS
            self.feed.read_around(chunk)
        known = self._is_stored if exact else self._is_coming
        levels = missing_levels(chunk, self.feed.length, known)
        expected = flat_tree.path(2 * chunk, levels)
        self._coming.update(expected)
        self._claims.add(chunk)
        self._request(self._new_id(), chunk, levels, expected, exact, now_us)

    def _request(
        self, id_: int, chunk: int, levels: int, expected: list[int], exact: bool, now_us: int
    ) -> None:
        priority = 0 if self.picker.all else 1
        path = PathRequest(chunk, levels)
        request = Request(id_, self.feed.fork, path, priority=priority)
        self._ask(Asked(request, now_us, chunk, exact, expected))

    def _finish(self, request_id: int) -> Asked | None:
        """Take a request off the list of those on their way."""
        asked = self._asked.pop(request_id, None)
        if asked is None:
            return None
        self._free_ids.append(request_id)
        self._coming.difference_update(asked.expected)
        if asked.chunk is None:
            self._upgrading = False
        else:
            self._claims.discard(asked.chunk)
        return asked

    def _repeat(self, asked: Asked) -> None:
        if asked.chunk is not None:
            self.picker.again(asked.chunk)

    def _refuse(self, asked: Asked, failure: Failure, now_us: int) -> None:
        if self._rewrite is not None:
            self._take_over()  # with what is known to be shared; a peer that moved on tells more
            return
        if asked.chunk is None:
            self._may_upgrade = failure is Failure.TIMEOUT
            return
        if failure is not Failure.TIMEOUT:
            self._refusals += 1
            self.picker.refuse(asked.chunk)
        self._out.append(Lost(asked.chunk, failure, asked.at_us, now_us))

    def _keep(self, verified: Verified, asked: Asked, now_us: int) -> None:
        """Have what was verified wait to be stored."""
        self._batch.add(verified, asked.at_us, now_us)
        if verified.chunk is not None and not self.feed.has(verified.chunk.index):
            self._claims.add(verified.chunk.index)

    def _commit(self, verified: Verified | None = None, fork: int = 0, shared: int = 0) -> None:
        """Store what waits, with the head and manifest that came, and tell of it."""
        arrived = self._store(verified, fork, shared)
        self._tell_stored()
        if verified is not None and verified.head is not None:
            self._out.append(Grown(fork, self.feed.length))
        self._out += arrived

    def _store(
        self, verified: Verified | None = None, fork: int = 0, shared: int = 0
    ) -> list[Arrived]:
        """Store what waits, and return what is to be told of it."""
        if verified is None and not self._batch.chunks:
            return []
        self._claims.difference_update(self._batch.chunks)
        arrived = self._batch.store(verified, fork, shared)
        self._fork = self.feed.fork
        return arrived
