"""Writes that are interrupted: not made, or made and the answer lost. The writer cannot tell which.

`Writes` counts those of a whole process, on whichever store, and interrupts one of them.
"""

import contextlib
import threading

from rocketjob.base.errors import StoreUnavailable
from rocketjob_plugins.store_sqlite.database import Database
from support.memory_stores import PlainMemoryStore

NOT_MADE, ANSWER_LOST = "not made", "answer lost"
WAYS = (NOT_MADE, ANSWER_LOST)


class Writes:
    """Counts writes, and interrupts the one that is to be."""

    def __init__(self):
        self._lock, self._left, self._way = threading.Lock(), 0, None
        self.interrupted = False

    def interrupt(self, number, way):
        """Interrupt the write of this number, counted from now on."""
        with self._lock:
            self._left, self._way, self.interrupted = number, way, False

    def stop(self):
        """Interrupt nothing any more; what has been interrupted stays known.

        Returns:
            how many writes come only now: none.
        """
        with self._lock:
            self._left = 0
        return 0

    @contextlib.contextmanager
    def one(self):
        """Make a write in the block; every one is in such a block."""
        with self._lock:
            self._left -= 1
            way = self._way if self._left == 0 else None
            self.interrupted = self.interrupted or way is not None
        if way == NOT_MADE:
            raise StoreUnavailable("the connection broke: nothing was sent")
        yield
        if way == ANSWER_LOST:
            raise StoreUnavailable("the connection broke: no answer came")

    def of_sqlite(self, monkeypatch):
        """Count what SQLite commits."""
        commit = Database._commit

        def counted(database, connection):
            writes = connection.raw.total_changes != connection.writes_before
            with self.one() if writes else contextlib.nullcontext():
                commit(database, connection)

        monkeypatch.setattr(Database, "_commit", counted)


class PlainStore(PlainMemoryStore):
    """A store without transactions whose writes are counted."""

    def __init__(self, writes):
        super().__init__()
        self._writes = writes

    @contextlib.contextmanager
    def writing(self):
        outermost = self._writes.one
        with self.lock, contextlib.nullcontext() if self._depth else outermost(), super().writing():
            yield self

    def is_transient(self, error):
        return isinstance(error, StoreUnavailable)
