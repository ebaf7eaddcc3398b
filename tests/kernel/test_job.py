"""What a job can be asked: times, texts, status, history, and the next one of its kind."""

import logging
from datetime import timedelta

import pendulum
import pytest

from rocketjob import Job, field
from rocketjob.jobs.present import duration_text
from support.jobs import KeptJob, PausableJob, job_in, stored

T0 = pendulum.datetime(2026, 1, 31, 12)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0.000ms"),
        (0.005, "5.000ms"),
        (0.05, "50.0ms"),
        (5, "5.000s"),
        (59.9996, "60.000s"),
        (90, "1m 30s"),
        (3599.9, "59m 59s"),
        (3661, "1h 1m"),
        (90061, "1d 1h 1m"),
    ],
)
def test_a_duration_in_words(seconds, text):  # row 53
    assert duration_text(seconds) == text


# --- row 54 -----------------------------------------------------------------------------------


def test_seconds_count_from_creation_then_from_the_start_until_the_end(rocketjob):
    rocketjob.freeze(T0)
    job = KeptJob.create()
    rocketjob.travel(timedelta(seconds=10))
    assert (job.seconds, job.duration) == (10, "10.000s")
    job.start()
    rocketjob.travel(timedelta(seconds=5))
    assert job.seconds == 5
    job.complete()
    rocketjob.travel(timedelta(hours=1))
    assert (job.seconds, job.duration) == (5, "5.000s")


def test_the_clock_of_a_paused_job_stands_still(rocketjob):
    rocketjob.freeze(T0)
    job = KeptJob.create()
    rocketjob.travel(timedelta(seconds=3))
    job.pause()
    rocketjob.travel(timedelta(seconds=100))
    assert job.seconds == 3


def test_expired_is_strictly_in_the_past(rocketjob):
    rocketjob.freeze(T0)
    assert not KeptJob().is_expired
    job = KeptJob(expires_at=T0)
    assert not job.is_expired
    rocketjob.travel(timedelta(milliseconds=1))
    assert job.is_expired


def test_scheduled_is_queued_and_strictly_in_the_future(rocketjob):
    rocketjob.freeze(T0)
    assert not KeptJob().is_scheduled
    assert not KeptJob(run_at=T0).is_scheduled
    job = KeptJob.create(run_at=T0.add(seconds=1))
    assert job.is_scheduled
    job.start()
    assert not job.is_scheduled


def test_scheduled_at_is_run_at_or_when_it_was_created(rocketjob):
    rocketjob.freeze(T0)
    assert KeptJob().scheduled_at == T0
    assert KeptJob(run_at=T0.add(days=1)).scheduled_at == T0.add(days=1)


def test_sleeping_and_the_names_of_workers(rocketjob):
    job = KeptJob.create()
    assert (job.is_sleeping, job.worker_count, job.worker_names) == (False, 0, [])
    job.start()
    assert (job.is_sleeping, job.worker_count) == (True, 0)
    job.worker_name = "host:1:2"
    assert (job.is_sleeping, job.worker_count, job.worker_names) == (False, 1, ["host:1:2"])
    assert job.server_name == "host:1"
    assert KeptJob().server_name is None


def test_names_are_derived_from_the_class():
    class DataStudyJob(Job):
        def perform(self): ...

    class HTTPBoxJob(Job):
        def perform(self): ...

    assert (DataStudyJob.underscore_name(), DataStudyJob.human_name()) == (
        "data_study",
        "Data Study",
    )
    assert DataStudyJob.collective_name() == "data_studies"
    assert (HTTPBoxJob.underscore_name(), HTTPBoxJob.collective_name()) == (
        "http_box",
        "http_boxes",
    )
    assert repr(DataStudyJob()).startswith("<DataStudyJob ")


# --- status -----------------------------------------------------------------------------------


def test_status_of_a_queued_job(rocketjob):
    rocketjob.freeze(T0)
    job = KeptJob.create(text="t", run_at=T0.add(hours=1))
    status = job.status()
    assert next(iter(status)) == "id"
    assert list(status)[-1] == "duration"
    assert list(status)[1:-1] == sorted(list(status)[1:-1])
    assert (status["id"], status["state"], status["text"]) == (str(job.id), "queued", "t")
    assert status["run_at"] == "2026-01-31 13:00:00 +0000"
    absent = {"started_at", "completed_at", "result", "failure_count", "seconds", "claimed_by"}
    assert not absent & set(status)
    assert job.status("America/New_York")["run_at"] == "2026-01-31 08:00:00 -0500"
    assert job.status(pendulum.timezone("Asia/Tokyo"))["run_at"] == "2026-01-31 22:00:00 +0900"


@pytest.mark.parametrize(
    ("state", "present", "absent"),
    [
        ("running", {"started_at", "percent_complete"}, {"completed_at", "result"}),
        ("completed", {"started_at", "completed_at"}, {"percent_complete"}),
        ("paused", {"paused_at"}, {"completed_at", "result"}),
        ("aborted", {"aborted_at"}, {"completed_at", "result"}),
        ("failed", {"failed_at", "failure_count", "exception"}, {"completed_at", "result"}),
    ],
)
def test_status_has_what_means_something_in_the_state(rocketjob, state, present, absent):
    status = job_in(state).status()
    assert present <= set(status)
    assert not absent & set(status)
    if f"{state}_at" in present and state not in ("running", "completed"):
        assert list(status)[1] == f"{state}_at"


