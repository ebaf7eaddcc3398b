"""A mix of jobs for servers under faults, which note what is performed: see `support.faults`.

A server has a copy of this module as its app, in a folder of its own fleet; whoever creates the
jobs imports it from here. The file `clock.NAME` there says how wrong the clock of a server is.
"""

import os
import threading
import time
from datetime import timedelta
from pathlib import Path

from rocketjob import Job, application, field
from rocketjob.base import clock
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.restart import Restart
from rocketjob_plugins.resumable import Resumable
from rocketjob_plugins.retry import Retry
from rocketjob_plugins.singleton import Singleton
from rocketjob_plugins.throttle import Throttle

AT_ONCE = 2  # of the throttled
ROWS, EVERY = 40, 10  # of the resumable
BAD = "bad"  # the end of a record that is rejected


def note(*words):
    """Write down what is performed: in one call, so that lines stay whole."""
    with open("performed", "a") as file:
        file.write(" ".join(map(str, words)) + "\n")


class Noting(Job, abstract=True):
    destroy_on_complete = False

    def perform(self):
        note("job", self.id, self.claim_number)
        self.work_for_a_while()

    def work_for_a_while(self):
        time.sleep(0.02)


class Numbered(Noting, abstract=True):
    """One of a series: each has a number of its own."""

    series: int = field(default=0, copy_on_restart=True)
    number: int = field(default=0, copy_on_restart=True)

    def restarted(self, **overrides):
        return super().restarted(**{"number": self.number + 1, **overrides})


class FaultsPlainJob(Noting):
    number: int = 0


class FaultsRetriedJob(Retry, Noting):
    fails: int = 1

    def work_for_a_while(self):
        if self.failure_count < self.fails:
            raise ConnectionError("not yet")

    def retry_delay(self, attempt):
        return 0.1


class FaultsThrottledJob(Throttle, Noting):
    throttle_running_jobs = AT_ONCE

    def work_for_a_while(self):
        time.sleep(0.05)


class FaultsSingletonJob(Singleton, Noting):
    pass


class FaultsTimeoutJob(Noting):
    timeout = timedelta(seconds=0.3)

    def work_for_a_while(self):
        self.sleep(3600)


class FaultsBatchJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 1_000_000
    input_category = InputCategory(slice_size=10)
    output_category = OutputCategory()

    def perform(self, record):
        claim = self.current_slice.claim_number
        note("record", self.id, f"{self.current_slice.id}.{claim}.{self.record_number}")
        time.sleep(0.005)
        if record.endswith(BAD):
            raise ValueError(record)
        return record.upper()


class FaultsFileJob(FaultsBatchJob):
    """What the directory monitor makes of a file."""


class FaultsResumableJob(Resumable, Noting):
    def work_for_a_while(self):
        for row in self.resumable(range(ROWS), every=EVERY):
            note("row", self.id, row)
            time.sleep(0.005)


class FaultsRestartJob(Restart, Numbered):
    def work_for_a_while(self):
        time.sleep(0.1)


class FaultsCronJob(Cron, Numbered):
    """Runs when somebody has it run, since an hour is long."""

    cron_schedule = "0 * * * *"


def follow_clock():
    """Have the clock of this process as wrong as the file of its server says."""
    path = Path(f"clock.{application.current().config.name}")
    while True:
        if path.exists() and (text := path.read_text()):
            clock._clock.offset = float(text)
        time.sleep(0.05)


if __name__ == "app":
    os.umask(0o022)
    threading.Thread(target=follow_clock, name="wrong clock", daemon=True).start()
