"""One job through its steps: inline, and as a worker runs it."""

import asyncio
import threading

import pytest

from rocketjob import (
    Job,
    NotFound,
    ValidationError,
    after,
    application,
    around,
    before,
    field,
    now,
    validators,
)
from rocketjob.store import context
from support.jobs import FailingJob, KeptJob, PassingJob, job_in, stored


class SumJob(Job):
    destroy_on_complete = False
    collect_output = True
    first: int = 0
    second: int = 0

    def perform(self):
        return self.first + self.second


def history(job):
    return [entry.event for entry in job.reload().history]


# --- perform_now (behaviour 4.4) ----------------------------------------------------------------


def test_perform_now_returns_what_perform_returned(rocketjob):  # row 2
    job = SumJob(first=10, second=5)
    assert job.perform_now() == 15
    assert job.is_completed
    assert job.result == {"result": 15}
    assert SumJob.from_properties({"first": "10", "second": "5"}).perform_now() == 15


def test_perform_now_needs_no_store(monkeypatch):
    from rocketjob.plugins.manager import PluginManager

    class NoStore(application.Application):
        @property
        def store(self):
            raise AssertionError("the store was asked for")

        plugins = PluginManager(entry_points=[])

    monkeypatch.setattr(context, "_current", NoStore())
    job = SumJob(first=1)
    assert job.perform_now() == 1
    assert job.is_new
    failing = FailingJob()
    with pytest.raises(RuntimeError):
        failing.perform_now()
    assert (failing.is_failed, failing.is_new) == (True, True)
    monkeypatch.setattr(context, "_current", None)


def test_perform_now_stores_no_job_that_was_not_stored(rocketjob):
    SumJob().perform_now()
    assert Job.count() == 0


def test_perform_now_stores_the_end_of_a_job_that_was_stored(rocketjob):
    job = SumJob.create(first=1)
    job.perform_now()
    assert (stored(job)["state"], stored(job)["result"]) == ("completed", {"result": 1})
    assert history(job) == ["start", "complete"]


def test_perform_now_removes_a_stored_job_that_is_not_to_be_kept(rocketjob):  # row 7
    job = PassingJob.create()
    job.perform_now()
    assert job.is_completed
    assert PassingJob.count() == 0


def test_perform_now_ignores_when_the_job_is_due(rocketjob):
    at = now().add(days=1)
    assert SumJob(first=1, run_at=at, expires_at=at.subtract(days=2)).perform_now() == 1


def test_perform_now_raises_what_perform_raised_and_fails_the_job(rocketjob):
    job = FailingJob.create()
    with pytest.raises(RuntimeError, match="oh no"):
        job.perform_now()
    job.reload()
    assert (job.state, job.failure_count, job.exception.message) == ("failed", 1, "oh no")
    assert job.exception.worker_name is None


def test_perform_now_on_a_job_that_is_over_does_nothing(rocketjob):
    for state in ("completed", "failed", "paused", "aborted"):
        job = job_in(state, SumJob, first=1)
        assert job.perform_now() is None
        assert job.state == state


def test_perform_now_goes_on_with_a_running_job(rocketjob):
    assert job_in("running", SumJob, first=1).perform_now() == 1


def test_perform_now_raises_what_an_after_complete_raised(rocketjob):
    class LateFailJob(KeptJob):
        @after("complete")
        def late(self):
            raise RuntimeError("late")

    for job in (LateFailJob(), LateFailJob.create()):
        with pytest.raises(RuntimeError, match="late"):
            job.perform_now()
        assert job.is_completed


def test_a_job_class_without_perform_says_so(rocketjob):
    class IdleJob(Job):
        pass

    with pytest.raises(NotImplementedError, match="IdleJob has no perform method"):
        IdleJob().perform_now()


# --- arguments ----------------------------------------------------------------------------------


class ImportingJob(Job):
    destroy_on_complete = False
    collect_output = True

    def perform(self, file_name: str, *, dry_run: bool = False):
        return {"file_name": file_name, "dry_run": dry_run}


def test_perform_later_keeps_the_arguments_for_perform(rocketjob):
    job = ImportingJob.perform_later("file.csv", dry_run=True)
    assert job.is_queued
    assert job.arguments == {"args": ["file.csv"], "kwargs": {"dry_run": True}}
    rocketjob.work_off()
    assert job.reload().result == {"file_name": "file.csv", "dry_run": True}


def test_set_gives_fields_to_the_job_that_perform_later_makes(rocketjob):
    job = ImportingJob.set(priority=5).set(description="d").perform_later("x")
    assert (job.priority, job.description) == (5, "d")
    assert not job.is_new


