"""Looking at failed slices: why they failed, and the records that are in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob.base.log import Logger
from rocketjob.jobs.exception import JobException, message_of
from rocketjob.jobs.shown import class_name
from rocketjob_contrib.mission_control.slices.finding import asked_for, whole
from rocketjob_plugins.batch import mending, record_text

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")
ROWS = 25  # records on a page
SHOWN = 1000  # characters of a record in a table
FRAME = re.compile(r'\s*File "(?P<path>[^"]*)", line \d+')
LIBRARY = re.compile(r"[/\\](site-packages|dist-packages|lib[/\\]python\d[^/\\]*)[/\\]|^<frozen ")
OURS = re.compile(r"[/\\]rocketjob(_plugins|_contrib)?[/\\]")


@attrs.frozen
class Line:
    """One line of a backtrace: its number, and whether it is of the application's own code."""

    number: int
    text: str
    is_own: bool


def backtrace_of(error: JobException) -> list[Line]:
    """Return the lines of a backtrace; those below a frame are of the same code."""
    lines, is_own = [], True
    for number, text in enumerate(error.backtrace, 1):
        if found := FRAME.match(text):
            is_own = not (LIBRARY.search(found["path"]) or OURS.search(found["path"]))
        lines.append(Line(number, text, is_own))
    return lines


def abbreviated(lines: list[Line]) -> list[Line] | None:
    """Return the lines of the application; None where there are none, or no others."""
    own = [line for line in lines if line.is_own]
    has_frame = any(FRAME.match(line.text) for line in own)
    return own if has_frame and len(own) < len(lines) else None


def groups(view: View) -> Response:
    """Lead to the job, whose page has the failed slices by exception."""
    return view.go(f"/jobs/{view.target.id}")


def exception(view: View) -> Response:
    """Show why a slice has failed."""
    job, place, found = asked_for(view)
    record_number = found.slice.current_record_number
    errors = [(each, backtrace_of(each)) for each in _causes(found.slice.exception)]
    return view.render(
        "slices/exception.html",
        job=job,
        name=class_name(job),
        place=place,
        found=found,
        page="exception",
        record_number=record_number,
        file=job.input_category_for("main").file_of(record_number),
        errors=[(error, lines, abbreviated(lines)) for error, lines in errors],
    )


def _causes(error: JobException | None) -> Iterator[JobException]:
    while error is not None:
        yield error
        error = error.cause


# --- records ---------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Row:
    """One record in the table.

    Attributes:
        parts: its texts, and what each escape stands for.
        left_out: how much of it is not shown.
        is_next: whether it failed, and a retry goes on with it.
        is_done: whether it was processed before that.
    """

    index: int
    number: int
    kind: str
    parts: list[tuple[str, str | None]]
    left_out: int
    is_next: bool
    is_done: bool


@attrs.frozen(kw_only=True)
class Records:
    """The records of a slice, a page at a time."""

    rows: list[Row]
    page: int
    pages: int
    size: int
    problem: str | None = None


def records(view: View) -> Response:
    """Show the records of a failed slice."""
    job, place, found = asked_for(view)
    record_number = found.slice.current_record_number
    is_secret = note_look(view, job, found)
    return view.render(
        "slices/records.html",
        job=job,
        name=class_name(job),
        place=place,
        found=found,
        page="view_slice",
        record_number=record_number,
        file=job.input_category_for("main").file_of(record_number),
        records=records_of(view, found),
        may_edit=view.may("slices.edit", job),
        may_retry=mending.may_retry(job) and view.may("jobs.retry", job),
        is_secret=is_secret,
    )


def note_look(view: View, job: Any, found: mending.FailedSlice) -> bool:
    """Log who looks at records, if they are stored encrypted; return whether they are."""
    is_secret = bool(job.input.serializer.is_secret)
    if is_secret:
        log.info(
            "encrypted records were looked at",
            job_id=str(job.id),
            slice=found.id,
            login=view.identity.login or "",
        )
    return is_secret


def records_of(view: View, found: mending.FailedSlice) -> Records:
    """Return the page of records that is asked for, or the one with the record that failed."""
    try:
        size = len(found.slice)
    except Exception as error:
        return Records(rows=[], page=1, pages=1, size=found.size, problem=unread(error))
    pages = max(1, -(-size // ROWS))
    asked = whole(view.query.get("page", ""))
    page = min(max(1, page_of(found.next_index) if asked is None else asked), pages)
    indexes = range((page - 1) * ROWS, min(page * ROWS, size))
    return Records(rows=[_row(found, each) for each in indexes], page=page, pages=pages, size=size)


def page_of(index: int) -> int:
    """Return the page that has a record."""
    return index // ROWS + 1


def unread(error: Exception) -> str:
    """Say why records cannot be read, or not be stored."""
    return message_of(error) or type(error).__name__


def _row(found: mending.FailedSlice, index: int) -> Row:
    record = found.record(index)
    size = record_text.size_of(record)
    return Row(
        index=index,
        number=found.number_of(index),
        kind=record_text.kind_of(record),
        parts=list(record_text.tokens(record, SHOWN)),
        left_out=max(0, size - SHOWN),
        is_next=index == found.next_index,
        is_done=index < found.next_index,
    )
