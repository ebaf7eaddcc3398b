"""A server replaces worn processes without losing work, answers how it is, and tells systemd."""

import contextlib
import json
import re
import signal
import socket
import threading
import time
import urllib.request

from rocketjob import Job
from rocketjob.states.history import RELEASE
from rocketjob.testing import sandbox
from support.servers import eventually, server

APP = """
import os, time
from pathlib import Path
from rocketjob import Job

class WearingJob(Job):
    destroy_on_complete = False
    collect_output = True

    def perform(self):
        time.sleep(0.02)
        return {"pid": os.getpid()}


class GrowingJob(WearingJob):
    kept = []

    def perform(self):
        first = Path("first")
        if not first.exists():
            first.write_text(str(os.getpid()))
        if first.read_text() == str(os.getpid()):  # else one would be replaced after the other
            self.kept.append(b"x" * 20_000_000)
        return super().perform()
"""


class Work:
    """Jobs of a class that only the server knows, which say by what process they were performed."""

    def __init__(self, name):
        self.jobs, self._name = Job.collection(), name

    def goes_on_in_another_process(self):
        """Have work at all times; return whether a second process has done some of it."""
        own = {"_type": self._name, "destroy_on_complete": False, "collect_output": True}
        document = {**Job().to_document(), **own}
        self.jobs.insert_many([{**document, "_id": Job().id} for _ in range(5)])
        time.sleep(0.1)
        return len(self.pids()) > 1

    def pids(self):
        return {each["result"]["pid"] for each in self.jobs.find({"state": "completed"})}

    def is_done(self):
        return self.jobs.count_documents({"state": {"$ne": "completed"}}) == 0

    def events(self):
        return {entry["event"] for each in self.jobs.find({}) for entry in each["history"]}


UNHARMED = {"start", RELEASE, "complete"}  # what waited in the old process is let go


def asked(address, path):
    with urllib.request.urlopen(f"{address}{path}", timeout=10) as response:
        return json.load(response)


def keep(receiver, messages):
    """Keep what is told, as systemd does."""
    with contextlib.suppress(OSError):
        while True:
            messages.append(receiver.recv(1000).decode())


def test_worn_processes_are_replaced_while_the_server_says_how_it_is(tmp_path):
    (tmp_path / "wearing_app.py").write_text(APP)
    arguments = ("--app", "wearing_app", "--workers", 1, "--processes", 1)
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(str(tmp_path / "notify"))
    env = {
        "ROCKETJOB_MAX_JOBS_PER_PROCESS": "5",
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "1500000",
        "ROCKETJOB_HEALTH": "127.0.0.1:0",
    }
    url = f"sqlite:///{tmp_path}/rocketjob.db"
    with notified, sandbox(url), server(tmp_path, *arguments, env=env) as running:
        running.says("server started")
        address = re.search(r"at=(http://\S+)/", running.said)[1]
        messages = []
        threading.Thread(target=keep, args=(notified, messages), daemon=True).start()
        eventually(lambda: any("STATUS=1 worker ready" in each for each in messages))
        eventually(lambda: "WATCHDOG=1" in messages)
        eventually(lambda: asked(address, "/ready")["ready"])
        work = Work("WearingJob")
        eventually(work.goes_on_in_another_process)
        eventually(work.is_done)
        assert work.events() <= UNHARMED
        assert asked(address, "/")["live"]
        running.send(signal.SIGTERM)
        assert running.ends() == 0
        eventually(lambda: any(each.startswith("STOPPING=1") for each in messages))


def test_a_process_that_has_grown_is_replaced_and_no_job_is_the_worse_for_it(tmp_path):
    (tmp_path / "wearing_app.py").write_text(APP)
    arguments = ("--app", "wearing_app", "--workers", 1, "--processes", 1)
    env = {"ROCKETJOB_MAX_MEMORY_PER_PROCESS": "150 MB"}
    url = f"sqlite:///{tmp_path}/rocketjob.db"
    with sandbox(url), server(tmp_path, *arguments, env=env) as running:
        work = Work("GrowingJob")
        eventually(work.goes_on_in_another_process)
        running.says("it uses ")
        eventually(work.is_done)
        assert work.events() <= UNHARMED
        running.send(signal.SIGTERM)
        assert running.ends() == 0
