"""The verdict and the overview by the API: what the page is made of, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob.server.checks import Finding
from rocketjob.store import Stored
from rocketjob_contrib.mission_control.api.operations import Operation, operation
from rocketjob_contrib.mission_control.api.resources import NUMBER
from rocketjob_contrib.mission_control.api.schemas import (
    FLAG,
    FREE,
    TEXT,
    TIME,
    WHOLE,
    Schema,
    choice,
    maybe,
    ref,
    resource,
    several,
)
from rocketjob_contrib.mission_control.overview.seen import STEP, Flow, Running, seen
from rocketjob_contrib.mission_control.overview.summary import Capacity, Overview, overview_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView
    from rocketjob_plugins.failures import Group

LEVELS = ("FAILING", "WATCH", "OK", "UNKNOWN")
CAUSE = resource(area=TEXT, status=TEXT, message=TEXT, advice=TEXT, data=FREE, page=maybe(TEXT))
VERDICT = resource(
    level=choice(*LEVELS), sentence=TEXT, at=TIME, looked_at=several(TEXT), causes=several(CAUSE)
)
FLOW = resource(
    step_seconds=WHOLE,
    completed=several(WHOLE),
    failed=several(WHOLE),
    waits=several(NUMBER),
    completed_per_minute=NUMBER,
    failed_per_minute=NUMBER,
    wait_p95_seconds=maybe(NUMBER),
)
DEAD = resource(id=TEXT, name=TEXT, heartbeat_at=maybe(TIME), performing=several(TEXT))
CAPACITY = resource(
    busy=WHOLE,
    workers=WHOLE,
    servers={"type": "object", "additionalProperties": WHOLE},
    dead=several(DEAD),
    others_take_over=FLAG,
)
RUNNING = resource(
    **{"job_id": TEXT, "class": TEXT},
    description=maybe(TEXT),
    percent=maybe(WHOLE),
    workers=maybe(WHOLE),
    phase=maybe(TEXT),
    started_at=maybe(TIME),
)
FAILING = resource(groups=several(ref("Failures")), more=WHOLE, remarks=several(TEXT))
BACKLOG = resource(
    jobs={"type": "object", "additionalProperties": WHOLE},
    longest_wait=maybe(resource(job_id=TEXT, seconds=NUMBER)),
)
NEXT = resource(**{"job_id": TEXT, "class": TEXT}, run_at=TIME, cron_schedule=maybe(TEXT))
OVERVIEW: Schema = resource(
    verdict=VERDICT,
    failing=maybe(FAILING),
    flow=maybe(FLOW),
    backlog=BACKLOG,
    capacity=CAPACITY,
    next=several(NEXT),
    running=several(RUNNING),
    changes=maybe(several(ref("AuditRecord"))),
)


def operations() -> list[Operation]:
    """Return the operations."""
    return [
        operation(
            "GET /verdict",
            verdict,
            "get_verdict",
            "Say whether the work is done as it should be, in one word, and why.",
            returns=VERDICT,
        ),
        operation(
            "GET /overview",
            show,
            "get_overview",
            "Return what the first page shows: what fails, whether work flows, what comes next.",
            returns=OVERVIEW,
        ),
    ]


def verdict(view: ApiView) -> Response:
    """Say how it is."""
    return view.json(_verdict(view))


def _verdict(view: ApiView) -> dict[str, Any]:
    said = view.sight.verdict.now()
    return {
        "level": said.level.word,
        "sentence": said.sentence,
        "at": said.at,
        "looked_at": list(said.looked_at),
        "causes": [_cause(view, each) for each in said.causes],
    }


def _cause(view: ApiView, cause: Finding) -> dict[str, Any]:
    names = ("area", "status", "message", "advice", "data")
    return {**{name: getattr(cause, name) for name in names}, "page": view.page_of(cause)}


def show(view: ApiView) -> Response:
    """Return the overview."""
    now, sight = seen(view), view.sight
    shown = overview_of(view, now, sight)
    return view.json(
        {
            "verdict": _verdict(view),
            "failing": None if sight.failures is None else _failing(view, shown),
            "flow": None if now.flow is None else _flow(now.flow),
            "backlog": _backlog(shown),
            "capacity": _capacity(shown.capacity),
            "next": [_next(each) for each in now.next],
            "running": [_running(each) for each in now.running],
            "changes": None if now.changes is None else [_change(each) for each in now.changes],
        }
    )


def _failing(view: ApiView, shown: Overview) -> dict[str, Any]:
    failures = view.sight.failures
    remarks = [] if failures is None else list(failures.remarks)
    groups = [_group(view, each) for each in shown.groups]
    return {"groups": groups, "more": shown.more, "remarks": remarks}


def _group(view: ApiView, group: Group) -> dict[str, Any]:
    from rocketjob_contrib.mission_control.failures.api import as_json  # where it is there

    return as_json(view, group)


def _change(record: Any) -> dict[str, Any]:
    from rocketjob_contrib.mission_control.auditing.api import as_json  # where it is there

    return as_json(record)


def _flow(flow: Flow) -> dict[str, Any]:
    return {
        "step_seconds": STEP * 60,
        "completed": flow.completed,
        "failed": flow.failed,
        "waits": flow.waits,
        "completed_per_minute": flow.completed_rate,
        "failed_per_minute": flow.failed_rate,
        "wait_p95_seconds": flow.wait,
    }


def _backlog(shown: Overview) -> dict[str, Any]:
    longest = None
    if shown.oldest is not None:
        id, seconds = shown.oldest
        longest = {"job_id": str(id), "seconds": seconds}
    return {"jobs": shown.backlog, "longest_wait": longest}


def _capacity(capacity: Capacity) -> dict[str, Any]:
    dead = [
        {
            "id": str(server.id),
            "name": server.name,
            "heartbeat_at": server.heartbeat_at,
            "performing": list(server.performing),
        }
        for server, _ in capacity.dead
    ]
    return {
        "busy": capacity.busy,
        "workers": capacity.workers,
        "servers": dict(capacity.states),
        "dead": dead,
        "others_take_over": capacity.lives,
    }


def _next(stored: Stored) -> dict[str, Any]:
    expression = stored.get("cron_schedule")
    return {
        "job_id": str(stored["_id"]),
        "class": str(stored.get("_type")),
        "run_at": stored["run_at"],
        "cron_schedule": None if expression is None else str(expression),
    }


def _running(running: Running) -> dict[str, Any]:
    job, progress = running.job, running.progress
    return {
        "job_id": str(job.id),
        "class": running.name,
        "description": job.description,
        "percent": progress.percent,
        "workers": progress.workers,
        "phase": progress.phase,
        "started_at": job.started_at,
    }
