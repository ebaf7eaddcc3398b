"""`rocketjob demo`."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rocketjob.cli import Failure, command
from rocketjob.cli.session import fits_terminal, session_of

if TYPE_CHECKING:
    from .screen import Screen
    from .stage import Counts, Stage

LOOK_SECONDS = 0.15


@command(
    "demo",
    short_help="See a real server run real jobs.",
    examples=(
        ("Python's own sources, some 1,700 files", "demo"),
        ("your own texts", "demo --folder ~/Documents"),
        ("see what more processes bring", "demo --processes 4"),
        ("in the store that you will use", "demo --url mongodb://localhost/demo"),
    ),
)
@click.option(
    "--folder",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="whose text files to read; Python's standard library if not given",
)
@click.option("-w", "--workers", metavar="N", type=click.IntRange(1), default=10, show_default=True)
@click.option(
    "-p", "--processes", metavar="N", type=click.IntRange(1), help="one per core if not given"
)
@click.option("--limit", metavar="N", type=click.IntRange(1), help="read at most so many files")
@click.option("--keep", is_flag=True, help="keep the jobs, to look at them afterwards")
@click.pass_context
def demo(
    ctx: click.Context,
    folder: Path | None,
    workers: int,
    processes: int | None,
    limit: int | None,
    keep: bool,
) -> None:
    """Run a real server on real jobs: each reads one text file and counts its words.

    The jobs are stored in a SQLite file of the demo's own, which is removed at the end; with --url
    in the store that you name. Ctrl-C ends it early.
    """
    from . import files
    from .screen import Screen
    from .stage import set_up

    found = files.find(folder or files.standard_library(), limit)
    if not found.files:
        raise Failure(f"there is no text file in {found.folder}: name another one with --folder")
    url = session_of(ctx).given.get("url")
    count = min(workers, processes or os.cpu_count() or 1)
    with _ended_by_signals(), set_up(found, url, workers, count, keep) as stage:
        screen = Screen(stage, fits_terminal(), keep)
        ctx.exit(_run(stage, screen))


def _run(stage: Stage, screen: Screen) -> int:
    """Start the server, store the jobs, watch until they have ended; return the exit code."""
    screen.begin()
    code = 0
    try:
        stage.start_server()
        stage.store_jobs()
        with screen.live():
            _watch(stage, screen)
    except KeyboardInterrupt:
        code = 130
    stage.stop_server()
    screen.end(stage.counts(), interrupted=code != 0)
    return code


def _watch(stage: Stage, screen: Screen) -> None:
    while True:
        counts: Counts = stage.counts()
        screen.update(counts)
        if counts.ended >= counts.total:
            return
        stage.check_server()
        threading.Event().wait(LOOK_SECONDS)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Clean up after SIGTERM and a closed terminal as after Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