def test_set_and_perform_now_run_inline(rocketjob):
    assert ImportingJob.set(log_level="debug").perform_now("x") == {
        "file_name": "x",
        "dry_run": False,
    }
    assert Job.count() == 0


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "missing a required argument: 'file_name'"),
        (("a", "b"), {}, "too many positional arguments"),
        (("a",), {"dry": True}, "got an unexpected keyword argument 'dry'"),
    ],
)
def test_arguments_that_perform_does_not_take_are_refused_at_once(rocketjob, args, kwargs, message):
    for call in (ImportingJob.perform_later, ImportingJob.set().perform_now):
        with pytest.raises(TypeError, match=message) as error:
            call(*args, **kwargs)
        assert "ImportingJob.perform(file_name: str, *, dry_run: bool = False)" in str(error.value)
    assert Job.count() == 0


def test_arguments_of_all_types_come_back(rocketjob):
    from datetime import date
    from decimal import Decimal

    class ManyJob(KeptJob):
        collect_output = True

        def perform(self, *values, **named):
            return {"values": values, "named": named}

    values = (1, "a", (1, 2), {3}, date(2026, 1, 1), Decimal("1.1"), None, [b"x"])
    job = ManyJob.perform_later(*values, key={"a": 1})
    rocketjob.work_off()
    assert job.reload().result == {"values": values, "named": {"key": {"a": 1}}}


# --- async ----------------------------------------------------------------------------------------


class AsyncKeptJob(KeptJob):
    collect_output = True

    async def perform(self, value: int = 1):
        await asyncio.sleep(0)
        if value < 0:
            raise RuntimeError("negative")
        return {"value": value, "thread": threading.current_thread().name}


def test_an_async_perform_runs_on_the_event_loop_of_the_process(rocketjob):
    found = AsyncKeptJob.set().perform_now(5)
    assert found == {"value": 5, "thread": "rocketjob-async"}
    job = AsyncKeptJob.perform_later(6)
    rocketjob.work_off()
    assert job.reload().result["value"] == 6


def test_an_async_perform_that_raises_fails_the_job(rocketjob):
    job = AsyncKeptJob.perform_later(-1)
    rocketjob.work_off()
    assert job.reload().exception.message == "negative"


def test_an_async_perform_may_be_called_from_async_code(rocketjob):
    async def main():
        return AsyncKeptJob.set().perform_now(7)["value"]

    assert asyncio.run(main()) == 7


# --- results --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"a": 1}, {"a": 1}),
        (5, {"result": 5}),
        (None, {"result": None}),
        ([1, 2], {"result": [1, 2]}),
        ((1, 2), {"result": (1, 2)}),
    ],
)
def test_a_dict_is_kept_as_it_is_anything_else_under_result(rocketjob, value, result):
    class ResultJob(KeptJob):
        collect_output = True

        def perform(self):
            return value

    job = ResultJob.create()
    rocketjob.work_off()
    assert job.reload().result == result
    quiet = ResultJob.create(collect_output=False)
    rocketjob.work_off()
    assert quiet.reload().result is None


# --- as a worker runs it (behaviour 4.3) ----------------------------------------------------------


def test_a_worked_job_is_completed_with_what_perform_changed(rocketjob):
    class ChangingJob(KeptJob):
        def perform(self):
            self.number = 123
            self.percent_complete = 50

    job = ChangingJob.create()
    assert rocketjob.work_off() == 1
    job.reload()
    assert (job.state, job.number, job.percent_complete) == ("completed", 123, 100)
    assert (job.worker_name, job.claimed_by, job.claim_number) == (None, None, 1)
    assert history(job) == ["start", "complete"]
    assert job.history[0].worker_name == "test:0:1"


def test_a_perform_that_raises_fails_the_job_and_the_worker_goes_on(rocketjob):  # row 6
    job = FailingJob.create(message="Job failed")
    KeptJob.create()
    assert rocketjob.work_off() == 2
    job.reload()
    assert (job.state, job.exception.message, job.failure_count) == ("failed", "Job failed", 1)
    assert job.exception.worker_name == "test:0:1"
    assert job.worker_name is None
    assert job.history[-1].reason == "RuntimeError: Job failed"


def test_a_failed_job_is_kept_whatever_the_class_says(rocketjob):
    FailingJob.create()
    rocketjob.work_off()
    assert FailingJob.failed().count() == 1


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_errors_of_any_kind_fail_the_job(rocketjob, error):
    class ExitingJob(KeptJob):
        def perform(self):
            raise error

    job = ExitingJob.create()
    rocketjob.work_off()
    assert job.reload().exception.class_name == type(error).__name__


