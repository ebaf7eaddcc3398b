"""What the verdict depends on of directories: entries that failed, and that nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rocketjob.base.text import counted
from rocketjob.server.checks import PROBLEM, WARNING, Finding
from rocketjob_plugins.cron.signs import has_series
from rocketjob_plugins.dirmon.entry import DirmonEntry
from rocketjob_plugins.dirmon.job import DirmonJob


def entries(patient: Any) -> Iterator[Finding]:
    """Look for entries that have failed, and for a `DirmonJob` where some are enabled."""
    if failed := DirmonEntry.failed().count():
        entry = DirmonEntry.failed().first()
        name = f": {entry.name or entry.pattern}" if entry and failed == 1 else ""
        message = f"{counted(failed, 'directory entry', 'directory entries')} failed{name}"
        advice = "see why: rocketjob dirmon list"
        yield Finding("directories", PROBLEM, message, advice, {"failed": failed})
    if DirmonEntry.enabled().exists() and not has_series(DirmonJob):
        message = "nobody looks for files: entries are enabled, and no DirmonJob is scheduled"
        yield Finding("directories", WARNING, message, "create it: rocketjob enqueue DirmonJob")
