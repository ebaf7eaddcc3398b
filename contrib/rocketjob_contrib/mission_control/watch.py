"""What all pages know of the whole: the verdict, the servers, and what has failed.

It is looked at for all who look together, once in some seconds, however many they are; so it is no
page's own work. Where a look takes long, as at a million jobs, pages show what was seen before
while a thread looks. What has become old is UNKNOWN, as is what cannot be seen.
"""

from __future__ import annotations

import contextvars
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
LONG = 0.3  # seconds of a look for which no page waits, if there is another one to show
STALE = 10.0  # for which that other one is shown
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
        self._lock, self._looking = threading.Lock(), threading.Lock()
        self._patient: Patient | None = None
        self._sight: Sight | None = None
        self._until = self._stale_at = 0.0
        self._took = 0.0
        self._seen_at: datetime | None = None
        self._beside: threading.Thread | None = None

    def sight(self) -> Sight:
        """Return what is seen now, or was a moment ago."""
        with self._lock:
            application = context.current()
            if self._patient is None or self._patient.application is not application:
                self._patient, self._sight = Patient(application), None
            now = clock.elapsed()
            if self._sight is None or (now >= self._until and not self._may_wait(now)):
                self._look(self._patient)
            elif now >= self._until:
                self._look_beside(self._patient)
            assert self._sight is not None
            return self._sight

    def _may_wait(self, now: float) -> bool:
        """Return whether what was seen before can be shown while a thread looks again."""
        return self._took >= LONG and now < self._stale_at

    def forget(self) -> None:
        """Have the next page look again, as something has just been changed."""
        with self._lock:
            self._until = self._stale_at = 0.0
            if self._patient is not None:
                self._patient.memory.pop("failures.seen", None)

    def note_away(self) -> None:
        """Let nobody wait for a store that has just been found to be away."""
        with self._lock:
            self._note(self._unknown(AWAY), clock.elapsed(), 0.0)

    def _look_beside(self, patient: Patient) -> None:
        """Have a thread look, unless one does; pages go on meanwhile."""
        if self._beside is None or not self._beside.is_alive():
            looks = contextvars.copy_context().run
            self._beside = threading.Thread(
                target=lambda: looks(self._seen_beside, patient), name="web-watch", daemon=True
            )
            self._beside.start()

    def _seen_beside(self, patient: Patient) -> None:
        was, began = self._sight, clock.elapsed()
        seen = self._seen_by(patient)
        took = clock.elapsed() - began
        with self._lock:
            if self._sight is was:  # else somebody has looked meanwhile
                self._note(seen, clock.elapsed(), took)

    def _look(self, patient: Patient) -> None:
        began = clock.elapsed()
        seen = self._seen_by(patient)
        now = clock.elapsed()
        self._note(seen, now, now - began)

    def _note(self, seen: Sight, now: float, took: float) -> None:
        self._sight, self._took = seen, took
        self._until = now + min(LONGEST, max(SECONDS, AGAIN * took))
        self._stale_at = now + STALE

    def _seen_by(self, patient: Patient) -> Sight:
        try:
            with self._looking:  # a patient is for one thread at a time
                seen = _seen(patient)
            self._seen_at = seen.verdict.at
            return seen
        except Exception as error:
            is_away = patient.store.is_transient(error)
            log.warning("the whole cannot be judged", error=message_of(error)[:300])
            return self._unknown(AWAY if is_away else "it cannot be judged: see the log")

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
