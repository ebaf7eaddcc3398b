"""`rocketjob servers`: what is seen of servers, and what they are told."""

import re
import signal
import threading
from datetime import timedelta

import pytest

from rocketjob import Job, Server
from rocketjob.base import clock
from rocketjob.cli import draining
from rocketjob.server.subscribers import QuestionSubscriber
from support.questions import at_work, hear_while_waiting
from support.servers import ServerProcess, ended_process, eventually


def registered(name, state="running", beat=timedelta(seconds=2), **fields):
    """Store a server as one that runs somewhere has registered itself."""
    heartbeat = {
        "updated_at": clock.now() - beat,
        "number": 3,
        "workers": fields.get("max_workers", 10),
        "performing": [],
    }
    started = clock.now() - timedelta(hours=2)
    return Server(name=name, state=state, heartbeat=heartbeat, started_at=started, **fields).save()


@pytest.fixture
def two(rocketjob):
    return registered("web-1:41", host="web-1", pid=41), registered("db-1:7", host="db-1", pid=7)


def state(server):
    return Server.find(server.id).state


# --- list ------------------------------------------------------------------------------------


def rows(result):
    return [" ".join(line.split()) for line in result.lines]


def test_the_list_says_what_a_person_wants_to_know(cli, two):
    registered("old:1", beat=timedelta(minutes=5), host="old", pid=1, processes=4)
    registered("held:1", state="paused", host="held", pid=1)
    assert rows(cli("servers", "list")) == [
        "NAME STATE WORKERS PROCS STARTED HEARTBEAT",
        "db-1:7 running 10/10 1 2h ago 2s ago",
        "held:1 paused 10/10 1 2h ago 2s ago",
        "old:1 zombie 10/10 4 2h ago 5m ago",
        "web-1:41 running 10/10 1 2h ago 2s ago",
    ]


def test_host_and_pid_are_shown_where_the_names_do_not_say_them(cli, rocketjob):
    registered("reports", host="web-1", pid=41)
    assert rows(cli("servers", "list")) == [
        "NAME STATE WORKERS PROCS STARTED HEARTBEAT HOST PID",
        "reports running 10/10 1 2h ago 2s ago web-1 41",
    ]


def test_the_list_can_be_narrowed_by_part_of_a_name(cli, two):
    assert [row.split()[0] for row in cli("servers", "list", "web").lines[1:]] == ["web-1:41"]


def test_json_gives_one_object_for_each_server(cli, two):
    db, web = cli("servers", "list", "--json").objects
    assert (db["name"], web["name"]) == ("db-1:7", "web-1:41")
    assert (db["state"], db["zombie"], db["max_workers"], db["pid"]) == ("running", False, 10, 7)
    assert db["id"] == str(two[1].id)
    assert db["heartbeat_at"].endswith("Z")


def test_no_server_is_no_error(cli):
    result = cli("servers", "list")
    assert (result.code, result.out) == (0, "")
    assert "Start one: rocketjob server" in result.err


def test_an_unknown_name_is_an_error_that_names_those_there_are(cli, two):
    for command in ("list", "stop", "kill", "pause", "resume", "dump"):
        result = cli("servers", command, "nobody")
        assert result.code == 1
        assert "No server is called nobody; there are: db-1:7, web-1:41" in result.err


def test_a_watch_shows_the_list_again_and_again_until_it_is_interrupted(cli, two, monkeypatch):
    shown = []

    def interrupt(found, as_json):
        shown.append(len(found))
        if len(shown) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("rocketjob.cli.servers._show", interrupt)
    assert cli("servers", "list", "--watch", "--every", "0.05").code == 0
    assert shown == [2, 2, 2]


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_the_terminal_and_names_are_whole(terminal, file_store, columns):
    pod = "rocketjob-worker-7d9f8b6c5-x2x9p"
    registered(f"{pod}:1", host=pod, pid=1)
    result = terminal("servers", "list", columns=columns)
    assert f"{pod}:1" in result.out
    plain = [click_unstyle(line) for line in result.lines]
    assert max(map(len, plain)) <= columns


