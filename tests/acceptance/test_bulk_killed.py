"""A bulk action on a real server whose worker processes are killed in the middle of it, twice."""

import signal
from collections import Counter
from pathlib import Path

from rocketjob import Job
from rocketjob.jobs.bulk import bulk
from rocketjob.testing import sandbox
from support.servers import eventually, server

APP = """
import os, signal
from pathlib import Path

from rocketjob import Job, after, current_job


class NightlyFailingJob(Job):
    destroy_on_complete = False
    number: int = 0

    def perform(self):
        raise OSError("disk full")

    @after("retry")
    def _die(self):
        mark = Path(f"died-{self.number}")
        if self.number in (20, 40) and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_P24_each_job_is_retried_once_though_the_bulk_action_is_killed_twice(tmp_path, monkeypatch):
    Path(tmp_path, "nightly_bulk.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    from nightly_bulk import NightlyFailingJob

    url = f"sqlite:///{tmp_path}/jobs.db"
    with sandbox(url, bulk={"at_once": 10}) as made:
        for number in range(60):
            NightlyFailingJob.create(number=number).fail("disk full")
        job = bulk(NightlyFailingJob.failed(), "retry").job
        settings = {"ROCKETJOB_URL": url, "ROCKETJOB_APP": "nightly_bulk"}
        env = settings | {"PYTHONPATH": str(tmp_path)}
        with server(tmp_path, "--workers", 2, "--processes", 2, env=env) as running:
            eventually(lambda: job.reload().is_completed or job.is_failed)
            eventually(lambda: NightlyFailingJob.failed().count() == 60)
            running.send(signal.SIGTERM).ends()
        assert job.is_completed, job.exception
        assert job.result == {"done": 60, "skipped": 0, "refused": 0, "failed": 0}
        assert [entry.event for entry in job.history].count("start") == 3
        retries = Counter(
            [entry.event for entry in each.history].count("retry") for each in Job.failed()
        )
        assert retries == {1: 60}
        assert made.store is not None
