"""What a downloader does about a bad proof: either the peer lies, or the feed's owner did.

The peer is asked for the roots of what both have. If they are signed and other ones than ours,
the owner has signed two histories (`feed.conflict`); else the peer is dropped. While it is asked
this, it is asked nothing else. A peer may show its history unasked, because it suspects us.
"""

from feed.conflict import encode_evidence, is_conflict, question
from feed.feed import Feed
from feed.messages import Data
from feed.prover import produce
from feed.replication.announced import Remote
from feed.replication.events import Conflicted, Effect
from feed.source import source
from wire.errors import Malformed, NotFound

ANSWER_TIMEOUT_US = 20_000_000
"""As for other requests."""


class Suspicion:
    """What one peer has to explain, if anything; mutable, owned by its downloader."""

    def __init__(self, feed: Feed, remote: Remote, out: list[Effect]) -> None:
        self._feed = feed
        self._remote = remote
        self._out = out
        self._error: Malformed | None = None
        self._asked_us = 0

    @property
    def is_pending(self) -> bool:
        """Whether the peer owes an explanation."""
        return self._error is not None

    def begin(self, error: Malformed, fork: int, now_us: int) -> None:
        """A proof of a fork was bad: ask, or raise `Malformed` if there is nothing to ask for."""
        length = min(self._feed.length, self._remote.length)
        if self._error is not None or not length or fork != self._feed.fork:
            raise self._error or error
        self._error, self._asked_us = error, now_us
        self._out.append(question(fork, length))

    def judge(self, theirs: Data) -> None:
        """The peer shows its history. Raises `Malformed` if that does not explain a bad proof."""
        feed = self._feed
        if feed.conflict is None and theirs.fork == feed.fork and theirs.upgrade is not None:
            try:
                ours = produce(source(feed), question(feed.fork, theirs.upgrade.length))
                if is_conflict(feed.key, ours, theirs, feed.manifest):
                    feed.freeze(encode_evidence(ours, theirs))
                    self._out.append(Conflicted(feed.fork, theirs.upgrade.length))
                    return
            except (Malformed, NotFound):
                pass  # it shows nothing
        self.end()

    def end(self) -> None:
        """The peer explains nothing: raises what was wrong with its proof, if anything was."""
        if self._error is not None:
            raise self._error

    def expire(self, now_us: int) -> None:
        """Time passed."""
        if self._error is not None and now_us >= self._asked_us + ANSWER_TIMEOUT_US:
            raise self._error
