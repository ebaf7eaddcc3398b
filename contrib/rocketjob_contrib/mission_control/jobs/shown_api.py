"""What pages of jobs show besides, by the API: a timeline, runs, relations, and lists as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob import Job
from rocketjob.jobs import origin
from rocketjob.jobs.search import LONGEST
from rocketjob.jobs.shown import class_name
from rocketjob_contrib.mission_control.api.operations import Operation, operation
from rocketjob_contrib.mission_control.api.resources import NUMBER
from rocketjob_contrib.mission_control.api.schemas import (
    FLAG,
    TEXT,
    TIME,
    Schema,
    choice,
    maybe,
    resource,
    several,
    text,
)
from rocketjob_contrib.mission_control.jobs import export, previous, tabs
from rocketjob_contrib.mission_control.jobs.finding import job_in_path
from rocketjob_contrib.mission_control.jobs.related import created_in
from rocketjob_contrib.mission_control.jobs.timeline import Moment, Timeline, timeline_of
from rocketjob_contrib.mission_control.related import page_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView

FILES = {
    "csv": ("text/csv", export.csv_of),
    "jsonl": ("application/x-ndjson", export.json_lines_of),
}
MOMENT = resource(
    at=TIME,
    what=TEXT,
    state=maybe(TEXT),
    by=TEXT,
    is_ahead=FLAG,
    was=TEXT,
    seconds=maybe(NUMBER),
)
TIMELINE = resource(
    moments=several(MOMENT), stretches=several(resource(state=TEXT, seconds=NUMBER)), is_cut=FLAG
)
RUN = resource(job_id=maybe(TEXT), state=TEXT, ended_at=TIME, seconds=maybe(NUMBER), is_this=FLAG)
RUNS = resource(
    of=maybe(TEXT),
    runs=several(RUN),
    usual_seconds=maybe(NUMBER),
    longest_seconds=maybe(NUMBER),
)
CREATED = resource(**{"id": TEXT, "class": TEXT, "state": TEXT, "description": maybe(TEXT)})
RELATED = resource(
    created_in=maybe(resource(**{"id": TEXT, "class": maybe(TEXT)})),
    created_for=maybe(resource(kind=TEXT, id=TEXT, title=maybe(TEXT), page=maybe(TEXT))),
    created=several(CREATED),
    more=FLAG,
)


def operations() -> list[Operation]:
    """Return the operations."""
    return [
        *(_file(ending) for ending in FILES),
        _part("timeline", timeline, "Return what happened to a job, in its order.", TIMELINE),
        _part("runs", runs, "Return the last runs of a job's schedule, or of its class.", RUNS),
        _part(
            "related",
            related,
            "Return what a job was created in and for, and the newest jobs that it has created.",
            RELATED,
        ),
    ]


def _part(name: str, answer: Any, summary: str, returns: Schema) -> Operation:
    path = f"GET /jobs/{{id}}/{name}"
    return operation(
        path, answer, f"get_{name}_of_job", summary, target=job_in_path, returns=returns
    )


# --- lists as files ----------------------------------------------------------------------------


def _file(ending: str) -> Operation:
    media_type, of = FILES[ending]
    lists = {tab.name: tab for tab in tabs.all_tabs()}
    views = {name: of(tab) for name, tab in lists.items()}

    def answer(view: ApiView) -> Response:
        return views[view.params.get("state", "all")](view)

    return operation(
        f"GET /jobs.{ending}",
        answer,
        f"export_jobs_{ending}",
        "Return a list of jobs as a file: of one state, as far as `q` finds them, and sorted.",
        permission="jobs.export",
        query={
            "state": choice(*lists),
            "q": text(LONGEST, least=1),
            "sort": text(200, least=1),
        },
        returns=TEXT,
        media_types=(media_type,),
        pages=tuple(f"{tab.path}.{ending}" for tab in lists.values()),
    )


# --- one job -----------------------------------------------------------------------------------


def timeline(view: ApiView) -> Response:
    """Return what happened to a job."""
    found: Timeline = timeline_of(view.target, view.now)
    spent = [{"state": each.state, "seconds": each.seconds} for each in found.stretches]
    moments = [_moment(each) for each in found.moments]
    return view.json({"moments": moments, "stretches": spent, "is_cut": found.is_cut})


def _moment(moment: Moment) -> dict[str, Any]:
    names = ("at", "what", "state", "by", "is_ahead", "was", "seconds")
    return {name: getattr(moment, name) for name in names}


def runs(view: ApiView) -> Response:
    """Return the last runs."""
    found = previous.runs_of(view, view.target)
    return view.json(
        {
            "of": None if found is None else found.of,
            "runs": [] if found is None else [_run(each) for each in found.runs],
            "usual_seconds": None if found is None else found.usual,
            "longest_seconds": None if found is None else found.longest,
        }
    )


def _run(run: previous.Run) -> dict[str, Any]:
    names = ("state", "ended_at", "seconds", "is_this")
    id = None if run.id is None else str(run.id)
    return {"job_id": id, **{name: getattr(run, name) for name in names}}


def related(view: ApiView) -> Response:
    """Return what a job comes from, and what it has created."""
    job: Job = view.target
    found = created_in(job)
    return view.json(
        {
            "created_in": _creator(job),
            "created_for": _cause(view, job.created_for),
            "created": [_created(each) for each in found["created"]],
            "more": found["more"],
        }
    )


def _creator(job: Job) -> dict[str, Any] | None:
    id = job.created_in
    return None if id is None else {"id": str(id), "class": origin.class_of(id)}


def _cause(view: ApiView, created_for: str | None) -> dict[str, Any] | None:
    if created_for is None:
        return None
    (kind, id), found = origin.parts_of(created_for), page_of(view, created_for)
    path, title = found or (None, None)
    page = None if path is None else view.url(path)
    return {"kind": kind, "id": id, "title": title, "page": page}


def _created(job: Job) -> dict[str, Any]:
    return {
        "id": str(job.id),
        "class": class_name(job),
        "state": job.state,
        "description": job.description,
    }
