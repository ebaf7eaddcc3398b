"""Measure a store: inserts, look-ups, guarded writes and claims, in the kernel's group sizes.

    python bench/bench_store.py --url sqlite:////tmp/bench.db --depth 20000
    python bench/bench_store.py --url sqlite:////tmp/bench.db --processes 4
    python bench/bench_store.py --url mongodb://localhost/bench --depths 1000 1000000

The last form shows whether the cost of a claim depends on the length of the queue, and on how many
threads claim at the same time.

For a `sqlite:` URL the same writes are also made on bare sqlite3, with the same tables, indexes and
bytes, but without BSON, filters and updates: the ratio is what the store itself costs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bson import ObjectId, encode

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from rocketjob.store import Store, Write  # noqa: E402

JOBS = "rocket_job.jobs"
SORT = [("priority", 1), ("_id", 1)]
GROUPS = (1, 10, 50)
Rate = float
Measured = Iterator[tuple[str, Rate]]


def open_store(url: str) -> Store:
    """Return the store of a URL, from the plugin for it."""
    if url.startswith("sqlite:"):
        from rocketjob_plugins.store_sqlite import SqliteStore

        return SqliteStore(url)
    from rocketjob.application import Application

    return Application().open_store(url)


def declare(store: Store) -> None:
    """Declare the indexes that the kernel has on jobs."""
    jobs = store.collection(JOBS)
    keys = [("state", 1), ("priority", 1), ("_id", 1), ("run_at", 1), ("_type", 1)]
    jobs.create_index(keys, name="claim")
    jobs.create_index([("completed_at", 1)], name="completed_at")
    exists = {"claimed_by": {"$exists": True}}
    jobs.create_index([("claimed_by", 1)], name="claimed_by", partialFilterExpression=exists)
    exists = {"active_key": {"$exists": True}}
    jobs.create_index(
        [("active_key", 1)], name="active_key", unique=True, partialFilterExpression=exists
    )


def job(number: int) -> dict[str, Any]:
    """Return a queued job of about 500 bytes."""
    now = datetime.now(UTC)
    return {
        "_id": ObjectId(),
        "_type": "ReportJob",
        "state": "queued",
        "priority": 50,
        "created_at": now,
        "claim_number": 0,
        "description": f"Report number {number} of the month",
        "arguments": {"customer": number, "path": "/data/reports/" + "x" * 120, "days": [1, 2, 3]},
        "history": [{"at": now, "state": "queued", "by": "bench"}],
        "log_level": "info",
        "percent_complete": 0,
        "collect_output": False,
        "retry_limit": 25,
        "destroy_on_complete": True,
    }


def claim_filter() -> dict[str, Any]:
    """Return the filter with which the kernel claims."""
    due = [{"run_at": None}, {"run_at": {"$lte": datetime.now(UTC)}}]
    types = {"_type": {"$in": ["ReportJob", "ImportJob"]}}
    crashes = {"interruptions": {"$in": [0, None]}}  # in no index: documents have to be read
    return {"$and": [{"state": "queued"}, {"$or": due}, types, crashes]}


def claim_update() -> dict[str, Any]:
    """Return the update with which the kernel claims."""
    now = datetime.now(UTC)
    return {
        "$set": {"state": "running", "claimed_by": "host:1:abcdef", "started_at": now},
        "$inc": {"claim_number": 1},
        "$push": {"history": {"$each": [{"at": now, "state": "running"}], "$slice": -20}},
    }


def timed(number: int, work: Callable[[], object]) -> Rate:
    """Return how many of `number` things `work` does per second."""
    begin = time.perf_counter()
    work()
    return number / (time.perf_counter() - begin)


def measure(store: Store, depth: int) -> Measured:
    """Measure every kind of access on a queue of a given depth."""
    jobs = store.collection(JOBS)
    few = min(depth, 3000)
    documents = [job(number) for number in range(few)]
    yield "insert_one", timed(few, lambda: [jobs.insert_one(document) for document in documents])
    ids = [document["_id"] for document in documents]
    more = [job(number) for number in range(max(depth - few, 1000))]
    yield "insert_many, 1000 each", timed(len(more), lambda: insert_groups(jobs, more))
    yield "find by _id", timed(few, lambda: [jobs.find_one({"_id": id}) for id in ids])
    yield "find all", timed(few + len(more), lambda: sum(1 for _ in jobs.find()))
    for group in GROUPS:
        yield from measure_group(store, group)


def measure_group(store: Store, group: int) -> Measured:
    """Measure claims, and guarded writes to claimed jobs, in groups of one size."""
    number = jobs_for(group)
    claimed: list[Any] = []
    yield f"claim, groups of {group}", timed(number, lambda: claim(store, group, number, claimed))
    rate = timed(number, lambda: guarded(store, group, claimed, progress))
    yield f"guarded update, groups of {group}", rate
    rate = timed(number, lambda: guarded(store, group, claimed, None))
    yield f"guarded delete, groups of {group}", rate


def jobs_for(group: int) -> int:
    """Return how many jobs to measure groups of this size with."""
    return (40 * group + 400) // group * group


def insert_groups(jobs: Any, documents: list[Any]) -> None:
    """Insert in groups of 1000."""
    for start in range(0, len(documents), 1000):
        jobs.insert_many(documents[start : start + 1000])


def claim(store: Store, group: int, number: int, claimed: list[Any]) -> None:
    """Claim a number of jobs in groups."""
    for _ in range(number // group):
        jobs = store.claim_many(JOBS, claim_filter(), claim_update(), sort=SORT, limit=group)
        assert len(jobs) == group
        claimed.extend(jobs)


def progress() -> dict[str, Any]:
    """Return a small update."""
    return {"$set": {"percent_complete": 50, "updated_at": datetime.now(UTC)}}


def guarded(store: Store, group: int, claimed: list[Any], update: Any) -> None:
    """Write to claimed jobs, each guarded by its claim."""
    for start in range(0, len(claimed), group):
        writes = [
            Write(
                {
                    "_id": job["_id"],
                    "state": "running",
                    "claimed_by": "host:1:abcdef",
                    "claim_number": 1,
                },
                update() if update else None,
            )
            for job in claimed[start : start + group]
        ]
        assert all(store.write_many(JOBS, writes))


# The same on bare sqlite3


class Bare:
    """The store's tables, and the bytes that it writes, prepared beforehand."""

    def __init__(self, path: str) -> None:
        self.raw = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = NORMAL",
            "PRAGMA cache_size = -16000",
            "PRAGMA wal_autocheckpoint = 2000",
            "CREATE TABLE c (n INTEGER PRIMARY KEY, id NOT NULL, k0, k1, k2, k3, k4, k5, u, doc)",
            "CREATE UNIQUE INDEX c_id ON c (id)",
            "CREATE INDEX c_claim ON c (k0, k1, id, k2, k3)",
            "CREATE INDEX c_completed ON c (k4)",
            "CREATE INDEX c_claimed ON c (k5) WHERE k5 IS NOT NULL",
            "CREATE UNIQUE INDEX c_u ON c (u) WHERE u IS NOT NULL",
        ):
            self.raw.execute(statement)
        self.queued = encode(job(1))
        self.running = encode({**job(1), "started_at": datetime.now(UTC), "claimed_by": "x" * 13})

    def row(self) -> tuple[Any, ...]:
        id = b"\x07" + ObjectId().binary
        return (id, "queued", 50, None, "ReportJob", None, None, None, self.queued)

    def in_groups(self, items: list[Any], group: int, work: Callable[[list[Any]], object]) -> None:
        for start in range(0, len(items), group):
            self.raw.execute("BEGIN IMMEDIATE")
            work(items[start : start + group])
            self.raw.execute("COMMIT")

    def insert(self, rows: list[Any]) -> None:
        columns = "id, k0, k1, k2, k3, k4, k5, u, doc"
        sql = f"INSERT INTO c ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self.raw.executemany(sql, rows)

    def claim(self, places: list[Any]) -> list[Any]:
        sql = (
            "SELECT n, doc, id FROM c WHERE k0 = 'queued' AND (k2 IS NULL OR k2 <= ?)"
            " AND k3 IN (?, ?) ORDER BY k1, id LIMIT ?"
        )
        rows = self.raw.execute(sql, (b"\x09", "ReportJob", "ImportJob", len(places))).fetchall()
        update = "UPDATE c SET k0 = 'running', k5 = 'host:1:abcdef', doc = ? WHERE n = ?"
        self.raw.executemany(update, [(self.running, row[0]) for row in rows])
        return [row[2] for row in rows]

    def write(self, ids: list[Any], sql: str, *values: Any) -> None:
        for id in ids:
            n, _ = self.raw.execute("SELECT n, doc FROM c WHERE id = ?", (id,)).fetchone()
            self.raw.execute(sql, (*values, n))


