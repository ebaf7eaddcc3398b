"""Another library's opinion on when a schedule is due: croniter, on standard expressions in UTC.

Where croniter answers otherwise, a `Difference` says which is right and why, and rewrites the
expression so that croniter must give our answer: a difference is not merely excused. One that
nothing here explains fails the test.
"""

import re
from calendar import day_abbr, month_abbr
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from attrs import frozen
from croniter import croniter
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rocketjob_plugins.cron import CronError, CronSchedule

MONTHS = {month_abbr[month].lower(): month for month in range(1, 13)}
WEEKDAYS = {day_abbr[day - 1].lower(): day for day in range(7)}
RANGES = ((0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, MONTHS), (0, 6, WEEKDAYS))
LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
DAY, MONTH, WEEKDAY = 2, 3, 4


def walked(part, at):
    """List the numbers of one element of a list."""
    low, high, names = RANGES[at]
    first, last, step = re.fullmatch(r"(\w+|\*)(?:-(\w+))?(?:/(\d+))?", part).groups()
    if first == "*":
        return list(range(low, high + 1, int(step or 1)))
    start = names[first.lower()] if first.lower() in names else int(first)
    if last is None:
        end = high if step else start
    else:
        end = names[last.lower()] if last.lower() in names else int(last)
    size = high - low + 1
    length = end - start if end >= start else (end - start) % size
    return [low + (start + n - low) % size for n in range(0, length + 1, int(step or 1))]


def numbers(field, at):
    return {number for part in field.split(",") for number in walked(part, at)}


@frozen
class Difference:
    """An expression on which croniter errs, and how to write any such one so that it does not."""

    example: str
    rewrite: Callable[[list[str]], list[str]]


def _one_value(part, at):
    """`5-5` is 5. croniter walks once around, and takes every value."""
    found = walked(part.partition("/")[0], at)
    return str(found[0]) if "-" in part and len(found) == 1 else part


def _wrapped_steps(part, at):
    """`3-1/2` is 3, 5, ... 23, 1: the steps go on over midnight. croniter starts them again."""
    found = walked(part, at)
    return ",".join(map(str, found)) if found != sorted(found) else part


def _each_part(change):
    def rewrite(fields):
        return [
            ",".join(change(part, at) for part in field.split(","))
            for at, field in enumerate(fields)
        ]

    return rewrite


def _every_day_of_month(fields):
    """`1-31` and `*/1` among the days are the same as `*`: the weekday alone decides."""
    days = fields[DAY].split(",")
    unrestricted = any(walked(part, DAY) == list(range(1, 32)) for part in days)
    return [*fields[:DAY], "*", *fields[MONTH:]] if unrestricted else fields


def _every_day(fields):
    """Days or weekdays other than a plain `*` count, even if they are all of them: it runs daily.

    croniter agrees on `0 0 13 * 0-6`, but not where the other field has a `*` in it, as in `*/10`.
    """

    def is_all(at, number):
        return fields[at] != "*" and len(numbers(fields[at], at)) == number

    daily = is_all(DAY, 31) or is_all(WEEKDAY, 7)
    return [*fields[:DAY], "*", fields[MONTH], "*"] if daily else fields


DIFFERENCES = {
    "one-value": Difference("5-5 * * * *", _each_part(_one_value)),
    "wrapped-steps": Difference("0 3-1/2 * * *", _each_part(_wrapped_steps)),
    "every-day-of-month": Difference("0 0 1-31 * Mon", _every_day_of_month),
    "every-day": Difference("0 0 */10 * 0-6", _every_day),
}


def never(expression):
    """Return whether no month named has a day named: refused, though weekdays could match."""
    _, _, days, months, _ = expression.split()
    longest = max(LENGTHS[month - 1] for month in numbers(months, MONTH))
    return min(numbers(days, DAY)) > longest


def croniters(expression, moment):
    """Return what croniter answers to what we mean by the expression."""
    fields = expression.split()
    for difference in DIFFERENCES.values():
        fields = difference.rewrite(fields)
    return _asked(" ".join(fields), moment)


def _asked(expression, moment):
    witness = croniter(expression, moment, ret_type=datetime)
    return witness.get_next(), croniter(expression, moment, ret_type=datetime).get_prev()


def ours(expression, moment):
    schedule = CronSchedule(expression)
    return schedule.next_time(moment), schedule.previous_time(moment)


def _value(at):
    low, high, names = RANGES[at]
    written = st.integers(low, 7 if at == WEEKDAY else high).map(str)
    if not names:
        return written
    name = st.sampled_from(sorted(names)).flatmap(lambda n: st.sampled_from([n, n.title()]))
    return written | name


@st.composite
def _part(draw, at):
    shape = draw(st.sampled_from(["{a}", "*", "{a}-{b}", "*/{n}", "{a}/{n}", "{a}-{b}/{n}"]))
    a, b, n = draw(_value(at)), draw(_value(at)), draw(st.integers(1, 40))
    return shape.format(a=a, b=b, n=n)


def _field(at):
    return st.just("*") | st.lists(_part(at), min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(*map(_field, range(5))).map(" ".join)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC))


@settings(max_examples=150)
@given(expression=EXPRESSIONS, moment=MOMENTS)
def test_croniter_agrees_on_the_next_and_the_previous_time(expression, moment):
    assume(not never(expression))
    assert ours(expression, moment) == croniters(expression, moment)


@given(expression=EXPRESSIONS)
def test_days_that_no_month_has_are_refused_whatever_the_weekday(expression):
    minute, hour, _, _, weekday = expression.split()
    impossible = f"{minute} {hour} 30,31 Feb {weekday}"
    assert never(impossible)
    with pytest.raises(CronError, match="never occurs in February"):
        CronSchedule(impossible)


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES)
def test_every_explanation_is_needed(difference):
    moment = datetime(2026, 3, 4, 0, 30, tzinfo=UTC)
    assert ours(difference.example, moment) != _asked(difference.example, moment)
    assert ours(difference.example, moment) == croniters(difference.example, moment)
