"""What a schedule answers, and how long it may think about it."""

import copy
import json
import pickle
import time
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice, pairwise
from pathlib import Path

import pendulum
import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import given, settings
from hypothesis import strategies as st

from rocketjob_plugins.cron import CronError, CronSchedule

CASES = json.loads(Path(__file__).with_name("cron_cases_public.json").read_text())


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_next_times_are_those_of_the_original(case):
    if case["expected"] == "error":
        with pytest.raises(CronError):
            CronSchedule(case["cron"], dst="literal")
        return
    schedule = CronSchedule(case["cron"], dst="literal")
    found = schedule.next_times(datetime.fromisoformat(case["from"]), case["n"])
    assert [f"{run:%Y-%m-%dT%H:%M:%SZ}" for run in found] == case["expected"]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["expected"] != "error"], ids=lambda case: case["id"]
)
def test_previous_times_are_the_next_ones_backwards(case):
    schedule = CronSchedule(case["cron"], dst="literal")
    expected = [datetime.fromisoformat(run) for run in case["expected"]]
    for earlier, later in pairwise(expected):
        assert schedule.previous_time(later) == earlier


def test_a_run_is_strictly_later_than_the_question():
    schedule = CronSchedule("0 12 * * *")
    assert schedule.next_time(at("2026-03-04T11:59:59.999999")) == at("2026-03-04T12:00")
    assert schedule.next_time(at("2026-03-04T12:00")) == at("2026-03-05T12:00")


def test_a_run_is_strictly_earlier_than_the_question_to_the_microsecond():
    schedule = CronSchedule("0 12 * * *")
    assert schedule.previous_time(at("2026-03-04T12:00:00.000001")) == at("2026-03-04T12:00")
    assert schedule.previous_time(at("2026-03-04T12:00")) == at("2026-03-03T12:00")


def test_the_answer_is_a_pendulum_time_in_utc():
    run = CronSchedule("0 12 L * * America/New_York").next_time(at("2018-01-01T10:00"))
    assert isinstance(run, pendulum.DateTime)
    assert run.timezone_name == "UTC"
    assert run == at("2018-01-31T17:00")


@pytest.mark.parametrize(
    "asked",
    [
        pendulum.datetime(2026, 3, 4, 6, 30, tz="America/New_York"),
        datetime(2026, 3, 4, 12, 30, tzinfo=timezone(timedelta(hours=1))),
    ],
    ids=["pendulum", "fixed-offset"],
)
def test_the_question_may_be_in_any_zone(asked):
    assert CronSchedule("0 12 * * *").next_time(asked) == at("2026-03-04T12:00")
    assert CronSchedule("0 11 * * *").previous_time(asked) == at("2026-03-04T11:00")


@pytest.mark.parametrize("ask", ["next_time", "previous_time"])
def test_a_time_without_zone_is_refused(ask):
    with pytest.raises(CronError, match="has no time zone: give it one"):
        getattr(CronSchedule("* * * * *"), ask)(datetime(2026, 3, 4))


def test_the_zone_of_the_expression_wins_over_the_default():
    assert CronSchedule("0 1 * * *", time_zone="Asia/Tokyo").time_zone == "Asia/Tokyo"
    schedule = CronSchedule("0 1 * * * America/New_York", time_zone="Asia/Tokyo")
    assert schedule.time_zone == "America/New_York"
    assert schedule.next_time(at("2015-12-09T17:50:05")) == at("2015-12-10T06:00")


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * Sun"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 Jan *"),
    ],
)
def test_words_stand_for_fields_with_and_without_a_zone(word, fields):
    now = at("2026-03-04T05:06:07")
    for zone in ("", " Asia/Kolkata"):
        expected = CronSchedule(fields + zone).next_times(now, 3)
        assert CronSchedule(word + zone).next_times(now, 3) == expected


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("0 24 * * *", "0 0 * * *"),
        ("0 22-24 * * *", "0 0,22,23 * * *"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 7-7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 * * 7-2", "0 0 * * 0,1,2"),
        ("0 0 * * Sat-Sun", "0 0 * * 0,6"),
        ("0 22-2/2 * * *", "0 0,2,22 * * *"),
        ("/20 * * * *", "0,20,40 * * * *"),
        ("*/90 * * * *", "0 * * * *"),
        ("0 0 25-L * *", "0 0 25-31 * *"),
        ("0 0 25-L/3 * *", "0 0 25,28,31 * *"),
        ("0 0 -1--3 * *", "0 0 -31--3,-1 * *"),
        ("0 0 5/10 * *", "0 0 5,15,25 * *"),
        ("0 0 * * Mon#L", "0 0 * * mon#-1"),
        ("0 0 1-L * Mon", "0 0 * * Mon"),
        ("@DAILY", "0 0 * * *"),
    ],
)
def test_two_ways_to_write_the_same(one, same):
    now = at("2026-01-01T00:00")
    assert CronSchedule(one).next_times(now, 40) == CronSchedule(same).next_times(now, 40)


