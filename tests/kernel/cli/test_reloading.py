"""`rocketjob server --reload`: a server for development."""

import signal
import textwrap

import pytest
from click.testing import CliRunner

from rocketjob import Job
from rocketjob.cli.reloading import changed_in, folders_of, snapshot, syntax_errors
from rocketjob.cli.root import make_cli
from rocketjob.testing import sandbox
from support.servers import eventually, server

APP = """
from rocketjob import Job

class ReloadedJob(Job):
    destroy_on_complete = False
    collect_output = True

    def perform(self):
        return {answer!r}
"""


def written(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text))
    return file


def saved(file, text):
    """Write a file in one step, as editors do."""
    written(file.with_suffix(".new"), text).replace(file)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_module_in_the_current_directory_stands_for_all_of_it(folder):
    written(folder / "reloaded_app.py", "")
    assert folders_of(["reloaded_app"]) == [str(folder)]
    written(folder / "reloaded_package/__init__.py", "")
    assert folders_of(["reloaded_package.jobs", "reloaded_app"]) == [str(folder)]


def test_a_package_elsewhere_is_watched_where_it_is(folder, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    package = written(elsewhere / "reloaded_far/__init__.py", "raise SystemExit").parent
    monkeypatch.syspath_prepend(str(elsewhere))
    assert folders_of(["reloaded_far.jobs"]) == [str(package)]
    assert folders_of(["reloaded_nowhere"]) == [str(folder)]


def test_sources_are_seen_to_change_and_what_is_not_of_the_app_is_passed_over(folder):
    app = written(folder / "app.py", "a = 1")
    gone = written(folder / "pkg/gone.py", "")
    for other in (".git/x.py", "venv/lib/x.py", "node_modules/x.py", "__pycache__/x.py", "a.txt"):
        written(folder / other, "")
    written(folder / "venv/pyvenv.cfg", "")
    before = snapshot([str(folder)])
    assert sorted(before) == [str(app), str(gone)]
    assert changed_in(before, snapshot([str(folder)])) == []
    app.write_text("a = 12")
    gone.unlink()
    new = written(folder / "pkg/new.py", "")
    assert changed_in(before, snapshot([str(folder)])) == [str(app), str(gone), str(new)]


def test_what_python_cannot_read_is_named_with_its_line(folder):
    good = written(folder / "good.py", "# coding: latin-1\na = 1")
    wrong = written(folder / "wrong.py", "a = 1\ndef x(:\n")
    null = folder / "null.py"
    null.write_bytes(b"a = 1\0")
    (error, other) = syntax_errors([str(good), str(wrong), str(null), str(folder / "gone.py")])
    assert error.startswith(f"{wrong}:2: SyntaxError: ")
    assert other.startswith(str(null))


def test_without_an_app_there_is_nothing_to_watch(rocketjob):
    refused = CliRunner().invoke(make_cli(), ["server", "--reload"])
    assert refused.exit_code == 2
    assert "--reload watches the modules of the app: name them with --app" in refused.stderr


def test_a_server_goes_on_with_what_was_saved(tmp_path):
    app = written(tmp_path / "app.py", APP.format(answer="first"))
    url = f"sqlite:///{tmp_path}/rocketjob.db"
    scope = {"__name__": "app"}
    exec(app.read_text(), scope)
    job_class = scope["ReloadedJob"]

    def answer():
        job = job_class.create()
        return eventually(lambda: Job.find(job.id).result)["result"]

    with sandbox(url), server(tmp_path, "--app", "app", "--reload", "-w", 1, "-p", 1) as process:
        process.says("server started")
        assert answer() == "first"
        saved(app, "def x(:\n")
        process.says("app.py:1: SyntaxError").says("not started again: correct it and save")
        assert answer() == "first"  # the code of before goes on
        saved(app, APP.format(answer="second"))
        process.says("app.py changed: starting again")
        eventually(lambda: process.said.count("server started") == 2)
        assert answer() == "second"
        assert process.send(signal.SIGINT).ends() == 0
        assert process.said.count("server stopped") == 2
