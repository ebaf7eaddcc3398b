"""Async jobs on real servers, hundreds under way at once: a process, or the server, is killed."""

import contextlib
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from rocketjob import Job
from rocketjob.testing import sandbox
from support.servers import eventually, server

PATIENCE = 120  # seconds: processes begin several times, on a machine that may be busy
COUNT = 120
APP = """
import asyncio
import os
import signal
from pathlib import Path

from rocketjob import Job


class UnderWayJob(Job):
    destroy_on_complete = False
    collect_output = True
    number: int
    is_poison: bool = False

    async def perform(self):
        with Path("begun").open("a") as file:
            file.write(f"{self.number} {os.getpid()} {os.getppid()}\\n")
        if self.is_poison:
            while not Path("go").exists():
                await asyncio.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        while not Path("go").exists():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        return self.number
"""


class System:
    """A folder with an app, a store, and what its jobs have noted."""

    def __init__(self, folder, url):
        self.folder, self.url = folder, url
        Path(folder, "under_way.py").write_text(APP)
        self.settings = {
            "ROCKETJOB_URL": url,
            "ROCKETJOB_APP": "under_way",
            "ROCKETJOB_CRASH_LIMIT": "1",
            "ROCKETJOB_HEARTBEAT_SECONDS": "1",
            "PYTHONPATH": str(folder),
        }

    def create(self, jobs, poison=()):
        new = {"_type": "UnderWayJob", "state": "queued", "priority": 50, "collect_output": True}
        jobs.insert_many(
            [
                {
                    **new,
                    "destroy_on_complete": False,
                    "number": number,
                    "is_poison": number in poison,
                }
                for number in range(COUNT)
            ]
        )

    def begun(self):
        """List what has begun: number, process and supervisor."""
        file = Path(self.folder, "begun")
        lines = file.read_text().splitlines() if file.exists() else []
        return [tuple(map(int, line.split())) for line in lines]

    def go(self):
        Path(self.folder, "go").touch()

    def serve(self):
        options = ("--processes", "1", "--workers", "2", "--async-workers", COUNT)
        return server(self.folder, *options, env=self.settings)


def until(check):
    return eventually(check, PATIENCE)


@pytest.fixture(params=["sqlite", "mongodb"])
def system(request, tmp_path):
    if request.param == "sqlite":
        return System(tmp_path, f"sqlite:///{tmp_path}/jobs.db")
    empty = request.getfixturevalue("mongo_url")
    options = "rocketjobTransactions=false&rocketjobWakeUp=tailable"
    return System(tmp_path, f"{empty}?{options}")


def test_of_jobs_under_way_in_a_process_that_is_killed_each_is_performed_again(system):
    with sandbox(system.url) as made:
        jobs = made.store.collection(Job.collection_name)
        system.create(jobs)
        with system.serve():
            until(lambda: len(system.begun()) == COUNT)
            ((killed, _),) = {line[1:] for line in system.begun()}
            os.kill(killed, signal.SIGKILL)
            system.go()
            until(lambda: jobs.count_documents({"state": "completed"}) == COUNT)
        found = [*jobs.find({})]
    assert {job["result"]["result"] for job in found} == set(range(COUNT))
    assert {job.get("interruptions", 0) for job in found} == {0}  # none is to blame
    assert Counter(number for number, *_ in system.begun()) == dict.fromkeys(range(COUNT), 2)


def test_of_jobs_under_way_on_a_server_that_is_killed_each_is_performed_again(system):
    with sandbox(system.url) as made:
        jobs = made.store.collection(Job.collection_name)
        system.create(jobs)
        with system.serve() as first:
            until(lambda: len(system.begun()) == COUNT)
            ((killed, _),) = {line[1:] for line in system.begun()}
            first.send(signal.SIGKILL).ends()
            with contextlib.suppress(ProcessLookupError):  # it has noticed already
                os.kill(killed, signal.SIGKILL)
        system.go()
        with system.serve():
            until(lambda: jobs.count_documents({"state": "completed"}) == COUNT)
        found = [*jobs.find({})]
    assert {job["result"]["result"] for job in found} == set(range(COUNT))
    assert {job.get("interruptions", 0) for job in found} == {0}
    assert Counter(number for number, *_ in system.begun()) == dict.fromkeys(range(COUNT), 2)


def test_one_that_kills_its_process_is_failed_and_none_of_those_beside_it(tmp_path):
    system = System(tmp_path, f"sqlite:///{tmp_path}/jobs.db")
    with sandbox(system.url) as made:
        jobs = made.store.collection(Job.collection_name)
        system.create(jobs, poison=[7])
        with system.serve():
            until(lambda: len(system.begun()) == COUNT)
            system.go()
            until(lambda: not jobs.count_documents({"state": {"$in": ["queued", "running"]}}))
        found = {job["number"]: job for job in jobs.find({})}
    poison = found.pop(7)
    assert (poison["state"], poison["interruptions"]) == ("failed", 1)
    assert poison["exception"]["class_name"] == "WorkerCrashed"
    assert {(job["state"], job.get("interruptions", 0)) for job in found.values()} == {
        ("completed", 0)
    }
