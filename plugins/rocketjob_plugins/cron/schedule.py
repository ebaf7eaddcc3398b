"""When a cron schedule runs.

    >>> schedule = CronSchedule("0 12 L * * America/New_York")
    >>> str(schedule.next_time(datetime(2018, 1, 1, 10, tzinfo=UTC)))
    '2018-01-31 17:00:00+00:00'

With `dst="literal"`, it runs at every whole minute at which a wall clock matches the expression. A
time that the clocks skip in spring has no run; one that they show twice in autumn has two.

With `dst="safe"`, the default, a schedule of fixed hours (no `*` among them, and not all 24) has
exactly one run for every calendar time. Skipped times run together, once, at the first instant
after the gap; repeated ones run the first time. Schedules with any other hours follow the literal
rule, so that `0 * * * *` means every real hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Literal

import pendulum
from attrs import field, frozen

from rocketjob_plugins.cron.describe import describe
from rocketjob_plugins.cron.expression import CronError, Parsed, parse
from rocketjob_plugins.cron.wall_times import YEARS
from rocketjob_plugins.cron.zones import TICK, instant_of, reading, shift_at

__all__ = ["CronError", "CronSchedule"]


@frozen
class CronSchedule:
    """A parsed cron expression. See `docs/plugins/cron-expressions.md`.

    Args:
        expression: five fields and an optional time zone, or a word such as `@daily`.
        dst: what happens to fixed hours when the clocks change; see above.
        time_zone: for an expression that names none; as an attribute, the zone in use.

    Raises:
        CronError: the message names the field and says what is allowed.
    """

    expression: str
    dst: Literal["safe", "literal"] = field(default="safe", kw_only=True)
    time_zone: str = field(default="UTC", kw_only=True)
    _parsed: Parsed = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.dst not in ("safe", "literal"):
            raise CronError(f'Invalid dst {self.dst!r}. Allowed: "safe", "literal"', field="dst")
        parsed = parse(self.expression, self.time_zone)
        object.__setattr__(self, "_parsed", parsed)
        object.__setattr__(self, "time_zone", parsed.zone.key)

    def __str__(self) -> str:
        return self.expression

    def next_time(self, after: datetime) -> pendulum.DateTime:
        """Return the first run strictly after this time, in UTC."""
        instant = _utc(after)
        runs = [self._first_after(instant, fold) for fold in self._folds]
        candidates = [run for run in runs if run is not None]
        if not candidates:
            why = f"does not run within {YEARS} years after {after}"
            raise CronError(f'"{self}" {why}', why=why)
        return _pendulum(min(candidates))

    def previous_time(self, before: datetime) -> pendulum.DateTime:
        """Return the last run strictly before this time, in UTC."""
        instant = _utc(before)
        runs = [self._last_before(instant, fold) for fold in self._folds]
        candidates = [run for run in runs if run is not None]
        if not candidates:
            raise CronError(f'"{self}" did not run within {YEARS} years before {before}')
        return _pendulum(max(candidates))

    def times_after(self, after: datetime) -> Iterator[pendulum.DateTime]:
        """Yield all runs strictly after this time; there is no end to them."""
        while True:
            after = self.next_time(after)
            yield after

    def next_times(self, after: datetime, count: int) -> list[pendulum.DateTime]:
        """Return the next runs strictly after this time."""
        return list(islice(self.times_after(after), count))

    def describe(self) -> str:
        """Describe in English when it runs: "At 12:00 on the last day of every month, UTC"."""
        return describe(self._parsed.wall_times, self.time_zone)

    @property
    def _moves(self) -> bool:
        """Whether each wall-clock time has exactly one run, whatever the clocks do."""
        return self.dst == "safe" and self._parsed.fixed_hours

    @property
    def _folds(self) -> tuple[int, ...]:
        return (0,) if self._moves else (0, 1)

    def _first_after(self, instant: datetime, fold: int) -> datetime | None:
        """Search forwards through the first (or second) occurrence of each wall-clock time."""
        times, zone = self._parsed.wall_times, self._parsed.zone
        try:
            wall = times.first_after(reading(instant, zone, fold))
            while wall is not None and wall.year <= instant.year + YEARS:
                if run := instant_of(wall, zone, fold):
                    return run
                gap = shift_at(wall, zone)
                if self._moves:
                    return gap.instant
                # max: the search moves forwards whatever a zone file says
                wall = times.first_after(max(wall, gap.new_wall - TICK))
        except OverflowError:  # past the year 9999
            pass
        return None

    def _last_before(self, instant: datetime, fold: int) -> datetime | None:
        """Search backwards through the first (or second) occurrence of each wall-clock time."""
        times, zone = self._parsed.wall_times, self._parsed.zone
        try:
            wall = times.last_before(reading(instant, zone, fold))
            while wall is not None and wall.year >= instant.year - YEARS:
                if run := instant_of(wall, zone, fold):
                    return run
                gap = shift_at(wall, zone)
                # the run at the end of a gap stands for all times in the gap
                if self._moves and gap.instant < instant:
                    return gap.instant
                wall = times.last_before(min(wall, gap.old_wall))
        except OverflowError:  # before the year 1
            pass
        return None


def _utc(time: datetime) -> datetime:
    """Return a plain datetime: arithmetic with pendulum's is many times slower."""
    if time.utcoffset() is None:
        raise CronError(f"{time!r} has no time zone: give it one, such as datetime.UTC")
    utc = time.astimezone(UTC)
    date = (utc.year, utc.month, utc.day)
    return datetime(*date, utc.hour, utc.minute, utc.second, utc.microsecond, UTC)


def _pendulum(utc: datetime) -> pendulum.DateTime:
    date = (utc.year, utc.month, utc.day)
    return pendulum.DateTime(*date, utc.hour, utc.minute, utc.second, tzinfo=pendulum.UTC)
