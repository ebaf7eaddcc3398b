"""`slice_done`: plugins learn what became of each slice, once it is stored."""

import logging

import pytest

from rocketjob import Job, hookimpl, only_for
from rocketjob_plugins.batch import Batch
from support.jobs import PassingJob

pytestmark = pytest.mark.both_stores


class ToldLinesJob(Batch, Job):
    destroy_on_complete = False
    collect_output = True
    slice_size = 2

    def perform(self, line):
        if line == "bad":
            raise ValueError("a bad line")
        return line.upper()


class Observer:
    def __init__(self):
        self.told, self.stored = [], []

    @hookimpl
    def slice_done(self, job, slice):
        self.told.append(slice)
        self.stored.append(job.input.collection.count_documents({"_id": slice.number}))


def run(rocketjob, *texts, inline=False, **fields):
    observer = Observer()
    rocketjob.plugins.register(observer)
    job = ToldLinesJob(**fields)
    job.upload(list(texts))
    job.save()
    if inline:
        job.perform_now()
    else:
        rocketjob.work_off()
    return observer


@pytest.mark.parametrize("inline", [False, True])
def test_each_slice_is_told_of_once_its_output_is_stored(rocketjob, inline):
    observer = run(rocketjob, "a", "b", "c", inline=inline)
    found = [(slice.number, slice.records, slice.state, slice.rejects) for slice in observer.told]
    assert found == [(1, 2, "done", 0), (3, 1, "done", 0)]
    assert observer.stored == [0, 0]
    assert all(slice.error is None and slice.seconds >= 0 for slice in observer.told)


def test_rejects_are_counted(rocketjob):
    observer = run(rocketjob, "a", "bad", "bad", max_rejects=5)
    assert [(slice.records, slice.rejects) for slice in observer.told] == [(2, 1), (1, 1)]


def test_a_slice_that_fails_is_told_of_with_its_error_and_again_when_it_is_done(rocketjob):
    observer = run(rocketjob, "a", "bad", "c")
    failed, done = sorted(observer.told, key=lambda slice: slice.number)
    assert (failed.number, failed.records, failed.state) == (1, 1, "failed")
    assert str(failed.error) == "a bad line"
    assert (done.number, done.state) == (3, "done")


def test_a_batch_job_that_is_not_stored(rocketjob):
    observer = Observer()
    rocketjob.plugins.register(observer)
    job = ToldLinesJob()
    job.upload(["a", "b", "c"])
    job.perform_now()
    assert [slice.number for slice in observer.told] == [1, 3]


def test_a_slice_that_was_taken_away_is_not_told_of(rocketjob, monkeypatch):
    from rocketjob_plugins.batch.work import slices

    store = slices.store_outcomes

    def taken_away(job, outcomes):
        if outcomes:
            ids = [outcome.slice.id for outcome in outcomes]
            taken = {"$inc": {"claim_number": 1}, "$set": {"state": "failed"}}
            job.input.collection.update_many({"_id": {"$in": ids}}, taken)
        return store(job, outcomes)

    monkeypatch.setattr(slices, "store_outcomes", taken_away)
    assert run(rocketjob, "a", "b").told == []


def test_an_observer_that_fails_changes_nothing(rocketjob, caplog):
    class Failing:
        @hookimpl
        def slice_done(self, job):
            raise KeyError("oops")

    rocketjob.plugins.register(Failing(), "failing")
    with caplog.at_level(logging.ERROR):
        observer = run(rocketjob, "a", "b", "c")
    assert len(observer.told) == 2
    assert ToldLinesJob.first().is_completed
    assert any("The plugin failing" in record.message for record in caplog.records)


def test_only_jobs_of_the_classes_that_it_is_for_are_told_of(rocketjob):
    class Few:
        @hookimpl
        @only_for(PassingJob)
        def slice_done(self, job):
            raise AssertionError

    rocketjob.plugins.unregister(rocketjob.plugins.plugin("metrics"))  # it is told of all
    rocketjob.plugins.register(Few())
    assert not rocketjob.plugins.listens("slice_done", ToldLinesJob)
    assert len(run(rocketjob, "a").told) == 1
