"""A list of jobs as a file: CSV for spreadsheets, JSON lines for programs.

The rows are those that the list has, written as they are read. There are bounds, and the file says
in its last row if it has reached one.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response, StreamingResponse

from rocketjob import Job, UnknownJob
from rocketjob.base.passwords import HIDDEN, is_secret_field
from rocketjob.cli.output import plain
from rocketjob.jobs.shown import class_name, load, own_fields, problem_of, unknown_fields
from rocketjob.store import Stored, context
from rocketjob_contrib.mission_control import spreadsheets
from rocketjob_contrib.mission_control.errors import BadRequest
from rocketjob_contrib.mission_control.jobs import searching, tabs
from rocketjob_contrib.mission_control.jobs.box import box_of
from rocketjob_contrib.mission_control.jobs.finding import BUILT_IN
from rocketjob_contrib.mission_control.jobs.tabs import JobTab
from rocketjob_contrib.mission_control.lists import Asked, asked_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

MOST = 100_000  # rows
SECONDS = 120.0  # that writing them may take
CHUNK = 200  # rows that are sent at once
COLUMNS = (
    "id",
    "class",
    "state",
    "description",
    "priority",
    "created_at",
    "started_at",
    "completed_at",
    "run_at",
    "seconds",
    "failure_count",
    "worker",
    "exception_class",
    "exception_message",
    "problem",
    "arguments",
    "fields",
)
Row = Mapping[str, Any]


def csv_of(tab: JobTab) -> Callable[[View], Response]:
    """Return the view of a list as CSV."""
    return lambda view: _file(view, tab, "csv", "text/csv; charset=utf-8", _as_csv)


def json_lines_of(tab: JobTab) -> Callable[[View], Response]:
    """Return the view of a list as JSON, an object on each line."""
    return lambda view: _file(view, tab, "jsonl", "application/x-ndjson", _as_json_lines)


def _file(
    view: View,
    tab: JobTab,
    ending: str,
    media_type: str,
    write: Callable[[Iterable[Row | str]], Iterator[str]],
) -> Response:
    asked = asked_of(tab.listing, {k: v for k, v in view.query.items() if k in ("q", "sort")})
    box = box_of(view, asked.text)
    if box.problem is not None:
        raise BadRequest(f"The search cannot be understood: {box.problem}")
    name = f"jobs-{tab.name}-{view.now:%Y%m%d-%H%M%S}.{ending}"
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
        "x-accel-buffering": "no",
    }
    if view.request.method == "HEAD":
        return Response(headers=headers, media_type=media_type)
    return StreamingResponse(
        _in_chunks(write(_rows(view, _found(view, tab, asked)))),
        media_type=media_type,
        headers=headers,
    )


def _found(view: View, tab: JobTab, asked: Asked) -> Iterator[Stored]:
    """Return the jobs of a list; what is wrong with the store is raised before anything is sent."""
    query, search = tab.query(), box_of(view, asked.text).search
    if search is not None:
        query = search.narrow(query)
    if searching.is_too_much(asked, tabs.total(view, tab).number):
        asked = attrs.evolve(asked, sorting=())  # an index has that order: nothing is sorted first
    order = searching.as_sort(asked.order)
    found = Job.collection().find(query.filter(), None, sort=order, limit=MOST + 1)
    first = next(found, None)
    return iter(()) if first is None else chain([first], found)


def _rows(view: View, found: Iterator[Stored]) -> Iterator[Row | str]:
    """Yield a row for each job, and at the end, as a text, why there are no more of them."""
    until = time.monotonic() + SECONDS
    try:
        for number, stored in enumerate(found):
            if number == MOST:
                yield f"only the first {MOST:,} jobs: there are more; narrow the search"
                return
            if time.monotonic() > until:
                yield f"only the first {number:,} jobs, as that took long; narrow the search"
                return
            yield _row(view, stored)
    except Exception as error:
        if not context.current().store.is_transient(error):
            raise
        yield "the store could not be reached any more: jobs are missing"


def _row(view: View, stored: Stored) -> Row:
    job = load(stored, relied_on=BUILT_IN)
    fields = unknown_fields(job) if isinstance(job, UnknownJob) else own_fields(job)
    error = job.exception
    return {
        "id": str(job.id),
        "class": class_name(job),
        "state": job.state,
        "description": job.description,
        "priority": job.priority,
        "created_at": plain(job.created_at),
        "started_at": plain(job.started_at),
        "completed_at": plain(job.completed_at),
        "run_at": plain(job.run_at),
        "seconds": round(job.seconds, 3),
        "failure_count": job.failure_count,
        "worker": job.worker_name,
        "exception_class": error and error.class_name,
        "exception_message": error and view.quoted(error.message, job),
        "problem": problem_of(job),
        "arguments": _masked(plain(job.arguments)),
        "fields": _masked(plain(fields)),
    }


def _masked(value: Any) -> Any:
    """Return a value of JSON without what is a secret by its name."""
    if isinstance(value, dict):
        return {
            k: HIDDEN if is_secret_field(k) and v is not None else _masked(v)
            for k, v in value.items()
        }
    return [_masked(item) for item in value] if isinstance(value, list) else value


# --- formats ---------------------------------------------------------------------------------


def _in_chunks(lines: Iterator[str]) -> Iterator[str]:
    chunk: list[str] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == CHUNK:
            yield "".join(chunk)
            chunk = []
    yield "".join(chunk)


def _as_json_lines(rows: Iterable[Row | str]) -> Iterator[str]:
    for row in rows:
        value = {"incomplete": row} if isinstance(row, str) else row
        yield json.dumps(value, ensure_ascii=False) + "\n"


def _as_csv(rows: Iterable[Row | str]) -> Iterator[str]:
    yield _line(COLUMNS)
    for row in rows:
        yield _line(
            [f"({row})"] if isinstance(row, str) else [_cell(row[name]) for name in COLUMNS]
        )


def _line(cells: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return spreadsheets.plain(value) if isinstance(value, str) else value
