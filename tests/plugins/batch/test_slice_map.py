"""The slices of a batch job by their place in the input, and those that hold it up."""

import json
import operator
from datetime import timedelta

import pytest
from click.testing import CliRunner

from rocketjob import Job, now
from rocketjob.base.errors import StoreUnavailable
from rocketjob.cli import make_cli
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory, slice_map, stragglers
from rocketjob_plugins.batch.slices import InputSlices
from support.encryption import reversing


class MappedJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=10)

    def perform(self, line):
        if line == "bad":
            raise ValueError("no such state")


class SecretMappedJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=10, serializer="encrypt")

    def perform(self, line): ...


def uploaded(count=100, cls=MappedJob):
    job = cls()
    job.upload([str(n) for n in range(1, count + 1)])
    return job.save()


def change(job, state, *ids, **values):
    values["state"] = state
    job.input.collection.update_many({"_id": {"$in": list(ids)}}, {"$set": values})


def remove(job, *ids):
    job.input.collection.delete_many({"_id": {"$in": list(ids)}})


def drawn(job, most=slice_map.MOST):
    signs = {"completed": "#", "running": ">", "queued": ".", "failed": "X"}
    return "".join(signs.get(cell.state, "?") for cell in slice_map.of(job, most).cells)


def run(*args, code=0):
    done = CliRunner().invoke(make_cli(), [str(arg) for arg in args])
    assert done.exit_code == code, done.output
    return done.output


# --- by place ------------------------------------------------------------------------------------


def test_each_slice_is_where_its_records_are(rocketjob):
    job = uploaded(95)
    assert drawn(job) == ".........."
    remove(job, 1, 11, 31)
    change(job, "failed", 21)
    change(job, "running", 41, 51)
    assert drawn(job) == "##X#>>...."
    found = slice_map.of(job)
    assert (found.records, found.slice_size, found.in_cell) == (95, 10, 1)
    assert found.counts == {"queued": 4, "running": 2, "completed": 3, "failed": 1}
    assert [(cell.first, cell.last) for cell in found.cells][-2:] == [(81, 90), (91, 95)]
    assert [cell.only for cell in found.cells][:5] == [None, None, 21, None, 41]


def test_a_cell_of_several_slices_has_the_state_that_matters_most(rocketjob):
    job = uploaded(120)
    remove(job, 1, 11, 21, 31)
    change(job, "failed", 41)
    change(job, "running", 51, 71)
    assert drawn(job, 4) == "#X>."
    cells = slice_map.of(job, 4).cells
    assert cells[1].counts == {"failed": 1, "running": 1}
    assert [cell.completed for cell in cells] == [3, 1, 0, 0]
    assert drawn(job, 1) == "X"


