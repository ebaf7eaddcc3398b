"""Measure Mission Control over a large store: time, calls of the store and bytes of each page.

    python bench/bench_web.py                              a million jobs, in a temporary folder
    python bench/bench_web.py --jobs 50000
    python bench/bench_web.py --url sqlite:////data/bench.db     one that is kept; filled once

The store gets jobs in every state, one in five failed, and a batch job with slices. Pages are asked
for in this process, without a network: what is measured is the server's time, and the processor's,
which other programs do not make longer. It ends with 1 if a
budget is not kept: 150 ms for 95 of 100 looks at a list, 1 s where something is searched for or
sorted by what no index has, 8 calls of the store, 120 KB for the first page with all that it loads.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bson import ObjectId

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]  # for the counting of calls

import rocketjob  # noqa: E402
from rocketjob import Job  # noqa: E402
from rocketjob.store import context  # noqa: E402
from rocketjob_plugins.batch import Batch  # noqa: E402

SHARES = {
    "failed": 20,
    "aborted": 2,
    "paused": 1,
    "scheduled": 2,
    "queued": 10,
    "completed": 65,
}  # of a hundred jobs
SLICES = 100_000
CHUNK = 10_000
LIST_SECONDS, SLOW_SECONDS, CALLS, FIRST_PAGE = 0.150, 1.0, 8, 120_000
WORDS = ["alpha", "beta", "gamma", "delta", "invoice", "letter", "import", "export", "report"]


class BenchMailJob(Job):
    destroy_on_complete = False
    description: str | None = None

    def perform(self) -> None: ...


class BenchImportJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record: Any) -> None: ...


def main() -> int:
    options = parsed()
    folder = tempfile.mkdtemp(prefix="rocketjob-bench-")
    try:
        rocketjob.connect(options.url or f"sqlite:///{folder}/bench.db")
        began = time.monotonic()
        if not Job.collection().find_one({}):
            fill(options.jobs)
            print(f"{options.jobs:,} jobs stored in {time.monotonic() - began:.0f} s")
        return measured(options.looks)
    finally:
        context.current().close()
        shutil.rmtree(folder)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--looks", type=int, default=20, help="at each page")
    parser.add_argument("--url", help="of a store that is kept")
    return parser.parse_args()


# --- filling ---------------------------------------------------------------------------------


def fill(count: int) -> None:
    """Store jobs as they would be after some weeks."""
    jobs = Job.collection()
    running = [BenchMailJob.create(description="in work") for _ in range(40)]
    batch = BenchImportJob.create(description="a large file", record_count=SLICES * 100)
    for job in (*running, batch):
        changes = {"state": "running", "started_at": datetime.now(UTC), "worker_name": "a:1"}
        jobs.update_one({"_id": job.id}, {"$set": changes})
    jobs.update_one(
        {"_id": batch.id}, {"$set": {"sub_state": "processing"}, "$unset": {"worker_name": 1}}
    )
    batch.input.create_indexes()
    for number in range(0, SLICES, CHUNK):
        batch.input.collection.insert_many(
            {
                "_id": ObjectId(),
                "state": "queued",
                "first_record_number": (number + n) * 100,
                "records": [],
            }
            for n in range(CHUNK)
        )
    template = jobs.find_one({"_id": BenchMailJob.create(description="a letter").id})
    states = [state for state, share in SHARES.items() for _ in range(share)]
    for number in range(0, count, CHUNK):
        rows = range(number, min(number + CHUNK, count))
        jobs.insert_many(like(template, n, states[n * 37 % 100]) for n in rows)


def like(template: Any, number: int, state: str) -> dict[str, Any]:
    """Return a job of a state; what happened to it is some seconds after the job before."""
    at = datetime.now(UTC) - timedelta(days=30) + timedelta(seconds=2.5 * number)
    words = f"{WORDS[number % 9]} {WORDS[number // 9 % 9]} no. {number}"
    job = {**template, "_id": ObjectId(), "description": words, "created_at": at}
    job |= {"priority": number % 100 + 1, "state": "queued" if state == "scheduled" else state}
    if state == "scheduled":
        job["run_at"] = datetime.now(UTC) + timedelta(minutes=number % 5000)
    if state in ("failed", "aborted", "paused", "completed"):
        job |= {"started_at": at, "completed_at": at + timedelta(seconds=number % 300)}
    if state == "failed":
        job |= {"failure_count": 1, "exception": {"class_name": "ValueError", "message": words}}
    return job


# --- measuring -------------------------------------------------------------------------------


def pages() -> Iterator[tuple[str, str, float]]:
    """Yield what is looked at: its name, its path, and how long it may take."""
    for name in ("running", "queued", "scheduled", "completed", "paused", "failed", "aborted"):
        yield name, f"/jobs/{name}", LIST_SECONDS
    yield "all", "/jobs", LIST_SECONDS
    yield "all, 100 rows", "/jobs?size=100", LIST_SECONDS
    yield "failed, page 50", "/jobs/failed?page=50", LIST_SECONDS
    yield "completed, page 50", "/jobs/completed?page=50", LIST_SECONDS
    yield "queued, page 50", "/jobs/queued?page=50", LIST_SECONDS
    for id in (
        Job.failed().order_by("-_id").first().id,
        BenchImportJob.running().first().id,
        Job.queued_now().order_by("-_id").first().id,
    ):
        yield "a job", f"/jobs/{id}", LIST_SECONDS
    yield (
        "why it waits",
        f"/jobs/{Job.queued_now().order_by('-_id').first().id}/explain",
        SLOW_SECONDS,
    )
    yield "all, search", "/jobs?q=invoice", SLOW_SECONDS
    yield "all, search, none", "/jobs?q=nothing-has-this", SLOW_SECONDS
    yield "failed, search", "/jobs/failed?q=no.%20123", SLOW_SECONDS
    yield "aborted, search", "/jobs/aborted?q=no.%20123", SLOW_SECONDS
    yield "failed, query", "/jobs/failed?q=priority:%3C90+-desc:alpha+created:%3E1h", SLOW_SECONDS
    yield (
        "all, query",
        "/jobs?q=class:BenchMailJob+state:failed+error:nothing-has-this",
        SLOW_SECONDS,
    )
    yield "no such class", "/jobs?q=class:NoSuchJob", SLOW_SECONDS
    yield "no such state", "/jobs?q=state:nosuch", SLOW_SECONDS
    yield "all by class", "/jobs?sort=class", SLOW_SECONDS
    yield "failed by description", "/jobs/failed?sort=description", SLOW_SECONDS
    yield "completed, the oldest", "/jobs/completed?sort=completed", SLOW_SECONDS


def measured(looks: int) -> int:
    from support.web import browser, counted_calls

    client, over = browser(), 0
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; {looks} looks at each")
    print(f"{'page':24} {'median':>8} {'p95':>8} {'p95 cpu':>8} {'calls':>6} {'bytes':>8}")
    client.get("/jobs")  # the first look opens the store
    for name, path, limit in pages():
        seconds, busy = [], []
        for _ in range(looks):
            began, own = time.perf_counter(), time.process_time()
            page = client.get(path)
            seconds.append(time.perf_counter() - began)
            busy.append(time.process_time() - own)
            assert page.status_code == 200, (path, page.status_code)
        memory = client.app.state.site.memory  # what is known from the page before; but for the
        watch = memory.get("watch")  # verdict, which is that of all pages
        memory.clear()
        memory["watch"] = watch
        if watch._beside is not None:
            watch._beside.join()  # its calls are no page's own
        with counted_calls() as calls:
            client.get(path)
        p95 = statistics.quantiles(seconds, n=20)[-1]
        wrong = "".join((" SLOW" * (p95 > limit), " CALLS" * (len(calls) > CALLS)))
        over += bool(wrong)
        cpu = statistics.quantiles(busy, n=20)[-1]
        times = " ".join(f"{each * 1000:8.1f}" for each in (statistics.median(seconds), p95, cpu))
        figures = f"{times} {len(calls):6}"
        print(f"{name:24} {figures} {len(page.content):8}{wrong}", flush=True)
    fits = first_page(client)
    return int(bool(over) or not fits)


def first_page(client: Any) -> bool:
    """Say how many bytes a browser loads for its first page."""
    page = client.get("/jobs/running")
    paths = re.findall(r'(?:src|href)="(/static/[^"#]+)', page.text)
    answers = [page, *(client.get(path) for path in dict.fromkeys(paths))]
    raw = sum(len(each.content) for each in answers)
    sent = sum(each.num_bytes_downloaded for each in answers)
    print(f"first page: {len(answers)} answers of {sent:,} bytes; {raw:,} before compression")
    return sent <= FIRST_PAGE


if __name__ == "__main__":
    raise SystemExit(main())
