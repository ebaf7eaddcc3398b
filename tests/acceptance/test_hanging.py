"""What becomes of each kind of job that hangs: the table of docs/time-limits.md, from real ones."""

import textwrap
from pathlib import Path

from rocketjob import Job, JobException
from rocketjob.testing import sandbox
from support.servers import eventually, server

PAGE = Path(__file__).parents[2] / "docs" / "time-limits.md"
APP = """
import asyncio, ctypes, socket, time
from datetime import timedelta
from rocketjob import Job


class Hanging(Job, abstract=True):
    destroy_on_complete = False
    timeout = timedelta(seconds=1)


class CheckHangs(Hanging):
    def perform(self):
        while True:
            self.sleep(0.01)


class AwaitHangs(Hanging):
    async def perform(self):
        await asyncio.Event().wait()


class SleepHangs(Hanging):
    def perform(self):
        time.sleep(3600)


class SocketHangs(Hanging):
    def perform(self):
        one, two = socket.socketpair()
        one.recv(1)


class LoopHangs(Hanging):
    def perform(self):
        ctypes.PyDLL(None).sleep(3600)  # holds the interpreter, and costs nothing


for cls in Hanging.__subclasses__():
    name = cls.__name__ + "Apart"
    body = {"isolation": "process", "__module__": __name__, "__qualname__": name}
    globals()[name] = type(name, (cls,), body)
"""
KINDS = {
    "`self.check()` or `self.sleep()` in a loop": "CheckHangs",
    "an `await` for ever": "AwaitHangs",
    "`time.sleep`": "SleepHangs",
    "the read of a socket": "SocketHangs",
    "a loop in C that never lets go of the interpreter": "LoopHangs",
}
OUTCOMES = {
    "": "`JobTimeout` at once, where it is",
    "could not be interrupted": "`JobTimeout` after 2 s, with its line; the thread goes on",
    "held the interpreter": "`JobTimeout` after 5 s; the worker process is replaced",
}
ENDED = "`JobTimeout` at once; the process is ended"


def outcome(name, error):
    assert error.class_name == "JobTimeout"
    if name.endswith("Apart"):
        assert error.message == "It has not ended within its timeout of 0:00:01"
        return ENDED
    return next(text for part, text in reversed(OUTCOMES.items()) if part in error.message)


def test_the_table_of_the_page_says_what_becomes_of_jobs_that_hang(tmp_path):
    (tmp_path / "hanging_app.py").write_text(textwrap.dedent(APP))
    arguments = ("--app", "hanging_app", "--workers", 12, "--processes", 1, "--grace", 1)
    with sandbox(f"sqlite:///{tmp_path}/rocketjob.db"), server(tmp_path, *arguments) as running:
        running.says("server started")
        names = [name for kind in KINDS.values() for name in (f"{kind}Apart", kind)]
        jobs = Job.collection()

        def fail(*named):
            for name in named:
                jobs.insert_one({**Job().to_document(), "_type": name, "timeout": 1.0, **KEPT})
            eventually(
                lambda: jobs.count_documents({"_type": {"$in": [*named]}, **FAILED}) == len(named)
            )

        fail(*[name for name in names if name != "LoopHangs"])
        fail("LoopHangs")  # last, since it takes whatever is in its process with it
        errors = {each["_type"]: each["exception"] for each in jobs.find({})}
    found = {
        name: outcome(name, JobException(error["class_name"], error["message"]))
        for name, error in errors.items()
    }
    rows = [f"| {kind} | {found[name]} | {found[f'{name}Apart']} |" for kind, name in KINDS.items()]
    assert "\n".join(rows) in PAGE.read_text()


KEPT = {"destroy_on_complete": False}
FAILED = {"state": "failed"}
