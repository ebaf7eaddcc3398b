"""The overview: the failing groups, flow, backlog, capacity, what is next, running and changed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import HTMLResponse, Response

from rocketjob.base.text import counted, span
from rocketjob.server.server import Server
from rocketjob.server.signs import waiting_since
from rocketjob_contrib.mission_control.overview.seen import Flow, Seen, seen
from rocketjob_contrib.mission_control.servers.fleet import shown_state
from rocketjob_contrib.mission_control.sparks import sparkline
from rocketjob_plugins.metrics.present import duration

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View
    from rocketjob_contrib.mission_control.watch import Sight

SHOWN = "overview.shown"  # in the memory of the site
GROUPS = 5
DEAD = 5


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
    failing = [group for group in sight.groups if group.unseen]
    return view.render(
        "overview/overview.html",
        seen=now,
        groups=[(group, _trend(group)) for group in failing[:GROUPS]],
        more=len(failing) - GROUPS,
        flows=[] if now.flow is None else _flows(now.flow),
        oldest=_oldest(view),
        capacity=_capacity(sight.servers),
        is_empty=not now.counts and not sight.servers,
        jobs=_jobs(now),
    )


def _trend(group: Any) -> Any:
    from rocketjob_contrib.mission_control.failures.list_page import spark_of  # where it is there

    return spark_of(group)


def _jobs(now: Seen) -> list[tuple[str, str, int]]:
    """Return what waits: title, path and number of each kind."""
    kinds = (
        ("queued", "/jobs/queued", "queued_now"),
        ("scheduled", "/jobs/scheduled", "scheduled"),
        ("paused", "/jobs/paused", "paused"),
        ("failed", "/jobs/failed", "failed"),
    )
    return [(title, path, now.counts.get(key, 0)) for title, path, key in kinds]


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


@attrs.frozen(kw_only=True)
class Capacity:
    """Who works.

    Attributes:
        states: how many servers there are in each, as it is shown.
        dead: those of which nothing is heard, each with what it had in work, in words.
        lives: whether another server is there, which takes back the work of those.
    """

    busy: int
    workers: int
    states: list[tuple[str, int]]
    dead: list[tuple[Server, str]]
    lives: bool

    @property
    def percent(self) -> int:
        return min(100, round(100 * self.busy / self.workers)) if self.workers else 0


def _capacity(servers: Any) -> Capacity:
    dead = [server for server in servers if server.seems_dead()]
    living = [server for server in servers if server not in dead]
    return Capacity(
        busy=sum(len(server.performing) for server in living),
        workers=sum(server.workers for server in living),
        states=sorted(Counter(map(shown_state, servers)).items()),
        dead=[(server, _stuck(server)) for server in dead[:DEAD]],
        lives=any(server.state in ("starting", "running", "paused") for server in living),
    )


def _stuck(server: Server) -> str:
    """Say what a dead server had in work at its last heartbeat."""
    slices = sum("/" in id for id in server.performing)
    jobs = len(server.performing) - slices
    parts = [counted(jobs, "job")] if jobs else []
    parts += [counted(slices, "slice")] if slices else []
    return " and ".join(parts)


def _oldest(view: View) -> tuple[Any, str] | None:
    """Return the id of the job that waits for longest, and for how long."""
    stored = view.sight.oldest
    if stored is None:
        return None
    seconds = view.now.timestamp() - waiting_since(stored).timestamp()
    return stored["_id"], span(max(0.0, seconds), 2)
