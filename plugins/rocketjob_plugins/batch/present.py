"""What is shown of a batch job beside its fields, also where its slices cannot be seen."""

from __future__ import annotations

from typing import Any

from rocketjob.jobs.exception import message_of
from rocketjob.jobs.present import duration_text
from rocketjob_plugins.batch.category import UnknownCategory
from rocketjob_plugins.batch.settings import are_away


def unseen(error: Exception) -> str:
    """Say why slices cannot be looked at: their store is away, or the job has no main category.

    Raises:
        Exception: it is another error.
    """
    if not are_away(error) and not isinstance(error, UnknownCategory):
        raise error
    return f"its slices cannot be looked at: {message_of(error)}"


def percent_of(job: Any) -> int:
    """Return how much of the input is known to be processed, from 0 to 100."""
    if job.is_completed:
        return 100
    if not job.record_count:
        return 0
    try:
        slices = job.input.count()
        if not slices and job.slices_are_elsewhere():
            return 0
    except Exception as error:
        unseen(error)
        return 0
    category = job.input_category_for("main")
    remaining = slices * (category.slice_records or category.slice_size)
    return max(0, int((1 - remaining / job.record_count) * 100))


def workers_of(job: Any) -> list[str]:
    """Return the names of the workers that are known to be at a job."""
    if not job.is_running:
        return []
    if job.sub_state != "processing":
        return [job.worker_name] if job.worker_name else []
    try:
        found = job.input.collection.find({"state": "running"}, {"worker_name": 1})
        return [stored.get("worker_name", "?") for stored in found]
    except Exception as error:
        unseen(error)
        return []


def shown_of(job: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Return what is shown of a job: its fields, and what there is to tell of its slices."""
    for name in ("result", "upload_mark", "ended_in"):
        values.pop(name, None)
    values["percent_complete"] = job.percent_complete
    if job.is_completed:
        values.pop("percent_complete")
    if job.sub_state == "processing":
        values.pop("worker_name", None)
    try:
        progress = progress_of(job)
        if rejected := job.reject_count:
            values["reject_count"] = rejected
    except Exception as error:
        progress = {"slices": unseen(error)}
    if "slices" in progress:
        values.pop("percent_complete", None)
    return {"id": values.pop("id"), **progress, **values}


def progress_of(job: Any) -> dict[str, Any]:
    """Return what is known of how far a job is, for `as_dict`."""
    if job.is_completed:
        seconds = job.seconds
        if job.record_count and seconds > 0:
            return {"records_per_hour": round(job.record_count / seconds * 3600)}
        return {}
    counts = job.input.counts_by_state()
    is_open = job.state not in ("completed", "aborted")
    if is_open and not counts and (elsewhere := job.slices_are_elsewhere()):
        return {"slices": elsewhere}
    progress: dict[str, Any] = {"queued_slices": counts.get("queued", 0)}
    if job.state not in ("running", "paused", "failed"):
        return progress if is_open else {}
    progress = {
        "active_slices": counts.get("running", 0),
        "failed_slices": counts.get("failed", 0),
        **progress,
    }
    for category in job.output_categories:
        suffix = "" if category.name == "main" else f"_{category.name}"
        progress[f"output_slices{suffix}"] = job.output_for(category).count()
    percent = job.percent_complete
    if job.is_running and percent >= 5:
        left = job.seconds / percent * 100 - job.seconds
        progress["est_remaining_duration"] = duration_text(left)
    return progress
