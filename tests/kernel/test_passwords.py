"""Passwords of URLs are shown nowhere."""

import json
import logging
import sys

import attrs
import pytest

from rocketjob import Job
from rocketjob.base.log import FIELDS, ConsoleFormatter, JsonFormatter
from rocketjob.base.passwords import hide_passwords, without_passwords
from rocketjob.jobs.exception import JobException

URL = "sftp://me:secret@host/a.csv"
HIDDEN = "sftp://me:***@host/a.csv"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (URL, HIDDEN),
        (
            "no file sftp://me:a@h/x, nor https://u:b@h",
            "no file sftp://me:***@h/x, nor https://u:***@h",
        ),
        ("sftp://me:se@cret@host/a@b.csv", "sftp://me:***@host/a@b.csv"),
        ("sftp://me:se/cret@host/a.csv", "sftp://me:***@host/a.csv"),
        ("redis://:secret@host", "redis://:***@host"),
    ],
)
def test_a_password_is_hidden(text, shown):
    assert hide_passwords(text) == shown
    assert hide_passwords(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://host:8080/users/@me",
        "http://host:8080?to=me@example.com",
        "http://[::1]:80/",
        "sftp://me@host/a:b@c",
        "at 12:30 to me@example.com",
    ],
)
def test_what_is_no_password_stays(text):
    assert hide_passwords(text) == text


@attrs.define
class PasswordPlace:
    url: str
    size: int = 1


def test_a_value_without_passwords_is_the_value_itself():
    value = {"a": [1, ("x", PasswordPlace("file:///a"))], "b": None}
    assert without_passwords(value) is value
    value["b"] = PasswordPlace(URL, 5)
    shown = without_passwords(value)
    assert shown == {"a": value["a"], "b": PasswordPlace(HIDDEN, 5)}
    assert value["b"].url == URL


def error_about(url):
    try:
        try:
            raise OSError(f"cannot open {url}")
        except OSError as error:
            raise ValueError(f"no file {url}") from error
    except ValueError as error:
        return error


def test_an_exception_is_kept_without():
    found = JobException.of(error_about(URL))
    assert found.message == f"no file {HIDDEN}"
    assert found.cause.message == f"cannot open {HIDDEN}"


@pytest.mark.parametrize("formatter", [ConsoleFormatter(), JsonFormatter()])
def test_logs_are_without(formatter):
    record = logging.makeLogRecord({"msg": f"reading {URL}", "levelno": 20, "process": 1})
    setattr(record, FIELDS, {"url": URL, "all": [URL], "place": PasswordPlace(URL)})
    try:
        raise error_about(URL)
    except ValueError:
        record.exc_info = sys.exc_info()
    said = formatter.format(record)
    assert "secret" not in said
    assert f"reading {HIDDEN}" in said
    if isinstance(formatter, JsonFormatter):
        assert json.loads(said)["all"] == [HIDDEN]


class PasswordUrlJob(Job):
    url: str

    def perform(self): ...


def test_status_and_history_are_without_and_the_job_keeps_it(rocketjob):
    job = PasswordUrlJob.create(url=URL, description=f"reads {URL}")
    job.start()
    job.fail(f"no file {URL}")
    job = PasswordUrlJob.find(job.id)
    assert job.url == URL
    assert job.status()["url"] == HIDDEN
    assert job.as_dict()["description"] == f"reads {HIDDEN}"
    assert job.history[-1].reason.endswith(HIDDEN)
    assert "secret" not in str(job.explain())