def click_unstyle(text):
    import click

    return click.unstyle(text)


# --- telling them ----------------------------------------------------------------------------


def test_one_server_is_told_by_part_of_its_name(cli, two):
    web, db = two
    result = cli("servers", "pause", "web")
    assert (result.code, result.out) == (0, "web-1:41: paused\n")
    assert (state(web), state(db)) == ("paused", "running")


def test_a_name_with_a_colon_is_the_whole_name(cli, two):
    assert cli("servers", "stop", "web-1:4").code == 1
    assert cli("servers", "stop", "web-1:41").code == 0
    assert [state(server) for server in two] == ["stopping", "running"]


def test_all_servers_are_told_only_if_that_is_said(cli, two):
    for command, *options in (("stop",), ("kill",), ("pause",), ("resume",), ("dump", "--log")):
        result = cli("servers", command, *options)
        assert result.code == 2
        assert f"this would {command} all servers (db-1:7, web-1:41)" in result.err
    assert [state(server) for server in two] == ["running", "running"]
    assert cli("servers", "pause", "--yes").code == 0
    assert [state(server) for server in two] == ["paused", "paused"]
    assert cli("servers", "resume", "-y").code == 0
    assert [state(server) for server in two] == ["running", "running"]


@pytest.mark.parametrize(("answer", "after"), [("y\n", "stopping"), ("n\n", "running")])
def test_on_a_terminal_it_is_asked_whether_all_are_meant(terminal, file_store, answer, after):
    server = registered("web-1:41")
    result = terminal("servers", "stop", answer=answer)
    assert "Stop all servers (web-1:41)? [y/N]" in result.out
    assert state(server) == after


def test_what_is_done_already_is_no_error(cli, two):
    cli("servers", "pause", "web")
    result = cli("servers", "pause", "web")
    assert (result.code, result.out) == (0, "web-1:41: paused already\n")


def test_what_a_server_cannot_do_now_is_said_and_ends_with_1(cli, two):
    cli("servers", "stop", "web")
    result = cli("servers", "pause", "--yes")
    assert result.code == 1
    assert "web-1:41 is stopping: it cannot pause" in result.err
    assert state(two[1]) == "paused"


def test_no_server_to_stop_is_no_error(cli):
    result = cli("servers", "stop", "--yes", "--wait")
    assert (result.code, result.err) == (0, "No server is registered.\n")


def test_a_zombie_is_told_too_and_it_is_said_that_it_does_not_answer(cli, rocketjob):
    server = registered("old:1", beat=timedelta(minutes=5))
    result = cli("servers", "stop", "old")
    assert "old:1 does not answer: its last heartbeat was 5m ago" in result.err
    assert state(server) == "stopping"


def test_waiting_for_a_zombie_ends_at_once_with_1(cli, rocketjob):
    registered("old:1", beat=timedelta(minutes=5))
    result = cli("servers", "stop", "old", "--wait")
    assert result.code == 1
    assert "still not done: old:1" in result.err


def test_waiting_has_a_limit(cli, rocketjob):
    registered("web-1:41")
    result = cli("servers", "stop", "web", "--wait", "--timeout", "0.1")
    assert result.code == 1
    assert "still not done: web-1:41" in result.err


# --- drain -------------------------------------------------------------------------------------


@pytest.fixture
def then(monkeypatch):
    """Let things happen between the looks of a command that waits."""

    def follow(*steps):
        def looks(timeout):
            yield
            for step in steps:
                step()
                yield
            raise AssertionError("it still waits")

        monkeypatch.setattr(draining, "looks", looks)

    return follow


