"""`rocketjob server`: it starts, works, obeys signals, and says what is wrong."""

import json
import os
import signal
import textwrap

import pytest

from rocketjob import Job, Server
from support.servers import ServerProcess, eventually

JOBS = """
    import os, threading
    from rocketjob import Job

    class ServedJob(Job):
        destroy_on_complete = False
        def perform(self):
            self.logger.info("served", priority=self.priority)

    class HeldJob(Job):
        destroy_on_complete = False
        gate: str
        def perform(self):
            self.logger.info("held")
            while not os.path.exists(self.gate):
                threading.Event().wait(0.01)
"""


@pytest.fixture
def app(tmp_path):
    (tmp_path / "served.py").write_text(textwrap.dedent(JOBS))
    return tmp_path


@pytest.fixture
def start(app):
    """Start servers; they end with the test."""
    started = []

    def run(*args, env=None, module="served"):
        words = ["--app", module, "-w", 2, "-p", 1, *args]
        started.append(ServerProcess(app, *words, env=env))
        return started[-1]

    yield run
    for process in started:
        process.close()


def document(store, name, **fields):
    """Store a job of a class that this process does not know; return its id."""
    job = Job(**{k: v for k, v in fields.items() if k in Job.fields()})
    extra = {k: v for k, v in fields.items() if k not in Job.fields()}
    stored = {**job.to_document(), "_type": name, "destroy_on_complete": False, **extra}
    store.collection("rocket_job.jobs").insert_one(stored)
    return job.id


def states(store):
    return store.count_by("rocket_job.jobs", "state")


def test_a_server_works_jobs_and_ends_with_0_on_sigterm(start, file_store):
    server = start().says("server started")
    document(file_store.store, "ServedJob")
    eventually(lambda: states(file_store.store) == {"completed": 1})
    assert server.send(signal.SIGTERM).ends() == 0
    assert "server stopped" in server.said
    assert Server.count() == 0


def test_running_work_is_finished_before_a_server_ends(start, file_store, tmp_path):
    server = start().says("server started")
    document(file_store.store, "HeldJob", gate=str(tmp_path / "gate"))
    server.says("held").send(signal.SIGINT).says("server stopping")
    (tmp_path / "gate").touch()
    assert server.ends() == 0
    assert states(file_store.store) == {"completed": 1}


def test_a_second_signal_ends_it_at_once_with_1_and_the_job_is_queued_again(
    start, file_store, tmp_path
):
    server = start().says("server started")
    document(file_store.store, "HeldJob", gate=str(tmp_path / "gate"))
    server.says("held").send(signal.SIGTERM).says("server stopping").send(signal.SIGTERM)
    assert server.ends() == 1
    assert states(file_store.store) == {"queued": 1}


def test_work_that_outlives_the_grace_period_is_queued_again(start, file_store, tmp_path):
    server = start("--grace", 0.1).says("server started")
    document(file_store.store, "HeldJob", gate=str(tmp_path / "gate"))
    server.says("held").send(signal.SIGTERM)
    assert server.ends() == 1
    assert states(file_store.store) == {"queued": 1}


def test_a_closed_terminal_stops_a_server_in_good_order(start, file_store):
    assert start().says("server started").send(signal.SIGHUP).ends() == 0
    assert Server.count() == 0


def test_a_server_stops_when_its_standard_input_ends_if_it_is_to(start):
    server = start("--until-eof").says("server started")
    server.popen.stdin.close()
    assert server.ends() == 0


def test_the_options_are_the_settings_of_the_server(start, file_store):
    start("--name", "box", "--heartbeat", 7, "-w", 3, "-p", 2).says("server started")
    server = Server.first()
    assert (server.name, server.max_workers, server.processes) == ("box", 3, 2)
    assert server.heartbeat_seconds == 7
    assert {"ServedJob", "HeldJob"} <= set(server.classes)


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        (["--include", "^served"], "ServedJob"),
        (["--filter", "^served"], "ServedJob"),
        (["--exclude", "held"], "ServedJob"),
    ],
)
def test_filters_say_which_classes_a_server_takes(start, file_store, options, taken):
    start(*options).says("server started")
    classes = Server.first().classes
    assert taken in classes
    assert "HeldJob" not in classes


