"""Bulk actions: one action on all jobs that match, at once or by a job of the product's own."""

import itertools
from datetime import timedelta
from operator import eq

import pytest

from rocketjob import Job, StoreUnavailable, UnknownJob, ValidationError, after, before
from rocketjob.base.acts import acting
from rocketjob.jobs import walk
from rocketjob.jobs.bulk import BulkAction, bulk
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.testing import sandbox
from rocketjob.testing.store_contract.mortal import Mortal
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.bulk import BulkActionJob, results
from rocketjob_plugins.bulk import job as bulk_job
from support.web import counted_calls


class BulkImportJob(Job):
    destroy_on_complete = False
    login: str | None = None
    fails: bool = True

    def perform(self):
        if self.fails:
            raise OSError("disk full")


class BulkReportJob(BulkImportJob): ...


class BulkGuardedJob(Job):
    destroy_on_complete = False

    def perform(self):
        raise ValueError("no")

    @before("retry")
    def _not_today(self):
        raise RuntimeError("not today")


class BulkLateJob(Job):
    """Says after its retry that something is wrong, when that is stored already."""

    destroy_on_complete = False

    def perform(self):
        raise ValueError("no")

    @after("retry")
    def _too_late(self):
        self.update(description="seen")
        raise RuntimeError("too late")


class BulkBatchJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record):
        raise ValueError(record)


@pytest.fixture
def by_job():
    """A sandbox in which a job does whatever is to be done to more than two jobs."""
    with sandbox(bulk={"at_once": 2}) as rocketjob:
        yield rocketjob


def failed(rocketjob, number, cls=BulkImportJob, **values):
    jobs = [cls.create(**values) for _ in range(number)]
    rocketjob.work_off()
    assert all(job.reload().is_failed for job in jobs)
    return jobs


def retries(job):
    return [entry.event for entry in job.reload().history].count("retry")


def by_state():
    return {k: v for k, v in Job.counts_by_state().items() if k != "queued_now"}


# --- at once -------------------------------------------------------------------------------------


def test_all_that_match_are_retried_at_once_where_they_are_few(rocketjob):
    jobs, other = failed(rocketjob, 3), failed(rocketjob, 1, BulkReportJob)
    with acting(by="ada", how="tidy.py", reason="disk replaced"):
        result = bulk(BulkImportJob.failed().where(_type="BulkImportJob"), "retry")
    assert result.job is None
    assert eq(result.counts, {"done": 3, "skipped": 0, "refused": 0, "failed": 0})
    assert [outcome.id for outcome in result.outcomes] == [job.id for job in jobs]
    assert by_state() == {"queued": 3, "failed": 1}
    assert other[0].reload().is_failed


def test_the_preview_counts_by_state_and_class_what_is_possible(rocketjob):
    failed(rocketjob, 2), failed(rocketjob, 1, BulkReportJob)
    BulkImportJob.create().pause()
    preview = BulkAction.on(Job.all(), "retry").preview()
    assert (preview.matching, preview.count, preview.left_alone) == (4, 3, 1)
    assert preview.by_class == {"BulkImportJob": 2, "BulkReportJob": 1}
    assert preview.by_state == {"failed": 3}
    assert BulkAction.on(Job.all(), "destroy").preview().by_state == {"failed": 3, "paused": 1}


def test_the_audit_has_one_record_of_the_whole_and_one_of_each_job(rocketjob):
    failed(rocketjob, 2)
    with acting(by="ada", how="tidy.py", reason="disk replaced"):
        bulk(Job.failed(), "retry")
    *each, whole = audit.records()
    assert [record.event for record in each] == ["retry", "retry"]
    assert (whole.event, whole.kind, whole.after["count"]) == ("bulk retry", "jobs", 2)
    assert {(r.by, r.reason) for r in (*each, whole)} == {("ada", "disk replaced")}


def test_P23_every_action_is_there(rocketjob):
    def made(state, **values):
        job = BulkImportJob.create(**values)
        Job.collection().update_one({"_id": job.id}, {"$set": {"state": state}})
        return job

    later = made("queued", run_at=timedelta(hours=1))
    for event, job, check in (
        ("run_now", later, lambda job: job.run_at is None),
        ("pause", made("queued"), lambda job: job.is_paused),
        ("resume", made("paused"), lambda job: job.is_queued),
        ("retry", made("failed"), lambda job: job.is_queued),
        ("fail", made("queued"), lambda job: job.is_failed),
        ("abort", made("queued"), lambda job: job.is_aborted),
    ):
        assert bulk(Job.where(id=job.id), event).counts["done"] == 1, event
        assert check(job.reload()), event
    assert bulk(Job.where(id=later.id), "set_priority", priority=7).counts["done"] == 1
    assert later.reload().priority == 7
    assert bulk(Job.all(), "destroy").counts["done"] == 6
    assert Job.count() == 0


