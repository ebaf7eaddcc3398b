"""The last runs of a job's series, or of its class: what became of each, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob import Job
from rocketjob.base.clock import to_utc
from rocketjob.jobs.shown import class_name
from rocketjob.store import Stored
from rocketjob_contrib.mission_control.remembering import remembered

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

SHOWN = 20
LOOKED_AT = 3_000  # jobs that ended last, whatever their class
SECONDS = 0.05
ENDED = ("completed", "failed", "aborted")
READ = dict.fromkeys(("_type", "state", "started_at", "completed_at"), 1)


@attrs.frozen(kw_only=True)
class Run:
    """One run.

    Attributes:
        id: of its job; None where that is gone.
        seconds: how long it took; None if it was not started.
        is_this: whether it is that of the job that is shown.
        height: from 0 to 1, of the longest.
    """

    id: Any
    state: str
    ended_at: datetime
    seconds: float | None
    is_this: bool
    height: float = 0


@attrs.frozen
class Runs:
    """What is shown of the last runs.

    Attributes:
        runs: the latest last.
        of: what they are runs of.
    """

    runs: list[Run]
    of: str
    usual: float | None
    longest: float | None


def show(view: View) -> Response:
    """Show the last runs, on a page of its own or for the panel."""
    job: Job = view.target
    template = "jobs/runs.html" if view.is_fragment else "jobs/runs_page.html"
    runs = runs_of(view, job)
    return view.render(template, job=job, name=class_name(job), runs=runs)


def runs_of(view: View, job: Job) -> Runs | None:
    """Return the last runs of a job's series, or else of its class, if there are any."""
    return of_series(job) or of_class(view, job)


def of_series(job: Job) -> Runs | None:
    """Return the last runs of a job's series; None if it has none, or none that has run."""
    series = getattr(job, "previous_runs", None)
    if not isinstance(series, list):
        return None
    found = [run for each in series if (run := _of_series(each)) is not None]
    return _shown([*found, *_this(job)], job, "this schedule")


def of_class(view: View, job: Job) -> Runs | None:
    """Return the jobs of the same class that ended last, if any other has."""
    name = class_name(job)
    documents = remembered(view, "runs", name, lambda: _look(name))
    found = [run for each in documents if (run := _of_job(each)) is not None]
    return _shown(found, job, "this class")


def _shown(runs: Iterable[Run], job: Job, of: str) -> Runs | None:
    last = list(runs)[-SHOWN:]
    if not last or all(run.id == job.id for run in last):
        return None
    took = [run.seconds for run in last if run.seconds is not None]
    longest = max(took, default=None)
    return Runs(
        [
            attrs.evolve(
                run,
                is_this=run.id == job.id,
                height=run.seconds / longest if run.seconds and longest else 0,
            )
            for run in last
        ],
        of,
        median(took) if took else None,
        longest,
    )


def _of_series(stored: Any) -> Run | None:
    if not isinstance(stored, dict):
        return None
    return _run(None, stored.get("state"), stored.get("started_at"), stored.get("ended_at"))


def _of_job(stored: Stored) -> Run | None:
    fields = (stored.get(name) for name in ("state", "started_at", "completed_at"))
    return _run(stored["_id"], *fields)


def _this(job: Job) -> list[Run]:
    run = _run(job.id, job.state, job.started_at, job.completed_at)
    return [run] if run is not None and job.state in ENDED else []


def _run(id: Any, state: Any, started: Any, ended: Any) -> Run | None:
    """Return a run; None for what something else has written."""
    if state not in ENDED or not isinstance(ended, datetime):
        return None
    took = (ended - started).total_seconds() if isinstance(started, datetime) else None
    seconds = None if took is None else max(0.0, took)
    return Run(id=id, state=state, ended_at=to_utc(ended), seconds=seconds, is_this=False)


def _look(name: str) -> list[Stored]:
    """Return the jobs of a class that ended last, the latest last, as far as a look may take."""
    found, until = list[Stored](), time.monotonic() + SECONDS
    order = [("completed_at", -1)]
    ended = {"completed_at": {"$exists": True}}
    for stored in Job.collection().find(ended, READ, sort=order, limit=LOOKED_AT):
        if stored.get("_type") == name and stored.get("state") in ENDED:
            found.append(stored)
        if len(found) == SHOWN or time.monotonic() > until:
            break
    return found[::-1]
