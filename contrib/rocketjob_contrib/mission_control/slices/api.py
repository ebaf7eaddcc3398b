"""Slices of batch jobs by the API: listed, read, mended and retried."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob.base.errors import NotFound
from rocketjob.cli.job_json import exception_json
from rocketjob.store import Stored
from rocketjob_contrib.mission_control.api import cursors, guards
from rocketjob_contrib.mission_control.api.operations import PAGED, Operation, operation
from rocketjob_contrib.mission_control.api.problems import Problem
from rocketjob_contrib.mission_control.api.schemas import (
    Schema,
    body,
    choice,
    page_of,
    ref,
    text,
    whole,
)
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_contrib.mission_control.routes import Target
from rocketjob_contrib.mission_control.slices import changing, rejects, retrying, viewing
from rocketjob_contrib.mission_control.slices.finding import batch_job
from rocketjob_contrib.mission_control.slices.finding import whole as number_of
from rocketjob_plugins.batch import mending, record_text
from rocketjob_plugins.batch.outcome import rejects as outcome_rejects
from rocketjob_plugins.batch.slices import ORDER

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView

ALL = "/jobs/{id}/slices"
ONE = f"{ALL}/{{slice}}"
RECORD = f"{ONE}/records/{{index}}"
LISTED = ("state", "size", "failure_count", "worker_name", "started_at")
STATES = ("queued", "running", "failed")
REASON = text(500)
MOST_RECORDS = 100
PLACE = whole(1, 2**62)
MOST_CHARACTERS = 5_000_000  # of the records of a page


def operations(job_in_path: Target) -> list[Operation]:
    """Return the operations.

    Args:
        job_in_path: returns the job that a path names.
    """
    return [*_reading(job_in_path), *_changing(job_in_path), *_rejects(job_in_path)]


def _reading(job_in_path: Target) -> list[Operation]:
    records: dict[str, Schema] = {**PAGED, "limit": whole(1, MOST_RECORDS)}
    return [
        operation(
            f"GET {ALL}",
            listing,
            "list_slices",
            "List the slices of a batch job that are left, in the order of the file; those that "
            "begin with the records `from` and `to`, or between.",
            target=job_in_path,
            query={
                "state": choice(*STATES),
                "error_type": text(200, least=1),
                "from": PLACE,
                "to": PLACE,
                **PAGED,
            },
            returns=page_of("SliceRow"),
        ),
        operation(
            f"GET {ONE}",
            show,
            "get_slice",
            "Return a slice, and why it has failed.",
            target=job_in_path,
            returns=ref("Slice"),
            has_etag=True,
            pages=("/jobs/{id}/exception",),
        ),
        operation(
            f"GET {ONE}/records",
            records_of,
            "list_records",
            "List the records of a failed slice, as text that keeps every byte.",
            permission="slices.view",
            target=job_in_path,
            query=records,
            returns=page_of("Record"),
            has_etag=True,
            pages=("/jobs/{id}/view_slice",),
        ),
    ]


def _rejects(job_in_path: Target) -> list[Operation]:
    path = "/jobs/{id}/rejects"
    corrected = {"text": text(MOST_CHARACTERS, least=1), "separator": text(2), "encoding": text(50)}
    return [
        operation(
            f"GET {path}",
            list_rejects,
            "list_rejects",
            "List the rejected records of a batch job, each with why.",
            permission="slices.view",
            target=job_in_path,
            query={**PAGED, "limit": whole(1, MOST_RECORDS)},
            returns=page_of("Reject"),
        ),
        operation(
            f"POST {path}",
            resubmit,
            "resubmit_rejects",
            "Process corrected records: lines of CSV or JSON, as they were downloaded.",
            permission="slices.edit",
            target=job_in_path,
            body=body(("text",), reason=REASON, **corrected),
            returns=ref("Done"),
        ),
        operation(
            "POST /jobs/{id}/retry_slices",
            retry_all,
            "retry_slices",
            "Queue the failed slices of one class of exceptions again, and no others.",
            permission="jobs.retry",
            target=job_in_path,
            body=body(("error_type",), error_type=text(200, least=1), reason=REASON),
            returns=ref("Done"),
        ),
    ]


def list_rejects(view: ApiView) -> Response:
    """List the rejected records."""
    job, last = batch_job(view), cursors.after(view, "rejects", cursors.number)
    size = cursors.size_of(view)
    try:
        found = list(outcome_rejects.each(job, after=last, limit=size + 1))
    except Exception as error:  # something else has written it, or a key is not here
        if job.input.store.is_transient(error):
            raise
        raise Problem(409, f"Its rejects cannot be read: {viewing.unread(error)}") from error
    if found and job.input.serializer.is_secret:
        rejects.note(view, job, "encrypted records were looked at")
    more = cursors.cursor("rejects", found[size - 1][0]) if len(found) > size else None
    rows = [_reject(view, job, *each) for each in found[:size]]
    return view.json({"data": rows, "next": more})


def _reject(view: ApiView, job: Any, number: int, record: Any, error: str) -> dict[str, Any]:
    shown, problem = _text(record)
    return {
        "number": number,
        "kind": record_text.kind_of(record),
        "text": shown,
        "problem": problem,
        "error": view.quoted(str(error), job),
    }


def resubmit(view: ApiView) -> Response:
    """Process corrected records."""
    names = ("text", "separator", "encoding")
    return _said(view, rejects.upload, [(name, view.body.get(name)) for name in names])


def retry_all(view: ApiView) -> Response:
    """Queue all failed slices of one class of exceptions again."""
    return _said(view, retrying.retry, [("error_type", view.body["error_type"])])


def _said(view: ApiView, do: Any, pairs: list[tuple[str, str | None]]) -> Response:
    done = view.by_page(do, pairs)
    said = [{"kind": message.kind, "text": message.text} for message in done.messages]
    return view.json({"messages": said})


def _changing(job_in_path: Target) -> list[Operation]:
    kind, content = choice(*record_text.KINDS), text(changing.LARGEST)
    mended: dict[str, Any] = {"permission": "slices.edit", "target": job_in_path, "match": "must"}
    after: dict[str, Any] = {"returns": ref("Slice"), "has_etag": True}
    return [
        operation(
            f"PUT {RECORD}",
            replace,
            "replace_record",
            "Put another record in the place of one of a failed slice.",
            body=body(("kind", "text"), kind=kind, text=content, reason=REASON),
            pages=("/jobs/{id}/update_slice",),
            **mended,
            **after,
        ),
        operation(
            f"DELETE {RECORD}",
            delete,
            "delete_record",
            "Delete a record of a failed slice; those behind it move up.",
            pages=("/jobs/{id}/delete_line",),
            **mended,
            **after,
        ),
        operation(
            f"POST {ONE}/retry",
            retry,
            "retry_slice",
            "Queue a failed slice again, and no other, while its job runs or is paused.",
            permission="jobs.retry",
            target=job_in_path,
            match="must",
            body=body((), reason=REASON),
            pages=("/jobs/{id}/retry_slice",),
        ),
    ]


# --- looking -----------------------------------------------------------------------------------


def listing(view: ApiView) -> Response:
    """List the slices that are left."""
    job, asked = batch_job(view), view.params
    filter: dict[str, Any] = {}
    if "error_type" in asked:
        if asked.get("state", "failed") != "failed":
            raise Problem(400, "error_type is of slices that have failed")
        filter = dict(mending.failed_with(asked["error_type"]))
    elif "state" in asked:
        filter = {"state": asked["state"]}
    last = cursors.after(view, "slices", cursors.number)
    bounds = {"$gte": asked.get("from"), "$lte": asked.get("to"), "$gt": last}
    if places := {key: value for key, value in bounds.items() if value is not None}:
        filter["_id"] = places
    fields = dict.fromkeys(("_id", *LISTED, "exception.class_name", "exception.message"), 1)
    limit = cursors.size_of(view) + 1
    found = list(job.input.collection.find(filter, fields, sort=ORDER, limit=limit))
    return cursors.page(
        view, "slices", found, lambda stored: _row(view, job, stored), lambda each: each["_id"]
    )


def _row(view: ApiView, job: Any, stored: Stored) -> dict[str, Any]:
    """Return a slice of a list, whatever something else has written into it."""
    size, count, at = (stored.get(key) for key in ("size", "failure_count", "started_at"))
    worker, error = stored.get("worker_name"), stored.get("exception")
    return {
        "id": stored["_id"],
        "state": str(stored.get("state")),
        "size": size if isinstance(size, int) else None,
        "failure_count": count if isinstance(count, int) else 0,
        "worker_name": None if worker is None else str(worker),
        "started_at": at if isinstance(at, datetime) else None,
        "exception": _brief(view, job, error) if isinstance(error, dict) else None,
    }


def _brief(view: ApiView, job: Any, error: dict[str, Any]) -> dict[str, Any]:
    name, message = error.get("class_name"), error.get("message")
    return {
        "class_name": None if name is None else str(name),
        "message": None if message is None else view.quoted(str(message), job),
    }


def show(view: ApiView) -> Response:
    """Return a slice."""
    return _answer(view, batch_job(view), _slice(view))


def _slice(view: ApiView) -> mending.FailedSlice:
    """Return the slice of the path.

    Raises:
        Missing: there is none, or none any more.
        Problem: something else has written what no slice has.
    """
    job, id = batch_job(view), _id(view)
    try:
        return mending.find(job, id)
    except NotFound as error:
        raise Missing(f"There is no slice {id}: it was processed or dropped") from error
    except ValueError as error:
        raise Problem(409, f"Slice {id} cannot be looked at: {error}") from error


def _id(view: ApiView) -> int:
    text = view.request.path_params["slice"]
    id = number_of(text)
    if id is None:
        raise Missing(f"A slice is named by a number, not by {text[:50]}")
    return id


def _answer(view: ApiView, job: Any, found: mending.FailedSlice) -> Response:
    slice = found.slice
    error = exception_json(slice.exception, backtrace=True)
    worker = slice.worker_name
    return view.json(
        {
            "id": found.id,
            "state": str(slice.state),
            "size": found.size,
            "failure_count": slice.failure_count or 0,
            "worker_name": None if worker is None else str(worker),
            "record_number": slice.current_record_number if found.is_failed else None,
            "next_index": found.next_index,
            "exception": view.quoted_exception(error, job),
        },
        etag=found.digest,
    )


def records_of(view: ApiView) -> Response:
    """List the records of a failed slice."""
    job, found = batch_job(view), _slice(view)
    if not found.is_failed:
        raise Problem(409, f"Slice {found.id} is {found.slice.state}: only failed ones are shown")
    viewing.note_look(view, job, found)
    begin = cursors.after(view, "records", cursors.number) or 0
    try:
        number = len(found.slice)
    except Exception as error:
        raise Problem(409, f"Its records cannot be read: {viewing.unread(error)}") from error
    rows: list[dict[str, Any]] = []
    end, left = min(number, begin + cursors.size_of(view)), MOST_CHARACTERS
    for index in range(begin, end):
        rows.append(_record(found, index))
        left -= len(rows[-1]["text"] or "")
        if left <= 0:
            break
    at = begin + len(rows)
    more = cursors.cursor("records", at) if at < number else None
    return view.json({"data": rows, "next": more}, etag=found.digest)


def _record(found: mending.FailedSlice, index: int) -> dict[str, Any]:
    record = found.record(index)
    shown, problem = _text(record)
    return {
        "index": index,
        "number": found.number_of(index),
        "kind": record_text.kind_of(record),
        "text": shown,
        "is_done": index < found.next_index,
        "is_next": index == found.next_index,
        "problem": problem,
    }


def _text(record: Any) -> tuple[str | None, str | None]:
    """Return a record as text, or why it has none."""
    if record_text.size_of(record) > changing.LARGEST:
        return None, f"it is larger than {changing.LARGEST:,} characters"
    try:
        return record_text.text_of(record), None
    except ValueError as error:
        return None, str(error)


# --- changing ----------------------------------------------------------------------------------


def replace(view: ApiView) -> Response:
    """Put another record in the place of one."""
    pairs = [("kind", view.body["kind"]), ("text", view.body["text"])]
    return _mended(view, changing.save, pairs)


def delete(view: ApiView) -> Response:
    """Delete a record."""
    return _mended(view, changing.delete, [])


def _mended(view: ApiView, do: Any, pairs: list[tuple[str, str | None]]) -> Response:
    _done(view, do, [*pairs, ("line_index", _index(view))])
    return show(view)


def retry(view: ApiView) -> Response:
    """Queue one slice again."""
    _done(view, changing.retry, [])
    return view.nothing()


def _done(view: ApiView, do: Any, pairs: list[tuple[str, str | None]]) -> None:
    """Do what the page does, if the slice is as If-Match says."""
    found = _slice(view)
    guards.must_match(view, found.digest, f"slice {found.id}")
    view.by_page(do, [("slice", str(found.id)), ("digest", found.digest), *pairs])


def _index(view: ApiView) -> str:
    text: str = view.request.path_params["index"]
    found = _slice(view)
    index = number_of(text)
    if index is None or index >= found.size:
        raise Missing(f"Slice {found.id} has {found.size:,} records, none at {text[:50]}")
    return text
