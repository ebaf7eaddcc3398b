"""How slices are processed: begun, shared, interrupted, ended."""

import threading

import pytest

from rocketjob import Job, after, around, before, field
from rocketjob.base import clock
from rocketjob.base.errors import StoreUnavailable
from rocketjob.queue.dispatch import Queue
from rocketjob.testing import sandbox
from rocketjob.worker.runner import Worker
from rocketjob_plugins.batch import (
    Batch,
    InputCategory,
    OutputCategory,
    Result,
    Results,
    Statistics,
)
from rocketjob_plugins.batch.io.undo import start_over
from rocketjob_plugins.batch.slices import Slices
from rocketjob_plugins.batch.work import interruption
from rocketjob_plugins.batch.work.slices import SliceWorker
from support.runtime import Gate, eventually, running_pool

pytestmark = pytest.mark.both_stores


class ReverseBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=10)
    output_category = OutputCategory()

    def perform(self, line):
        return line[::-1]


class HookedBatchJob(Batch, Job):
    """Runs a function of the test's for each record."""

    destroy_on_complete = False
    input_category = InputCategory(slice_size=5)
    output_category = OutputCategory()
    hook = None

    def perform(self, record):
        return type(self).hook(self, record)


class RefilledBatchJob(Batch, Job):
    """Uploads a file before the batch, and then fails if it is told to."""

    destroy_on_complete = False
    input_category = InputCategory(format="auto")
    output_category = OutputCategory()
    source: str = field(user_editable=True)
    broken: bool = field(default=False, user_editable=True)

    @before("batch")
    def fill(self):
        self.upload(self.source)

    @before("batch")
    def check(self):
        if self.broken:
            raise ValueError("broken")

    def perform(self, row):
        return [self.record_number, row]


class SequenceBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=5)
    calls: list[str] = field(factory=list)
    seen = None

    @before("slice")
    def first(self):
        self.seen.append("before")

    @around("slice")
    def surround(self):
        self.seen.append("enter")
        yield
        self.seen.append("leave")

    @after("slice")
    def last(self):
        self.seen.append("after")

    def perform(self, record):
        self.seen.append(record)


class PhasedBatchJob(Batch, Job):
    destroy_on_complete = False
    output_category = OutputCategory()
    said: list[str] = field(factory=list)
    broken: str | None = None

    def note(self, what):
        self.said = [*self.said, what]
        if self.broken == what:
            raise ValueError(what)

    @before("batch")
    def load(self):
        self.upload(["a", "b"])
        self.note("load")

    @before("batch")
    def prepare(self):
        self.note("prepare")

    @after("batch")
    def publish(self):
        self.note("publish")

    @after("batch")
    def tidy(self):
        self.note("tidy")

    def perform(self, record):
        return record.upper()


def lines(count):
    return [f"line {number}" for number in range(1, count + 1)]


def made(cls=ReverseBatchJob, records=(), **values):
    job = cls(**values)
    job.upload(list(records))
    return job.save()


def test_the_output_is_in_the_order_of_the_input(rocketjob):
    job = made(records=lines(24))
    rocketjob.work_off()
    assert job.reload().is_completed
    assert list(job.records()) == [line[::-1] for line in lines(24)]
    assert [len(slice_) for slice_ in job.output] == [10, 10, 4]
    assert job.input.count() == 0


def test_an_empty_upload_completes(rocketjob):
    job = made()
    rocketjob.work_off()
    assert job.reload().is_completed
    assert job.record_count == 0


def test_a_job_without_an_upload_waits_for_one(rocketjob):
    job = ReverseBatchJob().save()
    rocketjob.work_off()
    assert (job.reload().state, job.sub_state) == ("running", "processing")
    job.upload(lines(3))
    rocketjob.work_off()
    assert job.reload().is_completed
    assert job.output.count() == 1


