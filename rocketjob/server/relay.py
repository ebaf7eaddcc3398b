"""One process of a server waits for changes of the store, and tells the others.

So is it where waiting costs the store something: `Capabilities.relayed`. What the store tells of is
passed on. Where it does not tell of everything the supervisor looks for what is of interest to an
idle server: a job that could start, an event, an order in a server's document. Where it tells of
nothing it does so again and again: soon after something has happened, and more and more seldom
while nothing does, every `max_poll_seconds` at last. Whoever gives an order in a server's document
announces it by an event, so that these are looked for once a minute then, for those who edit them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Any

from rocketjob.base import clock
from rocketjob.base.backoff import jittered
from rocketjob.base.interrupt import Interrupt
from rocketjob.base.log import Logger
from rocketjob.jobs.claims import COLLECTION
from rocketjob.queue.dispatch import Queue
from rocketjob.server import draining, events
from rocketjob.server.looks import QUIET_SECONDS
from rocketjob.server.server import Server
from rocketjob.server.worker_process import Process
from rocketjob.store.changes import Told
from rocketjob.store.context import Context

log = Logger("rocketjob.supervisor")

LEAST = {"jobs": 0.05, "events": 0.2, "orders": 0.5}  # seconds between two looks for each
SHARE = 0.1  # nobody waits for a look longer than this share of the time that nothing happened
BUSY_SECONDS = 1.0  # the longest pause while jobs are performed: one may be aborted
GATHER_SECONDS = 0.005  # after something was told: what follows at once is told together
RETRY = 1.0  # after an error


class Relay(Told):
    """Watches the store for all processes of a server.

    Args:
        queue: sees what any of them could take.
        processes: returns those that live.
    """

    def __init__(
        self, application: Context, queue: Queue, processes: Callable[[], Iterable[Process]]
    ) -> None:
        super().__init__()
        self._store, self._queue, self._processes = application.store, queue, processes
        self._longest = application.config.max_poll_seconds
        self._can = self._store.capabilities
        self._stopping = Interrupt()
        self._happened = clock.elapsed()
        self._next = dict.fromkeys(LEAST, -inf)
        self._seen: dict[str, Any] = dict.fromkeys(LEAST)
        self._worked = 0
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(5)

    def tell(self) -> None:
        """Have this process and the others look for what they can do."""
        self.add()
        for process in self._processes():
            process.ring()

    # --- watching ----------------------------------------------------------------------------

    def _run(self) -> None:
        mark, is_unsure = None, False  # up to where all was told; whether something was missed
        while not self._stopping.is_set():
            try:
                mark = self._store.change_mark() if mark is None else mark
                if self.look() or is_unsure:
                    self.tell()
                is_unsure = False
                mark = self._wait(mark)
            except Exception as error:
                mark = None
                log.debug("the store cannot be watched", error=str(error)[:200])
                self._next, is_unsure = dict.fromkeys(LEAST, -inf), True
                self.add()  # whoever waits looks for himself, and meets the error
                self._stopping.wait(jittered(RETRY))

    def _wait(self, mark: Any) -> Any:
        """Wait for news, and tell them; return up to where all was told."""
        due = () if self._can.sees_all else self._next.values()  # nothing is looked for there
        pause = max(0.0, min([QUIET_SECONDS, *(at - clock.elapsed() for at in due)]))
        if not self._can.wake_up:
            self._stopping.wait(pause)
        elif self._store.wait_for_change(mark, pause, self._stopping):
            mark = self._store.change_mark()  # first: whoever was told may look before the next
            self.tell()
            self._stopping.wait(GATHER_SECONDS)
        return mark

    def look(self) -> bool:
        """Look for what is due to be looked for; return whether others are to look."""
        if self._can.sees_all:
            return False
        now, is_news = clock.elapsed(), False
        self._note_work(now)
        for name, look in (
            ("jobs", self._find_work),
            ("events", self._find_event),
            ("orders", self._find_orders),
        ):
            if now < self._next[name]:
                continue
            found = look()
            if found != self._seen[name]:
                self._seen[name], self._happened = found, now
                is_news = True
            is_news = is_news or (name == "jobs" and found is not None)
            self._next[name] = now + self.pause(name, now)
        return is_news

    def pause(self, name: str, now: float) -> float:
        """Return the seconds until the next look for something."""
        longest = QUIET_SECONDS if name == "orders" else self._longest
        if self._can.wake_up:  # only what was written behind its back is not told of
            return inf if name == "events" else longest
        if any(process.performed() for process in self._processes()):
            longest = min(BUSY_SECONDS, longest)
        return min(longest, max(LEAST[name], SHARE * (now - self._happened)))

    def _note_work(self, now: float) -> None:
        """Look again soon where jobs have been worked: others may be next."""
        worked = sum(self._worked_by())
        if worked != self._worked:
            self._worked, self._happened = worked, now
            self._next = dict.fromkeys(LEAST, now)

    def _worked_by(self) -> Iterator[int]:
        for process in self._processes():
            try:
                yield process.slots.worked
            except ValueError:
                continue  # it ended this moment

    def _find_work(self) -> Any:
        """Return the id of a job that could start, if a process has room for it."""
        if not any(process.is_resting() for process in self._processes()):
            return None
        now, eligible = clock.now(), self._queue.eligible
        running = eligible.running(now)
        wanted = {"$or": [eligible.filter(now), *([running] if running is not None else [])]}
        found = self._store.collection(COLLECTION).find_one(wanted, {"_id": 1})
        return None if found is None else found["_id"]

    def _find_event(self) -> Any:
        latest = [("created_at", -1)]
        found = self._store.collection(events.COLLECTION).find_one({}, {"_id": 1}, sort=latest)
        return None if found is None else found["_id"]

    def _find_orders(self) -> Any:
        """Return what people may have changed of servers, and which servers there are."""
        fields = dict.fromkeys(("state", *draining.KEYS), 1)
        found = Server.collection().find({}, fields, sort=[("_id", 1)])
        return [tuple(stored.get(key) for key in ("_id", *fields)) for stored in found]
