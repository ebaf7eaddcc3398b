"""Let a process die at every step of a scheduled job's run, and look at what it leaves.

    python dying.py DIRECTORY SCENARIO

For n = 1, 2, ... a forked process works the job and kills itself (SIGKILL) at its nth point: before
the nth call of the store, or before or after a commit. Another one then looks at the file, takes
back what the dead one held, works off what is due, and looks again. It ends with the first n that
is never reached.
"""

import contextlib
import gc
import json
import os
import shutil
import signal
import sys
from datetime import UTC, datetime, timedelta

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.plugins.manager import PluginManager
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.testing import sandbox
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.processing_window import ProcessingWindow
from rocketjob_plugins.retry import Retry
from rocketjob_plugins.singleton import Singleton
from rocketjob_plugins.store_sqlite.collection import SqliteCollection
from rocketjob_plugins.store_sqlite.database import Database
from rocketjob_plugins.store_sqlite.store import SqliteStore
from rocketjob_plugins.throttle import Throttle

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALLS = {
    SqliteCollection: ("insert_one", "find_one", "find", "update_one", "delete_one"),
    SqliteStore: ("claim_many", "write_many"),
    Database: ("_commit",),
}
PLUGINS = PluginManager()  # once: to find them takes longer than what is tried here


class SeriesJob(Cron, Job):
    cron_schedule = "0 * * * *"

    def perform(self): ...


class KeptSeriesJob(SeriesJob):
    destroy_on_complete = False


class FailingSeriesJob(SeriesJob):
    def perform(self):
        raise RuntimeError("broken")


class AbortingSeriesJob(SeriesJob):
    def perform(self):
        self.abort()


class EarlySeriesJob(KeptSeriesJob):
    cron_after_start = True


class AllSeriesJob(Retry, Singleton, ProcessingWindow, Throttle, KeptSeriesJob):
    processing_schedule = "0 * * * *"
    processing_duration = timedelta(hours=1)
    throttle_running_jobs = 1
    retry_limit = 1

    def perform(self):
        raise RuntimeError("broken")

    def retry_delay(self, attempt):
        return 0


SCENARIOS = {
    "complete": SeriesJob,
    "complete_kept": KeptSeriesJob,
    "fail": FailingSeriesJob,
    "abort": AbortingSeriesJob,
    "after_start": EarlySeriesJob,
    "all_mixins": AllSeriesJob,
}


def main(directory, scenario):
    cls, n = SCENARIOS[scenario], 0
    check(in_a_process(create, cls, f"sqlite:///{directory}/new.db") == 0, "cannot create", n)
    shutil.copy(f"{directory}/new.db", f"{directory}/0.db")
    with warming_up():
        run(cls, f"sqlite:///{directory}/0.db")
        look(cls, f"sqlite:///{directory}/0.db")
    while True:
        n += 1
        url = f"sqlite:///{directory}/{n}.db"
        shutil.copy(f"{directory}/new.db", f"{directory}/{n}.db")
        died = in_a_process(run_and_die, cls, url, n)
        check(in_a_process(look, cls, url) == 0, "wrong after the death", n)
        if died == 0:
            print(json.dumps({"points": n - 1}))
            return
        check(died == -signal.SIGKILL, f"ended otherwise: {died}", n)


@contextlib.contextmanager
def warming_up():
    """Do here once what processes are forked for, so that they need not import and prepare it."""
    yield
    gc.collect()
    gc.freeze()


def check(good, said, n):
    if not good:
        sys.exit(f"{said} at point {n}")


def in_a_process(function, *arguments):
    """Run a function in a forked process; return its exit code, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function(*arguments)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextlib.contextmanager
def opened(url):
    with sandbox(url) as made:
        made.application._plugins = PLUGINS
        made.freeze(NOW)
        yield made


def create(cls, url):
    with opened(url):
        cls.create().run_now()


def run(cls, url):
    with opened(url) as rocketjob:
        rocketjob.work_off()


def run_and_die(cls, url, n):
    with opened(url) as rocketjob:
        _ = rocketjob.store
        points = Points(n)
        for owner, names in CALLS.items():
            for name in names:
                setattr(owner, name, points.around(getattr(owner, name)))
        rocketjob.work_off()


class Points:
    """Counts, and kills the process at the nth point."""

    def __init__(self, last):
        self.left = last

    def pass_one(self):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function):
        def call(*arguments, **keywords):
            self.pass_one()
            value = function(*arguments, **keywords)
            if function.__name__ == "_commit":
                self.pass_one()
            return value

        return call


def look(cls, url):
    """See that one instance is active, whatever had happened, and that the series goes on."""
    with opened(url) as rocketjob:
        before = series(cls)
        assert len(before) == 1, before
        requeue_claims(rocketjob.store, rocketjob.plugins, "test.1", crash_limit=3)
        rocketjob.work_off()
        (job,) = series(cls)
        assert job.is_queued, job
        assert job.run_at == NOW + timedelta(hours=1), job.run_at
        assert not Job.running().exists()
        clock.travel(job.run_at)
        assert rocketjob.work_off() >= 1
        (job,) = series(cls)
        assert job.run_at == NOW + timedelta(hours=2), job.run_at


def series(cls):
    active = ("queued", "running", "paused", "failed")
    return [job for job in cls.all() if job.cron_schedule is not None and job.state in active]


if __name__ == "__main__":
    main(*sys.argv[1:])
