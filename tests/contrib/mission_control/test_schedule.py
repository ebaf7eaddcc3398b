"""Schedule: every series, when it runs, what became of its last runs; rows P37 to P40."""

import re
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from rocketjob import Job, field
from rocketjob.testing import sandbox
from rocketjob_contrib.mission_control.run_times import run_times
from rocketjob_contrib.mission_control.schedule import list_page
from rocketjob_plugins import audit
from rocketjob_plugins.cron import Cron, CronSchedule, Schedule
from rocketjob_plugins.cron.series import all_series
from rocketjob_plugins.dirmon import DirmonEntry, DirmonJob
from rocketjob_plugins.housekeeping import HousekeepingJob
from support.web import as_role, browser, cells, counted_calls, links, tags, text_of

NOW = datetime(2026, 3, 6, 14, 20, 30, tzinfo=UTC)  # on Sunday New York changes its clocks


class WebSeriesJob(Cron, Job):
    cron_schedule = "30 2 * * * America/New_York"
    cron_singleton = True
    fails: bool = field(default=False, user_editable=True, copy_on_restart=True)

    def perform(self):
        if self.fails:
            raise ValueError("no")


class WebSeriesFileJob(Job):
    upload_file_name: str | None = None

    def perform(self): ...


@pytest.fixture(autouse=True)
def still(rocketjob):
    rocketjob.freeze(NOW)


def stored(job, **values):
    Job.collection().update_one({"_id": job.id}, {"$set": values})
    return job


def warned(page):
    """Return what the page itself warns of: above it there is the verdict, on every page."""
    return " ".join(
        " ".join(re.sub(r"<[^>]*>", " ", each).split())
        for each in re.findall(r'<div class="message warning">(.*?)</div>', page.text, re.S)
    )


def only_row(page, key):
    (cell,) = cells(page, key)
    return cell


# --- the list --------------------------------------------------------------------------------


def test_P37_a_row_has_the_schedule_in_words_its_zone_and_the_next_five_runs(rocketjob):
    WebSeriesJob.create()
    page = browser().get("/schedule")
    assert "At 02:30 every day, New York time (America/New_York)" in only_row(page, "words")
    assert re.findall(r"(\w\w\w 2026-\d\d-\d\d \d\d:\d\d \w+)", only_row(page, "next")) == [
        "Sat 2026-03-07 02:30 EST",
        "Sun 2026-03-08 03:00 EDT",  # there is no half past two on that day
        "Mon 2026-03-09 02:30 EDT",
        "Tue 2026-03-10 02:30 EDT",
        "Wed 2026-03-11 02:30 EDT",
    ]


def test_P37_the_change_of_the_clocks_is_noted_where_it_is(rocketjob):
    WebSeriesJob.create()
    said = only_row(browser().get("/schedule"), "next")
    assert said.count("clocks change") == 1
    assert "Sun 2026-03-08 03:00 EDT Sun 07:00 UTC clocks change: UTC-04:00" in said


@pytest.mark.parametrize(
    ("zone", "since", "noted"),
    [
        ("Europe/Berlin", datetime(2026, 3, 28, tzinfo=UTC), [False, True, False]),
        # In autumn it runs when the clocks show that for the first time, before they change.
        ("Europe/Berlin", datetime(2026, 10, 24, tzinfo=UTC), [False, False, True]),
        ("Pacific/Auckland", datetime(2026, 4, 3, tzinfo=UTC), [False, False, True]),
        ("Australia/Lord_Howe", datetime(2026, 4, 3, tzinfo=UTC), [False, True, False]),
        ("UTC", datetime(2026, 3, 28, tzinfo=UTC), [False, False, False]),
    ],
)
def test_P37_clocks_change_both_ways_and_by_half_an_hour(zone, since, noted):
    times = CronSchedule(f"30 2 * * * {zone}").next_times(since, 3)
    written = run_times(times, ZoneInfo(zone), ZoneInfo("UTC"), since)
    assert [bool(each.changed) for each in written] == noted
    assert [each.at for each in written] == times
    assert len({each.local for each in written}) == 3


