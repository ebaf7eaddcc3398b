"""A job runs in an ordinary process: signals, ends, directories, what its app does at import."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rocketjob.base import clock
from rocketjob.testing import sandbox
from support.runtime import eventually, insert, servers

JOBS = """
    import atexit, multiprocessing, os, pathlib, signal, subprocess, sys, threading, time
    from concurrent.futures import ProcessPoolExecutor
    from rocketjob import Job

    class Kept(Job):
        destroy_on_complete = False

    class QuickJob(Kept):
        def perform(self): pass

    class ProgramJob(Kept):
        def perform(self):
            program = subprocess.Popen(["sleep", "60"])
            program.terminate()
            assert program.wait(20) == -signal.SIGTERM

    class InterruptedJob(Kept):
        def perform(self):
            program = subprocess.Popen(["sleep", "60"])
            program.send_signal(signal.SIGINT)
            assert program.wait(20) == -signal.SIGINT

    class ForkedJob(Kept):
        def perform(self):
            context = multiprocessing.get_context("fork")
            for _ in range(20):
                process = context.Process(target=time.sleep, args=(60,))
                process.start()
                process.terminate()
                process.join(20)
                assert process.exitcode == -signal.SIGTERM

    class SpawnedJob(Kept):
        def perform(self):
            process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
            process.start()
            process.terminate()
            process.join(20)
            assert process.exitcode == -signal.SIGTERM

    class PoolJob(Kept):
        def perform(self):
            with multiprocessing.get_context("fork").Pool(2) as pool:
                assert pool.map(abs, [-1, 2]) == [1, 2]

    class HeldJob(Kept):
        '''Waits for a program that waits for a file.'''
        def perform(self):
            pathlib.Path("held").touch()
            wait = "until test -e go; do sleep 0.02; done"
            assert subprocess.run(["sh", "-c", wait]).returncode == 0

    class LeavingJob(Kept):
        '''Leaves a program, a pool and a thread behind.'''
        def perform(self):
            global pool
            pool = ProcessPoolExecutor(1)
            assert pool.submit(abs, -1).result() == 1
            programs = [subprocess.Popen(["sleep", "600"]).pid, *pool._processes]
            pathlib.Path("left").write_text(" ".join(map(str, programs)))
            atexit.register(pathlib.Path("flushed").touch)

    class ThreadJob(Kept):
        def perform(self):
            threading.Thread(
                target=time.sleep, args=(600,), name="never-ending", daemon=False
            ).start()
            atexit.register(pathlib.Path("flushed").touch)

    class HangingJob(Kept):
        def perform(self):
            atexit.register(time.sleep, 600)

    class AwayJob(Kept):
        '''Tries to move its process to another store.'''
        how: str = ""
        def perform(self):
            import rocketjob, rocketjob.testing
            if self.how == "connect":
                rocketjob.connect("sqlite:///other.db")
            elif self.how == "configure":
                rocketjob.configure(url="sqlite:///other.db")
            elif self.how == "sandbox":
                with rocketjob.testing.sandbox():
                    pass
            elif self.how == "same":
                url = rocketjob.application.current().config.url
                assert rocketjob.connect(url) is rocketjob.application.current().store
                rocketjob.configure(url=url)
            else:
                application = rocketjob.application.current()
                other = application.open_store(application.config.url)
                other.collection("docs").insert_one({"_id": 1})
                other.close()

    class MakingJob(Kept):
        def perform(self):
            QuickJob.create()

    class SpoilingJob(Kept):
        '''Makes its process useless.'''
        how: str = ""
        def perform(self):
            if self.how == "descriptors":
                os.closerange(3, 1000)
            else:
                sys.modules.clear()
                raise ValueError("it cannot be stored any more")

    class SignalJob(Kept):
        ended_by: int = 0
        def perform(self):
            os.kill(os.getpid(), self.ended_by)
