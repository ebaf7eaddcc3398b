"""The panels of a job's page that Mission Control itself brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import Job
from rocketjob.jobs.shown import own_fields
from rocketjob_contrib.mission_control.panels import Panel

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def panels_of(view: View, job: Job) -> list[Panel]:
    """Return the panels of a job, without those that have nothing to show."""
    candidates = (_exception(job), _facts(view, job), _fields(job), _result(job), _history(job))
    return [panel for panel in candidates if panel is not None]


def _exception(job: Job) -> Panel | None:
    if job.exception is None:
        return None
    return _panel("Exception", "exception", {"error": job.exception}, 10, wide=True)


def _facts(view: View, job: Job) -> Panel:
    return _panel("Job", "facts", {"facts": facts_of(view, job)}, 30)


def facts_of(view: View, job: Job) -> list[tuple[str, Any]]:
    """Return what is known of every job, where there is anything to say."""
    pairs: list[tuple[str, Any]] = [
        ("Description", job.description),
        ("Priority", job.priority),
        ("Failures", job.failure_count or None),
        ("Log level", job.log_level),
        ("Worker", ", ".join(job.worker_names) or None),
        ("ID", str(job.id)),
    ]
    return [(name, value) for name, value in pairs if value is not None]


def _fields(job: Job) -> Panel | None:
    fields = dict(sorted(own_fields(job).items()))
    return _panel("Attributes", "fields", {"fields": fields}, 60) if fields else None


def _result(job: Job) -> Panel | None:
    shown = {"Arguments": job.arguments, "Result": job.result}
    shown = {name: value for name, value in shown.items() if value is not None}
    return _panel("Arguments and result", "fields", {"fields": shown}, 65) if shown else None


def _history(job: Job) -> Panel | None:
    values = {"history": list(reversed(job.history))}
    return _panel("History", "history", values, 80, wide=True) if job.history else None


def _panel(
    title: str, template: str, values: dict[str, Any], order: int, wide: bool = False
) -> Panel:
    name = f"jobs/{template}.html"
    return Panel(title=title, template=name, values=values, order=order, wide=wide)