def test_P37_the_last_runs_are_dots_also_of_those_that_are_removed(rocketjob):
    WebSeriesJob.create()
    for fails in (False, False, True, False):
        job = WebSeriesJob.queued().first()
        job.update(fails=fails)
        job.run_now()
        rocketjob.work_off()
        rocketjob.travel(timedelta(hours=24))
    assert WebSeriesJob.completed().count() == 0
    page = browser().get("/schedule")
    (dots,) = tags(page, "span", class_="dots")
    assert dots["aria-label"] == "The last 4 runs: completed, completed, failed, completed"
    assert "completed in 0ms, 1d ago" in only_row(page, "last")


def test_P37_one_that_is_paused_says_so_and_goes_on_from_here(rocketjob):
    job = WebSeriesJob.create()
    job.pause()
    page = browser().get("/schedule")
    assert "paused" in only_row(page, "name") and "not while it is paused" in only_row(page, "next")
    asked = f"/jobs/{job.id}/resume"
    assert f"{asked}?back=%2Fschedule" in links(page)
    answer = browser().post(asked, data={"state": "paused", "back": "/schedule"})
    assert answer.headers["location"] == "/schedule" and job.reload().is_queued


def test_P37_run_now_and_pause_are_actions_of_the_job_and_lead_back(rocketjob):
    job = WebSeriesJob.create()
    page = browser().get("/schedule?sort=-name")
    for event in ("run_now", "pause"):
        assert f"/jobs/{job.id}/{event}?back=%2Fschedule%3Fsort%3D-name" in links(page)
    browser().post(f"/jobs/{job.id}/run_now", data={"state": "queued"})
    assert rocketjob.work_off() == 1


def test_P37_one_that_is_late_and_what_was_missed_meanwhile(rocketjob):
    WebSeriesJob.create()
    rocketjob.travel(timedelta(days=3))  # no server runs
    said = only_row(browser().get("/schedule"), "name")
    assert "overdue for 2d 6h" in said and "2 missed" in said
    rocketjob.work_off()
    said = only_row(browser().get("/schedule"), "name")
    assert "overdue" not in said and "2 missed" in said
    rocketjob.travel(timedelta(hours=24))
    rocketjob.work_off()
    assert "missed" not in only_row(browser().get("/schedule"), "name")


def test_P37_a_list_of_a_thousand_missed_runs_is_not_counted_to_its_end(rocketjob):
    WebSeriesJob.create(cron_schedule="* * * * * UTC")
    rocketjob.travel(timedelta(days=30))
    assert "100+ missed" in only_row(browser().get("/schedule"), "name")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cron_schedule": "61 * * * *"}, "minute"),
        ({"cron_schedule": 7}, "must be a string"),
        ({"cron_schedule": "0 0 * * * Nowhere/Atall"}, "is not known"),
        ({"cron_schedule": "x" * 5000}, "1000"),
        ({"run_at": "tomorrow"}, "At 02:30"),
        ({"previous_runs": "many"}, "At 02:30"),
        ({"previous_runs": [7, {}, {"state": 1, "ended_at": 2}, None]}, "At 02:30"),
        ({"occurrence": 3, "cron_dst": []}, "At 02:30"),
        ({"_type": "GoneJob"}, "At 02:30"),
        ({"schedule_name": ["<b>"], "description": 5}, "At 02:30"),
    ],
)
def test_what_something_else_has_written_keeps_no_other_series_back(rocketjob, values, said):
    stored(WebSeriesJob.create(), **values)
    HousekeepingJob.create()
    for path in ("/schedule", "/schedule/day", "/schedule/week"):
        page = browser().get(path)
        assert page.status_code == 200 and "HousekeepingJob" in text_of(page), path
    assert any(said in each for each in cells(browser().get("/schedule"), "words"))


def test_series_without_a_key_as_those_of_ruby_are_there_too(rocketjob):
    for state in ("queued", "running", "paused"):
        job = WebSeriesJob.create(cron_schedule=f"{len(state)} * * * * UTC")
        Job.collection().update_one(
            {"_id": job.id}, {"$set": {"state": state}, "$unset": {"cron_key": 1}}
        )
    Job.collection().update_one({"state": "running"}, {"$unset": {"run_at": 1}})
    found = all_series()
    assert sorted(each.state for each in found.series) == ["paused", "queued", "running"]
    assert found.is_all


