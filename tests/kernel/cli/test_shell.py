"""`rocketjob shell`: a prompt, and scripts, with the job classes imported."""

import sys
from types import ModuleType

import pytest

from rocketjob import Job
from rocketjob.cli import shell as module
from rocketjob_plugins import audit


def test_a_line_of_code_is_run_with_the_classes(cli, jobs):
    code = (
        "CliReportJob.create(username='Jack'); print(Job.count(), store.url, DirmonEntry.count())"
    )
    result = cli("shell", "-c", code)
    assert (result.code, result.err) == (0, "")
    assert result.out.split()[::2] == ["1", "0"]
    assert Job.first().username == "Jack"


def test_a_script_is_read_from_standard_input(cli):
    script = "def double(n):\n    return 2 * n\n\nprint(double(len([Job, Server])))\n1 + 1\n"
    result = cli("shell", input=script)
    assert (result.code, result.out) == (0, "4\n")
    assert cli("shell", input="").code == 0


def test_what_a_script_changes_is_in_the_audit(cli, jobs):
    code = "CliReportJob.create(username='x').abort()"
    cli("shell", "-c", code, "--reason", "wrong file")
    done = [(each.event, each.how, each.reason) for each in audit.records()]
    assert done == [
        ("abort", "rocketjob shell", "wrong file"),
        ("create", "rocketjob shell", "wrong file"),
    ]


def test_an_error_of_a_script_has_a_traceback_that_begins_with_the_script(cli):
    result = cli("shell", input="def fail():\n    return 1 / 0\n\nfail()\n")
    assert (result.code, result.out) == (1, "")
    lines = result.err.splitlines()
    assert lines[:3] == [
        "Traceback (most recent call last):",
        '  File "<stdin>", line 4, in <module>',
        "    fail()",
    ]
    assert "    return 1 / 0" in lines
    assert lines[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('no good')", 1, "no good\n"),
        ("x =", 1, "SyntaxError"),
        ("raise KeyboardInterrupt", 130, "aborted\n"),
    ],
)
def test_a_script_ends_as_python_would(cli, code, status, said):
    result = cli("shell", "-c", code)
    assert (result.code, said in result.err) == (status, True)


def test_a_script_does_not_run_without_its_app(cli):
    result = cli("shell", "--app", "no_such_app", "-c", "print('ran')")
    assert (result.code, result.out) == (1, "")
    assert "no_such_app" in result.err


def test_another_configuration_is_named_in_full_beside_a_line_of_code(local, tmp_path):
    (tmp_path / "other.toml").write_text("workers = 4\n")
    code = "print(rocketjob.settings().workers)"
    assert local("shell", "--config", "other.toml", "-c", code).out == "4\n"
    assert local("-c", "other.toml", "shell", "-c", code).out == "4\n"


def test_a_prompt_says_which_store_it_is_and_keeps_what_was_typed(terminal, tmp_path):
    typed = "CliReportJob.__name__\n1 / 0\nexit(3)\n"
    env = {"XDG_STATE_HOME": str(tmp_path / "state"), "ROCKETJOB_ACTOR": "ada"}
    args = ("shell", "--app", "cli_app.jobs", "--plain", "--url", "sqlite:///here.db")
    result = terminal(*args, answer=typed, env={**env, "NO_COLOR": "1"}, columns=200)
    assert result.code == 3, result.out
    assert f"store    sqlite:///{tmp_path}/here.db" in result.out
    assert "you      ada; what you change is recorded as yours" in result.out
    assert "warning: There is no store" in result.out
    assert "CliExitJob" in result.out
    assert "'CliReportJob'" in result.out
    assert "ZeroDivisionError" in result.out
    if sys.platform != "win32":
        history = tmp_path / "state" / "rocketjob" / "shell_history"
        assert "CliReportJob.__name__" in history.read_text()
        assert history.stat().st_mode & 0o077 == 0


def test_a_store_on_another_machine_is_named():
    urls = ["mongodb://me:secret@db1:27017,[::1]:27018/jobs", "sqlite:////var/jobs.db"]
    assert module._hosts(urls) == ["db1"]
    assert module._hosts(["mongodb://localhost/jobs", "mongodb+srv://cluster.example.com/x"]) == [
        "cluster.example.com"
    ]


def test_ipython_is_the_prompt_where_it_is_installed(monkeypatch, tmp_path):
    started = []
    ipython = ModuleType("IPython")
    ipython.start_ipython = lambda **given: started.append(given["user_ns"])
    ipython.__spec__ = object()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    names = {"Job": Job}
    assert module._prompt(names, plain=False) == 0
    assert started == [names]