def test_changes_before_the_error_are_saved_with_the_failure(rocketjob):
    class HalfJob(KeptJob):
        def perform(self):
            self.number = 5
            raise RuntimeError

    job = HalfJob.create()
    rocketjob.work_off()
    assert (job.reload().state, job.number) == ("failed", 5)


def test_a_perform_that_finds_nothing_fails_like_any_other(rocketjob):
    class SearchingJob(KeptJob):
        def perform(self):
            Job.find("55aeaf03a26ec0c1bd00008d")

    job = SearchingJob.create()
    rocketjob.work_off()
    assert (job.reload().state, job.exception.class_name) == ("failed", "NotFound")


def test_a_job_deleted_while_it_runs_is_no_error_and_does_not_come_back(rocketjob, caplog):
    class VanishingJob(KeptJob):
        def perform(self):
            type(self).where(id=self.id).delete_all()

    VanishingJob.create()
    rocketjob.work_off()
    assert Job.count() == 0


def test_a_job_that_somebody_aborts_while_it_runs_stays_aborted(rocketjob):
    class AbortedMeanwhileJob(KeptJob):
        def perform(self):
            KeptJob.find(self.id).abort()
            self.number = 5

    job = AbortedMeanwhileJob.create()
    rocketjob.work_off()
    assert (job.reload().state, job.number) == ("aborted", 0)


@pytest.mark.parametrize(("event", "state"), [("abort", "aborted"), ("fail", "failed")])
@pytest.mark.parametrize("save", [True, False])
@pytest.mark.parametrize("where", ["before", "perform"])
def test_a_job_that_ends_itself_stays_in_the_state_that_it_chose(
    rocketjob, event, state, save, where
):
    class SelfEndingJob(KeptJob):
        where_: str = ""

        @before("perform")
        def early(self):
            self._end("before")

        def perform(self):
            self.number = 1
            self._end("perform")

        def _end(self, here):
            if here == where:
                getattr(self, event)(save=save)

    job = SelfEndingJob.create()
    rocketjob.work_off()
    assert job.reload().state == state
    assert history(job) == ["start", event]
    assert (job.worker_name, job.claimed_by) == (None, None)
    assert rocketjob.work_off() == 0


# --- what a callback that raises does (behaviour 3.5) ---------------------------------------------


def raising(kind, event, base=KeptJob):
    decorate = {"before": before, "after": after}[kind]

    class RaisingCallbackJob(base):
        performed: bool = False

        @decorate(event)
        def callback(self):
            raise RuntimeError(f"{kind} {event}")

        def perform(self):
            self.performed = True

    return RaisingCallbackJob


@pytest.mark.parametrize(("kind", "event"), [("before", "start"), ("after", "start")])
def test_a_callback_of_start_that_raises_fails_the_job_and_perform_is_not_run(
    rocketjob, kind, event
):  # row 23
    job = raising(kind, event).create()
    rocketjob.work_off()
    job.reload()
    assert (job.state, job.performed) == ("failed", False)
    assert (job.exception.message, job.exception.worker_name) == (f"{kind} {event}", "test:0:1")
    assert job.worker_name is None


def test_a_before_complete_that_raises_fails_the_job(rocketjob):
    job = raising("before", "complete").create()
    rocketjob.work_off()
    job.reload()
    assert (job.state, job.performed, job.percent_complete) == ("failed", True, 0)
    assert job.exception.message == "before complete"


def test_a_job_that_is_not_valid_when_it_completes_is_failed_and_its_values_are_kept(rocketjob):
    class DriftingJob(KeptJob):
        limit: int = field(default=1, validator=validators.in_range(1, 5))

        def perform(self):
            self.limit = 9

    job = DriftingJob.create()
    rocketjob.work_off()
    job.reload()
    assert (job.state, job.exception.class_name, job.limit) == ("failed", "ValidationError", 9)


def test_an_after_complete_that_raises_leaves_the_job_completed_and_keeps_it(rocketjob):
    job = raising("after", "complete", PassingJob).create()
    rocketjob.work_off()
    job.reload()
    assert (stored(job)["state"], job.failure_count) == ("completed", 0)
    assert job.exception.message == "after complete"


@pytest.mark.parametrize("kind", ["before", "after"])
def test_a_callback_of_fail_that_raises_does_not_keep_the_failure_from_being_stored(
    rocketjob, kind
):
    class DoublyJob(raising(kind, "fail")):
        def perform(self):
            raise ValueError("the real reason")

    job = DoublyJob.create()
    rocketjob.work_off()
    job.reload()
    assert (job.state, job.exception.message, job.failure_count) == (
        "failed",
        "the real reason",
        1,
    )
    assert rocketjob.work_off() == 0