def measure_bare(path: str, depth: int) -> Measured:
    """Make the same writes without a store."""
    bare = Bare(path)
    few = min(depth, 3000)
    rows = [bare.row() for _ in range(few)]
    yield "insert_one", timed(few, lambda: bare.in_groups(rows, 1, bare.insert))
    more = [bare.row() for _ in range(max(depth - few, 1000))]
    yield (
        "insert_many, 1000 each",
        timed(len(more), lambda: bare.in_groups(more, 1000, bare.insert)),
    )
    by_id, raw = "SELECT doc FROM c WHERE id = ?", bare.raw
    yield (
        "find by _id",
        timed(few, lambda: [raw.execute(by_id, row[:1]).fetchone() for row in rows]),
    )
    yield "find all", timed(few + len(more), lambda: sum(1 for _ in raw.execute("SELECT * FROM c")))
    for group in GROUPS:
        yield from measure_bare_group(bare, group)
    bare.raw.close()


def measure_bare_group(bare: Bare, group: int) -> Measured:
    """Measure the same for groups of one size."""
    number = jobs_for(group)
    claimed: list[Any] = []

    def claim(places: list[Any]) -> None:
        claimed.extend(bare.claim(places))

    def update(ids: list[Any]) -> None:
        bare.write(ids, "UPDATE c SET doc = ? WHERE n = ?", bare.running)

    def delete(ids: list[Any]) -> None:
        bare.write(ids, "DELETE FROM c WHERE n = ?")

    places = list(range(number))
    yield f"claim, groups of {group}", timed(number, lambda: bare.in_groups(places, group, claim))
    rate = timed(number, lambda: bare.in_groups(claimed, group, update))
    yield f"guarded update, groups of {group}", rate
    rate = timed(number, lambda: bare.in_groups(claimed, group, delete))
    yield f"guarded delete, groups of {group}", rate


