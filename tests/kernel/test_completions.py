"""Nobody is told that a job completed unless it is known."""

import threading
from datetime import timedelta

import pytest

from rocketjob import (
    ClaimLost,
    Job,
    JobExpired,
    JobTimeout,
    NotFound,
    Transition,
    after,
    before,
    event,
    hookimpl,
    validate,
)
from rocketjob.base.acts import acting
from rocketjob.jobs import completions
from rocketjob.worker.runner import Worker, work_claimed_job
from support.jobs import FailingJob, KeptJob, PassingJob

ran = []


class CompletesAndGoesJob(Job):
    def perform(self):
        ran.append(self.id)


def noted(store):
    return [id for each in store.collection(completions.COLLECTION).find({}) for id in each["jobs"]]


def test_a_job_that_a_worker_completed_is_completed_for_who_waits(rocketjob):
    job = CompletesAndGoesJob.create()
    rocketjob.work_off()
    assert job.wait(timeout=1).is_completed
    assert job.reload().is_completed


def test_so_is_one_with_callbacks_after_it_or_that_somebody_completes(rocketjob):
    class AfterwardsJob(CompletesAndGoesJob):
        @after("complete")
        def tell(self): ...

        @before("destroy")
        def remember(self): ...

    first, second = AfterwardsJob.create(), CompletesAndGoesJob.create()
    other = Job.find(second.id)
    rocketjob.work_off(limit=1)
    other.start()
    other.complete()
    assert first.reload().is_completed
    assert second.reload().is_completed


# --- the short way of a job that is removed, and in which nobody has a part ----------------------


class ValidatedAndGoesJob(CompletesAndGoesJob):
    @validate
    def look(self): ...


class CalledAndGoesJob(CompletesAndGoesJob):
    @before("complete")
    def look(self): ...


class SavedAndGoesJob(CompletesAndGoesJob):
    @before("save")
    def look(self): ...


class DestroyedAndGoesJob(CompletesAndGoesJob):
    @after("destroy")
    def look(self): ...


class OwnEndAndGoesJob(CompletesAndGoesJob):
    @event(Transition(("running",), "completed"))
    def complete(self, *, save=True): ...


class StaysJob(CompletesAndGoesJob):
    destroy_on_complete = False


def running(job_class, rocketjob):
    job_class.create()
    (job,) = rocketjob.queue.claim(1)
    return job


def goes_short(job):
    return job.is_just_removed(job.event_called("complete"))


def test_the_short_way_is_that_of_a_claimed_job_alone(rocketjob):
    assert goes_short(running(CompletesAndGoesJob, rocketjob))
    unclaimed = CompletesAndGoesJob.create()
    unclaimed.start()
    assert not goes_short(unclaimed)
    with acting(by="ada"):
        assert not goes_short(running(CompletesAndGoesJob, rocketjob))


@pytest.mark.parametrize(
    "job_class",
    [
        ValidatedAndGoesJob,
        CalledAndGoesJob,
        SavedAndGoesJob,
        DestroyedAndGoesJob,
        OwnEndAndGoesJob,
        StaysJob,
    ],
)
def test_a_class_that_has_a_part_in_its_end_goes_the_long_way(rocketjob, job_class):
    assert not goes_short(running(job_class, rocketjob))


@pytest.mark.parametrize("hook", ["state_changed", "transition_writes", "job_removed"])
def test_a_plugin_that_comes_later_is_asked_and_told(rocketjob, hook):
    job, told = running(CompletesAndGoesJob, rocketjob), []
    assert goes_short(job)

    def listens(self, job):
        told.append(job.id)

    rocketjob.plugins.register(type("Comes", (), {hook: hookimpl(listens)})())
    assert not goes_short(job)
    work_claimed_job(job, Worker("here:1:1"))
    assert set(told) == {job.id}  # of the start, too, where it is told of each change


