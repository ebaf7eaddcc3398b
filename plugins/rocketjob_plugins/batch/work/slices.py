"""One worker on the slices of a batch job: claims them, has them performed, stores the output."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import attrs

from rocketjob.application import current
from rocketjob.base.log import Logger
from rocketjob.jobs.exception import message_of
from rocketjob.store import atomically
from rocketjob.worker.contexts import in_fresh_context
from rocketjob_plugins.batch.holding import begin_canary, claimable
from rocketjob_plugins.batch.outcome import told
from rocketjob_plugins.batch.outcome.commit import add_statistics, store_outcomes
from rocketjob_plugins.batch.outcome.render import Outcome
from rocketjob_plugins.batch.settings import within_reach
from rocketjob_plugins.batch.slice import Slice
from rocketjob_plugins.batch.work.holding import BudgetWatch
from rocketjob_plugins.batch.work.interruption import Interruption
from rocketjob_plugins.batch.work.persist import Away, persistently
from rocketjob_plugins.batch.work.records import SlicePerformer

if TYPE_CHECKING:
    from rocketjob.worker.runner import Worker
    from rocketjob_plugins.batch.model import BatchModel

__tracebackhide__ = True  # a record's error is shown from the job's own code on
T = TypeVar("T")
log = Logger("rocketjob.batch")
GROUP_SECONDS = 0.02  # slices of one claim: as many as are done in about this time
GROUP_LIMIT = 256
LEASES = 16  # jobs share these: a lease leaves a document behind


class SliceFailed(Exception):
    """Carries the error of a record to the caller of `perform_now`."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(message_of(error))
        self.error = error


