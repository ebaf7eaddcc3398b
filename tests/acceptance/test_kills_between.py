"""A process that dies between two steps leaves nothing running, and no false word of it."""

import os
import subprocess
import sys

import pytest

from rocketjob import Server
from rocketjob.base.errors import NotFound
from rocketjob.testing import sandbox
from support.jobs import PassingJob
from support.runtime import eventually, servers

JOBS = """
    import os, pathlib, time
    from rocketjob import Job, before
    from rocketjob.jobs import completions
    from rocketjob_plugins.batch import Batch

    class PassingJob(Job):
        def perform(self): pass

    class HangingInputJob(Batch, Job):
        destroy_on_complete = False
        where: str = "before"

        @before("batch")
        def fill(self):
            self.hang("before")
            self.upload(["a", "b"])

        def perform(self, record):
            self.hang("perform")

        def hang(self, where):
            hung = pathlib.Path("hung")
            if where == self.where and not hung.exists():
                hung.write_text(str(os.getpid()))
                time.sleep(600)

    noted = completions.note

    def note(ids):
        '''Die between the removal of a finished job and the note of it, once.'''
        died = pathlib.Path("died")
        if died.exists():
            return noted(ids)
        died.touch()
        os._exit(9)

    completions.note = note
"""


@pytest.fixture
def place(tmp_path):
    with sandbox(f"sqlite:///{tmp_path}/jobs.db?timeout=20") as made:
        yield made.store.collection("rocket_job.jobs")


def test_of_a_job_that_was_removed_by_a_process_that_died_nothing_false_is_said(tmp_path, place):
    with servers(tmp_path, JOBS) as start:
        job = PassingJob.create()
        start(processes=1, workers=1)
        eventually((tmp_path / "died").exists)
        eventually(lambda: place.find_one({"_id": job.id}) is None)
        for ask in (job.reload, lambda: job.wait(timeout=5)):
            with pytest.raises(NotFound, match="whether it completed is not known"):
                ask()
        assert not job.is_completed
        other = PassingJob.create()
        assert other.wait(timeout=30).is_completed


@pytest.mark.parametrize("where", ["before", "perform"])
def test_a_program_that_dies_while_it_performs_a_stored_batch_job_leaves_it_to_the_servers(
    tmp_path, place, where
):
    with servers(tmp_path, JOBS) as start:
        (tmp_path / "died").touch()
        code = f"import app; app.HangingInputJob.create(where={where!r}).perform_now()"
        settings = {
            "ROCKETJOB_URL": f"sqlite:///{tmp_path}/jobs.db",
            "ROCKETJOB_HEARTBEAT_SECONDS": "0.5",
        }
        environment = {**os.environ, **settings}
        program = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment)
        try:
            eventually((tmp_path / "hung").exists)
        finally:
            program.kill()
            program.wait()
        start(processes=1, workers=1)
        eventually(lambda: place.find_one({})["state"] == "completed")
        eventually(lambda: Server.count() == 1)
