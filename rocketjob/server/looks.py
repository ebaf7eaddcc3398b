"""When a server last looked for what: nobody looks again where nothing has happened since."""

from __future__ import annotations

from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.store.changes import News

QUIET_SECONDS = 60.0  # between two looks while nothing happens
FOLLOWS = 1.5  # so many times as long after a change what may follow of it is looked for


@attrs.define
class Look:
    at: float
    mark: Any
    changed_at: float


class Looks:
    """What one thread looks for now and then.

    Args:
        news: tells whether anything was written; None: nobody does, and what is asked for is due.
    """

    def __init__(self, news: News | None) -> None:
        self._news = news
        self._last: dict[str, Look] = {}

    def is_due(self, what: str, follows: float = QUIET_SECONDS) -> bool:
        """Return whether to look for something now; then it counts as looked for.

        It is if anything was written since the last look, and once a minute.

        Args:
            follows: seconds: so long after a change it is due again, and again after as long, since
                what follows of a change may show only then.
        """
        if self._news is None:
            return True
        now, mark = clock.elapsed(), self._news.change_mark()
        last = self._last.get(what)
        changed_at = now if last is None or last.mark != mark else last.changed_at
        if last is not None and last.mark == mark:
            lately = last.at - last.changed_at < FOLLOWS * follows
            if 0 <= now - last.at < (min(follows, QUIET_SECONDS) if lately else QUIET_SECONDS):
                return False
        self._last[what] = Look(now, mark, changed_at)
        return True
