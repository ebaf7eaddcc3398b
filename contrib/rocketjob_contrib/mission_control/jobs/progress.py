"""How far a running job is, and how many workers are at it.

For a batch job its slices have to be counted, which are a collection for each job. A page asks for
few of them, and the rest is shown as it was known before: pages that are open learn it soon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from rocketjob import Job, UnknownJob

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

AT_ONCE = 3  # batch jobs whose slices are counted for one page
KEPT = 1000  # jobs whose counts are remembered


@attrs.frozen
class Progress:
    """How far a job is.

    Attributes:
        percent: from 0 to 100; None where it is not known.
        workers: at it now; None where it is not known.
        phase: `before` or `after`, where a batch job is in one of these.
        slices: of a batch job, by state.
    """

    percent: int | None = None
    workers: int | None = None
    phase: str | None = None
    slices: dict[str, int] | None = None


def progress_of(view: View, job: Job) -> Progress:
    """Return how far a job is, as far as a page may look."""
    phase = getattr(job, "sub_state", None)
    if phase != "processing" or isinstance(job, UnknownJob):
        shown_phase = phase if job.is_running else None
        percent = job.percent_complete if phase is None else None
        return Progress(percent, len(_worker_names(job)), shown_phase)
    slices = view.once(f"slices.of.{job.id}", lambda: _slices(view, job))
    if slices is None:
        return Progress()
    return Progress(_percent(job, slices), slices.get("running", 0), None, slices)


def _worker_names(job: Job) -> list[str]:
    """Return who is at a job, without asking the store."""
    return [job.worker_name] if job.is_running and job.worker_name else []


def _slices(view: View, job: Any) -> dict[str, int] | None:
    """Return the slices of a job by state, or what was known of them before."""
    known: dict[Any, dict[str, int]] = view.site.memory.setdefault("slices", {})
    left: list[int] = view.once("slices.left", lambda: [AT_ONCE])
    if left[0] > 0 and hasattr(job, "input_categories"):
        left[0] -= 1
        if len(known) > KEPT:
            known.clear()
        try:
            known[job.id] = job.input.counts_by_state()
        except Exception:  # the store of slices is away: the job is shown nevertheless
            known.pop(job.id, None)
    return known.get(job.id)


def main_category(job: Any) -> Any:
    """Return the input category of a job's slices; None where its document has none."""
    return next((each for each in job.input_categories if each.name == "main"), None)


def slice_size(job: Any) -> int:
    """Return how many records a slice of a job has; 0 where its document does not say."""
    main = main_category(job)
    return 0 if main is None else main.slice_records or main.slice_size


def _percent(job: Any, slices: dict[str, int]) -> int | None:
    """Return how much of the input has been processed, from slices that are left."""
    size = slice_size(job)
    if not job.record_count or not size:
        return None
    left = sum(slices.values()) * size
    return max(0, min(100, int((1 - left / job.record_count) * 100)))