def test_a_reason_is_kept_by_the_events_that_take_one(rocketjob):
    job = BulkImportJob.create()
    bulk(Job.all(), "fail", reason="wrong file")
    assert job.reload().exception.message == "wrong file"
    bulk(Job.all(), "abort", reason="for good")
    assert job.reload().history[-1].reason == "for good"


def test_what_was_created_or_has_failed_since_is_left_alone_unless_it_is_asked_for(rocketjob):
    early = failed(rocketjob, 1)[0]
    waiting = BulkImportJob.create()
    action = BulkAction.on(Job.all(), "retry")
    late = BulkAction.on(Job.all(), "retry", also_later=True)
    rocketjob.travel(timedelta(seconds=1))
    new = BulkImportJob.create()
    rocketjob.work_off()
    assert waiting.reload().is_failed and new.reload().is_failed
    assert [each.id for each in action.do_at_once(1)] == [early.id]
    assert [each.id for each in late.do_at_once(1)] == [waiting.id, new.id]


def test_P26_a_job_that_changes_between_preview_and_action_is_skipped(rocketjob):
    first, second, third = failed(rocketjob, 3)
    action = BulkAction.on(Job.failed(), "retry")
    outcomes = action.do_at_once(3)
    assert next(outcomes).id == first.id
    second.abort(), third.destroy()
    skipped, gone = outcomes
    assert (skipped.word, skipped.text) == ("skipped", "it has changed meanwhile, and is aborted")
    assert (gone.word, gone.text) == ("skipped", "it is gone")


def test_P26_a_job_that_changes_after_it_was_read_is_skipped(rocketjob):
    (job,) = failed(rocketjob, 1)
    read = Job.collection().find_one({"_id": job.id})
    job.retry()
    rocketjob.work_off()
    assert job.reload().is_failed, "it is in the same state again"
    rocketjob.travel(timedelta(seconds=1))
    job.retry(), rocketjob.work_off()
    outcome = BulkAction.on(Job.failed(), "retry").do_to(read)
    assert outcome.word == "skipped"
    assert retries(job) == 2


def test_one_that_cannot_be_changed_does_not_stop_the_others(rocketjob):
    failed(rocketjob, 1, BulkGuardedJob), failed(rocketjob, 1)
    forgotten = UnknownJob.create()
    Job.collection().update_one(
        {"_id": forgotten.id}, {"$set": {"state": "failed", "_type": "BulkGoneJob"}}
    )
    outcomes = {each.name: each for each in bulk(Job.failed(), "retry").outcomes}
    assert outcomes["BulkImportJob"].word == "done"
    assert outcomes["BulkGuardedJob"].text == "RuntimeError: not today"
    assert "BulkGoneJob is not loaded here" in outcomes["BulkGoneJob"].text


@pytest.mark.parametrize(
    ("query", "event", "more", "says"),
    [
        (Job.all, "retyr", {}, "retry"),
        (Job.all, "start", {}, "only a worker"),
        (Job.all, "set_priority", {}, "from 1 to 100, not None"),
        (Job.all, "set_priority", {"priority": True}, "not True"),
        (Job.all, "retry", {"priority": 3}, "takes no priority"),
        (lambda: Job.all().limit(3), "retry", {}, "no limit"),
    ],
)
def test_what_makes_no_sense_is_refused(rocketjob, query, event, more, says):
    with pytest.raises((ValueError, TypeError), match=says):
        bulk(query(), event, **more)


def test_without_the_plugin_everything_is_done_at_once():
    with sandbox(disabled_plugins=["bulk"]) as rocketjob:
        failed(rocketjob, 3)
        assert bulk(Job.failed(), "retry").counts["done"] == 3


# --- by a job ------------------------------------------------------------------------------------


