"""Parse a cron expression: five fields and an optional time zone, or a word such as `@daily`.

All errors are found here, once, and reported in one sentence that names the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn
from zoneinfo import ZoneInfo

from attrs import field, frozen

from rocketjob.base.errors import RocketJobError
from rocketjob.base.text import counted, nearest
from rocketjob_plugins.cron.wall_times import WallTimes
from rocketjob_plugins.cron.zones import load_zone

WORDS: Mapping[str, str] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

#: In characters. All 60 minutes, 24 hours, 31 days and so on, written out, take about 360.
LONGEST = 1000

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_VALUE = "-?[0-9]{1,4}|[A-Za-z]+"
_RANGE = rf"(?P<first>{_VALUE})(?:-(?P<last>{_VALUE}))?"
_PART = re.compile(rf"(?:\*|{_RANGE})?(?:/(?P<step>[0-9]{{1,4}}))?")
_WEEKDAY_LIKE = re.compile("[0-9*?/,L#-]+$|(sun|mon|tue|wed|thu|fri|sat)", re.IGNORECASE)
_NTH = re.compile(rf"(?P<day>{_VALUE})#(?P<nth>-?[0-9]|[Ll])")


class CronError(RocketJobError, ValueError):
    """The cron schedule cannot be used: correct the expression.

    Attributes:
        field: the part that is wrong: "minute", "hour", "day of month", "month", "day of week",
            "time zone", "expression", "dst", or None if the schedule is well-formed.
        why: the message without the schedule.
    """

    def __init__(
        self, message: str | None = None, *, field: str | None = None, why: str | None = None
    ) -> None:
        self.field = field
        super().__init__(message)
        self.why = why or str(self)


@frozen
class Field:
    """One of the five fields: its range, its names, and what messages list as allowed."""

    name: str
    low: int
    high: int
    allowed: str
    names: Mapping[str, int] = field(factory=dict)
    #: Hour 24 is hour 0 and weekday 7 is weekday 0.
    wraps: bool = False
    #: Negative days count from the end of the month.
    signed: bool = False


@frozen
class Parsed:
    """What an expression means."""

    wall_times: WallTimes
    zone: ZoneInfo
    #: The hours are listed explicitly, so each is a run that must be neither lost nor repeated.
    fixed_hours: bool


def _abbreviated(names: Sequence[str], low: int) -> dict[str, int]:
    return {name[:3].lower(): number for number, name in enumerate(names, low)}


MINUTE = Field("minute", 0, 59, "0 to 59, lists (0,30), ranges (0-29), steps (*/15) and *")
HOUR = Field("hour", 0, 23, "0 to 23, lists (4,17), ranges (9-17), steps (*/4) and *", wraps=True)
DAY = Field(
    *("day of month", 1, 31),
    "1 to 31, -1 to -31 (from the end, -1 or L is the last day), "
    "lists (1,15), ranges (1-7, -7--1, 25-L), steps (*/2) and *",
    signed=True,
)
MONTH = Field(
    *("month", 1, 12),
    "1 to 12, Jan to Dec, lists (1,7), ranges (Jun-Aug), steps (*/3) and *",
    _abbreviated(MONTHS, 1),
)
WEEKDAY = Field(
    *("day of week", 0, 6),
    "0 to 7 (0 and 7 are Sunday), Sun to Sat, lists (Mon,Fri), ranges (Mon-Fri), steps (*/2), "
    "Mon#1 to Mon#5 (the first to fifth of the month), Mon#-1 (the last) and *",
    _abbreviated(WEEKDAYS, 0),
    wraps=True,
)


def parse(expression: str, default_zone: str = "UTC") -> Parsed:
    """Parse an expression; the default zone applies unless the expression names one."""
    fields, zone_name = _split(expression)
    reader = _Reader(expression)
    minutes = reader.numbers(MINUTE, fields[0])
    hours = reader.numbers(HOUR, fields[1])
    days = reader.days(fields[2])
    months = reader.numbers(MONTH, fields[3])
    weekdays = reader.weekdays(fields[4])
    if days is not None:
        reader.check_days(fields[2], days, months)
    zone = reader.zone(zone_name or str(default_zone))
    # 0-23 looks like fixed hours, but means *
    fixed = not any(part[:1] in "*/" for part in fields[1].split(",")) and len(hours) < 24
    return Parsed(WallTimes(minutes, hours, days, months, weekdays), zone, fixed)


def _split(expression: str) -> tuple[list[str], str | None]:
    """Return the five fields and the zone, if there is one."""
    if not isinstance(expression, str):
        raise CronError(f"A cron schedule must be a string, not {expression!r}", field="expression")
    if len(expression) > LONGEST:
        _refuse(expression, "expression", f"it is longer than {LONGEST} characters")
    fields = expression.split()
    if fields and fields[0].startswith("@"):
        fields[:1] = _expand(fields[0], expression)
    if len(fields) not in (5, 6):
        _refuse(expression, "expression", f"{_counted(len(fields))}. {_SHAPE}")
    if len(fields) == 6 and _WEEKDAY_LIKE.match(fields[5]):
        seconds = "it has six fields, and seconds are not supported"
        _refuse(expression, "expression", f"{seconds}. {_SHAPE}")
    return fields[:5], fields[5] if len(fields) == 6 else None


_SHAPE = (
    "Allowed: minute, hour, day of month, month, day of week, then optionally a time zone "
    f"(0 12 * * Mon-Fri America/New_York), or {', '.join(WORDS)}"
)


def _counted(number: int) -> str:
    return "it is empty" if not number else f"it has {counted(number, 'field')}"


def _expand(word: str, expression: str) -> list[str]:
    if word.lower() not in WORDS:
        hint = _did_you_mean(word.lower(), WORDS)
        allowed = f"Allowed: {', '.join(WORDS)}"
        _refuse(expression, "expression", f'"{word}" is not known{hint}. {allowed}')
    return WORDS[word.lower()].split()


def _did_you_mean(text: str, known: Iterable[str]) -> str:
    near = nearest(text, known)
    return f', did you mean "{near}"?' if near else ""


def _refuse(expression: str, name: str, why: str) -> NoReturn:
    why = why.replace("?. ", "? ")
    message = f'Invalid cron schedule "{_clipped(expression)}": {why}'
    raise CronError(message, field=name, why=why) from None


def _clipped(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"


@frozen
class _Reader:
    """Reads the fields of one expression, which every error message shows."""

    expression: str

    def numbers(self, spec: Field, text: str) -> tuple[int, ...]:
        numbers: set[int] = set()
        for part in text.split(","):
            numbers.update(self._part(spec, part))
        return tuple(sorted(numbers))

    def days(self, text: str) -> tuple[int, ...] | None:
        """Return the days of the month; None for any day: `*`, but also `1-31` and `*/1`."""
        days: set[int] = set()
        for part in text.split(","):
            numbers = self._part(DAY, part)
            if numbers == list(range(1, 32)):
                return None
            days.update(numbers)
        return tuple(sorted(days))

    def weekdays(self, text: str) -> tuple[tuple[int, int | None], ...] | None:
        """Return the weekdays; None for any day, which only `*` means: `0-6` restricts days."""
        if text == "*":
            return None
        weekdays: set[tuple[int, int | None]] = set()
        for part in text.split(","):
            if match := _NTH.fullmatch(part):
                weekdays.add(self._nth(part, match["day"], match["nth"]))
            else:
                weekdays.update((day, None) for day in self._part(WEEKDAY, part))
        return tuple(sorted(weekdays, key=lambda pair: (pair[0], pair[1] or 0)))

    def check_days(self, text: str, days: tuple[int, ...], months: tuple[int, ...]) -> None:
        """Reject days that none of the months has, even if a weekday is given as well."""
        if not any(abs(day) <= _LENGTHS[month - 1] for day in days for month in months):
            names = " or ".join(MONTHS[month - 1] for month in months)
            self._bad(DAY, text, f"never occurs in {names}")

    def zone(self, name: str) -> ZoneInfo:
        try:
            return load_zone(name)
        except ValueError as error:
            allowed = "Allowed: a name from the IANA database, such as UTC or America/New_York"
            _refuse(
                self.expression, "time zone", f'time zone "{_clipped(name)}" {error}. {allowed}'
            )

    def _part(self, spec: Field, part: str) -> list[int]:
        """Return the numbers of one list element, in the order of its range."""
        match = _PART.fullmatch(part)
        if not part or match is None:
            self._bad(spec, part, "cannot be read" + ', did you mean "*"?' * (part == "?"))
        step = int(match["step"] or 1)
        if step == 0:
            self._bad(spec, part, "has a step of 0")
        if match["first"] is None:
            return list(range(spec.low, spec.high + 1, step))
        first = self._value(spec, part, match["first"])
        if match["last"] is None and match["step"] is None:
            return [spec.low if first > spec.high else first]
        # 15/30 is 15-59/30
        last = self._value(spec, part, match["last"]) if match["last"] else spec.high
        if first > 0 and match["last"] in ("L", "l"):
            last = spec.high
        return self._walk(spec, part, first, last, step)

    def _walk(self, spec: Field, part: str, first: int, last: int, step: int) -> list[int]:
        """Return the numbers of a range, which may wrap (22-2) but keeps its sign (-5--2)."""
        if (first < 0) != (last < 0):
            self._bad(spec, part, "mixes days from the start and from the end of the month")
        low, size = (-spec.high, spec.high) if first < 0 else (spec.low, spec.high - spec.low + 1)
        length = last - first if last >= first else (last - first) % size
        return [low + (first + at - low) % size for at in range(0, length + 1, step)]

    def _value(self, spec: Field, part: str, text: str) -> int:
        if spec.signed and text in ("L", "l"):
            # Other schedulers give L5 and L-3 other meanings
            if part.upper() != "L" and not part.partition("/")[0].upper().endswith("-L"):
                self._bad(spec, part, "has L in the wrong place")
            return -1
        if text.isalpha():
            return self._named(spec, part, text)
        number = int(text)
        top = spec.high + 1 if spec.wraps else spec.high
        if not (spec.low <= number <= top or (spec.signed and -spec.high <= number < 0)):
            self._bad(spec, part, "is out of range")
        return number

    def _named(self, spec: Field, part: str, text: str) -> int:
        known = {name.title(): number for name, number in spec.names.items()}
        if text.title() in known:
            return known[text.title()]
        short = text.title()[:3]
        hint = f', did you mean "{short}"?' if short in known else _did_you_mean(short, known)
        self._bad(spec, part, f"is not known{hint}")

    def _nth(self, part: str, day: str, nth: str) -> tuple[int, int]:
        weekday = self._value(WEEKDAY, part, day) % 7
        position = -1 if nth in "Ll" else int(nth)
        if not 1 <= abs(position) <= 5:
            self._bad(WEEKDAY, part, "is out of range")
        return weekday, position

    def _bad(self, spec: Field, text: str, why: str) -> NoReturn:
        problem = f'{spec.name} "{_clipped(text)}" {why}'
        _refuse(self.expression, spec.name, f"{problem}. Allowed: {spec.allowed}")
