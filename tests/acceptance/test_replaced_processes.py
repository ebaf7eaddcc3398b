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
from rocketjob.testing import sandbox
from support.servers import eventually, server

APP = """
import os, time
from rocketjob import Job

class WearingJob(Job):
    destroy_on_complete = False
    collect_output = True

    def perform(self):
        time.sleep(0.02)
        return {"pid": os.getpid()}
"""


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
        document = {**Job().to_document(), "_type": "WearingJob", "destroy_on_complete": False}
        document["collect_output"] = True
        jobs, done = Job.collection(), {"state": "completed"}

        def more():
            """Have work at all times, until a second process has done some of it."""
            jobs.insert_many([{**document, "_id": Job().id} for _ in range(5)])
            time.sleep(0.1)
            return len({each["result"]["pid"] for each in jobs.find(done)}) > 1

        eventually(more)
        eventually(lambda: jobs.count_documents(done) == jobs.count_documents({}))
        found = [*jobs.find({})]
        events = {entry["event"] for each in found for entry in each["history"]}
        assert events <= {"start", "release", "complete"}  # what waited in the old one is let go
        assert asked(address, "/")["live"]
        running.send(signal.SIGTERM)
        assert running.ends() == 0
        eventually(lambda: any(each.startswith("STOPPING=1") for each in messages))
