"""The panels of a job's page that Mission Control itself brings; each has its place in `order`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import Job, application
from rocketjob.base.passwords import without_passwords
from rocketjob.jobs.shown import class_name
from rocketjob_contrib.mission_control.jobs import batch, facts, previous, timeline, waiting
from rocketjob_contrib.mission_control.panels import Panel
from rocketjob_plugins.batch import mending
from rocketjob_plugins.batch.outcome.rejected import Rejected
from rocketjob_plugins.batch.present import unseen

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

NAMED = 3  # rejects whose reasons are shown


def panels_of(view: View, job: Job) -> list[Panel]:
    """Return the panels of a job, without those that have nothing to show."""
    slices = batch.slices_of(view, job)
    candidates = (
        _exception(job),
        _bulk(job),
        waiting.panel(job),
        _slices(slices),
        _failures(view, job, slices),
        _rejects(job),
        _values("Approval", batch.approval_of(job), 28),
        _panel("Job", "facts", {"facts": facts.facts_of(view, job, slices)}, 30),
        _panel("Dates", "facts", {"facts": facts.dates_of(view, job)}, 35),
        _timeline(view, job),
        _runs(job),
        _retries(job),
        _values("Statistics", {"Counts": getattr(job, "statistics", None)}, 45),
        *(_category("Input", category) for category in batch.inputs_of(job)),
        *(_category("Output", category) for category in batch.outputs_of(job)),
        _values("Arguments and result", {"Arguments": job.arguments, "Result": job.result}, 65),
        _values("Attributes", facts.attributes_of(job), 70),
        _history(job),
        _audit(job),
        _panel("Related jobs", "related_panel", {}, 88, wide=True),
    )
    return [panel for panel in candidates if panel is not None]


def _exception(job: Job) -> Panel | None:
    if job.exception is None:
        return None
    return _panel("Exception", "exception", {"error": job.exception}, 10, wide=True)


def _slices(slices: batch.SliceCounts | None) -> Panel | None:
    if slices is None or (slices.problem is None and not slices.is_shown):
        return None
    return _panel("Slices", "slices", {"slices": slices}, 20, wide=True)


def _failures(view: View, job: Job, slices: batch.SliceCounts | None) -> Panel | None:
    if slices is None or not slices.failed:
        return None
    may_retry = mending.may_retry(job) and view.may("jobs.retry", job)
    values = {"groups": batch.failures_of(job), "may_retry": may_retry}
    return _panel("Failures in this job", "failures", values, 25, wide=True)


def _timeline(view: View, job: Job) -> Panel:
    values = {"timeline": timeline.timeline_of(job, view.now)}
    return _panel("Timeline", "timeline", values, 36, wide=True)


def _runs(job: Job) -> Panel:
    if (runs := previous.of_series(job)) is None:
        return _panel("Previous runs", "runs_panel", {}, 37, wide=True)
    return _panel("Previous runs", "runs", {"runs": runs, "name": class_name(job)}, 37, wide=True)


def _rejects(job: Any) -> Panel | None:
    """Return what a batch job has set aside, if it does so; else nothing is read."""
    if not batch.is_batch(job) or not isinstance(job.max_rejects, int) or job.max_rejects < 1:
        return None
    try:
        reasons = Rejected(job, 0).reasons(NAMED + 1)
    except Exception as error:
        unseen(error)  # the facts say that they are not known
        return None
    values = {"reasons": reasons[:NAMED], "more": len(reasons) > NAMED}
    return _panel("Rejects", "rejects", values, 26, wide=True) if reasons else None


def _retries(job: Job) -> Panel | None:
    limit = getattr(job, "retry_limit", None)
    if limit is None:
        return None
    values = {"limit": limit, "failed_at": getattr(job, "failed_at_list", None) or []}
    return _panel("Retries", "retries", values, 40)


def _category(kind: str, category: Any) -> Panel:
    name = "" if category.name == "main" else f" {category.name}"
    values = {"fields": batch.shown_category(category)}
    order = 50 if kind == "Input" else 55
    return _panel(f"{kind}{name}", "fields", values, order)


def _values(title: str, fields: dict[str, Any], order: int) -> Panel | None:
    shown = {name: without_passwords(value) for name, value in fields.items()}
    shown = {n: v for n, v in shown.items() if title == "Attributes" or v not in (None, {}, [])}
    return _panel(title, "fields", {"fields": shown}, order) if shown else None


def _history(job: Job) -> Panel | None:
    values = {"history": list(reversed(job.history))}
    return _panel("History", "history", values, 80, wide=True) if job.history else None


def _audit(job: Job) -> Panel | None:
    """Return what people have done with a job, if the plugin that records it is there."""
    if "audit" not in application.current().plugins.names:
        return None
    from rocketjob_plugins import audit  # only where it is loaded

    found = list(audit.records(job=job.id, limit=audit.ON_JOB))
    return _panel("Audit", "audit", {"records": found}, 85, wide=True) if found else None


def _bulk(job: Job) -> Panel | None:
    """Return what became of the jobs of a bulk action, if this job does one."""
    if "bulk" not in application.current().plugins.names:
        return None
    from rocketjob_plugins import bulk  # only where it is loaded

    if not isinstance(job, bulk.BulkActionJob):
        return None
    counts, found = job.counted(), list(bulk.results.not_done(job.id, limit=bulk.SHOWN))
    expected = f"{job.expected:,}" if isinstance(job.expected, int) else "?"
    values = {"counts": counts, "results": found, "expected": expected}
    return _panel("Bulk action", "bulk_results", values, 15, wide=True)


def _panel(
    title: str, template: str, values: dict[str, Any], order: int, wide: bool = False
) -> Panel:
    name = f"jobs/{template}.html"
    return Panel(title=title, template=name, values=values, order=order, wide=wide)
