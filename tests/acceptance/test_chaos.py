"""The main promise: whatever is killed, every job is done once by its last claim, in order.

`ROCKETJOB_CHAOS_JOBS=20000 ROCKETJOB_CHAOS_SECONDS=60` is the full size; less runs by default.
"""

import collections
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from datetime import datetime, timedelta

import pytest

from rocketjob.jobs.claims import QUARANTINED
from rocketjob.testing import sandbox
from support.runtime import eventually, insert, servers

JOBS = int(os.environ.get("ROCKETJOB_CHAOS_JOBS", "1500"))
SECONDS = float(os.environ.get("ROCKETJOB_CHAOS_SECONDS", "6"))  # of killing
PRODUCERS = 3
SLACK = timedelta(seconds=1)  # separates what happened before from what happened after

APP = """
    import time
    from rocketjob import Job

    class ChaosJob(Job):
        destroy_on_complete = False
        producer: int = 0
        number: int = 0

        def perform(self):
            time.sleep(0.03)
"""

PRODUCER = """
    import random, sys
    sys.path.insert(0, {folder!r})
    import rocketjob
    rocketjob.connect({url!r})
    from app import ChaosJob
    dice = random.Random({producer})
    numbers = list(range({count}))
    while numbers:
        group, numbers = numbers[:50], numbers[50:]
        ChaosJob.create_many(
            dict(producer={producer}, number=n, priority=dice.choice([1, 20, 50, 50, 80, 100]))
            for n in group
        )
        with open("stored", "a") as stored:
            for n in group:
                print({producer}, n, rocketjob.now().isoformat(), file=stored)
"""


@pytest.fixture
def jobs(tmp_path):
    """The documents in the store that the servers share."""
    with sandbox(f"sqlite:///{tmp_path}/jobs.db?timeout=20") as made:
        yield made.store.collection("rocket_job.jobs")


def produce(folder, producer, number):
    script = PRODUCER.format(
        folder=str(folder),
        url=f"sqlite:///{folder}/jobs.db?timeout=60",
        producer=producer,
        count=number,
    )
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=folder)


