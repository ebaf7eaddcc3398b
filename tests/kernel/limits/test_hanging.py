"""A job that hangs past its timeout is failed in the store; what its thread brings is refused."""

from datetime import timedelta
from math import inf

import pytest

from rocketjob import Job, after
from rocketjob.base import clock
from rocketjob.jobs import stuck
from rocketjob.jobs.performance import performance_of
from rocketjob.server.checks import Patient
from rocketjob.server.stalled import fail_overdue
from rocketjob.server.waiting_checks import hanging
from rocketjob.worker import limits
from rocketjob.worker.slots import Slots
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.retry import Retry
from support.runtime import Gate, eventually, running_pool

FAST = timedelta(milliseconds=20)
gate = Gate()


@pytest.fixture(autouse=True)
def nobody_has_entered(monkeypatch):
    gate.__init__()
    monkeypatch.setattr(limits, "GIVE_UP_SECONDS", 0.05)


class HangingJob(Job):
    destroy_on_complete = False
    collect_output = True

    def perform(self):
        gate.pass_through()  # HERE
        return "late"


class RetriedHangingJob(Retry, HangingJob):
    retry_limit = 1


class StuckJob(HangingJob):
    stuck_after = FAST


class HangingSlicesJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=1)
    output_category = OutputCategory()

    def perform(self, record):
        if record == "hangs":
            gate.pass_through()
        return record


def test_a_job_that_hangs_is_failed_with_the_line_at_which_it_hangs(rocketjob):
    job = HangingJob.create(timeout=FAST)
    with running_pool(rocketjob):
        eventually(lambda: job.reload().is_failed)
        gate.open()
    assert job.reload().exception.class_name == "JobTimeout"
    assert "could not be interrupted" in job.exception.message
    assert any("gate.pass_through()  # HERE" in line for line in job.exception.backtrace)
    assert not any("worker/thread.py" in line for line in job.exception.backtrace)
    assert (gate.passed, job.result, job.failure_count) == (1, None, 1)
    assert [entry.event for entry in job.history] == ["start", "fail"]


def test_retry_tries_a_job_again_whose_thread_hangs(rocketjob):
    job = RetriedHangingJob.create(timeout=FAST)
    with running_pool(rocketjob):
        eventually(lambda: job.reload().retry_count == 1)
        gate.open()
    assert (job.reload().state, job.result) == ("queued", None)
    rocketjob.travel(timedelta(minutes=1))
    rocketjob.work_off()
    assert job.reload().state == "completed"


def test_the_others_go_on_beside_a_thread_that_hangs(rocketjob):
    job = HangingJob.create(timeout=FAST)
    with running_pool(rocketjob):
        eventually(lambda: job.reload().is_failed)
        other = HangingSlicesJob()
        other.upload(["a", "b"])
        other.save().wait(30)
        gate.open()
    assert other.reload().state == "completed"


def test_a_slice_that_hangs_is_failed_and_can_be_retried(rocketjob):
    job = HangingSlicesJob(timeout=FAST)
    job.upload(["a", "hangs", "c"])
    job.save()
    with running_pool(rocketjob):
        eventually(lambda: job.reload().is_failed)
        gate.open()
    (failed,) = job.input
    assert (failed.exception.class_name, failed.failure_count) == ("JobTimeout", 1)
    assert [*job.reload().records()] == ["a", "c"]
    job.retry()
    rocketjob.work_off()
    assert job.reload().state == "completed"
    assert [*job.records()] == ["a", "hangs", "c"]


def test_a_process_whose_threads_all_hang_gives_itself_up(rocketjob, monkeypatch):
    ended = []
    monkeypatch.setattr(limits, "end_as_spoilt", ended.append)
    job = HangingJob.create(timeout=FAST)
    with running_pool(rocketjob, threads=1):
        eventually(lambda: ended)
        assert job.reload().is_failed
        gate.open()
    assert ended[0] == "every thread hangs at a job that is past its timeout"


