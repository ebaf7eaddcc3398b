"""The log targets of services, each with the service's own library, against a receiver here."""

import contextlib
import http.server
import json
import logging
import os
import threading
from datetime import timedelta

import pytest

pytest.importorskip("bugsnag")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.sdk.trace import TracerProvider

from rocketjob import ConfigurationError, Job, hookimpl
from rocketjob.base import log as logs
from rocketjob.base import log_outlet
from rocketjob.base.log import Logger
from rocketjob.base.log_targets import LogTarget
from rocketjob.testing import sandbox
from rocketjob_contrib.opentelemetry import instrument
from support.runtime import PATIENCE, bare_root_logger, eventually

BREAKS_OFF = 0  # in place of a status: what comes back is no answer


class ServicesTalkingJob(Job):
    number: int = 0

    def perform(self):
        self.logger.info("talking", number=self.number)


@pytest.fixture(autouse=True)
def root(monkeypatch):
    """The root logger, as it was before afterwards; pauses are short."""
    monkeypatch.setattr(log_outlet, "PAUSES", (0.001, 0.01))
    with bare_root_logger() as logger:
        yield logger


class Receiver(http.server.ThreadingHTTPServer):
    """Takes what the libraries post; `answers` are given first, then 200."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Request)
        self.answers, self.taken, self.refused = [], [], []
        self.gate = threading.Event()
        self.gate.set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def lines(self):
        """Return the log records of OTLP that were taken, with the name of the logger of each."""
        for _, _, body in self.taken:
            request = logs_service_pb2.ExportLogsServiceRequest.FromString(body)
            for resource in request.resource_logs:
                for scope in resource.scope_logs:
                    for line in scope.log_records:
                        yield scope.scope.name, line, resource.resource

    def texts(self):
        return [line.body.string_value for _, line, _ in self.lines()]

    def events(self):
        """Return the events of Bugsnag that were taken."""
        return [event for _, _, body in self.taken for event in json.loads(body)["events"]]


class Request(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.gate.wait(PATIENCE)
        status = self.server.answers.pop(0) if self.server.answers else 200
        if b"poison" in body:
            status = 400
        kept = self.server.taken if status == 200 else self.server.refused
        kept.append((self.path, dict(self.headers), body))
        with contextlib.suppress(OSError):  # whoever asked may have given up
            if status == BREAKS_OFF:
                self.wfile.write(b"nothing that is HTTP\r\n\r\n")
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_): ...


@pytest.fixture
def receiver():
    with Receiver() as made:
        serving = threading.Thread(target=made.serve_forever, args=(0.01,))
        serving.start()
        yield made
        made.gate.set()
        made.shutdown()
        serving.join()


@contextlib.contextmanager
def logging_to(*entries, level="info", **settings):
    with sandbox(log=list(entries), log_level=level, **settings) as made:
        service = made.application.log_service().start()
        try:
            yield made
        finally:
            service.stop()


def otlp(receiver, **more):
    return {"target": "otlp", "endpoint": f"{receiver.url}/v1/logs", "seconds": PATIENCE, **more}


def bugsnag(receiver, **more):
    return {"bugsnag": {"api_key": "0" * 32, "endpoint": receiver.url, **more}}


def raised():
    try:
        raise KeyError("gone")
    except KeyError:
        Logger("app").exception("failed", job="7")


def attributes_of(line):
    return {each.key: each.value for each in line.attributes}


TARGETS = pytest.mark.parametrize("target", ["otlp", "bugsnag"])


@contextlib.contextmanager
def logging_to_one(target, receiver, **options):
    entry = otlp(receiver, **options) if target == "otlp" else {"target": target, **options}
    with logging_to(entry, **bugsnag(receiver, seconds=PATIENCE)) as made:
        yield made


def messages(target, receiver):
    if target == "otlp":
        return receiver.texts()
    return [event["metaData"]["rocketjob"]["message"] for event in receiver.events()]


# --- both ------------------------------------------------------------------------------------


@TARGETS
@pytest.mark.parametrize("answer", [500, 403])
def test_lines_wait_while_the_service_cannot_take_them(target, receiver, answer):
    receiver.answers = [answer] * 3
    with logging_to_one(target, receiver):
        Logger("app").error("hello")
        eventually(lambda: receiver.taken)
    assert messages(target, receiver) == ["hello"]
    assert len(receiver.refused) == 3


@TARGETS
def test_a_line_that_the_service_refuses_is_lost_alone(target, receiver, capsys):
    receiver.gate.clear()
    with logging_to_one(target, receiver):
        for text in ("a", "poison", "b"):
            Logger("app").error(text)
        receiver.gate.set()
        eventually(lambda: "a line cannot be logged" in capsys.readouterr().err)
        eventually(lambda: len(messages(target, receiver)) == 2)
    assert sorted(messages(target, receiver)) == ["a", "b"]


@TARGETS
def test_jobs_are_not_held_up_by_a_service_that_does_not_answer(target, receiver):
    receiver.gate.clear()
    with logging_to_one(target, receiver, buffer=1) as made:
        for number in range(50):
            ServicesTalkingJob.create(number=number)
        assert made.work_off() == 50  # although nothing has been answered
        assert not receiver.taken
        (outlet,) = [outlet for _, outlet in logs.services[-1]._outlets]
        assert outlet.dropped >= 45
        receiver.gate.set()


@TARGETS
def test_passwords_are_hidden(target, receiver):
    url = "mongodb://me:hidden1@db"
    with logging_to_one(target, receiver):
        Logger("app").error("hello", error=ConnectionError(f"{url} is away"), url=url)
        Logger("app").error(f"cannot reach {url}")
        try:
            raise ConnectionError(f"{url} is closed")
        except ConnectionError:
            Logger("app").exception("failed")
    said = b"".join(body for _, _, body in receiver.taken)
    assert b"hidden1" not in said
    assert all(text in said for text in (b"is away", b"cannot reach", b"is closed"))


def test_a_note_that_raises_does_not_disturb_whoever_logs(tmp_path):
    def note(record):
        raise RuntimeError("no span")

    def make(options):
        return logging.FileHandler(tmp_path / "own.log")

    class Own:
        @hookimpl
        def register_log_targets(self):
            return [LogTarget("own", make, "a file", note=note)]

    with logging_to("own", plugins=[Own()]):
        Logger("app").info("hello")
    assert "app: hello" in (tmp_path / "own.log").read_text()


# --- OTLP ------------------------------------------------------------------------------------


def test_lines_go_to_a_collector_with_their_fields(receiver, monkeypatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    fields = {"a": 1, "share": 0.5, "on": True, "big": 2**70, "none": None, "half": "\udce9"}
    with logging_to(otlp(receiver, headers={"api-key": "k1"}), level="debug"):
        Logger("app").warning("hello", when=timedelta(seconds=5), **fields)
        Logger("app.sub").debug("more")
        raised()
    path, headers, _ = receiver.taken[0]
    assert (path, headers["api-key"]) == ("/v1/logs", "k1")
    lines = {line.body.string_value: (name, line) for name, line, _ in receiver.lines()}
    name, hello = lines["hello"]
    assert (name, hello.severity_text, hello.severity_number) == ("app", "warn", 13)
    said = attributes_of(hello)
    assert (said["a"].int_value, said["share"].double_value, said["on"].bool_value) == (
        1,
        0.5,
        True,
    )
    assert (said["when"].string_value, said["big"].string_value) == ("0:00:05", str(2**70))
    assert said["half"].string_value == "\\udce9"
    assert "none" not in said
    assert (lines["more"][0], lines["more"][1].severity_number) == ("app.sub", 5)
    failed = attributes_of(lines["failed"][1])
    assert failed["exception.type"].string_value == "builtins.KeyError"
    assert failed["exception.message"].string_value == "'gone'"
    assert 'raise KeyError("gone")' in failed["exception.stacktrace"].string_value
    (*_, (_, _, resource)) = receiver.lines()
    known = {each.key: each.value for each in resource.attributes}
    assert known["service.name"].string_value == "rocketjob"
    assert known["deployment.environment"].string_value == "test"
    assert known["process.pid"].int_value == os.getpid()


def test_a_line_of_a_job_names_the_span_of_its_perform(receiver):
    seen = []

    class Spans:
        def on_start(self, span, parent_context=None):
            seen.append(span.get_span_context())

        def on_end(self, span): ...

        def shutdown(self): ...

        def force_flush(self, timeout_millis=0):
            return True

    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(Spans())
    with logging_to(otlp(receiver)) as made:
        instrument(tracing)
        ServicesTalkingJob.create()
        made.work_off()
        Logger("app").info("beside")
    found = {line.body.string_value: line for _, line, _ in receiver.lines()}
    (span,) = seen
    assert found["talking"].trace_id == span.trace_id.to_bytes(16, "big")
    assert found["talking"].span_id == span.span_id.to_bytes(8, "big")
    assert not found["beside"].trace_id.strip(b"\0")


def test_what_waits_goes_in_one_request(receiver):
    receiver.gate.clear()
    with logging_to(otlp(receiver)):
        for number in range(100):
            Logger("app").info(f"line {number}")
        receiver.gate.set()
    assert receiver.texts() == [f"line {number}" for number in range(100)]
    assert len(receiver.taken) < 50


def test_the_collector_is_that_of_the_environment_if_none_is_given(receiver, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    with logging_to("otlp"):
        Logger("app").info("hello")
        eventually(lambda: receiver.taken)
    ((_, _, resource),) = receiver.lines()
    known = {each.key: each.value.string_value for each in resource.attributes}
    assert known["service.name"] == "shop"


def test_a_handler_that_is_closed_again_says_nothing(receiver, caplog):
    with logging_to(otlp(receiver)):
        ((_, outlet),) = logs.services[-1]._outlets
        Logger("app").info("hello")
    outlet.handler.close()
    assert [record.getMessage() for record in caplog.records] == ["hello"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"endpoint": "collector:4318"}, "must be a URL such as http://collector:4318/v1/logs"),
        ({"headers": "api-key=secret1"}, "headers = .hidden.: must be a table"),
        ({"url": "http://x"}, "there is no option url"),
    ],
)
def test_wrong_options_of_otlp_are_refused(options, message):
    with (
        pytest.raises(ConfigurationError, match=message) as raised,
        logging_to({"target": "otlp", **options}),
    ):
        pass
    assert "secret1" not in str(raised.value)


# --- Bugsnag ---------------------------------------------------------------------------------


def test_an_error_goes_to_bugsnag_with_its_traceback_and_the_fields_of_the_job(receiver):
    settings = bugsnag(receiver, release_stage="production", app_version="1.2")
    with logging_to({"target": "bugsnag", "level": "error"}, **settings):
        Logger("app").warning("not this")
        raised()
        Logger("app").error("sold out", article=7, when=timedelta(seconds=5))
        eventually(lambda: len(receiver.taken) == 2)
    (_, headers, _), _ = receiver.taken
    assert headers["Bugsnag-Api-Key"] == "0" * 32
    failed, sold_out = receiver.events()
    assert failed["exceptions"][0]["errorClass"] == "KeyError"
    assert any(frame["method"] == "raised" for frame in failed["exceptions"][0]["stacktrace"])
    assert (failed["severity"], failed["unhandled"]) == ("error", False)
    assert failed["releaseStage"] == "production"
    assert failed["metaData"]["rocketjob"] == {"message": "failed", "logger": "app", "job": "7"}
    assert sold_out["exceptions"][0]["message"] == "sold out"
    assert sold_out["metaData"]["rocketjob"]["article"] == 7
    assert sold_out["metaData"]["rocketjob"]["when"] == "0:00:05"


def test_an_event_waits_when_what_bugsnag_answers_is_no_answer(receiver, capsys):
    receiver.answers = [BREAKS_OFF, BREAKS_OFF]
    with logging_to("bugsnag", **bugsnag(receiver)):
        Logger("app").error("hello")
        eventually(lambda: len(receiver.taken) == 1)
    assert len(receiver.refused) == 2
    assert "its answer broke off: BadStatusLine" in capsys.readouterr().err


def test_the_client_of_the_app_is_another_one(receiver):
    import bugsnag as library

    before = library.configuration.api_key
    with logging_to("bugsnag", **bugsnag(receiver)):
        Logger("app").error("hello")
    assert library.configuration.api_key == before
    assert len(receiver.events()) == 1


def test_bugsnag_without_a_key_is_refused_with_how_to_set_it():
    with (
        pytest.raises(ConfigurationError, match=r"api_key not set: .*ROCKETJOB_BUGSNAG_API_KEY"),
        logging_to("bugsnag"),
    ):
        pass
