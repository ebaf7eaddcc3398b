"""The mixin Progress: how far a job is, while it runs."""

import asyncio
import threading
from functools import partial

import pytest

from rocketjob import Job, StoreUnavailable, UnknownJob
from rocketjob.base import later
from rocketjob.cli.job_page import print_job
from rocketjob.cli.jobs import detail
from rocketjob.jobs.shown import load, progress_of
from rocketjob.worker.steps import runs_on_loop
from rocketjob_plugins import progress
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.progress import Progress, Report
from support.jobs import stored
from support.runtime import PATIENCE, eventually, running_pool

SHOWN = ("percent_complete", "progress_text")


class SortingJob(Progress, Job):
    """Calls a function, which stands for what perform does."""

    destroy_on_complete = False
    code = staticmethod(lambda job: None)

    def perform(self):
        return type(self).code(self)


class SortingBatchJob(Progress, Batch, Job):
    def perform(self, record):
        self.progress(1, 2)


@pytest.fixture
def perform(rocketjob, monkeypatch):
    """Return what performs some code as a job, and gives the job as it is stored then."""

    def run(code, **fields):
        monkeypatch.setattr(progress, "SECONDS", 0.05)  # between two writes
        monkeypatch.setattr(SortingJob, "code", staticmethod(code))
        job = SortingJob.create(**fields)
        rocketjob.work_off(1)
        return job.reload()

    return run


def shown(job):
    document = stored(job)
    return document["percent_complete"], document.get("progress_text")


def seen(job, *expected):
    """Wait until it is stored, by whoever writes progress."""
    eventually(lambda: shown(job) == expected)


# --- while it runs ----------------------------------------------------------------------------


def test_what_was_said_last_is_seen_while_the_job_runs_without_a_save(perform):
    def code(job):
        job.progress(1, 10)
        seen(job, 10, "1 of 10")
        for done in range(2, 8):
            job.progress(done, 10, "sorting")
        seen(job, 70, "7 of 10, sorting")  # though nothing is said any more
        found = load(stored(job))
        lines.extend([progress_of(found), detail(found)])
        print_job(found, reveal=False)

    lines = []
    assert perform(code).is_completed
    assert lines == ["70%: 7 of 10, sorting", "70%: 7 of 10, sorting on test:0:1"]


def test_it_is_printed_by_jobs_show(perform, capsys):
    def code(job):
        job.progress(3, 4, "sorting")
        seen(job, 75, "3 of 4, sorting")
        print_job(load(stored(job)), reveal=False)

    perform(code)
    assert "75%: 3 of 4, sorting" in capsys.readouterr().out


def test_it_is_shown_where_the_class_is_not_loaded(perform):
    def code(job):
        job.progress(3, 4)
        seen(job, 75, "3 of 4")
        found = load({**stored(job), "_type": "SomebodyElsesJob"})
        assert isinstance(found, UnknownJob)
        assert progress_of(found) == "75%: 3 of 4"

    assert perform(code).is_completed


def test_what_others_change_meanwhile_stays(perform):
    def code(job):
        Job.collection().update_one({"_id": job.id}, {"$set": {"priority": 7, "description": "x"}})
        job.progress(1, 2)
        seen(job, 50, "1 of 2")

    job = perform(code)
    assert (job.priority, job.description) == (7, "x")


def test_a_worker_that_lost_its_claim_writes_nothing(perform):
    def code(job):
        job.progress(1, 4)
        seen(job, 25, "1 of 4")
        Job.collection().update_one({"_id": job.id}, {"$inc": {"claim_number": 1}})
        report = job.__dict__["_report"]
        job.progress(2, 4)
        eventually(lambda: report._is_closed)
        job.progress(3, 4)
        assert report.is_due

    assert shown(perform(code)) == (25, "1 of 4")