def test_records_are_numbered_through_the_whole_upload(rocketjob):
    numbers = []
    HookedBatchJob.hook = lambda self, record: numbers.append(self.record_number)
    made(HookedBatchJob, lines(7))
    rocketjob.work_off()
    assert numbers == [1, 2, 3, 4, 5, 6, 7]


def test_slice_callbacks_surround_all_records_of_a_slice(rocketjob):
    SequenceBatchJob.seen = []
    made(SequenceBatchJob, range(7))
    rocketjob.work_off()
    first = ["before", "enter", 0, 1, 2, 3, 4, "after", "leave"]
    assert SequenceBatchJob.seen in (
        [*first, "before", "enter", 5, 6, "after", "leave"],
        [*first[:-2], "leave", "after", "before", "enter", 5, 6, "leave", "after"],
    )


def test_batch_callbacks_run_once_in_their_order(rocketjob):
    job = PhasedBatchJob().save()
    rocketjob.work_off()
    assert job.reload().said == ["load", "prepare", "tidy", "publish"]
    assert list(job.records()) == ["A", "B"]


def test_there_is_no_around_batch():
    with pytest.raises(ValueError, match="no around"):

        class AroundBatchJob(Batch, Job):
            @around("batch")
            def surround(self):
                yield

            def perform(self, record): ...


@pytest.mark.parametrize("phase", ["load", "prepare"])
def test_a_retry_after_a_failed_before_batch_uploads_nothing_twice(rocketjob, phase):
    job = PhasedBatchJob(broken=phase)
    job.upload(["first"])
    job.save()
    rocketjob.work_off()
    assert (job.reload().state, job.sub_state) == ("failed", "before")
    assert job.record_count == 1
    assert [list(each) for each in job.input] == [["first"]]
    job.update(broken=None)
    job.retry()
    rocketjob.work_off()
    assert job.reload().is_completed
    assert list(job.records()) == ["FIRST", "A", "B"]


@pytest.mark.parametrize(
    ("name", "corrected", "row"),
    [
        ("in.csv", "a,b\n1,2\n", {"a": "1", "b": "2"}),
        ("in.csv", "c,d\n1,2\n", {"c": "1", "d": "2"}),
        ("in.json", '{"a": 1}\n', {"a": 1}),
    ],
    ids=["the same", "other columns", "another format"],
)
def test_a_retry_after_a_failed_before_batch_uploads_as_if_it_were_the_first_time(
    rocketjob, tmp_path, name, corrected, row
):
    source = tmp_path / "in.csv"
    source.write_text("a,b\n1,2\n")
    job = RefilledBatchJob(source=str(source), broken=True).save()
    rocketjob.work_off()
    assert (job.reload().state, job.record_count) == ("failed", None)
    (tmp_path / name).write_text(corrected)
    job.update(broken=False, source=str(tmp_path / name))
    job.retry()
    rocketjob.work_off()
    assert job.reload().is_completed, job.exception
    assert list(job.records()) == [[1, row]]


def test_before_batch_that_died_with_its_worker_starts_over_without_its_upload(rocketjob):
    """As a worker leaves it that is killed between two callbacks."""
    job = PhasedBatchJob().save()
    (claimed,) = rocketjob.queue.claim(1)
    start_over(claimed)
    claimed.sub_state = "before"
    claimed.save()
    claimed.load()
    claimed.recover(None, "its server died", 3)
    assert job.reload().is_queued
    assert job.record_count == 2
    rocketjob.work_off()
    assert job.reload().is_completed
    assert list(job.records()) == ["A", "B"]


def test_an_error_in_after_batch_fails_the_job_and_a_retry_runs_it_again(rocketjob):
    job = PhasedBatchJob(broken="publish").save()
    rocketjob.work_off()
    assert (job.reload().state, job.sub_state) == ("failed", "after")
    job.update(broken=None)
    job.retry()
    assert (job.state, job.sub_state) == ("running", "processing")
    rocketjob.work_off()
    assert job.reload().is_completed
    assert list(job.records()) == ["A", "B"]


