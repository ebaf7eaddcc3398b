"""What a run shows: progress, on a terminal or as lines, and a table at the end."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import attrs
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rocketjob.base import clock

from .files import size_text
from .job import DemoFileJob
from .stage import Counts, Stage

FILES_SHOWN = 5
LINE_SECONDS = 1.0  # between two lines of progress where there is no terminal
RATE_SECONDS = 2.0  # the period over which the rate is measured
WORDS_SHOWN = 10


@attrs.define
class Totals:
    """The sums of all jobs' results."""

    files: int = 0
    lines: int = 0
    words: int = 0
    bytes: int = 0
    again: int = 0
    first: datetime | None = None
    last: datetime | None = None
    longest: tuple[int, str] = (0, "")
    slowest: tuple[float, str] = (0.0, "")
    frequent: Counter[str] = attrs.field(factory=Counter)

    @property
    def seconds(self) -> float:
        return (self.last - self.first).total_seconds() if self.first and self.last else 0.0

    @property
    def rate(self) -> float:
        return self.files / self.seconds if self.seconds else 0.0

    def add(self, job: DemoFileJob, name: str) -> None:
        result: dict[str, Any] = job.result or {}
        self.files += 1
        self.lines += result["lines"]
        self.words += result["words"]
        self.bytes += result["bytes"]
        self.again += job.interruptions > 0
        self.longest = max(self.longest, (result["longest_line"], name))
        self.slowest = max(self.slowest, (result["seconds"], name))
        self.frequent.update(dict(result["frequent"]))
        if job.started_at and job.completed_at:
            self.first = min(self.first or job.started_at, job.started_at)
            self.last = max(self.last or job.completed_at, job.completed_at)


