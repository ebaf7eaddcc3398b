"""The changes that threads have finished, written together: many jobs cost the store one call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.errors import ClaimLost
from rocketjob.jobs import changed, completions
from rocketjob.jobs.claims import COLLECTION, Claim, claim_of
from rocketjob.jobs.job import Job
from rocketjob.states.machine import Change
from rocketjob.store import Store, Write
from rocketjob.worker.runner import log_end
from rocketjob.worker.thread import Refused

GATHER_SECONDS = 0.003  # a finished job waits at most so long for others to be written with it
GATHER_COUNT = 100
NOTE_SECONDS = 0.05  # under load, who waits for a job that was removed hears of it as late


class Committer:
    """Finished changes, and how they are written in groups.

    Args:
        ended: told of each claim whose end is written, or that was lost.
        follow: gets what a thread is to do next: what follows a change, or one that was refused.

    Attributes:
        waiting: the changes that are not written yet, in the order in which they were finished.
        removed: the jobs that have completed and are gone, which is not noted yet.
        is_unsure: whether an answer of the store was lost, so that a change may be written already.
    """

    def __init__(
        self,
        store: Store,
        ended: Callable[[Job, Claim | None], None],
        follow: Callable[[Change | Refused], None],
    ) -> None:
        self.store = store
        self.waiting: deque[Change] = deque()
        self.removed: list[ObjectId] = []
        self.is_unsure = False
        self._ended, self._follow = ended, follow
        self._since = self._removed_since = 0.0

    def add(self, change: Change) -> bool:
        """Add a finished change; return whether there are enough for a group."""
        if not self.waiting:
            self._since = clock.monotonic()
        self.waiting.append(change)
        return len(self.waiting) >= GATHER_COUNT

    def write(self, at_once: bool) -> None:
        """Write all finished changes in one group, if it is time or nothing is gained by waiting.

        Raises:
            Exception: the store cannot be reached; the changes are kept.
        """
        self._write_group(at_once)
        if self.removed and (at_once or clock.monotonic() - self._removed_since >= NOTE_SECONDS):
            removed, self.removed = self.removed, []
            completions.note(removed)

    def _write_group(self, at_once: bool) -> None:
        count = len(self.waiting)  # threads add to it
        is_time = count >= GATHER_COUNT or clock.monotonic() - self._since >= GATHER_SECONDS
        if not count or not (at_once or is_time):
            return
        changes = self._next_group(count)
        try:
            matched = self._write(changes)
        except Exception as error:
            if self.store.is_transient(error):
                raise
            self.is_unsure = True  # without transactions those before the refused one are written
            self._write_singly(changes)
            return
        stored = []
        for change, was_written in zip(changes, matched, strict=True):
            self.waiting.popleft()  # only now: if the store was out of reach they are kept
            if self._conclude(change, was_written):
                stored.append(change)
        self._tell(stored)

    def _next_group(self, count: int) -> list[Change]:
        """Return the first finished changes; one that other documents go with stands alone."""
        group: list[Change] = []
        for index in range(count):
            change = self.waiting[index]
            if change.companions and group:
                break
            group.append(change)
            if change.companions:
                break
        return group

    def _write(self, changes: list[Change]) -> list[bool]:
        if any(change.has_more for change in changes):
            done = self.store.commit(lambda: [change.unit() for change in changes])
            return [change.committed(each) for change, each in zip(changes, done, strict=True)]
        return self.store.write_many(COLLECTION, [change.guarded() for change in changes])

    def _write_singly(self, changes: list[Change]) -> None:
        """Write changes one by one, for one of them is refused: the others must not suffer."""
        for change in changes:
            try:
                was_written = self._write([change])[0]
            except Exception as error:
                if self.store.is_transient(error) or not self._takes_writes(change.document):
                    raise
                self.waiting.popleft()
                self._follow(Refused(change, error))
            else:
                self.waiting.popleft()
                if self._conclude(change, was_written):
                    self._tell([change])

    def _takes_writes(self, job: Job) -> bool:
        """Return whether the store takes a harmless write of a job: then it is well itself."""
        harmless = Write(job.write_guard(), {"$set": {"claim_number": job.claim_number}})
        try:
            self.store.write_many(COLLECTION, [harmless])
        except Exception:
            return False
        return True

    def _conclude(self, change: Change, was_written: bool) -> bool:
        """Do what follows the write of a change; return whether it is stored."""
        self._ended(change.document, claim_of(change.document))
        if not (was_written or (self.is_unsure and self._is_written_already(change))):
            self._lost(change)
            return False
        change.stored()
        log_end(change)
        if change.removes():
            self._note_later(change.document.id)
        return True

    def _tell(self, stored: list[Change]) -> None:
        """Tell the plugins of stored changes, and only then let a thread go on with their jobs."""
        changed.tell(stored)
        for change in stored:
            if change.has_afters():
                self._follow(change)

    def _note_later(self, id: ObjectId) -> None:
        if not self.removed:
            self._removed_since = clock.monotonic()
        self.removed.append(id)

    def _is_written_already(self, change: Change) -> bool:
        """Return whether an earlier attempt, whose answer was lost, has written a change."""
        stored = self.store.collection(COLLECTION).find_one({"_id": change.document.id})
        if stored is None:
            return change.deletes
        return any(entry in stored.get("history", ()) for entry in change.entries())

    def _lost(self, change: Change) -> None:
        job = change.document
        error = ClaimLost(f"{job!r} was reclaimed or deleted; nothing was written")
        job.logger.warning("ClaimLost", event=change.event.name, reason=str(error))
        change.rollback(error)
