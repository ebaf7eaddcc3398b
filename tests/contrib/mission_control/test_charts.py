"""Metrics: charts, with the same numbers as tables and CSV; rows P04, P05, P07, P08 and P12."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from rocketjob import Job
from rocketjob.base.acts import acting
from rocketjob.server.server import Server
from rocketjob.testing import sandbox
from rocketjob_contrib.mission_control.charts.drawing import drawing, ticks_of, times_of
from rocketjob_contrib.mission_control.charts.numbers import CHARTS, Row
from rocketjob_contrib.mission_control.charts.ranges import RANGES
from rocketjob_plugins import audit, metrics
from rocketjob_plugins.metrics.collections import HOURS, MINUTES, Counts
from rocketjob_plugins.metrics.figures import ABORTED, COMPLETED, FAILED, Figures
from support.web import as_role, browser, counted_calls, tags, text_of

NOW = datetime(2026, 3, 9, 14, 21, 30, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class WebChartedJob(Job):  # destroyed on completion
    fails: bool = False

    def perform(self):
        if self.fails:
            raise ValueError("no")


@pytest.fixture(autouse=True)
def still(rocketjob):
    rocketjob.freeze(NOW)


@pytest.fixture
def web():
    """An application of its own: it remembers."""
    return browser(live_seconds=0.7)


def counted(rocketjob, at, name="ImportJob", run=(), wait=(), **outcomes):
    """Store what was counted of a class in a minute."""
    figures = Figures()
    for outcome, count in outcomes.items():
        figures.of(outcome).count = count
    for seconds in run:
        figures.of(COMPLETED).run.add(seconds)
    for seconds in wait:
        figures.of(COMPLETED).wait.add(seconds)
    update = Counts({name: figures}).addition()
    rocketjob.store.collection(MINUTES).update_one({"_id": at}, update, upsert=True)


def minute(ago):
    return NOW.replace(second=0) - ago * MINUTE


def table(page, name):
    """Return the rows of a table, the earliest first: seconds since 1970, and the numbers."""
    (body,) = re.findall(rf'<table id="table-{name}">.*?<tbody>(.*?)</tbody>', page.text, re.S)
    rows = []
    for at, cells in re.findall(r'<tr data-at="(\d+)">(.*?)</tr>', body, re.S):
        values = re.findall(r'<td class="number">(.*?)</td>', cells)
        rows.append((int(at), [float(each) if each else None for each in values]))
    return rows[::-1]


def downloaded(answer):
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.text)))


# --- the numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize("range", RANGES, ids=[each.name for each in RANGES])
def test_P04_the_numbers_are_those_of_the_metric_documents(rocketjob, web, range):
    for ago in (0, 1, 4, 5, 59):
        counted(rocketjob, minute(ago), completed=ago + 1, failed=2, aborted=1)
        counted(rocketjob, minute(ago), "MailJob", completed=10)
    stored = [
        outcomes
        for document in rocketjob.store.collection(MINUTES).find({})
        for outcomes in document["classes"].values()
    ]
    wanted = [
        sum(each[outcome]["count"] for each in stored if outcome in each)
        for outcome in (COMPLETED, FAILED, ABORTED)
    ]
    rows = table(web.get(f"/charts?for={range.name}"), "throughput")
    assert [sum(column) for column in zip(*(row for _, row in rows), strict=True)] == wanted
    steps = {later - earlier for (earlier, _), (later, _) in pairwise(rows)}
    assert steps == {range.step.total_seconds()}
    assert len(rows) * range.step == range.length


def test_P04_each_number_stands_at_its_minute(rocketjob, web):
    counted(rocketjob, minute(7), completed=3, failed=2, aborted=1)
    rows = dict(table(web.get("/charts"), "throughput"))
    assert rows[int(minute(7).timestamp())] == [3, 2, 1]
    assert sum(sum(row) for row in rows.values()) == 6


def test_P04_hours_that_are_rolled_up_and_minutes_that_are_not_are_one_series(rocketjob, web):
    counted(rocketjob, NOW - timedelta(days=2), completed=5)
    counted(rocketjob, minute(3), completed=4)
    metrics.sweep()
    assert rocketjob.store.collection(HOURS).count_documents({}) == 1
    rows = table(web.get("/charts?for=7d"), "throughput")
    assert [row[0] for _, row in rows if row[0]] == [5, 4]


def test_P04_by_class(rocketjob, web):
    counted(rocketjob, minute(1), "ImportJob", completed=3)
    counted(rocketjob, minute(1), "MailJob", completed=40)
    page = web.get("/charts?class=ImportJob")
    assert dict(table(page, "throughput"))[int(minute(1).timestamp())] == [3, 0, 0]
    assert "MailJob" in text_of(page)  # in the table of all classes


@pytest.mark.parametrize("measure", ["run", "wait"])
def test_P05_times_are_those_that_were_measured(rocketjob, web, measure):
    seconds = [0.1] * 90 + [2.0] * 9 + [30.0]
    counted(rocketjob, minute(2), completed=100, **{measure: seconds})
    p50, p95, longest = dict(table(web.get("/charts"), measure))[int(minute(2).timestamp())]
    assert p50 == pytest.approx(0.1, rel=0.1)
    assert p95 == pytest.approx(2, rel=0.1)
    assert longest == 30
    others = [row for at, row in table(web.get("/charts"), measure) if at != minute(2).timestamp()]
    assert all(row == [None, None, None] for row in others)


def test_P05_how_many_took_so_long_by_class(rocketjob, web):
    counted(rocketjob, minute(2), "ImportJob", run=[0.9] * 5 + [3.0] * 2, wait=[0.001])
    counted(rocketjob, minute(2), "MailJob", run=[70.0])
    rows = downloaded(web.get("/charts/spread.csv?class=ImportJob"))
    assert (rows[0]["up_to_seconds"], rows[0]["wait"]) == ("0.001", "1")
    ran = {float(row["up_to_seconds"]): int(row["run"]) for row in rows}
    assert {bound: count for bound, count in ran.items() if count} == {1.024: 5, 4.096: 2}
    assert sum(int(row["run"]) for row in downloaded(web.get("/charts/spread.csv"))) == 8
    page = web.get("/charts?class=ImportJob")
    (body,) = re.findall(r'<table class="spread".*?<tbody>(.*?)</tbody>', page.text, re.S)
    shown = [re.findall(r"<span>(\d*)</span>", line) for line in body.split("</tr>")[:-1]]
    assert shown == [[row["wait"].strip("0"), row["run"].strip("0")] for row in rows]


def test_P12_jobs_that_are_removed_when_they_complete_still_count(rocketjob, web):
    for fails in (False, False, True):
        WebChartedJob.create(fails=fails)
    rocketjob.work_off()
    assert WebChartedJob.completed().count() == 0
    page = web.get("/charts?class=WebChartedJob")
    assert table(page, "throughput")[-1][1] == [2, 1, 0]
    row = next(each for each in downloaded(web.get("/charts/classes.csv")))
    assert (row["class"], row["completed"], row["failed"]) == ("WebChartedJob", "2", "1")
    assert row["failed_percent"] == "33.3"


# --- the same as a table and CSV -------------------------------------------------------------


@pytest.mark.parametrize("chart", CHARTS, ids=[each.name for each in CHARTS])
@pytest.mark.parametrize("name", [None, "ImportJob"])
def test_P08_each_chart_has_the_same_numbers_as_a_table_and_as_csv(rocketjob, web, chart, name):
    counted(rocketjob, minute(3), completed=4, failed=1, run=[0.5, 7.25], wait=[0.0125])
    counted(rocketjob, minute(3), "MailJob", completed=2, run=[9])
    query = {"for": "8h", **({"class": name} if name else {})}
    page = web.get("/charts", params=query)
    rows = downloaded(web.get(f"/charts/{chart.name}.csv", params=query))
    read = [
        (
            datetime.fromisoformat(row["time"]).timestamp(),
            [float(row[key]) if row[key] else None for key in chart.keys],
        )
        for row in rows
    ]
    assert read == table(page, chart.name) and any(any(row) for _, row in read)
    assert f"/charts/{chart.name}.csv?for=8h" in page.text
    assert all("seconds" in key for key in chart.keys) == (chart.unit == "seconds")
    assert len(tags(page, "figure", id=f"chart-{chart.name}")) == 1


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_P08_no_name_of_a_class_is_a_formula_in_a_spreadsheet(rocketjob, web, name):
    counted(rocketjob, minute(1), name, completed=1)
    (row,) = downloaded(web.get("/charts/classes.csv"))
    assert row["class"] == f"'{name}"


def test_the_times_of_the_table_are_in_the_zone_of_whoever_looks(rocketjob):
    counted(rocketjob, minute(0), completed=1)
    page = browser(live_seconds=0.8, time_zone="Pacific/Auckland").get("/charts")
    assert "Tue 10 03:21 so far" in text_of(page)


# --- what people did -------------------------------------------------------------------------


def marked(page):
    return re.findall(r'<line class="mark" data-at="(\d+)"[^>]*><title>(.*?)</title>', page.text)


def test_P07_a_pause_is_marked_at_its_minute(rocketjob, web):
    server = Server.create(name="web:1", state="running")
    with acting("ada"):
        server.pause()
    rocketjob.travel(5 * MINUTE)
    counted(rocketjob, NOW.replace(second=0), completed=1)
    marks = marked(web.get("/charts"))
    assert set(marks) == {(f"{NOW.replace(second=0).timestamp():.0f}", "ada: pause web:1")}
    assert len(marks) == 3  # one in each chart
    assert "ada: pause web:1" in text_of(web.get("/charts")).partition("meanwhile")[2]


def test_P07_what_was_done_to_many_is_one_mark_and_what_was_done_to_one_is_none(rocketjob, web):
    jobs = [WebChartedJob.create() for _ in range(3)]
    counted(rocketjob, minute(0), "WebChartedJob", completed=1)
    counted(rocketjob, minute(0), "MailJob", completed=1)
    with acting("eve <b>"):
        for job in jobs:
            job.abort()
    audit.records()
    marks = {text for _, text in marked(web.get("/charts"))}
    assert marks == {"eve &lt;b&gt;: abort WebChartedJob (3 times)"}
    assert marked(web.get("/charts?class=MailJob")) == []


# --- drawing ---------------------------------------------------------------------------------


def rows(*values, every=MINUTE):
    return [Row(NOW + number * every, (each, 0, 0)) for number, each in enumerate(values)]


def test_a_line_has_gaps_and_a_value_between_gaps_is_a_dot():
    found = drawing(CHARTS[1], rows(1, 2, None, 3, None, None, 4, 5), UTC).paths[0]
    assert found.d.count("M") == 2 and len(found.dots) == 1


def test_nothing_and_one_point_can_be_drawn():
    assert drawing(CHARTS[0], rows(0), UTC).across[-1].text == "1"
    assert drawing(CHARTS[1], rows(None, None), UTC).paths[0].d == ""


@pytest.mark.parametrize(
    ("most", "unit", "ticks"),
    [
        (3, "jobs", [0, 1, 2, 3]),
        (187, "jobs", [0, 50, 100, 150, 200]),
        (0.0031, "seconds", [0, 0.001, 0.002, 0.003, 0.004]),
        (100, "seconds", [0, 30, 60, 90, 120]),
        (10_000, "seconds", [0, 3600, 7200, 10800]),
        (3_000_000, "seconds", [0, 1_000_000, 2_000_000, 3_000_000]),
    ],
)
def test_the_lines_across_stand_at_round_numbers(most, unit, ticks):
    assert ticks_of(most, unit) == ticks


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "Pacific/Auckland", "America/New_York"])
def test_the_times_below_are_few_whatever_the_length_and_the_zone(zone):
    for each in RANGES:
        begin = NOW.replace(minute=20, second=0)
        many = [Row(begin + number * each.step, ()) for number in range(each.length // each.step)]
        assert 2 <= len(times_of(many, ZoneInfo(zone), 8)) <= 9, each


# --- what is asked ---------------------------------------------------------------------------


def test_where_nothing_was_counted_the_page_says_so(rocketjob, web):
    assert "No job has ended in the last 1 hour" in text_of(web.get("/charts"))
    assert len(downloaded(web.get("/charts/run.csv"))) == 60


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "x" * 300, "\0", "%"])
def test_a_class_that_has_not_ended_is_named_and_nothing_more(rocketjob, web, name):
    counted(rocketjob, minute(0), completed=1)
    page = web.get("/charts", params={"class": name})
    assert page.status_code == 200 and "<script>alert" not in page.text
    assert "has ended in the last 1 hour" in text_of(page) and len(page.text) < 10_000
    assert web.get("/charts/run.csv", params={"class": name}).status_code == 200


@pytest.mark.parametrize("asked", ["9h", "-1", "1h;", "9" * 3000])
def test_another_time_than_those_offered_is_refused(rocketjob, web, asked):
    for path in ("/charts", "/charts/run.csv", "/charts/classes.csv"):
        page = web.get(path, params={"for": asked})
        assert page.status_code == 400 and "A chart is for 1h, 8h, 24h, 7d" in text_of(page)


@pytest.mark.parametrize("classes", ["x", 7, [1], {"A": 1}, {"A": {"completed": {"run": 1}}}])
def test_counts_that_something_else_has_written_are_said_to_be_unreadable(rocketjob, web, classes):
    rocketjob.store.collection(MINUTES).insert_one({"_id": minute(1), "classes": classes})
    page = web.get("/charts")
    assert page.status_code == 409 and "is not what was written here" in text_of(page)


def test_records_that_something_else_has_written_into_the_audit_mark_nothing(rocketjob, web):
    counted(rocketjob, minute(0), completed=1)
    rocketjob.store.collection(audit.COLLECTION).insert_one({"at": NOW, "by": 7, "what": "?"})
    assert web.get("/charts").status_code == 200


def test_an_open_page_makes_few_calls_of_the_store(rocketjob, web):
    counted(rocketjob, minute(0), completed=1)
    for each in RANGES:
        with counted_calls() as calls:
            web.get(f"/charts?for={each.name}")
        assert 0 < len(calls) <= 8, calls


def test_everybody_may_look(rocketjob):
    assert as_role("view").get("/charts").status_code == 200
    assert browser(read_only=True).get("/charts/run.csv").status_code == 200


def test_without_the_metrics_there_is_no_such_section():
    with sandbox(disabled_plugins=["metrics"]):
        client = browser(live_seconds=0.9)
        assert client.get("/charts").status_code == 404
        assert "Metrics" not in text_of(client.get("/jobs"))
