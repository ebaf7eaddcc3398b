"""Read what was counted, for the command, pages and exporters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

import attrs

from rocketjob.application import Application, current
from rocketjob.base import clock
from rocketjob.base.errors import RocketJobError
from rocketjob.jobs.job import Job
from rocketjob.model.types import plain_datetime
from rocketjob.store import Store
from rocketjob_plugins.metrics import collections, recorder
from rocketjob_plugins.metrics.collections import HOUR, HOURS, MINUTE, MINUTES, Counts
from rocketjob_plugins.metrics.figures import ByClass, Figures, total
from rocketjob_plugins.metrics.measures import Measures
from rocketjob_plugins.metrics.settings import HOURS_DAYS, MINUTES_DAYS

By = Literal["minute", "hour"]
MOST_POINTS = {"minute": 24 * 60 + 1, "hour": 366 * 24}
DAY = timedelta(days=1)
BY_MINUTE_UNTIL = timedelta(hours=8)  # a longer time is read by the hour, if nothing is said


class MetricsError(RocketJobError, ValueError):
    """The metrics cannot be read like this."""


@attrs.frozen
class Point:
    """What was counted in one minute or hour.

    Attributes:
        at: its begin, UTC.
        classes: by the names of classes; only those that have any.
        measures: what plugins have counted with metrics of their own.
    """

    at: datetime
    classes: ByClass
    measures: Measures

    @property
    def total(self) -> Figures:
        """All classes together."""
        return total(self.classes.values())


@attrs.frozen
class Series:
    """What was counted in a time.

    Attributes:
        since: its begin, that of a minute or an hour.
        until: its end, which is not part of it.
        step: the length of each point.
        points: all of them, also those in which nothing was counted, the earliest first.
        classes: the sums by class.
        measures: what plugins have counted with metrics of their own.
    """

    since: datetime
    until: datetime
    step: timedelta
    points: list[Point]
    classes: ByClass
    measures: Measures

    @property
    def total(self) -> Figures:
        """All points and classes together."""
        return total(self.classes.values())

    @property
    def seconds(self) -> float:
        """How long it is, until now at most."""
        return (min(self.until, clock.now()) - self.since).total_seconds()

    def per_minute(self, figures: Figures) -> float:
        """Return how many jobs of these figures, which are of this time, ended in a minute."""
        return 60 * figures.ended / max(self.seconds, 60)

    def of(self, name: str) -> list[Figures]:
        """Return the figures of one class for each point."""
        return [point.classes.get(name) or Figures() for point in self.points]


def read(
    since: datetime | timedelta = HOUR,
    until: datetime | None = None,
    cls: str | type[Job] | None = None,
    *,
    by: By | None = None,
) -> Series:
    """Return what was counted in a time, by the minute or the hour.

    It takes one call of the store, and two by the hour; what this process has counted itself is
    written before.

    Args:
        since: a time with a zone, or how long before `until`; it is moved back to the begin of its
            minute or hour.
        until: a time with a zone; None: now.
        cls: only this job class, or the one of this name; None: all.
        by: None: the minute for up to eight hours of the last day, else the hour.

    Raises:
        MetricsError: the end is before the begin, there would be more than 1,441 minutes or 8,784
            hours, or it is so long ago that these are not kept any more.
    """
    application, end = current(), until or clock.now()
    begin = end - since if isinstance(since, timedelta) else since
    if begin.tzinfo is None or end.tzinfo is None:
        raise MetricsError("a time needs a zone, as rocketjob.now() has one")
    begin, end = _utc(begin), _utc(end)
    step = _step(begin, end, by)
    _check_kept(application, begin, step)
    begin, end = _floor(begin, step), _ceiling(end, step)
    if (mine := recorder.present()) is not None:
        mine.write()
    only = None if cls is None else cls if isinstance(cls, str) else cls.type_name()
    found: dict[datetime, Counts] = {}
    for at, counts in _stored(application.store, begin, end, step):
        if only is not None:
            counts.classes = {n: each for n, each in counts.classes.items() if n == only}
        found.setdefault(_floor(at, step), Counts()).merge(counts)
    points, sums = [], Counts()
    for number in range(round((end - begin) / step)):
        at = begin + step * number
        counts = found.get(at) or Counts()
        points.append(Point(at, counts.classes, counts.measures))
        sums.merge(counts)
    return Series(begin, end, step, points, sums.classes, sums.measures)


def _step(begin: datetime, end: datetime, by: By | None) -> timedelta:
    if end < begin:
        raise MetricsError(f"the end, {end:%Y-%m-%d %H:%M}, is before the begin")
    if by is None:
        is_short = end - begin <= BY_MINUTE_UNTIL and _utc(clock.now()) - begin < DAY
        by = "minute" if is_short else "hour"
    if by not in MOST_POINTS:
        raise MetricsError(f"by must be minute or hour, not {by!r}")
    step = MINUTE if by == "minute" else HOUR
    if (end - begin) / step > MOST_POINTS[by]:
        hint = "ask by the hour, or for less" if by == "minute" else "ask for less"
        raise MetricsError(f"more than {MOST_POINTS[by]:,} {by}s are not read at once: {hint}")
    return step


def _check_kept(application: Application, begin: datetime, step: timedelta) -> None:
    is_minute = step == MINUTE
    days = (MINUTES_DAYS if is_minute else HOURS_DAYS).of(application.config)
    if _utc(clock.now()) - begin > (days + 1) * DAY:
        hint = "ask by the hour" if is_minute else "ask for less"
        what = "minutes" if is_minute else "hours"
        raise MetricsError(f"{what} are kept for {days} days only: {hint}")


def _stored(
    store: Store, begin: datetime, end: datetime, step: timedelta
) -> Iterator[tuple[datetime, Counts]]:
    """Yield what is stored; an hour that is not rolled up yet by its minutes."""
    since = begin
    if step == HOUR:
        for hour in collections.between(store, HOURS, begin, end):
            yield _utc(hour["_id"]), Counts.load(hour)
            since = _utc(hour["_id"]) + HOUR
    for minute in collections.between(store, MINUTES, since, end):
        yield _utc(minute["_id"]), Counts.load(minute)


def _utc(at: datetime) -> datetime:
    plain: datetime = plain_datetime(clock.to_utc(at))
    return plain


def _floor(at: datetime, step: timedelta) -> datetime:
    at = _utc(at).replace(second=0, microsecond=0)
    return at if step == MINUTE else at.replace(minute=0)


def _ceiling(at: datetime, step: timedelta) -> datetime:
    floor = _floor(at, step)
    return floor if floor == _utc(at) else floor + step