def test_status_of_a_failed_job_has_the_exception_as_a_dict(rocketjob):
    job = job_in("running")
    job.fail(RuntimeError("oh no"))
    assert job.status()["exception"]["message"] == "oh no"
    assert job.status()["failure_count"] == 1


def test_status_of_a_completed_job_has_its_result(rocketjob):
    class AnswerJob(KeptJob):
        collect_output = True

        def perform(self):
            return {"answer": 42}

    job = AnswerJob.create()
    rocketjob.work_off()
    assert job.reload().status()["result"] == {"answer": 42}


def test_as_dict_has_values_and_seconds(rocketjob):
    rocketjob.freeze(T0)
    found = KeptJob.create().as_dict()
    assert found["created_at"] == T0
    assert found["seconds"] == 0


# --- restarting (row 52) ----------------------------------------------------------------------


class RestartedJob(KeptJob):
    copied: int = field(default=1, copy_on_restart=True)
    not_copied: int = 1


def test_create_restart_copies_the_fields_that_are_marked(rocketjob):
    job = RestartedJob.create(
        description="d", priority=5, copied=2, not_copied=2, log_level="debug"
    )
    job.start()
    job.fail("x")
    new = job.create_restart()
    assert RestartedJob.count() == 2
    assert new.id != job.id
    assert (new.description, new.priority, new.log_level, new.copied) == ("d", 5, "debug", 2)
    assert (new.not_copied, new.state, new.failure_count, new.exception) == (1, "queued", 0, None)
    assert (new.run_at, new.started_at, new.completed_at) == (None, None, None)
    assert not new.destroy_on_complete


def test_create_restart_takes_overrides(rocketjob):
    new = RestartedJob.create(priority=5).create_restart(priority=6, not_copied=3)
    assert (new.priority, new.not_copied) == (6, 3)
    with pytest.raises(TypeError):
        RestartedJob.create().create_restart(prority=6)


def test_an_expired_job_is_not_restarted(rocketjob):
    job = RestartedJob.create(expires_at=timedelta(seconds=-1))
    assert job.create_restart() is None
    assert RestartedJob.count() == 1


def test_restarted_shares_no_list_with_the_job_that_it_was_made_from(rocketjob):
    class ListedJob(Job):
        tags: list[str] = field(default=[], copy_on_restart=True)

        def perform(self): ...

    job = ListedJob(tags=["a"])
    job.restarted().tags.append("b")
    assert job.tags == ["a"]


# --- history ----------------------------------------------------------------------------------


def test_the_history_says_what_happened_when_by_whom_and_why(rocketjob):
    rocketjob.freeze(T0)
    job = KeptJob.create()
    job.start("host:1:1")
    rocketjob.travel(timedelta(seconds=1))
    job.fail("bad input")
    job.retry()
    entries = job.reload().history
    assert [(e.event, e.state, e.worker_name, e.reason) for e in entries] == [
        ("start", "running", "host:1:1", None),
        ("fail", "failed", "host:1:1", "bad input"),
        ("retry", "queued", None, None),
    ]
    assert [e.at for e in entries] == [T0, T0.add(seconds=1), T0.add(seconds=1)]


def test_a_long_reason_is_cut(rocketjob):
    job = KeptJob.create()
    job.fail("x" * 5000)
    assert len(job.reload().history[0].reason) == 500
    assert len(job.exception.message) == 5000


def test_a_new_job_has_no_history(rocketjob):
    assert KeptJob.create().history == []
    assert "history" not in stored(KeptJob.create())


# --- for all jobs -----------------------------------------------------------------------------


def test_pause_all_and_resume_all(rocketjob):
    job_in("running", PausableJob)
    job_in("running")
    job_in("paused")
    assert PausableJob.pause_all() == 1
    assert Job.pause_all() == 0
    assert Job.resume_all() == 2
    assert Job.counts_by_state() == {"running": 1, "queued": 2, "queued_now": 2}


# --- logging ----------------------------------------------------------------------------------


def test_the_logger_binds_id_and_class(rocketjob, caplog):
    job = KeptJob.create()
    with caplog.at_level(logging.INFO):
        job.logger.info("building", username="Jack")
    record = caplog.records[-1]
    assert record.rocketjob_fields == {
        "job_id": str(job.id),
        "job": "KeptJob",
        "username": "Jack",
    }
    assert record.name == "support.jobs.KeptJob"


def test_the_level_of_a_job_overrides_that_of_the_logger(rocketjob, caplog):
    caplog.set_level(logging.WARNING)
    caplog.handler.setLevel(logging.NOTSET)
    KeptJob().logger.info("not heard")
    job = KeptJob(log_level="debug")
    job.logger.debug("heard")
    job.log_level = "error"
    job.logger.warning("not heard either")
    assert [record.message for record in caplog.records] == ["heard"]
