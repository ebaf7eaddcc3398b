"""An idle deployment on MongoDB is nearly silent, and hears of work all the same.

Each test has a server with two worker processes, and counts on the way to the database server what
all three send: see the table in docs/stores/mongodb.md. A machine that is slow sends less.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter

import pymongo
import pytest

from rocketjob.server.looks import FOLLOWS
from support.mongo import MongoServer, needs_a_server
from support.overheard import Overheard
from support.servers import eventually, server

APP = """
from rocketjob import Job

class IdleJob(Job):
    destroy_on_complete = False

    def perform(self): ...
"""
BEAT = 2  # heartbeat_seconds: what follows of the start is looked for within a few of these
SECONDS = 10  # of each of two times: what is done once a minute falls into one of them at most
PATIENCE = 120
MOST = {"changeStreams": 1.0, "tailable": 1.0, "polling": 2.0}  # commands a second, without beats
MOST_AT_START = 100  # with the indexes of a new database


@contextlib.contextmanager
def deployment(folder, wake_up):
    """Yield the server, what is heard of it, and the collections; it is ready and at rest."""
    needs_a_server()
    mongo = MongoServer(None, *(["--standalone"] if wake_up == "tailable" else []))
    heard = Overheard(("127.0.0.1", mongo.port))
    url = f"mongodb://127.0.0.1:{heard.port}/idle?directConnection=true&rocketjobWakeUp={wake_up}"
    (folder / "idle_app.py").write_text(APP)
    settings = {"ROCKETJOB_HEARTBEAT_SECONDS": str(BEAT), "ROCKETJOB_URL": url}
    arguments = ("--app", "idle_app", "--processes", 2, "--workers", 4)
    try:
        with (
            server(folder, *arguments, env=settings),
            pymongo.MongoClient(mongo.url) as client,
        ):
            stored = client.idle
            eventually(lambda: _workers(stored) == 4, PATIENCE)
            yield url, heard, stored
    finally:
        heard.close()
        mongo.stop()


def enqueue(folder, url):
    """Store a job from a program of its own."""
    subprocess.run(
        [sys.executable, "-m", "rocketjob.cli", "enqueue", "idle_app:IdleJob"],
        cwd=folder,
        env={**os.environ, "ROCKETJOB_URL": url},
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=PATIENCE,
    )


def counted_for(seconds, heard):
    """Return how many commands a second are sent, without heartbeats, and which."""
    heard.taken()
    began = time.monotonic()
    time.sleep(seconds)
    sent, took = heard.counted(), time.monotonic() - began
    return (sum(sent.values()) - sent["update", "rocket_job.servers"]) / took, sent


def sent_until_registered(sent):
    """Return what a server has sent before it was one, without the trials of a new deployment.

    After that it depends on the time: it looks at the others, and waits for its processes.
    """
    registered = [each[:2] for each in sent].index(("insert", "rocket_job.servers"))
    return [each for each in sent[:registered] if "rocket_job.trial." not in each.collection]


def _workers(stored):
    found = stored["rocket_job.servers"].find_one() or {}
    return (found.get("heartbeat") or {}).get("workers")


@pytest.mark.parametrize("wake_up", MOST)
def test_an_idle_server_sends_next_to_nothing_and_works_a_job_that_comes_then(tmp_path, wake_up):
    with deployment(tmp_path, wake_up) as (url, heard, stored):
        at_start = sent_until_registered(heard.taken())
        time.sleep(3 * FOLLOWS * BEAT)
        times = [counted_for(SECONDS, heard) for _ in range(2)]
        print(f"{wake_up}: {len(at_start)} at the start, {times} idle")
        assert min(sends for sends, _ in times) <= MOST[wake_up], times
        assert all(sent["update", "rocket_job.servers"] for _, sent in times)  # it lives
        assert len(at_start) <= MOST_AT_START, Counter(at_start)

        enqueue(tmp_path, url)
        began = time.monotonic()
        eventually(lambda: stored["rocket_job.jobs"].find_one({"state": "completed"}), PATIENCE)
        print(f"{wake_up}: worked after {time.monotonic() - began:.2f} s")
