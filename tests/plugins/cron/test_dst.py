"""What happens when the clocks go forward or back."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocketjob_plugins.cron import CronSchedule

MINUTE = timedelta(minutes=1)

SPRING = "2026-03-08T05:00"  # midnight in New York; 02:00 (07:00 UTC) becomes 03:00
AUTUMN = "2026-11-01T04:00"  # midnight in New York; 02:00 (06:00 UTC) becomes 01:00


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def runs(text, start, hours=24, dst="safe"):
    """The runs from the start on (it may be one itself), as UTC times of day."""
    schedule, first = CronSchedule(text, dst=dst), at(start)
    found = []
    run = schedule.next_time(first - MINUTE)
    while run < first + timedelta(hours=hours):
        found.append(f"{run:%H:%M}")
        run = schedule.next_time(run)
    assert runs_backwards(schedule, first, hours) == found
    return found


def runs_backwards(schedule, first, hours):
    found = []
    run = schedule.previous_time(first + timedelta(hours=hours))
    while run >= first:
        found.insert(0, f"{run:%H:%M}")
        run = schedule.previous_time(run)
    return found


# -- gaps


@pytest.mark.parametrize(
    ("text", "safe", "literal"),
    [
        ("30 2 * * *", ["07:00"], []),
        ("*/10 2 * * *", ["07:00"], []),
        ("* 2 * * *", ["07:00"], []),
        ("0 3 * * *", ["07:00"], ["07:00"]),
        ("0 2,3 * * *", ["07:00"], ["07:00"]),
        ("15 2,3 * * *", ["07:00", "07:15"], ["07:15"]),
        ("30 1-3 * * *", ["06:30", "07:00", "07:30"], ["06:30", "07:30"]),
        ("59 1 * * *", ["06:59"], ["06:59"]),
        ("30 2 8 3 *", ["07:00"], []),
        ("30 2 * * Sun#2", ["07:00"], []),
        ("30 2 * * Mon", [], []),
        ("30 */2 * 3 *", None, [f"{hour:02}:30" for hour in [5, *range(8, 28, 2)]]),
        ("30 2,* 8 3 *", None, [f"{hour:02}:30" for hour in range(5, 28)]),
    ],
)
def test_fixed_hours_in_a_gap_run_once_at_its_end(text, safe, literal):
    wrapped = [f"{int(run[:2]) % 24:02}{run[2:]}" for run in literal]
    zoned = f"{text} America/New_York"
    assert runs(zoned, SPRING, 23, "literal") == wrapped
    assert runs(zoned, SPRING, 23) == (wrapped if safe is None else safe)


@pytest.mark.parametrize(
    ("text", "midnight", "expected"),
    [
        # the day has no midnight: clocks go from 23:59 to 01:00
        ("0 0 * * * America/Santiago", "2026-09-06T04:00", ["04:00"]),
        ("30 0 * * * America/Santiago", "2026-09-06T04:00", ["04:00"]),
        ("30 0,1 * * * America/Santiago", "2026-09-06T04:00", ["04:00", "04:30"]),
        ("0 0 6 9 * America/Santiago", "2026-09-06T04:00", ["04:00"]),
        ("0 0 5 9 * America/Santiago", "2026-09-06T04:00", []),
        ("0 0 * * * Asia/Beirut", "2026-03-28T22:00", ["22:00"]),
        ("@daily Africa/Cairo", "2026-04-23T22:00", ["22:00"]),
        ("45 0 * * Fri#-1 Africa/Cairo", "2026-04-23T22:00", ["22:00"]),
        # half an hour is left out: 02:00 becomes 02:30
        ("15 2 * * * Australia/Lord_Howe", "2026-10-03T13:30", ["15:30"]),
        ("0,15,30,45 2 * * * Australia/Lord_Howe", "2026-10-03T13:30", ["15:30", "15:45"]),
        ("40 2 * * * Australia/Lord_Howe", "2026-10-03T13:30", ["15:40"]),
    ],
)
def test_gaps_at_midnight_and_of_half_an_hour(text, midnight, expected):
    assert runs(text, midnight, 23) == expected


def test_a_day_that_was_skipped_altogether_runs_as_the_next_one_begins():
    """Samoa went from 29 to 31 December 2011."""
    skipped = "2011-12-30T10:00"
    assert runs("0 12 30 12 * Pacific/Apia", skipped) == ["10:00"]
    assert runs("0 12 * * Fri Pacific/Apia", skipped) == ["10:00"]
    assert runs("0 6,12,18 * * * Pacific/Apia", skipped) == ["10:00", "16:00", "22:00", "04:00"]
    assert runs("0 12 30 12 * Pacific/Apia", skipped, dst="literal") == []
    assert runs("0 */12 * * * Pacific/Apia", skipped) == ["10:00", "22:00"]


def test_the_run_after_a_gap_is_found_from_anywhere_before_it():
    schedule = CronSchedule("30 2 * * * America/New_York")
    gap = at("2026-03-08T07:00")
    assert schedule.next_time(gap - timedelta(microseconds=1)) == gap
    assert schedule.next_time(at("2026-03-07T07:30")) == gap
    assert schedule.next_time(gap) == at("2026-03-09T06:30")
    assert schedule.previous_time(gap + timedelta(microseconds=1)) == gap
    assert schedule.previous_time(gap) == at("2026-03-07T07:30")


# -- overlaps


@pytest.mark.parametrize(
    ("text", "safe", "literal"),
    [
        ("30 1 * * *", ["05:30"], ["05:30", "06:30"]),
        ("*/30 1 * * *", ["05:00", "05:30"], ["05:00", "05:30", "06:00", "06:30"]),
        ("30 0-2 * * *", ["04:30", "05:30", "07:30"], ["04:30", "05:30", "06:30", "07:30"]),
        ("0 2 * * *", ["07:00"], ["07:00"]),
        ("30 1 1 11 *", ["05:30"], ["05:30", "06:30"]),
        ("30 1 * * Sun#1", ["05:30"], ["05:30", "06:30"]),
        ("0 */3 * 11 *", None, ["04:00", "08:00", *(f"{hour:02}:00" for hour in range(11, 27, 3))]),
        ("0 /12 * 11 *", None, ["04:00", "17:00"]),
        ("0 * 1 11 *", None, [f"{hour:02}:00" for hour in range(4, 29)]),
        ("0 0-23 1 11 *", None, [f"{hour:02}:00" for hour in range(4, 29)]),
    ],
)
def test_fixed_hours_in_an_overlap_run_the_first_time_only(text, safe, literal):
    wrapped = [f"{int(run[:2]) % 24:02}{run[2:]}" for run in literal]
    zoned = f"{text} America/New_York"
    assert runs(zoned, AUTUMN, 25, "literal") == wrapped
    assert runs(zoned, AUTUMN, 25) == (wrapped if safe is None else safe)


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        # 02:00 becomes 01:30
        ("45 1 * * * Australia/Lord_Howe", "2026-04-04T13:00", ["14:45"]),
        ("15,45 1,2 * * * Australia/Lord_Howe", "2026-04-04T13:00", "14:15 14:45 15:45 16:15"),
        # midnight becomes 23:00 of the day before
        ("30 23 * * * America/Santiago", "2026-04-05T02:00", ["02:30"]),
        ("0 0 * * * America/Santiago", "2026-04-05T02:00", ["04:00"]),
        # 00:01 became 23:01 of the day before
        ("0 0 * * * America/St_Johns", "2007-11-04T02:00", ["02:30"]),
        ("30 23 3 11 * America/St_Johns", "2007-11-04T01:30", ["02:00"]),
    ],
)
def test_overlaps_at_midnight_and_of_half_an_hour(text, start, expected):
    assert runs(text, start, 10) == (expected.split() if isinstance(expected, str) else expected)


def test_the_second_showing_of_a_time_is_past_in_both_directions():
    schedule = CronSchedule("30 1 * * * America/New_York")
    second = at("2026-11-01T06:30")
    for asked in (second - MINUTE, second, second + MINUTE):
        assert schedule.next_time(asked) == at("2026-11-02T06:30")
        assert schedule.previous_time(asked) == at("2026-11-01T05:30")


# -- against counting minutes

CHANGES = [
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Europe/London", date(2026, 10, 25)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Santiago", date(2026, 4, 5)),
    ("America/Santiago", date(2026, 9, 6)),
    ("America/Havana", date(2026, 11, 1)),
    ("Asia/Beirut", date(2026, 3, 29)),
    ("Africa/Cairo", date(2026, 10, 30)),
    ("Antarctica/Troll", date(2026, 3, 29)),
    ("America/St_Johns", date(2007, 3, 11)),
    ("America/St_Johns", date(2007, 11, 4)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Pacific/Kwajalein", date(1969, 10, 1)),  # 23 hours back
    ("Africa/Monrovia", date(1972, 1, 7)),  # 44 minutes and 30 seconds forward
    ("Asia/Kolkata", date(2026, 1, 1)),
]
WINDOW = timedelta(days=3)


@cache
def clock(zone_name, day):
    """Every minute around a change of clocks: (UTC, wall, shown before), and what was left out.

    Knows nothing of folds: it looks at the clock on the wall, minute by minute.
    """
    zone, instant = ZoneInfo(zone_name), datetime(day.year, day.month, day.day, tzinfo=UTC) - WINDOW
    shown, missing, seen, last = [], [], set(), None
    while instant < datetime(day.year, day.month, day.day, tzinfo=UTC) + WINDOW:
        wall = instant.astimezone(zone).replace(tzinfo=None, fold=0)
        if last is not None:
            skipped = last + MINUTE
            while skipped < wall:
                missing.append((instant, skipped))
                skipped += MINUTE
        shown.append((instant, wall, wall in seen))
        seen.add(wall)
        last = wall
        instant += MINUTE
    return shown, missing


def expected_runs(minutes, hours, day_matches, zone_name, day, safe):
    shown, missing = clock(zone_name, day)

    def matches(wall):
        return wall.minute in minutes and wall.hour in hours and day_matches(wall)

    found = {utc for utc, wall, again in shown if matches(wall) and not (safe and again)}
    if safe:
        found.update(utc for utc, wall in missing if matches(wall))
    return sorted(found)


DAYS = {
    "* * *": lambda wall: True,
    "*/2 * *": lambda wall: wall.day % 2 == 1,
    "L,1,4 * *": lambda wall: wall.day in (1, 4) or (wall + timedelta(days=1)).day == 1,
    "* * Sun": lambda wall: wall.weekday() == 6,
    "* * Fri-Sat,Sun#1": lambda wall: (
        wall.weekday() in (4, 5) or (wall.weekday() == 6 and wall.day <= 7)
    ),
    "-3 * Wed": lambda wall: (
        wall.weekday() == 2
        or ((wall + timedelta(days=3)).day == 1 and (wall + timedelta(days=2)).day > 1)
    ),
}
MINUTES = st.sets(st.integers(0, 59), min_size=1, max_size=6)
HOURS = st.one_of(
    st.sets(st.integers(0, 23), min_size=1, max_size=4),
    st.sets(st.sampled_from([0, 1, 2, 3, 23]), min_size=1),
)


@given(
    *(st.sampled_from(CHANGES), MINUTES, HOURS, st.sampled_from(sorted(DAYS))),
    *(st.sampled_from(["safe", "literal"]), st.integers(-48 * 3600 * 10**6, 48 * 3600 * 10**6)),
)
@settings(derandomize=True, deadline=None, max_examples=400)
def test_both_directions_agree_with_counting_minutes(change, minutes, hours, days, dst, distance):
    zone_name, day = change
    if zone_name == "Africa/Monrovia":
        # until then its clocks did not show whole minutes at whole minutes of UTC
        minutes, distance = minutes | {0}, abs(distance) + 3600 * 10**6
    written = ",".join(map(str, minutes)), ",".join(map(str, hours))
    schedule = CronSchedule(f"{written[0]} {written[1]} {days} {zone_name}", dst=dst)
    expected = expected_runs(minutes, hours, DAYS[days], zone_name, day, dst == "safe")
    now = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(microseconds=distance)

    later = [run for run in expected if run > now]
    earlier = [run for run in expected if run < now]
    start, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) + s * WINDOW for s in (-1, 1))
    if later:
        assert schedule.next_time(now) == later[0]
    else:
        assert schedule.next_time(now) >= end
    if zone_name == "Africa/Monrovia":
        return
    if earlier:
        assert schedule.previous_time(now) == earlier[-1]
    else:
        assert schedule.previous_time(now) < start
