"""When an expression runs, and how its times are written: in its own zone, with clock changes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import attrs

from rocketjob.application import current
from rocketjob_contrib.mission_control.templating import shortened
from rocketjob_plugins.cron import CronError, CronSchedule
from rocketjob_plugins.cron.settings import TIME_ZONE

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

TIMES = 5


@attrs.frozen
class RunTime:
    """When something runs.

    Attributes:
        at: UTC.
        local: in the schedule's zone, with the zone's short name.
        elsewhere: in the zone of whoever looks, where that shows another time.
        changed: by how much the clocks have changed since the time before; empty if they have not.
    """

    at: datetime
    local: str
    elsewhere: str
    changed: str


def run_times(
    times: Iterable[datetime], zone: ZoneInfo, viewer: ZoneInfo, now: datetime
) -> list[RunTime]:
    """Return times as they are written, each compared with the one before, the first with now."""
    written, before = [], now.astimezone(zone).utcoffset()
    for at in times:
        local, there = at.astimezone(zone), at.astimezone(viewer)
        moved = (local.utcoffset() or before) != before
        same = local.utcoffset() == there.utcoffset()
        written.append(
            RunTime(
                at,
                f"{local:%a %Y-%m-%d %H:%M %Z}",
                "" if same else f"{there:%a %H:%M %Z}",
                f"clocks change: UTC{_offset(local)}" if moved else "",
            )
        )
        before = local.utcoffset()
    return written


def _offset(at: datetime) -> str:
    text = f"{at:%z}"
    return f"{text[:3]}:{text[3:5]}"


@attrs.frozen(kw_only=True)
class Preview:
    """What an expression means.

    Attributes:
        problem: why it means nothing.
    """

    expression: str
    words: str = ""
    times: tuple[RunTime, ...] = ()
    problem: str | None = None


def preview_of(view: View, expression: str, dst: Literal["safe", "literal"] = "safe") -> Preview:
    """Return what an expression means; it takes a few milliseconds, whatever was typed."""
    if not expression.strip():
        return Preview(expression="")
    zone = TIME_ZONE.of(current().config)
    try:
        schedule = CronSchedule(expression, dst=dst, time_zone=zone)
        times = schedule.next_times(view.now, TIMES)
    except CronError as error:
        return Preview(expression=expression, problem=shortened(str(error.why), 300))
    of_schedule = ZoneInfo(schedule.time_zone)
    return Preview(
        expression=expression,
        words=schedule.describe(),
        times=tuple(run_times(times, of_schedule, view.zone, view.now)),
    )
