"""The jobs that are measured."""

from __future__ import annotations

import os

from rocketjob.base import clock
from rocketjob.jobs.claims import claim_of
from rocketjob.jobs.job import Job
from rocketjob.model.callbacks import after
from rocketjob.model.fields import field
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory

OF_RUN = "which run of `rocketjob perf` it belongs to"


class PerfSimpleJob(Job):
    """Does nothing."""

    perf_run: str = field(default="", description=OF_RUN)

    def perform(self) -> None:
        """Do nothing."""


class PerfTimedJob(Job):
    """Appends to a file when it was claimed, loaded, performed and completed.

    Times are of the monotonic clock, which all processes of a machine share on Linux and macOS.
    """

    perf_run: str = field(default="", description=OF_RUN)
    samples: str = field(default="", description="the file for its times")

    @after("initialize")
    def note_loaded(self) -> None:
        self._loaded = clock.monotonic()

    def perform(self) -> None:
        self._began = clock.monotonic()
        claim = claim_of(self)  # it is gone when the job has completed
        self._asked = claim.at if claim is not None else self._loaded

    @after("complete")
    def note_completed(self) -> None:
        times = (self._asked, self._loaded, self._began, clock.monotonic())
        line = " ".join([str(self.id), *map(repr, times)]) + "\n"
        file = os.open(self.samples, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, line.encode())  # one write: lines of several processes do not mix
        finally:
            os.close(file)


class PerfBatchJob(Batch, Job):
    """Reverses each line of a file."""

    destroy_on_complete = False
    perf_run: str = field(default="", description=OF_RUN)
    input_category = InputCategory(slice_size=1000)
    output_category = OutputCategory()

    def perform(self, line: str) -> str:
        return line[::-1]