def test_where_says_which_jobs_a_server_takes(start, file_store):
    document(file_store.store, "ServedJob", priority=60)
    document(file_store.store, "ServedJob", priority=5)
    start("--where", '{"priority": {"$lte": 10}}').says("served")
    eventually(lambda: states(file_store.store) == {"completed": 1, "queued": 1})


def test_the_pidfile_holds_the_process_id_and_is_gone_at_the_end(start, tmp_path):
    server = start("--pidfile", "x.pid").says("server started")
    assert (tmp_path / "x.pid").read_text() == f"{server.popen.pid}\n"
    server.send(signal.SIGTERM).ends()
    assert not (tmp_path / "x.pid").exists()


def test_a_pidfile_that_another_server_has_taken_over_is_left_alone(start, tmp_path):
    server = start("--pidfile", "x.pid").says("server started")
    (tmp_path / "x.pid").write_text("1\n")
    server.send(signal.SIGTERM).ends()
    assert (tmp_path / "x.pid").read_text() == "1\n"


def test_json_logs_are_one_object_on_each_line(start):
    server = start("--log", "json").says("server started")
    server.send(signal.SIGTERM).ends()
    logged = [json.loads(line) for line in server.said.splitlines()]
    assert [each["message"] for each in logged][-1] == "server stopped"


def test_a_log_file_gets_all_that_is_logged(start, tmp_path):
    server = start("--log", "own.log")
    eventually(lambda: (tmp_path / "own.log").exists())
    eventually(lambda: "server started" in (tmp_path / "own.log").read_text())
    server.send(signal.SIGTERM).ends()
    assert server.said == ""


@pytest.mark.parametrize("remove", [False, True])
def test_a_log_file_that_is_rotated_or_removed_goes_on_in_a_new_one(start, tmp_path, remove):
    log = tmp_path / "own.log"
    server = start("--log", "own.log")
    eventually(lambda: log.exists() and "server started" in log.read_text())
    log.unlink() if remove else log.rename(tmp_path / "own.log.1")
    server.send(signal.SIGTERM).ends()
    assert "server started" not in log.read_text()
    assert "server stopped" in log.read_text()


def test_a_quiet_server_says_nothing_as_long_as_all_is_well(start, file_store):
    server = start("--quiet")
    eventually(lambda: Server.running().count())
    server.send(signal.SIGTERM)
    assert (server.ends(), server.said) == (0, "")


def test_it_is_said_when_no_job_class_is_found(start, tmp_path):
    (tmp_path / "hollow.py").write_text("x = 1\n")
    start(module="hollow").says("no job class was found in hollow")


def test_it_is_said_when_the_filters_leave_no_class(start):
    start("--exclude", ".").says("the filters exclude all")


def test_queued_jobs_of_classes_that_nobody_has_are_named_in_the_log(start, file_store):
    document(file_store.store, "VanishedJob")
    document(file_store.store, "ServedJob")
    start().says("jobs wait whose classes no server has loaded classes=VanishedJob")
    eventually(lambda: states(file_store.store) == {"completed": 1, "queued": 1})


def test_two_servers_of_one_name_the_second_is_refused(start):
    start("--name", "twin", "--heartbeat", 0.5).says("server started")
    second = start("--name", "twin", "--heartbeat", 0.5)
    assert second.ends() == 1
    assert "A server called twin is" in second.said


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, ["The app module broken does not exist", "Check the spelling"]),
        ("from rocketjob import Jobb\n", ["broken.py:1", "cannot import name 'Jobb'"]),
        ("\nclass X(:\n", ["broken.py:2", "SyntaxError"]),
        ("import nothing_of_that_name\n", ["broken.py:1", "nothing_of_that_name"]),
        ("\n\n1 / 0\n", ["broken.py:3", "ZeroDivisionError"]),
    ],
)
def test_an_app_that_cannot_be_imported_is_named_with_its_line(shell, tmp_path, source, says):
    if source is not None:
        (tmp_path / "broken.py").write_text(source)
    result = shell("server", "--app", "broken")
    assert result.code == 1
    assert all(text in result.err for text in says), result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "name", ["pkg/jobs.py", "./pkg/jobs.py", "pkg/jobs", "pkg.jobs:PkgJob", "pkg.jobs.PkgJob"]
)
def test_a_file_or_class_instead_of_the_apps_module_is_told_the_modules_name(shell, tmp_path, name):
    (tmp_path / "pkg").mkdir()
    source = "from rocketjob import Job\nclass PkgJob(Job):\n    def perform(self): ...\n"
    (tmp_path / "pkg" / "jobs.py").write_text(source)
    result = shell("server", "--app", name)
    assert result.code == 1
    assert f"{name} is not the name of a module" in result.err
    assert "--app pkg.jobs)" in result.err


