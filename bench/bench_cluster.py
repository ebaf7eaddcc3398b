"""Measure a large batch job on MongoDB whose slices are in another database than the jobs.

    python bench/bench_cluster.py --url mongodb://db1/jobs --slices-url mongodb://big1/slices
    python bench/bench_cluster.py                         starts two SecantusDB servers for it

Random lines are reversed by a server with two worker processes, on both stores. The digest of what
is downloaded has to be that of the lines reversed in order, and nothing may be left of the slices.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import rocketjob
from rocketjob_plugins.perf.batch import write_lines
from rocketjob_plugins.perf.jobs import PerfBatchJob

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--slice-size", type=int, default=1000)
    parser.add_argument("--url", help="of the jobs")
    parser.add_argument("--slices-url", help="of the slices")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, servers(options) as (url, slices_url):
        measure(options, Path(name), url, slices_url)


@contextlib.contextmanager
def servers(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield the URLs of both stores."""
    if options.url:
        yield options.url, options.slices_url
        return
    from support.mongo import MongoServer, database_url

    started = MongoServer(), MongoServer()
    try:
        yield database_url(started[0].url), database_url(started[1].url)
    finally:
        for server in started:
            server.stop()


@contextlib.contextmanager
def workers(url: str, slices_url: str) -> Iterator[None]:
    """Have a server with two worker processes for a block."""
    command = [sys.executable, "-m", "rocketjob.cli", "server", "--include", "^PerfBatchJob$"]
    command += ["--url", url, "--set", f"slices_url={slices_url}", "--log-level", "error"]
    command += ["--processes", "2", "--workers", "2"]
    server = subprocess.Popen(command)
    try:
        yield
    finally:
        server.terminate()
        server.wait()


def measure(options: argparse.Namespace, folder: Path, url: str, slices_url: str) -> None:
    wanted = write_lines(folder / "in.txt", options.records)
    rocketjob.configure(url=url, slices_url=slices_url, log_level="error")
    job = PerfBatchJob(slice_size=options.slice_size)
    with workers(url, slices_url):
        job.save()
        step("upload", lambda: job.upload(folder / "in.txt"))
        step("perform the rest", job.wait)
        step("download", lambda: job.download(folder / "out.txt"))
        digest = hashlib.sha256((folder / "out.txt").read_bytes()).hexdigest()
        left = job.input.collection.count_documents({})
        where = sorted({each.store.url for each in (job.input, job.output)})
        print(f"slices in {', '.join(where)}, {left} left; jobs in {url}")
        print(f"digest {digest[:16]}, of the lines reversed {wanted[:16]}")
        job.destroy()
    if digest != wanted or left:
        raise SystemExit("the output is wrong")


def step(name: str, run: Callable[[], object]) -> None:
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    print(f"{name:18} {seconds:8.1f} s, load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
