"""Slices that are not where this process looks: refused rather than taken for done."""

from datetime import timedelta

import pytest

from rocketjob import Job, StoreError, StoreUnavailable, before
from rocketjob.server.draining import is_at_rest
from rocketjob.server.recovery import Recovery
from rocketjob.server.server import Server
from rocketjob.server.supervisor import Supervisor
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory, Statistics
from rocketjob_plugins.batch.outcome.commit import add_statistics
from rocketjob_plugins.batch.recovery import claim_owners, waiting_quarantined
from rocketjob_plugins.batch.slices import Slices
from rocketjob_plugins.batch.work import slices as slices_work
from rocketjob_plugins.batch.work.slices import SliceWorker
from support.jobs import KeptJob
from support.runtime import queue_of


class ElsewhereBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=1)
    output_category = OutputCategory()

    def perform(self, record):
        return record


def uploaded():
    job = ElsewhereBatchJob()
    job.upload(["one", "two"])
    job.save()
    return job


@pytest.fixture
def places(tmp_path):
    return {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("jobs", "slices", "others")}


@pytest.mark.parametrize(
    ("uploads", "works"), [(None, "slices"), ("slices", None), ("slices", "others")]
)
def test_a_job_whose_slices_are_elsewhere_is_held_until_they_are_seen(
    places, caplog, uploads, works
):
    with sandbox(places["jobs"], slices_url=places.get(uploads)):
        job = uploaded()
    with sandbox(places["jobs"], slices_url=places.get(works)) as rocketjob:
        rocketjob.work_off()
        assert job.reload().is_running
        assert "its 2 records are not in " in str(job.explain())
        assert (works or "jobs") + ".db" in str(job.explain())
        said = [record.message for record in caplog.records]
        assert said.count("deferred: the slices are not here") == 1
    with sandbox(places["jobs"], slices_url=places.get(uploads)) as rocketjob:
        rocketjob.work_off()
        assert job.reload().is_completed
        assert list(job.records()) == ["one", "two"]


def test_a_job_that_is_performed_inline_fails_with_the_reason(places):
    with sandbox(places["jobs"], slices_url=places["slices"]):
        job = uploaded()
    with sandbox(places["jobs"]):
        with pytest.raises(StoreError, match="its 2 records are not in "):
            job.perform_now()
        assert job.reload().is_failed


def test_a_job_without_records_completes(rocketjob):
    job = ElsewhereBatchJob()
    job.upload([])
    job.save()
    rocketjob.work_off()
    assert job.reload().is_completed


def test_while_the_store_of_the_slices_is_away_other_jobs_are_claimed(rocketjob, monkeypatch):
    job, other = uploaded(), KeptJob.create()
    Job.collection().update_one(
        {"_id": job.id}, {"$set": {"state": "running", "sub_state": "processing"}}
    )

    def away(self):
        raise StoreUnavailable("the slices are away")

    with monkeypatch.context() as patched:
        patched.setattr(Slices, "collection", property(away))
        assert [each.id for each in rocketjob.queue.claim(5)] == [other.id]
        assert waiting_quarantined() == 0
    with monkeypatch.context() as patched:
        patched.setattr("rocketjob_plugins.batch.slices.InputSlices.owners", away)
        assert claim_owners() == [None]  # it cannot be known
        assert not is_at_rest(Server())
    assert is_at_rest(Server())
    rocketjob.travel(timedelta(seconds=6))  # longer than max_poll_seconds
    assert [each.id for each in rocketjob.queue.claim(5, places=1)] == [job.id]


class UploadingBatchJob(Batch, Job):
    destroy_on_complete = False
    output_category = OutputCategory()

    @before("batch")
    def upload_two(self):
        self.upload(["one"])
        self.upload(["two"])

    def perform(self, record):
        return record


@pytest.mark.parametrize("uploads", [0, 1])
def test_a_job_that_cannot_begin_since_its_slices_are_away_waits(rocketjob, monkeypatch, uploads):
    job, other = UploadingBatchJob.create(), KeptJob.create()
    upload, done = UploadingBatchJob.upload, []

    def away(self):
        raise StoreUnavailable("the slices are away")

    with monkeypatch.context() as patched:

        def upload_while_it_is_there(self, records):
            if len(done) == uploads:
                patched.setattr(Slices, "collection", property(away))
            done.append(upload(self, records))

        patched.setattr(UploadingBatchJob, "upload", upload_while_it_is_there)
        rocketjob.work_off()
        assert other.reload().is_completed
        assert (job.reload().state, job.throttled_by) == ("queued", "slices_are_away")
        assert "out of reach: the slices are away" in str(job.explain())
    rocketjob.travel(timedelta(seconds=61))  # longer than re_check_seconds
    rocketjob.work_off()
    assert job.reload().is_completed
    assert list(job.records()) == ["one", "two"]
    assert (job.failure_count, job.throttled_by) == (0, None)


