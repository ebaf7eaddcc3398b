"""Series: what is known of their last runs, and the command that shows them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from rocketjob import Job, field
from rocketjob.cli import make_cli
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.cron.job import RUNS_KEPT
from rocketjob_plugins.cron.series import all_series
from rocketjob_plugins.retry import Retry

NOW = datetime(2026, 3, 6, 14, 20, 30, tzinfo=UTC)


class SeriesCronJob(Cron, Job):  # removed when it completes
    cron_schedule = "0 1 * * * UTC"
    fails: bool = field(default=False, user_editable=True, copy_on_restart=True)

    def perform(self):
        if self.fails:
            raise ValueError("no")


class SeriesEarlyCronJob(SeriesCronJob):
    cron_after_start = True


class SeriesRetriedCronJob(Retry, Cron, Job):
    cron_schedule = "0 1 * * * UTC"
    retry_limit = 2

    def perform(self):
        raise ValueError("no")


@pytest.fixture(autouse=True)
def still(rocketjob):
    rocketjob.freeze(NOW)


def run_once(rocketjob, **values):
    job = SeriesCronJob.queued().first()
    job.update(**values)
    job.run_now()
    rocketjob.work_off()
    rocketjob.travel(timedelta(hours=24))
    return job


def states(job):
    return [run["state"] for run in job.previous_runs]


@pytest.mark.both_stores
def test_a_run_is_remembered_by_the_next_also_if_its_job_is_removed(rocketjob):
    SeriesCronJob.create()
    ran = run_once(rocketjob)
    assert SeriesCronJob.where({"_id": ran.id}).count() == 0
    (run,) = SeriesCronJob.queued().first().previous_runs
    assert run["id"] == ran.id and run["state"] == "completed"
    assert run["occurrence"] == datetime(2026, 3, 7, 1, tzinfo=UTC)
    assert run["started_at"] == run["ended_at"] == NOW


def test_every_end_is_remembered(rocketjob):
    SeriesCronJob.create()
    run_once(rocketjob)
    run_once(rocketjob, fails=True)
    SeriesCronJob.queued().first().abort()
    (job,) = SeriesCronJob.queued()
    assert states(job) == ["completed", "failed", "aborted"]
    assert "started_at" not in job.previous_runs[-1]
    assert all_series().series[0].runs[-1].seconds is None


def test_so_is_one_that_is_ended_in_memory(rocketjob):
    job = SeriesCronJob.create()
    job.abort(save=False)
    job.save()
    assert states(SeriesCronJob.queued().first()) == ["aborted"]


def test_only_the_last_ones_are_kept(rocketjob):
    SeriesCronJob.create()
    ran = [run_once(rocketjob) for _ in range(RUNS_KEPT + 2)]
    kept = [run["id"] for run in SeriesCronJob.queued().first().previous_runs]
    assert kept == [job.id for job in ran[2:]]


def test_an_attempt_that_is_retried_is_no_run_that_has_ended(rocketjob):
    SeriesRetriedCronJob.create().run_now()
    for _ in range(4):
        rocketjob.work_off()
        rocketjob.travel(timedelta(hours=2))
    (job,) = SeriesRetriedCronJob.queued()
    assert states(job) == ["failed"]


def test_what_was_known_is_handed_on_where_the_next_is_queued_at_the_start(rocketjob):
    SeriesEarlyCronJob.create().run_now()
    rocketjob.work_off()
    assert SeriesEarlyCronJob.queued().first().previous_runs == []


def test_nothing_is_stored_of_a_series_that_has_not_run(rocketjob):
    job = SeriesCronJob.create()
    assert "previous_runs" not in Job.collection().find_one({"_id": job.id})


def test_runs_take_the_median_of_those_that_completed(rocketjob):
    SeriesCronJob.create()
    due = datetime(2026, 3, 1, tzinfo=UTC)
    runs = [
        {"state": state, "started_at": due, "ended_at": due + timedelta(seconds=seconds)}
        for state, seconds in (("completed", 3), ("completed", 5), ("failed", 900))
    ]
    Job.collection().update_one({}, {"$set": {"previous_runs": runs}})
    assert all_series().series[0].usual_seconds == 4


@pytest.mark.both_stores
def test_every_active_instance_is_found_with_a_key_or_without_one(rocketjob):
    jobs = [SeriesCronJob.create(cron_schedule=f"{minute} * * * *") for minute in range(6)]
    states = ("queued", "running", "paused", "queued", "aborted", "completed")
    for job, state, keyed in zip(jobs, states, (1, 1, 1, 0, 1, 0), strict=True):
        change = {"$set": {"state": state}} | ({} if keyed else {"$unset": {"cron_key": 1}})
        Job.collection().update_one({"_id": job.id}, change)
    found = all_series()
    assert sorted(each.stored["_id"] for each in found.series) == [job.id for job in jobs[:4]]


def test_a_clock_that_was_set_back_makes_no_run_shorter_than_nothing(rocketjob):
    SeriesCronJob.create()
    run = {"state": "completed", "started_at": NOW, "ended_at": NOW - timedelta(hours=1)}
    Job.collection().update_one({}, {"$set": {"previous_runs": [run]}})
    assert all_series().series[0].runs[0].seconds == 0


def test_a_time_that_somebody_has_set_comes_before_those_of_the_schedule(rocketjob):
    at = NOW + timedelta(hours=2)
    job = SeriesCronJob.create(run_at=at)
    (series,) = all_series().series
    assert series.next_times(2) == [at, datetime(2026, 3, 7, 1, tzinfo=UTC)]
    job.start("here")
    (series,) = all_series().series
    assert series.next_times(1) == [datetime(2026, 3, 7, 1, tzinfo=UTC)]


# --- the command -----------------------------------------------------------------------------


def said(*words):
    answer = CliRunner().invoke(make_cli(), ["schedule", *words])
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_the_command_shows_each_series_with_its_next_run_and_the_last_ones(rocketjob):
    assert "nothing runs by a schedule" in said()
    SeriesCronJob.create(cron_schedule="30 2 * * Sun America/New_York", description="weekly")
    run_once(rocketjob)
    head, line = said().splitlines()
    assert head.split()[:2] == ["CLASS", "WHEN"]
    assert "SeriesCronJob (weekly)" in line and "At 02:30 on Sunday" in line
    assert "Sun 03-08 03:00 EDT" in line  # clocks have changed by then
    assert "completed" in line and "●" in line


def test_the_command_says_what_is_late_and_what_is_paused(rocketjob):
    SeriesCronJob.create()
    SeriesCronJob.create(cron_schedule="0 2 * * *").pause()
    rocketjob.travel(timedelta(days=2))
    late, paused = sorted(said().splitlines()[1:], key=lambda line: "paused" in line)
    assert "overdue 1d 13h" in late and late.rstrip().endswith("1")
    assert "paused" in paused and "UTC" not in paused.partition("UTC")[2]


def test_the_command_prints_an_object_for_each_series(rocketjob):
    job = SeriesCronJob.create()
    run_once(rocketjob)
    found = json.loads(said("--json"))
    assert (found["class"], found["zone"], found["state"]) == ("SeriesCronJob", "UTC", "queued")
    assert len(found["next"]) == 5 and found["next"][0].startswith("2026-03-08T01:00")
    assert found["runs"][0]["id"] == str(job.id) and found["runs"][0]["seconds"] == 0


def test_one_whose_schedule_is_wrong_keeps_no_other_back(rocketjob):
    broken = SeriesCronJob.create()
    Job.collection().update_one({"_id": broken.id}, {"$set": {"cron_schedule": "every day"}})
    SeriesCronJob.create(cron_schedule="0 3 * * *")
    lines = said().splitlines()[1:]
    assert len(lines) == 2 and sum("wrong" in line for line in lines) == 1
