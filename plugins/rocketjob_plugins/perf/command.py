"""The command `rocketjob perf`.

Imports within functions: a command loads only what it needs, so that it starts quickly.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from rocketjob.cli import Group, json_option
from rocketjob.cli.session import session_of, warn

if TYPE_CHECKING:
    from .measuring import Workload

F = TypeVar("F", bound=Callable[..., Any])
HELP = """Measure what this machine does.

All is stored in a temporary SQLite file, which is removed at the end, or with --url in the store
that you name, from which it is removed again; Ctrl-C ends it early. Look at the range before you
believe a difference, and at how idle the machine was."""

perf = Group(
    "perf",
    short_help="Measure what this machine does.",
    help=HELP,
    examples=(
        ("simple jobs that do nothing", "perf simple"),
        ("a batch job over ten million lines, five times", "perf batch -n 10000000 --runs 5"),
        ("how soon a job starts, on your own store", "perf latency --url mongodb://..."),
        ("for a program", "perf store --json"),
    ),
)


def _count_option(default: int, of: str) -> Callable[[F], F]:
    return click.option(
        *("-n", "--count"),
        metavar="N",
        type=click.IntRange(1),
        default=default,
        show_default=True,
        help=of,
    )


def _runs_option(default: int = 3) -> Callable[[F], F]:
    return click.option(
        "--runs",
        metavar="N",
        type=click.IntRange(1),
        default=default,
        show_default=True,
        help="how often; medians and ranges are of these",
    )


def _server_options(function: F) -> F:
    workers = click.option(
        *("-w", "--workers"),
        metavar="N",
        type=click.IntRange(1),
        default=10,
        show_default=True,
        help="threads of the server, in all its processes",
    )
    processes = click.option(
        *("-p", "--processes"), metavar="N", type=click.IntRange(1), help="default: one per core"
    )
    return workers(processes(function))


def _shared(workers: int, processes: int | None) -> int:
    """Return over how many processes the workers are spread."""
    return min(workers, processes or os.cpu_count() or 1)


def _measure(ctx: click.Context, workload: Workload, runs: int, as_json: bool) -> None:
    from rocketjob_plugins.demo.own_server import ended_by_signals

    from .measuring import measure

    with ended_by_signals():
        report = measure(workload, session_of(ctx).given.get("url"), runs)
    report.print(as_json)
    if warning := report.warning():
        warn(warning)


@perf.command(
    "simple",
    changes=False,
    examples=(
        ("as your servers are", "perf simple --workers 20 --processes 4"),
        ("jobs that stay when they have completed", "perf simple --kept"),
    ),
)
@_count_option(20_000, "jobs")
@_server_options
@click.option("--kept", is_flag=True, help="keep completed jobs, instead of removing them")
@_runs_option()
@json_option
@click.pass_context
def simple(
    ctx: click.Context,
    count: int,
    workers: int,
    processes: int | None,
    kept: bool,
    runs: int,
    as_json: bool,
) -> None:
    """Measure jobs that do nothing: how fast they are stored, and performed by a server."""
    from .simple import Simple

    _measure(ctx, Simple(count, workers, _shared(workers, processes), kept), runs, as_json)


@perf.command(
    "batch",
    changes=False,
    examples=(
        ("small slices", "perf batch --slice-size 100"),
        ("beside what Python does without a store", "perf batch --imap"),
    ),
)
@_count_option(1_000_000, "lines")
@_server_options
@click.option(
    "--slice-size",
    metavar="N",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="lines of a slice",
)
@click.option("--imap", is_flag=True, help="also by multiprocessing.Pool.imap, which keeps nothing")
@_runs_option()
@json_option
@click.pass_context
def batch(
    ctx: click.Context,
    count: int,
    workers: int,
    processes: int | None,
    slice_size: int,
    imap: bool,
    runs: int,
    as_json: bool,
) -> None:
    """Measure a batch job that reverses lines, from the input file to the complete output."""
    from .batch import BatchLines

    shared = _shared(workers, processes)
    _measure(ctx, BatchLines(count, workers, shared, slice_size, imap), runs, as_json)


@perf.command(
    "latency",
    changes=False,
    examples=(
        ("a thousand jobs", "perf latency -n 1000"),
        ("on your own store", "perf latency --url mongodb://..."),
    ),
)
@_count_option(200, "jobs, one after the other")
@_server_options
@click.option(
    "--idle-seconds",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="how long to look at the server while it is idle",
)
@_runs_option()
@json_option
@click.pass_context
def latency(
    ctx: click.Context,
    count: int,
    workers: int,
    processes: int | None,
    idle_seconds: float,
    runs: int,
    as_json: bool,
) -> None:
    """Measure from enqueue to start and to end on an idle server, and where the time goes.

    The parts are medians, one after the other: to store the job, until a worker process notices, to
    claim and load it, until a thread performs it, and until its completion is stored. What the idle
    server costs is measured as well.
    """
    from .latency import Latency

    shared = _shared(workers, processes)
    _measure(ctx, Latency(count, workers, shared, idle_seconds), runs, as_json)


@perf.command(
    "store",
    changes=False,
    examples=(("your own store", "perf store --url mongodb://..."),),
)
@_count_option(10_000, "documents")
@_runs_option()
@json_option
@click.pass_context
def store(ctx: click.Context, count: int, runs: int, as_json: bool) -> None:
    """Measure the calls of a store that jobs are made of, in a collection of its own.

    The processor time is that of this process: for the embedded store it is all there is.
    """
    from .store import StoreCalls

    _measure(ctx, StoreCalls(count), runs, as_json)


@perf.command(
    "growth",
    changes=False,
    examples=(
        ("up to a million jobs, which takes minutes", "perf growth --up-to 1000000"),
        ("on an empty store of yours", "perf growth --url mongodb://localhost/perf"),
    ),
)
@click.option(
    "--up-to",
    metavar="N",
    type=click.IntRange(1),
    default=100_000,
    show_default=True,
    help="jobs in the longest queue, and completed ones that are kept",
)
@_runs_option(1)
@json_option
@click.pass_context
def growth(ctx: click.Context, up_to: int, runs: int, as_json: bool) -> None:
    """Measure what a claim costs as the queue grows.

    With 1,000 jobs queued, ten times as many, and so on; with 10,000 in front that wait for a
    limit, or for one of a thousand limits; with 50,000 of classes that are not known here; and
    with completed ones kept. The store must not have any jobs: whatever is queued is claimed.
    """
    from .growth import Growth

    rows = Growth(up_to, held=min(10_000, up_to), unknown=min(50_000, up_to))
    _measure(ctx, attrs.evolve(rows, keys=min(1_000, max(10, rows.held // 10))), runs, as_json)
