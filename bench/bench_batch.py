"""Measure batch jobs beside `multiprocessing.Pool.imap`: a file reversed, the output in order.

    python bench/bench_batch.py
    python bench/bench_batch.py --records 200000 --micros 10 --slice-sizes 1000 100 --rounds 3

Times are end to end, from the path of the input to the complete output file. RocketJob's workers
are already running (a server on a SQLite file); for imap, the start of the pool is included. The
job has default settings except `slice_size`; it is saved first, so that workers begin during the
upload. The records are random characters, which hardly compress. `--micros` adds work to each
record. Each measurement is printed on a line, and the medians at the end.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT), str(ROOT / "plugins")]

import batch_job  # noqa: E402

import rocketjob  # noqa: E402

Clean = Callable[[], object]


def imap(source: Path, target: Path, size: int) -> Clean:
    with (
        multiprocessing.Pool(2) as pool,
        source.open(encoding="utf-8") as lines,
        target.open("w", encoding="utf-8") as out,
    ):
        records = (line.rstrip("\n") for line in lines)
        for record in pool.imap(batch_job.work, records, size):
            out.write(record + "\n")
    return lambda: None


def batch(source: Path, target: Path, size: int) -> Clean:
    job = batch_job.BenchBatchJob(slice_size=size)
    job.save()
    job.upload(source)
    job.wait()
    job.download(target)
    return job.destroy


def timed(run: Callable[[Path, Path, int], Clean], folder: Path, size: int) -> float:
    source, target = folder / "in.txt", folder / "out.txt"
    began = time.perf_counter()
    clean = run(source, target, size)
    seconds = time.perf_counter() - began
    clean()
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    if digest != (folder / "digest").read_text():
        raise SystemExit(f"{run.__name__}: the output is wrong")
    return seconds


def write_input(folder: Path, records: int) -> None:
    draw = random.Random(1).randbytes
    lines = [base64.b64encode(draw(37)).decode() for _ in range(records)]
    (folder / "in.txt").write_text("".join(f"{line}\n" for line in lines))
    reverse = "".join(f"{line[::-1]}\n" for line in lines)
    (folder / "digest").write_text(hashlib.sha256(reverse.encode()).hexdigest())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--micros", type=float, default=0.0, help="work for each record")
    parser.add_argument("--slice-sizes", type=int, nargs="+", default=[1000, 100])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    batch_job.MICROS = options.micros
    os.environ["BENCH_MICROS"] = str(options.micros)
    with tempfile.TemporaryDirectory() as name:
        measure(options, Path(name))


def measure(options: argparse.Namespace, folder: Path) -> None:
    write_input(folder, options.records)
    url = f"sqlite:///{folder}/bench.db"
    rocketjob.configure(url=url, log_level="error")
    command = [sys.executable, "-m", "rocketjob.cli", "server", "--app", "batch_job"]
    command += ["--url", url, "--processes", "2", "--workers", "2", "--log-level", "error"]
    path = os.pathsep.join((str(HERE), str(ROOT), str(ROOT / "plugins")))
    server = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
    rates: dict[str, list[float]] = {}
    try:
        warm = batch_job.BenchBatchJob()
        warm.upload(["x"] * 1000)
        warm.save().wait(60)
        for _ in range(options.rounds):
            for size in options.slice_sizes:
                for run in (imap, batch):
                    rate = options.records / timed(run, folder, size)
                    label = f"{run.__name__} {size}"
                    rates.setdefault(label, []).append(rate)
                    print(f"{label:12} {rate:12,.0f} records/s, load {os.getloadavg()[0]:.1f}")
    finally:
        server.terminate()
        server.wait()
    for label, label_rates in rates.items():
        print(f"median {label:12} {statistics.median(label_rates):12,.0f} records/s")


if __name__ == "__main__":
    main()
