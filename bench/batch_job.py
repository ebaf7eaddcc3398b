"""The job of `bench_batch.py`, in its own module so that the server can import it."""

from __future__ import annotations

import os
import time

from rocketjob import Job
from rocketjob_plugins.batch import Batch, OutputCategory

MICROS = float(os.environ.get("BENCH_MICROS", "0"))


def work(record: str) -> str:
    """Reverse a record, after keeping the processor busy for BENCH_MICROS."""
    if MICROS:
        end = time.perf_counter() + MICROS / 1e6
        while time.perf_counter() < end:
            pass
    return record[::-1]


class BenchBatchJob(Batch, Job):
    destroy_on_complete = False
    output_category = OutputCategory()

    def perform(self, record: str) -> str:
        return work(record)
