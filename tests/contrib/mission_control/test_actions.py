"""What can be done with a job: only what its state allows, and only as it was shown."""

from datetime import timedelta

import pytest

from rocketjob import Job, JobException, now
from rocketjob.jobs import steering
from support.web import as_role, browser, cells, tags, text_of


class ActedJob(Job):
    destroy_on_complete = False
    pausable = True

    def perform(self): ...


STATES = ("queued", "running", "paused", "failed", "completed", "aborted")
EVENTS = ("run_now", "pause", "resume", "retry", "fail", "abort", "destroy")
POSSIBLE = {
    "queued": {"run_now", "pause", "fail", "abort", "destroy"},
    "running": {"pause", "fail", "abort", "destroy"},
    "paused": {"resume", "fail", "abort", "destroy"},
    "failed": {"retry", "abort", "destroy"},
    "completed": {"destroy"},
    "aborted": {"destroy"},
}
LEADS_TO = {
    "run_now": "queued",
    "pause": "paused",
    "resume": "queued",
    "retry": "queued",
    "fail": "failed",
    "abort": "aborted",
}


def in_state(state):
    job = ActedJob.create()
    ended = None if state in ("queued", "running") else now()
    Job.collection().update_one(
        {"_id": job.id},
        {"$set": {"state": state, "completed_at": ended, "started_at": now()}},
    )
    return job.reload()


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", STATES)
def test_an_action_is_done_exactly_where_the_state_allows_it(rocketjob, state, event):
    job = in_state(state)
    client = browser()
    answer = client.post(f"/jobs/{job.id}/{event}", data={"state": state, "back": "/jobs"})
    assert answer.status_code == 303
    said = text_of(client.get("/jobs"))
    if event not in POSSIBLE[state]:
        assert f"nothing was done. ActedJob {job.id} is {state}" in said
        assert job.reload().state == state
    elif event == "destroy":
        assert f"ActedJob {job.id} has been destroyed" in said
        assert not ActedJob.where(id=job.id)
    else:
        assert job.reload().state == LEADS_TO[event]
        assert f"ActedJob {job.id} " in said


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_the_paths_of_the_original_work(rocketjob, method):
    job = in_state("queued")
    assert browser().request(method, f"/jobs/{job.id}/pause").status_code == 303
    assert job.reload().is_paused
    assert browser().request("DELETE", f"/jobs/{job.id}").status_code == 303
    assert not ActedJob.where(id=job.id)


def test_R04_an_action_stays_on_the_list_with_its_page_and_search(rocketjob):
    job = in_state("failed")
    page = browser().get("/jobs/failed?q=acted&page=1&sort=-failed")
    (retry,) = [a["href"] for a in tags(page, "a") if "/retry" in a["href"]]
    asked = browser().get(retry)
    (form,) = tags(asked, "form", method="post")
    (back,) = tags(asked, "input", name="back")
    answer = browser().post(form["action"], data={"back": back["value"], "state": "failed"})
    assert answer.headers["location"] == "/jobs/failed?q=acted&page=1&sort=-failed"
    assert job.reload().is_queued


def test_R05_without_scripts_each_action_is_a_page_with_a_form(rocketjob):
    job = in_state("queued")
    page = browser().get(f"/jobs/{job.id}")
    for link in [a["href"] for a in tags(page, "a") if "data-ask" in a and "/jobs/" in a["href"]]:
        asked = browser().get(link)
        assert asked.status_code == 200
        assert [f["method"] for f in tags(asked, "form", method="post")] == ["post"]
    assert job.reload().is_queued


def test_R06_of_two_tabs_one_wins_and_the_other_is_told_who_was_first(rocketjob):
    job = in_state("queued")
    ada, bob = as_role("manager", login="ada"), as_role("manager", login="bob")
    shown = {"state": "queued", "back": "/jobs"}
    ada.post(f"/jobs/{job.id}/pause", data=shown)
    bob.post(f"/jobs/{job.id}/pause", data=shown)
    said = text_of(bob.get("/jobs"))
    assert f"Pause: nothing was done. ActedJob {job.id} is paused, since pause by ada" in said
    assert [entry.by for entry in job.reload().history] == ["ada"]


def test_R06_a_job_that_has_gone_on_since_it_was_shown_is_left_alone(rocketjob):
    job = in_state("queued")
    ActedJob.find(job.id).pause()
    client = browser()
    client.post(f"/jobs/{job.id}/abort", data={"state": "queued"})
    assert job.reload().is_paused
    assert "nothing was done" in text_of(client.get(f"/jobs/{job.id}"))


