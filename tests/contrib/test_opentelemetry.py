"""Traces and metrics as a collector gets them by OTLP, from OpenTelemetry's own exporters."""

import http.server
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from rocketjob import Discard, Job, hookimpl
from rocketjob.base.errors import PluginError
from rocketjob.server.metrics import Counter, Durations
from rocketjob_contrib.opentelemetry import instrument
from rocketjob_plugins.batch import Batch

ERROR, CONSUMER = 2, 5  # of the protocol


class TracedChildJob(Job):
    async def perform(self):
        return None


class TracedJob(Job):
    how: str = "well"
    again: bool = False

    def perform(self):
        if self.how == "badly":
            raise OSError("closed")
        if self.how == "discard":
            raise Discard("no use")
        TracedChildJob.create()
        if self.again:
            TracedJob.create()


class TracedLinesJob(Batch, Job):
    slice_size = 1
    max_rejects = 5

    def perform(self, line):
        if line == "bad":
            raise ValueError("a bad line")


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes what is exported, as the OpenTelemetry collector does."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def collector():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.bodies = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def telemetry(rocketjob, collector):
    url = f"http://127.0.0.1:{collector.server_port}"
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(f"{url}/v1/metrics"), export_interval_millis=3_600_000
    )
    measuring = MeterProvider([reader], shutdown_on_exit=False)
    plugin = instrument(tracing, measuring)
    yield SimpleNamespace(tracer=tracing.get_tracer("test"), plugin=plugin, collector=collector)
    tracing.shutdown()
    measuring.shutdown()


def spans(telemetry):
    """Return the spans that the collector has got, by name."""
    found = {}
    for path, body in telemetry.collector.bodies:
        if path == "/v1/traces":
            request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        found.setdefault(span.name, []).append(span)
    return found


def measured(telemetry):
    """Return the points of each metric that the collector has got last."""
    telemetry.plugin.process_stopping()
    _, body = [each for each in telemetry.collector.bodies if each[0] == "/v1/metrics"][-1]
    request = metrics_service_pb2.ExportMetricsServiceRequest.FromString(body)
    return {
        (metric.name, *sorted(a.value.string_value for a in point.attributes)): point
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in (metric.sum if metric.HasField("sum") else metric.histogram).data_points
    }


def test_the_trace_goes_on_in_the_job_and_in_those_that_it_creates(rocketjob, telemetry):
    with telemetry.tracer.start_as_current_span("request"):
        job = TracedJob.create()
    rocketjob.work_off()
    found = spans(telemetry)
    (request,), (own,) = found["request"], found["TracedJob perform"]
    (child,) = found["TracedChildJob perform"]
    assert {own.trace_id, child.trace_id} == {request.trace_id}
    assert (own.parent_span_id, child.parent_span_id) == (request.span_id, own.span_id)
    assert own.kind == CONSUMER
    attributes = {each.key: each.value for each in own.attributes}
    assert attributes["rocketjob.job.id"].string_value == str(job.id)


def test_the_trace_goes_on_in_every_slice(rocketjob, telemetry):
    with telemetry.tracer.start_as_current_span("request"):
        job = TracedLinesJob()
        job.upload(["a", "b"])
        job.save()
    rocketjob.work_off()
    found = spans(telemetry)
    (request,), slices = found["request"], found["TracedLinesJob slice"]
    assert [each.parent_span_id for each in slices] == [request.span_id] * 2
    assert [each.trace_id for each in slices] == [request.trace_id] * 2


def test_a_job_of_the_same_class_begins_a_trace_that_is_linked(rocketjob, telemetry):
    TracedJob.create(again=True)
    rocketjob.work_off()
    first, second = spans(telemetry)["TracedJob perform"]
    assert first.trace_id != second.trace_id
    assert second.parent_span_id == b""
    assert [link.span_id for link in second.links] == [first.span_id]


def test_an_error_is_on_the_span_and_a_discard_is_none(rocketjob, telemetry):
    TracedJob.create(how="badly", priority=1)
    TracedJob.create(how="discard")
    rocketjob.work_off()
    failed, discarded = spans(telemetry)["TracedJob perform"]
    assert (failed.status.code, failed.status.message) == (ERROR, "OSError: closed")
    assert [event.name for event in failed.events] == ["exception"]
    assert discarded.status.code != ERROR


@pytest.mark.parametrize("meta", [{"traceparent": "nonsense"}, {"traceparent": 3, "tracelink": []}])
def test_a_trace_that_cannot_be_read_is_a_new_one(rocketjob, telemetry, meta):
    TracedChildJob.create(meta=meta)
    assert rocketjob.work_off() == 1
    assert spans(telemetry)["TracedChildJob perform"][0].parent_span_id == b""


def test_metrics_are_exported(rocketjob, telemetry):
    rocketjob.freeze()
    TracedJob.create(how="badly")
    rocketjob.travel(timedelta(seconds=3))
    rocketjob.work_off()
    job = TracedLinesJob()
    job.upload(["a", "bad"])
    job.save()
    rocketjob.work_off()
    found = measured(telemetry)
    assert found["rocketjob.ended", "TracedJob", "failed"].as_int == 1
    assert found["rocketjob.wait", "TracedJob"].sum == 3
    assert found["rocketjob.records", "TracedLinesJob"].as_int == 2
    assert found["rocketjob.rejects", "TracedLinesJob"].as_int == 1


def test_metrics_of_plugins_are_exported(rocketjob, telemetry):
    sent, took = Counter("mail_out", "mails", labels=("to",)), Durations("mail_time", "how long")
    plugin = SimpleNamespace(register_metrics=hookimpl(lambda: [sent, took]))
    rocketjob.plugins.register(plugin, "mail")
    sent.add(2, to="ops")
    took.observe(0.5)
    found = measured(telemetry)
    assert found["rocketjob.mail_out", "ops"].as_int == 2
    assert found["rocketjob.mail_time",].sum == 0.5


def test_it_is_instrumented_once_and_can_be_taken_out(rocketjob, telemetry):
    with pytest.raises(PluginError, match="already"):
        instrument()
    rocketjob.plugins.unregister(telemetry.plugin)
    TracedChildJob.create()
    rocketjob.work_off()
    assert spans(telemetry) == {}
