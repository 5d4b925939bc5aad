"""One feed on one connection: the core of Hypercore's replication channel (WIRE.md 8 to 10).

Fed with decoded messages, local changes and the time; gives effects: messages to send, and
events. It reads and writes the feed it is given, and nothing else.

A peer is an uploader and a downloader at once. Both tell their length and fork in `sync`
messages, and what they hold in ranges and bitfields. A Node downloader asks for an upgrade only
when a sync has repeated its own length to it, so every sync of a shorter peer is answered.

Mutable state, owned by one session, because most of it changes with every chunk.
"""

from collections.abc import Iterable, Sequence

from feed.feed import Change, Feed
from feed.manifest import is_compat
from feed.messages import (
    Bitfield,
    Cancel,
    Data,
    Extension,
    Message,
    NoData,
    Range,
    Request,
    Sync,
    Unwant,
    UpgradeRequest,
    Want,
)
from feed.prover import produce
from feed.replication.announced import Announced, Remote
from feed.replication.downloader import Downloader
from feed.replication.events import Drop, Effect, GiveUp, Heard
from feed.replication.manner import OURS, Manner
from feed.replication.uploader import Uploader
from feed.source import source
from wire.errors import Malformed, NotFound, Unavailable

LAST_CHUNKS = 256
"""New chunks this near the end are announced unasked, as Node does."""


