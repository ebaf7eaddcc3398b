"""What is shown of a batch job besides what every job has: slices, failures, categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from rocketjob import Job, UnknownJob
from rocketjob.base.passwords import without_passwords
from rocketjob.base.text import counted
from rocketjob_contrib.mission_control.jobs.progress import progress_of, slice_size

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

MESSAGES = 5  # distinct messages of one class of exceptions that are shown
LOOKED_AT = 500  # failed slices whose messages are read
BAR = 1000  # units of the bar's width


@attrs.frozen
class SliceCounts:
    """The slices of a batch job by what has become of them.

    Attributes:
        completed: those that are expected by the number of records, less those that are left.
        is_shown: whether the job is in a state in which that tells anything.
        problem: why they cannot be counted.
    """

    queued: int = 0
    active: int = 0
    failed: int = 0
    completed: int = 0
    percent: int | None = None
    is_known: bool = False
    is_shown: bool = False
    problem: str | None = None

    def parts(self) -> list[tuple[str, str, int]]:
        """Return for each part its title, the state whose colour it has, and its number."""
        return [
            ("Completed", "completed", self.completed),
            ("Active", "running", self.active),
            ("Queued", "queued", self.queued),
            ("Failed", "failed", self.failed),
        ]

    def bar(self) -> list[tuple[str, str, int, float, float]]:
        """Return the parts of the bar: those of `parts`, and where each begins and how wide."""
        total = sum(number for _, _, number in self.parts())
        drawn, begin = [], 0.0
        for title, state, number in self.parts():
            if number and self.is_known:
                width = number / total * BAR
                drawn.append((title, state, number, round(begin, 2), round(width, 2)))
                begin += width
        return drawn


def is_batch(job: Job) -> bool:
    """Return whether a job has slices, and its class is here."""
    return hasattr(job, "input_categories") and not isinstance(job, UnknownJob)


def slices_of(view: View, job: Any) -> SliceCounts | None:
    """Return the slices of a job by state; None for a job that has none."""
    if not is_batch(job):
        return None
    is_shown = job.state in ("running", "paused", "failed")
    if not is_shown:
        return SliceCounts()
    progress = progress_of(view, job)
    found = progress.slices
    if found is None:
        why = "The slices cannot be looked at now: their store is away."
        return SliceCounts(is_shown=True, problem=why)
    size = slice_size(job)
    expected = -(-job.record_count // size) if job.record_count and size else 0
    return SliceCounts(
        queued=found.get("queued", 0),
        active=found.get("running", 0),
        failed=found.get("failed", 0),
        completed=max(0, expected - sum(found.values())),
        percent=progress.percent,
        is_known=job.record_count is not None,
        is_shown=True,
    )


@attrs.frozen
class FailureGroup:
    """The failed slices of one class of exceptions."""

    class_name: str
    count: int
    messages: tuple[str, ...]


def failures_of(job: Any) -> list[FailureGroup]:
    """Return the failed slices of a job by the class of their exception, the most first."""
    slices = job.input
    failed = {"state": "failed"}
    counts = slices.store.count_by(slices.name, "exception.class_name", failed)
    messages: dict[Any, list[str]] = {}
    wanted = {"exception.class_name": 1, "exception.message": 1}
    for stored in slices.collection.find(failed, wanted, limit=LOOKED_AT):
        error = stored.get("exception")
        error = error if isinstance(error, dict) else {}
        name = error.get("class_name")
        known = messages.setdefault(name if isinstance(name, str) else None, [])
        message = str(error.get("message") or "")
        if message not in known and len(known) < MESSAGES:
            known.append(message)
    groups = [
        FailureGroup(str(name or "unknown"), count, tuple(messages.get(name, ())))
        for name, count in counts.items()
    ]
    return sorted(groups, key=lambda group: (-group.count, group.class_name))


def approval_of(job: Any) -> dict[str, str]:
    """Return what is set of a canary and of a budget of failures, and how far the canary is."""
    if not is_batch(job):
        return {}
    said = {}
    if job.canary_slices:
        end = f", up to record {job.canary_end - 1:,}" if job.canary_end else ""
        said["Canary"] = f"its first {counted(job.canary_slices, 'slice')}{end}"
        then = "hold it for approval" if job.canary_approval else "go on, if it has passed"
        said["After the canary"] = "went on" if job.canary_over else then
    if job.failure_budget is not None:
        said["Failure budget"] = f"{job.failure_budget * 100:.3g}% of its records"
    if job.failures_accepted:
        said["Accepted failures"] = counted(job.failures_accepted, "record")
    return said


# --- categories ------------------------------------------------------------------------------

INPUT = [
    "serializer",
    "file_name",
    "format",
    "header_cleanser",
    "skip_unknown",
    "allowed_columns",
    "required_columns",
    "mode",
    "format_options",
    "columns",
    "encoding",
    "slice_size",
]
OUTPUT = ["serializer", "nils", "file_name", "format", "format_options", "columns", "encoding"]


def inputs_of(job: Any) -> list[Any]:
    return list(job.input_categories) if is_batch(job) else []


def outputs_of(job: Any) -> list[Any]:
    return list(job.output_categories) if is_batch(job) else []


def shown_category(category: Any) -> dict[str, Any]:
    """Return what is set of a category; what says nothing, as the mode `line`, is left out."""
    names = INPUT if hasattr(category, "slice_size") else OUTPUT
    values = {name: getattr(category, name, None) for name in names}
    if values.get("mode") == "line":
        del values["mode"]
    shown = {name.replace("_", " ").capitalize(): value for name, value in values.items()}
    return {name: without_passwords(v) for name, v in shown.items() if v not in (None, [], {})}