"""


@pytest.fixture
def place(tmp_path):
    with sandbox(f"sqlite:///{tmp_path}/jobs.db?timeout=20") as made:
        yield made.store.collection("rocket_job.jobs")


def app(at_import=""):
    return textwrap.dedent(at_import) + textwrap.dedent(JOBS)


def ended(jobs, count=1):
    done = [each["state"] for each in jobs.find({}) if each["state"] in ("completed", "failed")]
    return len(done) == count


def outcomes(jobs):
    return {
        each["_type"]: (each["state"], (each.get("exception") or {}).get("message"))
        for each in jobs.find({})
    }


def lives(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_what_a_job_starts_can_be_ended_by_a_signal(tmp_path, place):
    names = ["ProgramJob", "InterruptedJob", "ForkedJob", "SpawnedJob", "PoolJob"]
    with servers(tmp_path, app()) as start:
        start(processes=1)
        for name in names:
            insert(place, name)
        eventually(lambda: ended(place, len(names)))
        assert outcomes(place) == dict.fromkeys(names, ("completed", None))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_of_the_terminal_lets_running_work_and_its_programs_finish(
    tmp_path, place, number
):
    with servers(tmp_path, app()) as start:
        server = start(processes=1, before="__import__('signal').signal(1, lambda *a: None)")
        insert(place, "HeldJob")
        eventually((tmp_path / "held").exists)
        os.killpg(server.pid, number)
        os.kill(server.children()[0], number)  # as a service manager signals all processes
        (tmp_path / "go").touch()
        eventually(lambda: ended(place))
        assert outcomes(place) == {"HeldJob": ("completed", None)}
        server.send(signal.SIGTERM)
        assert server.wait() == 0


def test_a_good_stop_runs_atexit_handlers_and_leaves_no_process(tmp_path, place):
    with servers(tmp_path, app()) as start:
        server = start(processes=1)
        insert(place, "LeavingJob")
        eventually(lambda: ended(place))
        server.send(signal.SIGTERM)
        assert server.wait() == 0
        left = (tmp_path / "left").read_text().split()
        assert [pid for pid in left if lives(pid)] == []
        assert (tmp_path / "flushed").exists()


def test_a_worker_process_that_is_killed_takes_the_programs_of_its_jobs_along(tmp_path, place):
    with servers(tmp_path, app()) as start:
        server = start(processes=1).wait_until_up()
        insert(place, "LeavingJob")
        eventually(lambda: ended(place))
        os.kill(server.children()[0], signal.SIGKILL)
        left = (tmp_path / "left").read_text().split()
        eventually(lambda: not [pid for pid in left if lives(pid)])


def test_a_thread_that_does_not_end_is_named_and_holds_no_stop(tmp_path, place):
    with servers(tmp_path, app()) as start:
        server = start(processes=1)
        insert(place, "ThreadJob")
        eventually(lambda: ended(place))
        server.send(signal.SIGTERM)
        assert server.wait() == 0
        assert any("never-ending" in each["message"] for each in server.log())
        assert (tmp_path / "flushed").exists()


def test_an_atexit_handler_that_hangs_is_given_up(tmp_path, place):
    with servers(tmp_path, app()) as start:
        server = start(processes=1)
        insert(place, "HangingJob")
        eventually(lambda: ended(place))
        server.send(signal.SIGTERM)
        assert server.wait() == 0
        assert any("atexit" in each["message"] for each in server.log())


def test_a_process_that_ends_by_a_signal_without_a_name_is_a_crash_like_any_other(tmp_path, place):
    number = signal.SIGRTMIN + 1
    with servers(tmp_path, app()) as start:
        server = start(processes=1, crash_limit=2)
        insert(place, "SignalJob", ended_by=number)
        eventually(lambda: ended(place))
        assert f"signal {number}" in place.find_one({})["exception"]["message"]
        insert(place, "ProgramJob")
        eventually(lambda: ended(place, 2))
        server.send(signal.SIGTERM)
        assert server.wait() == 0


@pytest.mark.parametrize("how", ["descriptors", "modules"])
def test_a_job_that_makes_its_process_useless_fails_and_holds_nobody_up(tmp_path, place, how):
    with servers(tmp_path, app()) as start:
        server = start(processes=1, crash_limit=2).wait_until_up()
        insert(place, "SpoilingJob", how=how)
        insert(place, "QuickJob")
        # Without its descriptors SQLite tries for ten seconds to begin to read, in each process.
        eventually(lambda: ended(place, 2), within=90)
        states = {each["_type"]: each["state"] for each in place.find({})}
        assert states == {"SpoilingJob": "failed", "QuickJob": "completed"}
        exception = place.find_one({"state": "failed"})["exception"]
        assert exception["class_name"] == "WorkerCrashed"
        assert "gave itself up" in exception["message"]
        server.send(signal.SIGTERM)
        assert server.wait() == 0


@pytest.mark.parametrize(
    "at_import",
    [
        "import signal, sys; signal.signal(signal.SIGINT, lambda *a: sys.exit(0))",
        "import signal, os; signal.signal(signal.SIGTERM, lambda *a: os._exit(3))",
        "import signal, os; signal.signal(signal.SIGCHLD, lambda *a: os.waitpid(-1, os.WNOHANG))",
        "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()",
        "import os; os.makedirs('sub', exist_ok=True); os.chdir('sub')",
    ],
)
def test_what_an_app_does_at_import_does_no_harm(tmp_path, place, at_import):
    with servers(tmp_path, app(at_import)) as start:
        server = start(processes=1, url="sqlite:///jobs.db").wait_until_up()
        os.kill(server.children()[0], signal.SIGKILL)  # the next one is started as well
        eventually(lambda: len(server.logged("ready")) == 2)
        os.kill(server.children()[0], signal.SIGTERM)
        os.kill(server.children()[0], signal.SIGINT)
        insert(place, "QuickJob")
        eventually(lambda: ended(place))
        assert outcomes(place) == {"QuickJob": ("completed", None)}
        server.send(signal.SIGTERM)
        # This server is started by a script of the test's: a thread holds that, not the server.
        assert "threading" in at_import or server.wait() == 0
        eventually(lambda: server.logged("server stopped"))


@pytest.mark.parametrize(
    "call",
    [
        "configure(url=f'sqlite:///{here}/jobs.db')",
        "connect(f'sqlite:///{here}/jobs.db')",
        "configure(time_zone='Europe/Berlin')",
    ],
)
def test_an_app_that_names_its_store_or_settings_is_served(tmp_path, place, call):
    at_import = f"import os, rocketjob; here = os.path.dirname(__file__); rocketjob.{call}\n"
    url = None if "url" in call or "connect" in call else f"sqlite:///{tmp_path}/jobs.db"
    with servers(tmp_path, app(at_import)) as start:
        start(processes=1, url=url)
        insert(place, "ProgramJob", created_at=clock.now())
        eventually(lambda: ended(place))
        assert outcomes(place) == {"ProgramJob": ("completed", None)}


def test_a_worker_process_that_is_started_again_works_in_the_folder_of_that_name(tmp_path, place):
    current = tmp_path / "current"
    current.mkdir()
    with servers(current, app()) as start:
        server = start(processes=1, url=f"sqlite:///{tmp_path}/jobs.db").wait_until_up()
        current.rename(tmp_path / "old")
        current.mkdir()
        (current / "app.py").write_text((tmp_path / "old/app.py").read_text())
        os.kill(server.children()[0], signal.SIGKILL)
        insert(place, "ProgramJob")
        eventually(lambda: ended(place))
        assert outcomes(place) == {"ProgramJob": ("completed", None)}


def test_a_job_moves_no_other_one_to_another_store(tmp_path, place):
    with servers(tmp_path, app()) as start:
        start(processes=1)
        for how in ("connect", "configure", "sandbox", "same", "open"):
            insert(place, "AwayJob", how=how)
        eventually(lambda: ended(place, 5))
        insert(place, "MakingJob")
        eventually(lambda: ended(place, 7))
    found = {each["how"]: each for each in place.find({"_type": "AwayJob"})}
    states = {how: each["state"] for how, each in found.items()}
    failed, completed = ("connect", "configure", "sandbox"), ("same", "open")
    assert states == dict.fromkeys(failed, "failed") | dict.fromkeys(completed, "completed")
    assert all("open_store(url)" in found[how]["exception"]["message"] for how in failed)
    assert outcomes(place)["QuickJob"] == ("completed", None)


SAY = (
    "import sys\nfrom rocketjob import Job\n"
    "class SayJob(Job):\n    destroy_on_complete = False\n"
    "    def perform(self):\n        print('hello', flush=True)\n"
    "        print('hello', file=sys.stderr, flush=True)\n"
)


@pytest.mark.parametrize("output", ["a full disk", "a pipe whose reader ends"])
def test_a_job_that_prints_does_not_fail_where_that_cannot_be_written(tmp_path, output):
    (tmp_path / "say.py").write_text(SAY)
    url = f"sqlite:///{tmp_path}/jobs.db"
    command = [sys.executable, "-m", "rocketjob.cli", "server", "--app", "say", "--url", url]
    command += ["--workers", "1", "--log", f"{tmp_path}/server.log"]
    with sandbox(url) as application, open("/dev/full", "w") as full:
        jobs = application.store.collection("rocket_job.jobs")
        target = full if output == "a full disk" else subprocess.PIPE
        started = subprocess.Popen(
            command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=target, stderr=target
        )
        for stream in (started.stdout, started.stderr):
            if stream is not None:
                stream.close()
        try:
            insert(jobs, "SayJob", 2)
            eventually(lambda: ended(jobs, 2) or started.poll() is not None)
            assert [each["state"] for each in jobs.find({})] == ["completed", "completed"]
            assert (tmp_path / "server.log").read_text().count("what is printed is lost") == 2
            started.terminate()
            assert started.wait(20) == 0
        finally:
            started.kill()
            started.wait()


def test_a_server_ends_although_nobody_reads_its_output(tmp_path):
    (tmp_path / "say.py").write_text(SAY.replace("hello'", "hello' * 100_000"))
    url = f"sqlite:///{tmp_path}/jobs.db"
    command = [sys.executable, "-m", "rocketjob.cli", "server", "--app", "say", "--url", url]
    command += ["--workers", "1", "--grace", "0.5"]
    with sandbox(url) as application:
        jobs = application.store.collection("rocket_job.jobs")
        reading, writing = os.pipe()
        started = subprocess.Popen(
            command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing
        )
        os.close(writing)
        try:
            insert(jobs, "SayJob")
            eventually(lambda: jobs.find_one({})["state"] == "running")
            started.terminate()
            started.wait(25)
        finally:
            started.kill()
            started.wait()
            os.close(reading)


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)], ids=str)
def test_a_server_works_with_standard_streams_closed(tmp_path, closed):
    (tmp_path / "say.py").write_text(SAY)
    url = f"sqlite:///{tmp_path}/jobs.db"
    redirections = " ".join(f"{number}{'<' if number == 0 else '>'}&-" for number in closed)
    command = [sys.executable, "-m", "rocketjob.cli", "server", "--app", "say", "--url", url]
    command += ["--workers", "1", "--log", f"{tmp_path}/server.log"]
    with sandbox(url) as application:
        jobs = application.store.collection("rocket_job.jobs")
        (id,) = insert(jobs, "SayJob")
        started = subprocess.Popen(
            ["sh", "-c", f'exec "$@" {redirections}', "sh", *command],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:

            def ended():
                return jobs.find_one({"_id": id})["state"] in ("completed", "failed")

            eventually(lambda: ended() or started.poll() is not None)
            assert jobs.find_one({"_id": id})["state"] == "completed"
            started.terminate()
            assert started.wait(20) == 0
        finally:
            started.kill()
            started.wait()


# --- what plugins are told -----------------------------------------------------------------------

NOTING = """
    from rocketjob import hookimpl
    from rocketjob.application import current

    class Noting:
        def note(self, *words):
            with open("told", "a") as file:
                print(*words, file=file)

        @hookimpl
        def process_started(self, role, name):
            self.note("started", role, name)

        @hookimpl
        def process_stopping(self, role, name):
            from rocketjob import Job
            self.note("stopping", role, name, Job.count())

        @hookimpl
        def worker_died(self, server, worker, how, performing):
            self.note("died", server.name, worker, "SIGKILL" in how, len(performing))

        @hookimpl
        def sweep(self):
            self.note("swept")

    current().plugins.register(Noting())
"""


def test_plugins_are_told_of_the_life_of_every_process_and_of_a_worker_that_dies(place, tmp_path):
    insert(place, "SignalJob", ended_by=signal.SIGKILL)

    def told():
        path = tmp_path / "told"
        return path.read_text().splitlines() if path.exists() else []

    with servers(tmp_path, app(NOTING)) as start:
        server = start("one", processes=1, workers=1, crash_limit=1).wait_until_up()
        eventually(lambda: ended(place))
        eventually(lambda: "died one one:1 True 1" in told())
        eventually(lambda: "swept" in told())
        eventually(lambda: "started worker one:2" in told())
        server.send(signal.SIGTERM)
        assert server.wait() == 0
    assert told()[0] == "started supervisor one"
    assert "started worker one:1" in told()
    assert "stopping worker one:1 1" not in told()  # it was killed
    assert "stopping worker one:2 1" in told()
    assert told()[-1] == "stopping supervisor one 1"
