"""How it is on the whole, on every page: rules of design 4.1, rows P03 and P68."""

import threading
from datetime import timedelta

import pytest

from rocketjob import Job, Server
from rocketjob.base import clock
from rocketjob.base.errors import StoreUnavailable
from rocketjob_contrib.mission_control import watch
from rocketjob_contrib.mission_control.watch import watch_of
from support.web import a_group_of_failures, as_role, browser, links, tags, text_of


class StripJob(Job):
    destroy_on_complete = False

    def perform(self): ...


PAGES = ("/jobs", "/jobs/failed", "/failures", "/servers", "/active_workers", "/dirmon_entries")


def server(beat=timedelta(0), **values):
    heartbeat = {"updated_at": clock.now() - beat, "number": 1, "workers": 2, "performing": []}
    return Server.create(state="running", heartbeat=heartbeat, **{"name": "host:1", **values})


def strip(page):
    """Return the level of the verdict, and what it says."""
    (section,) = tags(page, "section", id="verdict")
    (level,) = [name for name in section["class"].split() if name.startswith("level-")]
    begin = page.text.index('id="verdict"')
    end = page.text.index('class="as-of"', begin)
    inside = type("Part", (), {"text": f"<section {page.text[begin:end]}>"})
    return level.removeprefix("level-"), text_of(inside)


@pytest.mark.parametrize("path", PAGES)
def test_each_page_has_the_verdict_with_its_level_as_a_word_and_an_icon(rocketjob, path):
    a_group_of_failures("line 1")
    page = browser("/ops").get(f"/ops{path}")
    level, text = strip(page)
    assert level == "failing"
    assert text.startswith("FAILING 1 job has failed since")
    assert "/ops/failures" in links(page)


def test_a_fresh_installation_is_ok_and_says_what_was_looked_at_and_when(rocketjob):
    page = browser().get("/jobs")
    level, text = strip(page)
    assert (level, text.startswith("OK nothing is wrong with servers, the queue")) == ("ok", True)
    assert f"as of {clock.now():%H:%M}" in text_of(page)


def test_what_was_acknowledged_is_no_reason_until_it_fails_anew(rocketjob):
    client = as_role("manager")
    key = a_group_of_failures("line 1")
    assert strip(client.get("/jobs"))[0] == "failing"
    client.post(f"/failures/{key}/acknowledge")
    assert strip(client.get("/jobs"))[0] == "ok"
    rocketjob.travel(timedelta(seconds=5))
    a_group_of_failures("line 2")
    assert strip(client.get("/jobs"))[0] == "failing"


def test_P68_a_dead_server_is_named_and_leads_to_where_it_is_removed(rocketjob):
    server(timedelta(minutes=9), name="old:7")
    page = browser().get("/jobs")
    assert "the server old:7 is dead: its last heartbeat was 9m ago" in strip(page)[1]
    assert "/servers?q=old%3A7" in links(page)
    assert "Remove and requeue" in text_of(browser().get("/servers?q=old%3A7"))


def test_each_cause_leads_to_where_it_can_be_seen(rocketjob):
    job = StripJob.create()
    rocketjob.travel(timedelta(minutes=20))
    server()
    page = browser().get("/servers")
    assert strip(page) == ("watch", "WATCH StripJob has been waiting for 20m")
    assert f"/jobs/{job.id}" in links(page)


def test_work_without_a_server_leads_to_what_waits(rocketjob):
    StripJob.create()
    page = browser().get("/servers")
    assert strip(page)[0] == "failing"
    assert "/jobs/queued" in links(page)


def test_a_cause_cannot_bring_markup(rocketjob):
    server(timedelta(minutes=9), name="<b>x</b>:1")
    assert "<b>x" not in browser().get("/jobs").text


# --- what is not known ---------------------------------------------------------------------------


def test_a_store_that_is_away_is_unknown_and_never_green(rocketjob, monkeypatch):
    client = browser()
    assert strip(client.get("/jobs"))[0] == "ok"

    def away(name):
        raise StoreUnavailable("the store is away")

    rocketjob.travel(timedelta(seconds=5))
    monkeypatch.setattr(rocketjob.store, "collection", away)
    page = client.get("/jobs")
    assert page.status_code == 503
    level, text = strip(page)
    assert level == "unknown"
    assert text.startswith("UNKNOWN the store cannot be reached, nothing was seen since")
    monkeypatch.undo()
    rocketjob.travel(timedelta(seconds=5))
    assert strip(client.get("/jobs"))[0] == "ok"


def test_what_was_seen_15_seconds_ago_is_unknown(rocketjob, monkeypatch):
    client = browser()
    client.get("/jobs")
    monkeypatch.setattr(watch.Watch, "_look", lambda self, patient: None)
    rocketjob.travel(timedelta(seconds=16))
    assert strip(client.get("/jobs"))[0] == "unknown"


def test_a_verdict_that_cannot_be_made_takes_no_page_away(rocketjob, monkeypatch):
    monkeypatch.setattr(watch, "judge", lambda patient: 1 / 0)
    page = browser().get("/jobs")
    assert page.status_code == 200
    assert strip(page)[0] == "unknown"
    assert "see the log" in strip(page)[1]


# --- at most once in some seconds ----------------------------------------------------------------


@pytest.fixture
def judged(rocketjob, monkeypatch):
    """Return a list that gets an item for each look at the whole."""
    seen, judge = [], watch.judge

    def counting(patient):
        seen.append(patient)
        return judge(patient)

    monkeypatch.setattr(watch, "judge", counting)
    return seen


def test_it_is_looked_at_once_in_some_seconds_however_many_look(rocketjob, judged, monkeypatch):
    monkeypatch.setattr(watch, "SECONDS", 1000.0)
    monkeypatch.setattr(watch, "LONGEST", 1000.0)
    client = browser()
    for _ in range(10):
        assert client.get("/preferences").status_code == 200
    assert len(judged) == 1
    rocketjob.travel(timedelta(seconds=1001))
    client.get("/preferences")
    assert len(judged) == 2


def test_of_many_who_look_at_the_same_moment_one_looks(rocketjob, judged, monkeypatch):
    monkeypatch.setattr(watch, "SECONDS", 1000.0)
    monkeypatch.setattr(watch, "LONGEST", 1000.0)
    seen, watched = [], watch_of({})
    threads = [threading.Thread(target=lambda: seen.append(watched.sight())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(judged) == 1
    assert len(seen) == 8 and len({id(each) for each in seen}) == 1


def test_where_a_look_takes_long_pages_show_what_was_seen_while_a_thread_looks(
    rocketjob, judged, monkeypatch
):
    monkeypatch.setattr(watch, "LONG", 0.0)
    going_on, watched, seen = threading.Event(), watch_of({}), watch.judge
    first = watched.sight()
    monkeypatch.setattr(watch, "judge", lambda patient: going_on.wait(60) and seen(patient))
    rocketjob.travel(timedelta(seconds=5))
    assert watched.sight() is first and watched.sight() is first  # neither waits
    going_on.set()
    watched._beside.join(60)
    assert watched.sight() is not first
    assert len(judged) == 2
    rocketjob.travel(timedelta(seconds=11))
    later = watched.sight()  # nobody is shown what is older
    assert len(judged) == 3
    watched.forget()
    assert watched.sight() is not later


def test_a_change_that_somebody_makes_is_seen_at_once(rocketjob, judged):
    job = StripJob.create()
    job.fail("the disk is full")
    client = browser()
    assert strip(client.get("/jobs"))[0] == "failing"
    client.post(f"/jobs/{job.id}/destroy")
    assert strip(client.get("/jobs"))[0] == "ok"
