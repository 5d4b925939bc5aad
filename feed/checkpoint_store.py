"""Folding a store's write-ahead log into its file, beside the work and not in its way.

SQLite would do it inside whichever commit makes the log long enough, and wait there for the disk:
half of the time of a fast download. Here a thread with a connection of its own does it, when the
store rests or the log is long. It is started when there is first something to do, and holds
nothing that a kill could lose.
"""

import sqlite3
import threading

FOLD_BYTES = 16 << 20
"""What is worth folding in when the store rests."""

MOST_BYTES = 256 << 20
"""What is folded in though the store does not rest: it takes a second to replay after a crash."""

REST_S = 0.5
"""Without a write for so long, the store rests."""

_CACHE_KIB = 256
_STATEMENTS = (f"PRAGMA cache_size = -{_CACHE_KIB}", "PRAGMA synchronous = NORMAL")


class Checkpointer:
    """Owned by one `FeedStore`; `wrote` and `close` are called by its thread only."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._written = 0
        self._news = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def wrote(self, count: int) -> None:
        """So many bytes were committed."""
        self._written += count
        if self._written < FOLD_BYTES:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
            self._thread.start()
        self._news.set()

    def close(self) -> None:
        """End the thread; what it has not folded in, SQLite does when the file is closed."""
        self._closing = True
        self._news.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            for statement in _STATEMENTS:
                connection.execute(statement)
            while self._is_due():
                self._written = 0
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            pass  # the owner meets the same trouble, and can tell of it
        finally:
            connection.close()

    def _is_due(self) -> bool:
        """Wait until it is time; False when the store is being closed."""
        self._news.wait()
        while not self._closing and self._written < MOST_BYTES:
            self._news.clear()
            if not self._news.wait(REST_S):
                break
        self._news.clear()
        return not self._closing