def test_P24_over_the_limit_a_job_does_it(by_job):
    jobs = failed(by_job, 3)
    with acting(by="ada", how="rocketjob jobs retry", via="command", reason="disk replaced"):
        job = bulk(Job.failed(), "retry").job
    assert isinstance(job, BulkActionJob)
    assert (job.expected, job.login, job.reason) == (3, "ada", "disk replaced")
    assert job.description == "Retry 3 jobs"
    assert by_state() == {"queued": 1, "failed": 3}
    by_job.work_off(limit=1)
    assert eq(job.reload().result, {"done": 3, "skipped": 0, "refused": 0, "failed": 0})
    assert [retries(each) for each in jobs] == [1, 1, 1]
    assert (job.percent_complete, job.reported["done"]) == (100, 3)


def test_the_limit_is_a_setting_and_up_to_it_nothing_is_handed_over(by_job):
    failed(by_job, 2)
    assert bulk(Job.failed(), "retry").job is None


def test_the_audit_has_the_person_with_the_job_and_with_each_that_it_changes(by_job):
    jobs = failed(by_job, 3)
    with acting(by="ada", how="rocketjob jobs retry", via="command", reason="disk replaced"):
        job = bulk(Job.failed(), "retry").job
    by_job.work_off(limit=1)
    *each, whole = audit.records()
    assert (whole.event, whole.name, whole.id) == ("create", "BulkActionJob", job.id)
    assert [record.id for record in reversed(each)] == [one.id for one in jobs]
    assert {(r.by, r.via, r.reason) for r in each} == {("ada", "command", "disk replaced")}
    assert each[0].how == f"BulkActionJob {job.id}, by rocketjob jobs retry"
    assert jobs[0].reload().history[-1].by == "ada"


def handed_over(rocketjob, jobs, event="retry", **more):
    job = BulkActionJob.of(BulkAction.on(Job.failed(), event, **more), len(jobs)).save()
    assert job.is_queued
    return job


def test_each_result_is_kept_with_its_reason(by_job):
    ok, gone, late, guarded = (
        *failed(by_job, 2),
        *failed(by_job, 1, BulkLateJob),
        *failed(by_job, 1, BulkGuardedJob),
    )
    job = handed_over(by_job, range(4))
    gone.destroy()
    by_job.work_off(limit=1)
    assert eq(job.reload().result, {"done": 2, "skipped": 1, "refused": 0, "failed": 1})
    assert eq(job.counted(), job.result)
    found = {each.job: (each.word, each.text) for each in results.results(job.id)}
    assert found[ok.id] == ("done", None)
    assert found[late.id] == ("done", None), "it was: what came afterwards is another thing"
    assert found[guarded.id] == ("failed", "RuntimeError: not today")
    assert retries(late) == 1


def test_a_job_that_it_may_not_be_done_to_is_refused_when_it_is_looked_at(by_job):
    own, others, given = (failed(by_job, 1, login=login)[0] for login in ("bob", "eve", "bob"))
    job = handed_over(by_job, range(3), only_of="bob")
    given.update(login="eve")
    by_job.work_off(limit=1)
    assert eq(job.reload().result, {"done": 1, "skipped": 0, "refused": 2, "failed": 0})
    assert own.reload().is_queued and others.reload().is_failed and given.reload().is_failed


def test_it_never_acts_on_itself_nor_on_what_comes_after_it(by_job):
    jobs = [BulkImportJob.create() for _ in range(3)]
    job = bulk(Job.all(), "pause", also_later=True).job
    by_job.work_off(limit=1)
    assert job.reload().is_completed
    assert eq(job.result["done"], 3) and all(each.reload().is_paused for each in jobs)
    again = bulk(Job.where(state={"$ne": "completed"}), "destroy", also_later=True).job
    by_job.work_off(limit=1)
    assert again.reload().is_completed and eq(again.result["done"], 3)


def test_its_own_store_of_results_goes_with_it(by_job):
    failed(by_job, 3)
    job = bulk(Job.failed(), "abort").job
    by_job.work_off(limit=1)
    assert sum(1 for _ in results.results(job.id)) == 3
    job.reload().destroy()
    assert not list(results.results(job.id))


def test_it_can_be_paused_and_goes_on_where_it_was(by_job, monkeypatch):
    monkeypatch.setattr(bulk_job, "STEP", 1)
    jobs = failed(by_job, 4)
    job = handed_over(by_job, jobs)
    with monkeypatch.context() as patched:
        once = iter([True])

        def then_pause(self, action, id, stored):
            if id == jobs[1].id and next(once, False):
                BulkActionJob.find(job.id).pause()
            return real(self, action, id, stored)

        real = BulkActionJob._do_one
        patched.setattr(BulkActionJob, "_do_one", then_pause)
        by_job.work_off(limit=1)
    assert job.reload().is_paused
    assert [each.reload().state for each in jobs] == ["queued", "queued", "failed", "failed"]
    job.resume()
    jobs[0].abort()
    by_job.work_off(limit=1)
    assert eq(job.reload().result, {"done": 4, "skipped": 0, "refused": 0, "failed": 0})
    assert [retries(each) for each in jobs] == [1, 1, 1, 1]


