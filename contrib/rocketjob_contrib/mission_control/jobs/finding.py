"""The job that a path names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bson import ObjectId

from rocketjob import Job
from rocketjob.jobs.shown import load
from rocketjob.model.lookup import as_object_id
from rocketjob_contrib.mission_control.errors import Missing

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

BUILT_IN = frozenset(
    {
        "canary_approval",
        "canary_end",
        "canary_over",
        "canary_slices",
        "cron_schedule",
        "failed_at_list",
        "failure_budget",
        "failures_accepted",
        "held_by",
        "held_text",
        "input_categories",
        "output_categories",
        "previous_runs",
        "record_count",
        "retry_limit",
        "statistics",
        "sub_state",
        "throttle_group",
        "throttle_running_workers",
        "throttled_since",
        "upload_file_name",
    }
)
"""Fields of built-in mixins that have a place of their own on the pages, by their types."""


def job_in_path(view: View) -> Job:
    """Return the job of the id in the path, to be shown.

    Raises:
        Missing: there is none; the list of all jobs says so.
    """
    id = as_object_id(view.id)
    stored = Job.collection().find_one({"_id": id}) if isinstance(id, ObjectId) else None
    if stored is None:
        raise Missing(
            f"There is no job with the id {view.id[:50]}: it has been destroyed, or has completed "
            "and was to be removed then",
            "/jobs",
        )
    return load(stored, relied_on=BUILT_IN)