class Replication:
    """The state of one replication channel; every public method returns effects."""

    def __init__(
        self,
        feed: Feed,
        *,
        claims: set[int] | None = None,
        manner: Manner = OURS,
    ) -> None:
        """`claims` is shared by all cores that fetch the same feed."""
        self.feed = feed
        self.remote = Remote()
        self._out: list[Effect] = []
        self._claims = set[int]() if claims is None else claims
        self._uploader = Uploader(feed)
        self._downloader = Downloader(feed, self.remote, self._out, self._claims, manner)
        self._told = (-1, -1, False)
        self._told_complete = 0
        self._news: list[tuple[int, int]] = []
        self._gone: list[tuple[int, int]] = []
        self._ending = self._ended = False
        self._last_name_sent = ""
        self._last_name_heard = ""

    @property
    def is_current(self) -> bool:
        """Whether the head that the peer told of, or a newer one, is stored here."""
        feed, remote = self.feed, self.remote
        return remote.synced and (remote.fork, remote.length) <= (feed.fork, feed.length)

    @property
    def is_complete(self) -> bool:
        """Whether everything that the peer told of, and every chunk of it, is stored here."""
        return self.is_current and not self.feed.missing and self._downloader.idle

    @property
    def is_waiting(self) -> bool:
        """Whether the peer owes answers."""
        return self._downloader.is_waiting

    @property
    def ask_due_us(self) -> int | None:
        """When `ask` has something to do; None: nothing."""
        workload = self._downloader.workload
        return None if workload is None else workload.due_us

    @property
    def arrivals(self) -> int:
        """How many chunks came, of a reader who is busy with them."""
        workload = self._downloader.workload
        return 0 if workload is None else workload.arrivals

    @property
    def taken_in(self) -> int:
        """How many of the `arrivals` are stored, or given up."""
        workload = self._downloader.workload
        return 0 if workload is None else workload.taken_in

    @property
    def commit_due_us(self) -> int | None:
        """When `settle` must be called at the latest; None when nothing waits."""
        return self._downloader.commit_due_us

    @property
    def has_requests(self) -> bool:
        """Whether the peer waits for answers."""
        return self._uploader.has_work

    def start(self) -> list[Effect]:
        """The channel is open on both sides."""
        self._tell_all()
        return self._effects()

    def receive(self, messages: Iterable[Message], now_us: int) -> list[Effect]:
        """Messages came. What they make wanted is asked for; `settle` stores what they brought."""
        if self._ended:
            return []
        try:
            for message in messages:
                self._take(message, now_us)
            self._tell_news()
            self._downloader.pump(now_us)
        except Malformed as error:
            self._end(Drop(str(error)))
        return self._effects()

    def settle(self, now_us: int, *, flush: bool = False) -> list[Effect]:
        """Store what came; call it after the effects of `receive` are carried out."""
        self._downloader.settle(now_us, flush=flush)
        self._tell_news()
        self._downloader.pump(now_us)
        return self._effects()

    def ask(self, now_us: int) -> list[Effect]:
        """Do what the reader is done with by now."""
        try:
            self._downloader.go_on(now_us)
        except Malformed as error:
            self._end(Drop(str(error)))
        self._tell_news()
        return self._effects()

    def answer(self, budget_bytes: int) -> list[Effect]:
        """Answers to requests, of about so many bytes."""
        try:
            self._out.extend(self._uploader.answer(budget_bytes))
        except Malformed as error:
            self._end(Drop(str(error)))
        self._tell_news()
        return self._effects()

    def tick(self, now_us: int) -> list[Effect]:
        """Time passed: give up on late answers. To be called once a second or so."""
        try:
            self._downloader.expire(now_us)
        except Unavailable as error:
            self._end(GiveUp(str(error)))
        except Malformed as error:
            self._end(Drop(str(error)))
        return self.settle(now_us)

    def note(self, change: Change) -> None:
        """The stored feed changed; `settle` tells the peer."""
        self._news += change.added
        self._gone += change.dropped

    def want(self, chunks: Iterable[int], now_us: int) -> list[Effect]:
        """Fetch these chunks, in this order."""
        self._downloader.picker.want(chunks)
        return self._wish(now_us)

    def want_all(self, now_us: int) -> list[Effect]:
        """Fetch all that is missing, and what is appended later."""
        self._downloader.picker.all = True
        return self._wish(now_us)

    def extension(self, name: str, payload: bytes) -> list[Effect]:
        """Send a message of another protocol."""
        shortened = "" if name == self._last_name_sent else name
        self._last_name_sent = name
        self._out.append(Extension(shortened, payload))
        return self._effects()

    def close(self) -> None:
        """The channel is gone: free what was claimed, store nothing more."""
        self._downloader.close()

    def _end(self, why: Drop | GiveUp) -> None:
        """Store what was verified, and say why it ends, as the last thing this core says."""
        self._downloader.settle(0, flush=True)
        self._out.append(why)
        self._ending = True
        self.close()

    def _wish(self, now_us: int) -> list[Effect]:
        self._downloader.follow = True
        self._downloader.pump(now_us)
        return self._effects()

    def _effects(self) -> list[Effect]:
        effects = [] if self._ended else self._out.copy()
        self._out.clear()
        self._ended = self._ending
        return effects

    def _take(self, message: Message, now_us: int) -> None:
        match message:
            case Data():
                self._downloader.take(message, now_us)
            case Request():
                self._uploader.ask(message)
            case Cancel(request):
                self._uploader.cancel(request)
            case NoData():
                self._downloader.refuse(message, now_us)
            case Extension(name, payload):
                self._last_name_heard = name or self._last_name_heard
                self._out.append(Heard(self._last_name_heard, payload))
            case Sync():
                self._take_sync(message)
            case _:
                self._take_presence(message)

    def _take_presence(self, message: Range | Bitfield | Want | Unwant) -> None:
        match message:
            case Range(start, length, drop):
                if drop:
                    self.remote.has.drop(start, start + length)
                    self._downloader.picker.look_again()
                else:
                    self.remote.has.add(start, start + length)
                    self._downloader.picker.announced(start, start + length)
            case Bitfield(start, bits):
                self.remote.has.add_bits(start, bits)
                self._downloader.picker.announced(start, start + 8 * len(bits))
            case Want():
                self._uploader.want(message)
            case Unwant():
                self._uploader.unwant(message)

    def _take_sync(self, sync: Sync) -> None:
        remote, feed = self.remote, self.feed
        if remote.synced and sync.fork != remote.fork:
            remote.has = Announced()
            self._downloader.picker.start_over()
        remote.synced = True
        remote.fork, remote.length = sync.fork, sync.length
        remote.acknowledged = sync.remote_length if sync.fork == feed.fork else 0
        remote.can_upgrade, remote.has_manifest = sync.can_upgrade, sync.has_manifest
        self._downloader.synced()
        if sync.fork == feed.fork and sync.length < feed.length:
            self._tell_state()

    def _state(self) -> tuple[int, int, bool]:
        """What a sync tells of this side: fork, length, whether there is a manifest to ask for."""
        feed = self.feed
        has_manifest = feed.manifest is not None and not is_compat(feed.key, feed.manifest)
        return feed.fork, feed.length, has_manifest

    def _tell_state(self) -> None:
        told_fork, told_length, told_manifest = self._told
        self._told = fork, length, has_manifest = self._state()
        same_fork = fork == self.remote.fork
        learnt = not told_manifest and (has_manifest or told_length == 0)
        if learnt and fork == told_fork and length > told_length:
            # Node tells of the manifest before it tells of the length that came with it.
            self._out.append(self._sync(told_length, same_fork, has_manifest))
        self._out.append(self._sync(length, same_fork, has_manifest))

    def _sync(self, length: int, same_fork: bool, has_manifest: bool) -> Sync:
        return Sync(
            self.feed.fork,
            length,
            remote_length=self.remote.length if same_fork else 0,
            can_upgrade=same_fork and self._can_upgrade(),
            has_manifest=has_manifest,
        )

    def _can_upgrade(self) -> bool:
        """Whether the nodes are here that lift the peer from its length to ours."""
        start, length = self.remote.length, self.feed.length
        if start == 0:
            return True
        if start >= length:
            return False
        upgrade = UpgradeRequest(start, length - start)
        try:
            produce(source(self.feed), Request(0, self.feed.fork, upgrade=upgrade))
        except (NotFound, Malformed):
            return False
        return True

    def _tell_news(self) -> None:
        """Tell the peer of lost chunks, of new ones that it has not itself, of a new length."""
        workload, feed = self._downloader.workload, self.feed
        if workload is not None and workload.is_storing:
            return
        news, self._news = self._news, []
        gone, self._gone = self._gone, []
        if feed.fork != self._told[0]:
            self._tell_all()
            news = list(feed.held)
        else:
            self._tell_gone(gone)
        if feed.missing:
            self._told_complete = 0
            for start, stop in news:
                is_last = start + LAST_CHUNKS >= feed.length
                is_wanted = self._uploader.is_wanted(start, stop)
                if (is_last or is_wanted) and not self.remote.has.contains_all(start, stop):
                    self._out.append(Range(start, stop - start))
        elif news and self._told_complete < feed.length:
            self._told_complete = feed.length
            self._out.append(Range(0, feed.length))
        if self._told != self._state():
            self._tell_state()

    def _tell_all(self) -> None:
        """The state, and the chunks that are here from the first on: of a fork not told of yet."""
        self._tell_state()
        self._told_complete = 0
        contiguous = self.feed.contiguous_length
        if contiguous:
            self._out.append(Range(0, contiguous))
            if contiguous == self.feed.length:
                self._told_complete = contiguous

    def _tell_gone(self, gone: Sequence[tuple[int, int]]) -> None:
        """Node forgets what lies behind a dropped chunk, up to the next gap: tell of that again."""
        held = self.feed.held
        for start, stop in gone:
            self._out.append(Range(start, stop - start, drop=True))
            if (end := held.contiguous(stop)) > stop:
                self._out.append(Range(stop, end - stop))