# Several processes


def work_off(url: str, group: int, ready: Any, go: Any, results: Any) -> None:
    """Claim and delete jobs until none are left; report how many, and the slowest call."""
    store = open_store(url)
    store.collection(JOBS).find_one({})
    ready.release()
    go.wait()
    completed, slowest = 0, 0.0
    while True:
        begin = time.perf_counter()
        claimed = store.claim_many(JOBS, claim_filter(), claim_update(), sort=SORT, limit=group)
        middle = time.perf_counter()
        if not claimed:
            break
        guarded(store, group, claimed, None)
        slowest = max(slowest, middle - begin, time.perf_counter() - middle)
        completed += len(claimed)
    results.put((completed, slowest))
    store.close()


def measure_processes(url: str, depth: int, processes: int) -> None:
    """Let several processes empty one queue."""
    context = multiprocessing.get_context("spawn")
    store = open_store(url)
    print(f"\n{processes} processes claim and delete jobs")
    print(f"{'':28}{'jobs/s':>12}{'fewest':>10}{'most':>10}{'slowest call':>16}")
    for group in GROUPS:
        number = depth if group > 1 else depth // 3
        insert_groups(store.collection(JOBS), [job(i) for i in range(number)])
        ready, go, results = context.Semaphore(0), context.Event(), context.Queue()
        arguments = (url, group, ready, go, results)
        workers = [context.Process(target=work_off, args=arguments) for _ in range(processes)]
        for worker in workers:
            worker.start()
        for _ in workers:
            ready.acquire()
        begin = time.perf_counter()
        go.set()
        outcomes = [results.get() for _ in workers]
        seconds = time.perf_counter() - begin
        for worker in workers:
            worker.join()
        counts, slowest = [count for count, _ in outcomes], max(slow for _, slow in outcomes)
        assert sum(counts) == number, (counts, number)
        print(
            f"{f'groups of {group}':28}{number / seconds:>12,.0f}{min(counts):>10,}"
            f"{max(counts):>10,}{slowest * 1000:>13,.1f} ms"
        )
    store.close()


# Queues of different lengths, and several threads that claim at the same time

SLICES = "rocket_job.inputs.bench"
QUEUED, BY_ID = {"state": "queued"}, [("_id", 1)]


