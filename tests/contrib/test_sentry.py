"""What Sentry gets, from its own SDK."""

import gzip
import http.server
import json
import threading

import pytest

sentry_sdk = pytest.importorskip("sentry_sdk")

from sentry_sdk.integrations.dedupe import DedupeIntegration  # noqa: E402
from sentry_sdk.integrations.logging import LoggingIntegration  # noqa: E402

from rocketjob import Job  # noqa: E402
from rocketjob.base.errors import PluginError  # noqa: E402
from rocketjob_contrib.sentry import instrument  # noqa: E402
from rocketjob_plugins.batch import Batch  # noqa: E402
from rocketjob_plugins.retry import Retry  # noqa: E402


class ReportedJob(Job):
    text: str = ""

    def perform(self):
        sentry_sdk.add_breadcrumb(message=f"crumb {self.text}")
        if self.text == "bad":
            raise OSError("closed")
        if self.text == "tell":
            sentry_sdk.capture_message("told by the job")


class ReportedRetryJob(Retry, ReportedJob):
    pass


class ReportedLinesJob(Batch, Job):
    slice_size = 1

    def perform(self, line):
        raise ValueError("a bad line")


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes envelopes, as Sentry does."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        lines = body.splitlines()
        for header, item in zip(lines[1::2], lines[2::2], strict=False):
            if json.loads(header).get("type") == "event":
                self.server.events.append(json.loads(item))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def events(rocketjob):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.events = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    with sentry_sdk.isolation_scope():
        sentry_sdk.init(
            f"http://key@127.0.0.1:{server.server_port}/1",
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[LoggingIntegration(), DedupeIntegration()],
        )
        plugin = instrument()

        def found():
            plugin.process_stopping()
            return server.events

        yield found
        sentry_sdk.get_client().close(timeout=0)
        sentry_sdk.get_global_scope().clear()
        sentry_sdk.get_global_scope().set_client(None)
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_failure_is_one_event_with_the_job_and_its_traceback(rocketjob, events):
    job = ReportedJob.create(text="bad")
    rocketjob.work_off()
    (event,) = events()
    assert event["tags"]["job_class"] == event["transaction"] == "ReportedJob"
    assert event["tags"]["job_id"] == str(job.id)
    (error,) = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("OSError", "closed")
    assert error["stacktrace"]["frames"][-1]["function"] == "perform"


def test_a_failure_that_is_retried_is_no_event(rocketjob, events):
    ReportedRetryJob.create(text="bad")
    rocketjob.work_off()
    assert events() == []


def test_what_a_job_sends_itself_has_its_tags_and_no_others_crumbs(rocketjob, events):
    ReportedJob.create(text="first", priority=1)
    job = ReportedJob.create(text="tell")
    rocketjob.work_off()
    (event,) = events()
    assert event["tags"]["job_id"] == str(job.id)
    crumbs = [each["message"] for each in event["breadcrumbs"]["values"]]
    assert [each for each in crumbs if each.startswith("crumb")] == ["crumb tell"]


def test_a_slice_that_fails_is_an_event(rocketjob, events):
    job = ReportedLinesJob()
    job.upload(["a"])
    job.save()
    rocketjob.work_off()
    of_slice = [each for each in events() if each["tags"].get("slice") == "1"]
    (error,) = of_slice[0]["exception"]["values"]
    assert (error["type"], error["value"]) == ("ValueError", "a bad line")
    assert error["stacktrace"]["frames"][-1]["function"] == "perform"
    assert of_slice[0]["tags"]["job_id"] == str(job.id)
    assert len(of_slice) == 1


def test_it_is_instrumented_once(rocketjob, events):
    with pytest.raises(PluginError, match="already"):
        instrument()
