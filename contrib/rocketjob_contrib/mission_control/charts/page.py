"""The page of charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob_contrib.mission_control.charts import numbers
from rocketjob_contrib.mission_control.charts.drawing import WIDE, WIDTH, drawing
from rocketjob_contrib.mission_control.charts.marks import Mark, marks_since
from rocketjob_contrib.mission_control.charts.ranges import RANGES, Range, asked_range, series_of
from rocketjob_plugins.metrics.series import Series

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


@attrs.frozen(kw_only=True)
class Charts:
    """What is shown of a range, of all classes or of one.

    Attributes:
        name: of the class; None: of all.
        known: whether anything was counted of it.
        rows: of each chart in `numbers.CHARTS`.
        marks: what people did meanwhile.
        bins: how long attempts waited and took.
        classes: a row for each, whichever is chosen.
    """

    range: Range
    series: Series
    name: str | None
    known: bool
    rows: list[list[numbers.Row]]
    marks: list[Mark]
    bins: list[numbers.Bin]
    classes: list[numbers.ClassRow]


def charts_of(view: View) -> Charts:
    """Return what the parameters `for` and `class` of a URL ask for.

    Raises:
        BadRequest: there is no such range.
    """
    range, name = asked_range(view), asked_class(view)
    series = series_of(view, range)
    known = name is None or name in series.classes
    return Charts(
        range=range,
        series=series,
        name=name,
        known=known,
        rows=numbers.rows_of(numbers.CHARTS, series, name),
        marks=marks_since(series.since, name) if known else [],
        bins=numbers.bins_of(numbers.chosen(series, name)),
        classes=numbers.classes_of(series),
    )


def show(view: View) -> Response:
    """Show the charts of a time, for all classes or for one."""
    found = charts_of(view)
    each = zip(numbers.CHARTS, found.rows, strict=True)
    return view.render(
        "charts/index.html",
        range=found.range,
        ranges=RANGES,
        name=found.name,
        known=found.known,
        names=sorted(found.series.classes),
        charts=[_shown(view, chart, rows, found.marks) for chart, rows in each],
        marks=found.marks,
        bins=found.bins,
        classes=found.classes,
        columns=numbers.CLASS_COLUMNS,
        is_empty=not found.series.classes,
    )


def asked_class(view: View) -> str | None:
    """Return the class that a URL narrows the charts to."""
    return view.query.get("class") or None


def _shown(
    view: View, chart: numbers.Chart, rows: list[numbers.Row], marks: list[Mark]
) -> dict[str, Any]:
    width = WIDE if chart is numbers.CHARTS[0] else WIDTH
    drawn = drawing(chart, rows, view.zone, [(mark.at, mark.text) for mark in marks], width)
    return {"chart": chart, "rows": rows, "drawing": drawn}
