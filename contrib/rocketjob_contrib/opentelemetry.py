"""Traces and metrics by OpenTelemetry: `pip install 'rocketjob[opentelemetry]'`.

    # in a module that `app` names, and in programs that create jobs, after your providers are set
    from rocketjob_contrib.opentelemetry import instrument

    instrument()

The trace in which a job is created goes on in its `perform`, in whichever process, and in each
slice of a batch job: its ids travel in `job.meta`. Each perform is a span; one that raises has the
exception. A job that another one of its class creates, as a schedule does, begins a trace of its
own that is linked to the former, so that no trace lasts for ever.

Metrics of each process: `rocketjob.ended`, `rocketjob.wait`, `rocketjob.run`, `rocketjob.records`,
`rocketjob.rejects`, and the counters and durations of plugins.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from opentelemetry import context, metrics, propagate, trace

from rocketjob import Discard, Job, Snooze, current_job, hookimpl
from rocketjob.application import current
from rocketjob.jobs.changed import Changed
from rocketjob.server.metrics import Durations, Labels, Metric
from rocketjob_plugins.metrics.ends import class_of, outcome_of, times_of

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, MeterProvider
    from opentelemetry.trace import TracerProvider

NAME = "rocketjob"  # of the plugin, the tracer and the meter
PARENT, STATE, LINK = "traceparent", "tracestate", "tracelink"  # in `job.meta`
FLUSH_MILLISECONDS = 5000


class Instrumentation:
    """The plugin: see `instrument`."""

    def __init__(
        self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None
    ) -> None:
        self._providers = (tracer_provider, meter_provider)
        self._tracer = trace.get_tracer(NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(NAME, meter_provider=meter_provider)
        self._meter = meter
        self._ended = meter.create_counter("rocketjob.ended", "{end}", "ends of jobs and attempts")
        self._wait = meter.create_histogram("rocketjob.wait", "s", "until an attempt was started")
        self._run = meter.create_histogram("rocketjob.run", "s", "how long attempts took")
        self._records = meter.create_counter("rocketjob.records", "{record}", "records of slices")
        self._rejects = meter.create_counter("rocketjob.rejects", "{record}", "records set aside")
        self._own: dict[str, Any] = {}

    # --- traces ------------------------------------------------------------------------------

    @hookimpl
    def before_enqueue(self, job: Job) -> None:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        parent = carrier.get(PARENT)
        if parent is None:
            return  # no span is under way
        for name in (PARENT, STATE, LINK):
            job.meta.pop(name, None)  # of the job of which it is a copy
        if type(current_job()) is type(job):
            job.meta[LINK] = parent
        else:
            job.meta.update({n: v for n, v in carrier.items() if n in (PARENT, STATE)})

    @hookimpl(wrapper=True)
    def perform(self, job: Job, part: int | None) -> Generator[None, Any, Any]:
        span = self._span(job, part)
        token = context.attach(trace.set_span_in_context(span, self._context(job)))
        try:
            return (yield)
        except (Snooze, Discard) as asked:
            span.set_attribute("rocketjob.asked", type(asked).__name__)
            raise
        except BaseException as error:
            span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR, f"{type(error).__name__}: {error}")
            raise
        finally:
            context.detach(token)
            span.end()

    def _context(self, job: Job) -> context.Context:
        carrier = {n: job.meta[n] for n in (PARENT, STATE) if isinstance(job.meta.get(n), str)}
        return propagate.extract(carrier)

    def _span(self, job: Job, part: int | None) -> trace.Span:
        name, links = type(job).type_name(), []
        if isinstance(job.meta.get(LINK), str):
            former = propagate.extract({PARENT: job.meta[LINK]})
            links.append(trace.Link(trace.get_current_span(former).get_span_context()))
        attributes: dict[str, Any] = {
            "rocketjob.job.id": str(job.id),
            "rocketjob.job.class": name,
            "rocketjob.job.failures": job.failure_count,
        }
        if part is not None:
            attributes["rocketjob.slice"] = part
        return self._tracer.start_span(
            f"{name} slice" if part is not None else f"{name} perform",
            self._context(job),
            trace.SpanKind.CONSUMER,
            attributes,
            links,
        )

    # --- metrics -----------------------------------------------------------------------------

    @hookimpl
    def jobs_changed(self, changes: list[Changed]) -> None:
        for change in changes:
            outcome = outcome_of(change)
            if outcome is None:
                continue
            name = class_of(change.job)
            self._ended.add(1, {"class": name, "outcome": outcome})
            times = times_of(change)
            if times is not None:
                self._wait.record(max(0.0, times[0]), {"class": name})
                self._run.record(max(0.0, times[1]), {"class": name})

    @hookimpl(optionalhook=True)
    def slice_done(self, job: Job, slice: Any) -> None:
        labels = {"class": type(job).type_name()}
        self._records.add(slice.records, labels)
        self._rejects.add(slice.rejects, labels)

    @hookimpl
    def metric_recorded(self, metric: Metric, value: float, labels: Labels) -> None:
        named = dict(zip(metric.labels, labels, strict=True))
        if isinstance(metric, Durations):
            histogram: Histogram = self._instrument(metric, self._meter.create_histogram, "s")
            histogram.record(value, named)
        else:
            counter: Counter = self._instrument(metric, self._meter.create_counter, metric.unit)
            counter.add(value, named)

    def _instrument(self, metric: Metric, create: Any, unit: str) -> Any:
        found = self._own.get(metric.name)
        if found is None:
            found = create(f"rocketjob.{metric.name}", unit, metric.help)
            found = self._own.setdefault(metric.name, found)
        return found

    @hookimpl
    def process_stopping(self) -> None:
        tracing, measuring = self._providers
        for provider in (
            tracing or trace.get_tracer_provider(),
            measuring or metrics.get_meter_provider(),
        ):
            flush = getattr(provider, "force_flush", None)  # the SDK has it, the API has not
            if flush is not None:
                flush(FLUSH_MILLISECONDS)


def instrument(
    tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
) -> Instrumentation:
    """Have this process trace and measure its jobs; return the plugin, which can be unregistered.

    Args:
        tracer_provider: None: the global one.
        meter_provider: likewise.

    Raises:
        PluginError: it is called twice.
    """
    plugin = Instrumentation(tracer_provider, meter_provider)
    current().plugins.register(plugin, "opentelemetry")
    return plugin