@pytest.mark.parametrize("value", [object(), "\ud800", "x" * (17 * 1024 * 1024)])
def test_a_value_that_cannot_be_stored_fails_the_job_and_does_not_leave_it_running(
    rocketjob, value
):
    class BadValueJob(KeptJob):
        def perform(self):
            self.text = value
            self.number = 5

    job = BadValueJob.create()
    rocketjob.work_off()
    job.reload()
    assert (job.state, job.text, job.claimed_by) == ("failed", "", None)
    assert job.failure_count == 1


@pytest.mark.parametrize("value", [object(), {"a.b": 1}, 2**70, "x" * (17 * 1024 * 1024)])
def test_a_result_that_cannot_be_stored_fails_the_job(rocketjob, value):
    class BadResultJob(KeptJob):
        collect_output = True

        def perform(self):
            return value

    job = BadResultJob.create()
    rocketjob.work_off()
    assert (job.reload().state, job.result) == ("failed", None)


def test_an_error_in_an_around_after_the_yield_fails_the_job(rocketjob):
    class AroundFailJob(KeptJob):
        @around("perform")
        def wrap(self):
            yield
            raise RuntimeError("after the yield")

    job = AroundFailJob.create()
    rocketjob.work_off()
    assert job.reload().exception.message == "after the yield"


def test_an_inline_run_of_an_invalid_job_runs_nothing(rocketjob):
    job = KeptJob(priority=500)
    with pytest.raises(ValidationError):
        job.perform_now()
    assert job.is_queued


# --- the queue (rows 3 to 5, 12 and 16) ---------------------------------------------------------


def test_a_claimed_job_is_running_under_the_workers_name(rocketjob):  # row 3
    job = KeptJob.create()
    found = rocketjob.queue.claim(1)[0]
    assert (found.id, found.is_running, found.worker_name) == (job.id, True, "test:0:1")
    assert (stored(job)["state"], stored(job)["worker_name"]) == ("running", "test:0:1")


def test_the_most_urgent_is_claimed_first_then_the_oldest(rocketjob):  # row 4
    low, urgent, second = (KeptJob.create(priority=p) for p in (50, 30, 30))
    assert [job.id for job in rocketjob.queue.claim(9)] == [urgent.id, second.id, low.id]
    for job in KeptJob.running():
        job.requeue()
    urgent.reload().update(priority=90)
    assert [job.priority for job in rocketjob.queue.claim(9)] == [30, 50, 90]


def test_a_job_is_claimed_when_it_is_due_and_not_before(rocketjob):  # row 5
    from datetime import timedelta

    rocketjob.freeze()
    KeptJob.create(run_at=timedelta(hours=1))
    assert rocketjob.queue.claim(1) == []
    rocketjob.travel(timedelta(hours=1))
    assert len(rocketjob.queue.claim(1)) == 1
    KeptJob.create(run_at=timedelta(hours=-1))
    assert len(rocketjob.queue.claim(1)) == 1


@pytest.mark.parametrize("state", ["running", "completed", "failed", "paused", "aborted"])
def test_only_queued_jobs_are_claimed(rocketjob, state):  # row 16
    job_in(state)
    assert rocketjob.queue.claim(1) == []


def test_an_expired_job_is_removed_instead_of_claimed(rocketjob):  # row 12
    from datetime import timedelta

    KeptJob.create(expires_at=timedelta(seconds=-1), priority=1)
    fresh = KeptJob.create(expires_at=timedelta(hours=1))
    assert [job.id for job in rocketjob.queue.claim(5)] == [fresh.id]
    assert KeptJob.count() == 1


def test_a_job_gone_from_the_store_is_not_found(rocketjob):
    job = KeptJob.create()
    job.delete()
    with pytest.raises(NotFound):
        KeptJob.find(job.id)


def test_perform_now_on_the_class_says_what_was_meant(rocketjob):
    with pytest.raises(TypeError, match=r"belongs to a job.*ReportJob\.set\(\)\.perform_now"):
        ImportingJob.perform_now("file.csv")


def test_a_job_without_perform_is_not_stored_where_it_must_have_one(rocketjob):
    class StubOnlyJob(Job):
        number: int = 1

    class MisspelledJob(Job):
        def preform(self):
            """Nothing."""

    with pytest.raises(NotImplementedError, match="StubOnlyJob has no perform method: write one"):
        StubOnlyJob.perform_later()
    with pytest.raises(NotImplementedError, match="did you mean preform to be it"):
        MisspelledJob.create()
    assert Job.count() == 0
    with pytest.raises(NotImplementedError, match="one that raises NotImplementedError will do"):
        StubOnlyJob.create()