def test_P36_a_drain_shows_what_is_in_work_until_the_servers_have_ended(cli, two, then):
    web, db = two

    def work(*ids):
        def beat():
            values = {"heartbeat.performing": list(ids), "heartbeat.updated_at": clock.now()}
            values["heartbeat.draining_at"] = Server.find(web.id).draining_at
            Server.collection().update_one({"_id": web.id}, {"$set": values})

        return beat

    drained = [lambda: web.reload().drained(), lambda: web.destroy()]
    then(db.destroy, work("a", "b"), work("a"), work("a"), work(), *drained)
    result = cli("servers", "drain", "--yes", "--timeout", "10m")
    assert result.code == 0
    assert result.lines == [
        "db-1:7: draining",
        "web-1:41: draining",
        "db-1:7: has ended",
        "web-1:41: draining, 2 in work",
        "web-1:41: draining, 1 in work",
        "web-1:41: draining, 0 in work",
        "web-1:41: stopping, 0 in work",
        "web-1:41: has ended",
    ]


def test_P36_the_list_says_which_servers_are_drained(cli, two):
    cli("servers", "drain", "web", "--no-wait")
    assert [row.split()[1] for row in rows(cli("servers", "list"))[1:]] == ["running", "draining"]
    db, web = cli("servers", "list", "--json").objects
    assert (db["draining"], web["draining"], web["state"]) == (False, True, "paused")


def test_P36_a_drain_that_somebody_ends_or_whose_server_dies_is_no_success(cli, two, then):
    web, db = two
    silent = {"$set": {"heartbeat.updated_at": clock.now() - timedelta(hours=1)}}
    then(
        lambda: web.reload().resume(),
        lambda: Server.collection().update_one({"_id": db.id}, silent),
    )
    result = cli("servers", "drain", "--yes", "--json")
    assert result.code == 1
    assert [(each["name"], each["is"]) for each in result.objects if each.get("ok") is False] == [
        ("web-1:41", "is running: the drain was ended"),
        ("db-1:7", "is dead: another server takes its work back"),
    ]


def test_P36_the_servers_are_drained_also_if_nobody_waits_for_it(cli, two, monkeypatch):
    def looks(timeout):
        yield
        raise KeyboardInterrupt

    result = cli("servers", "drain", "web", "--no-wait", "--timeout", "90s")
    assert result.lines == ["web-1:41: draining"]
    monkeypatch.setattr(draining, "looks", looks)
    result = cli("servers", "drain", "db")
    assert result.code == 130
    assert "db-1:7: the drain goes on all the same" in result.err
    web, db = (Server.find(server.id) for server in two)
    assert (web.is_draining, web.drain_seconds) == (True, 90)
    assert (db.is_draining, db.drain_seconds) == (True, None)


# --- with a real server ----------------------------------------------------------------------


@pytest.fixture
def running(tmp_path, file_store):
    """A server that holds one job, until the file `gate` exists."""
    (tmp_path / "fleet_app.py").write_text(
        "import os, threading\n"
        "from rocketjob import Job\n"
        "class FleetHeldJob(Job):\n"
        "    destroy_on_complete = False\n"
        "    gate: str\n"
        "    def perform(self):\n"
        "        self.logger.info('held')\n"
        "        while not os.path.exists(self.gate):\n"
        "            threading.Event().wait(0.01)\n"
    )
    server = ServerProcess(tmp_path, "--app", "fleet_app", "-w", 2, "-p", 1)
    server.says("server started")
    from rocketjob import Job

    stored = {
        **Job(destroy_on_complete=False).to_document(),
        "_type": "FleetHeldJob",
        "gate": str(tmp_path / "gate"),
    }
    file_store.store.collection("rocket_job.jobs").insert_one(stored)
    server.says("held")
    yield server
    (tmp_path / "gate").touch()
    server.close()


def jobs(store):
    return store.count_by("rocket_job.jobs", "state")


def test_pause_waits_until_no_job_runs_and_resume_lets_it_go_on(
    shell, running, file_store, tmp_path
):
    result = shell("servers", "pause", "--yes", "--wait", "--timeout", "0.3")
    assert (result.code, Server.first().state) == (1, "paused")
    (tmp_path / "gate").touch()
    assert shell("servers", "pause", "--yes", "--wait", "--timeout", "20").code == 0
    assert jobs(file_store.store) == {"completed": 1}
    assert shell("servers", "resume", "--yes").code == 0
    running.says("server resumed")


