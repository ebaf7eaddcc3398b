"""The page of charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob_contrib.mission_control.charts import numbers
from rocketjob_contrib.mission_control.charts.drawing import WIDE, WIDTH, drawing
from rocketjob_contrib.mission_control.charts.marks import Mark, marks_since
from rocketjob_contrib.mission_control.charts.ranges import RANGES, asked_range, series_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def show(view: View) -> Response:
    """Show the charts of a time, for all classes or for one."""
    range, name = asked_range(view), asked_class(view)
    series = series_of(view, range)
    known = name is None or name in series.classes
    marks = marks_since(series.since, name) if known else []
    rows = numbers.rows_of(numbers.CHARTS, series, name)
    return view.render(
        "charts/index.html",
        range=range,
        ranges=RANGES,
        name=name,
        known=known,
        names=sorted(series.classes),
        charts=[_shown(view, *each, marks) for each in zip(numbers.CHARTS, rows, strict=True)],
        marks=marks,
        bins=numbers.bins_of(numbers.chosen(series, name)),
        classes=numbers.classes_of(series),
        columns=numbers.CLASS_COLUMNS,
        is_empty=not series.classes,
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
