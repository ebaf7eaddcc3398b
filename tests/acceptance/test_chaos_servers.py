"""Servers that are told to stop, have a wrong clock, lose their store, or are killed by jobs."""

import contextlib
import itertools
import os
import shutil
import signal
import sqlite3
import textwrap
import time

import pytest

from rocketjob.base import clock
from rocketjob.testing import sandbox
from support.runtime import eventually, insert, servers

APP = """
    import ctypes, os, pathlib, signal, time
    from rocketjob import Job

    class QuickJob(Job):
        destroy_on_complete = False

        def perform(self):
            return None

    class HeldJob(Job):
        '''Runs until a file of its folder says that it may end.'''
        destroy_on_complete = False

        def perform(self):
            pathlib.Path(f"began-{self.id}").touch()
            while not pathlib.Path("go").exists():
                time.sleep(0.01)

    class KillingJob(Job):
        how: str = "signal"

        def perform(self):
            if self.how == "signal":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "segfault":
                ctypes.string_at(0)
            os._exit(0)
"""


@pytest.fixture
def jobs(tmp_path):
    """The documents in the store that the servers share."""
    with sandbox(f"sqlite:///{tmp_path}/jobs.db?timeout=20") as made:
        yield made.store.collection("rocket_job.jobs")


def number(jobs, **filter):
    return jobs.count_documents(filter)


def performing(folder):
    """Count the jobs whose `perform` has begun: one that is only claimed is given back."""
    return len(list(folder.glob("began-*")))


def nothing_is_left(jobs):
    return number(jobs, state="running") == 0 and number(jobs, claimed_by={"$exists": True}) == 0


# --- jobs that kill their worker ----------------------------------------------------------------


@pytest.mark.parametrize("how", ["segfault", "exit"])
def test_a_job_that_kills_its_worker_is_failed_and_the_others_go_on(tmp_path, jobs, how):
    with servers(tmp_path, APP) as start:
        server = start(processes=2, workers=4).wait_until_up()
        (killer,) = insert(jobs, "KillingJob", how=how, priority=10)
        innocents = insert(jobs, "QuickJob", 200)
        eventually(lambda: jobs.find_one({"_id": killer})["state"] == "failed")
        eventually(lambda: number(jobs, state="completed") == len(innocents))
        later = insert(jobs, "QuickJob", 20)
        eventually(lambda: number(jobs, state="completed") == len(innocents) + len(later))
        server.send(signal.SIGTERM)
        assert server.wait() == 0
    document = jobs.find_one({"_id": killer})
    assert document["interruptions"] == 3
    assert document["claim_number"] == 3
    assert document["exception"]["class_name"] == "WorkerCrashed"
    assert "3 crashes" in document["exception"]["message"]
    expected = {"segfault": "SIGSEGV", "exit": "exit code 0"}[how]
    assert expected in document["exception"]["message"]
    assert number(jobs, state="failed") == 1
    assert nothing_is_left(jobs)


def test_others_make_progress_while_a_job_kills_its_workers(tmp_path, jobs):
    with servers(tmp_path, APP) as start:
        start(processes=2, workers=4).wait_until_up()
        (killer,) = insert(jobs, "KillingJob", priority=10)
        done = 0
        while jobs.find_one({"_id": killer})["state"] != "failed":
            insert(jobs, "QuickJob", 5)
            time.sleep(0.02)
            done = number(jobs, state="completed")
        eventually(lambda: number(jobs, _type="QuickJob", state={"$ne": "completed"}) == 0)
        assert done > 0, "the others waited until the killer was failed"
        finished = sorted(each["completed_at"] for each in jobs.find({"_type": "QuickJob"}))
        pauses = [(b - a).total_seconds() for a, b in itertools.pairwise(finished)]
        assert max(pauses) < 5  # one second on a machine of one's own
    message = jobs.find_one({"_id": killer})["exception"]["message"]
    assert "SIGKILL" in message and "3 crashes" in message


# --- stopping -----------------------------------------------------------------------------------