def test_what_is_stored_at_the_end_has_the_last_call(perform):
    def code(job):
        for done in range(10):
            job.progress(done, 10)
        raise RuntimeError("no line")

    job = perform(code)
    assert (job.state, *shown(job)) == ("failed", 90, "9 of 10")
    assert job.reported["done"] == 9


def test_it_may_go_back(perform):
    def code(job):
        job.progress(5, 10)
        seen(job, 50, "5 of 10")
        job.progress(0, 10, "once more")
        raise RuntimeError

    assert shown(perform(code)) == (0, "0 of 10, once more")


def test_a_save_of_the_job_has_it_too(perform):
    def code(job):
        job.progress(1, 10)
        job.progress(2, 10)
        job.save()
        assert shown(job) == (20, "2 of 10")

    assert perform(code).is_completed


def test_a_new_attempt_begins_without(rocketjob, perform):
    def code(job):
        job.progress(9, 10)
        raise RuntimeError

    job = perform(code)
    job.retry()
    SortingJob.code = staticmethod(lambda job: before.append(shown(job)))
    before = []
    rocketjob.work_off(1)
    assert before == [(0, None)]
    assert job.reload().is_completed


def test_a_store_that_is_away_neither_slows_nor_fails_the_job(perform, monkeypatch):
    def code(job):
        collection = job.__dict__["_report"]._collection
        monkeypatch.setattr(collection, "update_one", away, raising=False)
        job.progress(1, 2)
        assert tried.wait(20)

    def away(*args):
        tried.set()
        raise StoreUnavailable("the cable is out")

    tried = threading.Event()
    job = perform(code)
    assert (job.state, job.percent_complete) == ("completed", 100)


