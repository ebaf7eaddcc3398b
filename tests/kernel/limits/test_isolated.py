"""A class with `isolation = "process"` is performed in a process of its own, which can be ended."""

import importlib
import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from rocketjob import Job
from rocketjob.server.subscribers import WorkerSubscriber
from rocketjob.testing import sandbox
from rocketjob_plugins import metrics
from rocketjob_plugins.batch.statistics import Statistics
from rocketjob_plugins.metrics.recorder import of_this_process
from support.runtime import eventually, running_pool

HERE = str(Path(__file__).parent)


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    with sandbox(f"sqlite:///{tmp_path}/jobs.db", app=["isolated_app"]) as rocketjob:
        module = importlib.import_module("isolated_app")
        module.rocketjob = rocketjob
        yield module


def performed(jobs, job):
    """Have a job performed by a pool, and return it."""
    with running_pool(jobs.rocketjob, threads=1):
        return job.wait(60)


def processes():
    """Return the processes for isolated jobs that a thread of this one has started."""
    children = "".join(each.read_text() for each in Path("/proc/self/task").glob("*/children"))
    return [pid for pid in children.split() if "isolated_main" in command_of(pid)]


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:  # it has just ended
        return ""


def test_value_fields_and_callbacks_are_as_without_isolation(jobs):
    job = performed(jobs, jobs.IsolatedJob.create(does="saves"))
    assert (job.state, job.result) == ("completed", {"answer": 42})
    assert job.seen == ["before, here", "perform, there", "after, here"]
    assert (job.description, job.priority) == ("saved there", 7)


def test_an_error_comes_back_with_its_lines_its_cause_and_the_fields(jobs):
    job = performed(jobs, jobs.IsolatedJob.create(does="raises"))
    error = job.exception
    assert (job.state, error.class_name, error.message) == ("failed", "ValueError", "bad input")
    assert any("isolated_app.py" in line for line in error.backtrace)
    assert not any("rocketjob/" in line for line in error.backtrace)
    assert error.cause.class_name == "KeyError"
    assert job.seen[1] == "perform, there"


def test_a_crash_there_counts_as_one_and_the_job_is_queued_again(jobs):
    job = jobs.IsolatedJob.create(does="crashes_once")
    with running_pool(jobs.rocketjob, threads=1, quarantined=False):
        eventually(lambda: job.reload().interruptions == 1)
        eventually(lambda: job.reload().is_queued)
    assert job.history[-1].event == "requeue"
    assert job.history[-1].reason == "its own process was ended by SIGKILL"
    assert (job.failure_count, job.exception) == (0, None)
    of_this_process().write()
    assert metrics.read().classes["IsolatedJob"].crashed == 1
    with running_pool(jobs.rocketjob, threads=1, quarantined=True):
        job = job.wait(60)
    assert (job.state, job.result, job.claim_number) == ("completed", {"answer": 42}, 2)


def test_the_crash_that_reaches_the_limit_fails_the_job(jobs):
    job = jobs.IsolatedJob.create(does="crashes")
    Job.collection().update_one({"_id": job.id}, {"$set": {"interruptions": 2}})
    with running_pool(jobs.rocketjob, threads=1, quarantined=True):
        job = job.wait(60)
    assert (job.state, job.exception.class_name) == ("failed", "WorkerCrashed")
    assert job.exception.message == (
        "its own process ended with exit code 3; 3 crashes while it ran this job"
    )
    assert job.exception.backtrace == []


def test_max_memory_ends_the_process_at_once(jobs):
    job = performed(jobs, jobs.SmallIsolatedJob.create(does="fills_memory"))
    assert job.exception.class_name == "MemoryExceeded"
    assert job.exception.message.endswith("and its max_memory is 200.0 MB")


def test_a_job_that_holds_the_interpreter_is_ended_by_its_timeout(jobs):
    limit = timedelta(milliseconds=50)
    job = performed(jobs, jobs.IsolatedJob.create(does="holds_the_interpreter", timeout=limit))
    assert (job.state, job.exception.class_name) == ("failed", "JobTimeout")
    assert job.exception.message == "It has not ended within its timeout of 0:00:00.050000"