def test_a_job_that_is_no_series_any_more_is_not_there(rocketjob):
    job = WebSeriesJob.create(fails=True)
    job.run_now()
    rocketjob.work_off()
    assert WebSeriesJob.failed().count() == 1
    (series,) = all_series().series
    assert series.stored["_id"] != job.id


def test_series_are_searched_and_sorted(rocketjob):
    WebSeriesJob.create(description="b")
    WebSeriesJob.create(cron_schedule="0 1 * * * UTC", description="a")
    assert len(cells(browser().get("/schedule?q=new%20york"), "name")) == 1
    down = cells(browser().get("/schedule?sort=-name"), "name")
    assert down == cells(browser().get("/schedule?sort=name"), "name")[::-1]


def test_only_those_who_may_are_offered_anything(rocketjob):
    job = WebSeriesJob.create()
    page = as_role("view").get("/schedule")
    assert not [each for each in links(page) if f"{job.id}/" in each]
    assert "Create it" not in text_of(page) and "HousekeepingJob is not scheduled" in text_of(page)
    assert not [
        each for each in links(browser(read_only=True).get("/schedule")) if "create" in each
    ]


@pytest.mark.parametrize("path", ["", "/day", "/week", "/preview?expression=0+0+*+*+*"])
def test_a_page_makes_few_calls_of_the_store(rocketjob, path):
    DirmonEntry.create(pattern="/in/*", job_class_name="WebSeriesFileJob").enable()
    for minute in range(20):
        WebSeriesJob.create(cron_schedule=f"{minute} * * * * UTC")
    with counted_calls() as calls:
        assert browser().get(f"/schedule{path}").status_code == 200
    assert 0 < len(calls) <= 8, calls


# --- the calendar ----------------------------------------------------------------------------


def hours_of(page):
    """Return the runs of each hour by the table, in its order."""
    (body,) = re.findall(r"<tbody>(.*?)</tbody>", page.text, re.S)
    return [int(each) for each in re.findall(r'<td class="number">(\d+)</td>', body)]


@pytest.mark.parametrize(("path", "hours"), [("day", 24), ("week", 168)])
def test_P38_the_counts_are_those_of_the_lists_of_next_runs(rocketjob, path, hours):
    for expression in ("*/20 * * * * UTC", "30 2 * * * America/New_York", "0 0 1 1 * UTC"):
        WebSeriesJob.create(cron_schedule=expression)
    until = NOW + timedelta(hours=hours)
    wanted = [at for each in all_series().series for at in each.next_times(600) if at < until]
    page = browser().get(f"/schedule/{path}")
    assert sum(hours_of(page)) == len(wanted) > 0
    assert f"Runs in each hour: {len(wanted)} in all" in text_of(page)
    by_hour = [sum(1 for at in wanted if (at.day, at.hour) == (6, hour)) for hour in (15, 16)]
    assert hours_of(page)[1:3] == by_hour == [3, 3]


def test_P38_what_piles_up_is_seen(rocketjob):
    for minute in range(9):
        WebSeriesJob.create(cron_schedule=f"{minute} 18 * * * UTC")
    said = text_of(browser().get("/schedule/day"))
    assert "9 in all, at most 9 in one" in said
    assert "Fri 06 Mar, 18:00 UTC 9 WebSeriesJob 9" in said


def test_P38_one_that_is_paused_is_named_and_not_counted(rocketjob):
    WebSeriesJob.create().pause()
    HousekeepingJob.create()
    said = text_of(browser().get("/schedule/day"))
    assert "96 in all" in said and "Paused, and not shown: WebSeriesJob" in said


def test_P38_hours_are_those_of_whoever_looks_also_when_the_clocks_change(rocketjob):
    WebSeriesJob.create(cron_schedule="* * * * * UTC")
    rocketjob.freeze(datetime(2026, 3, 8, 5, 10, tzinfo=UTC))
    page = browser(time_zone="America/New_York", live_seconds=0.6).get("/schedule/day")
    said = text_of(page)
    assert "01:00 EST" in said and "03:00 EDT" in said and "02:00" not in said.replace("02:00 ", "")
    page = browser(time_zone="Asia/Kathmandu", live_seconds=0.6).get("/schedule/day")
    assert "Sun 08 Mar, 10:00 +0545" in text_of(page)
    assert sum(hours_of(page)) == 24 * 60 - 1


