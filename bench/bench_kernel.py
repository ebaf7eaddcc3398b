"""Measure what the framework adds to bare SQLite: create, load, save, change and claim jobs.

    python bench/bench_kernel.py [--jobs 20000] [--folder /tmp]

Each row makes the same writes to the same kind of file, once through `Job` and once through
`sqlite3` alone, in WAL mode, with blobs of the same size and the same number of indexes. The two
are measured in turn, three times; the medians are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bson

import rocketjob
from rocketjob import Job, application
from rocketjob.queue.dispatch import Queue

SINGLE = 2000  # of the operations that are one transaction each


class BenchJob(Job):
    number: int = 0

    def perform(self) -> None:
        pass


def rate(count: int, step: Callable[[], None]) -> float:
    started = time.perf_counter()
    step()
    return count / (time.perf_counter() - started)


class Framework:
    """The rows through `Job`."""

    def __init__(self, path: Path, jobs: int) -> None:
        rocketjob.connect(f"sqlite:///{path}")
        self.jobs = jobs
        BenchJob.delete_all()

    def create(self) -> float:
        return rate(SINGLE, lambda: [BenchJob.create(number=n) for n in range(SINGLE)] and None)

    def create_many(self) -> float:
        rows = [{"number": n} for n in range(self.jobs)]
        return rate(self.jobs, lambda: BenchJob.create_many(rows) and None)

    def load(self) -> float:
        ids = BenchJob.all().limit(SINGLE).pluck("id")
        return rate(SINGLE, lambda: [BenchJob.find(id) for id in ids] and None)

    def save(self) -> float:
        jobs = list(BenchJob.all().limit(SINGLE))
        return rate(SINGLE, lambda: [job.update(number=-1) for job in jobs] and None)

    def transition(self) -> float:
        jobs = list(BenchJob.all().limit(SINGLE))
        return rate(SINGLE, lambda: [job.pause() for job in jobs] and None)  # type: ignore[func-returns-value]

    def claim(self, group: int) -> float:
        app = application.current()
        queue = Queue(app.store, app.plugins, app.config, "bench.1", "bench:1")
        count = SINGLE if group == 1 else self.jobs // 2

        def step() -> None:
            for _ in range(count // group):
                queue.claim(group)

        return rate(count, step)


class Bare:
    """The same writes through `sqlite3` alone."""

    def __init__(self, path: Path, jobs: int) -> None:
        self.jobs = jobs
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(
            """
            pragma journal_mode = wal; pragma synchronous = normal;
            drop table if exists jobs;
            create table jobs (id blob primary key, state text, priority int, run_at int,
                               type text, completed_at int, claimed_by text, doc blob);
            create index claim on jobs (state, priority, id, run_at, type);
            create index due on jobs (state, run_at);
            create index completed on jobs (completed_at);
            create index claimed on jobs (claimed_by) where claimed_by is not null;
            """
        )
        self.doc = bson.encode(BenchJob().to_document())

    def _row(self) -> tuple[object, ...]:
        return (bson.ObjectId().binary, "queued", 50, None, "BenchJob", None, None, self.doc)

    def create(self) -> float:
        insert = "insert into jobs values (?,?,?,?,?,?,?,?)"
        return rate(
            SINGLE, lambda: [self.db.execute(insert, self._row()) for _ in range(SINGLE)] and None
        )

    def create_many(self) -> float:
        rows = [self._row() for _ in range(self.jobs)]

        def step() -> None:
            with self._transaction():
                self.db.executemany("insert into jobs values (?,?,?,?,?,?,?,?)", rows)

        return rate(self.jobs, step)

    def _ids(self) -> list[bytes]:
        return [row[0] for row in self.db.execute("select id from jobs limit ?", (SINGLE,))]

    def load(self) -> float:
        ids = self._ids()
        select = "select doc from jobs where id = ?"
        return rate(
            SINGLE, lambda: [self.db.execute(select, (id,)).fetchone() for id in ids] and None
        )

    def save(self) -> float:
        ids = self._ids()
        update = "update jobs set doc = ? where id = ?"
        return rate(
            SINGLE, lambda: [self.db.execute(update, (self.doc, id)) for id in ids] and None
        )

    def transition(self) -> float:
        ids = self._ids()
        update = (
            "update jobs set state = 'paused', completed_at = 1, doc = ? "
            "where id = ? and state = 'queued'"
        )
        return rate(
            SINGLE, lambda: [self.db.execute(update, (self.doc, id)) for id in ids] and None
        )

    def claim(self, group: int) -> float:
        count = SINGLE if group == 1 else self.jobs // 2
        select = (
            "select id, doc from jobs where state = 'queued' and (run_at is null or run_at < ?) "
            "order by priority, id limit ?"
        )
        update = "update jobs set state = 'running', claimed_by = 'x', doc = ? where id = ?"

        def step() -> None:
            for _ in range(count // group):
                with self._transaction():
                    claimed = self.db.execute(select, (time.time(), group)).fetchall()
                    self.db.executemany(update, [(self.doc, id) for id, _ in claimed])

        return rate(count, step)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self.db.execute("begin immediate")
        yield
        self.db.execute("commit")


ROWS: dict[str, Callable[[Framework | Bare], float]] = {
    "create, one by one": lambda side: side.create(),
    "create_many": lambda side: side.create_many(),
    "load by id": lambda side: side.load(),
    "save of one field": lambda side: side.save(),
    "guarded transition": lambda side: side.transition(),
    "claim in groups of 1": lambda side: side.claim(1),
    "claim in groups of 10": lambda side: side.claim(10),
    "claim in groups of 50": lambda side: side.claim(50),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--folder", default=None)
    options = parser.parse_args()
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in ROWS}
    for _ in range(3):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            ours = Framework(Path(folder, "rocketjob.db"), options.jobs)
            bare = Bare(Path(folder, "bare.db"), options.jobs)
            for name, row in ROWS.items():
                rates[name].append((row(ours), row(bare)))
            application.current().close()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.jobs} jobs\n")
    print(f"{'per second':24}{'rocketjob':>12}{'bare':>12}{'times':>8}")
    for name, pairs in rates.items():
        rocketjob_rate = statistics.median(pair[0] for pair in pairs)
        bare_rate = statistics.median(pair[1] for pair in pairs)
        print(
            f"{name:24}{rocketjob_rate:12,.0f}{bare_rate:12,.0f}{bare_rate / rocketjob_rate:8.1f}"
        )


if __name__ == "__main__":
    main()
