"""Jobs that are performed in a process of their own; that process imports this module."""

import ctypes
import os
import signal
import time

from rocketjob import Job, after, before, field
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory


class Unsendable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class IsolatedJob(Job):
    isolation = "process"
    destroy_on_complete = False
    collect_output = True
    does: str = ""
    seen: list[str] = field(factory=list)
    parent: int = field(factory=os.getpid)

    @before("perform")
    def note_before(self):
        self.seen.append(f"before, {self._where()}")

    @after("perform")
    def note_after(self):
        self.seen.append(f"after, {self._where()}")

    def _where(self):
        return "here" if os.getpid() == self.parent else "there"

    def perform(self):
        self.seen.append(f"perform, {self._where()}")
        return getattr(self, self.does or "well")()

    def well(self):
        self.logger.info("logged there")
        return {"answer": 42}

    def saves(self):
        self.description = "saved there"
        self.save()
        self.priority = 7
        self.logger.info("logged there")
        return {"answer": 42}

    def raises(self):
        try:
            raise KeyError("x")
        except KeyError as error:
            raise ValueError("bad input") from error

    def crashes(self):
        os._exit(3)

    def crashes_once(self):
        if self.interruptions == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"answer": 42}

    def fills_memory(self):
        kept = []
        while True:
            kept.append(b"x" * 1_000_000)
            time.sleep(0.001)

    def sleeps(self):
        time.sleep(3600)

    def holds_the_interpreter(self):
        ctypes.PyDLL(None).sleep(3600)

    def checks(self):
        while True:
            self.sleep(0.01)


class SmallIsolatedJob(IsolatedJob):
    max_memory = "200 MB"


class IsolatedSlicesJob(Batch, Job):
    isolation = "process"
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2)
    output_category = OutputCategory()

    def perform(self, record):
        if record == "raises":
            raise Unsendable(1, 2)
        if record == "crashes":
            os._exit(3)
        if record == "sends":
            return lambda: None
        return [record, self.record_number, os.getpid()]
