"""Metrics for Prometheus in files: what each process has done.

Each process that performs jobs counts what it does, and writes that to a file of its own in the
directory of the setting, for the textfile collector of Prometheus's node exporter: where nothing
can be scraped. What is stored, and what all processes have done, `rocketjob prometheus` serves.

Settings, of the table `[metrics_files]`: `directory` (none: nothing is written), `seconds` between
two writes. The counts are of one process from its start on: Prometheus adds them up, and knows
resets.
"""

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import rocketjob
from rocketjob import Job, hookimpl
from rocketjob.base.settings import Setting, seconds, string

TABLE = "metrics_files"
SETTINGS = [
    Setting("directory", "", string, "where each process writes its counts", table=TABLE),
    Setting("seconds", 15.0, seconds, "between two writes", table=TABLE),
]
Labels = tuple[tuple[str, str], ...]


class Counts:
    """What this process has done; threads add to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, Labels]] = Counter()

    def add(self, metric: str, number: float = 1, **labels: str) -> None:
        with self._lock:
            self._counts[metric, tuple(labels.items())] += number  # type: ignore[assignment]

    def clear(self) -> None:
        with self._lock:
            self._counts.clear()

    def lines(self) -> Iterator[str]:
        with self._lock:
            found = sorted(self._counts.items())
        for name in sorted({metric for (metric, _), _ in found}):
            yield f"# TYPE {name} counter"
            yield from (line(m, n, dict(labels)) for (m, labels), n in found if m == name)


class Writer:
    """Writes the counts now and then, on a thread, until the process ends."""

    def __init__(self, path: Path, every: float) -> None:
        self.path, self.every = path, every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics-files", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self.every):
            self.write()
        self.write()

    def write(self) -> None:
        """Replace the file in one step: who reads it sees all of it."""
        part = self.path.with_suffix(".part")
        with contextlib.suppress(OSError):  # such as a full disk: the next one may succeed
            part.write_text("\n".join(counts.lines()) + "\n")
            part.replace(self.path)


counts = Counts()
writers: list[Writer] = []


def line(metric: str, number: float, labels: Mapping[str, str] | None = None) -> str:
    escaped = {
        name: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        for name, value in (labels or {}).items()
    }
    told = ",".join(f'{name}="{value}"' for name, value in escaped.items())
    return f"{metric}{{{told}}} {number:g}" if told else f"{metric} {number:g}"


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return SETTINGS


@hookimpl
def process_started(role: str, name: str) -> None:
    own = rocketjob.settings("metrics-files")
    if role == "supervisor" or not own.directory:
        return
    file = f"rocketjob-{name.replace(os.sep, '-').replace(':', '-')}.prom"
    writers.append(Writer(Path(own.directory, file), own.seconds))
    writers[-1].start()


@hookimpl
def process_stopping() -> None:
    while writers:
        writers.pop().stop()


@hookimpl(wrapper=True)
def perform(job: Job) -> Any:
    began, outcome = time.monotonic(), "failed"
    try:
        value = yield
        outcome = "performed"
        return value
    finally:
        name = type(job).type_name()
        counts.add("rocketjob_performed_total", job=name, outcome=outcome)
        counts.add("rocketjob_perform_seconds_total", time.monotonic() - began, job=name)


@hookimpl(optionalhook=True)
def slice_done(job: Job, slice: Any) -> None:
    name = type(job).type_name()
    counts.add("rocketjob_slices_total", job=name, state=slice.state)
    counts.add("rocketjob_records_total", slice.records, job=name)
    counts.add("rocketjob_rejects_total", slice.rejects, job=name)


@hookimpl
def state_changed(job: Job, event: str) -> None:
    counts.add("rocketjob_events_total", job=type(job).type_name(), event=event)


@hookimpl
def job_removed(job: Job, why: str) -> None:
    counts.add("rocketjob_removed_total", job=type(job).type_name(), why=why)
