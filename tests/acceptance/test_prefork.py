"""Web servers with several processes: each enqueues, also after a fork with an open store."""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from rocketjob.application import Application
from rocketjob.base import config
from rocketjob.store import context
from support import servers

PATIENCE = 90  # seconds: several processes begin at once, on a machine that may be busy

# What every thing that a fork must not share is used before it: connections, threads, locks. One
# thread goes on writing, so that the fork finds it anywhere, even within the store.
WSGI = """
import asyncio
import os
import threading

import rocketjob
from rocketjob import Job

rocketjob.connect(os.environ["JOBS_URL"])


class WebJob(Job):
    pid: int
    way: str

    def perform(self): ...


WebJob.create(pid=os.getpid(), way="import")
asyncio.run(WebJob.create_async(pid=os.getpid(), way="import"))


def busy():
    while not ended.wait(0.0005):
        WebJob.create(pid=os.getpid(), way="busy").destroy()


ended = threading.Event()
if "BUSY" in os.environ:
    threading.Thread(target=busy, daemon=True).start()


def app(environ, start_response):
    pid = os.getpid()
    WebJob.create(pid=pid, way="plain")
    asyncio.run(WebJob.create_async(pid=pid, way="async"))
    start_response("200 OK", [("content-type", "text/plain")])
    return [str(pid).encode()]
"""
ASGI = """
import os

from rocketjob import Job
from rocketjob_contrib.starlette import lifespan
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


class WebJob(Job):
    pid: int
    way: str

    def perform(self): ...


async def place(request):
    for way in ("plain", "async"):
        await WebJob.create_async(pid=os.getpid(), way=way)
    return PlainTextResponse(str(os.getpid()))


settings = {"url": os.environ["JOBS_URL"]}
app = Starlette(routes=[Route("/", place)], lifespan=lifespan(**settings))
"""
GUNICORN = ("gunicorn", "web:app", "--bind", "127.0.0.1:0", "--workers", "2")
UVICORN = ("uvicorn", "web:app", "--port", "0", "--workers", "2")
UVICORN += ("--timeout-worker-healthcheck", str(PATIENCE))  # else a reload is given up after 5 s


def eventually(check):
    return servers.eventually(check, PATIENCE)


class WebServer:
    """A web server with two processes that runs, and what it has said."""

    def __init__(self, folder, source, words, **environment):
        (folder / "web.py").write_text(source)
        self.folder, self.url = folder, environment.get("JOBS_URL", f"sqlite:///{folder}/jobs.db")
        if words[0] == "gunicorn":
            words = [*words, "--no-control-socket"]  # of which each user of a machine has one
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ROCKETJOB_")}
        self.log = folder / "web.log"
        with self.log.open("wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=folder,
                env={**kept, "JOBS_URL": self.url, **environment},
                stdout=output,
                stderr=output,
            )
        self.enqueued = Counter()  # requests that were answered, by process

    @property
    def said(self):
        return self.log.read_text()

    def address(self):
        found = re.search(r"http://127\.0\.0\.1:\d+", self.said)
        assert found or self.popen.poll() is None, self.said
        is_ready = "gunicorn" in self.said or "startup complete" in self.said
        return is_ready and found and found[0]

    def ask(self, _=None):
        """Let a process enqueue; return which one."""
        with httpx2.Client(timeout=PATIENCE) as client:  # with a connection of its own
            answer = client.get(eventually(self.address))
        assert answer.status_code == 200, self.said
        return int(answer.text)

    def enqueue_in_each(self, but=()):
        """Let processes enqueue side by side until two have; return them."""
        found = set()

        def round_of_requests():
            with ThreadPoolExecutor(8) as pool:
                answered = [*pool.map(self.ask, range(16))]
            self.enqueued.update(answered)
            found.update(set(answered) - set(but))
            return len(found) >= 2

        eventually(round_of_requests)
        return found

    def reload(self, before):
        """Have it begin again with new processes, by a signal, and wait for the old to end."""
        self.popen.send_signal(signal.SIGHUP)
        eventually(lambda: not any(is_running(pid) for pid in before))

    def stored(self):
        """Count the jobs by process and way."""
        with context.using(Application(config.load({"url": self.url}))) as application:
            found = application.store.collection("rocket_job.jobs").find(
                {"_type": "WebJob", "way": {"$in": ["plain", "async"]}}, {"pid": 1, "way": 1}
            )
            return Counter((job["pid"], job["way"]) for job in found)

    def check_nothing_is_lost(self):
        expected = {
            (pid, way): count for pid, count in self.enqueued.items() for way in ("plain", "async")
        }
        assert self.stored() == expected

    def close(self):
        self.popen.terminate()
        self.popen.wait(PATIENCE)


@contextlib.contextmanager
def web_server(*args, **environment):
    server = WebServer(*args, **environment)
    try:
        yield server
    finally:
        server.close()


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def check_file(folder):
    """Check that no process has harmed the file: what shared connections do."""
    with contextlib.closing(sqlite3.connect(folder / "jobs.db")) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("worker_class", ["sync", "gthread"])
@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_each_process_of_gunicorn_enqueues_also_after_a_reload(tmp_path, worker_class, preload):
    words = [*GUNICORN, "--worker-class", worker_class, "--threads", "2", "--graceful-timeout", "9"]
    words += ["--preload"] if preload else []
    with web_server(tmp_path, WSGI, words) as server:
        first = server.enqueue_in_each()
        server.reload(first)
        second = server.enqueue_in_each()
        assert not first & second
        server.check_nothing_is_lost()
    check_file(tmp_path)


def test_a_fork_while_a_thread_of_the_parent_writes_leaves_the_children_a_store(tmp_path):
    words = [*GUNICORN, "--worker-class", "gthread", "--threads", "2", "--preload"]
    with web_server(tmp_path, WSGI, words, BUSY="1") as server:
        first = server.enqueue_in_each()
        for pid in first:  # each is forked again, beside the thread that writes
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(is_running(pid) for pid in first))
        server.enqueue_in_each(but=first)
        server.check_nothing_is_lost()
    check_file(tmp_path)


def test_a_store_in_memory_is_refused_in_the_children_with_what_to_do(tmp_path):
    words = [*GUNICORN, "--preload"]
    with web_server(tmp_path, WSGI, words, JOBS_URL="sqlite://:memory:") as server:
        with httpx2.Client(timeout=PATIENCE) as client:
            assert client.get(eventually(server.address)).status_code == 500
        eventually(lambda: "use a file, which processes can share" in server.said)


def test_each_process_of_uvicorn_enqueues_also_after_a_reload(tmp_path):
    with web_server(tmp_path, ASGI, UVICORN) as server:
        first = server.enqueue_in_each()
        server.reload(first)
        assert not first & server.enqueue_in_each()
        server.check_nothing_is_lost()
    check_file(tmp_path)


def test_each_process_of_gunicorn_enqueues_in_mongodb(tmp_path, mongo_server):
    url = f"{mongo_server}/prefork?rocketjobTransactions=false&rocketjobWakeUp=tailable"
    words = [*GUNICORN, "--worker-class", "gthread", "--threads", "2", "--preload"]
    with web_server(tmp_path, WSGI, words, JOBS_URL=url) as server:
        server.enqueue_in_each()
        server.check_nothing_is_lost()
