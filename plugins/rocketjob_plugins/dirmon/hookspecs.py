"""The hook that the directory monitor brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import hookspec
from rocketjob.plugins.answers import answer

if TYPE_CHECKING:
    from rocketjob_plugins.dirmon.entry import DirmonEntry
    from rocketjob_plugins.dirmon.folder import FileState
    from rocketjob_plugins.dirmon.verdict import Verdict


def _is_verdict(value: Any) -> bool:
    from rocketjob_plugins.dirmon.verdict import Defer, Refuse, Take  # for start-up time

    return isinstance(value, Refuse | Defer | Take)


@hookspec(firstresult=True)
@answer("Refuse, Defer or Take of rocketjob_plugins.dirmon", _is_verdict)
def dirmon_file(entry: DirmonEntry, file: FileState) -> Verdict | None:
    """Look at a file before it is taken, and refuse it, defer it, or change what becomes of it.

    Called by a `DirmonJob`, on its worker's thread, for each complete file at each scan until it is
    taken, and possibly again after a process died. The first answer counts; None lets the entry
    decide. One that raises defers the file, and the log names the plugin; the entry does not fail.
    It is also called for a preview, in the supervisor of each server that is asked for one, on the
    thread that answers questions. So it decides, and does nothing else.

    Args:
        entry: which looks for such files; it is not stored again.
        file: its `path`, which may be a URL, `name`, `size`, and when it was changed.
    """