def test_the_short_way_leaves_a_job_as_the_long_one_does(rocketjob):
    ends = []
    for job_class in (CompletesAndGoesJob, SavedAndGoesJob):
        job = running(job_class, rocketjob)
        work_claimed_job(job, Worker("here:1:1"))
        last = job.history[-1]
        ends.append((job.state, job.percent_complete, job.claimed_by, last.event, last.state))
        assert job.completed_at is not None
        assert not Job.where(id=job.id).exists()
    assert ends[0] == ends[1] == ("completed", 100, None, "complete", "completed")


def test_on_the_short_way_a_claim_that_was_lost_leaves_all_as_it_was(rocketjob):
    job = running(CompletesAndGoesJob, rocketjob)
    Job.collection().update_one({"_id": job.id}, {"$inc": {"claim_number": 1}})
    with pytest.raises(ClaimLost):
        job.complete()
    assert (job.state, job.completed_at, len(job.history)) == ("running", None, 1)
    assert Job.where(id=job.id).exists()


# --- what is known afterwards --------------------------------------------------------------------


def test_one_that_expired_is_expired(rocketjob):
    job = CompletesAndGoesJob.create(expires_at=timedelta(minutes=1))
    rocketjob.travel(timedelta(minutes=2))
    rocketjob.work_off()
    for look in (job.reload, lambda: job.wait(timeout=0)):
        with pytest.raises(JobExpired, match=r"not started before it expired, at .* UTC"):
            look()


def test_one_that_somebody_destroyed_or_aborted_and_removed_is_gone(rocketjob):
    destroyed, aborted, kept = (
        CompletesAndGoesJob.create(),
        CompletesAndGoesJob.create(),
        KeptJob.create(),
    )
    Job.find(destroyed.id).destroy()
    Job.find(aborted.id).abort()
    Job.where(id=aborted.id).delete_all()
    Job.find(kept.id).destroy()
    for job in (destroyed, aborted):
        with pytest.raises(NotFound, match="whether it completed is not known"):
            job.reload()
    with pytest.raises(NotFound, match=r"is not stored any more$"):
        kept.reload()


def test_it_is_known_for_ten_minutes_and_forgotten_by_the_sweep(rocketjob):
    job = CompletesAndGoesJob.create()
    rocketjob.work_off()
    rocketjob.travel(timedelta(minutes=9))
    completions.forget()
    assert job.reload().is_completed
    other = CompletesAndGoesJob.create()
    Job.find(other.id).destroy()
    rocketjob.travel(timedelta(minutes=2))
    completions.forget()
    assert noted(rocketjob.store) == []
    with pytest.raises(NotFound):
        other.reload()


def test_a_failed_or_kept_job_is_not_noted(rocketjob):
    FailingJob.create()
    KeptJob.create()
    rocketjob.work_off()
    assert noted(rocketjob.store) == []


def test_who_waits_is_patient_with_a_note_that_is_on_its_way(rocketjob):
    job = CompletesAndGoesJob.create()
    Job.find(job.id).delete()  # as the worker has done, which notes it next
    late = threading.Timer(0.1, completions.note, [[job.id]])
    late.start()
    assert job.wait(timeout=5).is_completed
    late.join()


def test_a_wait_that_times_out_says_so(rocketjob):
    with pytest.raises(JobTimeout):
        PassingJob.create().wait(timeout=0)


def test_a_note_that_cannot_be_stored_ends_no_job(rocketjob, monkeypatch):
    job = CompletesAndGoesJob.create()
    collection = rocketjob.store.collection(completions.COLLECTION)

    def refuse(name):
        return Refusing() if name == completions.COLLECTION else real(name)

    class Refusing:
        def insert_one(self, document):
            raise OSError("disk full")

    real = rocketjob.store.collection
    monkeypatch.setattr(rocketjob.store, "collection", refuse)
    assert rocketjob.work_off() == 1
    monkeypatch.undo()
    assert (Job.count(), collection.count_documents({})) == (0, 0)
    with pytest.raises(NotFound):
        job.reload()