@pytest.mark.parametrize("count", [1, 9, 10, 11, 599, 6000, 6001, 6010, 6011])
def test_there_are_never_too_many_cells_and_none_is_missing(rocketjob, count):
    job = uploaded(10)
    Job.collection().update_one({"_id": job.id}, {"$set": {"record_count": count}})
    for most in (slice_map.MOST, 7, 100_000, 0):
        found = slice_map.of(job.reload(), most)
        assert len(found.cells) <= max(1, min(most, slice_map.MOST))
        assert found.cells[0].first == 1
        assert found.cells[-1].last == count if count >= 10 else 10
        assert sum(found.counts.values()) == -(-max(count, 10) // 10)
        ends = [cell.last + 1 for cell in found.cells[:-1]]
        assert operator.eq(ends, [cell.first for cell in found.cells[1:]])


def test_neighbours_in_one_state_are_one_run(rocketjob):
    job = uploaded(100)
    remove(job, 1, 11, 41)
    change(job, "failed", 31)
    runs = slice_map.of(job).runs()
    assert [(run.state, run.first, run.last) for run in runs] == [
        ("completed", 1, 20),
        ("queued", 21, 30),
        ("failed", 31, 40),
        ("completed", 41, 50),
        ("queued", 51, 100),
    ]
    assert (runs[0].completed, runs[-1].counts) == (2, {"queued": 5})


def test_it_is_there_while_workers_are_at_it(rocketjob):
    job = MappedJob()
    job.upload([*map(str, range(35)), "bad", *map(str, range(64))])
    job.save()
    (claimed,) = job.input.claim("w", "host:1", 1)
    assert drawn(job) == ">........."
    job.input.requeue_running("host:1")
    assert claimed.id == 1
    rocketjob.work_off()
    assert job.reload().is_failed
    assert drawn(job) == "###X######"


def test_a_job_that_has_completed_is_all_done(rocketjob):
    job = uploaded(40)
    rocketjob.work_off()
    assert job.reload().is_completed
    assert drawn(job) == "####"
    assert slice_map.of(job).counts["completed"] == 4


def test_an_upload_that_goes_on_is_shown_as_far_as_it_is(rocketjob):
    job = MappedJob.create()
    with job.upload() as writer:
        for number in range(500):
            writer.append(str(number))
        found = slice_map.of(job)
        assert found.is_uploading
        assert found.records == 400  # what is stored: twenty slices at once
        remove(job, 1)
        assert drawn(job).startswith("#..")
    assert not slice_map.of(job.reload()).is_uploading


def test_a_second_upload_begins_where_the_first_has_ended(rocketjob):
    job = MappedJob()
    job.upload([str(n) for n in range(25)])
    job.upload([str(n) for n in range(20)])
    job.save()
    assert [slice_.id for slice_ in job.input] == [1, 11, 21, 26, 36]
    assert "#" not in drawn(job)
    remove(job, 26)
    assert drawn(job) == "....."


def test_slices_that_are_longer_reach_as_far_as_they_do(rocketjob):
    job = MappedJob()
    job.upload_slice([str(n) for n in range(35)])
    job.upload_slice([str(n) for n in range(30)])
    job.save()
    assert drawn(job) == "......."
    change(job, "failed", 1)
    found = slice_map.of(job)
    assert [cell.state for cell in found.cells] == ["failed"] * 3 + ["queued"] * 4
    assert [cell.reached for cell in found.cells][:4] == [None, "failed", "failed", None]
    assert found.is_sure


def test_where_there_are_too_many_of_them_it_says_so(rocketjob, monkeypatch):
    monkeypatch.setattr(slice_map, "SAMPLED", 2)
    job = MappedJob()
    for _ in range(4):
        job.upload_slice([str(n) for n in range(30)])
    job.save()
    assert not slice_map.of(job).is_sure
    assert "Slices have several lengths" in run("batch", "map", job.id)


def test_ranges_have_a_slice_for_each(rocketjob):
    job = MappedJob()
    job.upload_integer_range(1, 50)
    job.save()
    found = slice_map.of(job)
    assert (found.slice_size, drawn(job)) == (1, ".....")


def test_encrypted_slices_are_not_decrypted(rocketjob, monkeypatch):
    reversing(rocketjob)
    job = uploaded(30, SecretMappedJob)
    monkeypatch.setattr(InputSlices, "serializer", property(lambda self: pytest.fail("read")))
    change(job, "failed", 11, failure_count=2)
    assert drawn(job) == ".X."
    assert [found.first for found in stragglers.of(job).failing] == [11]


def test_slices_in_another_store_are_found_there(tmp_path):
    with sandbox(slices_url=f"sqlite:///{tmp_path}/slices.db"):
        job = uploaded(30)
        remove(job, 1)
        assert drawn(job) == "#.."


# --- where there is nothing to show --------------------------------------------------------------


def reason(job):
    with pytest.raises(slice_map.NoMap) as caught:
        slice_map.of(job)
    return str(caught.value)


def test_a_job_without_slices_says_why(rocketjob):
    job = MappedJob.create()
    assert reason(job) == "nothing has been uploaded yet"
    other = uploaded()
    other.abort()
    assert "was aborted" in reason(other)


def test_slices_that_are_elsewhere_are_not_taken_for_done(rocketjob):
    job = uploaded()
    job.input.drop()
    assert "its 100 records are not in" in reason(job)


def test_a_store_that_is_away_is_no_error_of_ours(rocketjob, monkeypatch):
    job = uploaded()

    def away(*args, **kwargs):
        raise StoreUnavailable("connection refused")

    monkeypatch.setattr(type(job.input.store), "count_by_range", away)
    assert "its slices cannot be looked at: connection refused" in reason(job)
    assert "cannot be looked at" in run("batch", "map", job.id, code=1)


@pytest.mark.parametrize(
    "odd",
    [
        {"_id": "x"},
        {"_id": -7},
        {"_id": 2**62},
        {"_id": float("inf")},
        {"_id": 1.5, "size": "many"},
    ],
    ids=str,
)
def test_what_something_else_has_written_among_them_is_passed_over(rocketjob, odd):
    job = uploaded(30)
    job.input.collection.insert_one({"state": "failed", **odd})
    assert len(drawn(job)) == 3
    assert run("batch", "map", job.id)


def test_slices_and_jobs_with_values_of_other_types_are_shown(rocketjob):
    job = uploaded(30)
    odd = {"state": ["x"], "size": "many", "failure_count": "often", "started_at": 7}
    job.input.collection.update_one({"_id": 11}, {"$set": odd})
    change(job, "running", 21, worker_name={"a": 1}, started_at="now", exception="broken")
    assert drawn(job) == ".?>"
    assert stragglers.of(job).slowest[0].since is None
    assert run("batch", "map", job.id)
    assert run("batch", "map", job.id, "--json")
    for count in ("many", -1, True, 2.5):
        Job.collection().update_one({"_id": job.id}, {"$set": {"record_count": count}})
        assert "3" in run("batch", "map", job.id)


# --- those that hold it up -----------------------------------------------------------------------


def test_P16_the_slowest_in_work_come_first(rocketjob):
    job = uploaded(100)
    for minutes, id in ((5, 1), (50, 11), (20, 21), (0, 31)):
        since = now() - timedelta(minutes=minutes)
        change(job, "running", id, started_at=since, worker_name=f"host:{id}")
    change(job, "running", 41)
    found = stragglers.of(job).slowest
    assert [each.first for each in found] == [11, 21, 1, 31, 41]
    assert (found[0].last, found[0].worker_name, round(found[0].seconds)) == (20, "host:11", 3000)
    assert len(stragglers.of(job, 2).slowest) == 2


def test_P16_and_those_that_failed_more_than_once(rocketjob):
    job = uploaded(100)
    error = {"class_name": "ValueError", "message": "no such state"}
    for failures, state, id in ((1, "failed", 1), (2, "failed", 11), (7, "running", 21)):
        change(job, state, id, failure_count=failures, exception=error)
    change(job, "failed", 31, failure_count=2)
    found = stragglers.of(job).failing
    assert [(each.first, each.failures) for each in found] == [(21, 7), (11, 2), (31, 2)]
    assert found[0].error == ("ValueError", "no such state")
    assert not stragglers.of(uploaded())


# --- the command ---------------------------------------------------------------------------------


def test_batch_map_draws_signs_in_the_order_of_the_input(rocketjob, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    job = uploaded(2000)
    remove(job, *range(1, 1001, 10))
    change(job, "failed", 1001, failure_count=2)
    change(job, "running", 1011, worker_name="host:1", started_at=now())
    lines = run("batch", "map", job.id).splitlines()
    assert lines[0] == f"MappedJob {job.id} queued"
    assert lines[1] == "2,000 records in slices of 10; each sign is a slice"
    assert lines[3] == "    1  " + "#" * 70
    assert lines[4] == "  701  " + "#" * 30 + "X>" + "." * 38
    assert "# completed 100   > running 1   . queued 98   X failed 1" in lines
    text = " ".join(" ".join(lines).split())
    assert "In work for longest records 1,011 to 1,020, running, for 0s, on host:1" in text
    assert "Failed more than once records 1,001 to 1,010, failed, failed 2 times" in text


def test_batch_map_is_for_programs_too(rocketjob):
    job = uploaded(100)
    change(job, "failed", 11)
    found = json.loads(run("batch", "map", job.id, "--json", "--cells", "5"))
    assert (found["id"], found["in_cell"], found["records"]) == (str(job.id), 2, 100)
    assert found["counts"] == {"queued": 9, "running": 0, "completed": 0, "failed": 1}
    assert found["cells"][0] == {
        "first": 1,
        "last": 20,
        "state": "failed",
        "counts": {"failed": 1, "queued": 1},
        "completed": 0,
        "only": None,
        "reached": None,
    }


def test_batch_map_says_what_it_cannot_show(rocketjob):
    assert "nothing has been uploaded yet" in run("batch", "map", MappedJob.create().id, code=1)
    assert "there is no job" in run("batch", "map", "55aeaf03a26ec0c1bd00008d", code=1)
    assert "601 is not in the range" in run("batch", "map", uploaded().id, "--cells", "601", code=2)
