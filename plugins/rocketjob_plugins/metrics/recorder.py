"""What one process has counted, and has not written yet.

Threads add to it in memory; a thread of its own writes it now and then. What could not be written
is kept for a while, and then dropped, counted and logged: no job waits for it.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from bson import ObjectId

from rocketjob import Job
from rocketjob.application import Application, current
from rocketjob.base import clock
from rocketjob.base.log import Logger
from rocketjob.jobs.changed import Changed
from rocketjob.server.metrics import Labels, Metric
from rocketjob.store import context
from rocketjob_plugins.metrics import collections
from rocketjob_plugins.metrics.collections import Counts
from rocketjob_plugins.metrics.ends import class_of, outcome_of, times_of
from rocketjob_plugins.metrics.figures import CRASHED, OTHERS, ByClass, Figures
from rocketjob_plugins.metrics.settings import WRITE_SECONDS

log = Logger("rocketjob.metrics")
MAX_CLASSES = 200  # by name in a minute of one process; further ones are counted together
MAX_MINUTES = 15  # that wait for a store which is away; older ones are dropped
LATE = timedelta(minutes=20)  # after it an hour may be rolled up: what comes later counts as now
LAST_WRITE_SECONDS = 5.0


class Recorder:
    """What a process counts.

    Args:
        application: whose jobs it counts.
    """

    def __init__(self, application: Application) -> None:
        self._application = weakref.ref(application)
        self._store, self.pid = application.store, os.getpid()
        self._writer, self._number = str(ObjectId()), 0
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._minutes: dict[int, Counts] = {}
        # The write that was begun: its minute, its number, and what it adds.
        self._unsure: tuple[datetime, int, dict[str, Any]] | None = None
        self._dropped = 0
        self._pause = WRITE_SECONDS.of(application.config)
        # A test writes when it reads: a thread would do it at any moment.
        self._has_thread = application.given is None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # --- counting ----------------------------------------------------------------------------

    def count_changes(self, changes: Iterable[Changed]) -> None:
        """Count the ends of jobs, and of attempts, among some changes; every job comes here."""
        with self._lock:
            classes: ByClass | None = None
            for change in changes:
                outcome = outcome_of(change)
                if outcome is None:
                    continue
                if classes is None:
                    classes = self._now().classes
                found = _named(classes, class_of(change.job)).of(outcome)
                found.count += 1
                times = times_of(change)
                if times is not None:
                    found.wait.add(times[0])
                    found.run.add(times[1])
        self._wake()

    def count_slice(self, job: Job, outcome: str, records: int, rejects: int, run: float) -> None:
        """Count a slice that was stored as done, or as failed."""
        with self._lock:
            found = _named(self._now().classes, class_of(job)).of(outcome)
            found.count += 1
            found.records += records
            found.rejects += rejects
            found.run.add(run)
        self._wake()

    def count_crashes(self, names: Iterable[str]) -> None:
        """Count that a worker process died while it performed jobs of these classes."""
        with self._lock:
            classes = self._now().classes
            for name in names:
                _named(classes, name).of(CRASHED).count += 1
        self._wake()

    def record(self, metric: Metric, value: float, labels: Labels) -> None:
        """Count what a plugin has counted with a metric of its own."""
        with self._lock:
            self._now().measures.record(metric, value, labels)
        self._wake()

    def _now(self) -> Counts:
        """Return what is counted in this minute; the oldest is dropped where there are too many."""
        minute = int(clock.now().timestamp()) // 60
        counts = self._minutes.get(minute)
        if counts is None:
            while len(self._minutes) >= MAX_MINUTES:
                self._dropped += _number_of(self._minutes.pop(min(self._minutes)).classes)
            counts = self._minutes[minute] = Counts()
        return counts

    # --- writing -----------------------------------------------------------------------------

    def write(self) -> None:
        """Write what was counted: a minute of all classes in one atomic write.

        Raises:
            Exception: the store is out of reach; what is not written is kept.
        """
        with self._writing:
            self._write_unsure()
            while self._minutes:
                with self._lock:
                    minute = min(self._minutes)
                    counts = self._minutes.pop(minute)
                if counts:
                    self._number += 1
                    at = _not_too_late(datetime.fromtimestamp(minute * 60, UTC))
                    self._unsure = (at, self._number, counts.addition())
                    self._write_unsure()

    def _write_unsure(self) -> None:
        """Write what was begun; where an answer was lost it may be there: it is not added again."""
        if self._unsure is not None:
            at, number, update = self._unsure
            try:
                collections.add(self._store, at, update, self._writer, number)
            except Exception as error:
                if self._store.is_transient(error):
                    raise
                log.error("metrics are dropped: the store refuses them", at=at, error=str(error))
            self._unsure = None
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            log.error("metrics were dropped: the store was away for too long", counts=dropped)

    def _wake(self) -> None:
        if self._thread is None and self._has_thread and self._minutes:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        is_away = False
        while not self._stopping.wait(self._pause):
            if context.present() is not self._application():
                return  # another store is connected, and this one closed
            is_away = self._try_to_write(is_away)

    def _try_to_write(self, is_away: bool = False) -> bool:
        """Write; return whether the store is away, which is said once."""
        try:
            self.write()
        except Exception as error:
            if not is_away:
                log.warning("metrics wait for the store", error=str(error))
            return True
        return False

    def stop(self) -> None:
        """Write what is left; called once, at the end of the process."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(LAST_WRITE_SECONDS)
            if self._thread.is_alive():
                return  # it waits for the store
        if context.present() is self._application():
            self._try_to_write()


def _named(classes: ByClass, name: str) -> Figures:
    found = classes.get(name)
    if found is None:
        name = name if len(classes) < MAX_CLASSES else OTHERS
        found = classes.setdefault(name, Figures())
    return found


def _not_too_late(at: datetime) -> datetime:
    now = clock.now()
    is_late = now.timestamp() - at.timestamp() >= LATE.total_seconds()
    return now.replace(second=0, microsecond=0) if is_late else at


def _number_of(classes: ByClass) -> int:
    return sum(outcome.count for each in classes.values() for outcome in each.outcomes.values())


_recorders: WeakKeyDictionary[Application, Recorder] = WeakKeyDictionary()
_lock = threading.Lock()


def of_this_process() -> Recorder:
    """Return what this process counts with; one that was forked begins with its own."""
    application = current()
    found = _recorders.get(application)
    if found is None or found.pid != os.getpid():
        with _lock:
            found = _recorders.get(application)
            if found is None or found.pid != os.getpid():
                found = _recorders[application] = Recorder(application)
                if application.given is None:
                    atexit.unregister(stop)
                    atexit.register(stop)
    return found


def present() -> Recorder | None:
    """Return what this process counts with, if it has counted anything."""
    application: Any = context.present()
    found = _recorders.get(application) if application is not None else None
    return found if found is not None and found.pid == os.getpid() else None


def stop() -> None:
    """Write what this process has counted; called at its end."""
    if (found := present()) is not None:
        found.stop()


def classes_of(store_jobs: Any, ids: Iterable[str]) -> Mapping[str, str]:
    """Return the class names of jobs by id; of one that is gone, or has no id, there is none."""
    wanted = [ObjectId(id) for id in ids if ObjectId.is_valid(id)]
    found = store_jobs.find({"_id": {"$in": wanted}}, {"_type": 1}) if wanted else ()
    return {str(each["_id"]): str(each.get("_type")) for each in found}
