"""`rocketjob jobs list`, `show`, `counts` and `set`."""

from datetime import timedelta

import pytest

from rocketjob import Job, UnknownJob
from rocketjob.jobs.query import STATES
from support.encryption import reversing

MISSING = "55aeaf03a26ec0c1bd00008d"


@pytest.fixture
def stored(jobs, rocketjob):
    """Four jobs: completed, failed, scheduled and queued."""
    made = {
        "completed": jobs.CliReportJob.create(username="Jack", priority=5),
        "failed": jobs.CliBoomJob.create(priority=6, message="it broke"),
    }
    rocketjob.work_off()
    made["scheduled"] = jobs.CliReportJob.create(username="Jill", run_at=timedelta(hours=2))
    made["queued"] = jobs.CliMonthlyReportJob.create(username="Joe", description="for Joe")
    return made


def ids(result):
    return {line.split()[0] for line in result.lines[1:]}


def test_list_shows_the_newest_job_first_with_what_matters_in_its_state(cli, stored):
    result = cli("jobs", "list")
    assert result.lines[0].split() == ["ID", "CLASS", "STATE", "PRI", "CREATED", "TOOK", "DETAIL"]
    assert [line.split()[0] for line in result.lines[1:]] == [
        str(stored[name].id) for name in ("queued", "scheduled", "failed", "completed")
    ]
    assert "ValueError: it broke" in result.lines[3]
    assert "starts in" in result.lines[2]
    assert "for Joe" in result.lines[1]


def test_a_job_that_waits_for_another_attempt_is_not_said_to_run(cli, jobs, rocketjob):
    job = jobs.CliBoomJob.create()
    rocketjob.work_off()
    job.reload().retry()
    assert job.reload().started_at is not None
    took = cli("jobs", "list").lines[0].index("TOOK")
    assert cli("jobs", "list").lines[1][took : took + 5].strip() == ""
    assert "Running for" not in cli("jobs", "show", str(job.id)).out


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (["--state", "failed"], {"failed"}),
        (["-s", "failed", "-s", "completed"], {"failed", "completed"}),
        (["--state", "scheduled"], {"scheduled"}),
        (["--state", "scheduled", "-s", "failed"], {"scheduled", "failed"}),
        (["--class", "CliReportJob"], {"completed", "scheduled", "queued"}),
        (["--class", "CliMonthlyReportJob", "--class", "CliBoomJob"], {"queued", "failed"}),
        (["--priority", "6"], {"failed"}),
        (["--where", '{"username": "Jill"}'], {"scheduled"}),
        (["--where", '{"priority": {"$lte": 5}}'], {"completed"}),
        (["--where", '{"run_at": {"$gt": "2020-01-31T00:00:00Z"}}'], {"scheduled"}),
        (["--where", '{"$or": [{"run_at": {"$gt": "1h"}}, {"priority": 6}]}'],
         {"scheduled", "failed"}),
        (["--state", "queued", "--class", "CliReportJob", "--priority", "50"],
         {"scheduled", "queued"}),
        (["class:CliReportJob field.username:Jill"], {"scheduled"}),
        (["state:failed", 'error:"it broke"'], {"failed"}),
        (["joe OR state:failed"], {"queued", "failed"}),
        (["--where", "priority:<6"], {"completed"}),
        (["-w", "class:CliReportJob", "--state", "queued", "NOT joe"], {"scheduled"}),
    ],
)  # fmt: skip
def test_list_narrows_by_what_the_options_say(cli, stored, args, names):
    assert ids(cli("jobs", "list", *args)) == {str(stored[name].id) for name in names}


def test_list_counts_sorts_limits_and_prints_only_ids(cli, stored):
    assert cli("jobs", "list", "--count").out == "4\n"
    assert cli("jobs", "list", "--count", "--json").object == {"count": 4}
    by_priority = cli("jobs", "list", "--sort", "priority", "-q", "-n", "2").lines
    assert by_priority == [str(stored[name].id) for name in ("completed", "failed")]


def test_list_says_how_many_more_there_are(cli, stored):
    assert "2 of 4 jobs" in cli("jobs", "list", "--limit", "2").err
    assert cli("jobs", "list", "--limit", "0").err == ""


