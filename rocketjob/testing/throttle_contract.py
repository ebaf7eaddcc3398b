"""What everything that holds jobs back keeps to: a suite for the tests of a throttle of your own.

    from rocketjob.testing.throttle_contract import ThrottleContract

    class TestReplicaThrottle(ThrottleContract):
        job_class = ReportJob           # which is subject to it
        reason = "replica_lags"

        def hold(self, rocketjob):
            replica.lag = 900

        def release(self, rocketjob):
            replica.lag = 0

It needs pytest. It is the same for a method marked `@throttle`, a limit, the hook `veto_claim`, and
a mixin that queues its jobs again.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar

from rocketjob import Job
from rocketjob.queue.dispatch import Queue
from rocketjob.testing.life import ContractJob
from rocketjob.testing.sandbox import Sandbox, sandbox
from rocketjob.worker.runner import Worker, work_claimed_job

JOBS = 3  # of the class, in most of the tests
A_RE_CHECK = timedelta(seconds=61)


class ThrottleContract:
    """Every test of the contract of throttles; a subclass names the class and turns the throttle.

    Attributes:
        job_class: a class of jobs that are subject to the throttle.
        attributes: the values of its fields.
        reason: the name under which `explain` shows that it holds a job back.
        asks: whether it finds out from outside of the store. What it said is then stored on the
            job, and only shown by others; what can be read from the store they may judge again.
        settings: for the sandboxes of the tests, such as `url` and `plugins`.
    """

    job_class: ClassVar[type[Job]]
    attributes: ClassVar[Mapping[str, Any]] = {}
    reason: ClassVar[str]
    asks: ClassVar[bool] = True
    settings: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def hold(self, rocketjob: Sandbox) -> None:
        """Bring it about that the jobs must wait."""

    @abstractmethod
    def release(self, rocketjob: Sandbox) -> None:
        """Bring it about that they may start again."""

    @contextmanager
    def held(self) -> Iterator[tuple[Sandbox, list[Job]]]:
        """Give a test a sandbox with jobs that were looked at while they had to wait."""
        with sandbox(**self.settings) as rocketjob:
            self.hold(rocketjob)
            jobs = self.create()
            rocketjob.work_off()
            yield rocketjob, jobs

    def create(self) -> list[Job]:
        """Store jobs of the class that stay when they are done."""
        values = {**self.attributes, "destroy_on_complete": False}
        return [self.job_class.create(**values) for _ in range(JOBS)]

    # --- what it lets go -------------------------------------------------------------------------

    def test_jobs_that_may_start_are_performed(self) -> None:
        with sandbox(**self.settings) as rocketjob:
            self.release(rocketjob)
            jobs = self.create()
            rocketjob.work_off()
            self.release(rocketjob)  # of a limit that lets one after the other start
            rocketjob.travel(A_RE_CHECK)
            rocketjob.work_off()
            assert states(jobs) == {"completed"}, "it holds them back although they may start"

    def test_they_are_performed_when_they_may_start_again(self) -> None:
        with self.held() as (rocketjob, jobs):
            self.release(rocketjob)
            for _ in range(JOBS):
                rocketjob.travel(A_RE_CHECK)
                self.release(rocketjob)
                rocketjob.work_off()
            assert states(jobs) == {"completed"}, "they were never asked about again"

    # --- what it holds back ----------------------------------------------------------------------

    def test_jobs_that_must_wait_are_not_performed(self) -> None:
        with self.held() as (rocketjob, jobs):
            assert states(jobs) == {"queued"}
            for _ in range(3):
                rocketjob.travel(timedelta(seconds=1))
                rocketjob.work_off()
            assert states(jobs) == {"queued"}
            if self.asks:
                rocketjob.travel(A_RE_CHECK)
                rocketjob.work_off()
                assert states(jobs) == {"queued"}, "asked again it let them start"

    def test_a_second_process_does_not_perform_them_either(self) -> None:
        with self.held() as (rocketjob, jobs):
            queue = Queue(
                rocketjob.store, rocketjob.plugins, rocketjob.application.config, "other.2", "o:2:1"
            )
            worker = Worker(queue.worker_name, queue=queue)
            for job in queue.claim(2 * JOBS):
                work_claimed_job(job, worker)
            assert states(jobs) == {"queued"}
            assert queue.claim(2 * JOBS) == [], "they are claimed and released endlessly"

    def test_no_job_fails_of_it(self) -> None:
        with self.held() as (_, jobs):
            for job in jobs:
                job.reload()
                assert job.failure_count == 0
                assert job.exception is None
                assert job.worker_name is None, "a job that waits belongs to no worker"
                assert job.started_at is None

    def test_jobs_of_other_classes_go_on(self) -> None:
        with sandbox(**self.settings) as rocketjob:
            self.hold(rocketjob)
            jobs, other = self.create(), ContractJob.create(priority=100)
            rocketjob.work_off()
            assert states(jobs) == {"queued"}
            assert other.reload().is_completed, "what waits for it starves those behind"

    def test_one_that_waits_can_be_steered(self) -> None:
        with self.held() as (rocketjob, (paused, aborted, failed)):
            paused.reload().pause()
            aborted.reload().abort()
            failed.reload().fail("it was too late")
            for job, state in ((paused, "paused"), (aborted, "aborted"), (failed, "failed")):
                assert job.reload().state == state
                assert job.throttled_by is None, "that held it back says nothing of this state"
            assert rocketjob.work_off() == 0

    # --- what it says ----------------------------------------------------------------------------

    def test_every_job_that_waits_says_why(self) -> None:
        with self.held() as (_, jobs):
            for job in jobs:
                found = [r for r in job.reload().explain().reasons if r.name == self.reason]
                assert found, f"explain does not name {self.reason}: {job.explain()}"
                assert found[0].text.strip()

    def test_what_it_said_is_stored_for_others_to_see(self) -> None:
        if not self.asks:
            return
        with self.held() as (rocketjob, jobs):
            (job, *_) = [job for job in jobs if job.reload().throttled_by is not None]
            assert job.throttled_by == self.reason
            assert job.throttled_text
            assert job.throttled_at is not None
            self.release(rocketjob)
            (said, *_) = [r for r in job.explain().reasons if r.name == self.reason]
            assert job.throttled_text in said.text, "explain asks anew, in the process that looks"

    def test_nothing_of_it_is_left_on_a_job_that_has_started(self) -> None:
        with self.held() as (rocketjob, jobs):
            for _ in range(JOBS):
                rocketjob.travel(A_RE_CHECK)
                self.release(rocketjob)
                rocketjob.work_off()
            for job in jobs:
                job.reload()
                said = (job.throttled_by, job.throttled_text, job.throttled_at)
                assert said == (None, None, None)


def states(jobs: list[Job]) -> set[str]:
    """Return the states that jobs have in the store."""
    return {job.reload().state for job in jobs}
