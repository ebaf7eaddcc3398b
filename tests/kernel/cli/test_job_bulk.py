"""`rocketjob jobs retry --bulk` and so on, and `rocketjob bulk`."""

import pytest

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob_plugins import audit
from rocketjob_plugins.bulk import BulkActionJob

from .test_jobs import MISSING


@pytest.fixture
def few(monkeypatch):
    """A sandbox in which a job does whatever is to be done to more than two jobs."""
    monkeypatch.setenv("ROCKETJOB_ACTOR", "ada")
    with sandbox(bulk={"at_once": 2}, actor="ada") as rocketjob:
        yield rocketjob


def made(jobs, number, fails=True):
    found = [jobs.CliReportJob.create(username=str(n)) for n in range(number)]
    for job in found if fails else ():
        job.fail("why")
    return found


def states():
    return sorted(job.state for job in Job.all() if not isinstance(job, BulkActionJob))


def test_few_are_done_at_once_and_each_is_said(cli, jobs, rocketjob):
    first, second = made(jobs, 2)
    jobs.CliImportJob.create()
    result = cli("jobs", "retry", "--bulk", "--state", "failed", "--yes", "--reason", "disk")
    assert (result.code, result.err) == (0, "retry: 2 done\n")
    assert result.lines == [f"{job.id}  CliReportJob  failed -> queued" for job in (first, second)]
    *each, whole = audit.records()
    assert (whole.event, whole.how, whole.reason) == (
        "bulk retry", "rocketjob jobs retry", "disk"
    )  # fmt: skip
    assert [record.id for record in each] == [second.id, first.id]


def test_more_are_done_by_a_job_whose_id_is_printed(cli, jobs, few):
    made(jobs, 3)
    result = cli("jobs", "retry", "--bulk", "--class", "CliReportJob", "-y", "--reason", "disk")
    (job,) = BulkActionJob.all()
    assert result.out == f"{job.id}  BulkActionJob  queued\n"
    assert f"that job will retry 3 jobs: rocketjob jobs show {job.id}" in result.err
    assert "no server is running" in result.err
    assert (job.login, job.reason, job.via) == ("ada", "disk", "command")
    few.work_off(1)
    assert states() == ["queued"] * 3
    shown = cli("jobs", "show", job.id).out
    assert "Bulk action" in shown and "3 done, 0 skipped, 0 refused, 0 failed" in shown


def test_what_became_of_each_is_printed_by_a_command(cli, jobs, few):
    made(jobs, 3)
    gone = made(jobs, 1)[0]
    id = cli("jobs", "retry", "--bulk", "--yes", "--json").object["job"]
    BulkActionJob.where(id=id).update_all(priority=1)
    gone.destroy()
    few.work_off(1)
    result = cli("bulk", id)
    assert result.err == "Retry 4 jobs (completed): 3 done, 1 skipped, 0 refused, 0 failed\n"
    assert len(result.lines) == 4
    found = cli("bulk", id, "--json").objects
    assert {(each["name"], each["word"]) for each in found} == {("CliReportJob", "done")}
    assert cli("bulk", id, "--only", "failed").out == ""


def test_another_job_is_no_bulk_action(cli, jobs, rocketjob):
    (job,) = made(jobs, 1)
    result = cli("bulk", job.id)
    assert (result.code, result.err) == (
        1, f"error: CliReportJob {job.id} is not a bulk action\n"
    )  # fmt: skip
    assert cli("bulk", MISSING).code == 1


def test_the_priority_of_all_that_match_is_set(cli, jobs, rocketjob):
    made(jobs, 2, fails=False)
    done, aborted = Job.all()
    aborted.abort()
    result = cli("jobs", "set", "priority=7", "--bulk", "--class", "CliReportJob", "--yes")
    assert (result.code, result.out) == (0, f"{done.id}  CliReportJob\n")
    assert [job.priority for job in Job.all()] == [7, aborted.priority]


def test_one_that_is_refused_makes_the_exit_code_1(cli, jobs, rocketjob):
    jobs.CliGuardedJob.create(), made(jobs, 1, fails=False)
    result = cli("jobs", "abort", "--bulk", "--yes")
    assert (result.code, states()) == (1, ["aborted", "queued"])
    assert "failed: RuntimeError: not today" in result.err
    assert "abort: 1 done, 1 failed" in result.err


def test_nothing_that_matches_is_no_failure(cli, rocketjob):
    assert cli("jobs", "retry", "--bulk").code == 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["jobs", "abort", "--bulk"], "this would abort 2 jobs: add --yes"),
        (["jobs", "abort", "--bulk", MISSING], "not both"),
        (["jobs", "abort", "--all-matching", "--also-later", "--yes"], "is for --bulk"),
        (["jobs", "abort", "--bulk", "--where", '{"state": {"$bad": 1}}', "--yes"], "$bad"),
        (["jobs", "set", "priority=101", "--bulk", "--yes"], "from 1 to 100, not 101"),
        (["jobs", "set", "priority=low", "--bulk", "--yes"], "from 1 to 100, not low"),
        (["jobs", "set", "run_at=1d", "--bulk", "--yes"], "only the priority"),
        (["jobs", "set", "priority=3", MISSING, "--bulk"], "not both"),
        (["jobs", "set", "priority=3", "--class", "CliReportJob"], "are for --bulk"),
        (["jobs", "event", "nonsense", "--bulk", "--yes"], "no class that is loaded here has"),
    ],
)
def test_a_doubtful_command_changes_nothing(cli, jobs, rocketjob, args, says):
    made(jobs, 2, fails=False)
    result = cli(*args)
    assert result.code == 2
    assert says in result.err
    assert states() == ["queued", "queued"]


def test_P25_many_are_destroyed_only_by_a_typed_word(shell, terminal):
    for name in "ab":
        shell("enqueue", "cli_app.jobs:CliReportJob", f"username={name}")
    refused = terminal("jobs", "destroy", "--bulk", answer="y\n")
    assert refused.code == 1
    assert "This would destroy 2 jobs (2 queued): 2 CliReportJob" in refused.out
    assert "nothing was changed" in refused.out
    assert terminal("jobs", "destroy", "--bulk", answer="destroy\n").code == 0
    assert shell("jobs", "list", "--count").out == "0\n"
