"""Who is at what: rows W85 to W87, with the slice of each (W117), in real pages (R20)."""

from datetime import timedelta

import pytest

from rocketjob import Job, now
from rocketjob.server.server import Server
from rocketjob_plugins.batch import Batch, InputCategory
from support import web
from support.web import browser, counted_calls, headings, links, tags, text_of


@pytest.fixture(autouse=True)
def still(rocketjob):
    """Stop the clock: ages of seconds are asserted."""
    rocketjob.freeze()


def cells(page, key):
    """Return what a column says, without the words of the icon in front of a worker."""
    found = web.cells(page, key)
    return [text.rpartition(" ")[2] for text in found] if key == "worker" else found


class HeldJob(Job):
    destroy_on_complete = False

    def perform(self): ...


class SlicedHeldJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=10)

    def perform(self, row): ...


def server(name="web-1:10", state="running", beat_ago=2, performing=()):
    made = Server(name=name)
    made.state = state
    beat = {"updated_at": now() - timedelta(seconds=beat_ago), "number": 1, "workers": 3}
    made.heartbeat = {**beat, "performing": list(performing)}
    return made.save()


def by(server, seconds, process=1):
    """Return what is stored of what a worker of a server began some seconds ago."""
    return {
        "claimed_by": f"{server.incarnation}.{process}",
        "worker_name": f"{server.name}:{process}",
        "started_at": now() - timedelta(seconds=seconds),
    }


def held(server, seconds, **values):
    job = HeldJob.create(**values)
    stored = {"state": "running", **by(server, seconds)}
    Job.collection().update_one({"_id": job.id}, {"$set": stored})
    return job


def batch(server, *seconds, state="running", sub_state="processing"):
    """Store a batch job with a slice in work for each of these, and one that waits."""
    job = SlicedHeldJob(description="a file")
    job.upload([str(n) for n in range(10 * len(seconds) + 10)])
    job.save()
    stored = {"state": state, "sub_state": sub_state, "started_at": now()}
    Job.collection().update_one({"_id": job.id}, {"$set": stored})
    for number, each in enumerate(seconds):
        taken = {"state": "running", **by(server, each, number + 1)}
        job.input.collection.update_one({"_id": number * 10 + 1}, {"$set": taken})
    return job


def test_W85_a_worker_has_its_server_its_job_and_since_when(rocketjob):
    job = held(server(), 90, description="x" * 80)
    page = browser().get("/active_workers")
    assert headings(page) == ["Worker", "Server", "Class", "At", "Description", "Started"]
    assert cells(page, "worker") == ["web-1:10:1"]
    assert cells(page, "server") == ["web-1:10 running"]
    assert cells(page, "class") == ["HeldJob"] and f"/jobs/{job.id}" in links(page)
    assert cells(page, "description") == ["x" * 49 + "…"]
    assert cells(page, "started") == ["1m ago"]
    assert tags(page, "svg", aria_label="running")


def test_W85_a_worker_whose_server_is_gone_or_dead_is_a_zombie(rocketjob):
    gone = server("gone:1")
    held(gone, 20), held(server("dead:1", beat_ago=61), 10)
    gone.delete()
    page = browser().get("/active_workers")
    assert cells(page, "server") == ["gone", "dead:1 zombie"]
    assert len(tags(page, "svg", aria_label="its server is gone")) == 2


def test_W86_the_longest_running_is_first_whether_job_or_slice(rocketjob):
    one = server()
    held(one, 30), batch(one, 40, 20), held(one, 50)
    page = browser().get("/active_workers")
    assert cells(page, "started") == ["50s ago", "40s ago", "30s ago", "20s ago"]
    assert cells(page, "class") == ["HeldJob", "SlicedHeldJob", "HeldJob", "SlicedHeldJob"]
    assert "Longest running first" in text_of(page)
    assert not tags(page, "a", class_="sort") and not tags(page, "input", id="q")


def test_W117_each_worker_of_a_batch_job_says_at_which_records_it_is(rocketjob):
    batch(server(), 40, 20)
    page = browser().get("/active_workers")
    assert cells(page, "slice") == ["records 1 to 10", "records 11 to 20"]
    assert cells(page, "worker") == ["web-1:10:1", "web-1:10:2"]


@pytest.mark.parametrize("phase", ["before", "after"])
def test_W86_a_phase_of_a_batch_job_is_a_row_of_its_own(rocketjob, phase):
    one = server()
    job = batch(one, sub_state=phase)
    Job.collection().update_one({"_id": job.id}, {"$set": by(one, 5)})
    page = browser().get("/active_workers")
    assert cells(page, "slice") == [phase] and len(cells(page, "worker")) == 1


@pytest.mark.parametrize("state", ["paused", "failed", "aborted"])
def test_W86_workers_that_are_still_busy_with_a_batch_job_that_was_stopped_are_shown(
    rocketjob, state
):
    one = server()
    job = batch(one, 40, state=state)
    beat = {"heartbeat.performing": [f"{job.id}/1"]}
    Server.collection().update_one({"_id": one.id}, {"$set": beat})
    page = browser().get("/active_workers")
    assert cells(page, "worker") == ["web-1:10:1"]
    assert tags(page, "svg", aria_label=state)


