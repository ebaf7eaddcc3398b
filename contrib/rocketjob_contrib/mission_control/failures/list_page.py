"""The list of groups of failures."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob.base.text import counted
from rocketjob_contrib.mission_control.errors import BadRequest
from rocketjob_contrib.mission_control.failures.finding import groups, seen
from rocketjob_contrib.mission_control.lists import Column, Count, Listing, asked_of, found_among
from rocketjob_contrib.mission_control.sparks import sparkline
from rocketjob_plugins.failures import Group
from rocketjob_plugins.failures.groups import trend

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

LISTING = Listing(
    (
        Column("what", "What", "title"),
        Column("count", "Failed", "count", number=True),
        Column("jobs", "Jobs", "jobs", number=True),
        Column("trend", "Trend"),
        Column("first", "First", "first"),
        Column("last", "Last", "last"),
        Column("actions", "Actions"),
    ),
    ("-last",),
    ("title",),
)
TIMES = {
    "1h": timedelta(hours=1),
    "8h": timedelta(hours=8),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}


@attrs.frozen
class Row:
    """A group in the list."""

    view: Any
    group: Group
    begin: datetime | None

    @property
    def id(self) -> str:
        return self.group.key

    @property
    def icon(self) -> str:
        """Its look: one that somebody has seen is no alarm."""
        return "failed" if self.group.unseen else "queued"

    @property
    def spark(self) -> Any:
        return spark_of(self.group, self.begin)

    def field(self, name: str) -> Any:
        """Return what it is sorted and searched by."""
        group = self.group
        if name == "title":
            return f"{group.name} {group.error} {self.view.quoted(group.pattern)}"
        if name == "jobs":
            return len(group.jobs)
        return group.key if name == "_id" else getattr(group, name)


def spark_of(group: Group, begin: datetime | None = None) -> Any:
    """Return the picture of how often a group failed, until now."""
    numbers = trend(group, begin)
    late = sum(numbers[-len(numbers) // 4 :])
    says = f"{counted(sum(numbers), 'failure')}, of these {late:,} in the last quarter of the time"
    return sparkline(numbers, says, "failed" if group.unseen else "queued")


def show(view: View) -> Response:
    """Show the list."""
    chosen, name = view.query.get("since", ""), view.query.get("class", "")
    if chosen and chosen not in TIMES:
        raise BadRequest(f"since is one of {', '.join(TIMES)}, not {chosen[:20]}")
    begin = view.now - TIMES[chosen] if chosen else None
    asked = attrs.evolve(
        asked_of(LISTING, view.query),
        kept=tuple((k, v) for k, v in (("since", chosen), ("class", name[:200])) if v),
    )
    found = groups(view, begin, name or None)
    rows = [Row(view, group, begin) for group in found]
    return view.render(
        "failures/list.html",
        found=found_among(asked, rows, lambda row, field: row.field(field), Count(len(rows))),
        failures=seen(view),
        times=("", *TIMES),
        chosen=chosen,
        name=name[:200],
        empty=_empty(chosen, name),
    )


def _empty(chosen: str, name: str) -> str:
    whose = f" of {name[:200]}" if name else ""
    return f"Nothing{whose} has failed{f' in the last {chosen}' if chosen else ''}."
