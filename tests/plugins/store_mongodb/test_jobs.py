"""Jobs, plugins and batches on MongoDB; in steps of several writes with a death in between."""

import threading
from datetime import timedelta

import pytest

from rocketjob import Job, ValidationError, field
from rocketjob.queue.dispatch import Queue
from rocketjob.queue.limits import COLLECTION as LIMITS
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.server.recovery import Recovery
from rocketjob.store import lease as leases
from rocketjob.store import notes, outbox
from rocketjob_plugins.batch import Batch, Statistics
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.batch.outcome.commit import store_outcomes
from rocketjob_plugins.batch.outcome.render import Outcome
from rocketjob_plugins.batch.work.begin import begin
from rocketjob_plugins.batch.work.slices import SliceWorker
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.restart import Restart
from rocketjob_plugins.singleton import Singleton
from rocketjob_plugins.throttle import Throttle


class MongoPlainJob(Job):
    destroy_on_complete = False
    number: int = 0

    def perform(self):
        self.number += 1


class MongoFailingJob(Job):
    def perform(self):
        raise ValueError("no")


class MongoNightlyJob(Cron, Job):
    cron_schedule = "0 1 * * * UTC"

    def perform(self): ...


class MongoOnceJob(Singleton, Job):
    def perform(self): ...


class MongoAgainJob(Restart, Job):
    number: int = field(default=0, copy_on_restart=True)

    def perform(self): ...


class MongoFewJob(Throttle, Job):
    throttle_running_jobs = 3

    def perform(self): ...


class MongoLinesJob(Statistics, Batch, Job):
    destroy_on_complete = False
    slice_size = 3
    collect_output = True
    max_rejects = 10

    def perform(self, line):
        self.statistics_inc("seen")
        if line == "bad":
            raise ValueError("bad line")
        return line.upper()


class Killed(BaseException):
    """Stands for kill -9."""


def kill_at(monkeypatch, target, name, call=1, after=False):
    """Let the process die at a call; what it had done by then is stored."""
    real, calls = getattr(target, name), []

    def dying(*args, **kwargs):
        calls.append(args)
        if len(calls) < call:
            return real(*args, **kwargs)
        if after:
            real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(target, name, dying)


def test_a_job_is_run(mongo):
    job = MongoPlainJob.create()
    assert mongo.work_off() == 1
    assert job.reload().is_completed
    assert job.number == 1


def test_a_failure_is_stored_and_retried(mongo):
    job = MongoFailingJob.create()
    mongo.work_off()
    assert job.reload().is_failed
    assert job.exception.message == "no"
    job.retry()
    assert job.reload().is_queued


def test_many_are_stored_or_none(mongo):
    taken = MongoPlainJob.create()
    with pytest.raises(Exception, match=r"E11000|[Dd]uplicate"):
        MongoPlainJob.create_many(
            [MongoPlainJob(number=1), MongoPlainJob(id=taken.id), MongoPlainJob(number=2)]
        )
    assert MongoPlainJob.count() == 1


def test_a_cron_job_has_one_successor(mongo):
    MongoNightlyJob.create()
    for _ in range(3):
        mongo.travel(MongoNightlyJob.queued().first().run_at + timedelta(seconds=1))
        assert mongo.work_off() == 1
        assert MongoNightlyJob.queued().count() == MongoNightlyJob.count() == 1
    with pytest.raises(ValidationError, match="already"):
        MongoNightlyJob.create()


def test_a_singleton_is_alone(mongo):
    MongoOnceJob.create()
    with pytest.raises(ValidationError, match="already"):
        MongoOnceJob.create()
    mongo.work_off()
    MongoOnceJob.create()


def test_a_job_that_restarts_goes_on_as_another(mongo):
    first = MongoAgainJob.create(number=7)
    first.abort()
    assert first.reload().is_aborted
    assert [(job.number, job.state) for job in MongoAgainJob.queued()] == [(7, "queued")]