def test_sigterm_lets_running_work_finish(tmp_path, jobs):
    with servers(tmp_path, APP) as start:
        server = start(grace_seconds=60).wait_until_up()
        insert(jobs, "HeldJob", 6)
        eventually(lambda: performing(tmp_path) == 4)
        server.send(signal.SIGTERM)
        eventually(lambda: server.logged("server stopping"))
        (tmp_path / "go").touch()
        assert server.wait() == 0
    assert number(jobs, state="completed") == 4
    assert number(jobs, state="queued") == 2
    assert nothing_is_left(jobs)


def test_a_second_signal_ends_it_at_once(tmp_path, jobs):
    with servers(tmp_path, APP) as start:
        server = start(grace_seconds=600).wait_until_up()
        insert(jobs, "HeldJob", 6)
        eventually(lambda: performing(tmp_path) == 4)
        server.send(signal.SIGINT)
        eventually(lambda: server.logged("server stopping"))
        server.send(signal.SIGINT)
        assert server.wait() == 1
    assert number(jobs, state="queued") == 6
    assert number(jobs, interruptions={"$gt": 0}) == 0, "to be stopped is no crash"
    assert nothing_is_left(jobs)


def test_work_that_outlasts_the_grace_period_is_queued_again(tmp_path, jobs):
    with servers(tmp_path, APP) as start:
        server = start(grace_seconds=0.3).wait_until_up()
        insert(jobs, "HeldJob", 2)
        eventually(lambda: performing(tmp_path) == 2)
        server.send(signal.SIGTERM)
        assert server.wait() == 1
    assert number(jobs, state="queued") == 2
    assert nothing_is_left(jobs)


def test_an_idle_server_stops_and_leaves_no_process(tmp_path, jobs):
    with servers(tmp_path, APP) as start:
        server = start().wait_until_up()
        children = eventually(server.children)
        server.send(signal.SIGTERM)
        assert server.wait() == 0
        assert not any(is_alive(pid) for pid in children)
        assert server.said().count("Traceback") == 0


def test_worker_processes_end_when_their_supervisor_is_killed(tmp_path, jobs):
    with servers(tmp_path, APP) as start:
        server = start().wait_until_up()
        insert(jobs, "HeldJob", 2)
        eventually(lambda: performing(tmp_path) == 2)
        children = eventually(server.children)
        server.send(signal.SIGKILL)
        # Those that work are given until others would take over.
        eventually(lambda: not any(is_alive(pid) for pid in children))
        (tmp_path / "go").touch()
        start("heir").wait_until_up()
        eventually(lambda: number(jobs, state="completed") == 2)


def test_the_state_in_the_store_stops_and_pauses_a_server(tmp_path, jobs):
    from rocketjob import Server

    with servers(tmp_path, APP) as start:
        server = start().wait_until_up()
        eventually(lambda: Server.running().count() == 1)
        assert Server.pause_all() == 1
        eventually(lambda: server.logged("server paused"))
        insert(jobs, "QuickJob", 3)
        assert Server.resume_all() == 1
        eventually(lambda: number(jobs, state="completed") == 3)
        assert Server.stop_all() == 1
        assert server.wait() == 0
        assert Server.count() == 0


def test_a_paused_server_whose_document_is_removed_comes_back_paused(tmp_path, jobs):
    from rocketjob import Server

    with servers(tmp_path, APP) as start:
        server = start().wait_until_up()
        eventually(lambda: Server.running().count() == 1)
        Server.pause_all()
        eventually(lambda: server.logged("server paused"))
        Server.collection().delete_many({})
        eventually(lambda: Server.paused().count() == 1)
        assert not server.logged("server resumed")


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# --- names --------------------------------------------------------------------------------------


def test_two_servers_of_one_name_are_refused(tmp_path, jobs):
    with servers(tmp_path, APP) as start:
        start("twin").wait_until_up()
        second = start("twin")
        assert second.wait() == 2
        assert "A server called twin is running already" in second.said()


