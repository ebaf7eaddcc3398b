"""Measure servers: no-op jobs per second, latency from enqueue to start, and the cost of idling.

    python bench/bench_runtime.py
    python bench/bench_runtime.py --jobs 50000 --processes 1 2 4 --only throughput

For throughput, the jobs are stored first, and then a real server runs them; the rate is measured
while the queue shrinks from four fifths to one tenth. It is compared with bare sqlite3, which
claims and deletes rows of the same size in groups of 50, from as many processes: the upper bound on
this machine. All stores are files in --folder.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

import rocketjob  # noqa: E402
from rocketjob import Job, application  # noqa: E402
from rocketjob.base import clock  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
SERVER = """
import sys
sys.path[:0] = {path!r}
import rocketjob
from rocketjob import application
from rocketjob.base.log_service import LogService
from rocketjob.server.supervisor import Supervisor
rocketjob.configure(**{settings!r})
service = LogService("warn", "console").start()
code = Supervisor(application.current()).run()
service.stop()
sys.exit(code)
"""


class NoOpJob(Job):
    """Does nothing."""

    def perform(self) -> None:
        return None


class TimedJob(Job):
    """Records when it was performed; kept, so that this can be read."""

    destroy_on_complete = False
    enqueued: float = 0.0
    performed: float = 0.0

    def perform(self) -> None:
        self.performed = time.monotonic()


# --- a server -----------------------------------------------------------------------------------


@contextlib.contextmanager
def server(url: str, **settings: Any) -> Iterator[int]:
    """Run a real server during a block; yield its pid."""
    settings = {"url": url, "app": ["bench_runtime"], **settings}
    path = [str(ROOT / "bench"), str(ROOT), str(ROOT / "plugins")]
    script = SERVER.format(path=path, settings=settings)
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    try:
        yield process.pid
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    pids = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            pids += tree(int(child))
    return pids


def cpu_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def memory_mb(pid: int) -> tuple[float, float]:
    """Return the resident and the proportional memory of a process."""
    values = dict.fromkeys(("Rss", "Pss"), 0.0)
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in values:
                values[name] = int(rest.split()[0]) / 1024
    return values["Rss"], values["Pss"]


def wait_until_ready(expected: int, within: float = 60) -> None:
    """Wait until a server has sent a heartbeat with all of its workers."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        servers = list(rocketjob.Server.running())
        if servers and servers[0].workers >= expected:
            time.sleep(1.0)  # its processes are still importing
            return
        time.sleep(0.05)
    raise SystemExit("the server did not start")


# --- throughput ---------------------------------------------------------------------------------


def throughput(folder: Path, jobs: int, processes: int, destroy: bool) -> tuple[float, float]:
    """Return a server's no-op jobs per second, and microseconds of processor time for each.

    The processor time does not depend on what else the machine is doing.
    """
    url = fresh_store(folder)
    rows = ({"destroy_on_complete": destroy} for _ in range(jobs))
    while group := [row for row, _ in zip(rows, range(2000), strict=False)]:
        NoOpJob.create_many(group)
    collection = application.current().store.collection("rocket_job.jobs")
    waiting = {"state": {"$in": ["queued", "running"]}}
    workers = max(10, processes)
    with server(url, workers=workers, processes=processes) as pid:
        while collection.count_documents({"state": "queued"}) == jobs:
            time.sleep(0.001)
        # Not from the very start: one process may be ready before the others.
        share = jobs // 5
        while (remaining := collection.count_documents(waiting)) > jobs - share:
            time.sleep(0.005)
        begun, used = time.monotonic(), cpu_seconds(tree(pid))
        while (still_remaining := collection.count_documents(waiting)) > share // 2:
            time.sleep(0.02)
        rate = (remaining - still_remaining) / (time.monotonic() - begun)
        return rate, 1e6 * (cpu_seconds(tree(pid)) - used) / (remaining - still_remaining)


