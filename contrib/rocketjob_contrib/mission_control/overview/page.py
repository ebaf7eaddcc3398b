"""The page: the failing groups, flow, backlog, capacity, what is next, running and changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import HTMLResponse, Response

from rocketjob.base.text import counted, span
from rocketjob_contrib.mission_control.overview.seen import Flow, Seen, seen
from rocketjob_contrib.mission_control.overview.summary import DEAD, overview_of
from rocketjob_contrib.mission_control.sparks import sparkline
from rocketjob_plugins.metrics.present import duration

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View
    from rocketjob_contrib.mission_control.watch import Sight

SHOWN = "overview.shown"  # in the memory of the site


def show(view: View) -> Response:
    """Show the overview.

    Open pages ask for it all the time: those who may do the same get the same text for a moment.
    """
    now, sight = seen(view), view.sight
    if not view.is_update:
        return _page(view, now, sight)
    shown: _Shown | None = view.site.memory.get(SHOWN)
    if shown is None or shown.seen is not now or shown.sight is not sight:
        shown = view.site.memory[SHOWN] = _Shown(now, sight)
    who = (_allowed(view, sight), view.zone, view.url(view.here))
    if who not in shown.texts:
        shown.texts[who] = bytes(_page(view, now, sight).body)
    return HTMLResponse(shown.texts[who])


def _allowed(view: View, sight: Sight) -> tuple[Any, ...]:
    """Return what the page depends on of whoever looks: what may be seen and done there."""
    dead = [server for server in sight.servers if server.seems_dead()]
    removed = tuple(view.may("servers.destroy", server) for server in dead[:DEAD])
    if not view.site.has("/failures"):
        return removed
    done = (view.may("failures.retry"), view.may("failures.acknowledge"))
    return (view.quoted("x"), *done, *removed)


@attrs.frozen
class _Shown:
    """The page as it was made for those who look, of what was seen."""

    seen: Seen
    sight: Sight
    texts: dict[Any, bytes] = attrs.field(factory=dict)


def _page(view: View, now: Seen, sight: Sight) -> Response:
    shown = overview_of(view, now, sight)
    return view.render(
        "overview/overview.html",
        seen=now,
        groups=[(group, _trend(group)) for group in shown.groups],
        more=shown.more,
        flows=[] if now.flow is None else _flows(now.flow),
        oldest=None if shown.oldest is None else (shown.oldest[0], span(shown.oldest[1], 2)),
        capacity=shown.capacity,
        is_empty=not now.counts and not sight.servers,
        jobs=[(title, f"/jobs/{title}", number) for title, number in shown.backlog.items()],
    )


def _trend(group: Any) -> Any:
    from rocketjob_contrib.mission_control.failures.list_page import spark_of  # where it is there

    return spark_of(group)


def _flows(flow: Flow) -> list[tuple[str, Any, str]]:
    """Return of each row of the flow its title, its picture, and the present in words."""
    completed = f"{flow.completed_rate:,.1f} a minute"
    failed = f"{flow.failed_rate:,.1f} a minute"
    wait = duration(flow.wait) if flow.wait is not None else "nothing has begun"
    says = "in the last hour; in the last five minutes"
    return [
        (
            "Completed",
            sparkline(flow.completed, f"{_all(flow.completed)} {says} {completed}", "completed"),
            completed,
        ),
        (
            "Failed",
            sparkline(flow.failed, f"{_all(flow.failed)} {says} {failed}", "failed"),
            failed,
        ),
        ("Wait, 95 % less than", sparkline(flow.waits, f"at last {wait}", "scheduled"), wait),
    ]


def _all(numbers: list[int]) -> str:
    return counted(sum(numbers), "job")