@pytest.mark.both_stores
def test_P24_killed_at_any_write_each_is_retried_once_also_if_it_has_failed_again(
    rocketjob, monkeypatch
):
    monkeypatch.setattr(bulk_job, "STEP", 2)
    monkeypatch.setattr(BulkActionJob, "_say", lambda *_: None)  # by a thread of its own
    mortal = Mortal(rocketjob.store)
    for number in itertools.count(1, 3):
        Job.collection().delete_many({})
        jobs = failed(rocketjob, 3)
        job = handed_over(rocketjob, jobs, also_later=True)  # so that no clock guards it
        for kill in (number, number + 3):
            with mortal.dies_at(kill):
                rocketjob.work_off(1)
            died = mortal.died
            requeue_claims(rocketjob.store, rocketjob.plugins, "test.1", crash_limit=9)
            BulkActionJob.where(id=job.id).update_all(priority=100)
            rocketjob.work_off(sum(each.reload().is_queued for each in jobs))
            assert job.reload().state in ("queued", "completed")
        rocketjob.work_off(1)
        assert job.reload().is_completed
        assert [retries(each) for each in jobs] == [1] * 3, number
        assert eq(job.result, {"done": 3, "skipped": 0, "refused": 0, "failed": 0}), number
        if not died:
            break
    assert number > 6, "it was meant to die in between"


@pytest.mark.parametrize("event", ["destroy", "abort"])
@pytest.mark.both_stores
def test_killed_at_any_write_each_is_recorded_once(rocketjob, monkeypatch, event):
    monkeypatch.setattr(BulkActionJob, "_say", lambda *_: None)  # by a thread of its own
    mortal = Mortal(rocketjob.store)
    for number in itertools.count(2, 3):
        Job.collection().delete_many({})
        rocketjob.store.collection(audit.COLLECTION).delete_many({})
        jobs = failed(rocketjob, 2)
        job = handed_over(rocketjob, jobs, event)
        with mortal.dies_at(number):
            rocketjob.work_off(1)
        died = mortal.died
        requeue_claims(rocketjob.store, rocketjob.plugins, "test.1", crash_limit=9)
        rocketjob.work_off(1)
        assert job.reload().is_completed
        assert eq(job.result, {"done": 2, "skipped": 0, "refused": 0, "failed": 0}), number
        assert sorted(each.id for each in audit.records()) == [one.id for one in jobs], number
        if not died:
            break
    assert number > 4, "it was meant to die in between"


def test_two_workers_that_have_it_at_once_retry_each_once(by_job, monkeypatch):
    """One that has lost its claim does not know that yet."""
    jobs = failed(by_job, 3)
    job = handed_over(by_job, jobs)
    real, other = BulkActionJob._do_one, []

    def late(self, action, id, stored):
        if not other:
            other.append(self)
            BulkActionJob.find(job.id).requeue()
            by_job.work_off(1)  # the other one does all of it
            by_job.travel(timedelta(seconds=1))
            by_job.work_off(3)  # and they fail again
        return real(self, action, id, stored)

    monkeypatch.setattr(BulkActionJob, "_do_one", late)
    by_job.work_off(1)
    assert job.reload().is_completed
    assert [retries(each) for each in jobs] == [1, 1, 1]
    assert eq(job.counted(), {"done": 3, "skipped": 0, "refused": 0, "failed": 0})


def test_a_batch_job_goes_on_with_its_failed_slices(by_job):
    for _ in range(3):
        job = BulkBatchJob()
        job.upload(["a", "b"])
        job.save()
    by_job.work_off()
    done = bulk(BulkBatchJob.failed(), "retry").job
    by_job.work_off(limit=1)
    assert eq(done.reload().result["done"], 3)
    assert BulkBatchJob.running().count() == 3