def test_an_empty_list_says_which_store_it_looked_at(cli):
    result = cli("jobs", "list")
    assert (result.code, result.out) == (0, "")
    assert "sqlite://" in result.err


def test_json_has_the_same_keys_for_every_job_and_times_in_iso_8601(cli, stored):
    found = cli("jobs", "list", "--json").objects
    assert len({tuple(each) for each in found}) == 1
    by_id = {each["id"]: each for each in found}
    failed = by_id[str(stored["failed"].id)]
    assert failed["exception"] == {"class_name": "ValueError", "message": "it broke"}
    assert failed["created_at"].endswith("Z")
    assert failed["completed_at"] > failed["created_at"]


def test_show_has_fields_exception_history_and_what_can_be_done(cli, stored):
    id = stored["failed"].id
    shown = cli("jobs", "show", id).out
    assert f"CliBoomJob {id} failed" in shown
    assert "message  it broke" in shown
    assert "raise ValueError(self.message)" in shown
    assert "fail   failed" in shown
    assert f"rocketjob jobs retry|abort|destroy {id}" in shown


def test_show_prints_all_of_a_job_as_json(cli, stored):
    found = cli("jobs", "show", stored["failed"].id, "--json").object
    assert found["fields"] == {"message": "it broke"}
    assert found["exception"]["backtrace"][-1].strip().startswith("raise ValueError")
    assert [entry["state"] for entry in found["history"]] == ["running", "failed"]
    assert "retry" in found["possible_events"]
    result = cli("jobs", "show", stored["completed"].id, "--json").object
    assert result["result"] is None
    assert set(found) == set(result)


def test_show_goes_on_after_an_id_that_is_not_there(cli, stored):
    result = cli("jobs", "show", MISSING, stored["failed"].id)
    assert result.code == 1
    assert MISSING in result.err
    assert "CliBoomJob" in result.out


def test_counts_are_by_class_and_state(cli, stored):
    rows = [line.split() for line in cli("jobs", "counts").lines]
    assert rows[0] == ["CLASS", *(state.upper() for state in STATES), "TOTAL"]
    assert rows[-1] == ["all", "2", "-", "1", "1", "-", "-", "4"]
    found = {each.pop("class"): each for each in cli("jobs", "counts", "--json").objects}
    assert found["CliReportJob"] == {
        **dict.fromkeys(STATES, 0), "queued": 1, "completed": 1, "total": 2,
    }  # fmt: skip


def test_set_changes_fields_that_may_be_edited(cli, stored):
    id = stored["queued"].id
    result = cli("jobs", "set", id, "priority=1", "report_date=2026-01-31")
    assert "priority=1" in result.out
    assert Job.find(id).priority == 1
    assert cli("jobs", "set", id, "priority=2", "--json").object["priority"] == 2


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["user_count=3"], "cannot be edited; editable are"),
        (["prority=3"], "did you mean priority?"),
        (["priority=high"], "must be a whole number"),
        (["priority=300"], "must be from 1 to 100"),
        ([], "give at least one ID"),
    ],
)
def test_set_refuses_what_may_not_be_set_and_changes_nothing(cli, stored, args, says):
    scheduled, queued = stored["scheduled"].id, stored["queued"].id
    result = cli("jobs", "set", scheduled, queued, *args)
    assert result.code == 2
    assert says in result.err
    assert Job.find(queued).priority == Job.find(scheduled).priority == 50


def test_a_job_whose_class_is_not_loaded_is_shown_with_the_name_it_was_stored_with(cli, rocketjob):
    job = forget(UnknownJob.create())
    assert "CliGoneJob" in cli("jobs", "list").out
    assert "CliGoneJob" in cli("jobs", "list", "--class", "CliGoneJob").out
    shown = cli("jobs", "show", job.id)
    assert "its own fields are shown as stored" in shown.out.replace("Its", "its")
    found = cli("jobs", "list", "--json").object
    assert (found["class"], found["known_class"]) == ("CliGoneJob", False)
    assert "CliGoneJob" in cli("jobs", "counts").out


