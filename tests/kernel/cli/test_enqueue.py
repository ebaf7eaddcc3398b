"""`rocketjob enqueue` and `rocketjob perform`."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from rocketjob import Job

REPORT = "cli_app.jobs:CliReportJob"
IMPORT = "cli_app.jobs:CliImportJob"


def test_a_job_is_stored_from_texts_and_its_id_printed(cli):
    result = cli("enqueue", REPORT, "username=Jack", "priority=5", "report_date=2026-01-31")
    job = Job.find(result.out.strip())
    assert (job.username, job.priority, job.report_date) == ("Jack", 5, date(2026, 1, 31))
    assert result.code == 0


def test_times_may_be_given_from_now(cli, rocketjob):
    rocketjob.freeze(datetime(2026, 1, 1, tzinfo=UTC))
    cli("enqueue", REPORT, "username=x", "run_at=2h", "expires_at=2026-02-01T00:00:00Z")
    job = Job.first()
    assert job.run_at - job.created_at == timedelta(hours=2)
    assert job.expires_at == datetime(2026, 2, 1, tzinfo=UTC)


def test_a_value_may_contain_an_equals_sign(cli):
    cli("enqueue", REPORT, "username=a=b")
    assert Job.first().username == "a=b"


def test_arguments_are_parsed_by_the_annotations_of_perform(cli):
    cli("enqueue", IMPORT, "--arg", "7", "--kwarg", "dry_run=yes", "--kwarg", "wait=90s")
    assert Job.first().arguments == {
        "args": ["7"],
        "kwargs": {"dry_run": True, "wait": timedelta(seconds=90)},
    }


def test_arguments_without_annotation_are_json_or_else_text(cli):
    cli("enqueue", "cli_app.jobs:CliLooseJob", "--arg", "7", "--arg", "x", "--kwarg", "a=[1]")
    assert Job.first().arguments == {"args": [7, "x"], "kwargs": {"a": [1]}}


def test_arguments_without_annotation_keep_their_zeros(cli):
    cli("enqueue", "cli_app.jobs:CliLooseJob", "--arg", "00501", "--kwarg", "price=1.10")
    assert Job.first().arguments == {"args": ["00501"], "kwargs": {"price": "1.10"}}


def test_a_string_in_json_stays_one_wherever_its_type_allows_it(rocketjob):
    class TextedJob(Job):
        anything: dict[str, Any] = {}
        several: list[Any] = []
        either: dict[str, int | str | None] = {}
        numbers: list[int] = []

        def perform(self): ...

    texts = {
        "anything": '{"zip": "01234", "is": "true", "no": "null", "in": [{"n": "1.50"}], "one": 1}',
        "several": '["007", 7, "2026-01-01"]',
        "either": '{"a": "1", "b": 1, "c": null, "d": "null"}',
        "numbers": '["1", 2]',
    }
    job = TextedJob(
        **{name: TextedJob.fields()[name].codec.from_text(text) for name, text in texts.items()}
    )
    job.save()
    job = TextedJob.find(job.id)
    assert job.anything == {
        **{"zip": "01234", "is": "true", "no": "null", "in": [{"n": "1.50"}], "one": 1}
    }
    assert job.several == ["007", 7, "2026-01-01"]
    assert job.either == {"a": "1", "b": 1, "c": None, "d": "null"}
    assert job.numbers == [1, 2]


def test_json_that_cannot_be_kept_as_it_is_is_refused(cli):
    result = cli("enqueue", "cli_app.jobs:CliLooseJob", "--arg", '{"a": 1e999}')
    assert result.code == 2
    assert "the number 1e999 cannot be kept as it is: put it in double quotes" in result.err


def test_a_plain_class_name_is_found_in_the_app_modules(cli, shell):
    result = shell("enqueue", "CliReportJob", "username=x", env={"ROCKETJOB_APP": "cli_app.jobs"})
    assert result.code == 0
    result = shell("enqueue", "--app", "cli_app.jobs", "CliReportJob", "username=x")
    assert result.code == 0


def test_json_has_the_class_and_the_state(cli):
    found = cli("enqueue", REPORT, "username=x", "--json").object
    assert (found["class"], found["state"]) == ("CliReportJob", "queued")


def test_many_jobs_are_stored_from_a_file_with_a_json_object_on_each_line(cli, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"username": "a"}\n\n{"username": "b", "report_date": "2026-01-31"}\n')
    result = cli("enqueue", REPORT, "priority=7", "--many", rows)
    assert [Job.find(line).username for line in result.lines] == ["a", "b"]
    assert [job.priority for job in Job.all()] == [7, 7]


def test_many_jobs_may_come_from_standard_input(cli):
    result = cli("enqueue", REPORT, "--many", "-", input='{"username": "a"}\n')
    assert len(result.lines) == 1


def test_of_many_jobs_none_is_stored_if_a_line_is_wrong_and_each_wrong_line_is_told(cli):
    lines = '{"username": "a"}\n{"username": 3}\n{nope\n[1]\n{"username": "x", "usr": 1}\n'
    result = cli("enqueue", REPORT, "--many", "-", input=lines)
    assert result.code == 2
    for part in ("line 2: ", "line 3: not JSON", "line 4: must be a JSON object", "line 5: "):
        assert part in result.err
    assert Job.count() == 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["nope.jobs:X"], "no module nope.jobs"),
        (["cli_app.nope:X"], "no module cli_app.nope"),
        (["cli_app.jobs:CliReprtJob"], "did you mean CliReportJob?"),
        (["cli_app.jobs:NOT_A_JOB"], "is not a job class"),
        (["NoSuchThingAtAll"], "write module:NoSuchThingAtAll"),
        (["cli_app.jobs.CliReportJob"], "did you mean cli_app.jobs:CliReportJob?"),
        ([":X"], "must be module:Class"),
        ([REPORT], "username: is required"),
        ([REPORT, "usernme=x"], "did you mean username?"),
        ([REPORT, "username=x", "user_count=many"], "user_count: must be a whole number"),
        ([REPORT, "username=x", "priority=500"], "priority: must be from 1 to 100"),
        ([REPORT, "username=x", "run_at=soon"], "run_at: must be a time"),
        ([REPORT, "username=x", "tags=[1"], "tags: "),
        ([REPORT, "username=x", "state=failed"], "set by the system"),
        ([REPORT, "username"], "must be name=value"),
        ([REPORT, "username=a", "username=b"], "given twice"),
        ([REPORT, "--many", "no-such-file"], "No such file"),
        ([REPORT, "--many", "-", "--arg", "x"], "cannot be combined with --arg"),
        ([IMPORT], "give --arg VALUE"),
        ([IMPORT, "--arg", "x", "--arg", "y"], "too many positional arguments"),
        ([IMPORT, "--arg", "x", "--kwarg", "dryrun=1"], "unexpected keyword argument"),
        ([IMPORT, "--arg", "x", "--kwarg", "dry_run=maybe"], "must be true or false"),
    ],
)
@pytest.mark.parametrize("command", ["enqueue", "perform"])
def test_wrong_input_says_what_is_wrong_in_one_line_and_stores_nothing(cli, command, args, says):
    if command == "perform" and "--many" in args:
        pytest.skip("perform runs one job")
    result = cli(command, *args)
    assert result.code == 2
    assert says in result.err
    assert len(result.err.splitlines()) == 1
    assert Job.count() == 0


def test_a_module_that_fails_to_import_is_named_with_file_and_line(cli, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "cli_broken.py").write_text("import os\nimport no_such_thing\n")
    (tmp_path / "cli_syntax.py").write_text("x = (\n")
    (tmp_path / "cli_event.py").write_text(
        "from rocketjob import Job, before\nclass CliEventJob(Job):\n"
        "    @before('strt')\n    def x(self): ...\n"
    )
    for name, says in (
        ("cli_broken", "cli_broken.py:2: ModuleNotFoundError: No module named 'no_such_thing'"),
        ("cli_syntax", "cli_syntax.py:1: SyntaxError"),
        ("cli_event", "cli_event.py:2: TypeError: @before('strt') on CliEventJob.x"),
    ):
        result = cli("enqueue", f"{name}:X")
        assert result.code == 1
        assert says in result.err


# --- perform ---------------------------------------------------------------------------------


def test_perform_prints_what_perform_returned_and_stores_nothing(cli):
    result = cli("perform", REPORT, "username=Jack")
    assert '"calculation": 24000' in result.out
    assert "building" not in result.out
    assert Job.count() == 0


def test_a_text_that_perform_returned_is_printed_as_it_is(cli):
    assert cli("perform", IMPORT, "--arg", "data.csv").out == "data.csv False None\n"


def test_perform_prints_the_result_as_json(cli):
    found = cli("perform", "cli_app.jobs:CliLooseJob", "--arg", "1", "--json").object
    assert (found["result"], found["state"]) == ([1, {}], "completed")


@pytest.mark.parametrize(
    ("name", "says"), [("CliBoomJob", "ValueError: boom"), ("CliExitJob", "SystemExit: 3")]
)
def test_a_job_that_raises_gives_exit_code_1_and_the_line_at_which_it_raised(cli, name, says):
    result = cli("perform", f"cli_app.jobs:{name}")
    assert result.code == 1
    assert says in result.err
    assert "jobs.py:" in result.err
    assert "Traceback" not in result.err


def test_debug_shows_the_traceback_of_the_job(cli):
    result = cli("perform", "--debug", "cli_app.jobs:CliBoomJob")
    assert result.code == 1
    assert "Traceback" in result.err
    assert "in perform" in result.err


@pytest.fixture
def twins(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "cli_twins.py").write_text(
        "from rocketjob import Job\n"
        "from rocketjob_plugins.cron import Cron\n"
        "from rocketjob_plugins.singleton import Singleton\n"
        "class CliTwinJob(Singleton, Job):\n"
        "    def perform(self): ...\n"
        "class CliCronTwinJob(Cron, Job):\n"
        "    cron_schedule = '@daily'\n"
        "    def perform(self): ...\n"
        "class CliIdleJob(Job):\n"
        "    def peform(self): ...\n"
    )


@pytest.mark.parametrize("name", ["CliTwinJob", "CliCronTwinJob"])
def test_a_job_that_another_one_keeps_out_is_refused_with_1(shell, twins, name):
    assert shell("enqueue", f"cli_twins:{name}").code == 0
    again = shell("enqueue", f"cli_twins:{name}")
    assert (again.code, "Another instance" in again.err) == (1, True)
    assert shell("enqueue", f"cli_twins:{name}", "--many", "-", input="{}\n").code == 1
    assert shell("enqueue", f"cli_twins:{name}", "priority=900").code == 2


def test_a_class_without_perform_is_not_enqueued(shell, twins):
    result = shell("enqueue", "cli_twins:CliIdleJob")
    assert result.code == 2
    assert "CliIdleJob has no perform method: did you mean peform to be it?" in result.err


def test_an_unknown_field_is_named_once(cli):
    result = cli("enqueue", "cli_app.jobs:CliReportJob", "usrname=x")
    assert "usrname: there is no such field; did you mean username?" in result.err


def test_an_argument_whose_type_is_for_checkers_only_is_an_error_and_no_text(cli):
    done = cli("enqueue", "cli_app.jobs:CliUnresolvedJob", "--kwarg", "day=2026-01-01")
    assert done.code == 2
    assert (
        "CliUnresolvedJob.perform: day has the type 'checked_date | None', which cannot be "
        "resolved: name 'checked_date' is not defined. Import it at "
        "module level, not under TYPE_CHECKING"
    ) in done.err
    assert Job.count() == 0


def test_a_job_that_would_end_with_the_command_is_refused(shell):
    result = shell("enqueue", "--url", "sqlite://:memory:", REPORT, "username=x")
    assert (result.code, result.out) == (1, "")
    assert "a job that this command stores would end with it: use a store that" in result.err