class Screen:
    """Shows a run.

    Args:
        fancy: whether this is a terminal.
        keep: whether the jobs are kept.
    """

    def __init__(self, stage: Stage, fancy: bool, keep: bool) -> None:
        self.stage, self.fancy, self.keep = stage, fancy, keep
        self.console = Console(highlight=False, soft_wrap=not fancy)
        self._looks: list[tuple[float, int]] = []
        self._line_at = 0.0
        self._live: Live | None = None
        self._progress = Progress(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>6} jobs/s"),
            TimeElapsedColumn(),
            console=self.console,
            expand=True,
        )
        self._task = self._progress.add_task("", total=len(stage.sources.files), rate="")

    # --- before ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Say what is about to happen."""
        sources, stage = self.stage.sources, self.stage
        jobs = _count(len(sources.files), "job")
        self._print(f"{jobs}: one for each text file in {sources.folder}", "bold")
        workers = f"{stage.workers} workers in {_count(stage.processes, 'process', 'processes')}"
        self._print(f"Starting a server with {workers} ...")

    # --- during ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def live(self) -> Iterator[None]:
        """Show progress in place during a block, if there is a terminal."""
        if not self.fancy:
            yield
            return
        with Live(console=self.console, refresh_per_second=10, transient=True) as self._live:
            yield
        self._live = None

    def update(self, counts: Counts) -> None:
        """Show how far the run has come."""
        now = clock.monotonic()
        self._looks = [look for look in self._looks if now - look[0] < RATE_SECONDS]
        self._looks.append((now, counts.ended))
        if self._live is not None:
            self._live.update(self._picture(counts))
        elif now - self._line_at >= LINE_SECONDS and counts.ended:
            self._line_at = now
            self._print(f"{counts.ended:,} of {counts.total:,} jobs done, {self._rate()} a second")

    def _rate(self) -> str:
        (began, before), (now, done) = self._looks[0], self._looks[-1]
        return f"{(done - before) / (now - began):,.0f}" if now > began else "0"

    def _picture(self, counts: Counts) -> Group:
        self._progress.update(self._task, completed=counts.ended, rate=self._rate())
        names = self.stage.running_files(FILES_SHOWN)
        state = f"{counts.running} running" if counts.running else "waiting for the server"
        failed = f", {counts.failed} failed" if counts.failed else ""
        lines = [Text(f"{state}{failed}", style="dim", no_wrap=True)]
        lines += [Text(f"  {name}", "cyan", no_wrap=True, overflow="ellipsis") for name in names]
        lines += [Text("")] * (FILES_SHOWN - len(names))  # keeps the height constant
        return Group(self._progress, *lines)

    # --- afterwards --------------------------------------------------------------------------

    def end(self, counts: Counts, interrupted: bool) -> None:
        """Show what came out."""
        totals = Totals()
        for job in DemoFileJob.where(demo_run=self.stage.run).completed():
            totals.add(job, self.stage.brief(job.path))
        if interrupted:
            progress = f"{counts.ended:,} of {counts.total:,} jobs had ended"
            self._print(f"Interrupted: {progress}", "yellow")
        if totals.files:
            self._print()
            self._print_table(self._facts(counts, totals))
            self._print()
            self._print_table(_words(totals, self.fancy))
        self._failures(counts)
        self._next_steps()

    def _facts(self, counts: Counts, totals: Totals) -> Table:
        rows = self._rows(counts, totals)
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        label = max(len(row[0]) for row in rows)
        number = max(len(row[1]) for row in rows)
        table.add_column(style="dim" if self.fancy else "", no_wrap=True, min_width=label)
        table.add_column(justify="right", no_wrap=True, min_width=number)
        table.add_column(overflow="ellipsis", no_wrap=True)
        for row in rows:
            table.add_row(*row, style="red" if row[0] == "Failed" and self.fancy else "")
        return table

    def _rows(self, counts: Counts, totals: Totals) -> list[tuple[str, str, str]]:
        skipped, once = self.stage.sources.skipped, totals.files - totals.again
        again = f"{totals.again:,} again, after a crash" if totals.again else ""
        rows = [
            (
                "Files",
                f"{totals.files:,}",
                f"besides {skipped:,} that are not text" if skipped else "",
            ),
            ("Failed", f"{counts.failed:,}", "") if counts.failed else ("", "", ""),
            ("Lines", f"{totals.lines:,}", ""),
            ("Words", f"{totals.words:,}", f"in {size_text(totals.bytes)}"),
            ("Longest line", f"{totals.longest[0]:,}", totals.longest[1]),
            ("Slowest file", f"{totals.slowest[0]:.3f} s", totals.slowest[1]),
            ("Time", f"{totals.seconds:.3g} s", f"{totals.rate:,.0f} jobs a second"),
            ("Run once", f"{once:,}", again),
        ]
        return [row for row in rows if row[0]]

    def _failures(self, counts: Counts, limit: int = 5) -> None:
        if not counts.failed:
            return
        self._print()
        for job in (
            DemoFileJob.where(demo_run=self.stage.run).failed().order_by("path").limit(limit)
        ):
            reason = f"{job.exception.class_name}: {job.exception.message}" if job.exception else ""
            self._print(f"failed: {self.stage.brief(job.path)}: {reason}", "red")
        if counts.failed > limit:
            self._print(f"failed: {counts.failed - limit:,} more", "red")

    def _next_steps(self) -> None:
        if self.keep:
            url = self.stage.url
            look = (f"rocketjob jobs list --url {url}", "look at the jobs that were kept")
        else:
            look = ("rocketjob demo --keep", "keep the jobs, to look at them")
        steps = (
            ("rocketjob demo --folder ~/Documents", "the same for your own text files"),
            look,
            ("rocketjob server --help", "run a server for your own jobs"),
        )
        self._print()
        self._print("Try next:")
        width = min(40, max(len(step) for step, _ in steps))
        for step, purpose in steps:
            # A command must stay on one line, to be copied from a narrow terminal.
            self.console.print(Text(f"  {step:{width}}  # {purpose}"), soft_wrap=True)

    def _print_table(self, table: Table) -> None:
        if self.fancy:
            self.console.print(table)
            return
        with self.console.capture() as captured:
            self.console.print(table)
        for line in captured.get().splitlines():
            self._print(line.rstrip())

    def _print(self, text: str = "", style: str = "") -> None:
        self.console.print(Text(text, style=style if self.fancy else ""))


def _words(totals: Totals, fancy: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Most frequent words")
    table.add_column("Times", justify="right")
    if fancy:
        table.add_column("")
    words = totals.frequent.most_common(WORDS_SHOWN)
    for word, count in words:
        bar = "█" * max(1, round(30 * count / words[0][1]))
        table.add_row(word, f"{count:,}", *([Text(bar, style="cyan")] if fancy else []))
    return table


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
