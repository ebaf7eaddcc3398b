"""The overview: what fails, whether work flows, and what comes next; row P03, P68."""

from datetime import timedelta

import pytest
from bson import ObjectId

from rocketjob import Job, Server
from rocketjob.base import clock
from rocketjob.base.acts import acting
from rocketjob.base.errors import StoreUnavailable
from rocketjob_contrib.mission_control.overview import seen
from rocketjob_contrib.mission_control.sparks import sparkline
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.cron import Cron
from support.web import (
    a_group_of_failures,
    as_role,
    browser,
    counted_calls,
    links,
    tags,
    text_of,
)


class OverviewJob(Job):
    destroy_on_complete = False
    pausable = True

    def perform(self): ...


class OverviewCronJob(Cron, Job):
    cron_schedule = "0 6 * * * UTC"

    def perform(self): ...


class OverviewBatchJob(Batch, Job):
    def perform(self, record): ...


LIVE = {"X-Live": "1", "HX-Request": "true"}
MINUTE = timedelta(minutes=1)


def server(name="host:1", state="running", beat=timedelta(0), performing=(), workers=4):
    heartbeat = {"updated_at": clock.now() - beat, "number": 1}
    heartbeat |= {"workers": workers, "performing": list(performing)}
    return Server.create(name=name, state=state, heartbeat=heartbeat)


def running(**stored):
    job = OverviewJob.create(description="a letter")
    values = {"state": "running", "started_at": clock.now(), "worker_name": "host:1:2", **stored}
    Job.collection().update_one({"_id": job.id}, {"$set": values})
    return job


def test_P03_a_failure_is_on_the_first_screen_with_what_can_be_done(rocketjob):
    key = a_group_of_failures("state 'ZZ' in line 1", "state 'XX' in line 2")
    page = browser().get("/overview")
    said = text_of(page)
    assert "WebFailingJob · ValueError state '…' in line #" in said
    assert "2 jobs since" in said
    for path in (f"/failures/{key}", f"/failures/{key}/retry?back=%2Foverview"):
        assert path in links(page)


def test_P03_the_failure_can_be_retried_from_there(rocketjob):
    key = a_group_of_failures("line 1")
    client = browser()
    asked = client.get(f"/failures/{key}/retry?back=/overview")
    data = {tag["name"]: tag["value"] for tag in tags(asked, "input", type="hidden")}
    answer = client.post(f"/failures/{key}/retry", data=data)
    assert answer.headers["location"] == "/overview"
    assert "Nothing has failed." in text_of(client.get("/overview"))


def test_P03_what_is_acknowledged_is_not_among_what_fails(rocketjob):
    key = a_group_of_failures("line 1")
    browser().post(f"/failures/{key}/acknowledge")
    page = browser().get("/overview")
    assert "All that has failed is acknowledged" in text_of(page)
    assert f"/failures/{key}" not in links(page)


def test_P03_the_backlog_has_its_numbers_and_the_longest_wait(rocketjob):
    job = OverviewJob.create()
    OverviewJob.create(run_at=timedelta(hours=1))
    OverviewJob.create().pause()
    rocketjob.travel(5 * MINUTE)
    page = browser().get("/overview")
    said = text_of(page)
    assert "Queued 1 " in said and "Scheduled 1 " in said and "Paused 1 " in said
    assert "Longest wait 5m, why?" in said
    assert f"/jobs/{job.id}/explain" in links(page)


def test_P03_capacity_has_who_works_and_how_many_servers_are_in_which_state(rocketjob):
    server(performing=[str(ObjectId()), f"{ObjectId()}/101"])
    server("host:2", "paused", workers=6)
    page = browser().get("/overview")
    assert "20 % 2 of 10 workers busy" in text_of(page)
    assert "1 running" in text_of(page) and "1 paused" in text_of(page)
    assert "/servers/paused" in links(page)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (("running",), "Another server takes its work back by itself"),
        (("stopping",), "No other server lives that would take its work back."),
        ((), "No other server lives that would take its work back."),
    ],
)
def test_P68_a_dead_server_says_what_is_stuck_and_is_removed_from_there(rocketjob, others, said):
    performing = [str(ObjectId()), f"{ObjectId()}/1", f"{ObjectId()}/101"]
    dead = server("old:7", beat=9 * MINUTE, performing=performing)
    for number, state in enumerate(others):
        server(f"host:{number}", state)
    page = browser().get("/overview")
    text = text_of(page).replace(" ;", ";")
    assert "old:7 was last heard of 9m ago; it had 1 job and 2 slices in work" in text
    assert said in text
    assert "/active_workers?server_name=old%3A7" in links(page)
    assert f"/servers/{dead.id}/destroy?back=%2Foverview" in links(page)
    assert "Remove and requeue" not in text_of(as_role("view").get("/overview"))


@pytest.mark.parametrize("state", ["running", "paused", "stopping"])
def test_P68_its_removal_queues_just_what_it_held(rocketjob, state):
    dead, other = server("old:7", state, beat=9 * MINUTE), server()
    held = running(claimed_by=f"{dead.incarnation}.1", claim_number=1)
    elsewhere = running(claimed_by=f"{other.incarnation}.1", claim_number=1)
    answer = browser().post(f"/servers/{dead.id}/destroy", data={"back": "/overview"})
    assert answer.headers["location"] == "/overview"
    assert held.reload().is_queued and elsewhere.reload().is_running