def claim_at_once(mongo, threads, each):
    """Let several claimers claim at the same time; return the jobs that they have."""
    found, barrier = [], threading.Barrier(threads)

    def claim(number):
        app = mongo.application
        queue = Queue(mongo.store, app.plugins, app.config, f"other.{number}", f"other:{number}")
        queue.claim(0)
        barrier.wait()
        for _ in range(each):
            found.extend(queue.claim(2))

    running = [threading.Thread(target=claim, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return found


def test_a_limit_is_kept_by_claimers_at_the_same_time(mongo):
    for _ in range(3):
        MongoFewJob.delete_all()
        MongoFewJob.create_many([{} for _ in range(12)])
        found = claim_at_once(mongo, threads=4, each=2)
        assert MongoFewJob.running().count() == len(found) == len({job.id for job in found}) == 3


def test_who_claims_without_a_turn_is_found_out(without, monkeypatch):
    """A claimer that was stopped for longer than its lease looks again behind its claim."""
    MongoFewJob.create_many([{} for _ in range(12)])
    monkeypatch.setattr(leases, "_take", take_over)  # all at once, as if its end had come
    for _ in range(5):
        found = claim_at_once(without, threads=4, each=2)
        held = MongoFewJob.where({"state": "running"}).count()
        assert held <= 3
        assert {job.id for job in MongoFewJob.running()} >= {job.id for job in found}
        MongoFewJob.collection().update_many({}, {"$set": {"state": "queued"}})


def take_over(collection, key, me):
    collection.update_one({"_id": key}, {"$set": {"by": me}}, upsert=True)
    return True


def test_a_turn_that_is_not_given_back_ends_by_itself(without, monkeypatch):
    monkeypatch.setattr("rocketjob.store.lease.PATIENCE_SECONDS", 0.05)
    abandoned = without.store.lease("claims")
    first = abandoned.__enter__()
    assert first.mine is first.lasts() is True
    with without.store.lease("claims") as second:
        assert second.mine is second.lasts() is False
    assert first.lasts()
    without.travel(timedelta(seconds=11))
    with without.store.lease("claims") as third:
        assert third.mine is third.lasts() is True
        assert first.lasts() is False
    abandoned.__exit__(None, None, None)
    assert without.store.collection(LIMITS).find_one({"_id": "claims"}).keys() == {"_id"}


# --- a successor, without transactions ----------------------------------------------------------


@pytest.mark.parametrize("destroy", [True, False])
@pytest.mark.parametrize("moment", ["before", "stored", "end"])
def test_a_successor_survives_the_death_of_who_creates_it(without, monkeypatch, moment, destroy):
    MongoNightlyJob.create(destroy_on_complete=destroy)
    without.travel(MongoNightlyJob.first().run_at + timedelta(seconds=1))
    with monkeypatch.context() as patch:
        if moment == "before":
            kill_at(patch, outbox.Outbox, "finish")
        elif moment == "stored":
            patch.setattr(outbox, "is_duplicate_key", lambda error: False)
            refuse_second_write(patch, without.store)
        else:
            kill_at(patch, outbox.Outbox, "finish", after=True)
        without.work_off()  # what it tries after its death is refused: the claim has ended
    without.travel(timedelta(seconds=61))
    for _ in range(2):
        Recovery(without.application, "other").sweep(set())
    assert MongoNightlyJob.queued().count() == 1
    assert MongoNightlyJob.completed().count() == (0 if destroy else 1)
    assert MongoNightlyJob.where({notes.FIELD: {"$exists": True}}).count() == 0


def refuse_second_write(patch, store):
    """Die once the successor is stored, before the note is removed."""
    real = store.collection

    class Dying:
        def __init__(self, collection):
            self._collection = collection

        def __getattr__(self, name):
            return getattr(self._collection, name)

        def insert_one(self, document, **options):
            self._collection.insert_one(document, **options)
            raise Killed

    def collection(name):
        return Dying(real(name)) if name == Job.collection_name else real(name)

    patch.setattr(store, "collection", collection)


# --- batches ------------------------------------------------------------------------------------

LINES = ["a", "b", "bad", "c", "d", "e", "f"]


def run_batch(mongo):
    job = MongoLinesJob()
    job.upload(LINES)
    job.save()
    return job


def output(job):
    return [record for slice_ in job.output for record in slice_]


def rejected(job):
    return [(number, record) for number, record, _ in rejects.each(job)]


def test_a_batch_is_worked(mongo):
    job = run_batch(mongo)
    mongo.work_off()
    assert job.reload().is_completed
    assert output(job) == ["A", "B", "C", "D", "E", "F"]
    assert rejected(job) == [(3, "bad")]
    assert job.statistics == {"seen": 6}


@pytest.mark.parametrize("call", range(1, 5))
@pytest.mark.parametrize("after", [False, True])
def test_a_slice_is_stored_once_whenever_its_worker_dies(without, monkeypatch, call, after):
    job = run_batch(without)
    names = ["_follow", "finish", "_end", "_commit"]
    with monkeypatch.context() as patch:
        kill_at(patch, outbox.Outbox, names[call - 1], after=after)
        patch.setattr(SliceWorker, "_release", lambda self: None)  # a dead process does not
        with pytest.raises(Killed):
            kill_through(without)
    requeue_claims(without.store, without.plugins, "test.1", crash_limit=3)
    without.work_off()
    assert job.reload().is_completed
    assert output(job) == ["A", "B", "C", "D", "E", "F"]
    assert rejected(job) == [(3, "bad")]


def kill_through(mongo):
    """Work the batch without what a worker does when an exception ends it."""
    (job,) = mongo.queue.claim(1)
    if job.sub_state in (None, "before"):
        begin(job)
    SliceWorker(job, mongo.worker).run()


def test_who_lost_the_slice_stores_nothing(without):
    job = run_batch(without)
    (taken,) = without.queue.claim(1)
    begin(taken)
    (slice_,) = job.input.claim("dead.1", "dead:1", 1)
    outcome = Outcome(slice_, job)
    for record in ("x", "y", "z"):
        outcome.take(record)
    outcome.index = 3
    outcome.seal()
    requeue_claims(without.store, without.plugins, "dead.1", crash_limit=3)
    store_outcomes(job, [outcome])
    assert output(job) == []
    assert job.input.collection.count_documents({notes.FIELD: {"$exists": True}}) == 0
    without.work_off()
    assert output(job) == ["A", "B", "C", "D", "E", "F"]


def test_a_slice_that_crashes_its_worker_is_halved(mongo):
    job = MongoLinesJob()
    job.upload(["a", "b", "c"])
    job.save()
    (taken,) = mongo.queue.claim(1)
    begin(taken)
    for _ in range(2):
        job.input.claim("dead.1", "dead:1", 1)
        requeue_claims(
            mongo.store, mongo.plugins, "dead.1", crash_limit=2, crashed={f"{job.id}/1": "signal 9"}
        )
    assert [(each.id, list(each)) for each in job.input] == [(1, ["a"]), (2, ["b", "c"])]
    assert {each.state for each in job.input} == {"queued"}
