"""Describe a cron expression in plain English.

The description is built from the numbers of the fields, not from their text: two expressions that
run at the same times are described alike, and it never claims a run that does not happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from rocketjob_plugins.cron.expression import MONTHS, WEEKDAYS
from rocketjob_plugins.cron.wall_times import WallTimes

#: More times of day than this are not written out.
_MOST_TIMES = 6


def describe(wall_times: WallTimes, zone: str) -> str:
    """Describe when a schedule runs: "At 12:00 on the last day of every month, UTC"."""
    times = _times(wall_times.minutes, wall_times.hours)
    return f"{times} {_days(wall_times)}".rstrip() + f", {_zone(zone)}"


def _zone(name: str) -> str:
    area, _, city = name.rpartition("/")
    if area in ("", "Etc"):
        return name
    return f"{city.replace('_', ' ')} time ({name})"


# -- times of day


def _times(minutes: Sequence[int], hours: Sequence[int]) -> str:
    every = _pace("minute", minutes, 60)
    if every and len(minutes) > (1 if len(hours) == 24 else 2):
        return every + _within(hours)
    if len(hours) * len(minutes) <= _MOST_TIMES:
        return f"At {_list(f'{hour:02}:{minute:02}' for hour in hours for minute in minutes)}"
    if len(minutes) == 1 and (paced := _paced_hours(minutes[0], hours)):
        return paced
    name = "minute" if len(minutes) == 1 else "minutes"
    if len(hours) == 24:
        return f"At {name} {_numbers(minutes)} of every hour"
    return f"At {name} {_numbers(minutes)} of the hours {_numbers(hours)}"


def _pace(unit: str, numbers: Sequence[int], size: int) -> str:
    """Return "Every 10 minutes" if the numbers keep that pace across the end of the hour."""
    step = size // len(numbers)
    if list(numbers) != list(range(0, size, step)):
        return ""
    return f"Every {unit}" if step == 1 else f"Every {step} {unit}s"


def _within(hours: Sequence[int]) -> str:
    if len(hours) == 24:
        return ""
    runs = _runs(hours, 0, 23)
    if len(runs) == 1:
        return f" from {runs[0][0]:02}:00 to {runs[0][-1]:02}:59"
    return f" of the hours {_numbers(hours)}"


def _paced_hours(minute: int, hours: Sequence[int]) -> str:
    """Return "Every hour from 09:30 to 17:30" or "Every 2 hours from 00:00 to 22:00"."""
    if len(hours) == 24:
        return f"Every hour at minute {minute}"
    runs = _runs(hours, 0, 23)
    pace = "Every hour" if len(runs) == 1 else _pace("hour", hours, 24)
    if not pace:
        return ""
    first, last = runs[0][0], runs[-1][-1]
    return f"{pace} from {first:02}:{minute:02} to {last:02}:{minute:02}"


# -- days


def _days(wall_times: WallTimes) -> str:
    months = _months(wall_times.months)
    either = []
    if wall_times.days is not None:
        either.append(f"on {_days_of_month(wall_times.days)} of {months or 'every month'}")
    if wall_times.weekdays is not None:
        either.append(_weekdays(wall_times.weekdays, months))
    if either:
        return " or ".join(either)
    every_day = "" if len(wall_times.hours) == 24 else "every day"
    return f"{every_day} in {months}".lstrip() if months else every_day


def _months(months: Sequence[int]) -> str:
    if len(months) == 12:
        return ""
    return _named(_runs(months, 1, 12), lambda month: MONTHS[month - 1])


def _days_of_month(days: Sequence[int]) -> str:
    parts = []
    if plain := [day for day in days if day > 0]:
        parts.append(f"{'day' if len(plain) == 1 else 'days'} {_numbers(plain)}")
    if negative := [-day for day in days if day < 0]:
        parts.append(f"the {_from_the_end(sorted(negative))}")
    return " and ".join(parts)


def _from_the_end(days: Sequence[int]) -> str:
    """Name days counted from the end: 1 is the last, 2 the second last, and so on."""
    if days == [1]:
        return "last day"
    if list(days) == list(range(1, len(days) + 1)):
        return f"last {len(days)} days"
    plural = "s" * (len(days) > 1)
    earliest_first = [run[::-1] for run in reversed(_runs(days))]
    return f"{_named(earliest_first, _nth_last)} day{plural}"


def _weekdays(weekdays: Iterable[tuple[int, int | None]], months: str) -> str:
    every = sorted({day for day, nth in weekdays if nth is None})
    counted = [(day, nth) for day, nth in weekdays if nth is not None]
    counted.sort(key=lambda pair: (pair[1] < 0, pair))
    parts = []
    if every:
        parts.append(_each_week(every) + (f" in {months}" if months else ""))
    if counted:
        names = _list(f"{_nth(nth)} {WEEKDAYS[day]}" for day, nth in counted)
        parts.append(f"on the {names} of {months or 'every month'}")
    return " and ".join(parts)


def _each_week(weekdays: Sequence[int]) -> str:
    if len(weekdays) == 7:
        return "every day"
    runs = _runs(weekdays, 0, 6)
    word = "from" if len(runs) == 1 and len(weekdays) > 2 else "on"
    return f"{word} {_named(runs, WEEKDAYS.__getitem__)}"


def _nth(nth: int) -> str:
    ordinal = ("first", "second", "third", "fourth", "fifth")[abs(nth) - 1]
    if nth > 0:
        return ordinal
    return "last" if nth == -1 else f"{ordinal} last"


def _nth_last(nth: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(nth % 10 if nth not in (11, 12, 13) else 0, "th")
    return "last" if nth == 1 else f"{nth}{suffix} last"


# -- lists


def _numbers(numbers: Sequence[int]) -> str:
    """Write 0-20 as "0 to 20", and 0, 7, 14 .. 56 as "0 to 56 in steps of 7"."""
    steps = {b - a for a, b in pairwise(numbers)}
    if len(numbers) > _MOST_TIMES and len(steps) == 1 and steps != {1}:
        return f"{numbers[0]} to {numbers[-1]} in steps of {steps.pop()}"
    return _named(_runs(numbers), str)


def _named(runs: Iterable[Sequence[int]], name: Callable[[int], str]) -> str:
    """Name the numbers, writing runs of three or more as "Monday to Friday"."""
    names = []
    for run in runs:
        if len(run) > 2:
            names.append(f"{name(run[0])} to {name(run[-1])}")
        else:
            names.extend(name(number) for number in run)
    return _list(names)


def _list(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _runs(numbers: Sequence[int], low: int = 0, high: int = -1) -> list[list[int]]:
    """Split into runs of consecutive numbers; with bounds, a run may wrap from end to start."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    if len(runs) > 1 and (runs[0][0], runs[-1][-1]) == (low, high):
        runs[-1].extend(runs.pop(0))
    return runs