def test_many_threads_of_a_job_may_say_it(perform):
    def code(job):
        threads = [threading.Thread(target=job.progress, args=(n, 8)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        job.progress(8, 8)  # the last
        seen(job, 100, "8 of 8")

    assert perform(code).is_completed


def test_it_is_written_once_a_second_at_most(rocketjob, monkeypatch):
    job = SortingJob.create()
    (claimed,) = rocketjob.queue.claim(1)
    report = Report(claimed)
    report.latest = (1, 2, None)
    report._write()
    delays = []
    monkeypatch.setattr(later, "call", lambda delay, write: delays.append(delay))
    report.wake()
    report.wake()
    assert len(delays) == 1 and 0.5 < delays[0] <= 1.0
    report.close()
    assert shown(job) == (50, "1 of 2")


class OnLoopSortingJob(Progress, Job):
    destroy_on_complete = False
    code = None

    async def perform(self):
        await type(self).code(self)


def test_on_an_event_loop_it_takes_no_thread_and_never_waits_for_the_store(rocketjob, monkeypatch):
    async def code(job):
        loop_threads.add(threading.current_thread().name)
        job.progress(1, 4)
        if job.priority == 1:
            collection = job.__dict__["_report"]._collection
            write = collection.update_one
            monkeypatch.setattr(collection, "update_one", partial(slow_write, write), raising=False)
            while not asked.is_set():
                await asyncio.sleep(0.001)
            job.progress(2, 4)
            may_write.set()  # by the loop that would be held
        while shown(job)[0] < 25:
            await asyncio.sleep(0.001)
        job.progress(3, 4)

    def slow_write(write, *args):
        writers.add(threading.current_thread().name)
        asked.set()
        assert may_write.wait(PATIENCE), "the event loop stood still"
        return write(*args)

    asked, may_write, loop_threads, writers = threading.Event(), threading.Event(), set(), set()
    monkeypatch.setattr(progress, "SECONDS", 0.01)
    monkeypatch.setattr(OnLoopSortingJob, "code", code)
    assert runs_on_loop(OnLoopSortingJob) and not runs_on_loop(SortingJob)
    jobs = [OnLoopSortingJob.create(priority=1), *(OnLoopSortingJob.create() for _ in range(20))]
    with running_pool(rocketjob, threads=1, async_workers=30):
        eventually(lambda: all(stored(job)["state"] == "completed" for job in jobs), PATIENCE)
    assert {stored(job)["progress_text"] for job in jobs} == {"3 of 4"}
    assert (loop_threads, writers) == ({"rocketjob-async"}, {"rocketjob-later"})


def test_a_class_that_works_in_a_way_of_its_own_besides_keeps_its_thread():
    class OwnWayJob(OnLoopSortingJob, abstract=True):
        def work(self, worker):
            super().work(worker)

    assert not runs_on_loop(OwnWayJob)


def test_outside_of_a_worker_it_goes_with_the_next_save(rocketjob):
    job = SortingJob.create()
    job.progress(1, 2)
    assert shown(job) == (0, None)
    job.save()
    assert shown(job) == (50, "1 of 2")


def test_perform_now_of_a_job_that_is_not_stored_keeps_it_on_the_job(monkeypatch, rocketjob):
    monkeypatch.setattr(SortingJob, "code", staticmethod(lambda job: job.progress(1, 2)))
    job = SortingJob()
    job.perform_now()
    assert job.is_new and job.is_completed


# --- what is said -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "percent", "text"),
    [
        ((0, 0), 100, "0 of 0"),
        ((1234, None), 0, "1,234"),
        ((1234, None, "reading"), 0, "1,234, reading"),
        ((999_999, 1_000_000), 99, "999,999 of 1,000,000"),
        ((0.5, 2.5), 20, "0.5 of 2.5"),
        ((0.1 + 0.2, 1), 30, "0.3 of 1"),
        ((1, 2, ""), 50, "1 of 2"),
        ((1, 2, "x" * 999), 50, "1 of 2, " + "x" * 200),
        ((1, 2, "\ud800 half"), 50, "1 of 2,  half"),
        ((1, 2, "from https://ann:pw@example.com"), 50, "1 of 2, from https://ann:***@example.com"),
        ((2**62, 2**63 - 1), 50, f"{2**62:,} of {2**63 - 1:,}"),
    ],
)
def test_what_is_shown_of_what_was_said(rocketjob, said, percent, text):
    job = SortingJob.create()
    job.progress(*said)
    job.save()
    assert shown(job) == (percent, text)


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ((11, 10), ValueError, r"done \(11\) is more than total \(10\)"),
        ((-1, 10), ValueError, "done must be from 0 to .*, not -1"),
        ((1, -10), ValueError, "total must be from 0 to .*, not -10"),
        ((float("nan"), 10), ValueError, "done must be from 0 to .*, not nan"),
        ((1, float("nan")), ValueError, "total must be from 0 to .*, not nan"),
        ((1, float("inf")), ValueError, "total must be from 0 to .*, not inf"),
        ((1, 2**63), ValueError, "total must be from 0 to"),
        (("1", 10), TypeError, "done must be a number, not '1'"),
        ((None, 10), TypeError, "done must be a number, not None"),
        ((True, 10), TypeError, "done must be a number, not True"),
        ((1, "10"), TypeError, "total must be a number, not '10'"),
        ((1j, 2), TypeError, "done must be a number"),
        ((1, 2, b"x"), TypeError, "the note must be a string, not b'x'"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(rocketjob, said, error, message):
    job = SortingJob.create()
    job.progress(1, 2)
    with pytest.raises(error, match=message):
        job.progress(*said)
    job.save()
    assert shown(job) == (50, "1 of 2")


def test_numbers_of_other_libraries_are_numbers(rocketjob):
    import numbers

    class Seven(int):
        """As a library's own integer is."""

    numbers.Integral.register(Seven)
    job = SortingJob.create()
    job.progress(Seven(7), Seven(7))
    job.save()
    assert type(stored(job)["reported"]["done"]) is int


def test_a_batch_counts_itself(rocketjob):
    with pytest.raises(RuntimeError, match="is performed in parts: its progress is counted"):
        SortingBatchJob().progress(1, 2)
