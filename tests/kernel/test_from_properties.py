"""`from_properties`: texts of forms, command lines and directory monitors."""

import enum
import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import attrs
import pendulum
import pytest
from bson import ObjectId

from rocketjob import Job, ValidationError


class Priority(enum.Enum):
    LOW = "low"
    HIGH = 9


@attrs.define
class Place:
    city: str
    since: date | None = None


class PropertiesJob(Job):
    text: str | None = None
    note: str = ""
    whole: int | None = None
    real: float | None = None
    flag: bool | None = None
    raw: bytes | None = None
    amount: Decimal | None = None
    day: date | None = None
    span: timedelta | None = None
    uuid: UUID | None = None
    oid: ObjectId | None = None
    kind: Priority | None = None
    choice: Literal["a", 3] | None = None
    words: list[str] = []
    numbers: list[int] | None = None
    two: tuple[str, int] | None = None
    many: tuple[int, ...] | None = None
    unique: set[int] | None = None
    counts: dict[str, int] | None = None
    loose: dict | None = None
    pages: range | None = None
    pattern: re.Pattern | None = None
    place: Place | None = None
    either: int | str | None = None
    answer: bool | str | None = None
    measure: float | int | None = None
    price: float | Decimal | None = None
    delay: timedelta | str | None = None
    anything: Any = None

    def perform(self): ...


GOOD = [
    ("text", "x", "x"),
    ("text", "none", "none"),
    ("text", "", None),
    ("note", "", ""),
    ("whole", " 10 ", 10),
    ("whole", "-5", -5),
    ("whole", "", None),
    ("whole", "null", None),
    ("whole", 10, 10),
    ("real", "1.5", 1.5),
    ("flag", "true", True),
    ("flag", "Off", False),
    ("flag", "1", True),
    ("raw", "ab", b"ab"),
    ("amount", "1.10", Decimal("1.10")),
    ("day", "2026-01-31", date(2026, 1, 31)),
    ("span", "90", timedelta(seconds=90)),
    ("span", "1h 30m", timedelta(minutes=90)),
    ("span", "-2d", timedelta(days=-2)),
    ("span", "PT1H30M", timedelta(minutes=90)),
    ("uuid", str(UUID(int=7)), UUID(int=7)),
    ("oid", "55aeaf03a26ec0c1bd00008d", ObjectId("55aeaf03a26ec0c1bd00008d")),
    ("kind", "low", Priority.LOW),
    ("kind", "HIGH", Priority.HIGH),
    ("kind", "9", Priority.HIGH),
    ("choice", "a", "a"),
    ("choice", "3", 3),
    ("words", "a, b", ["a", "b"]),
    ("words", '["a, b", "c"]', ["a, b", "c"]),
    ("words", "", []),
    ("numbers", "1,2", [1, 2]),
    ("numbers", "[1, 2]", [1, 2]),
    ("two", "a,5", ("a", 5)),
    ("many", "1,2,3", (1, 2, 3)),
    ("unique", "1,2,2", {1, 2}),
    ("counts", '{"a": 1, "b": "2"}', {"a": 1, "b": 2}),
    ("loose", '{"a": [1]}', {"a": [1]}),
    ("pages", "1:10:2", range(1, 10, 2)),
    ("pages", "1..5", range(1, 5)),
    ("pattern", "^a", re.compile("^a")),
    ("place", '{"city": "Tampa", "since": "2026-01-31"}', Place("Tampa", date(2026, 1, 31))),
    ("either", "5", 5),
    ("either", "five", "five"),
    ("either", "00501", "00501"),
    ("either", "1_000", "1_000"),
    ("either", " 5", " 5"),
    ("answer", "no", "no"),
    ("answer", "true", True),
    ("measure", "5", 5),
    ("measure", "9007199254740993", 9007199254740993),
    ("measure", "1.50", 1.5),
    ("price", "1.10", Decimal("1.10")),
    ("price", "1.5", 1.5),
    ("delay", "00501", "00501"),
    ("delay", "2h", timedelta(hours=2)),
    ("anything", "[1, 2]", [1, 2]),
    ("anything", "7", 7),
    ("anything", "-7.5", -7.5),
    ("anything", "true", True),
    ("anything", "null", None),
    ("anything", "00501", "00501"),
    ("anything", "77950e8", "77950e8"),
    ("anything", "1.10", "1.10"),
    ("anything", "1e999", "1e999"),
    ("anything", "-0", "-0"),
    ("anything", "NaN", "NaN"),
    ("anything", "9007199254740993.0", "9007199254740993.0"),
    ("loose", '{"a": 1.10}', {"a": 1.1}),
    ("anything", "plain", "plain"),
    ("priority", "5", 5),
    ("run_at", "2026-01-31T08:30:00Z", pendulum.datetime(2026, 1, 31, 8, 30)),
    ("run_at", "2026-01-31 08:30", pendulum.datetime(2026, 1, 31, 8, 30)),
    ("run_at", "2026-01-31T08:30:00-05:00", pendulum.datetime(2026, 1, 31, 13, 30)),
    ("run_at", "2026-01-31", pendulum.datetime(2026, 1, 31)),
    ("log_level", "debug", "debug"),
    ("log_level", "", None),
    ("destroy_on_complete", "false", False),
]


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_text_becomes_the_value_that_it_names(rocketjob, name, text, value):
    job = PropertiesJob.from_properties({name: text})
    assert getattr(job, name) == value
    assert type(getattr(job, name)) is type(value)
    assert job.is_valid(), job.errors