@attrs.define(eq=False)
class SliceWorker:
    """One worker on one batch job."""

    job: BatchModel
    worker: Worker
    _group: int = 1
    _held: list[Slice] = attrs.field(factory=list)
    _token: str = attrs.field(factory=lambda: os.urandom(6).hex())
    _pending: list[Outcome] = attrs.field(factory=list)  # processed, and still to be stored
    _counted: dict[str, int] = attrs.field(factory=dict)
    _interruption: Interruption = attrs.field(init=False)
    _performer: SlicePerformer = attrs.field(init=False)
    _budget: BudgetWatch = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._interruption = Interruption(self.job, self.worker)
        self._performer = SlicePerformer(self.job, self.worker, self._interruption)
        self._budget = BudgetWatch(self.job, self.worker)

    def run(self) -> bool:
        """Process slices until there is none, the job is held, or something else goes first.

        Returns:
            whether it ended because there was none.
        """
        try:
            begin_canary(self.job)
            self._interruption.happened = self._budget.is_over()
            while True:
                stored = self._pending
                slices = self._held = self._store_and_claim()
                if self._persistently(lambda done=stored: self._budget.is_over_after(done)):  # type: ignore[misc]
                    self._interruption.happened = True  # what is claimed is released again
                if not slices:
                    return not self._interruption.happened
                started = time.monotonic()
                self._pending = self._process_group(slices)
                self._adapt((time.monotonic() - started) / len(slices))
                self.worker.working_on(self.job)
        except Away as away:
            self._leave(away.error)
            return False
        except BaseException:
            self._release()
            raise
        finally:
            self._performer.end()

    def _adapt(self, seconds: float) -> None:
        self._group = max(1, min(GROUP_LIMIT, int(GROUP_SECONDS / max(seconds, 1e-6))))

    def _release(self) -> None:
        """Queue what is held, for something went wrong that is not the slices' fault."""
        untouched = [Outcome.untouched(slice_, self.job) for slice_ in self._held]
        with contextlib.suppress(Exception):
            store_outcomes(self.job, untouched)

    def _leave(self, error: Exception) -> None:
        """Do other work while the slices are out of reach; what is held is settled first of all."""
        queue = self.worker.queue
        assert queue is not None
        queue.before_joining(self.job, within_reach()(self._settle))
        queue.leave_open(self.job, error)

    def _settle(self) -> None:
        """Store what was processed before this worker left; queue what it claimed besides."""
        try:
            if self._pending:
                self._counted = store_outcomes(self.job, self._pending)
                told.tell(self.job, self._pending)
        except Exception as error:
            if self.job.input.store.is_transient(error):
                raise
            self._store_one_by_one(error)
        self._pending = []
        self.job.input.requeue_unknown(self._claimed_by(), self._token, ())
        self._add_counts()

    def _store_and_claim(self) -> list[Slice]:
        """Store what was processed, and only then take the next slices.

        In one transaction all workers would race for the lowest slice, and whoever came second
        would have to store its output again.
        """
        if self._pending:
            self._store()
        self._held = self._persistently(self._claim_next)
        return self._held

    def _store(self) -> None:
        def store() -> None:
            self._counted = store_outcomes(self.job, self._pending)

        try:
            self._persistently(store)
        except Away:
            raise
        except Exception as error:
            self._store_one_by_one(error)
        else:
            stored, self._pending = self._pending, []
            told.tell(self.job, stored)
        self._held = []
        self._add_counts()

    def _claim_next(self) -> list[Slice]:
        return self._claim() if self._interruption.goes_on() else []

    def _add_counts(self) -> None:
        """Add what was counted, once the slices are stored: the job is in another store."""
        if self._counted:
            counted, self._counted = self._counted, {}
            add_statistics(self.job, counted)

    def _store_one_by_one(self, error: Exception) -> None:
        """Find the slice whose output the store refuses, and fail that one alone."""
        job = self.job
        log.warning("slices are stored one by one", job_id=str(job.id), error=str(error))
        outcomes = list(self._pending)
        for outcome in outcomes:
            try:
                self._persistently(lambda each=outcome: store_outcomes(job, [each]))  # type: ignore[misc]
            except Away:
                raise
            except Exception as refused:
                outcome.refused_by_store(refused)
                self._persistently(lambda each=outcome: store_outcomes(job, [each]))  # type: ignore[misc]
            told.tell(job, [outcome])
            self._pending.remove(outcome)

    def _persistently(self, step: Callable[[], T]) -> T:
        """Repeat a step while the store is out of reach: the claims are still this worker's."""
        tries = 0

        def counted() -> T:
            nonlocal tries
            tries += 1
            if tries > 1:  # what the last try claimed must be claimed again by this one
                held_ids = [slice_.id for slice_ in self._held]
                self.job.input.requeue_unknown(self._claimed_by(), self._token, held_ids)
            return step()

        result = persistently(self.job, counted, self._has_other_work)
        if tries > 1 and isinstance(result, list):
            known = [slice_.id for slice_ in result]
            by = self._claimed_by()
            persistently(
                self.job,
                lambda: self.job.input.requeue_unknown(by, self._token, known),
                self._has_other_work,
            )
        return result

    def _has_other_work(self) -> bool:
        """Return whether there can be other work: the jobs are in a store that can be reached."""
        jobs = current().store
        if self.worker.queue is None or jobs is self.job.input.store:
            return False
        try:
            jobs.collection(self.job.collection_name).find_one({"_id": self.job.id}, {"_id": 1})
        except Exception as error:
            if not jobs.is_transient(error):
                raise
            return False
        return True

    def _claimed_by(self) -> str:
        return self.worker.claimed_by

    def _claim(self) -> list[Slice]:
        job = self.job
        # Where slices may be deferred each is asked for alone: those of a group would count. So is
        # one in quarantine: should its server die, then it is known to have been performed; and one
        # with a timeout: a thread that hangs would keep the others.
        queue = self.worker.queue
        is_suspect = queue is not None and queue.quarantined
        has_limits = job.timeout is not None or job.isolation is not None
        alone = type(job).__batch_throttles__ or is_suspect or has_limits
        limit = 1 if alone else self._group
        if not job.throttle_running_workers:
            return self._claim_up_to(limit)
        # Counted and claimed in one transaction: of two workers that meet one has the place.
        return atomically(job.input.store, lambda _: self._claim_one())

    def _claim_one(self) -> list[Slice]:
        """Claim a slice if a place is free; nobody else counts the places at that time."""
        job = self.job
        with job.input.store.lease(f"slices {job.id.binary[-1] % LEASES}") as lease:
            if not lease.mine or job.free_places(lock=True) <= 0:
                self._interruption.happened = True
                return []
            claimed = self._claim_up_to(1)
            if claimed and not lease.lasts():  # another one may have taken the place as well
                store_outcomes(job, [Outcome.untouched(slice_, job) for slice_ in claimed])
                self._interruption.happened = True
                return []
            return claimed

    def _claim_up_to(self, limit: int) -> list[Slice]:
        queue, which = self.worker.queue, claimable(self.job)
        if which is None:
            return []
        quarantined = queue.quarantined if queue else None
        return self.job.input.claim(
            self._claimed_by(), self.worker.name, limit, quarantined, self._token, which
        )

    def _process_group(self, slices: list[Slice]) -> list[Outcome]:
        job, outcomes = self.job, list[Outcome]()
        late = time.monotonic() + 10 * GROUP_SECONDS  # then others are to have what is left
        for slice_ in slices:
            stops = self.worker.stopping.is_set() or time.monotonic() > late
            if self._interruption.happened or (stops and outcomes):
                outcomes.append(Outcome.untouched(slice_, job))
                continue
            self.worker.working_on(job, slice_.id)
            outcomes.append(in_fresh_context(self._performer.work_on, slice_))
            if self.worker.inline and outcomes[-1].error is not None:
                self._interruption.happened = True
        failed = next((outcome.error for outcome in outcomes if outcome.error is not None), None)
        if self.worker.inline and failed is not None:
            self._counted = store_outcomes(job, outcomes)
            told.tell(job, outcomes)
            self._held = []
            raise SliceFailed(failed)
        return outcomes