def test_P03_flow_is_that_of_the_metrics(rocketjob):
    for _ in range(3):
        OverviewJob.create()
    rocketjob.work_off()
    page = browser().get("/overview")
    assert "Completed 0.6 a minute" in text_of(page)
    (picture,) = tags(page, "svg", class_="spark state-completed")
    assert picture["aria-label"].startswith("3 jobs in the last hour")


def test_P03_what_runs_next_comes_in_order(rocketjob):
    late = OverviewJob.create(run_at=timedelta(hours=9))
    soon = OverviewJob.create(run_at=timedelta(hours=1))
    OverviewCronJob.create()
    page = browser().get("/overview")
    found = [link for link in links(page) if link in (f"/jobs/{late.id}", f"/jobs/{soon.id}")]
    assert found == [f"/jobs/{soon.id}", f"/jobs/{late.id}"]
    assert "0 6 * * * UTC" in text_of(page)


def test_P03_what_runs_is_there_the_most_urgent_first(rocketjob):
    slow, urgent = running(priority=90), running(priority=10)
    page = browser().get("/overview")
    found = [link for link in links(page) if link in (f"/jobs/{slow.id}", f"/jobs/{urgent.id}")]
    assert found == [f"/jobs/{urgent.id}", f"/jobs/{slow.id}"]


def test_P03_what_people_changed_is_there(rocketjob):
    job = OverviewJob.create()
    with acting(by="ada", how="a test", reason="wrong <b>file</b>"):
        job.abort()
    page = browser().get("/overview")
    assert "ada abort OverviewJob (wrong <b>file</b>)" in text_of(page)
    assert "<b>file" not in page.text


def test_P03_where_there_is_nothing_it_says_how_to_begin(rocketjob):
    said = text_of(browser().get("/overview"))
    assert "There are no jobs yet." in said
    assert "rocketjob server --app myapp.jobs" in said


WRONG = [
    {"_type": 7, "state": "running", "started_at": "yesterday", "priority": "high"},
    {"_type": "OverviewBatchJob", "state": "running", "sub_state": "processing"},
    {"_type": "OverviewJob", "state": "queued", "run_at": "tomorrow"},
    {"_type": None, "state": "failed", "completed_at": 5, "exception": ["a"]},
]


@pytest.mark.parametrize("wrong", WRONG, ids=[each["state"] + str(each["_type"]) for each in WRONG])
def test_what_something_else_has_written_takes_no_page_away(rocketjob, wrong):
    Job.collection().insert_one({"_id": ObjectId(), **wrong})
    broken = server()
    Server.collection().update_one({"_id": broken.id}, {"$set": {"heartbeat": "soon", "name": 7}})
    assert browser().get("/overview").status_code == 200


def test_messages_are_hidden_from_those_who_may_not_see_records(rocketjob):
    a_group_of_failures("the password is xyzzy")
    for headers in ({}, LIVE, LIVE):
        for role, may in (("manager", False), ("editor", True), ("manager", False)):
            page = as_role(role, redact_messages=True).get("/overview", headers=headers)
            assert ("xyzzy" in page.text) is may


def test_open_pages_get_what_each_may_do_and_in_the_zone_of_each(rocketjob):
    a_group_of_failures("line 1")
    roles = ("manager", "view", "manager", "view")
    pages = [as_role(role).get("/overview", headers=LIVE) for role in roles]
    assert ["Acknowledge" in text_of(page) for page in pages] == [True, False, True, False]
    client = as_role("view")
    client.cookies.set("rocketjob_look", "system|Pacific/Auckland")
    assert client.get("/overview", headers=LIVE).text != pages[1].text
    assert "/ops/failures" in links(browser("/ops").get("/ops/overview", headers=LIVE))


def test_P03_it_is_read_once_in_some_seconds_however_many_look(rocketjob, monkeypatch):
    monkeypatch.setattr(seen, "SECONDS", 1000.0)
    clients = [as_role("view", login=f"viewer {number}") for number in range(5)]
    with counted_calls() as calls:
        for client in clients:
            assert client.get("/overview", headers=LIVE).status_code == 200
    assert 0 < len(calls) <= 8, calls


def test_P03_it_makes_few_calls_of_the_store(rocketjob):
    a_group_of_failures("line 1", "line 2")
    server()
    for _ in range(4):
        job = OverviewBatchJob()
        job.upload(["a"])
        job.save()
        state = {"state": "running", "sub_state": "processing", "started_at": clock.now()}
        Job.collection().update_one({"_id": job.id}, {"$set": state})
    client = browser()
    with counted_calls() as calls:
        assert client.get("/overview").status_code == 200
    assert len(calls) <= 8, calls


def test_a_store_that_is_away_is_said(rocketjob, monkeypatch):
    client = browser()
    client.get("/overview")

    def away(name):
        raise StoreUnavailable("the store is away")

    rocketjob.travel(timedelta(seconds=10))
    monkeypatch.setattr(rocketjob.store, "collection", away)
    assert client.get("/overview").status_code == 503
    assert "UNKNOWN" in text_of(client.get("/overview"))


@pytest.mark.parametrize("numbers", [[], [0, 0], [1], [0.0, 2.5, 5.0]])
def test_a_sparkline_has_a_bar_for_each_number_that_is_not_0_and_says_what_it_shows(numbers):
    picture = str(sparkline(numbers, "5 <jobs>", "failed"))
    assert picture.count("<rect") == sum(number > 0 for number in numbers)
    assert 'aria-label="5 &lt;jobs&gt;"' in picture and "style=" not in picture
