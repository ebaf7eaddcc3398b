"""The lists of jobs for each state: columns, order, what each cell says; rows W32 to W47."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from rocketjob import Job, Server, now
from rocketjob.store import context
from rocketjob_contrib.mission_control.jobs import searching, tabs
from rocketjob_contrib.mission_control.lists import asked_of
from rocketjob_contrib.mission_control.remembering import remembered
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.store_sqlite.query import Query
from support.web import as_role, browser, cells, counted_calls, headings, tags, text_of


class StateListedJob(Job):
    destroy_on_complete = False
    pausable = True

    def perform(self): ...


class CronListedJob(Cron, Job):
    cron_schedule = "0 6 * * 1"

    def perform(self): ...


class BatchListedJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record):
        return record


def in_state(state, **stored):
    """Store a job in a state, whatever led to it."""
    job = StateListedJob.create(description=state)
    ended = {} if state in ("queued", "running") else {"completed_at": now()}
    started = {} if state == "queued" else {"started_at": now() - timedelta(seconds=5)}
    values = {"state": state, **started, **ended, **stored}
    Job.collection().update_one({"_id": job.id}, {"$set": values})
    return job.reload()


COLUMNS = {
    "W32": ("/jobs", "Class,Description,Created,Duration,Actions"),
    "W33": (
        "/jobs/running",
        "Class,Description,Records,Progress,Workers,Priority,Started,Held back by,Actions",
    ),
    "W34": (
        "/jobs/queued",
        "Class,Description,Records,Priority,Queued for,Why it waits,Actions",
    ),
    "W35": ("/jobs/scheduled", "Class,Description,Runs in,Cron schedule,Actions"),
    "W36": ("/jobs/completed", "Class,Description,Duration,Completed,Actions"),
    "W37": ("/jobs/paused", "Class,Description,Paused,Actions"),
    "W38": ("/jobs/failed", "Class,Description,Failed,Actions"),
    "W39": ("/jobs/aborted", "Class,Description,Aborted,Actions"),
}
STATES = ("queued", "running", "completed", "paused", "failed", "aborted")


def has_columns(rocketjob, id):
    for state in STATES:
        in_state(state)
    StateListedJob.create(run_at=timedelta(hours=1))
    path, columns = COLUMNS[id]
    page = browser().get(path)
    assert headings(page) == columns.split(",")
    return page


def order_of(path):
    return cells(browser().get(path), "description")


def test_W32_all_jobs_the_newest_first(rocketjob):
    page = has_columns(rocketjob, "W32")
    assert cells(page, "description") == ["", *reversed(STATES)]


def test_W33_running_jobs_the_most_urgent_first(rocketjob):
    has_columns(rocketjob, "W33")
    in_state("running", priority=1, description="urgent")
    assert order_of("/jobs/running") == ["urgent", "running"]


def test_W34_queued_jobs_that_may_run_now(rocketjob):
    page = has_columns(rocketjob, "W34")
    assert cells(page, "description") == ["queued"]
    in_state("queued", priority=1, description="urgent")
    assert order_of("/jobs/queued") == ["urgent", "queued"]


def test_W35_scheduled_jobs_the_next_first(rocketjob):
    rocketjob.freeze()
    has_columns(rocketjob, "W35")
    StateListedJob.create(run_at=timedelta(minutes=5), description="sooner")
    assert order_of("/jobs/scheduled") == ["sooner", ""]
    CronListedJob.create()
    page = browser().get("/jobs/scheduled?q=cron")
    assert cells(page, "cron_schedule") == ["0 6 * * 1"]
    assert cells(browser().get("/jobs/scheduled"), "run_at")[0] == "in 5m"


@pytest.mark.parametrize(
    ("id", "state"),
    [("W36", "completed"), ("W37", "paused"), ("W38", "failed"), ("W39", "aborted")],
)
def test_W36_W37_W38_W39_jobs_that_ended_or_rest_the_latest_first(rocketjob, id, state):
    page = has_columns(rocketjob, id)
    assert cells(page, "description") == [state]
    in_state(state, completed_at=now() + timedelta(seconds=1), description="later")
    assert order_of(f"/jobs/{state}") == ["later", state]


def test_W40_a_job_that_has_just_started_is_left_out(rocketjob):
    rocketjob.freeze()
    in_state("running", started_at=now() - timedelta(seconds=0.05))
    assert cells(browser().get("/jobs/running"), "class") == []
    rocketjob.travel(timedelta(seconds=0.1))
    assert len(cells(browser().get("/jobs/running"), "class")) == 1


@pytest.mark.parametrize(
    ("state", "seconds"),
    [("queued", 60), ("running", 50), ("completed", 20), ("failed", 20), ("aborted", 20)],
)
def test_W41_the_duration_is_that_of_the_wait_or_of_the_run(rocketjob, state, seconds):
    rocketjob.freeze()
    begin = now()
    times = {"started_at": begin + timedelta(seconds=10)} if state != "queued" else {}
    if state not in ("queued", "running"):
        times["completed_at"] = begin + timedelta(seconds=30)
    in_state(state, created_at=begin, **times)
    rocketjob.travel(timedelta(seconds=60))
    text = "1m 0s" if seconds == 60 else f"{seconds}.000s"
    assert cells(browser().get("/jobs"), "duration") == [text]


def batch(**stored):
    job = BatchListedJob.create(slice_size=1)
    job.upload(["a", "b", "c", "d"])
    values = {"state": "running", "sub_state": "processing", "started_at": now() - timedelta(5)}
    Job.collection().update_one({"_id": job.id}, {"$set": {**values, **stored}})
    return job


def test_W42_progress_is_a_bar_that_says_the_percent(rocketjob):
    job = batch()
    job.input.collection.delete_one({"_id": 1})
    (bar,) = tags(browser().get("/jobs/running"), "progress")
    assert (bar["value"], bar["title"]) == ("25", "25 %")


def test_W42_progress_says_in_words_what_the_job_has_said(rocketjob):
    job = in_state("running", percent_complete=45, progress_text="9 of 20, <sorting>")
    assert cells(browser().get("/jobs/running"), "progress") == ["45 % 45 % 9 of 20, <sorting>"]
    assert "45%: 9 of 20, &lt;sorting&gt;" in browser().get(f"/jobs/{job.id}").text


@pytest.mark.parametrize("phase", ["before", "after"])
def test_W42_a_batch_job_before_or_after_its_slices_names_the_phase(rocketjob, phase):
    batch(sub_state=phase)
    assert cells(browser().get("/jobs/running"), "progress") == [phase]


def test_W43_workers_are_those_at_the_job_now(rocketjob):
    job = batch()
    job.input.collection.update_many({"_id": {"$in": [1, 2]}}, {"$set": {"state": "running"}})
    in_state("running", worker_name="host:1:2")
    assert cells(browser().get("/jobs/running"), "workers") == ["2", "1"]


def test_W43_many_batch_jobs_are_counted_in_few_calls(rocketjob):
    for _ in range(9):
        batch()
    client = browser()
    with counted_calls() as calls:
        client.get("/jobs/running")
    assert len(calls) <= 8, calls


def test_W44_a_job_without_records_has_none(rocketjob):
    in_state("queued")
    assert cells(browser().get("/jobs/queued"), "records") == ["0"]


def takes_them():
    """Let a server live that takes the jobs."""
    beat = {"updated_at": now(), "workers": 2, "performing": []}
    classes = ["StateListedJob"]
    Server.create(name="host:1", state="running", classes=classes, heartbeat=beat)


def test_W45_what_holds_a_job_back_is_said(rocketjob):
    takes_them()
    in_state("queued", throttled_by="account 42 has 3 running")
    assert cells(browser().get("/jobs/queued"), "waits") == ["account 42 has 3 running"]
    in_state("running", throttled_by="account 42 has 3 running")
    assert cells(browser().get("/jobs/running"), "throttled") == ["account 42 has 3 running"]


def test_W45_what_holds_a_job_back_is_said_in_words_with_its_name_and_time(rocketjob):
    takes_them()
    at = now() - timedelta(minutes=5)
    held = {"throttled_by": "load_is_high", "throttled_text": "load 3.2 > 0.8", "throttled_at": at}
    in_state("queued", **held)
    in_state("running", **held)
    page = browser().get("/jobs/running")
    assert cells(page, "throttled") == ["load 3.2 > 0.8"]
    (said,) = tags(page, "span", class_="held")
    assert said["title"] == f"load_is_high {at:%Y-%m-%d %H:%M:%S} UTC"
    page = browser().get("/jobs/queued")
    assert cells(page, "waits") == ["load 3.2 > 0.8"]


def test_W46_a_running_job_without_a_worker_sleeps_and_a_future_one_is_scheduled(rocketjob):
    in_state("running", worker_name=None)
    StateListedJob.create(run_at=timedelta(hours=1))
    assert cells(browser().get("/jobs"), "class") == [
        "scheduled StateListedJob",
        "sleeping StateListedJob",
    ]


BUTTONS = {
    "queued": ["Pause", "Destroy"],
    "running": ["Pause", "Destroy"],
    "paused": ["Resume", "Destroy"],
    "failed": ["Retry", "Destroy"],
    "completed": ["Destroy"],
    "aborted": ["Destroy"],
}


@pytest.mark.parametrize("state", STATES)
def test_W47_a_row_offers_what_the_state_allows(rocketjob, state):
    in_state(state, worker_name="host:1:2")
    assert cells(browser().get("/jobs"), "actions") == [" ".join(BUTTONS[state])]


def test_W47_a_scheduled_job_can_be_run_now(rocketjob):
    StateListedJob.create(run_at=timedelta(hours=1))
    assert cells(browser().get("/jobs/scheduled"), "actions") == ["Run now Pause Destroy"]


def test_W47_a_row_offers_only_what_the_role_may(rocketjob):
    in_state("failed")
    assert cells(as_role("manager").get("/jobs"), "actions") == ["Retry"]
    assert cells(as_role("view").get("/jobs"), "actions") == [""]
    assert cells(browser(read_only=True).get("/jobs"), "actions") == [""]


def test_a_job_whose_class_is_not_loaded_is_listed_and_can_be_steered(rocketjob):
    job = in_state("queued")
    Job.collection().update_one({"_id": job.id}, {"$set": {"_type": "GoneJob"}})
    page = browser().get("/jobs")
    assert cells(page, "class") == ["queued GoneJob"]
    assert cells(page, "actions") == ["Pause Destroy"]
    assert browser().post(f"/jobs/{job.id}/pause").status_code == 303
    assert "GoneJob" in text_of(browser().get("/jobs/paused"))


# --- lists of very many jobs -------------------------------------------------------------------


@pytest.fixture
def many(rocketjob, monkeypatch):
    """Nine jobs, which are so many that the store must not be asked to look at all."""
    monkeypatch.setattr(searching, "LARGE", 5)
    for number in range(9):
        job = StateListedJob.create(description=f"number {number}")
        if number % 3 == 0:
            ended = {"state": "failed", "completed_at": job.created_at + timedelta(seconds=number)}
            Job.collection().update_one({"_id": job.id}, {"$set": ended})
    return browser(title="a site of its own, which remembers no other's searches")


def test_R12_a_search_that_takes_long_ends_and_says_how_far_it_went(many, monkeypatch):
    monkeypatch.setattr(searching, "SECONDS", -1)
    page = many.get("/jobs?q=number")
    assert "Only the newest 0 jobs were looked at, as that took long" in text_of(page)
    assert "Show all" in text_of(page)


def test_R12_a_search_among_very_many_finds_the_same(many):
    page = many.get("/jobs?q=number&sort=description")
    assert cells(page, "description") == [f"number {n}" for n in range(9)]
    assert "looked at" not in text_of(page) and "1 to 9 of 9" in text_of(page)
    page = many.get("/jobs/queued?q=number 4")
    assert cells(page, "description") == ["number 4"]


def test_R12_a_search_that_finds_too_many_lists_the_newest(many, monkeypatch):
    monkeypatch.setattr(searching, "FOUND", 3)
    page = many.get("/jobs?q=number")
    assert cells(page, "description") == ["number 8", "number 7", "number 6"]
    assert "These are the newest 3: there are more." in text_of(page)
    assert "1 to 3 of 3+" in text_of(page)


def test_R12_sorting_very_many_by_what_no_index_has_is_bounded_too(many, monkeypatch):
    monkeypatch.setattr(searching, "LOOKED_AT", 4)
    page = many.get("/jobs?sort=description")
    assert cells(page, "description") == [f"number {n}" for n in range(5, 9)]
    assert "Only the newest 4 jobs were looked at" in text_of(page)


def test_what_is_remembered_may_be_cleared_by_another_thread_while_it_is_looked_up(rocketjob):
    class Cleared(dict):
        def __contains__(self, key):
            found = super().__contains__(key)
            self.clear()
            return found

    memory = {"remembered x": {context.current(): Cleared(key=(0.0, "old"))}}
    view = SimpleNamespace(site=SimpleNamespace(memory=memory))
    assert remembered(view, "x", "key", lambda: "new") == "new"


def test_R12_a_search_is_remembered_for_a_moment(many, monkeypatch):
    monkeypatch.setattr(searching, "AGAIN", 1_000_000)  # times as long as it took
    many.get("/jobs?q=number 3")
    with counted_calls() as calls:
        assert cells(many.get("/jobs?q=number 3"), "description") == ["number 3"]
    assert calls.count("rocket_job.jobs.find") == 1


@pytest.mark.parametrize("ended", [{"completed_at": None}, {}], ids=["null", "missing"])
def test_a_job_that_ended_at_no_known_time_is_on_the_last_page(many, monkeypatch, ended):
    monkeypatch.setattr(searching, "LARGE", 1)
    job = StateListedJob.create(description="unknown")
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": "failed", **ended}})
    page = many.get("/jobs/failed")
    described = [f"number {n}" for n in (6, 3, 0)]
    assert cells(page, "description") == [*described, "unknown"]


@pytest.mark.parametrize("name", [name for name in tabs.TABS if name != "scheduled"])
def test_an_index_has_the_jobs_of_each_list_in_its_order(rocketjob, name):
    """SQLite sorts nothing; the few that are to run later are sorted."""
    StateListedJob.create()
    tab = tabs.TABS[name]
    asked = asked_of(tab.listing, {})
    sort = [(field.lstrip("-"), -1 if field[0] == "-" else 1) for field in asked.order]
    filter = tab.query().where(tab.indexed or {}).filter()

    def plan(connection):
        found = Query(filter).plan(connection.catalog.find(Job.collection_name), sort)
        rows = connection.raw.execute(f"EXPLAIN QUERY PLAN {found.sql}", found.parameters)
        return found.streams, [row[3] for row in rows]

    streams, steps = rocketjob.store._database.read(plan)
    assert streams and len(steps) == 1 and "USING INDEX" in steps[0], steps
