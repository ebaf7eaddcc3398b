"""Jobs that keep the system going, and are missing: nobody looks for files, or nobody tidies up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from starlette.responses import Response

from rocketjob import Job, application
from rocketjob.base.text import counted
from rocketjob.model.registry import lookup
from rocketjob_contrib.mission_control.asking import Action, Question, ask
from rocketjob_contrib.mission_control.schedule.finding import series_of
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.cron.series import Series

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

HOME = "/schedule"
ACTION = Action(
    name="create",
    title="Create it",
    icon="create",
    does="Its first run is queued for the next time of its schedule, and each run queues the next.",
)


@attrs.frozen
class Guardian:
    """A job that should be there.

    Attributes:
        is_paused: whether it is there, and paused.
        why: what nobody does without it.
    """

    job_class: type[Cron]
    is_paused: bool
    why: str

    @property
    def name(self) -> str:
        return self.job_class.type_name()


def missing(view: View) -> list[Guardian]:
    """Return those that are not there, or paused."""
    found = series_of(view)
    if not found.is_all:
        return []
    guardians = [_watching(found.series), _tidying(found.series)]
    return [guardian for guardian in guardians if guardian is not None]


def _watching(series: list[Series]) -> Guardian | None:
    if "dirmon" not in application.current().plugins.names:
        return None
    from rocketjob_plugins.dirmon import DirmonEntry, DirmonJob  # only where it is loaded

    there = _of(DirmonJob, series)
    if any(not each.is_paused for each in there):
        return None
    if not (enabled := DirmonEntry.enabled().count()):
        return None
    entries = counted(enabled, "directory entry is", "directory entries are")
    return Guardian(DirmonJob, bool(there), f"{entries} enabled, and nobody looks for files")


def _tidying(series: list[Series]) -> Guardian | None:
    if "housekeeping" not in application.current().plugins.names:
        return None
    from rocketjob_plugins.housekeeping import HousekeepingJob  # only where it is loaded

    there = _of(HousekeepingJob, series)
    if any(not each.is_paused for each in there):
        return None
    return Guardian(HousekeepingJob, bool(there), "old jobs are kept for ever")


def _of(job_class: type[Cron], series: list[Series]) -> list[Series]:
    """Return the series of a class, or of one below it."""
    return [each for each in series if _is_below(each.class_name, job_class)]


def _is_below(name: str, job_class: type[Cron]) -> bool:
    found = lookup(name, Job)
    return name == job_class.type_name() or (found is not None and issubclass(found, job_class))


# --- creating one ----------------------------------------------------------------------------


def ask_first(view: View) -> Response:
    """Ask whether one is to be created."""
    guardian = _chosen(view, view.query.get("class", ""))
    if guardian is None:
        return _not_needed(view)
    question = Question(
        action=ACTION,
        title=f"Create {guardian.name}?",
        path="/schedule/create",
        back=view.back(HOME),
        subject=guardian.name,
        texts=(f"{guardian.why[0].upper()}{guardian.why[1:]}.", ACTION.does),
        hidden={"class": guardian.name},
    )
    return ask(view, question)


def create(view: View) -> Response:
    """Create one, if it is still missing."""
    guardian = _chosen(view, view.form.get("class", ""))
    job = guardian.job_class.create_if_valid() if guardian is not None else None
    if guardian is None or job is None:
        return _not_needed(view)
    view.say("success", f"{guardian.name} is scheduled", f"/jobs/{job.id}")
    return view.go(view.back(HOME))


def _chosen(view: View, name: str) -> Guardian | None:
    found = (each for each in missing(view) if not each.is_paused and each.name == name)
    return next(found, None)


def _not_needed(view: View) -> Response:
    view.say("warning", "Nothing was created: it is there already, or is none of those needed")
    return view.go(view.back(HOME))
