"""The tables of the charts as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import attrs
from starlette.responses import Response

from rocketjob_contrib.mission_control.charts.numbers import (
    BIN_COLUMNS,
    CLASS_COLUMNS,
    Chart,
    bins_of,
    chosen,
    classes_of,
    rows_of,
    seconds,
    text_of,
)
from rocketjob_contrib.mission_control.charts.page import asked_class
from rocketjob_contrib.mission_control.charts.ranges import asked_range, series_of
from rocketjob_contrib.mission_control.spreadsheets import plain

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def of_chart(chart: Chart) -> Callable[[View], Response]:
    """Return the view of a chart's table."""

    def show(view: View) -> Response:
        range = asked_range(view)
        head = ("time", *chart.keys)
        (rows,) = rows_of([chart], series_of(view, range), asked_class(view))
        lines = ((row.at.isoformat(), *map(text_of, row.values)) for row in rows)
        return _file(f"{chart.name}-{range.name}.csv", head, lines)

    return show


def classes(view: View) -> Response:
    """Return the table of the classes."""
    range = asked_range(view)
    head = [key for key, _ in CLASS_COLUMNS]
    found = classes_of(series_of(view, range))
    lines = ((plain(each.name), *map(text_of, attrs.astuple(each)[1:])) for each in found)
    return _file(f"classes-{range.name}.csv", head, lines)


def spread(view: View) -> Response:
    """Return how long attempts waited and took."""
    range = asked_range(view)
    found = bins_of(chosen(series_of(view, range), asked_class(view)))
    lines = ((text_of(seconds(each.bound)), str(each.wait), str(each.run)) for each in found)
    return _file(f"spread-{range.name}.csv", BIN_COLUMNS, lines)


def _file(name: str, head: Sequence[str], lines: Iterable[Sequence[str]]) -> Response:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows(lines)
    headers = {"content-disposition": f'attachment; filename="rocketjob-{name}"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)