def test_a_joining_worker_writes_nothing_to_the_job(rocketjob):
    job = made(records=lines(30))
    HookedBatchJob.hook = None
    (first,) = rocketjob.queue.claim(1)
    from rocketjob_plugins.batch.work.begin import begin

    begin(first)
    before_ = rocketjob.store.collection("rocket_job.jobs").find_one({"_id": job.id})
    joined = rocketjob.queue.claim(5, places=5)
    assert [each.id for each in joined] == [job.id] * 3  # as many as there are slices
    assert rocketjob.store.collection("rocket_job.jobs").find_one({"_id": job.id}) == before_


@pytest.mark.parametrize("phase", ["before", "after"])
def test_nobody_joins_a_job_before_and_after_its_slices(rocketjob, phase):
    job = made(records=lines(3))
    jobs = rocketjob.store.collection("rocket_job.jobs")
    jobs.update_one({"_id": job.id}, {"$set": {"state": "running", "sub_state": phase}})
    assert rocketjob.queue.claim(5) == []


def test_results_go_to_their_categories(rocketjob):
    class SplitBatchJob(ReverseBatchJob):
        output_categories = ["main", "odd"]

        def perform(self, number):
            return Result(number, category="odd") if number % 2 else number

    job = made(SplitBatchJob, range(50))
    rocketjob.work_off()
    job.reload()
    assert list(job.records()) == list(range(0, 50, 2))
    assert list(job.records("odd")) == list(range(1, 50, 2))


def test_results_hold_any_mix_and_of_a_failed_record_nothing_is_kept(rocketjob):
    class MixedBatchJob(ReverseBatchJob):
        output_categories = ["main", "copy"]

        def perform(self, line):
            wrong = "nowhere" if line == "b" else "copy"
            return Results([Result(line), Result(line * 2, category=wrong)])

    job = made(MixedBatchJob, ["a", "b", "c"])
    rocketjob.work_off()
    assert job.reload().is_failed
    assert list(job.records()) == ["a"]
    assert list(job.records("copy")) == ["aa"]
    (failed,) = job.input.failed()
    assert "Unknown Output Category" in failed.exception.message
    assert failed.failed_record == "b"


def test_two_positional_arguments_of_a_result_are_refused():
    with pytest.raises(TypeError, match="category="):
        Result("value", "invalid")


def test_none_is_kept_only_where_the_category_says_so(rocketjob):
    class NoneBatchJob(ReverseBatchJob):
        output_categories = [OutputCategory(), OutputCategory(name="all", nils=True)]

        def perform(self, record):
            return Results([Result(None), Result(None, category="all")])

    job = made(NoneBatchJob, ["x", "y"])
    rocketjob.work_off()
    assert list(job.reload().records("all")) == [None, None]
    assert job.output.count() == 0


def test_without_output_categories_what_perform_returns_is_ignored(rocketjob):
    class SilentBatchJob(Batch, Job):
        destroy_on_complete = False

        def perform(self, record):
            return Result(record, category="nowhere")

    job = made(SilentBatchJob, ["x"])
    rocketjob.work_off()
    assert job.reload().is_completed


def test_an_async_perform_is_awaited(rocketjob):
    class AsyncBatchJob(ReverseBatchJob):
        async def perform(self, line):
            return line.upper()

    job = made(AsyncBatchJob, ["a", "b"])
    rocketjob.work_off()
    assert list(job.reload().records()) == ["A", "B"]


def test_perform_callbacks_run_around_each_record(rocketjob):
    class AroundEachBatchJob(ReverseBatchJob):
        @around("perform")
        def wrap(self):
            value = yield
            return f"<{value}>"

    job = made(AroundEachBatchJob, ["ab", "cd"])
    rocketjob.work_off()
    assert list(job.reload().records()) == ["<ba>", "<dc>"]


# --- what others do meanwhile --------------------------------------------------------------------


