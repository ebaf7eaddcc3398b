"""`rocketjob jobs retry`, `abort` and so on."""

from datetime import timedelta

import pytest

from rocketjob import Job, UnknownJob

from .test_jobs import MISSING, forget


@pytest.fixture
def job(jobs, rocketjob):
    return jobs.CliReportJob.create(username="x", run_at=timedelta(hours=1))


def states():
    return sorted(job.state for job in Job.all())


def test_each_event_says_from_which_state_to_which(cli, job):
    for command, change in (
        ("pause", "queued -> paused"),
        ("resume", "paused -> queued"),
        ("run-now", "queued -> queued"),
        ("fail", "queued -> failed"),
        ("retry", "failed -> queued"),
        ("abort", "queued -> aborted"),
        ("destroy", "aborted -> destroyed"),
    ):
        result = cli("jobs", command, job.id)
        assert (result.code, result.out) == (0, f"{job.id}  CliReportJob  {change}\n")
    assert Job.count() == 0


def test_the_reason_of_a_failure_is_kept(cli, job):
    cli("jobs", "fail", job.id, "--reason", "wrong file")
    assert job.reload().exception.message == "wrong file"


def test_run_now_takes_the_time_away(cli, job):
    cli("jobs", "run-now", job.id)
    assert job.reload().run_at is None


def test_a_refused_event_says_what_is_possible_and_does_not_stop_the_others(cli, job, jobs):
    failed = jobs.CliReportJob.create(username="y")
    failed.fail("why")
    result = cli("jobs", "retry", job.id, MISSING, failed.id, "--yes")
    assert result.code == 1
    assert "Cannot retry a job that is queued. Possible now: " in result.err
    assert f"{MISSING}: there is no job" in result.err
    assert "failed -> queued" in result.out
    assert "1 retried, 2 not" in result.err


def test_a_callback_that_raises_is_told_and_does_not_stop_the_others(cli, job, jobs):
    guarded = jobs.CliGuardedJob.create()
    result = cli("jobs", "abort", guarded.id, job.id, "--yes")
    assert result.code == 1
    assert f"{guarded.id}: RuntimeError: not today" in result.err
    assert states() == ["aborted", "queued"]


def test_json_has_one_object_for_each_job(cli, job):
    done, missing = cli("jobs", "abort", job.id, MISSING, "--yes", "--json").objects
    assert done == {
        "id": str(job.id), "class": "CliReportJob", "event": "abort", "ok": True,
        "from": "queued", "state": "aborted", "error": None,
    }  # fmt: skip
    assert missing["ok"] is False
    assert set(done) == set(missing)


def test_all_that_match_are_taken_where_the_event_is_possible(cli, jobs, rocketjob):
    for name in "ab":
        jobs.CliReportJob.create(username=name)
    jobs.CliReportJob.create(username="c").abort()
    jobs.CliImportJob.create()
    result = cli("jobs", "pause", "--all-matching", "--class", "CliReportJob", "--yes")
    assert result.code == 0
    assert "2 paused" in result.err
    assert states() == ["aborted", "paused", "paused", "queued"]


def test_P17_all_that_a_search_finds_are_taken(cli, jobs):
    for name in "ab":
        jobs.CliReportJob.create(username=name)
    where = "class:CliReportJob (field.username:b OR field.username:c)"
    result = cli("jobs", "abort", "--all-matching", "--where", where, "--yes")
    assert (result.code, states()) == (0, ["aborted", "queued"])


def test_nothing_that_matches_is_no_failure(cli):
    result = cli("jobs", "retry", "--all-matching", "--yes")
    assert (result.code, result.err) == (0, "0 retried\n")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "give the ID of a job"),
        (["--class", "CliReportJob"], "add --all-matching"),
        (["--all-matching", MISSING], "not both"),
        (["--all-matching"], "add --yes"),
        (["xyz"], "24 hexadecimal digits"),
        (["--all-matching", "--where", '{"state": {"$bad": 1}}', "--yes"], "$bad"),
        (["--all-matching", "--where", "state:queud", "--yes"], "did you mean queued?"),
    ],
)
def test_a_doubtful_command_changes_nothing(cli, jobs, args, says):
    for name in "ab":
        jobs.CliReportJob.create(username=name)
    result = cli("jobs", "abort", *args)
    assert result.code == 2
    assert says in result.err
    assert states() == ["queued", "queued"]


def test_a_job_of_an_unknown_class_can_be_aborted_and_destroyed_but_not_retried(cli, rocketjob):
    job = forget(UnknownJob.create())
    assert cli("jobs", "fail", job.id).code == 0
    refused = cli("jobs", "retry", job.id)
    assert refused.code == 1
    assert "CliGoneJob is not loaded here" in refused.err
    assert cli("jobs", "abort", job.id).out == f"{job.id}  CliGoneJob  failed -> aborted\n"
    assert cli("jobs", "destroy", job.id).code == 0
    assert Job.count() == 0


def test_on_a_terminal_more_than_one_job_needs_a_yes(shell, terminal):
    for name in "ab":
        shell("enqueue", "cli_app.jobs:CliReportJob", f"username={name}")
    refused = terminal("jobs", "abort", "--all-matching", answer="n\n")
    assert refused.code == 1
    assert "This would abort 2 jobs: 2 queued CliReportJob" in refused.out
    assert "nothing was changed" in refused.out
    assert terminal("jobs", "abort", "--all-matching", answer="y\n").code == 0
    assert shell("jobs", "list", "--state", "aborted", "--count").out == "2\n"


def test_a_refusal_names_the_commands_that_are_possible(cli, rocketjob):
    class CliHeldJob(Job):
        destroy_on_complete = False

        def perform(self):
            """Nothing."""

    job = CliHeldJob.create()
    refused = cli("jobs", "resume", job.id)
    assert "Possible now: abort, pause, fail, run-now, destroy" in refused.err
    job.start()
    refused = cli("jobs", "pause", job.id)
    assert "(a running job must be `pausable`). Possible now: abort, fail, destroy" in refused.err
    assert "Cannot run-now a job that is running" in cli("jobs", "run-now", job.id).err
