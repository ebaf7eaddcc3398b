"""What is known of a job in short: its settings, its dates, and every other field."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from rocketjob import Job, UnknownJob
from rocketjob.base.errors import StoreError
from rocketjob.base.passwords import without_passwords
from rocketjob.base.text import relative, span
from rocketjob.jobs.holds import Hold
from rocketjob.jobs.present import duration_text
from rocketjob.jobs.shown import STANDARD, own_fields, progress_of
from rocketjob.model.record import HISTORY, record_of
from rocketjob_contrib.mission_control.form_values import digest
from rocketjob_contrib.mission_control.jobs import edit
from rocketjob_contrib.mission_control.jobs.batch import SliceCounts
from rocketjob_contrib.mission_control.jobs.finding import BUILT_IN
from rocketjob_contrib.mission_control.jobs.progress import main_category
from rocketjob_contrib.mission_control.templating import code, moment

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

ELSEWHERE = BUILT_IN | {HISTORY}


def facts_of(view: View, job: Job, slices: SliceCounts | None) -> list[tuple[str, Any]]:
    """Return what people look for first, where there is anything to say."""
    pairs: list[tuple[str, Any]] = [
        ("Description", job.description),
        ("Cron schedule", getattr(job, "cron_schedule", None)),
        ("Upload file name", without_passwords(_file_name(job, slices))),
        ("Priority", _priority(view, job)),
        ("Failure count", job.failure_count or None),
        ("Throttle group", getattr(job, "throttle_group", None)),
        ("Throttle running workers", getattr(job, "throttle_running_workers", None) or None),
        ("Log level", job.log_level),
        ("Worker", ", ".join(job.worker_names) if slices is None else None),
        ("Progress", progress_of(job) if slices is None else None),
        ("Held back by", _held_back(job)),
        *_of_batch(job, slices),
        ("On success", _on_success(job)),
        ("ID", code(job.id)),
    ]
    return [(name, value) for name, value in pairs if value not in (None, "")]


def _file_name(job: Job, slices: SliceCounts | None) -> str | None:
    if slices is None:
        return getattr(job, "upload_file_name", None)
    main = main_category(job)
    return None if main is None else main.file_name


def _priority(view: View, job: Job) -> Any:
    """Return the priority; in a form of its own for those who may change it."""
    if not edit.may_edit(view, job):
        return job.priority
    now = job.priority
    return Markup(
        '<details class="set"><summary>{} <span class="muted">change</span></summary>'
        '<form class="inline" method="post" action="{}">'
        '<input type="hidden" name="seen.priority" value="{}">'
        '<input type="number" name="field.priority" value="{}" min="1" max="100" required '
        'aria-label="Priority"> <button class="button small">Set</button></form></details>'
    ).format(now, view.url(f"/jobs/{job.id}"), digest(str(now)), now)


def _held_back(job: Job) -> str | None:
    if not job.throttled_by:
        return None
    reason = Hold(job.throttled_by, job.throttled_text or "").reason
    since = getattr(job, "throttled_since", None) or job.throttled_at
    return f"{reason}, since {relative(since)}" if isinstance(since, datetime) else reason


def _on_success(job: Job) -> str | None:
    if job.is_completed:
        return None
    return "is removed" if job.destroy_on_complete else "is kept"


def _of_batch(job: Any, slices: SliceCounts | None) -> list[tuple[str, Any]]:
    if slices is None:
        return []
    count, seconds, main = job.record_count, job.seconds, main_category(job)
    pairs: list[tuple[str, Any]] = [
        ("Record count", "not known yet" if count is None else f"{count:,}"),
        ("Slice size", "not known" if main is None else f"{main.slice_size:,}"),
    ]
    if isinstance(job.max_rejects, int) and job.max_rejects > 0:
        pairs.append(("Rejects", _rejects(job)))
    if job.is_completed and count and seconds > 0:
        pairs.append(("Records per hour", f"{round(count / seconds * 3600):,}"))
    percent = slices.percent
    if job.state in ("running", "paused", "failed") and percent is not None:
        pairs.append(("Progress", f"{percent} %"))
    if job.is_running and percent is not None and 5 <= percent < 100:
        left = seconds / percent * 100 - seconds
        pairs.append(("Time remaining", f"about {duration_text(left)}"))
    return pairs


def _rejects(job: Any) -> str:
    try:
        return f"{job.reject_count:,} of at most {job.max_rejects:,}"
    except StoreError:
        return "not known: their store is away"


def dates_of(view: View, job: Job) -> list[tuple[str, Any]]:
    """Return when what happened to a job, or is going to."""
    pairs: list[tuple[str, datetime | None]] = [("Created", job.created_at)]
    if not job.is_queued:
        pairs.append(("Started", job.started_at))
    if job.state not in ("queued", "running"):
        pairs.append((job.state.replace("_", " ").capitalize(), job.completed_at))
    pairs += [("To run", job.run_at), ("Expires", job.expires_at)]
    shown: list[tuple[str, Any]] = [(name, _both(view, at)) for name, at in pairs if at]
    if not job.is_queued and job.started_at:
        waited = (job.started_at - job.created_at).total_seconds()
        shown.append(("Waited", span(waited, 2) if waited >= 1 else duration_text(max(waited, 0))))
    shown.append(("Queued for" if job.is_queued else "Ran for", job.duration))
    return shown


def _both(view: View, at: datetime) -> Markup:
    return Markup('{:%Y-%m-%d %H:%M:%S} <span class="muted">{}</span>').format(
        at.astimezone(view.zone), moment(view, at)
    )


def attributes_of(job: Job) -> dict[str, Any]:
    """Return every other field that is stored, by name; encrypted values are hidden."""
    if isinstance(job, UnknownJob):
        stored = record_of(job).stored or {}
        return dict(sorted((k, v) for k, v in stored.items() if k not in _KNOWN_KEYS))
    fields = own_fields(job)
    return dict(sorted((name, v) for name, v in fields.items() if name not in ELSEWHERE))


_KNOWN_KEYS = {"_id", "_type", *STANDARD, *ELSEWHERE}
