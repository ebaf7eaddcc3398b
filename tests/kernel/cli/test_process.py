"""The command line as a process: settings, stores, pipes, terminals, completion."""

import os
import signal
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from rocketjob.base.config import setting_names
from rocketjob.cli import make_cli
from rocketjob.cli.session import Session

from .conftest import environment

REPORT = "cli_app.jobs:CliReportJob"


# --- settings --------------------------------------------------------------------------------


def test_config_shows_every_setting_with_its_value_and_origin(local, tmp_path):
    (tmp_path / "rocketjob.toml").write_text("workers = 3\nlog_level = 'debug'\n")
    args = ("config", "--set", "crash_limit=5", "--log-level", "warn", "--json")
    result = local(*args, env={"ROCKETJOB_NAME": "x"})
    found = {each["name"]: (each["value"], each["origin"]) for each in result.objects}
    assert list(found) == setting_names()
    assert found["workers"] == (3, "rocketjob.toml")
    assert found["name"] == ("x", "ROCKETJOB_NAME")
    assert found["log_level"] == ("warn", "command line")
    assert found["crash_limit"] == (5, "command line")
    assert found["time_zone"] == ("UTC", "default")


def test_config_hides_keys_and_passwords(local):
    url = "mongodb://me:geheim@host/db"
    result = local("config", "--url", url, "--set", "encryption_keys=topgeheim")
    assert "geheim" not in result.out
    assert "mongodb://me:***@host/db" in result.out


def test_another_file_can_be_named_and_the_environment_still_wins(local, tmp_path):
    (tmp_path / "rocketjob.toml").write_text("workers = 3\n")
    (tmp_path / "other.toml").write_text("workers = 4\nprocesses = 2\n")
    result = local("-c", "other.toml", "config", "--json", env={"ROCKETJOB_PROCESSES": "7"})
    found = {each["name"]: each["value"] for each in result.objects}
    assert (found["workers"], found["processes"]) == (4, 7)


def test_options_may_stand_before_or_after_the_command(local):
    for args in (["--url", "sqlite:///a.db", "jobs", "list"], ["jobs", "list", "--url"]):
        args = [*args, "sqlite:///a.db"] if args[-1] == "--url" else args
        assert "/a.db does not exist" in local(*args).err


@pytest.mark.parametrize(
    "args",
    [
        "jobs list",
        "jobs counts",
        "jobs show 55aeaf03a26ec0c1bd00008d",
        "jobs explain 55aeaf03a26ec0c1bd00008d",
        "servers list",
        "schedule",
        "schedules list",
        "schedules sync --dry-run",
        "dirmon list",
        "dirmon scan --dry-run",
        "dirmon enable acme",
        "dirmon disable acme",
        "dirmon remove acme",
        "encryption rotate --set encryption_keys=2026:KyecOxWOKw0KRxcuEtO2d99NrUNL6swtw1JcLmbnrd8=",
        "store compact",
        "store compact --dry-run",
        "doctor",
        "plugins",
        "config",
    ],
)
@pytest.mark.parametrize("module", ["", "connecting"])
def test_what_only_looks_makes_no_store(shell, tmp_path, args, module):
    (tmp_path / "connecting.py").write_text(
        "import rocketjob\nrocketjob.configure(url='sqlite:///other.db')\n"
    )
    result = shell(*args.split(), *(["--app", module] if module else []))
    assert "Traceback" not in result.err
    if args not in ("plugins", "config"):
        assert "There is no store: /" in result.out + result.err
        assert result.code == 1
    assert not list(tmp_path.glob("*.db*"))


