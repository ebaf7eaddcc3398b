"""What belongs to no section: who asks, how many there are, metrics, webhooks, the document."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from rocketjob import application
from rocketjob.base import clock
from rocketjob.store import context
from rocketjob_contrib.mission_control.api import cursors, openapi
from rocketjob_contrib.mission_control.api.operations import PAGED, Operation, operation
from rocketjob_contrib.mission_control.api.problems import Problem
from rocketjob_contrib.mission_control.api.schemas import FREE, choice, page_of, ref, text
from rocketjob_contrib.mission_control.api.times import WHEN, moment_of
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_contrib.mission_control.jobs import tabs
from rocketjob_contrib.mission_control.servers.fleet import by_state
from rocketjob_plugins.dirmon.entry import COLLECTION as ENTRIES

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView
    from rocketjob_plugins.metrics import Figures, Point

NAME = text(200, least=1)
WEBHOOKS = "webhooks"  # in cursors


def operations() -> list[Operation]:
    """Return the operations of the API itself."""
    return [
        operation(
            "GET /openapi.json",
            described,
            "get_openapi",
            "Return this document, with the operations of the plugins of this site.",
            returns=FREE,
        ),
        operation(
            "GET /me", me, "get_me", "Return who asks, and may do what.", returns=ref("Identity")
        ),
        operation(
            "GET /counts",
            counts,
            "get_counts",
            "Count jobs, servers and entries by state.",
            returns=ref("Counts"),
        ),
        operation(
            "GET /metrics",
            metrics,
            "get_metrics",
            "Return what became of the jobs in a time, by class and by the minute or hour.",
            query={"since": WHEN, "until": WHEN, "class": NAME, "by": choice("minute", "hour")},
            returns=ref("Metrics"),
        ),
        operation(
            "GET /webhooks",
            webhooks,
            "list_webhooks",
            "List the messages to webhooks, and how they were delivered, the newest first.",
            query={"state": choice("waiting", "delivered", "given_up"), **PAGED},
            returns=page_of("Webhook"),
        ),
    ]


def described(view: ApiView) -> Response:
    """Return the OpenAPI document of this site."""
    own = (each for _, each in view.site.operations)
    return JSONResponse(openapi.document(own, view.url("")))


def me(view: ApiView) -> Response:
    """Return who asks."""
    permissions = sorted(name for name in view.site.policy.permissions if view.may(name))
    who = view.identity
    return view.json({"login": who.login, "roles": sorted(who.roles), "permissions": permissions})


def counts(view: ApiView) -> Response:
    """Return how many there are, by state."""
    servers = {state: len(found) for state, found in by_state(view).items()}
    entries = context.current().store.count_by(ENTRIES, "state")
    found = {"jobs": tabs.counts(view), "servers": servers, "entries": entries}
    return view.json(found)


# --- metrics -----------------------------------------------------------------------------------


def metrics(view: ApiView) -> Response:
    """Return what was counted in a time."""
    _needs("metrics")
    from rocketjob_plugins.metrics import MetricsError, read  # only where it is loaded

    now = clock.now()
    since = moment_of(view, "since", now) or now - timedelta(hours=1)
    try:
        series = read(
            since,
            moment_of(view, "until", now) or now,
            view.params.get("class"),
            by=view.params.get("by"),
        )
    except (MetricsError, OverflowError) as error:
        raise Problem(400, str(error)) from error
    return view.json(
        {
            "since": series.since,
            "until": series.until,
            "step": series.step.total_seconds(),
            "total": _figures(series.total),
            "classes": {name: _figures(each) for name, each in sorted(series.classes.items())},
            "points": [_point(each) for each in series.points],
        }
    )


def _figures(figures: Figures) -> dict[str, Any]:
    from rocketjob_plugins.metrics.present import spread_as_json  # only where it is loaded

    names = ("completed", "failed", "aborted", "retried", "crashed", "records", "rejects")
    counted = {name: getattr(figures, name) for name in names}
    return {**counted, "wait": spread_as_json(figures.wait), "run": spread_as_json(figures.run)}


def _point(point: Point) -> dict[str, Any]:
    total = point.total
    counted = {name: getattr(total, name) for name in ("completed", "failed", "aborted")}
    return {"at": point.at, **counted}


# --- webhooks ----------------------------------------------------------------------------------


def webhooks(view: ApiView) -> Response:
    """List the messages to webhooks."""
    _needs("webhooks")
    from rocketjob_plugins.webhooks import outbox  # only where it is loaded

    state = view.params.get("state")
    filter: dict[str, Any] = {} if state is None else {"state": state}
    last = cursors.after(view, WEBHOOKS, cursors.object_id)
    if last is not None:
        filter["_id"] = {"$lt": last}
    limit = cursors.size_of(view) + 1
    found = list(outbox.messages().find(filter, sort=[("_id", -1)], limit=limit))
    return cursors.page(
        view, WEBHOOKS, found, lambda each: _message(view, each), lambda each: each["_id"]
    )


def _message(view: ApiView, stored: dict[str, Any]) -> dict[str, Any]:
    """Return a message, whatever something else has written into it."""
    times = {key: stored.get(key) for key in ("created_at", "next_at")}
    content, log, attempts = (stored.get(key) for key in ("content", "log", "attempts"))
    return {
        "id": str(stored["_id"]),
        **{key: str(stored.get(key) or "") for key in ("event", "host", "state")},
        **{key: value if isinstance(value, datetime) else None for key, value in times.items()},
        "attempts": attempts if isinstance(attempts, int) else 0,
        "content": _quoted(view, content) if isinstance(content, dict) else {},
        "log": [each for each in log if isinstance(each, dict)] if isinstance(log, list) else [],
    }


def _quoted(view: ApiView, value: Any) -> Any:
    """Return what was posted, with messages of exceptions only for those who may see them."""
    if isinstance(value, list):
        return [_quoted(view, each) for each in value]
    if not isinstance(value, dict):
        return value
    shown = {key: _quoted(view, each) for key, each in value.items()}
    if isinstance(shown.get("message"), str):
        shown["message"] = view.quoted(shown["message"])
    return shown


# --- what is asked for -------------------------------------------------------------------------


def _needs(plugin: str) -> None:
    if plugin not in application.current().plugins.names:
        raise Missing(f"The plugin {plugin}, which has that, is not loaded")