def test_W86_slices_of_a_class_that_is_not_loaded_are_shown(rocketjob):
    job = batch(server(), 40)
    Job.collection().update_one({"_id": job.id}, {"$set": {"_type": "GoneJob"}})
    page = browser().get("/active_workers")
    assert cells(page, "class") == ["GoneJob"] and cells(page, "slice") == ["records 1 to 10"]


def test_W87_the_list_can_be_narrowed_to_one_job(rocketjob):
    one = server()
    job = batch(one, 40)
    held(one, 50)
    page = browser().get(f"/active_workers?job_id={job.id}")
    assert cells(page, "class") == ["SlicedHeldJob"]
    assert "Workers at SlicedHeldJob" in text_of(page) and f"/jobs/{job.id}" in links(page)
    assert f"/active_workers?job_id={job.id}&size=25" in links(page)


def test_W49_W87_the_page_of_a_running_batch_job_leads_to_its_workers(rocketjob):
    job = batch(server(), 40)
    client = browser()
    assert f"/active_workers?job_id={job.id}" in links(client.get(f"/jobs/{job.id}"))
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": "paused"}})
    assert f"/active_workers?job_id={job.id}" not in links(client.get(f"/jobs/{job.id}"))


def test_W87_the_list_can_be_narrowed_to_one_server(rocketjob):
    one, other = server("one:1"), server("other:1")
    held(one, 50), held(other, 40), batch(other, 30)
    page = browser().get("/active_workers", params={"server_name": "other:1"})
    assert cells(page, "worker") == ["other:1:1", "other:1:1"]
    assert "Workers of other:1" in text_of(page)
    assert cells(browser().get("/active_workers?server_name=one:1"), "worker") == ["one:1:1"]


@pytest.mark.parametrize("job_id", ["nonsense", "<script>", "5f" * 12, "x" * 5000])
def test_W87_a_job_that_is_not_there_has_no_workers(rocketjob, job_id):
    held(server(), 5)
    page = browser().get("/active_workers", params={"job_id": job_id})
    assert page.status_code == 200 and cells(page, "worker") == []
    assert "No worker is at this job." in text_of(page) and "<script>" not in page.text


def test_W87_a_server_that_is_not_there_has_no_workers(rocketjob):
    held(server(), 5)
    page = browser().get("/active_workers?server_name=<b>")
    assert "No worker of <b> is busy." in text_of(page) and "<b>" not in page.text


def test_R20_the_workers_come_in_pages_of_ten(rocketjob):
    one = server()
    for seconds in range(13):
        held(one, 100 - seconds)
    batch(one, *range(60, 48, -1))
    client = browser()
    first, third = client.get("/active_workers"), client.get("/active_workers?page=3")
    assert len(cells(first, "worker")) == 10 and len(cells(third, "worker")) == 5
    assert "1 to 10 of 25" in text_of(first) and "21 to 25 of 25" in text_of(third)
    assert len(cells(client.get("/active_workers?size=50"), "worker")) == 25
    ids = [
        row["id"]
        for page in (1, 2, 3)
        for row in tags(client.get(f"/active_workers?page={page}"), "tr")
        if "id" in row
    ]
    assert len(set(ids)) == 25
    assert "There is no page 9" in text_of(client.get("/active_workers?page=9"))


def test_R11_a_page_of_workers_costs_eight_calls_however_many_batch_jobs_run(rocketjob):
    one = server()
    for seconds in range(9):
        batch(one, 90 - seconds)
    held(one, 10)
    client = browser(live_seconds=0.3)  # an application of its own: it remembers
    with counted_calls() as calls:
        page = client.get("/active_workers?size=50")
    assert len(calls) <= 8, calls
    assert len(cells(page, "worker")) == 5
    assert "the workers at 5 of them are shown when this page is next brought up" in text_of(page)
    client.get("/active_workers")
    assert len(cells(client.get("/active_workers?size=50"), "worker")) == 10


def test_W24_the_workers_are_there_as_json_too(rocketjob):
    job = batch(server(), 40)
    answer = browser().get("/active_workers.json?draw=2&length=-1").json()
    assert (answer["draw"], answer["recordsTotal"]) == (2, 1)
    row = answer["data"][0]
    assert (row["job_id"], row["records"], row["server"]) == (str(job.id), [1, 10], "web-1:10")


def test_where_the_store_of_slices_is_away_the_other_workers_are_shown(rocketjob, monkeypatch):
    from rocketjob_contrib.mission_control.workers import busy

    one = server()
    batch(one, 40), held(one, 5)
    monkeypatch.setattr(busy, "InputSlices", lambda *args: 1 / 0)
    assert cells(browser().get("/active_workers"), "class") == ["HeldJob"]


def test_nobody_at_work_is_said(rocketjob):
    assert "No worker is busy." in text_of(browser().get("/active_workers"))