def test_a_pause_takes_effect_at_the_next_record_and_nothing_is_lost(rocketjob, monkeypatch):
    monkeypatch.setattr("rocketjob_plugins.batch.work.interruption.LOOK_SECONDS", 0)
    job = made(HookedBatchJob, lines(20))

    def hook(self, line):
        if self.record_number == 8:
            HookedBatchJob.find(self.id).pause()
        return line

    HookedBatchJob.hook = hook
    rocketjob.work_off()
    assert (job.reload().state, job.sub_state) == ("paused", "processing")
    assert list(job.records()) == lines(8)
    assert job.input.count("queued") == job.input.count()
    HookedBatchJob.hook = lambda self, line: line
    job.resume()
    assert job.is_running
    rocketjob.work_off()
    assert job.reload().is_completed
    assert list(job.records()) == lines(20)


@pytest.mark.parametrize("event", ["abort", "destroy"])
def test_a_job_that_is_given_up_meanwhile_leaves_nothing_behind(
    rocketjob, other_store, monkeypatch, event
):
    monkeypatch.setattr("rocketjob_plugins.batch.work.interruption.LOOK_SECONDS", 0)
    job = made(HookedBatchJob, lines(20))
    performed = []

    def hook(self, line):
        performed.append(line)
        if self.record_number == 8:
            getattr(HookedBatchJob.find(self.id), event)()
        return line

    HookedBatchJob.hook = hook
    rocketjob.work_off()
    assert len(performed) == 8
    names = [n for n in rocketjob.store.collection_names() if str(job.id) in n]
    if other_store is not None:  # there an update that finds nothing makes a collection
        names = [n for n in names if rocketjob.store.collection(n).find_one({})]
    assert names == []


def test_a_job_that_fails_meanwhile_keeps_its_slices(rocketjob, monkeypatch):
    monkeypatch.setattr("rocketjob_plugins.batch.work.interruption.LOOK_SECONDS", 0)
    job = made(HookedBatchJob, lines(20))

    def hook(self, line):
        if self.record_number == 8:
            HookedBatchJob.find(self.id).fail("by hand")
        return line

    HookedBatchJob.hook = hook
    rocketjob.work_off()
    assert job.reload().exception.message == "by hand"
    HookedBatchJob.hook = lambda self, line: line
    job.retry()
    rocketjob.work_off()
    assert list(job.reload().records()) == lines(20)


def test_perform_may_take_its_own_job_out_of_running(rocketjob):
    job = made(HookedBatchJob, lines(12))

    def hook(self, line):
        if self.record_number == 3:
            self.pause()
        return line

    HookedBatchJob.hook = hook
    rocketjob.work_off()
    assert job.reload().is_paused
    assert list(job.records()) == lines(3)


def test_a_worker_that_lost_its_slice_writes_nothing(rocketjob):
    job = made(HookedBatchJob, lines(5))
    tries = []

    def hook(self, line):
        if self.record_number == 1:
            tries.append(1)
        if self.record_number == 5 and len(tries) == 1:
            self.input.requeue_running()  # as who takes it for dead
        return line

    HookedBatchJob.hook = hook
    rocketjob.work_off()
    assert len(tries) == 2
    assert job.reload().is_completed
    assert list(job.records()) == lines(5)


def test_a_more_urgent_job_goes_first(rocketjob, monkeypatch):
    monkeypatch.setattr("rocketjob_plugins.batch.work.interruption.URGENT_SECONDS", 0)
    order = []

    class UrgentJob(Job):
        priority = 10

        def perform(self):
            order.append("urgent")

    def hook(self, line):
        if self.record_number == 1:
            UrgentJob.create()
        order.append(self.record_number)

    HookedBatchJob.hook = hook
    made(HookedBatchJob, lines(10))
    rocketjob.work_off()
    assert order == [1, 2, 3, 4, 5, "urgent", 6, 7, 8, 9, 10]