def test_a_callback_whose_own_store_is_away_fails_the_job(rocketjob, monkeypatch):
    class FaultyBatchJob(Batch, Job):
        @before("batch")
        def ask(self):
            raise OSError("another server is away")

        def perform(self, record): ...

    monkeypatch.setattr("rocketjob_plugins.batch.work.join.are_away", lambda error: True)
    job = FaultyBatchJob.create()
    rocketjob.work_off()
    assert job.reload().is_failed


# --- whoever only looks --------------------------------------------------------------------------


def opened():
    job = uploaded()
    Job.collection().update_one(
        {"_id": job.id}, {"$set": {"state": "running", "sub_state": "processing"}}
    )
    return job.reload()


LOOKS = {
    "count": lambda job: job.input.count(),
    "status": lambda job: job.status(),
    "explain": lambda job: str(job.explain()),
    "percent": lambda job: job.percent_complete,
    "workers": lambda job: job.worker_names,
    "rejects": lambda job: job.reject_count,
    "last": lambda job: job.input.last(),
    "failed": lambda job: job.input.failed(),
    "exceptions": lambda job: job.input.group_exceptions(),
    "records": lambda job: list(job.records()),
    "remarks": lambda job: list(job.remarks()),
}


@pytest.fixture
def job_without_slices(places, tmp_path):
    """A job whose slices' store has gone, as a process that has the same settings sees it."""
    with sandbox(places["jobs"], slices_url=places["slices"]):
        job = opened()
    for each in tmp_path.glob("slices.db*"):
        each.unlink()
    return job


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_at_slices_makes_no_store_of_them(job_without_slices, places, tmp_path, look):
    with sandbox(places["jobs"], slices_url=places["slices"]):
        LOOKS[look](ElsewhereBatchJob.find(job_without_slices.id))
    assert not list(tmp_path.glob("slices.db*"))


def test_a_server_makes_the_store_of_the_slices(places, tmp_path):
    with sandbox(places["jobs"], slices_url=places["slices"]) as rocketjob:
        Supervisor(rocketjob.application)
        assert (tmp_path / "slices.db").exists()


def test_what_is_shown_of_a_job_without_its_slices_says_so(job_without_slices, places):
    with sandbox(places["jobs"], slices_url=places["slices"]):
        job = ElsewhereBatchJob.find(job_without_slices.id)
        shown = job.status()
        assert shown["slices"].startswith("its 2 records are not in ")
        assert not {"percent_complete", "queued_slices"} & set(shown)
        assert job.percent_complete == 0


def out_of_reach(monkeypatch, slices):
    def away(self):
        raise StoreUnavailable("the slices are away")

    monkeypatch.setattr(slices, "store", property(away))


@pytest.mark.parametrize("state", ["queued", "running", "paused", "failed", "completed"])
def test_what_is_known_of_a_job_is_shown_while_its_slices_are_away(rocketjob, monkeypatch, state):
    job = opened()
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": state}})
    job = job.reload()
    out_of_reach(monkeypatch, Slices)
    assert job.status()["record_count"] == 2
    assert [each.name for each in job.remarks()] == ["slices"]
    assert job.worker_names == []
    if state in ("running", "failed"):
        assert "its slices cannot be looked at: the slices are away" in str(job.explain())


def test_a_job_behind_one_whose_slices_are_away_is_explained(rocketjob, monkeypatch):
    opened()
    other = KeptJob.create()
    out_of_reach(monkeypatch, Slices)
    assert "no server is running" in str(other.explain())


def test_another_error_than_that_of_a_store_that_is_away_is_not_hidden(rocketjob, monkeypatch):
    job = opened()

    def broken(self):
        raise ValueError("broken")

    monkeypatch.setattr(Slices, "collection", property(broken))
    for look in (LOOKS["workers"], LOOKS["percent"], LOOKS["remarks"]):
        with pytest.raises(ValueError, match="broken"):
            look(job)


# --- workers that are at the slices when their store goes ----------------------------------------


class Store:
    """A store that can go out of reach for what its collections do."""

    def __init__(self, store):
        self._store, self.is_away = store, False

    def __getattr__(self, name):
        if self.is_away and name not in ("url", "is_transient", "close"):
            raise StoreUnavailable("the slices are away")
        return getattr(self._store, name)


class CountedElsewhereBatchJob(Statistics, Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=1)
    output_category = OutputCategory()
    store = None

    def perform(self, record):
        self.statistics_inc("seen")
        if record == "last":
            type(self).store.is_away = True
        performed.append(record)
        return record


performed = []


@pytest.fixture
def leaving(places, monkeypatch):
    """A sandbox with a store of slices that a record takes away, and a job that has it."""
    monkeypatch.setattr("rocketjob_plugins.batch.work.persist.PATIENCE", 0)
    performed.clear()
    with sandbox(places["jobs"], slices_url=places["slices"]) as rocketjob:
        store = Store(rocketjob.application.store_at(places["slices"]))
        monkeypatch.setitem(rocketjob.application._other_stores, places["slices"], store)
        CountedElsewhereBatchJob.store = store
        job = CountedElsewhereBatchJob()
        job.upload(["first", "last", "more"])
        job.save()
        yield rocketjob, job, store