def test_a_stuck_job_shows_where_it_is_and_goes_on(rocketjob):
    job = StuckJob.create()
    with running_pool(rocketjob):
        eventually(lambda: [*job.reload().remarks()])
        (remark,) = job.remarks()
        (finding,) = hanging(Patient(rocketjob.application, {}))
        gate.open()
    assert remark.name == "stuck"
    assert "gate.pass_through()  # HERE" in remark.text
    assert finding.message.startswith(f"StuckJob {job.id} is stuck on here:1: File ")
    assert f"jobs show {job.id}" in finding.advice
    assert (job.reload().state, job.result) == ("completed", {"result": "late"})
    assert [*job.remarks()] == [*hanging(Patient(rocketjob.application, {}))] == []


def test_a_stack_of_an_earlier_claim_is_not_shown(rocketjob):
    job = StuckJob.create()
    with running_pool(rocketjob):
        eventually(lambda: [*job.reload().remarks()])
        job.collection().update_one({"_id": job.id}, {"$inc": {"claim_number": 1}})
        assert [*job.reload().remarks()] == []
        gate.open()


def test_a_stack_that_cannot_be_noted_is_noted_later_and_ends_nothing(rocketjob, monkeypatch):
    monkeypatch.setattr(limits, "RETRY_SECONDS", 0.05)
    note, errors = stuck.note, [ConnectionError("the store is away")] * 2

    def away_at_first(*args):
        if errors:
            raise errors.pop()
        note(*args)

    monkeypatch.setattr(stuck, "note", away_at_first)
    job = StuckJob.create()
    with running_pool(rocketjob):
        eventually(lambda: [*job.reload().remarks()])
        gate.open()
    assert (job.reload().state, job.failure_count) == ("completed", 0)


def test_a_thread_is_not_asked_to_end_for_the_job_that_it_had_before():
    job = HangingJob()
    performance_of(job).begin(timedelta(0))
    ended = limits.Watched(job, None, lambda error: True, 1, 0, performance_of(job), inf)
    slots = Slots(1)
    try:
        slots.performing(1, job.id)
        slots.set_deadline(1, 1.0)  # of the next
        limits.Limits(1, slots)._attend_to(ended, clock.elapsed())
        assert performance_of(job).asked is None
        assert slots.overdue(2.0) == [str(job.id)]
    finally:
        slots.close()


def test_the_supervisor_sees_what_nobody_in_the_process_has_minded():
    slots = Slots(2)
    try:
        id, now = HangingJob().id, clock.monotonic()
        slots.performing(2, id, 7)
        slots.set_deadline(2, now - 5)
        assert slots.overdue(now - 6) == []
        assert slots.overdue(now - 4) == [f"{id}/7"]
        assert slots.started() == {id}
        slots.set_deadline(2, 0.0)
        assert slots.overdue(now) == []
    finally:
        slots.close()


def test_a_job_for_which_a_process_was_ended_fails_with_its_timeout(rocketjob):
    job = HangingJob.create(timeout=FAST)
    (claimed,) = rocketjob.queue.claim(1)
    fail_overdue([str(job.id), f"{job.id}/3"], "of.another")
    assert job.reload().is_running
    fail_overdue([str(job.id)], rocketjob.queue.claimed_by)
    job.reload()
    assert (job.state, job.exception.class_name) == ("failed", "JobTimeout")
    assert "a job in it held the interpreter" in job.exception.message
    assert claimed.id == job.id


def test_one_that_cannot_be_read_any_more_does_not_keep_the_supervisor_from_the_others(rocketjob):
    class ShyHangingJob(HangingJob):
        shy: bool = False

        @after("initialize")
        def hide(self):
            if self.shy:
                raise RuntimeError("cannot be loaded")

    shy, other = ShyHangingJob.create(timeout=FAST), HangingJob.create(timeout=FAST)
    assert len(rocketjob.queue.claim(2)) == 2
    Job.collection().update_one({"_id": shy.id}, {"$set": {"shy": True}})
    fail_overdue([str(shy.id), str(other.id)], rocketjob.queue.claimed_by)
    assert other.reload().exception.class_name == "JobTimeout"
    assert Job.collection().find_one({"_id": shy.id})["state"] == "running"  # is reclaimed