def test_stop_waits_until_running_work_is_finished(shell, running, file_store, tmp_path):
    assert shell("servers", "stop", "--yes").out.endswith(": stopping\n")
    running.says("server stopping")
    (tmp_path / "gate").touch()
    result = shell("servers", "stop", "--yes", "--wait")
    assert result.code == 0
    assert running.ends() == 0
    assert jobs(file_store.store) == {"completed": 1}
    assert Server.count() == 0


def test_P36_a_drained_server_finishes_its_job_and_ends_by_itself(
    shell, running, file_store, tmp_path
):
    result = shell("servers", "drain", "--yes", "--no-wait")
    assert (result.code, Server.first().is_draining) == (0, True)
    running.says("server paused")
    (tmp_path / "gate").touch()
    assert running.ends() == 0
    assert jobs(file_store.store) == {"completed": 1}


def test_kill_ends_a_server_at_once_and_its_job_is_queued_again(shell, running, file_store):
    result = shell("servers", "kill", "--yes", "--wait", "--timeout", "20")
    assert (result.code, result.out.split(": ")[1]) == (0, "being killed\n")
    assert running.ends() == 1
    assert jobs(file_store.store) == {"queued": 1}


def test_a_server_that_is_stopping_can_still_be_killed(shell, running, file_store):
    running.send(signal.SIGTERM).says("server stopping")
    eventually(lambda: Server.first().state == "stopping")
    assert shell("servers", "kill", "--yes", "--wait", "--timeout", "20").code == 0
    assert running.ends() == 1


def test_a_dump_writes_the_stacks_of_all_threads_to_the_servers_log(shell, running):
    assert shell("servers", "dump", "--yes", "--log").code == 0
    running.says("fleet_app.py")


def test_a_dump_shows_in_the_callers_terminal_at_which_line_each_job_is(shell, running):
    result = shell("servers", "dump", "--yes", "--timeout", "60")
    assert (result.code, result.err) == (0, "")
    assert "fleet_app.py" in result.out
    assert re.search(r"thread [12]: FleetHeldJob [0-9a-f]{24}, for ", result.out)
    (server,) = shell("servers", "dump", "--yes", "--json", "--timeout", "60").objects
    assert (server["dead"], server["silent"]) == (False, [])
    jobs = [
        each for process in server["processes"] for each in process["threads"] if "job_id" in each
    ]
    assert jobs and all(each["seconds"] >= 0 for each in jobs)


def test_a_dead_server_on_this_machine_is_known_to_be_dead_at_once(cli, rocketjob):
    made = registered("gone")
    Server.collection().update_one({"_id": made.id}, {"$set": {"pid": ended_process()}})
    assert rows(cli("servers", "list"))[1].split()[1] == "zombie"
    for command in (("dump", "gone"), ("log-level", "gone", "debug")):
        result = cli("servers", *command, "--timeout", "600")
        assert result.code == 1
        assert "gone is dead: its process" in result.err
    assert "its process" in cli("servers", "pause", "gone").err


def test_who_does_not_answer_is_named_and_the_rest_is_shown(cli, two):
    result = cli("servers", "dump", "web", "--timeout", "0.1")
    assert result.code == 1
    assert "web-1:41 did not answer within 0.1 s" in result.err
    (answer,) = cli("servers", "dump", "web", "--timeout", "0.1", "--json").objects
    assert (answer["dead"], answer["silent"]) == (False, ["web-1:41"])


@pytest.fixture
def asked(rocketjob, monkeypatch):
    return hear_while_waiting(monkeypatch)


class AskedByCommandJob(Job):
    def perform(self): ...


def at_work_as(name, seconds, part=None, progress=None):
    job = AskedByCommandJob()
    job.progress_text = progress
    return at_work(job, seconds, threading.Thread(name=name), part)