def measure_depths(store: Store, depths: list[int], threads: list[int], seconds: float) -> None:
    """Measure insert, claim, complete and the claim of a slice, in milliseconds per call."""
    print(f"{'queue':>10}{'threads':>9}" + "".join(f"{name:>24}" for name in STEPS))
    print(" " * 19 + f"{'per s     median ms':>24}" * len(STEPS))
    present = 0
    slices = store.collection(SLICES)
    slices.create_index([("state", 1), ("_id", 1)], name="state_1__id_1")
    for depth in sorted(depths):
        missing = range(present, depth)
        insert_groups(store.collection(JOBS), [job(number) for number in missing])
        insert_groups(slices, [slice_of(number) for number in missing])
        present = depth
        for number in threads:
            cells = [
                f"{rate:,.0f} {ms:>11.2f}" for rate, ms in measure_threads(store, number, seconds)
            ]
            print(f"{depth:>10,}{number:>9}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


STEPS = ("insert", "claim", "complete", "slice claim")


def slice_of(number: int) -> dict[str, Any]:
    """Return a queued slice of 100 short records."""
    return {"_id": number, "state": "queued", "records": b"x" * 600, "claim_number": 0, "size": 100}


def measure_threads(store: Store, number: int, seconds: float) -> list[tuple[Rate, float]]:
    """Run every step in `number` threads, putting back what is taken so the length stays the same.

    Each thread inserts a job, claims one, and completes (here: deletes) it; then it claims a slice
    and queues it again, which is not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in STEPS}
    end = time.perf_counter() + seconds

    def call(step: str, work: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        result = work()
        times[step].append(time.perf_counter() - begin)
        return result

    def work() -> None:
        jobs, slices = store.collection(JOBS), store.collection(SLICES)
        while time.perf_counter() < end:
            call("insert", lambda: jobs.insert_one(job(0)))
            claimed = call("claim", lambda: claim_one(store, JOBS, claim_filter(), SORT))
            writes = [
                Write({"_id": document["_id"], "state": "running", "claim_number": 1}, None)
                for document in claimed
            ]
            call("complete", lambda writes=writes: store.write_many(JOBS, writes))
            claimed_slices = call("slice claim", lambda: claim_one(store, SLICES, QUEUED, BY_ID))
            slices.update_one({"_id": claimed_slices[0]["_id"]}, {"$set": {"state": "queued"}})

    workers = [threading.Thread(target=work) for _ in range(number)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    # A thread runs the steps in turn: the rate is as if all threads did nothing but this step.
    return [(number / statistics.mean(times[s]), statistics.median(times[s]) * 1000) for s in STEPS]


def claim_one(store: Store, collection: str, filter: Any, sort: Any) -> list[Any]:
    """Claim a single document."""
    return store.claim_many(collection, filter, claim_update(), sort=sort, limit=1)


def main() -> None:
    """Run what the command line requests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="the store; default: a new SQLite file")
    parser.add_argument("--depth", type=int, default=20_000, help="jobs in the queue")
    parser.add_argument("--processes", type=int, default=0, help="measure these side by side too")
    parser.add_argument("--depths", type=int, nargs="+", help="queues of these lengths, 1k-1M")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 4, 16], help="with --depths")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each line of --depths")
    options = parser.parse_args()
    if options.depth < 5000:
        parser.error("--depth must be at least 5000, or the queue runs dry")
    folder = tempfile.mkdtemp(prefix="bench_store")
    url = options.url or f"sqlite:///{quote(os.path.join(folder, 'store.db'))}"
    try:
        if options.depths:
            return run_depths(url, options)
        run(url, folder, options.depth, options.processes)
    finally:
        shutil.rmtree(folder)


def run_depths(url: str, options: argparse.Namespace) -> None:
    """Measure queues of different lengths, and print."""
    store = open_store(url)
    if {JOBS, SLICES} & set(store.collection_names()):
        raise SystemExit(f"{store.url} is in use: name an empty store, it would be emptied")
    declare(store)
    try:
        print(f"{store.url}\n")
        measure_depths(store, options.depths, options.threads, options.seconds)
    finally:
        store.collection(JOBS).drop()
        store.collection(SLICES).drop()
        store.close()


def run(url: str, folder: str, depth: int, processes: int) -> None:
    """Measure and print."""
    store = open_store(url)
    if JOBS in store.collection_names():
        raise SystemExit(f"{url} has jobs in it: name an empty store, they would be deleted")
    declare(store)
    bare: dict[str, Rate] = {}
    if url.startswith("sqlite:"):
        bare = dict(measure_bare(os.path.join(folder, "bare.db"), depth))
    print(f"{url}, {depth:,} jobs of {len(encode(job(1)))} bytes\n")
    print(f"{'per second':28}{'store':>12}" + (f"{'bare sqlite3':>14}{'ratio':>8}" if bare else ""))
    for name, rate in measure(store, depth):
        line = f"{name:28}{rate:>12,.0f}"
        if name in bare:
            line += f"{bare[name]:>14,.0f}{rate / bare[name]:>8.2f}"
        print(line)
    jobs = store.collection(JOBS)
    jobs.delete_many({})
    if processes:
        measure_processes(url, depth, processes)
    jobs.drop()
    store.close()


if __name__ == "__main__":
    main()
