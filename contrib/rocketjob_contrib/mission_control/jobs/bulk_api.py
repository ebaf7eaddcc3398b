"""Bulk actions by the API: counted first, done to what was counted, and what became of each job."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob import Job
from rocketjob.application import current
from rocketjob.jobs.bulk import WORDS, BulkAction, counted_by_word
from rocketjob_contrib.mission_control.api import cursors
from rocketjob_contrib.mission_control.api.operations import PAGED, Operation, operation
from rocketjob_contrib.mission_control.api.problems import Fault, Problem, invalid
from rocketjob_contrib.mission_control.api.schemas import (
    TIME,
    body,
    choice,
    page_of,
    ref,
    several,
    text,
    whole,
)
from rocketjob_contrib.mission_control.jobs import actions, bulk, tabs
from rocketjob_contrib.mission_control.jobs.finding import job_in_path
from rocketjob_contrib.mission_control.jobs.ticked import PRIORITY, Wanted, previewed_at
from rocketjob_contrib.mission_control.lists import LONGEST_SEARCH, SIZES

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView

ID = text(24, least=24, pattern="^[0-9a-f]{24}$")
COUNT = whole(0, 999_999_999)


def operations() -> list[Operation]:
    """Return the operations."""
    which = {
        "event": choice(*(each.event for each in (*actions.all_actions(), PRIORITY))),
        "state": choice(*(tab.name for tab in tabs.all_tabs() if tab.counted is not None)),
        "q": text(LONGEST_SEARCH),
    }
    asked = body(
        ("event",),
        **which,
        ids=several(ID, SIZES[-1]),
        priority=whole(1, 100),
        at=TIME,
        count=COUNT,
        reason=text(500),
    )
    return [
        operation(
            "GET /jobs/bulk",
            preview,
            "preview_bulk",
            "Count what an action, by default retry, would be done to of all jobs that match.",
            permission="jobs.bulk",
            query=which,
            returns=ref("BulkPreview"),
        ),
        operation(
            "POST /jobs/bulk",
            do,
            "bulk_jobs",
            "Do one thing to all jobs that match, or to those with these ids in this state; where "
            "there are very many a job does it. What came after `at` is left alone.",
            permission="jobs.bulk",
            body=asked,
            returns=ref("BulkDone"),
        ),
        operation(
            "GET /jobs/{id}/bulk",
            results,
            "list_bulk_results",
            "List what became of each job of a bulk action, by the job that does it.",
            target=job_in_path,
            query={"only": choice(*WORDS), **PAGED},
            returns=page_of("BulkResult"),
        ),
    ]


def preview(view: ApiView) -> Response:
    """Count what an action would be done to."""
    plan = bulk.plan(view, _wanted({"event": "retry", **view.params}))
    return view.json(
        {
            "event": plan.action.event,
            "at": plan.action.at,
            "matching": plan.preview.matching,
            "count": plan.preview.count,
            "is_all": plan.preview.is_all,
            "left_alone": plan.preview.left_alone,
            "refused": plan.refused,
            "by_state": plan.preview.by_state,
            "by_class": plan.preview.by_class,
            "by_a_job": not plan.at_once,
        }
    )


def do(view: ApiView) -> Response:
    """Do it to what the preview has counted."""
    sent, asked = view.body, _wanted(view.body)
    if asked.action is PRIORITY and "priority" not in sent:
        raise invalid([Fault("#/priority", "is missing")])
    action = bulk.action_of(view, asked, sent.get("priority"))
    _check(action, asked)
    ids = bulk.first_of(view, action)
    count = len(ids) if asked.shown is None else asked.shown
    job, outcomes = bulk.carry_out(view, asked, action, ids, count) if ids else (None, [])
    counts = counted_by_word(outcomes, count) if job is None else None
    done = [_result(each.id, each.name, each.word, view.quoted(each.text)) for each in outcomes]
    id = None if job is None else str(job.id)
    return view.json({"job": id, "count": count, "counts": counts, "results": done})


def _check(action: BulkAction, asked: Wanted) -> None:
    """Refuse what was not looked at before, where it cannot be taken back.

    Raises:
        Problem: there are more jobs than were seen, or nobody has said how many those were.
    """
    if asked.shown is None:
        if action.event == "destroy" and asked.ticks is None:
            why = "must say how many jobs there are by `GET /jobs/bulk?event=destroy`"
            raise invalid([Fault("#/count", why)])
    elif Job.collection().count_documents(action.possible(), limit=asked.shown + 1) > asked.shown:
        raise Problem(409, f"There are more than {asked.shown:,} jobs: nothing was done")


def _wanted(sent: Mapping[str, Any]) -> Wanted:
    named = {each.event: each for each in (*actions.all_actions(), PRIORITY)}
    lists = {tab.name: tab for tab in tabs.all_tabs()}
    state = sent.get("state")
    if "ids" in sent and state is None:
        raise invalid([Fault("#/state", "is missing: in which the jobs were seen")])
    stored = "queued" if state == "scheduled" else state
    ticks = None
    if "ids" in sent:
        ticks = tuple(f"{id}:{stored}" for id in dict.fromkeys(sent["ids"]))
    return Wanted(
        action=named[sent["event"]],
        tab=lists[state or "all"],
        text=sent.get("q", "").strip(),
        ticks=ticks,
        at=_moment(sent.get("at")),
        shown=sent.get("count"),
    )


def _moment(text: str | None) -> datetime:
    try:
        return previewed_at(text)
    except (ValueError, OverflowError):
        raise invalid([Fault("#/at", "must be a time, such as 2026-01-31T08:00:00Z")]) from None


def _result(id: Any, name: str | None, word: str, why: str | None) -> dict[str, Any]:
    return {"id": str(id), "class": name, "result": word, "why": why or None}


def results(view: ApiView) -> Response:
    """List what became of each job of a bulk action."""
    if "bulk" not in current().plugins.names:
        raise Problem(404, "The plugin bulk is not here")
    from rocketjob_plugins.bulk import BulkActionJob  # only where it is loaded
    from rocketjob_plugins.bulk.results import results as results_of

    if not isinstance(view.target, BulkActionJob):
        raise Problem(404, "The job is not a bulk action")
    last = cursors.after(view, "bulk", cursors.object_id)
    word, size = view.params.get("only"), cursors.size_of(view)
    found = list(results_of(view.target.id, word, size + 1, after=last))
    return cursors.page(
        view,
        "bulk",
        found,
        lambda each: _result(each.job, each.name, each.word, view.quoted(each.text, view.target)),
        lambda each: each.job,
    )
