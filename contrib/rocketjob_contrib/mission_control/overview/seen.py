"""What the overview shows, read of the store once in some seconds for all who look at it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob import Job, application
from rocketjob.base import clock
from rocketjob.jobs.shown import class_name, load
from rocketjob.queue.dispatch import ORDER
from rocketjob.store import Stored, context
from rocketjob_contrib.mission_control.jobs import rows, tabs
from rocketjob_contrib.mission_control.jobs.finding import BUILT_IN
from rocketjob_contrib.mission_control.jobs.progress import Progress, progress_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View
    from rocketjob_plugins.audit import AuditRecord
    from rocketjob_plugins.metrics import Series

SECONDS = 2.0  # for which what was read is shown
SHOWN = 5  # running jobs, and next runs
CHANGES = 6
COUNTED_SLICES = 1  # batch jobs whose slices are counted in one look; the others by turns
KEPT = "overview"  # in the memory of the site
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@attrs.frozen
class Running:
    """A job that runs."""

    job: Job
    name: str
    progress: Progress


@attrs.frozen(kw_only=True)
class Flow:
    """What became of jobs in the last hour, in steps of `STEP` minutes.

    Attributes:
        completed: how many, in each step.
        failed: likewise.
        waits: what 95 % of those that began in it waited less than, in seconds.
        completed_rate: how many completed in a minute, in the last five.
        failed_rate: likewise.
        wait: of the last minutes in which something began; None if nothing did.
    """

    completed: list[int]
    failed: list[int]
    waits: list[float]
    completed_rate: float
    failed_rate: float
    wait: float | None


@attrs.frozen(kw_only=True)
class Seen:
    """What was read in one look.

    Attributes:
        counts: of jobs by state.
        flow: None where nothing is counted.
        running: the most urgent jobs that run.
        next: the jobs that are to run next, at a time of their own.
        changes: what people did last; None where that is not recorded.
    """

    counts: dict[str, int]
    flow: Flow | None
    running: Sequence[Running]
    next: Sequence[Stored]
    changes: Sequence[AuditRecord] | None


class _Last:
    """What was read last, and until when it is shown."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.application: Any = None
        self.until = 0.0
        self.seen: Seen | None = None


def seen(view: View) -> Seen:
    """Return what there is to see now, or was a moment ago.

    Raises:
        Exception: the store cannot be reached.
    """
    last: _Last = view.site.memory.setdefault(KEPT, _Last())
    with last.lock:
        present = context.current()
        if last.seen is None or last.application is not present or clock.elapsed() >= last.until:
            last.seen, last.application = _read(view), present
            last.until = clock.elapsed() + SECONDS
        return last.seen


def _read(view: View) -> Seen:
    names = application.current().plugins.names
    return Seen(
        counts=tabs.counts(view),
        flow=_flow() if "metrics" in names else None,
        running=_running(view),
        next=_next(),
        changes=_changes() if "audit" in names else None,
    )


def _running(view: View) -> list[Running]:
    view.once("slices.left", lambda: [COUNTED_SLICES])
    fields = rows.fields_of(tabs.TABS["running"])
    found = Job.collection().find(Job.running().filter(), fields, sort=ORDER, limit=SHOWN)
    jobs = [load(stored, read=stored, relied_on=BUILT_IN) for stored in found]
    return [Running(job, class_name(job), progress_of(view, job)) for job in jobs]


def _next() -> list[Stored]:
    fields = dict.fromkeys(("_type", "description", "run_at", "cron_schedule"), 1)
    order = [("run_at", 1)]
    found = Job.collection().find(Job.scheduled().filter(), fields, sort=order, limit=SHOWN)
    return [stored for stored in found if isinstance(stored.get("run_at"), datetime)]


def _changes() -> list[AuditRecord]:
    from rocketjob_plugins.audit import records  # only where it is loaded

    return list(records(limit=CHANGES))


# --- the last hour -------------------------------------------------------------------------------

STEP = 2  # minutes
LATELY = 5  # minutes


def _flow() -> Flow:
    from rocketjob_plugins.metrics import read  # only where it is loaded

    return flow_of(read(HOUR, by="minute"))


def flow_of(series: Series) -> Flow:
    """Return how work flows, of the metrics of an hour."""
    totals = [point.total for point in series.points]
    completed, failed = [each.completed for each in totals], [each.failed for each in totals]
    waits = [_wait(totals[at : at + STEP]) for at in range(0, len(totals), STEP)]
    return Flow(
        completed=_summed(completed),
        failed=_summed(failed),
        waits=[each or 0.0 for each in waits],
        completed_rate=sum(completed[-LATELY:]) / LATELY,
        failed_rate=sum(failed[-LATELY:]) / LATELY,
        wait=next((each for each in reversed(waits) if each is not None), None),
    )


def _summed(numbers: Sequence[int]) -> list[int]:
    return [sum(numbers[at : at + STEP]) for at in range(0, len(numbers), STEP)]


def _wait(figures: Sequence[Any]) -> float | None:
    """Return what 95 % of what began in some minutes waited less than, in seconds."""
    whole = figures[0].wait
    for other in figures[1:]:
        whole.merge(other.wait)
    seconds: float | None = whole.quantile(0.95)
    return seconds
