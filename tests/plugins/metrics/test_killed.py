"""After kills of worker processes the metrics say what the history of the jobs says."""

import textwrap
from collections import Counter

import pytest

from rocketjob.testing import sandbox
from rocketjob_plugins import metrics
from support.runtime import insert
from support.servers import eventually, server

APP = """
    import os, pathlib, signal, time
    from rocketjob import Job, Snooze
    from rocketjob_plugins.retry import Retry

    class EndingJob(Job):
        destroy_on_complete = False
        how: str = "well"

        def perform(self):
            if self.how == "badly":
                raise OSError("closed")
            if self.how == "abort":
                self.abort()

    class AgainJob(Retry, Job):
        destroy_on_complete = False
        retry_limit = 1

        def perform(self):
            raise OSError("closed")

        def retry_delay(self, attempt):
            return 0

    class DeadlyJob(Job):
        destroy_on_complete = False

        def perform(self):
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
"""
EVENTS = {"complete": "completed", "abort": "aborted", "requeue": "requeued"}


@pytest.fixture
def store(tmp_path):
    (tmp_path / "killed_app.py").write_text(textwrap.dedent(APP))
    with sandbox(f"sqlite:///{tmp_path}/jobs.db?timeout=20") as made:
        yield made.store


def by_history(store):
    """Count the ends that the histories of the jobs have, by class and outcome."""
    found = Counter()
    for job in store.collection("rocket_job.jobs").find({}):
        events = [entry["event"] for entry in job.get("history", ())]
        for event, following in zip(events, [*events[1:], None], strict=True):
            if event == "fail":
                found[job["_type"], "retried" if following == "retry" else "failed"] += 1
            elif event in EVENTS:
                found[job["_type"], EVENTS[event]] += 1
        if job.get("interruptions"):
            found[job["_type"], "crashed"] += job["interruptions"]
    return found


def counted():
    return Counter(
        {
            (name, outcome): each.count
            for name, figures in metrics.read().classes.items()
            for outcome, each in figures.outcomes.items()
        }
    )


def agree(store, **ended):
    """Wait until so many jobs of each state are there and counted as their histories have them."""
    jobs = store.collection("rocket_job.jobs")
    is_ended = all(jobs.count_documents({"state": state}) == n for state, n in ended.items())
    return is_ended and by_history(store) == counted()


def test_the_metrics_agree_with_the_history(store, tmp_path):
    jobs = store.collection("rocket_job.jobs")
    insert(jobs, "EndingJob", 20)
    insert(jobs, "EndingJob", 3, how="badly")
    insert(jobs, "EndingJob", 2, how="abort")
    insert(jobs, "AgainJob", 4)
    insert(jobs, "DeadlyJob")
    env = {
        "ROCKETJOB_URL": f"sqlite:///{tmp_path}/jobs.db?timeout=20",
        "ROCKETJOB_METRICS_WRITE_SECONDS": "0.1",
        "ROCKETJOB_HEARTBEAT_SECONDS": "4",  # what the servers tell plugins is told with it
        "ROCKETJOB_CRASH_LIMIT": "2",
    }
    with server(tmp_path, "--app", "killed_app", "--workers", "4", "--processes", "2", env=env):
        eventually(lambda: agree(store, completed=20, aborted=2, failed=7, running=1), 60)
        (tmp_path / "go").touch()
        eventually(lambda: agree(store, completed=20, aborted=2, failed=8), 60)
        insert(jobs, "EndingJob", 5)
        eventually(lambda: agree(store, completed=25, aborted=2, failed=8), 60)
    found = counted()
    assert found["AgainJob", "retried"] == 4
    assert found["DeadlyJob", "crashed"] == 2
