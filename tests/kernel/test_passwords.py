"""Passwords of URLs are shown nowhere."""

import json
import logging
import sys

import attrs
import pytest

from rocketjob import Job
from rocketjob.base.log import FIELDS
from rocketjob.base.log_format import ConsoleFormatter, JsonFormatter
from rocketjob.base.passwords import bounded, hide_passwords, hide_secrets_of, without_passwords
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
        ("sftp://me:a/b@c@host/x@y.csv", "sftp://me:***@host/x@y.csv"),
        ("sftp://me:se?cr#et@host/a.csv", "sftp://me:***@host/a.csv"),
        ("https://ghp_0123456789abcdefghij@github.com/x:1", "https://***@github.com/x:1"),
        ("simplecache::sftp://me:secret@h/a", "simplecache::sftp://me:***@h/a"),
        ("zip://a.csv::s3://key:secret@b/a.zip", "zip://a.csv::s3://key:***@b/a.zip"),
        ("https://h/x?a=1&X-Amz-Signature=secret", "https://h/x?a=1&X-Amz-Signature=***"),
        ("https://h/x?sv=2&sig=se%2Fcret, no", "https://h/x?sv=2&sig=*** no"),
        ("https://h/#access_token=secret", "https://h/#access_token=***"),
        ("https://h/x?auth=secret", "https://h/x?auth=***"),
        (
            "mongodb://h/?authMechanismProperties=X:secret",
            "mongodb://h/?authMechanismProperties=***",
        ),
        ("exceeded with url: /x?apiKey=secret (Caused", "exceeded with url: /x?apiKey=*** (Caused"),
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
        "https://h/x?author=ann&page=2&to=me",
        "mongodb://h/jobs?authMechanism=SCRAM-SHA-256&authSource=admin",
        "a = b&c, token = 5",
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


@pytest.mark.parametrize(
    "text",
    [
        "https://h/ failed: " + "QUJD" * 250_000,
        "http://u:" + "a" * 1_000_000,
        "http://u:x" * 100_000,
        "http://u:a/" + "@" * 1_000_000,
        "x://" * 250_000 + "@",
        "a " * 500_000 + "://=",
        "?" * 1_000_000 + "=",
        "?sig" * 250_000 + "=",
        "?" + "a" * 1_000_000 + "=",
    ],
    ids=range(9),
)
def test_a_long_text_is_looked_through_once(text):
    """In quadratic time each of these takes hours, so that the suite's own limit ends it."""
    assert hide_passwords(text)


def test_what_a_library_took_for_something_else_is_hidden():
    url = "sftp://me:gehe%2Fim/x@host:22/a.csv?sig=abc"
    said = "port 'gehe%2Fim' of gehe/im: abc at me@host, not abcd"
    assert hide_secrets_of(url, said) == "port '***' of ***/***: *** at me@host, not abcd"
    assert hide_secrets_of(url, f"no {url}") == "no sftp://me:***@host:22/a.csv?sig=***"


def test_a_long_message_is_cut_in_the_middle_and_not_within_a_url():
    assert bounded("short") == "short"
    said = bounded("begin " + "x" * 1_000_000 + " end", 100)
    assert said.startswith("begin xxx")
    assert said.endswith(" end")
    assert "characters left out" in said
    for before in range(60, 80):
        text = "x" * before + f" {URL} " + "y " * 100 + URL + " " + "z" * (95 - before)
        assert "secret" not in hide_passwords(bounded(text, 100))
        assert "cret@" not in hide_passwords(bounded(text, 100))


class LongErrorJob(Job):
    destroy_on_complete = False

    def perform(self):
        raise ValueError("begin " + "x" * 20_000_000 + " end")


def test_an_error_with_a_huge_message_fails_the_job_by_its_own_name(rocketjob):
    job = LongErrorJob.create()
    rocketjob.work_off()
    assert job.reload().is_failed
    assert job.exception.class_name == "ValueError"
    assert len(job.exception.message) < 25_000
    assert job.exception.message.endswith(" end")
    assert len(job.history[-1].reason) <= 500