def test_an_abort_ends_the_process(jobs):
    job = jobs.IsolatedJob.create(does="sleeps")
    with running_pool(jobs.rocketjob, threads=1) as pool:
        eventually(processes)
        job.reload().abort()
        WorkerSubscriber(pool).taken(str(job.id))
        eventually(lambda: pool.workers[0].job is None)
        assert not processes()
    assert (job.reload().state, job.exception) == ("aborted", None)


def test_check_there_raises_that_the_server_stops(jobs):
    job = jobs.IsolatedJob.create(does="checks")
    with running_pool(jobs.rocketjob, threads=1):
        eventually(processes)
    assert (job.reload().state, job.history[-1].event) == ("queued", "requeue")


def test_slices_share_the_process_of_their_worker(jobs, tmp_path):
    job = jobs.IsolatedSlicesJob(max_rejects=5, timeout=timedelta(seconds=60))
    job.upload(["a", "b", "c", "raises", "sends", "f"])
    job = performed(jobs, job.save())
    assert job.state == "completed"
    records = [*job.records()]
    assert [record[:2] for record in records] == [["a", 1], ["b", 2], ["c", 3], ["f", 6]]
    assert len({pid for _, _, pid in records} - {os.getpid()}) == 1
    job.download_rejects(tmp_path / "rejects.csv")
    rejects = (tmp_path / "rejects.csv").read_text()
    assert "Unsendable: 1 and 2" in rejects
    assert "TypeError: what perform returned cannot be sent from its own process" in rejects


def test_a_slice_goes_on_at_the_record_at_which_its_process_has_crashed(jobs):
    job = jobs.IsolatedSlicesJob()
    job.slice_size = 4
    job.upload(["a", "b", "crashes", "d"])
    job.save()
    with running_pool(jobs.rocketjob, threads=1, quarantined=False):
        eventually(lambda: job.input.first().interruptions == 1)
    released = job.input.first()
    assert (released.state, released.processing_record_number) == ("queued", 3)
    assert [record[:2] for part in job.output for record in part] == [["a", 1], ["b", 2]]
    with running_pool(jobs.rocketjob, threads=1, quarantined=True):
        job = job.wait(60)
    (failed,) = job.input.failed()
    assert (job.state, failed.current_record_number) == ("failed", 3)
    assert failed.exception.class_name == "WorkerCrashed"
    assert failed.exception.message.endswith("; 3 crashes while it processed this record")


def test_a_record_whose_process_crashes_too_often_is_rejected_and_the_rest_completes(jobs):
    job = jobs.IsolatedSlicesJob(max_rejects=1)
    job.upload(["a", "b", "crashes", "d"])
    job = job.save()
    job.input.collection.update_one({"_id": 3}, {"$set": {"interruptions": 2}})
    with running_pool(jobs.rocketjob, threads=1):
        job = job.wait(60)
    assert (job.state, job.reject_count) == ("completed", 1)
    assert [record[:2] for record in job.records()] == [["a", 1], ["b", 2], ["d", 4]]


def test_inline_the_job_is_performed_here(jobs):
    assert jobs.IsolatedJob().perform_now() == {"answer": 42}
    job = jobs.IsolatedJob.create()
    jobs.rocketjob.work_off()
    assert job.reload().seen[1] == "perform, here"
    assert "isolated_app" in sys.modules


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"isolation": "thread"}, 'isolation must be "process"'),
        ({"isolation": "process", "max_memory": "much"}, "max_memory must be a number of bytes"),
        ({"max_memory": "1GB"}, 'set isolation = "process" too'),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(rocketjob, body, message):
    cls = type("WrongIsolationJob", (Job,), {"perform": lambda self: None, **body})
    with pytest.raises(TypeError, match=message):
        cls.create()


def test_what_would_not_be_counted_is_refused():
    with pytest.raises(TypeError, match="what Statistics counts does not come back"):
        type("CountingIsolatedJob", (Statistics, Job), {"isolation": "process"})