def test_every_job_is_done_once_whatever_is_killed(tmp_path, jobs):
    dice = random.Random(os.environ.get("ROCKETJOB_CHAOS_SEED", "7"))
    with servers(tmp_path, APP) as start:
        producers = [produce(tmp_path, n, JOBS // PRODUCERS) for n in range(PRODUCERS)]
        running = [start(f"server{n}", crash_limit=1000, processes=2) for n in range(3)]
        try:
            kills = kill_at_random(running, start, dice, jobs)
        finally:
            assert [producer.wait(120) for producer in producers] == [0] * PRODUCERS
        total = JOBS // PRODUCERS * PRODUCERS
        eventually(
            lambda: jobs.count_documents({"state": "completed"}) == total,
            within=60 + JOBS / 50,
            every=0.2,
        )
        for server in running:
            server.send(signal.SIGTERM)
        assert [server.wait() for server in running] == [0, 0, 0]
    documents = list(jobs.find({}))
    assert len(documents) == total
    assert jobs.count_documents({"claimed_by": {"$exists": True}}) == 0
    assert len({(each["producer"], each["number"]) for each in documents}) == total
    for each in documents:
        assert_done_once(each)
    late = inversions(documents, stored_at(tmp_path))
    print(f"{total} jobs, {kills} kills, {retaken(documents)} taken back, {len(late)} out of order")
    assert not late
    assert kills["child"] and kills["server"]


def kill_at_random(running, start, dice, jobs):
    """Kill worker processes and whole servers, and start a new one for each that is gone."""
    kills = {"child": 0, "server": 0}
    running[0].wait_until_up()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(dice.uniform(0.1, 0.6))
        index = dice.randrange(len(running))
        children = running[index].children()
        if dice.random() < 0.75 and children:
            try:
                os.kill(dice.choice(children), signal.SIGKILL)
            except ProcessLookupError:
                continue
            kills["child"] += 1
        elif children:
            running[index].send_to_all(signal.SIGKILL)
            running[index].wait()
            kills["server"] += 1
            name = f"server{len(running)}_{kills['server']}"
            running[index] = start(name, crash_limit=1000, processes=2)
    return kills


def assert_done_once(document):
    """A job's only completion belongs to its last claim, and nothing was written after it."""
    history = document["history"]
    done = [entry for entry in history if entry["event"] == "complete"]
    assert len(done) == 1, document
    assert done[0]["claim"] == document["claim_number"], document
    assert history[-1] is done[0], document
    assert document["state"] == "completed"


def retaken(documents):
    return sum(entry["event"] == "requeue" for each in documents for entry in each["history"])


def stored_at(folder):
    """Return when each job was there to be claimed: a producer may wait long for its turn."""
    lines = [line.split() for line in (folder / "stored").read_text().splitlines()]
    return {(int(p), int(n)): datetime.fromisoformat(at) for p, n, at in lines}


def inversions(documents, stored):
    """Return the starts at which a more urgent job had been waiting, and went on waiting.

    A job that may have ended its worker or server waits for a process of its own, and is left out.
    """
    waits = []  # priority, since, until
    starts = []  # when, priority
    for each in documents:
        since, alone = stored[each["producer"], each["number"]], False
        for entry in each["history"]:
            if entry["event"] == "start":
                if not alone:
                    starts.append((entry["at"], each["priority"]))
                    waits.append((each["priority"], since, entry["at"]))
            elif entry["state"] == "queued":
                since = entry["at"]
                alone = alone or each["interruptions"] > 0 or QUARANTINED in each
    # What was waiting for longer than the slack on either side of a start should have gone first.
    moments = [(at, 1, priority) for at, priority in starts]
    for priority, since, until in waits:
        if until - since > 2 * SLACK:
            moments += [(since + SLACK, 0, priority), (until - SLACK, 2, priority)]
    late, waiting = [], collections.Counter()
    for at, kind, priority in sorted(moments):
        if kind == 1:
            urgent = min((each for each in waiting if waiting[each]), default=priority)
            late += [(at, priority, urgent)] if urgent < priority else []
        else:
            waiting[priority] += 1 - kind
    return late


FROZEN = """
    import pathlib
    import time
    from rocketjob import Job

    class FrozenJob(Job):
        destroy_on_complete = False
        takes: float = 0.0

        def perform(self):
            pathlib.Path(f"begun.{self.id}").touch()
            end = time.monotonic() + self.takes
            while time.monotonic() < end:
                time.sleep(0.02)
"""


def test_a_server_that_was_stopped_and_comes_back_changes_nothing(tmp_path, jobs):
    with servers(tmp_path, FROZEN) as start:
        sleepy = start("sleepy", processes=1, workers=3).wait_until_up()
        ids = insert(jobs, "FrozenJob", 3, takes=0.4)
        # Claimed is not enough: what has not begun is released, and nothing is lost.
        eventually(lambda: len(list(tmp_path.glob("begun.*"))) == 3)
        sleepy.send_to_all(signal.SIGSTOP)
        heir = start("heir", processes=1, workers=3, crash_limit=10)
        eventually(lambda: jobs.count_documents({"state": "completed"}) == 3)
        before = {each["_id"]: each for each in jobs.find({})}
        assert set(before) == set(ids)
        assert all(each["history"][-1]["worker"].startswith("heir") for each in before.values())
        sleepy.send_to_all(signal.SIGCONT)
        eventually(lambda: len(sleepy.logged("ClaimLost")) == 3)
        eventually(lambda: sleepy.logged("this server was taken for dead; its work went to others"))
        assert {each["_id"]: each for each in jobs.find({})} == before
        # It is a server like any other again.
        heir.send(signal.SIGTERM)
        assert heir.wait() == 0
        insert(jobs, "FrozenJob", 1)
        eventually(lambda: jobs.count_documents({"state": "completed"}) == 4)
        sleepy.send(signal.SIGTERM)
        assert sleepy.wait() == 0
