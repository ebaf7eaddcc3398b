"""Records that fail: their slices, retries, rejects that are corrected, crashes of workers."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocketjob import Job, after
from rocketjob.base.errors import StateConflict
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory, Statistics
from rocketjob_plugins.batch.recovery import reclaim, waiting_quarantined


class FragileBatchJob(Statistics, Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=5)
    output_category = OutputCategory()
    bad: set[int] = set()
    performed: list[int] = []

    def perform(self, record):
        type(self).performed.append(self.record_number)
        self.statistics_inc("seen")
        if self.record_number in type(self).bad:
            raise ValueError(f"record {self.record_number} is bad")
        return f"{record}!"


class CsvBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2, format="csv")
    output_category = OutputCategory(format="csv", columns=["name", "age"])

    def perform(self, row):
        return {"name": row["name"], "age": int(row["age"])}


@pytest.fixture(autouse=True)
def _fresh():
    FragileBatchJob.bad, FragileBatchJob.performed = set(), []


def made(records, bad=(), **values):
    FragileBatchJob.bad = set(bad)
    job = FragileBatchJob(**values)
    job.upload(list(records))
    return job.save()


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def outputs(job):
    return list(job.reload().records())


def expected(count):
    return [f"{number}!" for number in range(count)]


def test_a_bad_record_fails_its_slice_and_the_others_go_on(rocketjob):
    job = made(range(12), bad=[3])
    rocketjob.work_off()
    assert job.reload().is_failed
    assert job.exception.message == "1 slice failed to process"
    assert outputs(job) == [f"{n}!" for n in (0, 1, *range(5, 12))]
    (failed,) = job.input.failed()
    assert (failed.first_record_number, failed.processing_record_number) == (1, 3)
    assert failed.failure_count == 1
    assert failed.exception.class_name == "ValueError"
    assert failed.failed_record == 2
    assert failed.worker_name is None
    assert next(iter(job.input.each_failed_record()))[0] == 2


def test_a_retry_goes_on_at_the_failed_record(rocketjob):
    job = made(range(12), bad=[3])
    rocketjob.work_off()
    FragileBatchJob.bad, FragileBatchJob.performed = set(), []
    job.reload().retry()
    assert (job.state, job.sub_state) == ("running", "processing")
    rocketjob.work_off()
    assert FragileBatchJob.performed == [3, 4, 5]
    assert job.reload().is_completed
    assert outputs(job) == expected(12)


def test_the_same_record_failing_twice_is_not_lost(rocketjob):
    job = made(range(12), bad=[3])
    for _ in range(3):
        rocketjob.work_off()
        job.reload().retry()
    rocketjob.work_off()
    assert job.input.failed()[0].failure_count == 4
    FragileBatchJob.bad = set()
    job.reload().retry()
    rocketjob.work_off()
    assert outputs(job) == expected(12)


def test_a_single_slice_is_retried_while_the_job_runs(rocketjob):
    job = made(range(12), bad=[3, 8])
    rocketjob.work_off()
    rocketjob.store.collection("rocket_job.jobs").update_one(
        {"_id": job.id}, {"$set": {"state": "running"}}
    )
    FragileBatchJob.bad = {8}
    job.reload().input.failed()[0].retry()
    rocketjob.work_off()
    assert [each.id for each in job.reload().input.failed()] == [6]


def test_a_failed_record_is_edited_and_its_slice_retried(rocketjob):
    class StrictBatchJob(FragileBatchJob):
        def perform(self, record):
            return int(record)

    job = StrictBatchJob()
    job.upload(["1", "two", "3"])
    job.save()
    rocketjob.work_off()
    (slice_,) = job.input.failed()
    slice_[slice_.processing_record_number - 1] = "2"
    slice_.save().retry()
    rocketjob.store.collection("rocket_job.jobs").update_one(
        {"_id": job.id}, {"$set": {"state": "running"}}
    )
    rocketjob.work_off()
    assert outputs(job) == [1, 2, 3]


def test_a_slice_may_not_grow(rocketjob):
    job = made(range(12))
    slice_ = job.input.first()
    slice_.append("more")
    with pytest.raises(ValueError, match="those behind it"):
        slice_.save()


def test_a_slice_that_a_worker_has_cannot_be_saved(rocketjob):
    job = made(range(12))
    slice_ = job.input.first()
    job.input.claim("x.1", "x:1", 1)
    with pytest.raises(StateConflict, match="a worker has it"):
        slice_.save()


def test_an_error_after_the_last_record_repeats_no_record(rocketjob):
    class AfterSliceBatchJob(FragileBatchJob):
        broken = True

        @after("slice")
        def check(self):
            if type(self).broken:
                raise RuntimeError("afterwards")

    job = AfterSliceBatchJob()
    job.upload(list(range(3)))
    job.save()
    rocketjob.work_off()
    assert job.reload().is_failed
    AfterSliceBatchJob.broken, AfterSliceBatchJob.performed = False, []
    job.retry()
    rocketjob.work_off()
    assert AfterSliceBatchJob.performed == []
    assert job.reload().is_completed
    assert outputs(job) == expected(3)


def test_what_cannot_be_stored_fails_as_the_record_that_it_is(rocketjob):
    class ObjectBatchJob(FragileBatchJob):
        def perform(self, record):
            return object() if record == 7 else record

    job = ObjectBatchJob()
    job.upload(list(range(12)))
    job.save()
    rocketjob.work_off()
    assert outputs(job) == [*range(7), 10, 11]
    (failed,) = job.input.failed()
    assert "record 8: what perform returned cannot be stored" in failed.exception.message
    assert failed.processing_record_number == 3


def test_output_that_the_store_refuses_fails_its_slice_alone(rocketjob):
    class HugeBatchJob(FragileBatchJob):
        output_category = OutputCategory(serializer="none")

        def perform(self, record):
            return "x" * 17_000_000 if record == 7 else record

    job = HugeBatchJob()
    job.upload(list(range(12)))
    job.save()
    rocketjob.work_off()
    assert outputs(job) == [*range(5), 10, 11]
    assert [each.id for each in job.input.failed()] == [6]


def test_exceptions_are_grouped_by_class(rocketjob):
    job = made(range(20), bad=[1, 6, 11])
    rocketjob.work_off()
    (group,) = job.input.group_exceptions()
    assert (group["class_name"], group["count"], len(group["messages"])) == ("ValueError", 3, 3)


def test_only_records_that_succeed_are_counted_and_only_once(rocketjob):
    job = made(range(12), bad=[3])
    for _ in range(3):
        rocketjob.work_off()
        job.reload().retry()
    rocketjob.work_off()
    assert job.reload().statistics == {"seen": 9}
    FragileBatchJob.bad = set()
    job.retry()
    rocketjob.work_off()
    assert job.reload().statistics == {"seen": 12}


# --- rejects -------------------------------------------------------------------------------------


def test_rejects_are_set_aside_and_the_slice_goes_on(rocketjob, tmp_path):
    job = made("abcdef", bad=[2, 5], max_rejects=2)
    rocketjob.work_off()
    assert job.reload().is_completed
    assert outputs(job) == ["a!", "c!", "d!", "f!"]
    assert job.reject_count == 2
    assert job.download_rejects(tmp_path / "bad.csv") == 2
    rows = rows_of(tmp_path / "bad.csv")
    assert [(row["record"], row["_row"]) for row in rows] == [("b", "2"), ("e", "5")]
    assert rows[0]["_error"] == "ValueError: record 2 is bad"


def test_mended_records_come_out_where_they_belong(rocketjob, tmp_path):
    (tmp_path / "in.csv").write_text('Name,Age\nJack,40\nJill,"forty, at\nleast"\nJoe,\nJim,5\n')
    job = CsvBatchJob(max_rejects=10)
    assert job.upload(tmp_path / "in.csv") == 4
    job.save()
    rocketjob.work_off()
    assert job.reload().reject_count == 2
    job.download_rejects(tmp_path / "bad.csv")
    rows = rows_of(tmp_path / "bad.csv")
    assert [row["_row"] for row in rows] == ["2", "3"]
    assert rows[0]["age"] == "forty, at\nleast"
    for row, age in zip(rows, ("41", "7"), strict=True):
        row["age"] = age
    with (tmp_path / "fixed.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    assert job.resubmit(tmp_path / "fixed.csv") == 2
    assert job.is_running
    rocketjob.work_off()
    assert job.reload().is_completed
    job.download(tmp_path / "out.csv")
    text = (tmp_path / "out.csv").read_text()
    assert text == "name,age\nJack,40\nJill,41\nJoe,7\nJim,5\n"


def test_a_mended_record_that_is_still_bad_is_rejected_again(rocketjob, tmp_path):
    job = made("abc", bad=[2], max_rejects=1)
    rocketjob.work_off()
    for _ in range(2):
        job.reload().download_rejects(tmp_path / "bad.csv")
        job.resubmit(tmp_path / "bad.csv")
        rocketjob.work_off()
    assert job.reload().reject_count == 1
    FragileBatchJob.bad = set()
    job.resubmit(tmp_path / "bad.csv")
    rocketjob.work_off()
    assert outputs(job) == ["a!", "b!", "c!"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("record\nx\n", "no column _row"),
        ("record,_row\nx,one\n", "line 2, column _row: must be a number"),
        ("record,_row\nx,77\n", "row 77 is not among the rejected"),
    ],
)
def test_a_resubmitted_file_that_makes_no_sense_changes_nothing(rocketjob, tmp_path, text, says):
    job = made("abc", bad=[2], max_rejects=1)
    rocketjob.work_off()
    (tmp_path / "fixed.csv").write_text(text)
    with pytest.raises(ValueError, match=says):
        job.reload().resubmit(tmp_path / "fixed.csv")
    assert job.reload().is_completed
    assert job.reject_count == 1


def test_more_rejects_than_allowed_fail_the_slice(rocketjob):
    job = made(range(12), bad=[2, 4, 9], max_rejects=1)
    rocketjob.work_off()
    assert job.reload().is_failed
    assert job.reject_count == 1
    assert [each.processing_record_number for each in job.input.failed()] == [4, 4]


def test_two_workers_do_not_exceed_max_rejects_together(rocketjob, monkeypatch):
    """As if each had looked before the other stored."""
    monkeypatch.setattr(
        "rocketjob_plugins.batch.outcome.rejects.may_reject", lambda job, outcome: True
    )
    job = made(range(10), bad=[2, 4, 7], max_rejects=1)
    rocketjob.work_off()
    assert job.reload().reject_count == 1
    assert outputs(job) == [f"{n}!" for n in (0, 2, 5)]
    assert job.statistics == {"seen": 3}
    monkeypatch.undo()
    FragileBatchJob.bad = {2}
    job.retry()
    rocketjob.work_off()
    assert outputs(job) == [f"{n}!" for n in (0, *range(2, 10))]
    assert job.reload().statistics == {"seen": 9}


# --- crashes -------------------------------------------------------------------------------------


def crash(job, limit=3):
    """Let the worker of each slice that runs die, and its server notice."""
    for each in job.input.running():
        reclaim("dead.1", {f"{job.id}/{each.id}": "killed by SIGKILL"}, limit)


def opened(records, **values):
    job = made(records, **values)
    from rocketjob.application import current

    current().store.collection("rocket_job.jobs").update_one(
        {"_id": job.id}, {"$set": {"state": "running", "sub_state": "processing"}}
    )
    return job.reload()


def test_a_slice_whose_worker_died_elsewhere_is_queued_as_it_was(rocketjob):
    job = opened(range(10))
    job.input.claim("dead.1", "dead:1", 1)
    assert reclaim("dead.1", {}, 3) == 1
    assert job.input.counts_by_state() == {"queued": 2}
    assert job.input.first().interruptions == 0
    assert waiting_quarantined() == 0


@pytest.mark.parametrize("state", ["paused", "failed"])
def test_slices_are_taken_back_whatever_the_jobs_state(rocketjob, state):
    job = opened(range(10))
    job.input.claim("dead.1", "dead:1", 1)
    rocketjob.store.collection("rocket_job.jobs").update_one(
        {"_id": job.id}, {"$set": {"state": state}}
    )
    assert reclaim("dead", {}, 3) == 1


def test_a_slice_that_kills_its_worker_is_halved_until_the_record_stands_alone(rocketjob):
    job = opened(range(8))
    for _ in range(20):
        quarantined = job.input.claim("dead.1", "dead:1", 1, quarantined=True)
        found = quarantined or job.input.claim("dead.1", "dead:1", 1, quarantined=False)
        if not found:
            break
        (slice_,) = found
        if 3 in slice_.records:  # the fourth record kills
            crash(job)
        else:
            from rocketjob_plugins.batch.outcome.commit import store_outcomes
            from rocketjob_plugins.batch.outcome.render import Outcome

            outcome = Outcome(slice_, job)
            for record in slice_.records:
                outcome.take(f"{record}!")
            outcome.seal()
            store_outcomes(job, [outcome])
    (failed,) = job.input.failed()
    assert list(failed) == [3]
    assert failed.exception.class_name == "WorkerCrashed"
    assert "SIGKILL" in failed.exception.message
    assert list(job_records(job)) == [f"{n}!" for n in range(8) if n != 3]


def die_with(job, quarantined):
    """Let a server claim slices, and die before its heartbeat has named one; return their ids."""
    claimed = job.input.claim("dead.1", "dead:1", 5, quarantined=quarantined)
    reclaim("dead", {}, 3, "its server died")
    return [each.id for each in claimed]


@pytest.mark.both_stores
def test_a_slice_that_takes_its_server_down_is_processed_alone_and_failed(rocketjob):
    job = opened(range(2), slice_size=1)
    assert die_with(job, quarantined=False) == [1, 2]  # nobody knows which one it was
    assert job.input.counts_by_state() == {"queued": 2}
    assert {each.interruptions for each in job.input} == {0}
    assert die_with(job, quarantined=False) == []
    assert job.free_slots(5, quarantined=False) == 0
    assert job.free_slots(5, quarantined=True) == 2
    assert waiting_quarantined() == 1
    poison = job.input.first()
    for count in (1, 2, 3):
        job.input.claim("dead.1", "dead:1", 1, quarantined=True)
        reclaim("dead", {}, 3, "its server died")
        assert job.input.find(poison.id).interruptions == count or count == 3
    (failed,) = job.input.failed()
    assert (list(failed), failed.exception.class_name) == ([0], "WorkerCrashed")
    assert failed.exception.message.startswith("its server died; 3 crashes while it processed")
    rocketjob.work_off()
    assert job.reload().is_failed
    assert list(job_records(job)) == ["1!"]


def test_the_halves_of_a_slice_that_takes_its_server_down_are_quarantined_from_the_start(rocketjob):
    job = opened(range(4), slice_size=4)
    crashes = 0
    while not job.input.failed():
        (slice_,) = job.input.claim("dead.1", "dead:1", 1, quarantined=crashes > 0)
        if 2 in slice_.records:
            reclaim("dead", {}, 3, "its server died")
        else:
            job.input.collection.delete_one({"_id": slice_.id})
        crashes += 1
        assert crashes < 20
    (failed,) = job.input.failed()
    assert list(failed) == [2]


def test_two_servers_that_bury_one_blame_no_slice_twice(rocketjob):
    job = opened(range(1), slice_size=1)
    (slice_,) = job.input.claim("dead.1", "dead:1", 1)
    job.input.collection.update_one({"_id": slice_.id}, {"$set": {"suspected": 1}})  # by the other
    reclaim("dead", {}, 3, "its server died")
    slice_ = job.input.first()
    assert (slice_.state, slice_.interruptions) == ("queued", 0)


def test_a_slice_that_is_retried_leaves_quarantine(rocketjob):
    job = opened(range(1), slice_size=1)
    die_with(job, quarantined=None)
    for _ in range(3):
        die_with(job, quarantined=True)
    assert waiting_quarantined() == 0
    job.input.requeue_failed()
    assert (waiting_quarantined(), job.free_slots(1, quarantined=False)) == (0, 1)


def job_records(job):
    return [record for slice_ in job.output for record in slice_]


def test_a_record_that_kills_its_worker_is_rejected_where_rejects_are_allowed(rocketjob):
    job = opened(["poison"], max_rejects=1)
    for _ in range(3):
        job.input.claim("dead.1", "dead:1", 1)
        crash(job)
    assert job.input.count() == 0
    assert job.reject_count == 1
    rocketjob.work_off()
    assert job.reload().is_completed


def test_a_job_that_cannot_be_loaded_does_not_keep_the_others_from_recovery(rocketjob):
    job = opened(range(10))
    job.input.claim("dead.1", "dead:1", 1)
    broken = opened(range(3))
    rocketjob.store.collection("rocket_job.jobs").update_one(
        {"_id": broken.id}, {"$set": {"input_categories": [{"slice_size": "many"}]}}
    )
    assert reclaim("dead.1", {}, 3) == 1
    assert job.input.counts_by_state() == {"queued": 2}
    other = made(range(3))
    assert rocketjob.work_off() >= 1
    assert other.reload().is_completed


# --- any of it -----------------------------------------------------------------------------------


@settings(max_examples=40)
@given(data=st.data())
def test_whatever_fails_and_is_retried_the_output_is_that_of_a_sequential_run(data):
    value = st.one_of(
        st.text(max_size=5),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        st.booleans(),
        st.none(),
        st.lists(st.integers(0, 9), max_size=3),
        st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=2),
    )
    records = data.draw(st.lists(value, max_size=30))
    kinds = ("none", "compress", "zstd")
    with sandbox(), pytest.MonkeyPatch.context():

        class AnyBatchJob(Batch, Job):
            destroy_on_complete = False
            bad: set[int] = set()

            def perform(self, record):
                if self.record_number in type(self).bad:
                    raise ValueError("bad")
                return [record]

        job = AnyBatchJob(
            input_categories=[
                InputCategory(
                    slice_size=data.draw(st.integers(1, 12)),
                    serializer=data.draw(st.sampled_from(kinds)),
                )
            ],
            output_categories=[OutputCategory(serializer=data.draw(st.sampled_from(kinds)))],
        )
        cut = data.draw(st.integers(0, len(records)))
        job.upload(records[:cut])
        job.upload(iter(records[cut:]))
        job.save()
        for _ in range(data.draw(st.integers(0, 4))):
            numbers = st.integers(1, max(1, len(records)))
            AnyBatchJob.bad = data.draw(st.sets(numbers, max_size=6))
            work_off(job)
        AnyBatchJob.bad = set()
        work_off(job)
        assert job.reload().is_completed
        assert list(job.records()) == [[record] for record in records]


def work_off(job):
    from rocketjob.application import current
    from rocketjob.queue.dispatch import Queue
    from rocketjob.worker.runner import Worker, work_claimed_job

    if job.reload().is_failed:
        job.retry()
    app = current()
    queue = Queue(app.store, app.plugins, app.config, "t.1", "t:1")
    while jobs := queue.claim(1):
        work_claimed_job(jobs[0], Worker("t:1", queue=queue))