def test_workers_leave_a_job_while_its_slices_are_away_and_do_other_work(leaving, caplog):
    rocketjob, job, _ = leaving
    other = KeptJob.create(priority=60)
    rocketjob.work_off()
    assert job.reload().is_running
    assert other.reload().is_completed
    for _ in range(3):  # it is looked at again, and that is not said again
        rocketjob.travel(timedelta(seconds=6))
        rocketjob.work_off()
    said = [record.message for record in caplog.records]
    assert said.count("deferred: its parts are out of reach") == 1


def test_what_was_processed_when_the_slices_went_is_stored_when_they_are_back(leaving):
    rocketjob, job, store = leaving
    rocketjob.work_off()
    store.is_away = False
    rocketjob.travel(timedelta(seconds=6))  # longer than max_poll_seconds
    rocketjob.work_off()
    assert job.reload().is_completed
    assert list(job.records()) == ["first", "last", "more"]
    assert performed == ["first", "last", "more"]
    assert job.statistics == {"seen": 3}


def test_slices_whose_claim_was_not_answered_before_they_went_are_taken_again(leaving, monkeypatch):
    rocketjob, job, store = leaving
    claim_many = store._store.claim_many

    def lost(*args, **kwargs):
        claim_many(*args, **kwargs)
        store.is_away = True
        raise StoreUnavailable("the answer was lost")

    monkeypatch.setattr(store._store, "claim_many", lost)
    rocketjob.work_off()
    monkeypatch.setattr(store._store, "claim_many", claim_many)
    store.is_away = False
    CountedElsewhereBatchJob.store = Store(None)
    rocketjob.travel(timedelta(seconds=6))
    rocketjob.work_off()
    assert job.reload().is_completed
    assert performed == ["first", "last", "more"]


def test_slices_are_not_kept_by_a_worker_whose_look_at_the_failure_budget_fails(
    leaving, monkeypatch
):
    rocketjob, job, store = leaving
    looks = []

    def look(self, outcomes):
        if not outcomes:
            return False
        looks.append(outcomes)
        store.is_away = len(looks) == 1
        return bool(job.input.count("failed"))

    monkeypatch.setattr(slices_work.BudgetWatch, "is_over_after", look)
    monkeypatch.setattr(CountedElsewhereBatchJob, "store", Store(None))  # no record takes it away
    rocketjob.work_off()
    store.is_away = False
    rocketjob.travel(timedelta(seconds=6))
    rocketjob.work_off()
    assert job.reload().is_completed
    assert performed == ["first", "last", "more"]


def test_a_worker_stays_where_the_jobs_are_away_too(leaving, monkeypatch):
    rocketjob, job, _ = leaving
    worker = SliceWorker(job, rocketjob.worker)
    assert worker._has_other_work()

    def away(*args, **kwargs):
        raise StoreUnavailable("the jobs are away")

    monkeypatch.setattr(rocketjob.store, "collection", away)
    assert not worker._has_other_work()


def test_jobs_of_dead_servers_are_reclaimed_while_slices_are_away(rocketjob, monkeypatch):
    opened()
    job = KeptJob.create()
    queue_of(rocketjob, "dead.1").claim(1, places=0)
    out_of_reach(monkeypatch, Slices)
    recovery = Recovery(rocketjob.application, "alive")
    assert recovery.sweep(set())["requeued"] == 0  # said, and done by a later sweep
    assert job.reload().is_queued


# --- counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("first, then", [("a", "a.b"), ("a.b", "a"), ("a.b.c", "a.b")])
def test_a_key_within_another_count_is_refused_where_it_is_counted(rocketjob, first, then):
    job = CountedElsewhereBatchJob()
    job.statistics_inc(first)
    with pytest.raises(ValueError, match="cannot both be counted"):
        job.statistics_inc(then)
    job.statistics_inc({first: 1, "another": 1})


def test_a_key_within_a_count_of_an_earlier_slice_is_refused(rocketjob):
    job = CountedElsewhereBatchJob.create()
    job.statistics_inc("a.b")
    with pytest.raises(ValueError, match=r"'a' and 'a\.b' cannot both be counted"):
        job.reload().statistics_inc("a")


@pytest.mark.parametrize(("first", "then", "kept"), [("a", "a.b", "a/b"), ("a.b", "a", "a/")])
def test_counts_of_two_workers_that_clash_are_all_kept(rocketjob, caplog, first, then, kept):
    job = CountedElsewhereBatchJob.create()
    add_statistics(job, {first: 2})
    add_statistics(job, {then: 3, "other": 4})
    job = job.reload()
    assert job.statistics.pop(kept) == 3
    assert job.statistics.pop("other") == 4
    assert "a count clashes" in [record.message for record in caplog.records]
