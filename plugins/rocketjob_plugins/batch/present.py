"""What is shown of a batch job beside its fields."""

from __future__ import annotations

from typing import Any

from rocketjob.jobs.present import duration_text


def progress_of(job: Any) -> dict[str, Any]:
    """Return what is known of how far a job is, for `as_dict`."""
    if job.is_completed:
        seconds = job.seconds
        if job.record_count and seconds > 0:
            return {"records_per_hour": round(job.record_count / seconds * 3600)}
        return {}
    counts = job.input.counts_by_state()
    progress: dict[str, Any] = {"queued_slices": counts.get("queued", 0)}
    if job.state not in ("running", "paused", "failed"):
        return progress if job.is_queued else {}
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
