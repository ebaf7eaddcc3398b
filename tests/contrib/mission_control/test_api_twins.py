"""What pages only show is there for programs too, made of the same numbers; row P56."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId

from rocketjob import Job, Server, field
from rocketjob.base import acts, clock
from rocketjob_contrib.mission_control import create_app
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.cron import Cron
from support.web import a_group_of_failures, as_role, browser, counted_calls, text_of


class TwinJob(Job):
    destroy_on_complete = False
    pausable = True
    note: str | None = field(default=None, user_editable=True)

    def perform(self): ...


class TwinBatchJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record):
        int(record)


class TwinCronJob(Cron, Job):
    pausable = True
    cron_schedule = "0 6 * * * UTC"

    def perform(self): ...


NOW = datetime(2026, 3, 6, 14, 20, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def api(**settings):
    """Return a client of an application of its own, as it remembers what it has seen."""
    return browser(live_seconds=0.3, **settings)


def get(path, status=200, client=None, **params):
    answer = (client or api()).get(f"/api/v1{path}", params=params)
    assert answer.status_code == status, answer.text
    return answer.json()


def server(name="twin:1", beat=timedelta(0), performing=()):
    heartbeat = {"updated_at": clock.now() - beat, "number": 1, "workers": 4}
    return Server.create(
        name=name, state="running", heartbeat=heartbeat | {"performing": list(performing)}
    )


# --- the verdict, and the overview ---------------------------------------------------------------


def test_P56_the_verdict_is_that_of_the_pages(rocketjob):
    server()
    key = a_group_of_failures("no such state")
    said = get("/verdict")
    assert said["level"] == "FAILING"
    page = text_of(api().get("/overview"))
    assert f"FAILING {said['causes'][0]['message']}" in page
    (cause,) = said["causes"]
    assert (cause["area"], cause["status"], cause["page"]) == ("jobs", "problem", "/failures")
    assert said["sentence"] == cause["message"] and cause["advice"]
    api().post(f"/api/v1/failures/{key}/acknowledge", json={})
    said = get("/verdict")
    assert (said["level"], said["causes"]) == ("OK", [])
    assert said["sentence"] == f"nothing is wrong with {', '.join(said['looked_at'])}"


def test_P56_a_store_that_is_away_leaves_the_verdict_unknown(rocketjob, monkeypatch):
    client = api()
    client.app.state.site.memory.clear()
    away = ConnectionError("away")

    def seen(patient):
        raise away

    monkeypatch.setattr("rocketjob_contrib.mission_control.watch._seen", seen)
    said = get("/verdict", client=client)
    assert (said["level"], said["causes"][0]["area"]) == ("UNKNOWN", "store")


def test_P56_the_overview_has_what_the_page_has(rocketjob):
    server("lives:1", performing=[str(ObjectId())])
    server("dead:1", beat=timedelta(minutes=9), performing=["a", "b/1"])
    group = a_group_of_failures("state 'ZZ' in line 1", "state 'YY' in line 7")
    TwinJob.create(run_at=clock.now() + timedelta(hours=1))
    job = TwinJob.create(created_at=clock.now() - timedelta(minutes=5))
    with acts.acting(by="ada", how="tidy.py", reason="later"):
        job.pause()
    TwinJob.create()
    shown = get("/overview")
    assert shown["verdict"]["level"] == "FAILING"
    (failing,) = shown["failing"]["groups"]
    assert (failing["id"], failing["count"], sum(failing["trend"])) == (group, 2, 2)
    assert shown["backlog"]["jobs"] == {"queued": 1, "scheduled": 1, "paused": 1, "failed": 2}
    assert shown["backlog"]["longest_wait"]["seconds"] >= 0
    capacity = shown["capacity"]
    assert (capacity["busy"], capacity["workers"]) == (1, 4)
    assert capacity["servers"] == {"running": 1, "zombie": 1} and capacity["others_take_over"]
    assert [dead["performing"] for dead in capacity["dead"]] == [["a", "b/1"]]
    assert [each["class"] for each in shown["next"]] == ["TwinJob"]
    assert [(each["by"], each["event"], each["reason"]) for each in shown["changes"]] == [
        ("ada", "pause", "later")
    ]
    assert shown["flow"]["completed_per_minute"] == 0
    assert len(shown["flow"]["completed"]) == len(shown["flow"]["waits"]) >= 30
    assert shown["flow"]["step_seconds"] == 120
    page = text_of(api().get("/overview"))
    assert "1 of 4 workers busy" in page and "ada pause TwinJob" in page


def test_P56_a_job_that_runs_is_in_the_overview_with_how_far_it_is(rocketjob):
    job = TwinJob.create(description="a letter")
    values = {"state": "running", "started_at": clock.now(), "percent_complete": 40}
    Job.collection().update_one({"_id": job.id}, {"$set": values})
    (running,) = get("/overview")["running"]
    assert (running["job_id"], running["class"]) == (str(job.id), "TwinJob")
    assert (running["percent"], running["description"]) == (40, "a letter")


def test_P56_the_overview_hides_what_the_page_hides(rocketjob):
    a_group_of_failures("state 'ZZ' in line 1")
    client = as_role("view", redact_messages=True, live_seconds=0.4)
    shown = get("/overview", client=client)
    assert "line" not in shown["failing"]["groups"][0]["pattern"]


# --- charts --------------------------------------------------------------------------------------


@pytest.fixture
def counted(rocketjob):
    """Some jobs that have ended, as the metrics have counted them."""
    for _ in range(3):
        TwinJob.create()
    rocketjob.work_off()


@pytest.mark.parametrize("name", ["throughput", "wait", "run"])
def test_P12_the_points_of_a_chart_are_the_rows_of_its_csv(rocketjob, counted, name):
    client = api()
    shown = get("/charts", client=client, **{"for": "1h", "class": "TwinJob"})
    (chart,) = [each for each in shown["charts"] if each["name"] == name]
    file = client.get(f"/charts/{name}.csv", params={"for": "1h", "class": "TwinJob"})
    head, *rows = csv.reader(io.StringIO(file.text))
    assert head == ["time", *chart["columns"]]
    assert len(rows) == len(chart["points"]) == 60
    known = [[None if cell == "" else float(cell) for cell in cells] for _, *cells in rows]
    assert [point["values"] for point in chart["points"]] == known
    assert any(value for values in known for value in values), "something was counted"


@pytest.mark.parametrize("name", ["spread", "classes"])
def test_P12_so_are_the_other_tables(rocketjob, counted, name):
    client = api()
    rows = list(csv.DictReader(io.StringIO(client.get(f"/charts/{name}.csv").text)))
    shown = get("/charts", client=client)[name]
    assert rows and [{k: _text(v) for k, v in row.items()} for row in shown] == rows


def _text(value):
    return "" if value is None else str(value)


def test_P12_a_range_that_there_is_not_is_refused(rocketjob):
    assert "for must be one of" in get("/charts", 400, **{"for": "2y"})["detail"]


def test_P12_a_class_of_which_nothing_was_counted_has_points_nevertheless(rocketjob, counted):
    shown = get("/charts", **{"class": "NoSuchJob"})
    assert shown["charts"][0]["points"][0]["values"] == [0, 0, 0]
    assert shown["marks"] == []


# --- the audit -----------------------------------------------------------------------------------


def test_P49_the_audit_is_narrowed_by_event_and_refuses_what_is_no_job(rocketjob):
    job = TwinJob.create()
    with acts.acting(by="ada", how="tidy.py"):
        job.pause()
        job.resume()
    assert [each["event"] for each in get("/audit", event="pause")["data"]] == ["pause"]
    assert "24 digits" in get("/audit", 400, job="x")["detail"]


@pytest.mark.parametrize("id", [7, "text", True])
def test_P49_a_record_with_another_kind_of_id_is_shown_and_ends_no_list(rocketjob, id):
    records = rocketjob.store.collection(audit.COLLECTION)
    records.insert_one({"_id": id, "event": "odd", "by": "nobody"})
    job = TwinJob.create()
    with acts.acting(by="ada", how="tidy.py"):
        job.pause()
    assert {each.event for each in audit.records()} == {"odd", "pause"}
    assert "nobody odd" in text_of(api().get("/audit"))
    page = get("/audit", limit=1)
    assert [each["event"] for each in page["data"]] == ["pause"] and page["next"] is None


def test_P56_what_is_looked_at_costs_no_more_than_the_page(rocketjob, counted):
    costs = []
    for path in ("/overview", "/api/v1/overview"):
        client = api()
        client.app.state.site.memory.clear()
        with counted_calls() as calls:
            assert client.get(path).status_code == 200
        costs.append(len(calls))
    assert costs[1] <= costs[0]


# --- jobs ----------------------------------------------------------------------------------------


def test_P10_the_timeline_of_a_job_has_seconds_instead_of_words(rocketjob):
    rocketjob.freeze(NOW)
    job = TwinJob.create()
    rocketjob.travel(MINUTE)
    with acts.acting(by="ada", how="tidy.py"):
        job.pause()
    rocketjob.travel(2 * MINUTE)
    job.resume()
    shown = get(f"/jobs/{job.id}/timeline")
    assert [(each["what"], each["was"], each["seconds"]) for each in shown["moments"]] == [
        ("created", "queued", None),
        ("paused", "queued", 60),
        ("resumed", "paused", 120),
    ]
    assert shown["moments"][1]["by"] == "by ada" and not shown["is_cut"]
    assert shown["stretches"] == [
        {"state": "queued", "seconds": 60},
        {"state": "paused", "seconds": 120},
    ]


def test_P10_a_clock_that_was_behind_is_a_time_below_zero(rocketjob):
    rocketjob.freeze(NOW)
    job = TwinJob.create()
    entry = {"at": NOW - 3 * MINUTE, "event": "start", "state": "running"}
    Job.collection().update_one({"_id": job.id}, {"$set": {"history": [entry]}})
    moments = get(f"/jobs/{job.id}/timeline")["moments"]
    assert [each["seconds"] for each in moments if each["what"] == "started"] == [-180]


def test_P10_the_runs_of_a_class_are_those_of_the_page(rocketjob):
    assert get(f"/jobs/{TwinJob.create().id}/runs") == {
        "of": None,
        "runs": [],
        "usual_seconds": None,
        "longest_seconds": None,
    }
    TwinJob.create()
    rocketjob.work_off()
    job = TwinJob.last()
    shown = get(f"/jobs/{job.id}/runs")
    assert shown["of"] == "this class" and len(shown["runs"]) == 2
    assert [each["is_this"] for each in shown["runs"] if each["job_id"] == str(job.id)] == [True]
    assert shown["longest_seconds"] >= shown["usual_seconds"] >= 0


def created_by(id, **stored):
    job = TwinJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"created_in": id, **stored}})
    return job.reload()


def test_P62_what_a_job_comes_from_and_has_created(rocketjob):
    creator = TwinJob.create()
    child = created_by(creator.id, created_for="weather:7", description="a child")
    shown = get(f"/jobs/{child.id}/related")
    assert shown["created_in"] == {"id": str(creator.id), "class": "TwinJob"}
    assert shown["created_for"] == {"kind": "weather", "id": "7", "title": None, "page": None}
    shown = get(f"/jobs/{creator.id}/related")
    assert [each["description"] for each in shown["created"]] == ["a child"]
    assert (shown["created_in"], shown["created_for"], shown["more"]) == (None, None, False)
    child.reload().destroy()
    orphan = created_by(child.id)
    assert get(f"/jobs/{orphan.id}/related")["created_in"]["class"] is None


def test_P12_a_list_is_exported_as_its_page_exports_it(rocketjob):
    for number in range(3):
        TwinJob.create(description=f"{number},\n=1").pause()
    TwinJob.create()
    client = api()
    asked = {"q": "class:TwinJob", "sort": "-class"}
    answer = client.get("/api/v1/jobs.csv", params={"state": "paused", **asked})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text == client.get("/jobs/paused.csv", params=asked).text
    assert len(list(csv.DictReader(io.StringIO(answer.text)))) == 3
    lines = client.get("/api/v1/jobs.jsonl").text.splitlines()
    assert sorted(json.loads(line)["state"] for line in lines) == ["paused"] * 3 + ["queued"]


@pytest.mark.parametrize("asked", [{"q": "priority:<"}, {"sort": "shoe"}, {"state": "odd"}])
def test_P17_an_export_that_cannot_be_made_says_why(rocketjob, asked):
    assert get("/jobs.csv", 400, **asked)["type"] == "urn:rocketjob:problem:malformed"


# --- batch jobs ----------------------------------------------------------------------------------


def batch(rocketjob, **fields):
    job = TwinBatchJob(slice_size=2, **fields)
    job.upload(["1", "2", "x", "4", "5"])
    job.save()
    rocketjob.work_off()
    return job.reload()


def test_P09_the_map_of_slices_is_that_of_the_page(rocketjob):
    job = batch(rocketjob)
    shown = get(f"/jobs/{job.id}/slice_map")
    assert (shown["records"], shown["slice_size"], shown["slices_of_cell"]) == (5, 2, 1)
    assert [(each["first"], each["last"], each["state"]) for each in shown["cells"]] == [
        (1, 2, "completed"),
        (3, 4, "failed"),
        (5, 5, "completed"),
    ]
    assert shown["cells"][1]["slice"] == 3
    assert (shown["counts"]["failed"], shown["counts"]["completed"]) == (1, 2)
    assert len(get(f"/jobs/{job.id}/slice_map", cells=1)["cells"]) == 1


def test_P09_slices_that_fail_again_and_again_are_named_with_why(rocketjob):
    job = batch(rocketjob)
    job.retry()
    rocketjob.work_off()
    (failing,) = get(f"/jobs/{job.id}/slice_map")["failing"]
    assert (failing["slice"], failing["failure_count"]) == (3, 2)
    assert failing["exception"]["class_name"] == "ValueError"
    client = as_role("view", redact_messages=True)
    (failing,) = get(f"/jobs/{job.id}/slice_map", client=client)["failing"]
    assert "invalid literal" not in failing["exception"]["message"]


def test_P09_what_has_no_map_says_why(rocketjob):
    job = batch(rocketjob)
    job.abort()
    said = get(f"/jobs/{job.id}/slice_map", 409)
    assert "it was aborted" in said["detail"]
    get(f"/jobs/{TwinJob.create().id}/slice_map", 404)


def test_P09_the_slices_behind_a_cell_are_listed(rocketjob):
    job = TwinBatchJob(slice_size=2)
    job.upload(["1", "2", "3", "4", "5"])
    job.save()
    found = get(f"/jobs/{job.id}/slices", **{"from": 2, "to": 4})["data"]
    assert [each["id"] for each in found] == [3]
    page = get(f"/jobs/{job.id}/slices", **{"from": 3, "limit": 1})
    rest = get(f"/jobs/{job.id}/slices", **{"from": 3, "cursor": page["next"]})
    assert [each["id"] for each in (*page["data"], *rest["data"])] == [3, 5]


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_P33_the_files_of_records_are_those_of_the_pages(rocketjob, format):
    client = api()
    for job, name in (
        (batch(rocketjob), "failed_records"),
        (batch(rocketjob, max_rejects=9), "rejects"),
    ):
        path = f"/jobs/{job.id}/{name}/download"
        answer = client.get(f"/api/v1{path}", params={"format": format})
        assert answer.status_code == 200 and "x" in answer.text
        assert answer.text == client.get(path, params={"format": format}).text


# --- schedules -----------------------------------------------------------------------------------


def test_P37_the_calendar_has_each_run_of_the_next_day_and_week(rocketjob):
    rocketjob.freeze(NOW)
    job = TwinCronJob.create()
    day, week = get("/schedule/day"), get("/schedule/week")
    (series,) = day["series"]
    assert (series["job_id"], series["class"]) == (str(job.id), "TwinCronJob")
    assert series["times"] == ["2026-03-07T06:00:00.000Z"] and not series["is_cut"]
    assert day["total"] == 1 and week["total"] == 7
    assert [hour["at"] for hour in day["hours"] if hour["classes"] == {"TwinCronJob": 1}] == [
        "2026-03-07T06:00:00.000Z"
    ]
    job.pause()
    paused = get("/schedule/day", client=browser(live_seconds=0.6))
    assert not paused["series"] and [each["class"] for each in paused["paused"]] == ["TwinCronJob"]


def test_P37_an_expression_is_explained_or_refused_with_why(rocketjob):
    rocketjob.freeze(NOW)
    shown = get("/schedule/preview", expression="0 6 * * * UTC")
    assert shown["words"] and len(shown["next"]) == 5
    assert shown["next"][0]["at"] == "2026-03-07T06:00:00.000Z"
    assert get("/schedule/preview", 400, expression="99 * * * *")["errors"]


def test_P37_what_should_run_and_does_not_is_named(rocketjob):
    shown = get("/schedule/missing")
    (missing,) = [each for each in shown["jobs"] if each["class"] == "HousekeepingJob"]
    assert not missing["is_paused"] and "kept for ever" in missing["why"]
    answer = api().post("/api/v1/schedule/create", json={"class": "HousekeepingJob"})
    assert answer.status_code == 200
    assert "HousekeepingJob" not in [each["class"] for each in get("/schedule/missing")["jobs"]]


# --- every page ----------------------------------------------------------------------------------

SITE_APP = create_app()
SITE = SITE_APP.state.site
ONLY_PAGES = {
    "/jobs/{id}/edit": "a form: `GET /jobs/{id}` has the values, and `PATCH` takes them",
    "/jobs/{id}/schedule": "a form: `GET /schedule/preview`, and `PATCH /jobs/{id}`",
    "/jobs/{id}/edit_slice": "a form: `list_records` has the records, and `PUT` takes one",
    "/dirmon_entries/new": "a form: `POST /entries`",
    "/dirmon_entries/{id}/copy": "a form: `POST /entries/{id}/copy`",
    "/dirmon_entries/{id}/edit": "a form: `GET /entries/{id}`, and `PATCH`",
    "/": "leads to the first page",
    "/preferences": "how a browser shows pages is kept by the browser",
    "/views": "searches that a browser keeps",
    "/jump": "leads to the page of what was typed: `GET /jobs?q=`",
    "/events": "tells open pages that something has changed, and what pages show is asked for",
    "/healthz": "is no page, and for programs already",
    "/static": "scripts and styles",
    "/{path:path}": "says that there is no such page",
}
"""The paths of pages that have nothing for programs, and why."""


def _paths():
    """Return every path below the mount path that can be looked at, but those of the API."""
    listed = {route.path for _, route in SITE.routes if not route.changes}
    served = {route.path for route in SITE_APP.routes if not route.path.startswith("/api/")}
    return sorted(listed | (served - {route.path for _, route in SITE.routes}))


def _asks(path):
    """Return whether a page only asks whether a change is meant, and an operation makes that."""
    methods = {m for _, r in SITE.routes if r.path == path and r.changes for m in r.methods}
    done = [each for _, each in SITE.operations]
    return bool(methods) and all(any(op.does(path, m) for op in done) for m in methods)


def _has_twin(path):
    return any(each.does(path, "GET") for _, each in SITE.operations)


@pytest.mark.parametrize("path", _paths())
def test_P56_what_a_page_shows_is_there_for_programs_or_it_is_said_why_not(path):
    assert _has_twin(path) or _asks(path) or path in ONLY_PAGES


def test_P56_no_reason_is_kept_for_a_page_that_is_gone_or_has_a_twin():
    assert set(ONLY_PAGES) <= {path for path in _paths() if not _has_twin(path)}