def test_a_day_that_is_late_in_coming_is_found_in_both_directions():
    schedule = CronSchedule("0 0 * 2 Mon#5")
    assert schedule.next_time(at("2072-03-01T00:00")) == at(
        "2112-02-29T00:00"
    )  # 2100: no leap year
    assert schedule.previous_time(at("2112-02-29T00:00")) == at("2072-02-29T00:00")


def test_a_time_that_is_never_shown_is_given_up_after_60_years():
    never = CronSchedule("30 2 * 3 Sun#2 America/New_York", dst="literal")
    started = time.process_time()
    with pytest.raises(CronError, match="does not run within 60 years after 2026-01-01"):
        never.next_time(at("2026-01-01T00:00"))
    assert time.process_time() - started < 1
    assert never.previous_time(at("2026-01-01T00:00")) == at("2006-03-12T07:30")


def test_the_ends_of_the_calendar_are_errors_like_any_other():
    schedule = CronSchedule("0 0 1 1 * America/New_York")
    with pytest.raises(CronError, match="does not run"):
        schedule.next_time(datetime.max.replace(tzinfo=UTC))
    with pytest.raises(CronError, match="did not run"):
        schedule.previous_time(datetime.min.replace(tzinfo=UTC))


def test_iteration_goes_on_where_next_times_ends():
    schedule, now = CronSchedule("*/15 9 * * Mon-Fri"), at("2026-03-06T09:20")
    assert list(islice(schedule.times_after(now), 5)) == schedule.next_times(now, 5)
    assert schedule.next_times(now, 0) == []


def test_an_ordinary_question_takes_well_under_a_millisecond():
    schedules = [
        CronSchedule(text)
        for text in ("* * * * *", "0 12 L * * America/New_York", "0 9 * * Mon#1 Europe/London")
    ]
    now = at("2026-03-04T05:06:07")
    started = time.process_time()
    for _ in range(100):
        for schedule in schedules:
            schedule.next_time(now)
            schedule.previous_time(now)
    assert (time.process_time() - started) / 600 < 0.001


# -- as a value


def test_equal_are_schedules_of_the_same_text_mode_and_zone():
    schedule = CronSchedule("0 1 * * * UTC")
    assert schedule == CronSchedule("0 1 * * * UTC", time_zone="Asia/Tokyo")
    assert hash(schedule) == hash(CronSchedule("0 1 * * * UTC"))
    assert schedule != CronSchedule("0 1 * * *")
    assert schedule != CronSchedule("0 1 * * * UTC", dst="literal")
    assert CronSchedule("0 1 * * *") != CronSchedule("0 1 * * *", time_zone="Asia/Tokyo")


def test_a_schedule_cannot_be_changed():
    schedule = CronSchedule("0 1 * * *")
    with pytest.raises(FrozenInstanceError):
        schedule.expression = "0 2 * * *"


def test_the_text_is_kept_as_it_was_written():
    schedule = CronSchedule("  0 1  * * *")
    assert str(schedule) == schedule.expression == "  0 1  * * *"
    assert repr(CronSchedule("0 1 * * *")) == (
        "CronSchedule(expression='0 1 * * *', dst='safe', time_zone='UTC')"
    )


@pytest.mark.parametrize("again", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_is_equal_and_works(again):
    schedule = CronSchedule("0 1 L * * America/New_York", dst="literal")
    copied, now = again(schedule), at("2026-01-01T00:00")
    assert copied == schedule
    assert copied.next_time(now) == schedule.next_time(now)


# -- any expression at all

FIELDS = (
    st.sampled_from(["*", "0", "59", "*/7", "5-10", "55-5", "0,30", "15/20"]),
    st.sampled_from(["*", "0", "2", "23", "*/5", "1-3", "22-2", "4,17"]),
    st.sampled_from(["*", "*", "1", "31", "L", "-1", "-31", "-7--2/2", "30-3", "*/9", "29"]),
    st.sampled_from(["*", "*", "2", "1,7", "Nov-Feb", "*/5"]),
    st.sampled_from(["*", "*", "0", "Mon-Fri", "Mon#1", "Sun#-1", "Fri-Mon", "Wed#5", "*/2"]),
)
EXPRESSIONS = st.tuples(*FIELDS).map(" ".join).filter(lambda text: "31 2 " not in text)
ZONES = st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
TIMES = st.datetimes(datetime(1975, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC))
MODES = st.sampled_from(["safe", "literal"])


@given(EXPRESSIONS, ZONES, MODES, TIMES)
@settings(derandomize=True, deadline=None, max_examples=400)
def test_forwards_and_backwards_meet(text, zone, dst, now):
    schedule = CronSchedule(text, dst=dst, time_zone=zone)
    run = schedule.next_time(now)
    assert run > now
    assert schedule.previous_time(run) <= now
    assert schedule.next_time(schedule.previous_time(run)) == run
    assert schedule.previous_time(run + timedelta(microseconds=1)) == run


@given(st.text("0123456789*/,-L#@ MonJaUTC", max_size=60))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_any_text_is_a_schedule_or_a_cron_error(text):
    try:
        schedule = CronSchedule(text)
    except CronError as error:
        assert len(str(error)) < 600
    else:
        assert schedule.describe()
