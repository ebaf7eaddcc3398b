"""Mending the records of failed slices: what was seen is what is changed, and nothing else."""

import pytest

from rocketjob import Job, NotFound, StateConflict
from rocketjob.base.acts import acting
from rocketjob.testing import sandbox
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch, InputCategory, mending
from support.encryption import reversing


class MendingJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=3)
    collect_output = True

    def perform(self, record):
        if record in ("bad", b"\xff", {"n": 0}):
            raise ValueError(f"{record!r} is bad")
        return record


class MendingSecretJob(MendingJob):
    input_category = InputCategory(slice_size=3, serializer="encrypt")


class MendingPlainJob(MendingJob):
    input_category = InputCategory(slice_size=3, serializer="none")


def failed_job(rocketjob, records, job_class=MendingJob):
    job = job_class()
    job.upload(records)
    job.save()
    rocketjob.work_off()
    return job.reload()


MIXED = ["a", {"n": 0}, ["b", 1, 1.0, None], b"\xff", "00501", 7]


@pytest.mark.parametrize("job_class", [MendingJob, MendingPlainJob, MendingSecretJob])
def test_R03_only_the_one_record_is_changed_and_each_keeps_its_type(rocketjob, job_class):
    reversing(rocketjob)
    job = failed_job(rocketjob, MIXED, job_class)
    found = mending.find(job, 1)
    assert (found.next_index, found.record(1), found.number_of(1)) == (1, {"n": 0}, 2)
    again = mending.replace_record(job, 1, 1, {"n": 5}, found.digest)
    assert again.digest != found.digest
    assert again.digest == mending.find(job, 1).digest
    assert again.stored == mending.find(job, 1).stored
    assert list(again.slice) == ["a", {"n": 5}, ["b", 1, 1.0, None]]
    assert type(again.record(2)[2]) is float
    assert "'n': 0" in again.slice.exception.message  # why it failed stays, until it is retried
    if job_class is MendingSecretJob:
        assert isinstance(again.stored["records"], bytes)
        assert b"00501" not in mending.find(job, 4).stored["records"]
    job.retry()
    rocketjob.work_off()
    assert mending.ids_of_failed(job.reload(), None, 9) == [4]


def test_R02_of_equal_records_only_the_one_is_deleted(rocketjob):
    job = failed_job(rocketjob, ["x", "bad", "x"])
    found = mending.delete_record(job, 1, 0, mending.find(job, 1).digest)
    assert list(found.slice) == ["bad", "x"]
    assert (found.next_index, found.size) == (0, 2)
    found = mending.delete_record(job, 1, 0, found.digest)
    assert (list(found.slice), found.next_index) == (["x"], 0)
    found = mending.delete_record(job, 1, 0, found.digest)
    assert (list(found.slice), found.size) == ([], 0)
    job.retry()
    rocketjob.work_off()
    assert job.reload().is_completed
    assert [record for each in job.output for record in each] == ["x"]  # done before it failed


def test_R01_a_change_is_refused_where_the_records_are_others_by_now(rocketjob):
    job = failed_job(rocketjob, ["a", "bad", "c"])
    seen = mending.find(job, 1)
    mending.replace_record(job, 1, 1, "of bob", seen.digest)
    for change in (
        lambda: mending.replace_record(job, 1, 2, "of ada", seen.digest),
        lambda: mending.delete_record(job, 1, 0, seen.digest),
    ):
        with pytest.raises(mending.SliceChanged, match="changed by somebody else") as refused:
            change()
        assert list(refused.value.now.slice) == ["a", "of bob", "c"]
    assert list(mending.find(job, 1).slice) == ["a", "of bob", "c"]


@pytest.mark.parametrize("by", ["mending", "save", "retry", "claim", "drop"])
def test_R01_also_at_the_very_same_moment(rocketjob, monkeypatch, by):
    job = failed_job(rocketjob, ["a", "bad", "c"])
    seen, write = mending.find(job, 1), mending._write

    def overtaken(*arguments):
        monkeypatch.setattr(mending, "_write", write)
        if by == "mending":
            mending.replace_record(job, 1, 0, "of bob", seen.digest)
        elif by == "save":
            slice_ = job.input.find(1)
            slice_[0] = "of bob"
            slice_.save()
        elif by == "drop":
            job.input.delete_all()
        else:
            job.input.requeue_failed()
            if by == "claim":
                job.input.claim("server.1", "worker", 1)
        write(*arguments)

    monkeypatch.setattr(mending, "_write", overtaken)
    with pytest.raises(mending.SliceChanged) as refused:
        mending.replace_record(job, 1, 1, "of ada", seen.digest)
    said = str(refused.value)
    expected = {"claim": "a worker has it", "retry": "is queued", "drop": "not there any more"}
    assert expected.get(by, "changed by somebody else") in said
    assert "of ada" not in [record for each in job.input for record in each]


@pytest.mark.parametrize("change", [mending.delete_record, mending.replace_record])
def test_what_was_changed_is_not_refused_since_the_slice_is_gone_afterwards(
    rocketjob, monkeypatch, change
):
    job = failed_job(rocketjob, ["a", "bad", "c"])
    write = mending._write

    def dropped_afterwards(*arguments):
        write(*arguments)
        job.input.delete_all()

    monkeypatch.setattr(mending, "_write", dropped_afterwards)
    record = ["good"] if change is mending.replace_record else []
    found = change(job, 1, 1, *record, mending.find(job, 1).digest)
    assert list(found.slice) == ["a", *record, "c"]