def forget(job, name="CliGoneJob"):
    Job.collection().update_one({"_id": job.id}, {"$set": {"_type": name}})
    return job


def spoil(job, **values):
    Job.collection().update_one({"_id": job.id}, {"$set": values})
    return job.id


def test_a_job_that_does_not_fit_its_class_any_more_is_shown_with_a_mark(cli, stored):
    id = spoil(stored["queued"], report_date="whenever", removed_since=1)
    result = cli("jobs", "list")
    assert len(ids(result)) == 4
    assert "does not fit its class: report_date must be date, not str 'whenever'" in result.out
    shown = cli("jobs", "show", id)
    assert "It does not fit its class: report_date must be date" in shown.out
    assert "CliMonthlyReportJob" in shown.out and "whenever" in shown.out
    found = cli("jobs", "show", "--json", id).object
    assert found["problem"].startswith("does not fit its class")
    assert found["fields"]["report_date"] == "whenever"


def test_a_field_that_has_become_required_is_named(cli, stored):
    Job.collection().update_one({"_id": stored["queued"].id}, {"$unset": {"username": ""}})
    assert "does not fit its class: username has no value" in cli("jobs", "list").out


@pytest.mark.parametrize(
    "values",
    [
        {"priority": "high"},
        {"exception": "it broke"},
        {"created_at": "today"},
        {"created_at": None, "state": 3},
        {"run_at": "soon", "completed_at": 5, "description": 3, "worker_name": 1},
        {"_type": None},
        {"_type": 7},
    ],
)
def test_a_document_that_nothing_fits_is_listed_and_shown_and_can_be_destroyed(cli, stored, values):
    id = spoil(stored["queued"], **values)
    assert len(ids(cli("jobs", "list"))) == 4
    assert len(cli("jobs", "list", "--json").objects) == 4
    assert str(id) in cli("jobs", "show", id).out
    assert cli("jobs", "show", "--json", id).object["problem"] or "_type" in values
    assert cli("jobs", "destroy", id).code == 0


def test_a_job_whose_class_raises_is_listed_and_can_be_aborted(cli, jobs, stored):
    job = jobs.CliFussyJob.create(note="fine")
    spoil(job, note="fussy")
    assert "cannot be loaded: ZeroDivisionError: fussy" in cli("jobs", "list").out
    assert "It cannot be loaded: ZeroDivisionError" in cli("jobs", "show", job.id).out
    refused = cli("jobs", "run-now", job.id)
    assert (refused.code, "ZeroDivisionError: fussy" in refused.err) == (1, True)
    assert "--app" not in refused.err
    assert cli("jobs", "abort", job.id).code == 0
    assert Job.collection().find_one({"_id": job.id})["state"] == "aborted"


def test_events_of_a_job_that_does_not_fit_its_class(cli, stored):
    id = spoil(stored["failed"], message=["no", "text"])
    refused = cli("jobs", "retry", id)
    assert (refused.code, "message: must be str, not list" in refused.err) == (1, True)
    assert cli("jobs", "abort", id).code == 0
    found = Job.collection().find_one({"_id": id})
    assert (found["state"], found["message"]) == ("aborted", ["no", "text"])


def test_encrypted_fields_are_hidden_unless_they_are_to_be_revealed(cli, jobs, rocketjob):
    reversing(rocketjob)
    job = jobs.CliSecretJob.create(token="s3cret")
    plain = cli("jobs", "show", job.id), cli("jobs", "show", "--json", job.id)
    listed = cli("jobs", "list"), cli("jobs", "list", "--json"), cli("jobs", "explain", job.id)
    changed = cli("jobs", "set", job.id, "token=s3cret-2"), cli("jobs", "set", job.id, "pin=s3c")
    assert all("s3c" not in each.out + each.err for each in (*plain, *listed, *changed))
    assert plain[1].object["fields"]["token"] == "(encrypted)"
    assert changed[0].out.split()[-1] == "token=(encrypted)"
    assert "pin: must be int; the value is not shown" in changed[1].err
    assert "s3cret-2" in cli("jobs", "show", "--reveal", job.id).out