@pytest.mark.parametrize(
    "stored",
    [
        {"filter": "{"},
        {"filter": "[1]"},
        {"filter": 3},
        {"event": "nonsense"},
        {"event": "start"},
        {"event": "set_priority", "new_priority": 101},
        {"as_of": "yesterday"},
    ],
)
def test_one_that_something_else_has_written_fails_and_changes_nothing(by_job, stored):
    jobs = failed(by_job, 3)
    job = handed_over(by_job, jobs)
    Job.collection().update_one({"_id": job.id}, {"$set": stored})
    by_job.work_off(limit=1)
    assert Job.find(job.id).is_failed
    assert [retries(each) for each in jobs] == [0, 0, 0]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"event": "start", "filter": "{}"}, "only a worker does that"),
        ({"event": "retry", "filter": "{"}, "event"),
        ({"event": "retry", "filter": "3"}, "the filter must be an object, not 3"),
        ({"event": "set_priority", "filter": "{}"}, "from 1 to 100, not None"),
    ],
)
def test_one_that_makes_no_sense_is_not_stored(by_job, values, says):
    with pytest.raises(ValidationError, match=says):
        BulkActionJob.create(**values)


def test_jobs_that_something_else_has_written_are_not_left_out_in_silence(by_job):
    for values in ({}, {"created_at": "yesterday"}, {"completed_at": 7}, {"created_at": None}):
        document = {"_type": "BulkImportJob", "state": "failed", "priority": 50, **values}
        Job.collection().insert_one(document)
    job = bulk(Job.failed(), "retry").job
    by_job.work_off(limit=1)
    assert eq(sum(job.reload().result.values()), 4)
    assert job.result["done"] >= 1 and job.result["skipped"] == 0


def test_a_store_that_is_away_for_a_while_is_waited_for(by_job, monkeypatch):
    jobs = failed(by_job, 3)
    job = handed_over(by_job, jobs)
    away = iter([True])
    real = BulkAction.do_to

    def once(self, stored, may=None):
        if stored["_id"] == jobs[1].id and next(away, False):
            raise StoreUnavailable("the disk is gone")
        return real(self, stored, may)

    monkeypatch.setattr(BulkAction, "do_to", once)
    by_job.work_off(limit=1)
    assert job.reload().is_scheduled
    by_job.travel(timedelta(seconds=6))
    BulkActionJob.where(id=job.id).update_all(priority=1)
    by_job.work_off(limit=1)
    assert eq(job.reload().result["done"], 3)
    assert [retries(each) for each in jobs] == [1, 1, 1]


def test_ids_that_are_no_object_ids_are_in_nobodys_way(by_job):
    jobs = failed(by_job, 3)
    copy = dict(Job.collection().find_one({"_id": jobs[0].id}), _id="by-hand")
    Job.collection().insert_one(copy)
    job = handed_over(by_job, range(4))
    by_job.work_off(limit=1)
    assert eq(job.reload().result, {"done": 3, "skipped": 1, "refused": 0, "failed": 0})


# --- a preview that may not take long ------------------------------------------------------------


class Ticking:
    """A clock of which each look takes a second."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 1.0
        return self.now


@pytest.fixture
def many(rocketjob, monkeypatch):
    """Jobs that are too many to be asked for at once, read two at a time."""
    monkeypatch.setattr(walk, "FEW", 3)
    monkeypatch.setattr(walk, "AT_A_TIME", 2)
    return [BulkImportJob.create(description=str(number)) for number in range(7)]


@pytest.mark.parametrize(
    "search", [{}, {"description": "5"}, {"description": "no"}, {"$or": [{"login": None}]}]
)
def test_a_preview_within_a_time_counts_what_one_without_does(many, search):
    many[0].pause()
    action = BulkAction.on(Job.where(search), "pause")
    whole, bounded = action.preview(), action.preview(60)
    assert (bounded.by_state, bounded.by_class, bounded.is_all) == (
        whole.by_state,
        whole.by_class,
        True,
    )


def test_a_preview_ends_in_time_though_nothing_matches(many, monkeypatch):
    monkeypatch.setattr("rocketjob.jobs.bulk.clock.monotonic", Ticking().monotonic)
    with counted_calls() as calls:
        preview = BulkAction.on(Job.where(description="no"), "pause").preview(2)
    assert (preview.count, preview.is_all) == (0, False)
    assert calls.count("rocket_job.jobs.find") <= 2, calls


def test_what_an_index_leaves_few_of_is_counted_whatever_else_there_is(many):
    with counted_calls() as calls:
        preview = BulkAction.on(Job.where(id=many[3].id), "pause").preview(60)
    assert (preview.count, preview.is_all, calls) == (1, True, ["rocket_job.jobs.find"])