def test_P38_very_many_runs_are_cut_and_that_is_said(rocketjob):
    WebSeriesJob.create(cron_schedule="* * * * * UTC")
    said = text_of(browser().get("/schedule/week"))
    assert "2,100+" in said and "the hours after those have more" in said


# --- a preview -------------------------------------------------------------------------------


def preview(expression, **query):
    headers = {"HX-Request": "true"}
    asked = {"expression": expression, **query}
    return browser().get("/schedule/preview", params=asked, headers=headers)


def test_P39_an_expression_is_shown_in_words_with_its_next_five_times(rocketjob):
    answer = preview("0 6 * * Mon-Fri Europe/Berlin")
    assert "At 06:00 from Monday to Friday, Berlin time" in text_of(answer)
    assert answer.text.count("<li>") == 5 and "<html" not in answer.text
    page = browser().get("/schedule/preview", params={"expression": "@daily"})
    assert "<html" in page.text and "At 00:00 every day" in text_of(page)


def test_P39_what_happens_when_the_clocks_change_is_part_of_it(rocketjob):
    safe, literal = (preview("30 2 * * * America/New_York", dst=dst) for dst in ("safe", "literal"))
    assert "Sun 2026-03-08 03:00 EDT" in text_of(safe)
    assert "2026-03-08" not in text_of(literal)


HOSTILE = (
    "0 0 30 2 *",
    "0 0 29 2 Mon#5",
    "5 0 31 2,4,6,9,11 *",
    f"{','.join(str(n % 60) for n in range(330))} * * * *",
    "*/1" * 300,
    "1-1" * 333,
    "0 0 * * Mon#-1 Zone/Nowhere",
    f"0 0 1 1 * {'A' * 900}",
    "x" * 5000,
    "<script>alert(1)</script>",
    "\0",
    "0 0 0 0 0",
    "99999999999999999999 * * * *",
    "*/0 * * * *",
    "٣ * * * *",
)


@pytest.mark.parametrize("expression", HOSTILE, ids=range(len(HOSTILE)))
def test_P39_a_hostile_expression_is_answered_within_50_milliseconds(rocketjob, expression):
    answer = preview(expression)
    assert answer.status_code == 200 and "<script>" not in answer.text
    assert len(answer.text) < 3000
    assert min(_seconds(expression) for _ in range(5)) < 0.05


def _seconds(expression):
    """Return how much of the processor's time it takes, without that of the test's browser."""
    begin = time.thread_time()
    with suppress(ValueError):
        CronSchedule(expression).next_times(NOW, 5)
    return time.thread_time() - begin


def test_P39_what_is_wrong_is_said(rocketjob):
    assert "hour" in text_of(preview("0 25 * * *"))
    assert "Type an expression" in text_of(preview(" "))


# --- editing ---------------------------------------------------------------------------------


def test_P39_the_form_of_a_schedule_shows_when_it_runs_and_leads_back(rocketjob):
    job = WebSeriesJob.create()
    page = browser().get(f"/jobs/{job.id}/schedule?back=/schedule")
    assert "At 02:30 every day" in text_of(page)
    (form,) = tags(page, "form", method="post")
    assert (form["action"], form["data-cron-preview"]) == (f"/jobs/{job.id}", "/schedule/preview")
    (seen,) = tags(page, "input", name="seen.cron_schedule")
    typed = {"field.cron_schedule": "0 5 * * * UTC", "seen.cron_schedule": seen["value"]}
    answer = browser().post(f"/jobs/{job.id}", data={**typed, "back": "/schedule"})
    assert answer.headers["location"] == "/schedule"
    assert job.reload().run_at == datetime(2026, 3, 7, 5, tzinfo=UTC)
    stale = browser().post(f"/jobs/{job.id}", data={**typed, "field.cron_schedule": "0 7 * * *"})
    assert stale.status_code == 409 and job.reload().cron_schedule == "0 5 * * * UTC"


