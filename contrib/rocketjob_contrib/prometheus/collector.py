"""What `rocketjob_contrib.prometheus` tells Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rocketjob.application import current
from rocketjob.base.log import Logger
from rocketjob.server.metrics import Durations, Gauge, Labels, Metric
from rocketjob_plugins.metrics.totals import Totals

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

    from rocketjob_plugins.metrics.collections import Counts
    from rocketjob_plugins.metrics.histogram import Histogram

log = Logger("rocketjob.prometheus")
PREFIX = "rocketjob_"


class RocketJobCollector:
    """A collector of prometheus_client. The counters begin at nought when it is made.

    It does not raise: where the store cannot be read, `rocketjob_up` is 0 and nothing else is told.
    """

    def __init__(self) -> None:
        self._totals: Totals | None = None

    def describe(self) -> Iterable[Family]:
        """Say nothing of what will be told, so that registering it reads nothing."""
        return []

    def collect(self) -> Iterator[Family]:
        """Read the store, and yield what there is."""
        from prometheus_client import core  # optional

        families: list[Family] = []
        try:
            if self._totals is None:
                self._totals = Totals()
            counts = self._totals.now()
            families = [*_of_jobs(counts), *_of_plugins(counts)]
        except Exception as error:
            log.warning("no metrics: the store cannot be read", error=str(error))
        up = core.GaugeMetricFamily(f"{PREFIX}up", "whether the store could be read")
        up.add_metric([], float(bool(families)))
        yield up
        yield from families


def _of_jobs(counts: Counts) -> Iterator[Family]:
    from prometheus_client import core  # optional

    ended = core.CounterMetricFamily(
        f"{PREFIX}ended", "ends of jobs, attempts and slices", labels=["job_class", "outcome"]
    )
    records = core.CounterMetricFamily(
        f"{PREFIX}records", "records of slices", labels=["job_class"]
    )
    rejects = core.CounterMetricFamily(
        f"{PREFIX}rejects", "records set aside", labels=["job_class"]
    )
    wait = core.HistogramMetricFamily(
        f"{PREFIX}wait_seconds", "until an attempt was started", labels=["job_class"]
    )
    run = core.HistogramMetricFamily(
        f"{PREFIX}run_seconds", "how long attempts took", labels=["job_class"]
    )
    for name, figures in sorted(counts.classes.items()):
        for outcome, each in sorted(figures.outcomes.items()):
            ended.add_metric([name, outcome], each.count)
        records.add_metric([name], figures.records)
        rejects.add_metric([name], figures.rejects)
        wait.add_metric([name], *_buckets(figures.wait))
        run.add_metric([name], *_buckets(figures.run))
    yield from (ended, records, rejects, wait, run)


def _buckets(histogram: Histogram) -> tuple[list[tuple[str, float]], float]:
    """Return a histogram as Prometheus has it: how many are at most so long, and their sum."""
    bounds = [(f"{seconds:.10g}", float(n)) for seconds, n in histogram.cumulative()]
    return [*bounds, ("+Inf", float(histogram.count))], histogram.sum


def _of_plugins(counts: Counts) -> Iterator[Family]:
    from prometheus_client import core  # optional

    for _, metric in sorted(current().plugins.metrics.items()):
        told = (PREFIX + _with_unit(metric), metric.help)
        labels = list(metric.labels)
        values: dict[Labels, tuple[Any, ...]]
        if isinstance(metric, Gauge):
            family: Any = core.GaugeMetricFamily(*told, labels=labels)
            values = {key: (value,) for key, value in _looked_up(metric).items()}
        elif isinstance(metric, Durations):
            family = core.HistogramMetricFamily(*told, labels=labels)
            values = {key: _buckets(each) for key, each in counts.measures.of(metric).items()}
        else:
            family = core.CounterMetricFamily(*told, labels=labels)
            values = {key: (value,) for key, value in counts.measures.of(metric).items()}
        for key, value in sorted(values.items()):
            family.add_metric(key, *value)
        yield family


def _with_unit(metric: Metric) -> str:
    """Return the name with the unit at its end, if that can be part of a name."""
    is_told = not metric.unit.isidentifier() or metric.name.endswith(f"_{metric.unit}")
    return metric.name if is_told else f"{metric.name}_{metric.unit}"


def _looked_up(gauge: Gauge) -> dict[Labels, float]:
    try:
        return gauge.values()
    except Exception as error:
        log.warning("a gauge failed", gauge=gauge.name, error=str(error))
        return {}