def test_without_the_key_a_job_is_listed_shown_and_steered(cli, jobs, rocketjob):
    key = reversing(rocketjob)
    job = jobs.CliSecretJob.create(token="s3cret", run_at=timedelta(hours=2))
    key.lost = True
    assert "CliSecretJob" in cli("jobs", "list").out
    assert "(encrypted)" in cli("jobs", "show", job.id).out
    revealed = cli("jobs", "show", "--reveal", job.id)
    assert (revealed.code, "no key here decrypts it" in revealed.err) == (1, True)
    for event in ("run-now", "pause", "resume", "fail", "retry", "abort"):
        assert cli("jobs", event, job.id).code == 0, event
    assert isinstance(Job.collection().find_one({"_id": job.id})["token"], bytes)


def test_what_a_job_stores_cannot_steer_the_terminal(cli, jobs):
    jobs.CliReportJob.create(username="x", description="\x1b[31mred\x07\nsecond line")
    line = cli("jobs", "list").lines[1]
    assert r"\x1b[31mred\x07 second line" in line


def test_an_app_that_fails_to_import_is_a_warning_where_jobs_are_only_shown(shell, tmp_path):
    (tmp_path / "cli_bad_app.py").write_text("1 / 0\n")
    assert shell("enqueue", "cli_app.jobs:CliReportJob", "username=x").code == 0
    listed = shell("jobs", "list", "--app", "cli_bad_app")
    assert (listed.code, len(listed.lines)) == (0, 2)
    assert "warning: " in listed.err and "cli_bad_app.py:1: ZeroDivisionError" in listed.err
    assert shell("jobs", "abort", MISSING, "--app", "cli_bad_app").code == 1


def test_P17_a_search_that_cannot_be_understood_is_shown_with_its_place(cli, stored):
    result = cli("jobs", "list", "--where", "joe field.usrname:x")
    said, line, marks = result.err.splitlines()
    assert result.code == 2
    assert said.startswith("error: --where: at character 5: no job class that is loaded here has")
    assert said.endswith("did you mean username?")
    assert (line, marks) == ("  joe field.usrname:x", "      ^^^^^^^^^^^^^")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["list", "--where", "{x"], "not JSON"),
        (["list", "--where", "[1]"], "must be a JSON object"),
        (["list", "--where", '{"priority": {"$bad": 1}}'], "$bad"),
        (["list", "--json", "--where", '{"priority": {"$bad": 1}}'], "$bad"),
        (["list", "--count", "--where", '{"priority": {"$bad": 1}}'], "$bad"),
        (["list", "--quiet", "--where", '{"priority": {"$bad": 1}}'], "$bad"),
        (["list", "--where", '{"$or": 3}'], "must be a list of filters"),
        (["list", "--where", '{"created_at": {"$gt": "whenever"}}'], "must be a time"),
        (["list", "--class", "CliReprtJob"], "did you mean CliReportJob?"),
        (["list", "--state", "faild"], "there is no state faild; did you mean failed?"),
        (["list", "--limit", "-1"], "--limit"),
        (["list", "--priority", "0"], "--priority"),
        (["show", "zzz"], "24 hexadecimal digits"),
        (["show"], "Missing argument"),
    ],
)
def test_wrong_input_is_told_in_one_line_with_exit_code_2(cli, stored, args, says):
    result = cli("jobs", *args)
    assert result.code == 2
    assert says in result.err
    assert len(result.err.splitlines()) == 1


def test_an_unknown_field_in_a_filter_is_a_warning(cli, stored):
    result = cli("jobs", "list", "--where", '{"priorty": 3}')
    assert result.code == 0
    assert "did you mean priority?" in result.err


def test_show_says_what_is_known_of_a_job_that_is_gone(cli, rocketjob):
    class ShownGoneJob(Job):
        def perform(self): ...

    completed, destroyed = ShownGoneJob.create(), ShownGoneJob.create()
    destroyed.destroy()
    rocketjob.work_off()
    result = cli("jobs", "show", completed.id)
    assert result.code == 1
    assert f"{completed.id}: it completed at " in result.err
    result = cli("jobs", "show", destroyed.id)
    assert f"{destroyed.id}: it may have completed and been removed then" in result.err
