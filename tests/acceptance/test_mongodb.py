"""A fleet on MongoDB: servers are stopped, the database goes and comes back."""

import os
import signal
import threading
import time

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from acceptance.test_chaos import assert_done_once
from rocketjob.testing import sandbox
from support.mongo import MongoServer, database_url, needs_a_server
from support.runtime import eventually, insert, servers

BATCH = """
    import pathlib
    import time
    from rocketjob import Job
    from rocketjob_plugins.batch import Batch

    class MongoReverseJob(Batch, Job):
        destroy_on_complete = False
        slice_size = 2
        collect_output = True

        def perform(self, record):
            time.sleep(0.02)
            return record * 10

    class FrozenJob(Job):
        destroy_on_complete = False

        def perform(self):
            pathlib.Path(f"begun.{self.id}").touch()
            end = time.monotonic() + 0.4
            while time.monotonic() < end:
                time.sleep(0.02)

    class ChaosJob(Job):
        destroy_on_complete = False

        def perform(self):
            time.sleep(0.02)
"""


@pytest.fixture(params=["true", "false"], ids=["transactions", "without"])
def fleet_url(request, mongo_url):
    wake_up = "changeStreams" if request.param == "true" else "tailable"
    return f"{mongo_url}?rocketjobTransactions={request.param}&rocketjobWakeUp={wake_up}"


def test_a_server_that_was_stopped_and_comes_back_changes_nothing(tmp_path, fleet_url):
    with sandbox(fleet_url) as made, servers(tmp_path, BATCH) as start:
        jobs = made.store.collection("rocket_job.jobs")
        settings = {"url": fleet_url, "processes": 1, "workers": 3, "crash_limit": 10}
        sleepy = start("sleepy", **settings).wait_until_up()
        insert(jobs, "FrozenJob", 3)
        # Claimed is not enough: what has not begun is released, and nothing is lost.
        eventually(lambda: len(list(tmp_path.glob("begun.*"))) == 3)
        sleepy.send_to_all(signal.SIGSTOP)
        start("heir", **settings)
        eventually(lambda: jobs.count_documents({"state": "completed"}) == 3)
        before = list(jobs.find({}, sort=[("_id", 1)]))
        assert all(each["history"][-1]["worker"].startswith("heir") for each in before)
        sleepy.send_to_all(signal.SIGCONT)
        eventually(lambda: len(sleepy.logged("ClaimLost")) == 3)
        assert list(jobs.find({}, sort=[("_id", 1)])) == before


@pytest.fixture
def own_server(tmp_path):
    """A database server that may be stopped; never one that others use."""
    needs_a_server()
    server = MongoServer(tmp_path / "mongodb")
    yield server
    server.stop()


def test_the_database_is_stopped_and_started_under_a_working_fleet(tmp_path, own_server):
    url = database_url(own_server.url, serverSelectionTimeoutMS=500)
    with sandbox(url) as made, servers(tmp_path, BATCH) as start:
        jobs = made.store.collection("rocket_job.jobs")
        settings = {"url": url, "processes": 1, "workers": 3, "app": ["app"]}
        fleet = [start(f"server{n}", **settings).wait_until_up() for n in range(2)]
        ids = insert(jobs, "ChaosJob", 100)
        batch = upload(range(1, 101))
        eventually(lambda: jobs.count_documents({"state": "completed"}) > 10)
        own_server.stop()
        used = [cpu_seconds(server) for server in fleet]
        threading.Event().wait(2)  # the outage itself
        busy = [cpu_seconds(server) - before for server, before in zip(fleet, used, strict=True)]
        assert all(seconds < 1.2 for seconds in busy), f"busy while there is no store: {busy}"
        own_server.start()
        began = time.monotonic()
        eventually(lambda: completed(jobs) == 101, within=60, every=0.1)
        print(f"all is done {time.monotonic() - began:.1f} s after the database is back")
        for server in fleet:
            server.send(signal.SIGTERM)
        assert [server.wait() for server in fleet] == [0, 0]
        for each in jobs.find({"_id": {"$in": ids}}):
            assert_done_once(each)
        assert_whole(batch, 100)
        assert jobs.count_documents({"claimed_by": {"$exists": True}}) == 0


def completed(jobs):
    """Count them; None while the driver, which gives up after 0.5 s, finds no server."""
    try:
        return jobs.count_documents({"state": "completed"})
    except ServerSelectionTimeoutError:
        return None


def assert_whole(batch, count):
    """Check that the output has each record once, in order."""
    records = [record for slice_ in batch.output for record in slice_]
    assert records == [number * 10 for number in range(1, count + 1)]


def upload(records):
    from rocketjob import Job
    from rocketjob_plugins.batch import Batch

    class MongoReverseJob(Batch, Job):
        destroy_on_complete = False
        slice_size = 2
        collect_output = True

        def perform(self, record): ...

    job = MongoReverseJob()
    job.upload(records)
    job.save()
    return job


def cpu_seconds(server):
    """Return the processor time that a server and its processes have used."""
    ticks = 0
    for pid in [server.pid, *server.children()]:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