BAD = [
    ("real", "1e999", "must fit into a float, not '1e999'"),
    ("loose", '{"a": 1e999}', "the number 1e999 cannot be kept as it is: put it in double quotes"),
    ("loose", '{"a": 1, "a": 2}', "the name 'a' is there twice"),
    ("anything", "[9007199254740993.0]", "cannot be kept as it is: put it in double quotes"),
    ("anything", "[NaN]", "NaN is not a number in JSON: put it in double quotes"),
    ("words", "[1e999]", "cannot be kept as it is"),
    ("whole", "ten", "must be a whole number, not 'ten'"),
    ("real", "x", "must be a number, not 'x'"),
    ("flag", "perhaps", "must be true or false, not 'perhaps'"),
    ("amount", "x", "must be a decimal number, not 'x'"),
    ("day", "31.1.2026", "must be a date such as 2026-01-31, not '31.1.2026'"),
    ("span", "long", "must be a duration such as 90s, 2h or 1d 12h, not 'long'"),
    ("span", "1h 30", "must be a duration such as 90s, 2h or 1d 12h, not '1h 30'"),
    ("span", "30 1h", "must be a duration such as 90s, 2h or 1d 12h, not '30 1h'"),
    ("span", "--5m", "must be a duration such as 90s, 2h or 1d 12h, not '--5m'"),
    ("span", "-+5m", "must be a duration such as 90s, 2h or 1d 12h, not '-+5m'"),
    ("span", "", None),
    ("uuid", "x", "must be a UUID, not 'x'"),
    ("oid", "x", "must be an id of 24 hexadecimal digits, not 'x'"),
    ("kind", "x", "must be one of low, 9, not 'x'"),
    ("choice", "x", "must be one of a, 3, not 'x'"),
    ("words", "[1", "is not a JSON list"),
    ("numbers", "1,x", "must be a whole number, not 'x'"),
    ("counts", "a=1", "must be a JSON object"),
    ("counts", "[1]", "must be a JSON object such as"),
    ("counts", '{"a": "x"}', "must be a whole number, not 'x'"),
    ("pages", "x", "must be a range such as 1:10 or 1:10:2, not 'x'"),
    ("pattern", "(", "must be a regular expression"),
    ("place", "x", "must be the JSON of a Place"),
    ("place", "{}", "must be the JSON of a Place"),
    ("place", "[]", "must be the JSON of a Place"),
    ("run_at", "soon", "must be a time such as 2026-01-31T08:30:00Z, or from now such as 2h"),
    ("log_level", "loud", "must be one of trace, debug, info, warn, error, fatal, not 'loud'"),
]


@pytest.mark.parametrize(("name", "text", "message"), [row for row in BAD if row[2]])
def test_a_text_that_names_no_value_is_refused_by_field(name, text, message):
    with pytest.raises(ValidationError) as error:
        PropertiesJob.from_properties({name: text})
    assert message in error.value.errors[name][0]


def test_every_message_is_collected_unknown_names_too():
    with pytest.raises(ValidationError) as error:
        PropertiesJob.from_properties(
            {"whole": "x", "day": "x", "prority": "5", "state": "failed", "text": "good"}
        )
    assert set(error.value.errors) == {"whole", "day", "prority", "state"}
    assert "did you mean priority?" in error.value.errors["prority"][0]
    assert "set by the system" in error.value.errors["state"][0]


def test_every_type_of_field_is_tried():
    own = set(PropertiesJob.fields()) - set(Job.fields())
    assert own <= {name for name, *_ in GOOD}


def test_a_duration_for_run_at_means_from_now(rocketjob):
    rocketjob.freeze(pendulum.datetime(2026, 1, 1))
    job = PropertiesJob.from_properties({"run_at": "2h"})
    assert job.run_at == pendulum.datetime(2026, 1, 1, 2)