def test_enqueue_says_where_a_job_was_stored_and_whether_the_store_is_new(shell, tmp_path):
    first = shell("enqueue", REPORT, "username=Jack", "--json")
    assert first.err.strip() == (
        f"stored in sqlite:///{tmp_path}/rocketjob.db (new: made this moment)"
    )
    assert len(first.objects) == 1
    again = shell("enqueue", REPORT, "username=Jack")
    assert again.err.strip() == f"stored in sqlite:///{tmp_path}/rocketjob.db"
    assert len(again.lines) == 1


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--set", "workers=many", "config"], 2, "workers: must be a whole number"),
        (["--set", "workers", "config"], 2, "must be NAME=VALUE"),
        (["--config", "no-such-file", "config"], 2, "there is no configuration file"),
        (["--log-level", "loud", "config"], 2, "must be one of trace, debug"),
        (["--config", "bad.toml", "config"], 2, "not valid TOML"),
        (["--url", "mysql://host", "jobs", "list"], 1, "No plugin opens a store"),
        (["--url", "sqlite:///nowhere/x.db", "jobs", "list"], 1, "create the folder"),
        (["--url", "sqlite:///bad.toml", "jobs", "list"], 1, "not a database"),
        (["--url", "sqlite:///.", "jobs", "counts"], 1, "is a directory"),
    ],
)
def test_a_wrong_setting_or_store_is_told_in_one_line(local, tmp_path, args, code, says):
    (tmp_path / "bad.toml").write_text("url = \n" + "# filler\n" * 200)
    result = local(*args)
    assert result.code == code
    assert says in result.err
    assert len(result.err.splitlines()) == 1


def test_help_is_shown_whatever_the_settings_say(shell):
    result = shell("--help", env={"ROCKETJOB_WORKERS": "many"})
    assert result.code == 0
    assert "Usage: rocketjob" in result.out


def test_a_locked_store_is_told_and_nothing_is_stored(shell, tmp_path):
    import sqlite3

    url = "sqlite:///jobs.db?timeout=0.1"
    shell("enqueue", "--url", url, REPORT, "username=a")
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    result = shell("enqueue", "--url", url, REPORT, "username=b")
    other.close()
    assert result.code == 1
    assert "was locked for 0.1 s" in result.err
    assert len(result.err.splitlines()) == 1
    assert shell("jobs", "list", "--url", url, "--count").out == "1\n"


# --- a session, as somebody would have it ------------------------------------------------------


def test_a_whole_session_from_enqueue_to_destroy(shell):
    id = shell("enqueue", REPORT, "username=Jack", "priority=5").out.strip()
    assert "queued" in shell("jobs", "list").out
    assert shell("jobs", "pause", id).code == 0
    assert shell("jobs", "resume", id, "--app", "cli_app.jobs").code == 0
    assert shell("jobs", "fail", id, "--reason", "no paper").code == 0
    assert "no paper" in shell("jobs", "show", id).out
    assert shell("jobs", "destroy", id).code == 0
    assert shell("jobs", "show", id).code == 1


def test_an_unexpected_error_has_a_traceback_only_with_debug(shell, tmp_path):
    (tmp_path / "cli_odd.py").write_text(
        "from rocketjob import Job, after\nclass CliOddJob(Job):\n    def perform(self): ...\n"
        "    @after('initialize')\n    def x(self): raise KeyError('odd')\n"
    )
    short = shell("enqueue", "cli_odd:CliOddJob")
    assert (short.code, len(short.err.splitlines())) == (1, 1)
    assert "error: unexpected KeyError: 'odd' (--debug shows the traceback)" in short.err
    assert "Traceback" in shell("--debug", "enqueue", "cli_odd:CliOddJob").err


# --- pipes and terminals -----------------------------------------------------------------------


@pytest.fixture
def long_jobs(shell):
    rows = "".join(f'{{"username": "u{n}", "description": "{"long " * 40}"}}\n' for n in range(300))
    shell("enqueue", REPORT, "--many", "-", input=rows)


def test_in_a_pipe_nothing_is_cut_and_nothing_coloured(shell, long_jobs):
    lines = shell("jobs", "list", "--limit", "3", env={"COLUMNS": "60"}).lines
    assert all(("long " * 40).strip() in line for line in lines[1:])
    assert all("\x1b" not in line and line == line.rstrip() for line in lines)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_on_a_terminal_lines_are_cut_to_its_width_and_ids_never(terminal, long_jobs, columns):
    shown = terminal("jobs", "list", "--limit", "3", columns=columns, env={"NO_COLOR": "1"})
    lines = shown.out.splitlines()[1:4]
    assert all(len(line) <= columns and line.endswith("…") for line in lines)
    assert all(len(line.split()[0]) == 24 for line in lines)