def test_a_worker_that_is_to_stop_finishes_its_slice_only(rocketjob):
    job = made(HookedBatchJob, lines(20))

    def hook(self, line):
        rocketjob.worker.stopping.set()
        return line

    HookedBatchJob.hook = hook
    rocketjob.work_off(limit=1)
    assert job.reload().is_running
    assert job.output.count() == 1
    assert job.input.counts_by_state() == {"queued": 3}


def test_two_workers_never_get_the_same_slice(file_store):
    job = made(records=lines(500))
    found, errors = [], []

    def work(number):
        try:
            while taken := job.input.claim(f"server.{number}", f"server:{number}", 3):
                found.extend(each.id for each in taken)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(found) == list(range(1, 501, 10))


def test_only_one_of_two_workers_ends_the_job(rocketjob):
    job = made(PhasedBatchJob)
    rocketjob.work_off(limit=1)
    assert job.reload().said.count("publish") == 1
    from rocketjob_plugins.batch.work.end import _take_over_the_end

    jobs = rocketjob.store.collection("rocket_job.jobs")
    other = made(records=lines(1))
    jobs.update_one({"_id": other.id}, {"$set": {"state": "running", "sub_state": "processing"}})
    workers = [
        Worker("a:1", queue=Queue(rocketjob.store, rocketjob.plugins, None, f"s.{n}", f"s:{n}"))
        for n in (1, 2)
    ]
    copies = [ReverseBatchJob.find(other.id) for _ in workers]
    assert [
        _take_over_the_end(c, w, w.claimed_by) for c, w in zip(copies, workers, strict=True)
    ] == [
        True,
        False,
    ]


def test_an_end_that_finds_new_slices_opens_the_job_again(rocketjob, monkeypatch):
    job = made(records=lines(5))
    from rocketjob_plugins.batch.work import end

    taken_over = end._take_over_the_end

    def slow(job, worker, me):
        done = taken_over(job, worker, me)
        if job.output.count() == 1:
            job.input.insert(["late"], 6)
        return done

    monkeypatch.setattr(end, "_take_over_the_end", slow)
    rocketjob.work_off()
    assert job.reload().is_completed
    assert list(job.records()) == [line[::-1] for line in [*lines(5), "late"]]


def test_a_claimed_job_that_was_released_at_its_end_goes_on(rocketjob):
    job = made(records=lines(5))
    jobs = rocketjob.store.collection("rocket_job.jobs")
    jobs.update_one({"_id": job.id}, {"$set": {"sub_state": "after"}})
    rocketjob.work_off()
    assert job.reload().is_completed


