"""`job.explain()` and `rocketjob jobs explain`."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from rocketjob import Job, Server, hookimpl
from rocketjob.base import clock
from rocketjob.cli import make_cli
from rocketjob.jobs.reasons import Reason
from rocketjob.testing import sandbox
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.processing_window import ProcessingWindow
from rocketjob_plugins.retry import Retry
from rocketjob_plugins.throttle import Throttle, ThrottleDependentJobs, throttle

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class ExplainedJob(Job):
    destroy_on_complete = False

    def perform(self): ...


@pytest.fixture(autouse=True)
def _at_a_fixed_time(rocketjob):
    rocketjob.freeze(NOW)


def server(name="host:1", state="running", classes=None, alive=True):
    beat = clock.now() - timedelta(0 if alive else 9)
    return Server.create(
        name=name,
        state=state,
        classes=[cls.__name__ for cls in classes] if classes else ["ExplainedJob"],
        heartbeat={"updated_at": beat},
    )


def names(job):
    return job.explain().names()


def test_nothing_holds_it_back(rocketjob):
    server()
    found = ExplainedJob.create().explain()
    assert (found.reasons, found.until, bool(found)) == ((), None, False)
    assert str(found).endswith("is queued\nnothing holds it back: a worker is next")


def test_a_job_that_is_not_stored(rocketjob):
    assert names(ExplainedJob()) == ["stored"]


@pytest.mark.parametrize(
    ("way", "text"),
    [
        (("pause",), "it is paused: resume it"),
        (("abort",), "it was aborted"),
        (("start", "complete"), "it has completed"),
        (("fail",), "it has failed: retry it to run it again (JobException: "),
    ],
)
def test_a_state_that_no_claim_takes(rocketjob, way, text):
    job = ExplainedJob.create()
    for event in way:
        job.fail("oh no") if event == "fail" else getattr(job, event)()
    assert names(job) == ["state"]
    assert text in str(job.explain())


def test_a_running_job_says_where(rocketjob):
    job = ExplainedJob.create()
    rocketjob.queue.claim(1)
    assert "it is running on test:0:1 since 2026-03-01 12:00:00 UTC" in str(job.explain())
    assert not job.explain()


def test_a_time_that_has_not_come(rocketjob):
    server()
    at = NOW + timedelta(hours=2)
    found = ExplainedJob.create(run_at=at).explain()
    assert (found.names(), found.until) == (["run_at"], at)
    assert "it is scheduled for later, until 2026-03-01 14:00:00 UTC" in str(found)


def test_a_job_that_expired(rocketjob):
    server()
    job = ExplainedJob.create(expires_at=NOW + timedelta(minutes=1))
    rocketjob.travel(timedelta(minutes=2))
    Server.all().update_all(heartbeat={"updated_at": clock.now()})
    assert names(job) == ["expires_at"]


@pytest.mark.parametrize(
    ("servers", "reason", "text"),
    [
        ([], "servers", "no server is running"),
        ([{"alive": False}], "servers", "no server is running"),
        ([{"classes": [Retry]}], "class", "no server takes ExplainedJob"),
        ([{"state": "paused"}], "servers", "host:1 is paused"),
        ([{"state": "paused"}, {"name": "b:2", "state": "stopping"}], "servers", "b:2 is stopping"),
    ],
)
def test_no_server_that_would_take_it(rocketjob, servers, reason, text):
    for each in servers:
        server(**each)
    job = ExplainedJob.create()
    assert names(job) == [reason]
    assert text in str(job.explain())


def test_a_server_that_is_drained_takes_nothing(rocketjob):
    server().drain()
    assert "host:1 is draining" in str(ExplainedJob.create().explain())


def test_one_server_that_works_is_enough(rocketjob):
    server(state="paused")
    server(name="other:2")
    assert names(ExplainedJob.create()) == []


def test_what_goes_before_it(rocketjob):
    server()
    for priority in (10, 20, 90):
        ExplainedJob.create(priority=priority)
    ExplainedJob.create(priority=1, run_at=NOW + timedelta(hours=1))
    job = ExplainedJob.create(priority=20)
    assert "2 due jobs go before it" in str(job.explain())


def test_the_settings_of_this_process():
    with sandbox(where={"priority": {"$lt": 10}}):
        server()
        assert names(ExplainedJob.create(priority=5)) == []
        assert "where" in names(ExplainedJob.create(priority=50))


class ExplainedLimitedJob(Throttle, Job):
    throttle_running_jobs = 1
    rate_limit = "1/minute"

    def perform(self): ...


def test_a_limit_says_who_holds_the_places_and_when_the_next_start_is(rocketjob):
    server(classes=[ExplainedLimitedJob])
    first, second = ExplainedLimitedJob.create(), ExplainedLimitedJob.create()
    rocketjob.queue.claim(5)
    found = second.explain()
    assert found.names() == ["throttle_running_jobs", "rate_limit"]
    assert f"running now: ExplainedLimitedJob {first.id} on test:0:1" in str(found)
    assert found.reasons[1].until == NOW + timedelta(minutes=1)
    assert found.until is None  # nobody knows when the other one ends
    first.reload().complete()
    assert second.explain().until == NOW + timedelta(minutes=1)


def test_a_throttle_of_ones_own_is_not_asked_by_who_looks(rocketjob):
    asked = []

    class ExplainedLagJob(Throttle, Job):
        @throttle
        def lagging(self) -> bool:
            """The replica lags behind."""
            asked.append(self.id)
            return True

        def perform(self): ...

    server(classes=[ExplainedLagJob])
    job = ExplainedLagJob.create()
    assert names(job) == []
    rocketjob.work_off()
    assert len(asked) == 1
    (reason,) = job.explain().reasons
    assert str(reason) == (
        "held back by lagging: The replica lags behind (test:0:1 at 2026-03-01 12:00:00 UTC), "
        "until 2026-03-01 12:01:00 UTC"
    )
    assert len(asked) == 1


def test_jobs_that_it_depends_on(rocketjob):
    class ExplainedLaterJob(ThrottleDependentJobs, Job):
        dependent_jobs = ["ExplainedJob"]

        def perform(self): ...

    server(classes=[ExplainedLaterJob])
    other = ExplainedJob.create()
    other.start()
    job = ExplainedLaterJob.create()
    assert f"are running: ExplainedJob {other.id}" in str(job.explain())


def test_a_window_a_schedule_and_a_retry(rocketjob):
    class ExplainedAllJob(Cron, Retry, ProcessingWindow, Job):
        cron_schedule = "0 1 * * * UTC"
        processing_schedule = "0 1 * * * UTC"
        processing_duration = timedelta(hours=1)

        def perform(self): ...

    server(classes=[ExplainedAllJob])
    job = ExplainedAllJob.create()
    opens = datetime(2026, 3, 2, 1, tzinfo=UTC)
    found = job.explain()
    assert set(found.names()) == {"run_at", "processing_window", "cron_schedule"}
    assert "its schedule is: At 01:00 every day, UTC" in str(found)
    assert found.until == opens
    job.fail(RuntimeError("broken pipe"))
    assert "attempt 1 of 26 failed: RuntimeError: broken pipe" in str(job.explain())


def test_plugins_add_what_they_know(rocketjob):
    class Moon:
        @hookimpl
        def explain(self, job):
            return [Reason("moon", "the moon is not full", NOW + timedelta(days=3))]

    server()
    rocketjob.plugins.register(Moon())
    found = ExplainedJob.create().explain()
    assert (found.names(), found.until) == (["moon"], NOW + timedelta(days=3))


def test_a_class_that_is_not_loaded_here_is_judged_by_what_servers_load(rocketjob):
    job = ExplainedJob.create()
    ExplainedJob.collection().update_one({"_id": job.id}, {"$set": {"_type": "FarAwayJob"}})
    assert names(Job.find(job.id)) == ["servers"]
    Server.create(
        name="far:1", state="running", classes=["FarAwayJob"], heartbeat={"updated_at": NOW}
    )
    assert names(Job.find(job.id)) == []


def test_the_command(rocketjob, capsys):
    job = ExplainedJob.create(run_at=NOW + timedelta(hours=1))
    run("jobs", "explain", str(job.id))
    out = capsys.readouterr().out
    assert f"ExplainedJob {job.id} is queued" in out
    assert "- no server is running" in out
    run("jobs", "explain", str(job.id), "--json")
    found = json.loads(capsys.readouterr().out)
    assert [reason["name"] for reason in found["reasons"]] == ["run_at", "servers"]
    assert found["reasons"][0]["until"] == "2026-03-01T13:00:00.000Z"
    assert run("jobs", "explain", "0" * 24) == 1


def run(*words):
    with pytest.raises(SystemExit) as stopped:
        make_cli().main(list(words))
    return stopped.value.code
