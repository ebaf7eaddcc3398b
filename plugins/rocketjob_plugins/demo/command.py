"""`rocketjob demo`.

Imports within functions: a command loads only what it needs, so that it starts quickly.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rocketjob.cli import Failure, command
from rocketjob.cli.session import fits_terminal, session_of

from .own_server import ended_by_signals

if TYPE_CHECKING:
    from .screen import Screen
    from .stage import Counts, Stage

LOOK_SECONDS = 0.15


@command(
    "demo",
    changes=False,
    short_help="Watch a real server run real jobs.",
    examples=(
        ("Python's own sources", "demo"),
        ("your own text files", "demo --folder ~/Documents"),
        ("with more processes", "demo --processes 4"),
        ("one file of a million lines, on all cores", "demo --batch"),
        ("in your own store", "demo --url mongodb://localhost/demo"),
        ("the web interface, with something of everything", "demo --web"),
    ),
)
@click.option(
    "--folder",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="whose text files to read; default: Python's standard library",
)
@click.option("-w", "--workers", metavar="N", type=click.IntRange(1), default=10, show_default=True)
@click.option(
    "-p", "--processes", metavar="N", type=click.IntRange(1), help="default: one per core"
)
@click.option("--limit", metavar="N", type=click.IntRange(1), help="read at most N files")
@click.option("--batch", is_flag=True, help="one large file on all cores, instead of many jobs")
@click.option(
    "--lines", metavar="N", type=click.IntRange(1), default=1_000_000, help="lines of that file"
)
@click.option("--keep", is_flag=True, help="keep the jobs, to look at them afterwards")
@click.option("--web", is_flag=True, help="the web interface over a store that is filled for it")
@click.option(
    "--port", metavar="PORT", type=click.IntRange(0, 65535), default=8787, help="of --web"
)
@click.pass_context
def demo(
    ctx: click.Context,
    folder: Path | None,
    workers: int,
    processes: int | None,
    limit: int | None,
    batch: bool,
    lines: int,
    keep: bool,
    web: bool,
    port: int,
) -> None:
    """Run a real server with real jobs: each reads one text file and counts its words.

    The jobs are stored in a temporary SQLite file, which is removed at the end, or with --url in
    the store that you name. Ctrl-C ends it early.
    """
    if web:
        from .showcase import show

        with ended_by_signals():
            return show(ctx, port)
    from . import files
    from .screen import Screen
    from .stage import set_up

    sources = files.find(folder or files.standard_library(), limit)
    if not sources.files:
        raise Failure(
            f"there is no text file in {sources.folder}: choose another one with --folder"
        )
    url = session_of(ctx).given.get("url")
    count = min(workers, processes or os.cpu_count() or 1)
    with ended_by_signals(), set_up(sources, url, workers, count, keep) as stage:
        if batch:
            ctx.exit(_run_batch(stage, lines))
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


def _run_batch(stage: Stage, lines: int) -> int:
    """Process one large file in all processes; return the exit code."""
    from . import batch
    from .batch_screen import BatchScreen

    stage.start_server()
    screen = BatchScreen(fits_terminal())
    try:
        with screen.live():
            timing = batch.run(stage, lines, screen.say, screen.update)
    except KeyboardInterrupt:
        screen.say("Interrupted: the file and the job are removed")
        return 130
    screen.end(timing)
    return 0 if timing.correct else 1


def _watch(stage: Stage, screen: Screen) -> None:
    while True:
        counts: Counts = stage.counts()
        screen.update(counts)
        if counts.ended >= counts.total:
            return
        stage.check_server()
        threading.Event().wait(LOOK_SECONDS)
