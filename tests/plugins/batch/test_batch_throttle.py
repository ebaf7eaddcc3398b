"""What holds slices back, and mixins that go with batch jobs."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from rocketjob import Job, before, field
from rocketjob.base.errors import ConfigurationError, ValidationError
from rocketjob_plugins.batch import (
    Batch,
    InputCategory,
    LowerPriority,
    Statistics,
    ThrottleWindows,
    batch_throttle,
)


class ThrottledBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=1)
    hook = None

    def perform(self, record):
        if type(self).hook:
            type(self).hook(self)


def opened(rocketjob, cls, count, **values):
    job = cls(**values)
    job.upload(range(count))
    job.save()
    rocketjob.store.collection("rocket_job.jobs").update_one(
        {"_id": job.id}, {"$set": {"state": "running", "sub_state": "processing"}}
    )
    return job.reload()


@pytest.fixture(autouse=True)
def _fresh():
    ThrottledBatchJob.hook = None


def test_no_more_slices_run_at_once_than_are_allowed(rocketjob):
    job = opened(rocketjob, ThrottledBatchJob, 6, throttle_running_workers=2)
    seen = []
    ThrottledBatchJob.hook = lambda self: seen.append(job.input.count("running"))
    job.input.claim("other.1", "other:1", 1)
    rocketjob.work_off(limit=1)
    assert set(seen) == {2}
    assert len(seen) == 5


def test_a_full_job_is_not_joined(rocketjob):
    job = opened(rocketjob, ThrottledBatchJob, 6, throttle_running_workers=1)
    job.input.claim("other.1", "other:1", 1)
    assert rocketjob.queue.claim(5) == []
    job.input.requeue_running()
    assert len(rocketjob.queue.claim(5)) == 1


def test_failed_slices_do_not_count(rocketjob):
    job = opened(rocketjob, ThrottledBatchJob, 3, throttle_running_workers=1)
    rocketjob.store.collection(job.input.name).update_one({"_id": 1}, {"$set": {"state": "failed"}})
    rocketjob.work_off()
    assert job.input.counts_by_state() == {"failed": 1}


@pytest.mark.parametrize("limit", [0, None])
def test_zero_and_none_are_no_limit(rocketjob, limit):
    job = opened(rocketjob, ThrottledBatchJob, 3, throttle_running_workers=limit)
    job.input.claim("other.1", "other:1", 1)
    assert len(rocketjob.queue.claim(5)) == 2


def test_the_limit_can_be_changed_while_the_job_runs(rocketjob):
    job = opened(rocketjob, ThrottledBatchJob, 10)
    performed = []

    def hook(self):
        performed.append(1)
        if len(performed) == 1:
            ThrottledBatchJob.find(self.id).update(throttle_running_workers=1)
            job.input.claim("other.1", "other:1", 1)

    ThrottledBatchJob.hook = hook
    rocketjob.work_off()
    running = job.input.count("running")
    assert running == 1
    done = len(performed)
    job.reload().update(throttle_running_workers=2)
    rocketjob.work_off()
    assert len(performed) > done


def test_a_negative_limit_is_invalid(rocketjob):
    with pytest.raises(ValidationError, match="throttle_running_workers"):
        ThrottledBatchJob.create(throttle_running_workers=-1)


class BusyBatchJob(ThrottledBatchJob):
    busy_at: int | None = None
    broken: bool = field(default=False)

    @batch_throttle
    def too_busy(self, slice_):
        if self.broken and slice_.first_record_number == 2:
            raise OSError("the gauge is broken")
        return slice_.first_record_number == self.busy_at


def test_a_slice_that_is_to_wait_is_released_until_the_re_check(rocketjob):
    job = BusyBatchJob(busy_at=3)
    job.upload(range(4))
    job.save()
    rocketjob.work_off()
    assert job.input.counts_by_state() == {"queued": 2}
    job.reload().update(busy_at=None)
    assert rocketjob.work_off() == 0
    rocketjob.queue.eligible.deferred.clear()  # as after re_check_seconds
    rocketjob.work_off()
    assert job.reload().is_completed


@pytest.mark.parametrize("error", [OSError("the gauge is broken"), SystemExit(3)])
def test_a_throttle_that_raises_holds_the_job_back_until_the_re_check(rocketjob, error):
    class GaugedBatchJob(ThrottledBatchJob):
        gauge: ClassVar[BaseException | None] = error

        @batch_throttle
        def gauged(self):
            if self.gauge is not None:
                raise self.gauge
            return False

    job = GaugedBatchJob()
    job.upload(range(4))
    job.save()
    assert rocketjob.work_off() == 1
    assert rocketjob.work_off() == 0
    assert job.reload().is_running
    assert job.input.counts_by_state() == {"queued": 4}
    said = f"held back by gauged: the batch throttle gauged fails: {type(error).__name__}"
    assert said in str(job.explain())
    GaugedBatchJob.gauge = None
    rocketjob.travel(timedelta(seconds=61))
    rocketjob.work_off()
    assert job.reload().is_completed


@pytest.mark.parametrize("stored", [True, False])
def test_a_throttle_that_raises_inline_fails_the_slice(rocketjob, stored):
    job = BusyBatchJob(broken=True)
    job.upload(range(4))
    if stored:
        job.save()
    with pytest.raises(OSError, match="the gauge is broken"):
        job.perform_now()


def test_a_throttle_can_be_taken_off_a_subclass(rocketjob):
    class FreeBatchJob(BusyBatchJob):
        pass

    FreeBatchJob.undefine_batch_throttle("too_busy")
    assert FreeBatchJob.batch_throttles() == []
    assert BusyBatchJob.batch_throttles() == ["too_busy"]
    with pytest.raises(ValueError, match="no batch throttle"):
        FreeBatchJob.undefine_batch_throttle("too_busy")


# --- windows -------------------------------------------------------------------------------------


class NightlyBatchJob(ThrottleWindows, ThrottledBatchJob):
    primary_schedule = "0 22 * * * UTC"
    primary_duration = timedelta(hours=8)


def at(hour, minute=0, second=0):
    return datetime(2026, 11, 4, hour, minute, second, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("now", "held"),
    [
        (at(21, 59, 59), True),
        (at(22), False),
        (at(23), False),
        (at(5, 59, 59), False),
        (at(6), True),
    ],
)
def test_slices_wait_outside_the_window(rocketjob, now, held):
    rocketjob.freeze(now)
    assert NightlyBatchJob().throttle_windows_exceeded() is held


def test_the_secondary_window_counts_only_where_the_primary_is_complete(rocketjob):
    rocketjob.freeze(at(12))
    weekday = {"secondary_schedule": "0 10 * * Wed UTC", "secondary_duration": timedelta(hours=4)}
    assert NightlyBatchJob(**weekday).throttle_windows_exceeded() is False
    assert NightlyBatchJob(primary_duration=None).throttle_windows_exceeded() is False


def test_only_slices_wait_for_a_window(rocketjob):
    rocketjob.freeze(at(12))
    job = NightlyBatchJob()
    job.upload(range(3))
    job.save()
    rocketjob.work_off()
    assert (job.reload().state, job.sub_state) == ("running", "processing")
    assert job.input.count("queued") == 3
    rocketjob.travel(at(22))
    rocketjob.queue.eligible.deferred.clear()
    rocketjob.work_off()
    assert job.reload().is_completed


def test_a_bad_window_is_invalid(rocketjob):
    with pytest.raises(ValidationError, match="primary_schedule"):
        NightlyBatchJob.create(primary_schedule="whenever")


# --- priority and statistics ---------------------------------------------------------------------


class HeavyBatchJob(LowerPriority, ThrottledBatchJob):
    @before("batch")
    def load(self):
        if self.record_count is None:
            self.upload(range(3))
        self.lower_priority()


@pytest.mark.parametrize(("count", "more"), [(None, 0), (100, 0), (100_000, 1), (200_000, 2)])
def test_priority_sinks_with_the_size_of_the_upload(rocketjob, count, more):
    job = HeavyBatchJob(record_count=count)
    job.lower_priority()
    assert job.priority == 50 + more


def test_priority_sinks_while_the_job_begins(rocketjob):
    class DivisorBatchJob(HeavyBatchJob):
        lower_priority_count = 1

    job = DivisorBatchJob().save()
    rocketjob.work_off()
    assert job.reload().priority == 53
    assert job.is_completed


def test_lower_priority_is_for_batch_jobs():
    with pytest.raises(ConfigurationError, match="add Batch"):

        class NotBatchJob(LowerPriority, Job):
            def perform(self): ...


class CountingBatchJob(Statistics, ThrottledBatchJob):
    pass


@pytest.mark.parametrize("saved", [False, True])
def test_counts_are_nested_by_dots(rocketjob, saved):
    job = CountingBatchJob()
    if saved:
        job.save()
    job.statistics_inc("")
    job.statistics_inc(None)
    job.statistics_inc("zero", 0)
    job.statistics_inc("rows")
    job.statistics_inc({"invalid.email": 2, "invalid.name": -1})
    if saved:
        job.reload()
    assert job.statistics == {"rows": 1, "invalid": {"email": 2, "name": -1}}


@pytest.mark.parametrize("key", [".a", "a..b", "$set", "a.$b"])
def test_a_key_that_the_store_would_refuse_is_refused_at_once(rocketjob, key):
    with pytest.raises(ValueError, match="is not a key"):
        CountingBatchJob().statistics_inc(key)


def test_a_whole_slice_is_counted_at_once(rocketjob):
    CountingBatchJob.hook = lambda self: self.statistics_inc("rows")
    job = CountingBatchJob(slice_size=3)
    job.upload(range(10))
    job.save()
    rocketjob.work_off()
    assert job.reload().statistics == {"rows": 10}


@pytest.mark.parametrize("saved", [False, True])
def test_an_inline_run_counts_too(rocketjob, saved):
    CountingBatchJob.hook = lambda self: self.statistics_inc("rows")
    job = CountingBatchJob()
    job.upload(range(10))
    if saved:
        job.save()
    job.perform_now()
    assert job.statistics == {"rows": 10}
