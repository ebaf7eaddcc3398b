"""Rejected records of a batch job: looked at, downloaded, and corrected by the file they were in.

What is uploaded is processed as `rocketjob rejects resubmit` does it; the page then follows it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob.base.errors import RocketJobError
from rocketjob.base.log import Logger
from rocketjob.base.text import counted
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.shown import class_name
from rocketjob_contrib.mission_control.requests import File
from rocketjob_contrib.mission_control.slices import files
from rocketjob_contrib.mission_control.slices.finding import batch_job, whole
from rocketjob_contrib.mission_control.slices.viewing import ROWS, SHOWN, unread
from rocketjob_plugins.batch import record_text
from rocketjob_plugins.batch.outcome import rejects

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")


@attrs.frozen(kw_only=True)
class Row:
    """One rejected record.

    Attributes:
        parts: its texts, and what each escape stands for.
        left_out: how much of it is not shown.
    """

    number: int
    parts: list[tuple[str, str | None]]
    left_out: int
    kind: str
    error: str


def show(view: View) -> Response:
    """Show the rejected records, a page at a time, and what becomes of those that came back."""
    return _render(view, batch_job(view))


def _render(view: View, job: Any, status: int = 200, problem: str | None = None) -> Response:
    count: int = job.reject_count
    pages = max(1, -(-count // ROWS))
    page = min(max(1, whole(view.query.get("page", "")) or 1), pages)
    is_secret = bool(job.input.serializer.is_secret)
    if is_secret and count:
        note(view, job, "encrypted records were looked at")
    rows, unreadable = _rows(view, job, page)
    return view.render(
        "slices/rejects.html",
        status,
        job=job,
        name=class_name(job),
        count=count,
        rows=rows,
        page=page,
        pages=pages,
        unreadable=unreadable,
        slices=job.input.counts_by_state(),
        may_edit=view.may("slices.edit", job),
        is_secret=is_secret,
        problem=problem,
    )


def _rows(view: View, job: Any, page: int) -> tuple[list[Row], str | None]:
    """Return the rows of a page, and why there are none, if they cannot be read."""
    try:
        found = rejects.each(job, skip=(page - 1) * ROWS, limit=ROWS)
        return [_row(view, job, *each) for each in found], None
    except Exception as error:  # something else has written it, or a key is not here
        return [], _unreadable(job, error)


def _row(view: View, job: Any, number: int, record: Any, error: str) -> Row:
    return Row(
        number=number,
        parts=list(record_text.tokens(record, SHOWN)),
        left_out=max(0, record_text.size_of(record) - SHOWN),
        kind=record_text.kind_of(record),
        error=view.quoted(error, job),
    )


def _unreadable(job: Any, error: Exception) -> str:
    """Say why records cannot be read; that their store is away is said by the page of that."""
    if job.input.store.is_transient(error):
        raise error
    return unread(error)


# --- downloading -------------------------------------------------------------------------------


def download(view: View) -> Response:
    """Send them as a file."""
    job, format = batch_job(view), files.format_of(view)
    reasons = "plain" not in view.query
    try:
        answer = files.sent(
            f"{class_name(job)}-{job.id}-rejects",
            format,
            lambda file: job.download_rejects(file, format=format, reasons=reasons),
        )
    except Exception as error:
        view.say("danger", f"The rejects cannot be written: {_unreadable(job, error)}")
        return view.go(f"/jobs/{job.id}/rejects")
    note(view, job, "rejects were downloaded")
    return answer


# --- uploading ---------------------------------------------------------------------------------


def upload(view: View) -> Response:
    """Process the corrected records of a file, or of what was pasted; or say what is wrong."""
    job = batch_job(view)
    file = files.uploaded(view)
    if file is None:
        return _render(view, job, 422, "Choose the corrected file, or paste its lines.")
    try:
        count = _resubmit(view, type(job).find(job.id), file)
    except (RocketJobError, ValueError, TypeError, LookupError) as error:
        return _render(view, job, 422, f"Nothing was changed: {message_of(error)}")
    note(view, job, "corrected rejects were uploaded", records=count)
    paused = ", and processed once the job is resumed" if job.is_paused else ""
    view.say("success", f"{counted(count, 'corrected record')} queued{paused}")
    return view.go(f"/jobs/{job.id}/rejects")


def _resubmit(view: View, job: Any, file: File) -> int:
    # What was pasted is text already.
    is_chosen = "file" in view.form.files
    encoding = view.form.get("encoding", "").strip() if is_chosen else ""
    reading: dict[str, Any] = {"encoding": encoding} if encoding else {}
    source, separator = io.BytesIO(file.content), files.separator_of(view)
    count: int = job.resubmit(source, separator=separator, file_name=file.name, **reading)
    return count


def note(view: View, job: Any, what: str, **more: Any) -> None:
    """Log who has done what with rejected records."""
    login = view.identity.login or ""
    log.info(what, job_id=str(job.id), job=class_name(job), login=login, **more)
