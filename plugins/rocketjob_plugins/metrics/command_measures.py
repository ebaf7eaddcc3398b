"""`rocketjob metrics --of-plugins`: what plugins count and measure with metrics of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from rocketjob.application import current
from rocketjob.cli.output import Column, print_json, print_table
from rocketjob.cli.session import warn
from rocketjob.server.metrics import Gauge, Labels, Metric
from rocketjob_plugins.metrics.present import spread, spread_as_json
from rocketjob_plugins.metrics.series import Series

COLUMNS = (
    Column("METRIC", fixed=True),
    Column("LABELS"),
    Column("VALUE", fixed=True, right=True),
    Column("UNIT"),
    Column("HELP"),
)


def show_measures(series: Series, as_json: bool) -> None:
    """Print counters and durations of a time, and gauges as they are now."""
    rows = list(_measured(series))
    if as_json:
        for metric, labels, value in rows:
            named = dict(zip(metric.labels, labels, strict=True))
            kind = type(metric).__name__.lower()
            told = value if isinstance(value, float) else spread_as_json(value)
            print_json({"metric": metric.name, "kind": kind, "labels": named, "value": told})
    elif not rows:
        click.echo("no plugin has counted or measured anything", err=True)
    else:
        print_table(COLUMNS, [_row(*row) for row in rows])


def _measured(series: Series) -> Iterator[tuple[Metric, Labels, Any]]:
    for _, metric in sorted(current().plugins.metrics.items()):
        found = look(metric) if isinstance(metric, Gauge) else series.measures.of(metric)
        for labels, value in sorted(found.items()):
            yield metric, labels, float(value) if isinstance(value, int) else value


def look(gauge: Gauge) -> dict[Labels, float]:
    """Look a gauge up; one that fails has no value, and that is said."""
    try:
        return gauge.values()
    except Exception as error:
        warn(f"the gauge {gauge.name} failed: {type(error).__name__}: {error}")
        return {}


def _row(metric: Metric, labels: Labels, value: Any) -> tuple[str, ...]:
    named = ", ".join(f"{n}={v}" for n, v in zip(metric.labels, labels, strict=True))
    shown = f"{value:,.6g}" if isinstance(value, float) else spread(value)
    unit = "p50/p95/max" if not isinstance(value, float) else metric.unit
    return (metric.name, named, shown, unit, metric.help)
