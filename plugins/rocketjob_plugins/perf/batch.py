"""A file of lines, reversed by a batch job, from the path of the input to the complete output."""

from __future__ import annotations

import base64
import hashlib
import multiprocessing
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.cli import Failure

from .jobs import PerfBatchJob
from .processes import cpu_seconds, own_mib, peak_mib, tree
from .progress import Progress
from .report import Kind
from .scratch import Scratch

BLOCK = 5_000
LINE_BYTES = 37  # random ones, in base64: lines that hardly compress
LOOK_SECONDS = 0.01
WARM = 1000


@attrs.frozen
class BatchLines:
    """The workload.

    Attributes:
        imap: whether the same is done without a store, by `multiprocessing.Pool.imap`.
    """

    count: int
    workers: int
    processes: int
    slice_size: int = 1000
    imap: bool = False
    name: str = "batch"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {
            "lines": self.count,
            "slice_size": self.slice_size,
            "workers": self.workers,
            "processes": self.processes,
        }

    def kinds(self) -> Sequence[Kind]:
        return (
            Kind("file to file", "records/s", more=True),
            Kind("upload", "s"),
            Kind("until the last slice", "s"),
            Kind("download", "s"),
            Kind("processor time of the server", "us/record"),
            Kind("processor time of this process", "us/record"),
            Kind("peak memory of the server", "MiB"),
            Kind("its memory at the end, what is shared once", "MiB"),
            Kind("imap, which keeps nothing", "records/s", more=True, stored=False),
            Kind("share of imap", "ratio", more=True),
        )

    def run(self, made: Scratch, progress: Progress) -> Mapping[str, float | None]:
        source, target = made.folder / "in.txt", made.folder / "out.txt"
        progress.say(f"writing {self.count:,} lines")
        expected = write_lines(source, self.count)
        figures: dict[str, float | None] = {}
        if self.imap:
            progress.say("reversing them with imap")
            seconds = _timed(lambda: by_imap(source, target, self.processes, self.slice_size))
            check(target, expected, "imap")
            figures["imap, which keeps nothing"] = self.count / seconds
        pid = made.start_server(self.workers, self.processes)
        self._warm(made)
        figures |= self._job(made, progress, pid)
        check(target, expected, "the batch job")
        if self.imap:
            ours, theirs = figures["file to file"], figures["imap, which keeps nothing"]
            figures["share of imap"] = (ours or 0.0) / (theirs or 1.0)
        return figures

    def _warm(self, made: Scratch) -> None:
        """Have every process of the server perform something first."""
        job = self._new(made, max(1, WARM // (10 * self.processes)))
        job.upload(["x"] * WARM)
        job.save()
        self._await(made, job)
        job.destroy()

    def _job(self, made: Scratch, progress: Progress, pid: int) -> dict[str, float | None]:
        """Take the file through a job; it is saved first, so that workers begin at once."""
        pids = tree(pid)
        used, own = cpu_seconds(pids), own_cpu()
        began = clock.monotonic()
        job = self._new(made, self.slice_size)
        job.save()
        progress.say(f"uploading {self.count:,} lines")
        job.upload(made.folder / "in.txt")
        uploaded = clock.monotonic()
        progress.say(f"processing {self.count:,} lines")
        self._await(made, job)
        completed = clock.monotonic()
        progress.say(f"downloading {self.count:,} lines")
        job.download(made.folder / "out.txt")
        ended = clock.monotonic()
        now_used = cpu_seconds(pids)
        server = None if used is None or now_used is None else now_used - used
        peak, at_end = peak_mib(pids), own_mib(pids)
        job.destroy()
        return {
            "file to file": self.count / max(ended - began, 1e-9),
            "upload": uploaded - began,
            "until the last slice": completed - uploaded,
            "download": ended - completed,
            "processor time of the server": _micros(server, self.count),
            "processor time of this process": _micros(own_cpu() - own, self.count),
            "peak memory of the server": peak,
            "its memory at the end, what is shared once": at_end,
        }

    def _new(self, made: Scratch, slice_size: int) -> PerfBatchJob:
        options: dict[str, Any] = {"perf_run": made.run, "slice_size": slice_size}
        return PerfBatchJob(**options)

    def _await(self, made: Scratch, job: PerfBatchJob) -> None:
        """Wait until a job has completed.

        Raises:
            Failure: it ended otherwise, or the server has ended.
        """
        while not job.reload().is_completed:
            if job.is_failed or job.is_aborted:
                raise Failure(f"the job ended as {job.state}: {job.exception}")
            made.pause(LOOK_SECONDS)


def own_cpu() -> float:
    """Return the processor time that this process has used."""
    return time.process_time()


def write_lines(target: Path, count: int) -> str:
    """Write a file of random lines, always the same ones; return the digest of their reverse."""
    draw, digest = random.Random(1).randbytes, hashlib.sha256()
    with target.open("w", encoding="ascii", newline="\n") as file:
        for start in range(0, count, BLOCK):
            lines = [
                base64.b64encode(draw(LINE_BYTES)).decode()
                for _ in range(min(BLOCK, count - start))
            ]
            file.write("".join(f"{line}\n" for line in lines))
            digest.update("".join(f"{line[::-1]}\n" for line in lines).encode())
    return digest.hexdigest()


def by_imap(source: Path, target: Path, processes: int, size: int) -> None:
    """Do the same as the job without storing anything; the start of the pool is included."""
    with (
        multiprocessing.Pool(processes) as pool,
        source.open(encoding="utf-8") as lines,
        target.open("w", encoding="utf-8") as out,
    ):
        for record in pool.imap(reverse, (line.rstrip("\n") for line in lines), size):
            out.write(record + "\n")
        pool.close()
        pool.join()


def reverse(line: str) -> str:
    return line[::-1]


def check(target: Path, expected: str, what: str) -> None:
    """Compare an output with what it should be.

    Raises:
        Failure: it differs: no figure of it may be shown.
    """
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != expected:
        raise Failure(f"the output of {what} is wrong: nothing is measured")


def _timed(work: Callable[[], None]) -> float:
    began = clock.monotonic()
    work()
    return max(clock.monotonic() - began, 1e-9)


def _micros(seconds: float | None, count: int) -> float | None:
    return None if seconds is None else 1e6 * seconds / count
