"""How far an upload or a download is, on a terminal."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import IO


@contextlib.contextmanager
def shown_progress(
    progress: Callable[[int], None] | bool | None, file: IO[bytes] | None = None
) -> Iterator[Callable[[int], None] | None]:
    """Give what is to be called with the number of records; nothing, where nobody looks.

    Args:
        progress: what to call instead; True: what shows it on the terminal, if there is one.
        file: that is read meanwhile: how much of it is left is shown too.
    """
    if progress is not True:
        yield progress or None
        return
    from rich import progress as rich  # both for start-up time
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    size = os.fstat(file.fileno()).st_size if file is not None else 0
    part = (rich.BarColumn(), rich.TaskProgressColumn()) if size else (rich.SpinnerColumn(),)
    left = (rich.TimeRemainingColumn(),) if size else ()
    records = rich.TextColumn("{task.fields[records]:,} records")
    with rich.Progress(*part, records, rich.TimeElapsedColumn(), *left, console=console) as bar:
        task = bar.add_task("", total=size or None, records=0)

        def show(count: int) -> None:
            read = file.tell() if file is not None and size else 0
            bar.update(task, completed=read, records=count)

        yield show