def test_a_file_instead_of_a_module_is_told_the_name_for_enqueue_too(shell, tmp_path):
    (tmp_path / "jobs.py").write_text("")
    result = shell("enqueue", "jobs.py:PkgJob")
    assert "jobs.py is not the name of a module, as import takes it: write jobs " in result.err


def test_debug_shows_the_traceback_of_an_app_that_fails(shell, tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    assert "Traceback" in shell("server", "--app", "broken", "--debug").err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--include", "("], "is not a regular expression"),
        (["--include", "a", "--exclude", "b"], "include and exclude cannot both be set"),
        (["--where", "{x"], "is not JSON"),
        (["--where", '{"priority": {"$near": 1}}'], "does not support '$near'"),
        (["--workers", "0"], "must be at least 1"),
        (["--heartbeat", "often"], "must be a number of seconds"),
        (
            ["--url", "sqlite://:memory:"],
            "and a server has several: use a store",
        ),
        (["--url", "carrier-pigeon://x"], "No plugin opens a store"),
        (["--log-level", "loud"], "must be one of trace"),
        (["--wrkers", "3"], "--workers"),
    ],
)
def test_a_wrong_option_ends_with_2_before_anything_is_started(cli, options, says):
    result = cli("server", *options)
    assert result.code == 2
    assert says in result.err
    assert "server started" not in result.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--log", "/nonexistent/x.log"], "The log /nonexistent/x.log cannot be written"),
        (["--pidfile", "/nonexistent/x"], "The pidfile /nonexistent/x cannot be written"),
        (["--url", "sqlite:////nonexistent/x.db"], "create the folder /nonexistent first"),
    ],
)
def test_what_cannot_be_opened_is_named(shell, options, says):
    result = shell("server", *options)
    assert (result.code, says in result.err) == (1, True), result.err


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_a_banner_says_what_runs_and_how_to_stop_it(app, terminal, columns):
    # Ctrl-C, typed ahead, would come too early: the server is stopped by its own job.
    (app / "ending.py").write_text(
        "from rocketjob import Job, Server\n"
        "class EndingJob(Job):\n"
        "    def perform(self):\n"
        "        Server.stop_all()\n"
    )
    from rocketjob.testing import sandbox

    with sandbox(f"sqlite:///{app}/rocketjob.db") as made:
        document(made.store, "EndingJob")
    result = terminal("server", "--app", "ending", "-w", 1, columns=columns)
    assert result.code == 0
    for text in ("/rocketjob.db", "ending", "EndingJob", "1 thread in 1 process"):
        assert text in result.out
    assert "Ctrl-C" in result.out
    banner = result.out.split("\n\n")[0]
    # the path of the store is whole, however long, so that it can be copied
    assert all(len(line) <= columns or "/rocketjob.db" in line for line in banner.splitlines())


def test_no_process_is_left_when_a_server_is_killed(start, file_store):
    server = start().says("server started")
    document(file_store.store, "ServedJob")
    server.says("served")
    children = {
        int(line.split("[")[1].split("]")[0])
        for line in server.said.splitlines()
        if "served " in line
    }
    server.send(signal.SIGKILL).ends()
    for child in children:
        eventually(lambda child=child: not alive(child))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_class_that_would_run_otherwise_than_meant_is_refused_at_the_start(start, tmp_path):
    (tmp_path / "wrong_app.py").write_text(
        "from rocketjob import Job\n"
        "class ForgetfulNightly(Job):\n"
        "    cron_schedule = '0 3 * * *'\n"
        "    def perform(self): ...\n"
    )
    server = start(module="wrong_app")
    server.says("ForgetfulNightly.cron_schedule is a setting of Cron")
    assert server.ends() != 0
    assert "Traceback" not in server.said
