"""One target of the log: the lines that wait for it, and the thread that writes them.

Whoever logs only puts the record into a queue. If that is full, because the target is slow or
away, the record is dropped and counted. An `OSError` says that the target is away: what waits is
tried again, after longer and longer pauses. Any other error is the line's own: that one is lost.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable

from rocketjob.base import clock
from rocketjob.base.backoff import Backoff
from rocketjob.base.log import FIELDS

LOT = 500  # lines that are written at once, where a target can do that
PAUSES = (0.1, 30.0)  # seconds, the first and the longest, while a target is away
SAY_SECONDS = 60.0  # between two lines that say how many were dropped

Tell = Callable[["Outlet", logging.LogRecord], None]


class LotHandler(logging.Handler):
    """Base of handlers that write many records with one call, such as one request for all."""

    def emit_lot(self, records: list[logging.LogRecord]) -> None:
        """Write them all or none.

        Raises:
            OSError: the target is away; the same records are tried again later.
            Exception: one of them cannot be written; each is tried by itself.
        """
        raise NotImplementedError

    def emit(self, record: logging.LogRecord) -> None:
        self.emit_lot([record])


class Outlet:
    """Writes to one target from `start` to `stop`.

    Args:
        name: of the target, for what is said of it.
        buffer: how many records wait at most.
        is_local: whether a fork waits for the line that is being written.
        in_forks: whether a process that a job has forked can write to it.
        tell: passes on what is to be said of this target to the others.
    """

    def __init__(
        self,
        name: str,
        handler: logging.Handler,
        buffer: int,
        is_local: bool,
        in_forks: bool,
        tell: Tell,
    ) -> None:
        self.name, self.handler, self.buffer = name, handler, buffer
        self.is_local, self._in_forks, self._tell = is_local, in_forks, tell
        self.note: Callable[[logging.LogRecord], None] | None = None  # see `LogTarget`
        self.dropped = 0  # since it was last said
        self._dropping = threading.Lock()
        self._caught: BaseException | None = None
        self._pending: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        self._left: deque[logging.LogRecord] = deque()  # out of the queue, and not written yet
        self._has_read_all = self._has_tried_last = False
        self._ending = threading.Event()
        self._pauses = Backoff(*PAUSES)
        self._is_away = False
        self._say_again = 0.0
        self._at_once = False  # in a process that was forked: without a thread
        self._is_quiet = False
        self._may_write = threading.Event()  # not while a fork waits for its turn
        self._may_write.set()
        self._thread = threading.Thread(target=self._run, name=f"log {name}", daemon=True)
        # A handler of the standard library tells of an error by this, and goes on.
        handler.handleError = self._catch  # type: ignore[method-assign]

    def start(self) -> None:
        self._thread.start()

    def offer(self, record: logging.LogRecord) -> None:
        """Have a record written, by whichever thread logs; it never waits."""
        if self._at_once:
            return self._write_at_once(record)
        if record.thread == self._thread.ident:
            return None  # of what the target's own library logs there would be no end
        if self._pending.qsize() < self.buffer:
            if self.note is not None:
                with contextlib.suppress(Exception):  # whoever logs is not to fail for it
                    self.note(record)
            return self._pending.put(record)
        with self._dropping:
            self.dropped += 1
        return None

    # --- its thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._has_read_all:
            self._read()
            if not self._write(self._left):
                return

    def _read(self) -> None:
        """Wait for records, and take a lot of them out of the queue."""
        record = self._pending.get()
        while record is not None:
            self._left.append(record)
            if len(self._left) == LOT:
                return
            try:
                record = self._pending.get_nowait()
            except queue.Empty:
                return
        self._has_read_all = True

    def _write(self, left: deque[logging.LogRecord]) -> bool:
        """Write all; return whether that was done before the end."""
        size = LOT if isinstance(self.handler, LotHandler) else 1
        while left:
            part = list(itertools.islice(left, size))
            try:
                self._put(part)
            except OSError as error:
                spoilt = next((each for each in part if not self._can_be_formatted(each)), None)
                if spoilt is not None:
                    left.remove(spoilt)
                    self._say(logging.ERROR, "a line cannot be logged", error=_shown(error))
                elif not self._wait(error):
                    return False
            except Exception as error:
                if len(part) > 1:
                    size = 1
                    continue
                left.popleft()
                self._say(logging.ERROR, "a line cannot be logged", error=_shown(error))
            else:
                for _ in part:
                    left.popleft()
                self._is_well()
        return True

    def _put(self, records: list[logging.LogRecord]) -> None:
        self._caught = None
        if isinstance(self.handler, LotHandler):
            self._may_write.wait()
            self.handler.acquire()
            try:
                self.handler.emit_lot(records)
            finally:
                self.handler.release()
        else:
            for record in records:
                self._may_write.wait()
                self.handler.handle(record)
        if self._caught is not None:
            raise self._caught

    def _catch(self, record: logging.LogRecord) -> None:
        self._caught = sys.exc_info()[1]

    def _can_be_formatted(self, record: logging.LogRecord) -> bool:
        """Return whether an error was the target's: the text of a value may raise any as well."""
        try:
            self.handler.format(record)
        except Exception:
            return False
        return True

    # --- while it is away --------------------------------------------------------------------

    def _wait(self, error: OSError) -> bool:
        """Wait before the next attempt; return whether there is one: just one more at the end."""
        if self._ending.is_set():
            is_last, self._has_tried_last = not self._has_tried_last, True
            return is_last
        if not self._is_away:
            self._is_away, self._say_again = True, clock.monotonic() + SAY_SECONDS
            self._say(logging.WARNING, "a log target is away: its lines wait", error=_shown(error))
        elif clock.monotonic() >= self._say_again and self.dropped:
            self._say_again = clock.monotonic() + SAY_SECONDS
            self._say(logging.WARNING, "log lines are dropped", lines=self.dropped)
        self._ending.wait(self._pauses.next())
        return True

    def _is_well(self) -> None:
        """Note that something was written, and say how many lines were dropped before."""
        if self._is_away:
            self._is_away = False
            self._pauses.reset()
            self._say(logging.INFO, "a log target is back")
        if not self.dropped:
            return
        if self._pending.empty() or clock.monotonic() >= self._say_again:
            self._say_again = clock.monotonic() + SAY_SECONDS
            with self._dropping:
                dropped, self.dropped = self.dropped, 0
            record = self._say(
                logging.WARNING,
                "log lines were dropped: the target was slow or away",
                lines=dropped,
            )
            with contextlib.suppress(Exception):
                self._put([record])

    def _say(self, level: int, message: str, **fields: object) -> logging.LogRecord:
        """Say something of this target in all others; return what was said."""
        record = logging.getLogger("rocketjob.log").makeRecord(
            "rocketjob.log",
            level,
            "",
            0,
            message,
            (),
            None,
            extra={FIELDS: {"target": self.name, **fields}},
        )
        self._tell(self, record)
        return record

    # --- the end -----------------------------------------------------------------------------

    def end(self) -> None:
        """Write what is left, and end; see `join`."""
        self._pending.put(None)
        self._ending.set()

    def join(self, seconds: float) -> int:
        """Wait for the end for some time; return how many lines were not written."""
        if self._thread.ident is None:
            return 0
        self._thread.join(max(0.0, seconds))
        if not self._thread.is_alive():
            with contextlib.suppress(Exception):
                self.handler.close()
        waiting = self._pending.qsize() - (not self._has_read_all)  # less the mark of the end
        return len(self._left) + max(0, waiting) + self.dropped

    # --- forks -------------------------------------------------------------------------------

    def before_fork(self, seconds: float) -> None:
        """Wait until no line is half written."""
        if not self.is_local or (lock := self.handler.lock) is None:
            return
        self._may_write.clear()  # a thread that writes line after line would keep the lock
        self._is_quiet = lock.acquire(timeout=seconds)

    def after_fork(self) -> None:
        """Go on, in the parent."""
        if self._is_quiet:
            self.handler.release()
        self._is_quiet = False
        self._may_write.set()

    def after_fork_in_child(self) -> None:
        """Write at once, in a child: the thread that reads the queue was not forked."""
        self._at_once, self._dropping = True, threading.Lock()
        self._may_write = threading.Event()  # that of the parent may be in use by its thread
        self._may_write.set()
        if not self.is_local:
            self.handler.createLock()
        elif not self._is_quiet:
            self._in_forks = False

    def _write_at_once(self, record: logging.LogRecord) -> None:
        """Write a line in a forked process, which is not to wait for a target that is away."""
        if self._in_forks:
            try:
                self._put([record])
            except Exception:
                self._in_forks = self.is_local


def _shown(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