def test_a_slice_in_other_hands_is_not_changed(rocketjob):
    job = failed_job(rocketjob, ["a", "bad", "c"])
    seen = mending.find(job, 1)
    job.input.requeue_failed()
    with pytest.raises(mending.SliceChanged, match="is queued: it has been retried"):
        mending.replace_record(job, 1, 1, "x", seen.digest)
    job.input.claim("server.1", "worker", 1)
    with pytest.raises(mending.SliceChanged, match="a worker has it"):
        mending.delete_record(job, 1, 1, seen.digest)
    with pytest.raises(NotFound, match="no slice 9"):
        mending.find(job, 9)


@pytest.mark.parametrize("state", ["running", "paused", "failed"])
def test_P35_one_slice_alone_is_retried_and_the_others_stay_failed(rocketjob, state):
    job = failed_job(rocketjob, ["a", "bad", "c", "bad"])
    put(job, state)
    mending.retry(job, 4, mending.find(job, 4).digest)
    assert job.input.counts_by_state() == {"failed": 1, "queued": 1}
    assert job.reload().state == ("running" if state == "failed" else state)
    if state == "failed":
        mending.replace_record(job, 1, 1, "good", mending.find(job, 1).digest)
        rocketjob.work_off()
        assert job.reload().is_failed and job.input.counts_by_state() == {"failed": 2}


def put(job, state):
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": state}})
    return job.reload()


@pytest.mark.parametrize("state", ["completed", "aborted", "queued"])
def test_P35_slices_of_a_job_that_would_not_take_them_are_not_retried(rocketjob, state):
    job = put(failed_job(rocketjob, ["bad"]), state)
    with pytest.raises(StateConflict, match=f"the job is {state}: its slices cannot be retried"):
        mending.retry(job, 1, mending.find(job, 1).digest)
    with pytest.raises(StateConflict, match=f"the job is {state}: its slices cannot be retried"):
        mending.retry_failed_with(job, "ValueError")
    assert job.input.counts_by_state() == {"failed": 1}


@pytest.mark.parametrize("elsewhere", [False, True], ids=["one store", "slices elsewhere"])
@pytest.mark.parametrize("state", ["running", "paused", "failed"])
def test_P35_the_slices_of_one_class_are_retried_and_the_others_stay_failed(
    tmp_path, state, elsewhere
):
    slices = {"slices_url": f"sqlite:///{tmp_path}/slices.db"} if elsewhere else {}
    with sandbox(f"sqlite:///{tmp_path}/jobs.db", **slices) as rocketjob:
        job = failed_job(rocketjob, ["bad", "b", "c", "bad", "e", "f", "bad"])
        other = {"$set": {"exception.class_name": "TimeoutError"}}
        job.input.collection.update_one({"_id": 4}, other)
        put(job, state)
        with acting("ada"):
            assert mending.retry_failed_with(job, "ValueError") == 2
        assert {each.id: each.state for each in job.input} == {
            1: "queued",
            4: "failed",
            7: "queued",
        }
        assert job.reload().state == ("running" if state == "failed" else state)
        (record,) = audit.records()
        assert (record.event, record.after) == (
            *("retry_slices", {"exception": "ValueError", "slices": 2}),
        )
        assert mending.retry_failed_with(job, "ValueError") == 0
        assert len(list(audit.records())) == 1


def test_P35_what_was_cut_short_is_done_by_doing_it_again(rocketjob):
    job = failed_job(rocketjob, ["bad", "b", "c", "bad"])
    job.input.requeue_failed()  # whoever did it died before the job went on
    assert mending.retry_failed_with(job, "ValueError") == 0
    assert job.reload().is_running


def test_P35_of_two_who_retry_the_same_slices_one_does_it(rocketjob):
    job = failed_job(rocketjob, ["bad", "b", "c", "bad"])
    other = MendingJob.find(job.id)
    assert mending.retry_failed_with(job, "ValueError") == 2
    assert mending.retry_failed_with(other, "ValueError") == 0
    assert [entry.event for entry in job.reload().history].count("reopen") == 1


def test_what_cannot_be_stored_is_refused_and_the_slice_is_as_before(rocketjob):
    job = failed_job(rocketjob, ["a", "bad", "c"])
    seen = mending.find(job, 1)
    for record in ("\ud800", object(), {1: 2}):
        with pytest.raises(Exception, match=r".+"):
            mending.replace_record(job, 1, 1, record, seen.digest)
    with pytest.raises(NotFound, match="none at 3"):
        mending.replace_record(job, 1, 3, "x", seen.digest)
    with pytest.raises(NotFound, match="none at -1"):
        mending.delete_record(job, 1, -1, seen.digest)
    assert mending.find(job, 1).digest == seen.digest


def test_failed_slices_are_found_by_the_class_of_their_exception(rocketjob):
    job = failed_job(rocketjob, ["bad", "b", "c", "bad"])
    job.input.collection.update_one({"_id": 4}, {"$unset": {"exception": ""}})
    assert mending.ids_of_failed(job, "ValueError", 9) == [1]
    assert mending.ids_of_failed(job, "unknown", 9) == [4]
    assert mending.ids_of_failed(job, None, 1) == [1]
    assert mending.ids_of_failed(job, "$where", 9) == []
