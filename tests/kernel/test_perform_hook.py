"""`perform`: wrappers of plugins around each job, and each slice, that is performed."""

import asyncio
import contextvars
import logging
import threading

import pytest

from rocketjob import Job, PluginError, RocketJobError, after, around, before, hookimpl, only_for
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.retry import Retry
from support.jobs import FailingJob, KeptJob, PassingJob, stored
from support.runtime import count, eventually, running_pool

TENANT = contextvars.ContextVar("tenant", default=None)


class Watching:
    """Notes what begins and how it ends."""

    def __init__(self, name="", seen=None):
        self.name, self.seen = name, [] if seen is None else seen

    @hookimpl(wrapper=True)
    def perform(self, job, part):
        self.seen.append(f"{self.name}begin {part}")
        try:
            value = yield
        except BaseException as error:
            self.seen.append(f"{self.name}raised {type(error).__name__}")
            raise
        self.seen.append(f"{self.name}returned {value}")
        return value


class NotingJob(Job):
    destroy_on_complete = False
    seen = None

    @before("perform")
    def _before(self):
        NotingJob.seen.append("before")

    @around("perform")
    def _around(self):
        NotingJob.seen.append("in")
        yield
        NotingJob.seen.append("out")

    @after("perform")
    def _after(self):
        NotingJob.seen.append("after")

    def perform(self):
        NotingJob.seen.append("perform")
        return 7


class AwaitingJob(Job):
    destroy_on_complete = False
    collect_output = True

    async def perform(self):
        await asyncio.sleep(0)
        return TENANT.get()


class WatchedLinesJob(Batch, Job):
    destroy_on_complete = False
    collect_output = True
    slice_size = 2

    def perform(self, line):
        if line == "bad":
            raise ValueError("a bad line")
        return line.upper()


class AgainOnValueErrorJob(Retry, Job):
    retry_on = (ValueError,)

    def perform(self):
        raise ValueError("once more")


def watch(rocketjob, plugin=None, name=None):
    plugin = plugin or Watching()
    rocketjob.plugins.register(plugin, name)
    return plugin


def lines(*texts, **fields):
    job = WatchedLinesJob(**fields)
    job.upload(list(texts))
    job.save()
    return job


# --- where ------------------------------------------------------------------------------------


@pytest.mark.parametrize("inline", [False, True])
def test_it_is_around_perform_and_its_callbacks(rocketjob, inline):
    NotingJob.seen = []
    watch(rocketjob, Watching(seen=NotingJob.seen))
    job = NotingJob.create()
    if inline:
        assert job.perform_now() == 7
    else:
        rocketjob.work_off()
    order = ["begin None", "before", "in", "perform", "after", "out", "returned 7"]
    assert NotingJob.seen == order
    assert job.reload().is_completed


def test_it_is_around_a_job_that_is_not_stored(rocketjob):
    plugin = watch(rocketjob)
    assert KeptJob(number=3).perform_now() == 3
    assert plugin.seen == ["begin None", "returned 3"]


def test_it_is_around_each_slice_of_a_batch_job(rocketjob):
    plugin = watch(rocketjob)
    job = lines("a", "b", "c")
    rocketjob.work_off()
    assert plugin.seen == ["begin 1", "returned 2", "begin 3", "returned 1"]
    assert [line for part in job.reload().output for line in part] == ["A", "B", "C"]


def test_it_is_around_the_slices_of_a_batch_job_that_is_performed_inline(rocketjob):
    plugin = watch(rocketjob)
    job = WatchedLinesJob()
    job.upload(["a", "b", "c"])
    job.perform_now()
    assert plugin.seen == ["begin 1", "returned 2", "begin 3", "returned 1"]


def test_it_runs_on_the_workers_thread_and_in_the_context_of_the_job(rocketjob):
    threads = []

    class Tenant:
        @hookimpl(wrapper=True)
        def perform(self, job):
            threads.append(threading.current_thread())
            TENANT.set(job.meta["tenant"])
            yield
            threads.append(threading.current_thread())

    watch(rocketjob, Tenant())
    job = AwaitingJob.create(meta={"tenant": 7})
    rocketjob.work_off()
    assert job.reload().result == {"result": 7}
    assert threads == [threading.current_thread()] * 2
    assert TENANT.get() is None


def test_several_nest(rocketjob):
    seen = []
    watch(rocketjob, Watching("one ", seen), "one")
    watch(rocketjob, Watching("two ", seen), "two")
    KeptJob.create()
    rocketjob.work_off()
    assert seen == ["two begin None", "one begin None", "one returned 0", "two returned 0"]


def test_it_is_around_the_jobs_of_a_server(file_store):
    plugin = watch(file_store)
    PassingJob.create_many([{}] * 20)
    with running_pool(file_store):
        eventually(lambda: count() == 0)
    assert sorted(plugin.seen) == ["begin None"] * 20 + ["returned None"] * 20


def test_it_goes_with_its_plugin(rocketjob):
    plugin = watch(rocketjob)
    rocketjob.plugins.unregister(plugin)
    KeptJob.create()
    rocketjob.work_off()
    assert plugin.seen == []


