"""Measure what one empty implementation of each hook costs a job that does nothing.

    python bench/bench_hooks.py [--jobs 50] [--rounds 100] [--other /path/to/another/checkout]

A no-op job is created and run in memory, by one thread, with and without a plugin that has the hook
and does nothing in it. The two are measured in turn, in processor time of the thread. Shown are the
best of all rounds with the plugin, and the median of the differences of the pairs: what else the
machine does disturbs these least. `--other` measures a job without any such plugin, here and with
the code of another checkout. The last line is how long `import rocketjob` takes in a fresh process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from rocketjob import Job, hookimpl
from rocketjob.testing import Sandbox, sandbox
from rocketjob_plugins.batch import Batch

SLICES = 20  # of the batch job on which `slice_done` is measured


class EmptyJob(Job):
    def perform(self) -> None: ...


class EmptyLinesJob(Batch, Job):
    slice_size = 1

    def perform(self, line: str) -> None: ...


class StateChanged:
    @hookimpl
    def state_changed(self, job: Any) -> None: ...


class BeforeEnqueue:
    @hookimpl
    def before_enqueue(self, job: Any) -> None: ...


class JobCreated:
    @hookimpl
    def job_created(self, job: Any) -> None: ...


class JobRemoved:
    @hookimpl
    def job_removed(self, job: Any) -> None: ...


class TransitionWrites:
    @hookimpl
    def transition_writes(self, job: Any) -> None: ...


class OneInsert:
    """Not empty: what a message in an outbox costs."""

    @hookimpl
    def transition_writes(self, job: Any) -> Any:
        from rocketjob.store import Insert

        return [Insert("outbox", {"job": job.id})]


class VetoClaim:
    @hookimpl
    def veto_claim(self, job: Any) -> None: ...


class Perform:
    @hookimpl(wrapper=True)
    def perform(self, job: Any) -> Any:
        yield


class SliceDone:
    @hookimpl
    def slice_done(self, job: Any) -> None: ...


HOOKS: dict[str, type] = {
    "before_enqueue": BeforeEnqueue,
    "job_created": JobCreated,
    "veto_claim": VetoClaim,
    "perform": Perform,
    "transition_writes": TransitionWrites,
    "transition_writes, one insert": OneInsert,
    "state_changed": StateChanged,
    "job_removed": JobRemoved,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--other", help="another checkout, to compare a job without any plugin")
    parser.add_argument("--only-cycle", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_cycle:
        print(alone(options.jobs, options.rounds))
        return
    load = os.getloadavg()[0]
    print(f"{options.jobs} jobs a round, best of {options.rounds}; load {load:.1f}\n")
    show("hook", "job with it", "adds", "of the job")
    for name, plugin in HOOKS.items():
        row(name, plugin, cycle, options.jobs, options.rounds)
    row("slice_done (a slice)", SliceDone, batch, SLICES, options.rounds)
    if options.other:
        compare(options)
    print(f"\nimport rocketjob: {import_time():.0f} ms, best of 10")


def row(
    name: str, plugin: type, measure: Callable[[Sandbox, int], float], count: int, rounds: int
) -> None:
    without, with_it = [], []
    with sandbox() as rocketjob:
        for _ in range(rounds):
            without.append(warm(measure, rocketjob, count))
            made = plugin()
            rocketjob.plugins.register(made)
            with_it.append(warm(measure, rocketjob, count))
            rocketjob.plugins.unregister(made)
    added = statistics.median(a - b for a, b in zip(with_it, without, strict=True))
    show(name, f"{min(with_it):.1f} us", f"{added:+.2f} us", f"{added / min(without):+.1%}")


def warm(measure: Callable[[Sandbox, int], float], rocketjob: Sandbox, count: int) -> float:
    """Measure once what is known of the plugins has been worked out."""
    measure(rocketjob, 1)
    return measure(rocketjob, count)


def show(*cells: str) -> None:
    print(f"{cells[0]:<32}" + "".join(f"{cell:>14}" for cell in cells[1:]))


def cycle(rocketjob: Sandbox, jobs: int) -> float:
    """Return the microseconds that it takes to create a job and run it."""
    began = time.thread_time()
    for _ in range(jobs):
        EmptyJob.create()
    assert rocketjob.work_off() == jobs
    return (time.thread_time() - began) / jobs * 1e6


def batch(rocketjob: Sandbox, slices: int) -> float:
    """Return the microseconds that it takes to process a slice of one record."""
    job = EmptyLinesJob()
    job.upload(["x"] * slices)
    job.save()
    began = time.thread_time()
    rocketjob.work_off()
    return (time.thread_time() - began) / slices * 1e6


def alone(jobs: int, rounds: int) -> float:
    """Return the best of some rounds without a plugin's hook."""
    with sandbox() as rocketjob:
        return min(cycle(rocketjob, jobs) for _ in range(rounds))


def compare(options: argparse.Namespace) -> None:
    """Compare a job without any plugin's hook here and with another checkout."""

    def run(path: str | None) -> float:
        code = [sys.executable, os.path.abspath(__file__), "--only-cycle"]
        env = dict(os.environ)
        if path is not None:
            env["PYTHONPATH"] = os.pathsep.join([path, os.path.join(path, "plugins")])
        arguments = ["--jobs", str(options.jobs), "--rounds", str(options.rounds)]
        return float(
            subprocess.run(
                [*code, *arguments], env=env, capture_output=True, check=True, text=True
            ).stdout
        )

    runs = [(run(options.other), run(None)) for _ in range(5)]
    there, here = (min(values) for values in zip(*runs, strict=True))
    print(f"\nwithout a hook: {here:.1f} us here, {there:.1f} us there ({here / there - 1:+.1%})")


def import_time() -> float:
    code = "import time; t = time.perf_counter(); import rocketjob; print(time.perf_counter() - t)"
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        for _ in range(10)
    ]
    return min(float(run.stdout) for run in runs) * 1000


if __name__ == "__main__":
    main()