def test_a_transient_error_of_the_store_is_outlived(rocketjob, monkeypatch):
    job = made(records=lines(25))
    monkeypatch.setattr("rocketjob_plugins.batch.work.persist.RETRY_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(type(rocketjob.store), "is_transient", lambda self, error: True)
    from rocketjob_plugins.batch.slices import InputSlices

    claim, calls = InputSlices.claim, []

    def shaky(self, *args, **kwargs):
        calls.append(1)
        found = claim(self, *args, **kwargs)
        if len(calls) % 2:
            raise OSError("the answer was lost")
        return found

    monkeypatch.setattr(InputSlices, "claim", shaky)
    rocketjob.work_off()
    assert job.reload().is_completed
    assert list(job.records()) == [line[::-1] for line in lines(25)]


def test_a_claim_whose_answer_was_lost_is_released(rocketjob):
    job = made(records=lines(30))
    (lost,) = job.input.claim("me.1", "me:1", 1, claimed_in="a thread")
    (known,) = job.input.claim("me.1", "me:1", 1, claimed_in="a thread")
    (others,) = job.input.claim("me.1", "me:1", 1, claimed_in="another")
    assert job.input.requeue_unknown("me.1", "a thread", [known.id]) == 1
    assert job.input.find(lost.id).state == "queued"
    assert job.input.find(known.id).state == job.input.find(others.id).state == "running"


def test_slices_are_released_when_their_worker_meets_an_error_of_its_own(rocketjob, monkeypatch):
    job = made(records=lines(30))
    monkeypatch.setattr(SliceWorker, "_adapt", lambda *args: 1 / 0)
    rocketjob.work_off(limit=1)
    assert job.input.counts_by_state() == {"queued": 3}
    assert job.reload().is_running


# --- inline --------------------------------------------------------------------------------------


def test_perform_now_needs_no_saved_job(rocketjob):
    job = ReverseBatchJob()
    job.upload(lines(12))
    assert job.perform_now() is None
    assert job.is_completed and job.is_new
    assert list(job.records()) == [line[::-1] for line in lines(12)]


@pytest.mark.parametrize("saved", [False, True])
def test_perform_now_raises_at_the_first_bad_record_and_goes_on_when_called_again(rocketjob, saved):
    def hook(self, record):
        if record == "bad":
            raise ValueError("bad record")
        return record

    HookedBatchJob.hook = hook
    job = HookedBatchJob()
    job.upload([*lines(6), "bad", *lines(20)])
    if saved:
        job.save()
    with pytest.raises(ValueError, match="bad record"):
        job.perform_now()
    assert job.is_running
    assert job.input.count("running") == 0
    job.perform_now()
    assert job.is_failed
    assert job.exception.message == "1 slice failed to process"
    assert job.input.counts_by_state() == {"failed": 1}


def test_an_error_in_before_batch_fails_an_inline_job_and_is_raised(rocketjob):
    job = PhasedBatchJob(broken="load")
    with pytest.raises(ValueError, match="load"):
        job.perform_now()
    assert job.is_failed


# --- what is shown -------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "percent"), [(100, 70), (5, 0), (None, 0)])
def test_percent_complete_is_what_is_no_longer_in_the_input(rocketjob, count, percent):
    job = made(records=lines(30))
    job.__dict__["record_count"] = count
    assert job.percent_complete == percent


def test_status_counts_slices(rocketjob):
    job = made(records=lines(25))
    assert job.status()["queued_slices"] == 3
    rocketjob.store.collection("rocket_job.jobs").update_one(
        {"_id": job.id},
        {"$set": {"state": "running", "sub_state": "processing", "started_at": clock.now()}},
    )
    job.input.claim("a.1", "a:1", 1)
    shown = job.reload().status()
    assert (shown["active_slices"], shown["queued_slices"], shown["failed_slices"]) == (1, 2, 0)
    assert job.worker_names == ["a:1"]
    assert job.worker_count == 1


def test_an_expired_job_that_is_processing_goes_on(rocketjob):
    job = made(HookedBatchJob, lines(12))

    def hook(self, line):
        if self.record_number == 1:
            self.pause()
        return line

    HookedBatchJob.hook = hook
    rocketjob.work_off()
    job.reload().update(expires_at=clock.now())
    HookedBatchJob.hook = lambda self, line: line
    job.resume()
    rocketjob.work_off()
    assert job.reload().is_completed


def test_requeue_takes_back_only_the_slices_of_that_server(rocketjob):
    job = made(records=lines(50))
    rocketjob.store.collection("rocket_job.jobs").update_one(
        {"_id": job.id}, {"$set": {"state": "running", "sub_state": "processing"}}
    )
    for name in ("host:1:1", "host:12:1", "other:1:1"):
        job.input.claim("x.1", name, 1)
    job.reload().requeue("host:1")
    assert sorted(job.worker_names) == ["host:12:1", "other:1:1"]
    job.requeue()
    assert job.worker_names == []
    assert (job.state, job.sub_state) == ("running", "processing")


def test_a_job_after_its_slices_is_taken_back_from_its_own_server_only(rocketjob):
    job = made(records=lines(5))
    rocketjob.store.collection("rocket_job.jobs").update_one(
        {"_id": job.id},
        {"$set": {"state": "running", "sub_state": "after", "worker_name": "host:1:1"}},
    )
    job.reload()
    assert not job.may("requeue", server_name="host:2")
    job.requeue("host:1")
    assert (job.state, job.sub_state) == ("running", "processing")


# --- in a pool -----------------------------------------------------------------------------------


class GatedEndBatchJob(ReverseBatchJob):
    gate = None

    @after("batch")
    def wait_at_the_gate(self):
        type(self).gate.pass_through()


def test_the_end_of_a_job_is_not_released_while_it_is_under_way(file_store):
    """The pool looks at times for claims that it knows nothing of; this one a thread has made."""
    GatedEndBatchJob.gate = Gate()
    job = made(GatedEndBatchJob, lines(3))
    with running_pool(file_store) as pool:
        GatedEndBatchJob.gate.wait_for_entry()
        pool.commits.is_unsure = True
        pool.wake()
        eventually(lambda: not pool.commits.is_unsure)
        assert (job.reload().state, job.sub_state) == ("running", "after")
        GatedEndBatchJob.gate.open()
        eventually(lambda: job.reload().is_completed)
    assert GatedEndBatchJob.gate.passed == 1


def test_a_broken_job_that_runs_keeps_nobody_from_claiming(rocketjob):
    broken = made(records=lines(3))
    rocketjob.store.collection("rocket_job.jobs").update_one(
        {"_id": broken.id},
        {"$set": {"state": "running", "sub_state": "processing", "input_categories": []}},
    )
    job = made(records=lines(3), priority=90)
    rocketjob.work_off()
    assert job.reload().is_completed


def test_slices_in_a_store_of_their_own_are_counted_in_the_jobs(tmp_path):
    class CountedBatchJob(Statistics, ReverseBatchJob):
        def perform(self, line):
            self.statistics_inc("lines")
            return line

    with sandbox(
        f"sqlite:///{tmp_path}/a.db", slices_url=f"sqlite:///{tmp_path}/b.db"
    ) as rocketjob:
        job = made(CountedBatchJob, lines(25))
        rocketjob.work_off()
        assert job.reload().is_completed
        assert job.statistics == {"lines": 25}
        assert list(job.records()) == lines(25)
        assert job.output.name not in rocketjob.store.collection_names()


def test_a_slice_goes_on_though_the_store_is_away_when_it_looks_at_its_job(rocketjob, monkeypatch):
    monkeypatch.setattr(interruption, "LOOK_SECONDS", 0.0)
    look, vain = interruption.Interruption._job_runs, []

    def away_within_slices(looking):
        if looking.job.current_slice is None:
            return look(looking)
        vain.append(looking.job.record_number)
        raise StoreUnavailable("the connection broke")

    monkeypatch.setattr(interruption.Interruption, "_job_runs", away_within_slices)
    job = LooksAwayJob()
    job.upload(range(6))
    job.save()
    rocketjob.work_off()
    assert job.reload().is_completed
    assert [record for slice_ in job.output for record in slice_] == [0, 1, 2, 3, 4, 5]
    assert vain == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("limit", "state"), [(3, "completed"), (2, "failed")])
def test_a_bad_record_is_set_aside_though_the_store_is_away_when_the_others_are_counted(
    rocketjob, monkeypatch, limit, state
):
    performed, vain, count = [], [], Slices.count

    class SetsAsideJob(LooksAwayJob):
        max_rejects = limit

        def perform(self, record):
            performed.append(self)
            if record % 2:
                raise ValueError("odd")
            return record

    def away_within_slices(slices, *states):
        if not any(job.current_slice for job in performed):
            return count(slices, *states)
        vain.append(slices)
        raise StoreUnavailable("the connection broke")

    monkeypatch.setattr(Slices, "count", away_within_slices)
    job = SetsAsideJob()
    job.upload(range(6))
    job.save()
    rocketjob.work_off()
    assert job.reload().state == state
    assert len(vain) == 3
    assert job.reject_count == limit
    assert [record for slice_ in job.output for record in slice_] == [0, 2, 4]


class LooksAwayJob(Batch, Job):
    destroy_on_complete = False
    slice_size = 3
    collect_output = True

    def perform(self, record):
        return record