def test_what_each_worker_does_now_is_a_table_the_longest_first(cli, two, asked):
    web, db = two
    workers = [
        at_work_as("web-1:41:1 thread 1", 3 * 3600, progress="3 of 10, reading"),
        at_work_as("web-1:41:1 thread 2", 5 * 3600, part=1001),
        at_work(None, 0, threading.Thread(name="web-1:41:1 thread 3")),
    ]
    with (
        QuestionSubscriber.subscribed(web.incarnation, web.name, lambda: workers),
        QuestionSubscriber.subscribed(db.incarnation, db.name),
    ):
        result = cli("servers", "work")
        (described,) = cli("servers", "work", "web", "--json").objects
        idle = cli("servers", "work", "db")
    assert result.code == 0
    head, first, second = result.out.splitlines()
    assert head.split() == ["WORKER", "CLASS", "JOB", "SLICE", "FOR", "PROGRESS"]
    ids = [str(each.job.id) for each in workers[:2]]
    assert first.split() == ["web-1:41:1", "thread", "2", "AskedByCommandJob", ids[1], "1001", "5h"]
    assert second.split()[3:] == ["AskedByCommandJob", ids[0], "3h", "3", "of", "10,", "reading"]
    assert first.index(ids[1]) == second.index(ids[0]) == head.index("JOB")
    assert "1 worker at no job" in result.err
    assert (described["name"], described["workers"], described["silent"]) == ("web-1:41", 3, [])
    assert described["work"][0]["slice"] == 1001
    assert idle.code == 0 and idle.out == "0 workers, none at a job\n"


def test_where_nobody_says_what_it_does_that_is_said_and_the_code_is_1(cli, two, asked):
    result = cli("servers", "work")
    assert (result.code, result.out) == (1, "")
    for name in ("db-1:7", "web-1:41"):
        assert f"{name} did not answer within 5 s" in result.err
    result = cli("servers", "work", "nobody")
    assert result.code == 1 and "No server is called nobody" in result.err


def test_where_no_server_is_registered_nobody_can_be_asked_what_it_does(cli, rocketjob):
    result = cli("servers", "work")
    assert result.code == 1 and "No server is registered: nobody can answer" in result.err


def test_all_servers_are_asked_for_their_stacks_without_a_question(cli, two):
    result = cli("servers", "dump", "--timeout", "0.1")
    assert result.code == 1
    assert "web-1:41 did not answer" in result.err and "db-1:7 did not answer" in result.err


def test_who_changed_a_level_is_in_the_audit(cli, two):
    cli("servers", "log-level", "web", "debug", "--for", "15m", "--timeout", "0.1")
    (record,) = cli("audit", "--json").objects
    assert record["event"] == "log_level" and "web-1:41" in str(record)


@pytest.mark.parametrize("text", ["0s", "-5m", "x", "31d", "1e999", ""])
def test_a_duration_that_makes_no_sense_is_refused(cli, two, text):
    result = cli("servers", "log-level", "web", "debug", "--for", text)
    assert result.code == 2 and "Invalid value for '--for'" in result.err
    assert result.err.count(repr(text)) == 1


def test_a_level_that_there_is_not_is_refused(cli, two):
    result = cli("servers", "log-level", "web", "loud")
    assert result.code == 2 and "'loud' is not one of" in result.err


def test_what_servers_are_told_is_given_as_json_too(cli, two):
    result = cli("servers", "pause", "--yes", "--json")
    assert [(each["name"], each["ok"], each["outcome"]) for each in result.objects] == [
        ("db-1:7", True, "paused"),
        ("web-1:41", True, "paused"),
    ]
    cli("servers", "stop", "web")
    (refused,) = cli("servers", "resume", "web", "--json").objects
    assert refused["id"] == str(two[0].id)
    assert (refused["order"], refused["ok"]) == ("resume", False)
    assert refused["outcome"] == "is stopping: it cannot resume"


@pytest.mark.parametrize("command", ["stop", "kill", "pause", "resume", "dump"])
def test_the_help_says_that_a_part_of_a_name_will_do(cli, command):
    result = cli("servers", command, "--help")
    assert "NAME is part of a server's name" in " ".join(result.out.split())
    assert "--yes" in result.out and "--json" in result.out
