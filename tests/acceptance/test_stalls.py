"""A worker process that stands still keeps no work from the others, and loses and repeats none."""

import contextlib
import os
import signal
from collections import Counter

import pytest

from rocketjob.testing import sandbox
from support.runtime import eventually, insert, servers

JOBS = """
    import ctypes, os
    from rocketjob import Job

    class ShortJob(Job):
        destroy_on_complete = False
        def perform(self):
            with open("performed", "a", buffering=1) as file:
                file.write(f"{self.id}\\n")

    class HoldingJob(Job):
        '''Holds the interpreter until there is a file.'''
        destroy_on_complete = False
        def perform(self):
            with open("held", "w") as file:
                file.write(str(os.getpid()))
            wait = b"until test -e go; do sleep 0.02; done"
            ctypes.PyDLL(None).system(wait)
"""


@pytest.fixture
def jobs(tmp_path):
    with sandbox(f"sqlite:///{tmp_path}/jobs.db?timeout=20") as made:
        yield made.store.collection("rocket_job.jobs")


def performed(folder):
    path = folder / "performed"
    return Counter(path.read_text().split() if path.exists() else [])


def completed(jobs, name="ShortJob"):
    return jobs.count_documents({"_type": name, "state": "completed"})


def learn_that_they_are_short(jobs):
    insert(jobs, "ShortJob", 500)
    eventually(lambda: completed(jobs) == 500)


@pytest.mark.parametrize("end", ["it goes on", "it is killed"])
def test_what_waits_behind_a_job_that_holds_the_interpreter_is_done_by_others(tmp_path, jobs, end):
    with servers(tmp_path, JOBS) as start:
        start(processes=2, workers=4).wait_until_up()
        learn_that_they_are_short(jobs)
        insert(jobs, "HoldingJob", priority=1)
        insert(jobs, "ShortJob", 400)
        eventually(lambda: (tmp_path / "held").exists() and (tmp_path / "held").read_text())
        # The other thread may have begun one, or its last ones are not written yet.
        eventually(lambda: completed(jobs) >= 900 - 20)
        assert completed(jobs, "HoldingJob") == 0
        if end == "it is killed":
            os.kill(int((tmp_path / "held").read_text()), signal.SIGKILL)
        (tmp_path / "go").touch()
        eventually(lambda: completed(jobs) == 900 and completed(jobs, "HoldingJob") == 1)
    holding = jobs.find_one({"_type": "HoldingJob"})
    assert holding["interruptions"] == (end == "it is killed")
    if end == "it goes on":
        assert set(performed(tmp_path).values()) == {1}


@pytest.mark.parametrize("end", [signal.SIGCONT, signal.SIGKILL])
def test_what_is_released_for_a_suspended_process_is_performed_once(tmp_path, jobs, end):
    with servers(tmp_path, JOBS) as start:
        server = start(processes=2, workers=4).wait_until_up()
        learn_that_they_are_short(jobs)
        for _ in range(4):  # each time it is suspended somewhere else
            suspended = server.children()[0]
            insert(jobs, "ShortJob", 200)
            os.kill(suspended, signal.SIGSTOP)
            with contextlib.suppress(AssertionError):  # it may be in the middle of a write
                eventually(lambda: jobs.count_documents({"state": {"$ne": "completed"}}) <= 2, 3)
            os.kill(suspended, end)
            if end == signal.SIGKILL:
                eventually(lambda gone=suspended: gone not in server.children())
                eventually(lambda: len(server.children()) == 2)
        eventually(lambda: completed(jobs) == 1300)
    if end == signal.SIGCONT:
        assert set(performed(tmp_path).values()) == {1}
