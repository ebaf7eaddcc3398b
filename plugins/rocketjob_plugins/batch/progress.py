"""How far an upload is, on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def shown_progress(
    progress: Callable[[int], None] | bool | None,
) -> Iterator[Callable[[int], None] | None]:
    """Give what an upload is to call with its number of records; nothing, where nobody looks."""
    if progress is not True:
        yield progress or None
        return
    from rich.console import Console  # for start-up time
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} records"), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("upload", total=None)
        yield lambda count: bar.update(task, completed=count)
