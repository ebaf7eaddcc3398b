"""What the batch demo shows: progress, records per second, and the time left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from .batch import DemoBatchJob, Timing

LINE_SECONDS = 1.0  # between two lines where there is no terminal


class _Bar(Progress):
    """Leaves room for the `^C` that a terminal prints after it, so that it does not wrap."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield _Narrower(self.make_tasks_table(self.tasks))


class _Narrower:
    """Renders something with a few columns left free on the right."""

    def __init__(self, shown: RenderableType) -> None:
        self.shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self.shown, options.update(width=max(1, options.max_width - 5)))


class BatchScreen:
    """Shows a batch job: in place on a terminal, line by line elsewhere."""

    def __init__(self, fancy: bool) -> None:
        self.fancy = fancy
        self.console = Console(highlight=False, soft_wrap=not fancy)
        self._line_at = 0.0
        self._bar = _Bar(
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[rate]:>10} records/s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            expand=True,
        )
        self._task = self._bar.add_task("", total=None, rate="")

    @contextlib.contextmanager
    def live(self) -> Iterator[None]:
        """Show the bar during a block, if there is a terminal."""
        if not self.fancy:
            yield
            return
        with self._bar:
            yield

    def say(self, text: str) -> None:
        self.console.print(text)

    def update(self, job: DemoBatchJob, seconds: float) -> None:
        """Show how far the job has come."""
        total = job.record_count or 0
        done = max(0, total - job.input.count() * job.slice_size)
        rate = done / seconds if seconds else 0.0
        if self.fancy:
            self._bar.update(self._task, total=total, completed=done, rate=f"{rate:,.0f}")
        elif seconds - self._line_at >= LINE_SECONDS and done:
            self._line_at = seconds
            seconds_left = (total - done) / rate if rate else 0.0
            self.say(
                f"{done:,} of {total:,} records, {rate:,.0f} a second, {seconds_left:.0f} s left"
            )

    def end(self, timing: Timing) -> None:
        """Show what came out."""
        self.say(
            f"{timing.records:,} records: uploaded in {timing.upload:.1f} s, processed in "
            f"{timing.work:.1f} s, downloaded in {timing.download:.1f} s: "
            f"{timing.rate:,.0f} a second"
        )
        likeness = "the same as" if timing.correct else "NOT the same as"
        self.say(f"The output is {likeness} that of a plain loop, in the same order (SHA-256)")