def test_only_jobs_of_the_classes_that_it_is_for_are_watched(rocketjob):
    seen = []

    class Few:
        @hookimpl(wrapper=True)
        @only_for(FailingJob)
        def perform(self, job):
            seen.append(type(job))
            yield

        @hookimpl(wrapper=True)
        @only_for(FailingJob)
        def state_changed(self, job):
            seen.append(type(job))
            return (yield)

    watch(rocketjob, Few())
    KeptJob.create()
    FailingJob.create()
    assert not rocketjob.plugins.listens("perform", KeptJob)
    rocketjob.work_off()
    assert set(seen) == {FailingJob}


# --- what a wrapper cannot do -----------------------------------------------------------------


def test_an_error_of_the_job_is_seen_and_stays_the_jobs(rocketjob):
    plugin = watch(rocketjob)
    job = FailingJob.create()
    rocketjob.work_off()
    assert plugin.seen == ["begin None", "raised RuntimeError"]
    assert job.reload().exception.class_name == "RuntimeError"
    assert "Watching" not in str(job.exception.backtrace)
    assert "test_perform_hook" not in "".join(job.exception.backtrace)


def test_a_failing_slice_is_seen(rocketjob):
    plugin = watch(rocketjob)
    job = lines("a", "bad")
    rocketjob.work_off()
    assert plugin.seen == ["begin 1", "raised ValueError"]
    assert job.reload().is_failed


class Swallowing:
    @hookimpl(wrapper=True)
    def perform(self):
        try:
            yield
        except Exception:
            return "fine"


class FailingBefore:
    @hookimpl(wrapper=True)
    def perform(self):
        raise KeyError("oops")
        yield


class FailingAfter:
    @hookimpl(wrapper=True)
    def perform(self):
        try:
            yield
        finally:
            raise KeyError("oops")


class NotYielding:
    @hookimpl(wrapper=True)
    def perform(self):
        if False:
            yield


class YieldingTwice:
    @hookimpl(wrapper=True)
    def perform(self):
        yield
        yield


class Replacing:
    @hookimpl(wrapper=True)
    def perform(self):
        yield
        return "another"


WRONG = [Swallowing, FailingBefore, FailingAfter, NotYielding, YieldingTwice, Replacing]


@pytest.mark.parametrize("wrong", WRONG)
def test_whatever_a_wrapper_does_the_job_ends_as_it_would_have(rocketjob, wrong):
    inner = watch(rocketjob)
    watch(rocketjob, wrong(), "wrong")
    job, failing = KeptJob.create(number=5, collect_output=True), AgainOnValueErrorJob.create()
    rocketjob.work_off()
    assert job.reload().is_completed
    assert job.result == {"result": 5}
    assert failing.reload().is_queued
    assert failing.exception.class_name == "ValueError"
    assert inner.seen == ["begin None", "returned 5", "begin None", "raised ValueError"]
    problems = rocketjob.plugins.problems
    assert len(problems) == (wrong not in (Swallowing, Replacing))
    assert all("The plugin wrong" in each and "perform" in each for each in problems)


@pytest.mark.parametrize("wrong", WRONG)
def test_whatever_a_wrapper_does_slices_end_as_they_would_have(rocketjob, wrong):
    watch(rocketjob, wrong(), "wrong")
    good, bad = lines("a", "b", "c"), lines("a", "bad")
    rocketjob.work_off()
    assert good.reload().is_completed
    assert [line for part in good.output for line in part] == ["A", "B", "C"]
    assert bad.reload().is_failed


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_wrapper_fails_a_job_on_purpose_by_an_error_of_rocketjobs_own(rocketjob, when):
    class Committing:
        @hookimpl(wrapper=True)
        def perform(self):
            if when == "before":
                raise RocketJobError("no transaction")
            yield
            raise RocketJobError("not committed")

    outer = watch(rocketjob)
    plugin = Committing()
    rocketjob.plugins.register(plugin, "committing")
    job, batch = KeptJob.create(), lines("a")
    rocketjob.work_off()
    said = "no transaction" if when == "before" else "not committed"
    assert stored(job)["state"] == "failed"
    assert stored(job)["exception"]["message"] == said
    assert batch.reload().is_failed
    assert outer.seen.count("returned 0") == (when == "after")
    assert rocketjob.plugins.problems == []


def test_what_is_no_wrapper_is_refused(rocketjob):
    class Plain:
        @hookimpl
        def perform(self, job): ...

    with pytest.raises(PluginError, match=r"implements perform, which has wrappers only: write"):
        rocketjob.plugins.register(Plain(), "plain")


def test_a_wrapper_that_blocks_is_named(rocketjob, caplog, monkeypatch):
    from rocketjob.plugins import calls

    monkeypatch.setattr(calls, "SLOW_SECONDS", -1.0)
    watch(rocketjob, Watching(), "slow")
    KeptJob.create()
    with caplog.at_level(logging.WARNING):
        rocketjob.work_off()
    assert any("The plugin slow" in record.message for record in caplog.records)