def test_R06_two_at_the_very_same_moment(rocketjob, monkeypatch):
    job = in_state("queued")
    read = steering._stored

    def overtaken(id):
        found = read(id)
        monkeypatch.setattr(steering, "_stored", read)
        ActedJob.find(job.id).abort()
        return found

    monkeypatch.setattr(steering, "_stored", overtaken)
    client = browser()
    client.post(f"/jobs/{job.id}/pause", data={"state": "queued", "back": "/jobs"})
    assert job.reload().is_aborted
    assert f"ActedJob {job.id} is aborted" in text_of(client.get("/jobs"))


def test_asking_for_what_is_no_longer_possible_says_so(rocketjob):
    job = in_state("completed")
    client = browser()
    answer = client.get(f"/jobs/{job.id}/abort?back=/jobs/completed")
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/completed")
    assert "is completed" in text_of(client.get("/jobs/completed"))


def test_the_script_gets_only_what_it_puts_into_a_dialog(rocketjob):
    job = in_state("queued")
    part = browser().get(f"/jobs/{job.id}/abort", headers={"hx-request": "true"})
    assert "<html" not in part.text
    assert "Abort this job?" in text_of(part)
    assert "cannot be retried" in text_of(part)


def test_a_reason_is_kept_with_a_failure(rocketjob):
    job = in_state("queued")
    as_role("manager").post(f"/jobs/{job.id}/fail", data={"reason": "wrong file"})
    assert job.reload().exception.message == "wrong file"
    assert isinstance(job.exception, JobException)
    other = in_state("queued")
    as_role("manager").post(f"/jobs/{other.id}/fail")
    assert other.reload().exception.message == "failed by ada"


def test_destroying_from_its_own_page_goes_to_the_list(rocketjob):
    job = in_state("failed")
    answer = browser().post(f"/jobs/{job.id}/destroy", data={"back": f"/jobs/{job.id}"})
    assert answer.headers["location"] == "/jobs/failed"


def test_a_job_that_is_gone_is_said_to_be(rocketjob):
    job = in_state("queued")
    job.destroy()
    client = browser()
    for path in (f"/jobs/{job.id}", "/jobs/nonsense", f"/jobs/{job.id}/pause"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/jobs")
        assert "There is no job with the id" in text_of(client.get("/jobs"))
    assert client.post(f"/jobs/{job.id}/pause").headers["location"] == "/jobs"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"back=%ff%fe", "application/x-www-form-urlencoded", 400),
        (b"back=\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b'{"state": "queued"}', "application/json", 400),
        (b"a=1&" * 10_001, "application/x-www-form-urlencoded", 400),
        (b"reason=" + b"x" * 21_000_000, "application/x-www-form-urlencoded", 413),
    ],
    ids=["escaped", "bytes", "json", "fields", "large"],
)
def test_a_form_that_cannot_be_read_changes_nothing(rocketjob, body, kind, status):
    job = in_state("queued")
    answer = browser().post(f"/jobs/{job.id}/pause", content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert job.reload().is_queued


@pytest.mark.both_stores
def test_lists_searches_and_every_action_on_each_store(rocketjob):
    """What the walk of the browser only looks at; each job is destroyed at the end."""
    client = browser()
    steps = ["pause", "resume", "fail", "retry", "abort", "destroy"]
    job = ActedJob.create(description="Naïve (1)")
    later = ActedJob.create(description="later", run_at=now() + timedelta(hours=1))
    client.post(f"/jobs/{later.id}/run_now", data={"state": "queued"})
    assert not later.reload().is_scheduled
    page = client.get("/jobs/queued?q=naïve (1&sort=-description,class&size=25")
    assert cells(page, "description") == ["Naïve (1)"]
    assert "no server is running" in text_of(client.get(f"/jobs/{job.id}/explain"))
    for event in steps:
        state = job.reload().state
        form = {"state": state, "back": "/jobs?sort=-created"}
        assert client.get(f"/jobs/{job.id}/{event}").status_code == 200
        client.post(f"/jobs/{job.id}/{event}", data=form)
        assert "nothing was done" not in text_of(client.get("/jobs?sort=-created"))
        stale = client.post(f"/jobs/{job.id}/{event}", data=form)  # a second time
        assert stale.status_code == 303
        expected = "is gone" if event == "destroy" else "nothing was done"
        said = text_of(client.get(stale.headers["location"]))
        assert expected in said or "There is no job with the id" in said
    assert not ActedJob.where(id=job.id)
