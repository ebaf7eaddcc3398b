"""The records at which slices have failed, all in one file: downloaded, corrected and uploaded."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob.base.errors import RocketJobError
from rocketjob.base.log import Logger
from rocketjob.base.text import counted
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.shown import class_name
from rocketjob_contrib.mission_control.slices import files
from rocketjob_contrib.mission_control.slices.finding import batch_job
from rocketjob_contrib.mission_control.slices.viewing import unread
from rocketjob_plugins.batch import mending
from rocketjob_plugins.batch.outcome import failed_file

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")


def show(view: View) -> Response:
    """Show how many there are, with the ways to download and to upload them."""
    return _render(view, batch_job(view))


def _render(view: View, job: Any, status: int = 200, problem: str | None = None) -> Response:
    error_type = view.query.get("error_type") or None
    return view.render(
        "slices/failed_records.html",
        status,
        job=job,
        name=class_name(job),
        error_type=error_type,
        count=job.input.collection.count_documents(mending.failed_with(error_type)),
        is_secret=bool(job.input.serializer.is_secret),
        may_edit=view.may("slices.edit", job),
        problem=problem,
    )


def download(view: View) -> Response:
    """Send them as a file."""
    job, format = batch_job(view), files.format_of(view)
    error_type = view.query.get("error_type") or None
    try:
        answer = files.sent(
            f"{class_name(job)}-{job.id}-failed",
            format,
            lambda file: failed_file.write(job, file, format, error_type),
        )
    except Exception as error:
        if job.input.store.is_transient(error):
            raise
        view.say("danger", f"The records cannot be written: {unread(error)}")
        return view.go(f"/jobs/{job.id}")
    _log(view, job, "failed records were downloaded")
    return answer


def upload(view: View) -> Response:
    """Store the corrected records; their slices stay failed until they are retried."""
    job, file = batch_job(view), files.uploaded(view)
    if file is None:
        return _render(view, job, 422, "Choose the corrected file, or paste its lines.")
    try:
        source, separator = io.BytesIO(file.content), files.separator_of(view)
        done = failed_file.read(job, source, file.name, separator)
    except failed_file.PartlyStored as error:
        text = f"{message_of(error)}. What comes before it in the file is stored"
        return _render(view, job, 409, text)
    except (RocketJobError, ValueError, TypeError, LookupError) as error:
        if job.input.store.is_transient(error):
            raise
        status = 409 if isinstance(error, mending.SliceChanged) else 422
        return _render(view, job, status, f"Nothing was changed: {message_of(error)}")
    _log(view, job, "corrected failed records were uploaded", records=done.changed)
    same = f", {done.same:,} were as they are" if done.same else ""
    retry = ": now retry them" if done.changed else ""
    view.say("success", f"{counted(done.changed, 'corrected record')} stored{same}{retry}")
    return view.go(f"/jobs/{job.id}")


def _log(view: View, job: Any, what: str, **more: Any) -> None:
    login = view.identity.login or ""
    log.info(what, job_id=str(job.id), job=class_name(job), login=login, **more)