def test_a_schedule_that_is_wrong_is_not_saved(rocketjob):
    job = WebSeriesJob.create()
    answer = browser().post(f"/jobs/{job.id}", data={"field.cron_schedule": "61 * * * *"})
    assert answer.status_code == 422 and "Invalid cron_schedule" in text_of(answer)
    assert job.reload().cron_schedule == "30 2 * * * America/New_York"


def test_a_job_without_a_schedule_and_one_that_has_ended_have_no_such_form(rocketjob):
    plain = WebSeriesFileJob.create()
    ended = stored(WebSeriesJob.create(), state="aborted")
    for job in (plain, ended):
        answer = browser().get(f"/jobs/{job.id}/schedule")
        assert answer.headers["location"] == f"/jobs/{job.id}"


# --- guardians -------------------------------------------------------------------------------


def test_P40_entries_that_nobody_looks_at_are_warned_of_until_the_monitor_is_there(rocketjob):
    DirmonEntry.create(pattern="/in/*", job_class_name="WebSeriesFileJob").enable()
    said = "DirmonJob is not scheduled: 1 directory entry is enabled, and nobody looks for files"
    assert said in warned(browser().get("/schedule"))
    asked = browser().get("/schedule/create?class=DirmonJob")
    assert "Create DirmonJob?" in text_of(asked)
    assert browser().post("/schedule/create", data={"class": "DirmonJob"}).status_code == 303
    assert DirmonJob.scheduled().count() == 1
    assert "DirmonJob is" not in warned(browser().get("/schedule"))
    DirmonJob.scheduled().first().pause()
    assert "DirmonJob is paused" in warned(browser().get("/schedule"))
    (record,) = [each for each in audit.records() if each.how == "POST /schedule/create"]
    assert (record.event, record.name) == ("create", "DirmonJob")


def test_P40_without_entries_nobody_has_to_look(rocketjob):
    DirmonEntry.create(pattern="/in/*", job_class_name="WebSeriesFileJob")
    assert "DirmonJob" not in warned(browser().get("/schedule"))


def test_P40_housekeeping_is_created_once_however_often_it_is_asked_for(rocketjob):
    assert "HousekeepingJob is not scheduled" in warned(browser().get("/schedule"))
    for _ in range(2):
        browser().post("/schedule/create", data={"class": "HousekeepingJob"})
    assert HousekeepingJob.count() == 1
    assert "HousekeepingJob is" not in warned(browser().get("/schedule"))


def test_P40_schedules_in_code_that_are_not_in_the_store_are_warned_of(rocketjob, monkeypatch):
    declared = [Schedule(WebSeriesJob, "0 1 * * *", name) for name in ("acme", "beta")]
    monkeypatch.setattr(list_page, "declared_schedules", lambda: declared)
    said = "Declared in code, and not in the store: "
    assert f"{said}acme, beta." in warned(browser().get("/schedule"))
    WebSeriesJob.create(cron_schedule="0 1 * * *", schedule_name="acme")
    assert f"{said}beta." in warned(browser().get("/schedule"))
    WebSeriesJob.create(cron_schedule="0 3 * * *", schedule_name="beta")  # edited by hand
    assert said not in warned(browser().get("/schedule"))


@pytest.mark.parametrize("name", ["", "WebSeriesJob", "DirmonJob", "os.system", "x" * 9000])
def test_P40_nothing_else_can_be_created(rocketjob, name):
    before = Job.count()
    for method in ("GET", "POST"):
        given = {"params": {"class": name}} if method == "GET" else {"data": {"class": name}}
        answer = browser().request(method, "/schedule/create", **given)
        assert answer.headers["location"] == "/schedule"
    assert Job.count() == before


def test_without_cron_there_is_no_such_section():
    with sandbox(disabled_plugins=["cron", "dirmon", "housekeeping", "demo"]):
        client = browser(live_seconds=0.55)
        assert client.get("/schedule").status_code == 404
        assert "Schedule" not in text_of(client.get("/jobs")).split()
