"""Measure what the embedded store adds to bare SQLite: `rocketjob perf store` beside it.

    python bench/bench_store.py --count 20000 --runs 5

The same steps are made once through the store, and once by sqlite3 alone: on a table with the same
indexes, with bytes as long, in as large transactions, but without BSON, filters and updates. The
ratio is what the store itself costs. Both are measured in turn; the medians are printed.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bson import ObjectId, encode

from rocketjob_plugins.perf.jobs import PerfSimpleJob
from rocketjob_plugins.perf.progress import Progress
from rocketjob_plugins.perf.scratch import scratch
from rocketjob_plugins.perf.store import BULK, CPU, GROUP, STEPS, StoreCalls

Steps = Iterator[tuple[str, int, Callable[[], object]]]
UPDATE = "UPDATE c SET k0 = 'running', k5 = 'perf.0', k6 = 1, doc = ? WHERE n = ?"


class Bare:
    """A table as the store has one for jobs, and the bytes that it would write."""

    def __init__(self, path: Path) -> None:
        self.raw = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = NORMAL",
            "PRAGMA cache_size = -16000",
            "PRAGMA wal_autocheckpoint = 2000",
            "CREATE TABLE c (n INTEGER PRIMARY KEY, id NOT NULL, k0, k1, k2, k3, k4, k5, k6, u,"
            " doc)",
            "CREATE UNIQUE INDEX c_id ON c (id)",
            "CREATE INDEX c_claim ON c (k0, k1, id, k2, k3)",
            "CREATE INDEX c_completed ON c (k4)",
            "CREATE INDEX c_held ON c (k5, k6) WHERE k5 IS NOT NULL",
            "CREATE UNIQUE INDEX c_u ON c (u) WHERE u IS NOT NULL",
        ):
            self.raw.execute(statement)
        self.document = encode(PerfSimpleJob(perf_run=str(ObjectId())).to_document())
        self.claimed: list[Any] = []

    def steps(self, count: int) -> Steps:
        """Yield the steps that `rocketjob perf store` makes, as far as bare SQLite has them."""
        few, many = max(1, count // 10), max(1, count // 2)
        yield STEPS[0], few, lambda: self.each(few, 1, self.insert)
        yield STEPS[1], count - few, lambda: self.each(count - few, BULK, self.insert)
        yield STEPS[2], few, lambda: self.each(few, 1, self.claim)
        yield STEPS[3], many, lambda: self.each(many, GROUP, self.claim)
        yield STEPS[5], few, lambda: self.each(few, 1, self.complete)
        yield STEPS[6], many, lambda: self.each(many, GROUP, self.complete)

    def each(self, count: int, size: int, work: Callable[[int], None]) -> None:
        for start in range(0, count, size):
            self.raw.execute("BEGIN IMMEDIATE")
            work(min(size, count - start))
            self.raw.execute("COMMIT")

    def insert(self, number: int) -> None:
        kind = PerfSimpleJob.type_name()
        rows = [(b"\x07" + ObjectId().binary, kind, self.document) for _ in range(number)]
        sql = "INSERT INTO c (id, k0, k1, k3, doc) VALUES (?, 'queued', 50, ?, ?)"
        self.raw.executemany(sql, rows)

    def claim(self, number: int) -> None:
        sql = (
            "SELECT n, doc FROM c WHERE k0 = 'queued' AND (k2 IS NULL OR k2 <= ?) AND k3 IN (?, ?)"
            " ORDER BY k1, id LIMIT ?"
        )
        kinds = (PerfSimpleJob.type_name(), "Other")
        rows = self.raw.execute(sql, (b"\x09", *kinds, number)).fetchall()
        self.raw.executemany(UPDATE, [(self.document, n) for n, _ in rows])
        self.claimed += [n for n, _ in rows]

    def complete(self, number: int) -> None:
        done, self.claimed = self.claimed[:number], self.claimed[number:]
        sql = "DELETE FROM c WHERE n = ? AND k0 = 'running' AND k5 = 'perf.0' AND k6 = 1"
        self.raw.executemany(sql, [(n,) for n in done])


def bare(folder: Path, count: int) -> dict[str, float]:
    """Return processor time for each document, in microseconds, by step."""
    figures = {}
    for name, number, work in Bare(folder / "bare.db").steps(count):
        used = time.process_time()
        work()
        figures[name] = 1e6 * (time.process_time() - used) / number
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=20_000, help="documents")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    ours: list[Any] = []
    theirs: list[dict[str, float]] = []
    for _ in range(options.runs):
        with scratch(None) as made:
            ours.append(StoreCalls(options.count).run(made, Progress()))
        with tempfile.TemporaryDirectory() as folder:
            theirs.append(bare(Path(folder), options.count))
    print(f"{'processor time, us for a document':36}{'store':>10}{'bare':>10}{'ratio':>8}")
    for name in theirs[0]:
        store = statistics.median(run[name + CPU] for run in ours)
        alone = statistics.median(run[name] for run in theirs)
        print(f"{name:36}{store:>10.1f}{alone:>10.1f}{store / alone:>8.1f}")


if __name__ == "__main__":
    main()
