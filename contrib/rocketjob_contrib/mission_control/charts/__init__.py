"""The section Metrics: charts of what became of the jobs, with the same numbers as tables and CSV.

- `ranges`: how far back a page looks, and in which steps
- `numbers`: what each chart shows, as rows of numbers: table, CSV and chart are made of them
- `drawing`: a chart as SVG, which needs no script; with scripts on, uPlot draws the table instead
- `marks`: what people did meanwhile, by the audit
- `page`, `download`, `api`: the page, its tables as CSV, and the same for programs
"""

from __future__ import annotations

from pathlib import Path

from rocketjob_contrib.mission_control.charts import api, download, page
from rocketjob_contrib.mission_control.charts.numbers import CHARTS
from rocketjob_contrib.mission_control.routes import get
from rocketjob_contrib.mission_control.sections import Section


def section() -> Section:
    """Return the section."""
    files = [get(f"/charts/{chart.name}.csv", download.of_chart(chart)) for chart in CHARTS]
    return Section(
        name="charts",
        title="Metrics",
        icon="charts",
        home="/charts",
        routes=(
            get("/charts", page.show),
            *files,
            get("/charts/spread.csv", download.spread),
            get("/charts/classes.csv", download.classes),
        ),
        templates=str(Path(__file__).parent / "templates"),
        order=50,
        api=tuple(api.operations()),
    )
