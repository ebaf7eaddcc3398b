"""What the overview says, for the page and for programs: made of what was seen in one look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob.base.text import counted
from rocketjob.server.server import Server
from rocketjob.server.signs import waiting_since
from rocketjob_contrib.mission_control.overview.seen import Seen
from rocketjob_contrib.mission_control.servers.fleet import shown_state

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View
    from rocketjob_contrib.mission_control.watch import Sight
    from rocketjob_plugins.failures import Group

GROUPS = 5
DEAD = 5
BACKLOG = {
    "queued": "queued_now",
    "scheduled": "scheduled",
    "paused": "paused",
    "failed": "failed",
}
"""Lists of jobs, each with the key of its number in `Job.counts_by_state`."""


@attrs.frozen(kw_only=True)
class Overview:
    """What is said.

    Attributes:
        groups: those that fail, and that nobody has acknowledged; the first of them.
        more: how many others there are.
        backlog: how many jobs wait, by the list that they are in.
        oldest: the id of the job that has been waiting for longest, and for how many seconds.
    """

    groups: Sequence[Group]
    more: int
    backlog: dict[str, int]
    oldest: tuple[Any, float] | None
    capacity: Capacity


def overview_of(view: View, now: Seen, sight: Sight) -> Overview:
    """Return what is said of what was seen."""
    failing = [group for group in sight.groups if group.unseen]
    return Overview(
        groups=failing[:GROUPS],
        more=max(0, len(failing) - GROUPS),
        backlog={name: now.counts.get(key, 0) for name, key in BACKLOG.items()},
        oldest=_oldest(view),
        capacity=_capacity(sight.servers),
    )


def _oldest(view: View) -> tuple[Any, float] | None:
    stored = view.sight.oldest
    if stored is None:
        return None
    return stored["_id"], max(0.0, view.now.timestamp() - waiting_since(stored).timestamp())


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


def _capacity(servers: Iterable[Server]) -> Capacity:
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
