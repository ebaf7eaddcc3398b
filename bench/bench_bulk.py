"""Retry very many failed jobs by a bulk action, and kill the server (-9) twice on the way.

    python bench/bench_bulk.py --jobs 100000

The jobs fail again as soon as they are run, so that one which is retried twice would be seen. It
says how long it took, and ends with 1 if any job was not retried exactly once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bson import ObjectId

import rocketjob
from rocketjob import Job
from rocketjob.jobs.bulk import bulk
from rocketjob.store import context
from rocketjob_plugins.bulk import BulkActionJob, results

CHUNK = 10_000
PATIENCE = 1800  # seconds
APP = """
from rocketjob import Job

class BenchFailingJob(Job):
    destroy_on_complete = False

    def perform(self):
        raise OSError("no space left on device")
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--url", help="of an empty store; in a temporary folder if not given")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="rocketjob-bench-")
    try:
        return measured(folder, options)
    finally:
        context.current().close()
        shutil.rmtree(folder)


def measured(folder: str, options: argparse.Namespace) -> int:
    Path(folder, "bench_app.py").write_text(APP, encoding="utf-8")
    sys.path.insert(0, folder)
    url = options.url or f"sqlite:///{folder}/bench.db"
    rocketjob.connect(url)
    from bench_app import BenchFailingJob  # type: ignore[import-not-found]

    fill(BenchFailingJob, options.jobs)
    began = time.monotonic()
    job = bulk(BenchFailingJob.failed(), "retry", reason="a larger disk").job
    if not isinstance(job, BulkActionJob):
        raise SystemExit("--jobs: so few are done at once; take more than the setting bulk.at_once")
    for number in range(1, options.kills + 1):
        share = options.jobs * number // (options.kills + 1)
        with server(folder, url, options.workers) as running:
            wait(lambda share=share: sum(results.counts(job.id).values()) >= share)
            os.killpg(running.pid, signal.SIGKILL)
        done = results.counts(job.id)["done"]
        print(f"{time.monotonic() - began:6.1f} s  {done:,} done, killed", flush=True)
    with server(folder, url, options.workers):
        wait(lambda: not job.reload().is_running and not job.is_queued)
    print(f"{time.monotonic() - began:6.1f} s  {job.state}: {job.counted()}")
    return checked(job, options.jobs)


def fill(cls: type[Job], count: int) -> None:
    """Store jobs that failed an hour ago."""
    made: Any = cls.create()
    made.fail("no space left on device")
    template = Job.collection().find_one({"_id": made.id})
    assert template is not None
    made.destroy()
    at = datetime.now(UTC) - timedelta(hours=1)
    values = {**template, "created_at": at, "completed_at": at}
    for begin in range(0, count, CHUNK):
        rows = range(begin, min(begin + CHUNK, count))
        Job.collection().insert_many({**values, "_id": ObjectId()} for _ in rows)
    print(f"{count:,} failed jobs stored", flush=True)


@contextmanager
def server(folder: str, url: str, workers: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server, in a group of processes of its own."""
    command = [sys.executable, "-m", "rocketjob.cli", "server", "--workers", str(workers)]
    settings = {"ROCKETJOB_URL": url, "ROCKETJOB_APP": "bench_app", "PYTHONPATH": folder}
    with Path(folder, "server.log").open("ab") as log:
        started = subprocess.Popen(
            [*command, "--log-level", "fatal"],
            cwd=folder,
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield started
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not until():
        if time.monotonic() > end:
            raise SystemExit(f"it has not come that far in {PATIENCE} s")
        time.sleep(0.2)


def checked(job: BulkActionJob, count: int) -> int:
    """Return 0 if each job was retried exactly once, by what is in its own history."""
    found: Counter[int] = Counter()
    for stored in Job.collection().find(
        {"_type": "BenchFailingJob"}, {"_history": 1, "history": 1}
    ):
        events = [entry["event"] for entry in stored.get("history", stored.get("_history", []))]
        found[events.count("retry")] += 1
    print(f"retries of each job: {dict(found)}; attempts of the bulk action: {attempts(job)}")
    return 0 if found == {1: count} and job.counted()["done"] == count else 1


def attempts(job: Job) -> int:
    return sum(entry.event == "start" for entry in job.history)


if __name__ == "__main__":
    sys.exit(main())
