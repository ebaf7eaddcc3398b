"""What all pages know of the whole: the verdict, the servers, and what has failed.

It is looked at for all who look together, once in some seconds, however many they are; so it is no
page's own work. What has become old is UNKNOWN, as is what cannot be seen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob.base import clock
from rocketjob.base.log import Logger
from rocketjob.jobs.exception import message_of
from rocketjob.server.checks import Finding, Patient
from rocketjob.server.server import Server
from rocketjob.server.signs import OLDEST
from rocketjob.server.verdict import Verdict, judge, unknown
from rocketjob.store import Stored, context

if TYPE_CHECKING:
    from rocketjob_plugins.failures import Failures, Group

log = Logger("rocketjob.web")
SECONDS = 2.0  # for which what was seen is shown
LONGEST = 4.0  # the same where a look takes long
AGAIN = 20  # times as long as it took, it is not looked at again
AWAY = "the store cannot be reached"
_AREAS = {
    "jobs": "/failures",
    "servers": "/servers",
    "the queue": "/jobs/queued",
    "schedules": "/jobs/scheduled",
    "running jobs": "/jobs/running",
    "directories": "/dirmon_entries/failed",
}
"""Where the causes of an area are seen, unless they name what they are about."""


@attrs.frozen(kw_only=True)
class Sight:
    """What was seen in one look.

    Attributes:
        verdict: on the whole.
        servers: all that are registered.
        oldest: what is stored of the job that has been waiting for longest.
        failures: that there are; None where the plugin `failures` is not loaded.
        groups: of these, the one that failed last first.
    """

    verdict: Verdict
    servers: Sequence[Server] = ()
    oldest: Stored | None = None
    failures: Failures | None = None
    groups: Sequence[Group] = ()


class Watch:
    """Looks now and then, for all pages of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._patient: Patient | None = None
        self._sight: Sight | None = None
        self._until = 0.0
        self._seen_at: datetime | None = None

    def sight(self) -> Sight:
        """Return what is seen now, or was a moment ago."""
        with self._lock:
            application = context.current()
            if self._patient is None or self._patient.application is not application:
                self._patient, self._sight = Patient(application), None
            if self._sight is None or clock.elapsed() >= self._until:
                self._look(self._patient)
            assert self._sight is not None
            return self._sight

    def forget(self) -> None:
        """Have the next page look again, as something has just been changed."""
        with self._lock:
            self._until = 0.0
            if self._patient is not None:
                self._patient.memory.pop("failures.seen", None)

    def note_away(self) -> None:
        """Let nobody wait for a store that has just been found to be away."""
        with self._lock:
            self._sight = self._unknown(AWAY)
            self._until = clock.elapsed() + SECONDS

    def _look(self, patient: Patient) -> None:
        began = clock.elapsed()
        try:
            self._sight = _seen(patient)
            self._seen_at = self._sight.verdict.at
        except Exception as error:
            is_away = patient.store.is_transient(error)
            log.warning("the whole cannot be judged", error=message_of(error)[:300])
            self._sight = self._unknown(AWAY if is_away else "it cannot be judged: see the log")
        now = clock.elapsed()
        self._until = now + min(LONGEST, max(SECONDS, AGAIN * (now - began)))

    def _unknown(self, why: str) -> Sight:
        at = self._seen_at
        since = f", nothing was seen since {at:%H:%M:%S} UTC" if at else ""
        return Sight(verdict=unknown(f"{why}{since}", at or clock.now()))


def _seen(patient: Patient) -> Sight:
    verdict = judge(patient)
    seen = Sight(verdict=verdict, servers=tuple(patient.servers), oldest=patient.memory.get(OLDEST))
    if "failures" not in patient.application.plugins.names:
        return seen
    from rocketjob_plugins.failures.signs import seen_by  # only where it is loaded

    failures, groups = seen_by(patient)
    return attrs.evolve(seen, failures=failures, groups=tuple(groups))


def watch_of(memory: MutableMapping[str, Any]) -> Watch:
    """Return the one of a site, from its memory."""
    watch: Watch = memory.setdefault("watch", Watch())
    return watch


def page_of(cause: Finding, has: Callable[[str], bool]) -> tuple[str, dict[str, str]] | None:
    """Return the path of the page on which a cause can be seen, with its query, if there is one.

    Args:
        has: tells whether there is a page of a path.
    """
    data = cause.data
    if "id" in data and has("/jobs/{id}"):
        return f"/jobs/{data['id']}", {}
    if "server" in data and has("/servers"):
        return "/servers", {"q": str(data["server"])}
    path = "/jobs/queued" if "waiting" in data else _AREAS.get(cause.area, "")
    return (path, {}) if has(path) else None