def test_the_name_of_a_killed_server_is_free_for_the_next(tmp_path, jobs):
    from rocketjob import Server

    with servers(tmp_path, APP) as start:
        first = start("phoenix", processes=1, workers=1).wait_until_up()
        insert(jobs, "HeldJob")
        eventually(lambda: number(jobs, state="running") == 1)
        eventually(lambda: Server.all().first().heartbeat["performing"])
        first.send_to_all(signal.SIGKILL)
        first.wait()
        (tmp_path / "go").touch()
        # As in a container: the pid of the last start is alive, and somebody else's.
        Server.collection().update_one({}, {"$set": {"pid": os.getpid()}})
        start("phoenix", processes=1, workers=1)
        eventually(lambda: number(jobs, state="completed") == 1)
        assert jobs.find_one({})["interruptions"] == 1
        assert Server.count() == 1


# --- clocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_wrong_takes_no_work_from_a_living_server(tmp_path, jobs, hours):
    travel = f"clock.travel(__import__('datetime').timedelta(hours={hours}))"
    wrong = f"from rocketjob import clock; {travel}"
    with servers(tmp_path, APP) as start:
        common = {"processes": 1, "workers": 2, "heartbeat_seconds": 0.25}
        steady = start("steady", **common).wait_until_up()
        insert(jobs, "HeldJob", 2)
        eventually(lambda: performing(tmp_path) == 2)
        odd = start("odd", before=wrong, **common).wait_until_up()
        # Longer than it takes to be declared dead, by beats of both.
        beats = heartbeat(steady) + 8, heartbeat(odd) + 8
        eventually(lambda: heartbeat(steady) >= beats[0] and heartbeat(odd) >= beats[1])
        assert not odd.logged("work reclaimed") and not steady.logged("work reclaimed")
        assert not odd.logged("a server died: its heartbeat stopped")
        assert not odd.logged("a server died: its processes have ended")
        (tmp_path / "go").touch()
        eventually(lambda: number(jobs, state="completed") == 2)
    assert {each["claim_number"] for each in jobs.find({})} == {1}


def heartbeat(server):
    from rocketjob import Server

    found = Server.where(name=server.name).first()
    return (found.heartbeat or {}).get("number", 0) if found else 0


def test_a_wrong_clock_in_one_process_does_not_silence_events(tmp_path, jobs):
    from datetime import timedelta

    from rocketjob.server import events

    with servers(tmp_path, APP) as start:
        server = start().wait_until_up()
        clock.travel(timedelta(hours=1))
        events.publish("server", "pause")
        eventually(lambda: server.logged("server paused"))
        clock.reset()
        events.publish("server", "resume")
        eventually(lambda: server.logged("server resumed"))
        clock.travel(timedelta(hours=-1))
        events.publish("server", "stop")
        assert server.wait() == 0


# --- the app ------------------------------------------------------------------------------------


def test_an_app_module_that_does_not_exist_is_named(tmp_path, jobs):
    with servers(tmp_path, APP) as start:
        server = start(app=["app", "nowhere.to_be_found"])
        assert server.wait() == 2
        assert "The app module nowhere.to_be_found does not exist" in server.said()


def test_an_app_module_that_fails_to_import_is_named_with_its_line(tmp_path, jobs):
    (tmp_path / "broken.py").write_text("x = 1\ny = x / 0\n")
    with servers(tmp_path, APP) as start:
        server = start(app=["app", "broken"])
        assert server.wait() == 2
        assert "broken.py:2: ZeroDivisionError" in server.said()


def test_an_app_that_fails_in_the_worker_processes_only_does_not_make_them_spin(tmp_path, jobs):
    only_there = """
        import sys
        if sys.argv[0].endswith("worker_main.py"):
            raise RuntimeError("not here")
    """
    (tmp_path / "picky.py").write_text(textwrap.dedent(only_there))
    with servers(tmp_path, APP) as start:
        server = start(app=["app", "picky"], processes=1)
        eventually(lambda: server.logged("worker processes die again and again: waiting"))
        assert server.logged("a worker process did not start")
        assert server.logged("the worker process failed")
        server.send(signal.SIGTERM)
        assert server.wait() == 0


