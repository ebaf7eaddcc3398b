"""Noticing that something was written, by whichever process.

With change streams one thread of each process listens, while anybody waits; with a capped
collection likewise (see `tailable`). Without either those who wait look again after a while: soon
after there was something, later and later while there is not.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from rocketjob.base.backoff import Backoff
from rocketjob.base.interrupt import Interrupt
from rocketjob.base.log import Logger
from rocketjob.store.changes import ChangeCounter
from rocketjob_plugins.store_mongodb.quiet import news_only

log = Logger("rocketjob.store")
# Seconds for which the server holds one read while nothing happens: the only question of a process
# that waits. It is a third of the time after which the driver gives a silent connection up.
AWAIT = 10.0
JOIN = 2.0  # for the thread, once its read was ended
BACK_OFF = (0.1, 10.0)  # seconds: the first and the longest wait after an error
POLL = (0.05, 1.0)  # seconds: the first and the longest wait of those who poll
# Seconds since the last wait: whoever is back by then has found nothing to do. Those who look at
# leisure pause for 0.2 s, and ask a few questions.
IDLE = 0.3


class Changes(ChangeCounter):
    """Counts the changes of the database, in a thread of its own, while anybody waits for them.

    Args:
        database: gives pymongo's database; asked each time, since the client may be a new one.
    """

    def __init__(self, database: Callable[[], Any]) -> None:
        super().__init__()
        self.database = database
        self.breaks = 0  # how often the stream broke off
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._token: Any = None  # where the stream goes on, if it breaks off
        self._stream: Any = None

    def wait(self, mark: int, timeout: float, interrupt: Interrupt | None = None) -> bool:
        self._start()
        return super().wait(mark, timeout, interrupt)

    def _start(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="changes", daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        pauses = Backoff(*BACK_OFF)
        while not self._stopping.is_set():
            try:
                with self._open() as stream:
                    self._stream = stream
                    # What was written before the stream was open is not seen by it.
                    self.add()
                    while stream.alive and not self._stopping.is_set():
                        if self._read(stream):
                            self.add()
                        pauses.reset()
                self._stopping.wait(pauses.next())  # it was ended, as by a drop: not again at once
            except Exception as error:
                if self._stopping.is_set():
                    return
                self.breaks += 1
                self.add()  # whoever waits looks for himself, and meets the error
                log.debug("the change stream broke off", error=str(error)[:200])
                self._stopping.wait(pauses.next())
                self._token = None

    def _open(self) -> Any:
        # Only that there was a change is of interest: the events are kept as small as can be.
        database = self.database()
        return database.watch(
            news_only(), max_await_time_ms=await_ms(database), resume_after=self._token
        )

    def _read(self, stream: Any) -> bool:
        """Wait a while for the next change; return whether there was one."""
        changed = stream.try_next() is not None
        self._token = stream.resume_token
        return changed

    def stop(self) -> None:
        self._stopping.set()
        self.notify()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            if self._stream is not None:
                with contextlib.suppress(Exception):  # the store may be away
                    self._stream.close()  # otherwise its read would go on for as long as it may
            thread.join(JOIN)


def await_ms(database: Any) -> int:
    """Return for how long the server may hold one read."""
    options = database.client.options
    limits = (options.pool_options.socket_timeout, options.timeout)
    return int(1000 * min([AWAIT, *(limit / 3 for limit in limits if limit)]))


class Polling:
    """Waits of growing length, for want of anything better; each thread has its own.

    What this process itself writes cannot be seen here. That there may have been a change is said
    at the end of each wait, and the caller finds out.
    """

    count = 0

    def __init__(self, database: Callable[[], Any]) -> None:
        self._local = threading.local()

    def wait(self, mark: Any, timeout: float, interrupt: Interrupt | None) -> bool:
        now = time.monotonic()
        idle = now - getattr(self._local, "until", 0.0) < IDLE
        last = getattr(self._local, "wait", POLL[0])
        self._local.wait = min(POLL[1], last * 1.5) if idle else POLL[0]
        seconds = self._local.wait * random.uniform(0.7, 1.0)
        (interrupt or threading.Event()).wait(min(timeout, seconds))
        self._local.until = time.monotonic()
        if interrupt is not None and interrupt.is_set():
            return False
        return bool(seconds < timeout)

    def stop(self) -> None:
        """Nothing runs here that had to be stopped."""