def bare_sqlite(folder: Path, jobs: int, processes: int) -> float:
    """Return jobs per second of bare sqlite3, with claims and deletions in groups of 50."""
    path = folder / "bare.db"
    for file in folder.glob("bare.db*"):
        file.unlink()
    raw = connect(path)
    raw.execute("CREATE TABLE job (n INTEGER PRIMARY KEY, state TEXT, priority INT, doc BLOB)")
    raw.execute("CREATE INDEX claim ON job (state, priority, n)")
    raw.execute("BEGIN")
    doc = os.urandom(500)
    raw.executemany(
        "INSERT INTO job (state, priority, doc) VALUES ('queued', 50, ?)",
        ((doc,) for _ in range(jobs)),
    )
    raw.execute("COMMIT")
    raw.close()
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes + 1)
    workers = [
        context.Process(target=bare_worker, args=(str(path), barrier)) for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    barrier.wait()
    begun = time.monotonic()
    for worker in workers:
        worker.join()
    return jobs / (time.monotonic() - begun)


def connect(path: Any) -> sqlite3.Connection:
    raw = sqlite3.connect(path, isolation_level=None, timeout=60)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = NORMAL")
    return raw


def bare_worker(path: str, barrier: Any) -> None:
    """Claim rows and delete them until none are left."""
    raw, changed = connect(path), os.urandom(500)
    barrier.wait()
    while True:
        raw.execute("BEGIN IMMEDIATE")
        rows = raw.execute(
            "SELECT n FROM job WHERE state = 'queued' ORDER BY priority, n LIMIT 50"
        ).fetchall()
        raw.executemany(
            "UPDATE job SET state = 'running', doc = ? WHERE n = ?",
            [(changed, n) for (n,) in rows],
        )
        raw.execute("COMMIT")
        if not rows:
            return
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany("DELETE FROM job WHERE n = ?", rows)
        raw.execute("COMMIT")


# --- latency and idling -------------------------------------------------------------------------


def latency(folder: Path, count: int) -> tuple[float, float, float]:
    """Return p50, p95 and the maximum, in milliseconds, from enqueue to start on an idle server."""
    url = fresh_store(folder)
    with server(url, workers=10, processes=2):
        wait_until_ready(10)
        for _ in range(count):
            TimedJob.create(enqueued=time.monotonic())
            time.sleep(0.03 + 0.04 * (os.urandom(1)[0] / 255))
        while TimedJob.completed().count() < count:
            time.sleep(0.05)
    waits = sorted((job.performed - job.enqueued) * 1000 for job in TimedJob.completed())
    return waits[len(waits) // 2], waits[int(len(waits) * 0.95)], waits[-1]


def idle(folder: Path, seconds: float, processes: int) -> dict[str, Any]:
    """Return what an idle server costs."""
    url = fresh_store(folder)
    with server(url, workers=10, processes=processes) as pid:
        wait_until_ready(10)
        pids = tree(pid)
        before, begun = cpu_seconds(pids), time.monotonic()
        time.sleep(seconds)
        used = (cpu_seconds(pids) - before) / (time.monotonic() - begun)
        sizes = [memory_mb(pid) for pid in pids]
    return {
        "processes": len(pids),
        "cpu_percent": round(100 * used, 2),
        "rss_mb": [round(rss, 1) for rss, _ in sizes],
        "pss_mb_total": round(sum(pss for _, pss in sizes), 1),
    }


def fresh_store(folder: Path) -> str:
    """Connect to an empty store."""
    application.close()
    for file in folder.glob("jobs.db*"):
        file.unlink()
    url = f"sqlite:///{folder}/jobs.db"
    rocketjob.connect(url)
    return url


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=30_000)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=10.0, help="of idling")
    parser.add_argument("--samples", type=int, default=200, help="of latency")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", choices=["throughput", "latency", "idle"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="bench-runtime-"))
    load = os.getloadavg()[0]
    cores = len(os.sched_getaffinity(0))
    results: dict[str, Any] = {"cores": cores, "load_before": round(load, 2)}
    say = (lambda *words: None) if options.json else print
    say(f"{cores} cores, load {load:.2f} before; Python {sys.version.split()[0]}, {clock.now()}")
    try:
        if options.only in (None, "throughput"):
            results["throughput"] = rates(folder, options, say)
        if options.only in (None, "latency"):
            p50, p95, worst = latency(folder, options.samples)
            say(
                f"\nenqueue to start, idle server: p50 {p50:.1f} ms, p95 {p95:.1f} ms, "
                f"worst {worst:.1f} ms"
            )
            results["latency_ms"] = {"p50": p50, "p95": p95, "worst": worst}
        if options.only in (None, "idle"):
            results["idle"] = idle(folder, options.seconds, 2)
            say(f"\nidle server: {results['idle']}")
    finally:
        application.close()
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(results))


def rates(folder: Path, options: argparse.Namespace, say: Any) -> list[dict[str, Any]]:
    """Measure throughput for each number of processes."""
    say(f"\n{'':>9} {'jobs per second':>34} {'CPU us per job':>23}")
    say(
        f"{'processes':>9} {'bare SQLite':>12} {'removed':>10} {'kept':>10}"
        f" {'removed':>12} {'kept':>10}"
    )
    rows = []
    for processes in options.processes:
        bare = bare_sqlite(folder, options.jobs, processes)
        removed, removed_cpu = throughput(folder, options.jobs, processes, destroy=True)
        kept, kept_cpu = throughput(folder, options.jobs, processes, destroy=False)
        say(
            f"{processes:>9} {bare:>12,.0f} {removed:>10,.0f} {kept:>10,.0f}"
            f" {removed_cpu:>12.0f} {kept_cpu:>10.0f}"
        )
        rows.append(
            {
                "processes": processes,
                "bare": bare,
                "removed": removed,
                "kept": kept,
                "removed_cpu_us": removed_cpu,
                "kept_cpu_us": kept_cpu,
            }
        )
    return rows


if __name__ == "__main__":
    main()