def test_a_class_that_is_not_loaded_is_left_to_others(tmp_path, jobs):
    with servers(tmp_path, APP) as start:
        (foreign,) = insert(jobs, "ForeignJob", priority=1)
        insert(jobs, "QuickJob", 5)
        start().wait_until_up()
        eventually(lambda: number(jobs, state="completed") == 5)
    assert jobs.find_one({"_id": foreign})["state"] == "queued"
    assert "history" not in jobs.find_one({"_id": foreign})


def test_a_filter_that_the_store_does_not_know_is_refused_at_the_start(tmp_path, jobs):
    with servers(tmp_path, APP) as start:
        server = start(where={"priority": {"$nearly": 50}})
        assert server.wait() == 2
        assert "ConfigurationError: where = {'priority': {'$nearly': 50}}" in server.said()


# --- the store ----------------------------------------------------------------------------------


def test_a_locked_store_is_waited_for(tmp_path, jobs):
    url = f"sqlite:///{tmp_path}/jobs.db?timeout=0.3"
    with servers(tmp_path, APP) as start:
        first = start("first", url=url).wait_until_up()
        second = start("second", url=url).wait_until_up()
        insert(jobs, "HeldJob", 8)
        insert(jobs, "QuickJob", 20)
        eventually(lambda: number(jobs, state="running") == 8)
        with contextlib.closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as raw:
            raw.execute("BEGIN IMMEDIATE")
            (tmp_path / "go").touch()
            for server in (first, second):
                eventually(lambda s=server: len(s.logged("the heartbeat failed")) > 3)
            raw.execute("ROLLBACK")
        eventually(lambda: number(jobs, state="completed") == 28)
        for server in (first, second):
            server.send(signal.SIGTERM)
        assert [first.wait(), second.wait()] == [0, 0]
    assert {each["claim_number"] for each in jobs.find({"_type": "HeldJob"})} == {1}
    assert nothing_is_left(jobs)


def new_children(server, old):
    return {pid for pid in server.children() if pid > old}


def pids_that_log(server, message):
    return {record["pid"] for record in server.logged(message)}


def test_a_store_that_vanishes_and_comes_back_is_waited_for(tmp_path, jobs):
    with servers(tmp_path, APP) as start:
        server = start().wait_until_up()
        insert(jobs, "QuickJob", 5)
        eventually(lambda: number(jobs, state="completed") == 5)
        away = tmp_path / "away"
        away.mkdir()
        for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm"):
            shutil.move(tmp_path / name, away / name)
        eventually(lambda: server.logged("the heartbeat failed"))
        eventually(lambda: server.logged("cannot reach the store"))
        assert server.process.poll() is None
        first = server.children()[0]
        os.kill(first, signal.SIGKILL)
        eventually(
            lambda: new_children(server, first) & pids_that_log(server, "cannot reach the store")
        )
        assert not (tmp_path / "jobs.db").exists()  # the new process made no store of its own
        for name in ("jobs.db-wal", "jobs.db-shm", "jobs.db"):
            shutil.move(away / name, tmp_path / name)
        insert(jobs, "QuickJob", 5)
        eventually(lambda: number(jobs, state="completed") == 10)
        server.send(signal.SIGTERM)
        assert server.wait() == 0
    assert nothing_is_left(jobs)


def test_a_server_that_is_stopped_while_the_store_is_away_ends(tmp_path, jobs):
    with servers(tmp_path, APP) as start:
        server = start(grace_seconds=1).wait_until_up()
        (tmp_path / "away").mkdir()
        for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm"):
            shutil.move(tmp_path / name, tmp_path / "away" / name)
        server.send(signal.SIGTERM)
        assert server.wait() in (0, 1)
        assert server.logged("could not sign off")
        for name in ("jobs.db-wal", "jobs.db-shm", "jobs.db"):
            shutil.move(tmp_path / "away" / name, tmp_path / name)
