"""The charts by the API: the same numbers as in their tables and CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob_contrib.mission_control.api.operations import Operation, operation
from rocketjob_contrib.mission_control.api.resources import NUMBER
from rocketjob_contrib.mission_control.api.schemas import (
    TEXT,
    TIME,
    WHOLE,
    choice,
    maybe,
    resource,
    several,
    text,
)
from rocketjob_contrib.mission_control.charts.numbers import (
    BIN_COLUMNS,
    CHARTS,
    CLASS_COLUMNS,
    Chart,
    Row,
    seconds,
)
from rocketjob_contrib.mission_control.charts.page import charts_of
from rocketjob_contrib.mission_control.charts.ranges import RANGES

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView

POINT = resource(at=TIME, values=several(maybe(NUMBER)))
COUNTED = ("completed", "failed", "aborted")
CLASS_ROW = resource(
    **{
        key: TEXT if key == "class" else WHOLE if key in COUNTED else maybe(NUMBER)
        for key, _ in CLASS_COLUMNS
    }
)
RETURNED = resource(
    **{"for": TEXT, "class": maybe(TEXT)},
    since=TIME,
    until=TIME,
    step_seconds=NUMBER,
    charts=several(
        resource(
            name=TEXT,
            title=TEXT,
            says=TEXT,
            unit=choice("jobs", "seconds"),
            columns=several(TEXT),
            points=several(POINT),
        )
    ),
    spread=several(resource(up_to_seconds=NUMBER, wait=WHOLE, run=WHOLE)),
    classes=several(CLASS_ROW),
    marks=several(resource(at=TIME, text=TEXT)),
)
FILES = (*(f"{chart.name}.csv" for chart in CHARTS), "spread.csv", "classes.csv")


def operations() -> list[Operation]:
    """Return the operations."""
    asked = {"for": choice(*(each.name for each in RANGES)), "class": text(200, least=1)}
    return [
        operation(
            "GET /charts",
            show,
            "get_charts",
            "Return what the charts show of a time, of all classes or of one, step by step.",
            query=asked,
            returns=RETURNED,
            pages=tuple(f"/charts/{name}" for name in FILES),
        ),
    ]


def show(view: ApiView) -> Response:
    """Return the numbers of the charts."""
    found = charts_of(view)
    keys = [key for key, _ in CLASS_COLUMNS]
    each = zip(CHARTS, found.rows, strict=True)
    bins = [(seconds(bin.bound), bin.wait, bin.run) for bin in found.bins]
    return view.json(
        {
            "for": found.range.name,
            "class": found.name,
            "since": found.series.since,
            "until": found.series.until,
            "step_seconds": found.range.step.total_seconds(),
            "charts": [_chart(chart, rows) for chart, rows in each],
            "spread": [dict(zip(BIN_COLUMNS, bin, strict=True)) for bin in bins],
            "classes": [dict(zip(keys, attrs.astuple(row), strict=True)) for row in found.classes],
            "marks": [{"at": mark.at, "text": mark.text} for mark in found.marks],
        }
    )


def _chart(chart: Chart, rows: list[Row]) -> dict[str, Any]:
    return {
        "name": chart.name,
        "title": chart.title,
        "says": chart.says,
        "unit": chart.unit,
        "columns": list(chart.keys),
        "points": [{"at": row.at, "values": list(row.values)} for row in rows],
    }