def test_a_terminal_gets_colours_unless_it_asks_for_none(terminal, long_jobs):
    assert "\x1b[1m" in terminal("jobs", "list", "-n", "1").out
    assert "\x1b[" not in terminal("jobs", "list", "-n", "1", env={"NO_COLOR": "1"}).out


def test_a_reader_that_has_had_enough_is_no_failure(tmp_path, long_jobs):
    for args in (["--limit", "0"], ["--limit", "0", "--json"], ["--quiet"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "rocketjob.cli", "jobs", "list", *args],
            cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)
        process.stderr.close()


def test_an_interruption_ends_a_job_that_is_performed_with_exit_code_130(tmp_path):
    (tmp_path / "cli_slow.py").write_text(
        "import time\nfrom rocketjob import Job\nclass CliSlowJob(Job):\n"
        "    def perform(self):\n        print('ready', flush=True)\n        time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "rocketjob.cli", "perform", "cli_slow:CliSlowJob"],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == b"ready\n"
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.decode().split()) == (130, ["aborted"])


# --- completion --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed_for_each_shell(shell, name):
    result = shell("completion", name)
    assert result.code == 0
    assert "_ROCKETJOB_COMPLETE" in result.out


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["jobs", "li"], "list"),
        (["jobs", "list", "--sta"], "--state"),
        (["jobs", "list", "--state", "fa"], "failed"),
        (["jobs", "list", "--class", "Cli"], "CliReportJob"),
        (["enqueue", "cli_app.jobs:CliB"], "cli_app.jobs:CliBoomJob"),
        (["enqueue", "CliB"], "CliBoomJob"),
        (["enqueue", REPORT, "user"], "username="),
        (["jobs", "show", ""], "the id"),
    ],
)
def test_words_are_completed(rocketjob, jobs, words, offered):
    id = jobs.CliReportJob.create(username="a").id
    found = ShellComplete(make_cli(), {"obj": Session()}, "rocketjob", "").get_completions(
        words[:-1], words[-1]
    )
    assert str(id if offered == "the id" else offered) in [item.value for item in found]


def test_the_shell_completes_by_the_options_given_and_looking_creates_no_store(shell, tmp_path):
    assert complete(shell, "jobs", "show", "6") == []
    assert not list(tmp_path.glob("*.db"))
    assert complete(shell, "enqueue", "--app", "cli_app.jobs", "CliB") == ["CliBoomJob"]
    id = shell("enqueue", REPORT, "username=a").out.strip()
    assert complete(shell, "jobs", "show", id[:3]) == [id]


def test_the_shell_completes_the_ids_of_a_store_whose_url_is_not_its_path(shell):
    options = ["--set", "url=sqlite:///night%20jobs.db"]
    id = shell("enqueue", *options, REPORT, "username=a").out.strip()
    assert complete(shell, *options, "jobs", "show", id[:3]) == [id]


def complete(shell, *words):
    line = {"COMP_WORDS": " ".join(["rocketjob", *words]), "COMP_CWORD": str(len(words))}
    result = shell(env={"_ROCKETJOB_COMPLETE": "bash_complete", **line})
    assert result.err == ""
    return [line.partition(",")[2] for line in result.out.split() if line]


@pytest.mark.parametrize("command", [["server"], ["jobs", "list"], ["config"]])
def test_a_wrong_setting_is_wrong_use_whichever_the_command(shell, tmp_path, command):
    result = shell(*command, env={"ROCKETJOB_WORKERS": "abc"})
    assert (result.code, "ROCKETJOB_WORKERS = 'abc'" in result.err) == (2, True)
    (tmp_path / "rocketjob.toml").write_text("workers = 0\n")
    result = shell(*command)
    assert (result.code, "rocketjob.toml: workers = 0" in result.err) == (2, True)


@pytest.mark.parametrize(("url", "says"), [("orders.csv", "not a database"), (".", "a directory")])
def test_what_is_no_store_is_one_error(shell, tmp_path, url, says):
    (tmp_path / "orders.csv").write_text("number,amount\n")
    result = shell("jobs", "list", "--url", f"sqlite:///{url}")
    assert (result.code, len(result.err.splitlines())) == (1, 1)
    assert says in result.err
