"""Batch jobs that are held: what their page says, and how they are approved there."""

import pytest

from rocketjob import Job
from rocketjob_plugins.batch import Batch
from support.web import browser, cells, counted_calls, links, text_of


class WebHeldBatchJob(Batch, Job):
    destroy_on_complete = False
    slice_size = 1
    canary_slices = 1
    max_rejects = 9

    def perform(self, record):
        if record == "bad":
            raise ValueError(record)


def held(rocketjob, *records, **fields):
    job = WebHeldBatchJob(**fields)
    job.upload(list(records))
    job.save()
    rocketjob.work_off()
    assert job.reload().is_held
    return job


def over_budget(rocketjob):
    records = ["bad", "bad", "a", "b"]
    return held(rocketjob, *records, canary_slices=None, failure_budget=0.25)


def test_its_page_says_what_it_waits_for_within_the_usual_calls_of_the_store(rocketjob):
    job = held(rocketjob, "a", "b", "c", failure_budget=0.25)
    client = browser()
    with counted_calls() as calls:
        page = client.get(f"/jobs/{job.id}")
    said = text_of(page)
    assert "It waits for approval: the canary, its first 1 record, is done: nothing failed" in said
    assert "Canary its first 1 slice, up to record 1" in said
    assert "Failure budget 25% of its records" in said
    assert "canary_end" not in said
    assert any(link.startswith(f"/jobs/{job.id}/approve?") for link in links(page))
    assert len(calls) <= 8, calls
    assert "Approve" in cells(client.get("/jobs/paused"), "actions")[0]


def test_to_approve_it_asks_first_and_then_it_goes_on(rocketjob):
    job = held(rocketjob, "a", "b")
    client = browser()
    question = client.get(f"/jobs/{job.id}/approve")
    assert "Approve this job?" in text_of(question)
    assert "It waits for approval: the canary" in text_of(question)
    assert "New failure budget" not in text_of(question)
    assert client.post(f"/jobs/{job.id}/approve", data={"state": "paused"}).status_code == 303
    assert job.reload().is_running
    again = client.post(f"/jobs/{job.id}/approve", data={"state": "paused"}, follow_redirects=True)
    assert "Approve: nothing was done" in text_of(again)


def test_who_approves_it_may_raise_its_budget(rocketjob):
    job = over_budget(rocketjob)
    client = browser()
    assert "New failure budget" in text_of(client.get(f"/jobs/{job.id}/approve"))
    data = {"state": "paused", "failure_budget": " 0.75 ", "reason": "they are known"}
    client.post(f"/jobs/{job.id}/approve", data=data)
    job.reload()
    assert (job.state, job.failure_budget) == ("running", 0.75)
    assert job.history[-1].reason == "they are known"


@pytest.mark.parametrize("budget", ["much", "7", "-1", "nan", "<b>"])
def test_a_budget_that_is_none_changes_nothing(rocketjob, budget):
    job = over_budget(rocketjob)
    data = {"state": "paused", "failure_budget": budget}
    answer = browser().post(f"/jobs/{job.id}/approve", data=data, follow_redirects=True)
    assert answer.status_code in (200, 409)
    assert "<b>" not in answer.text
    job.reload()
    assert (job.state, job.failure_budget) == ("paused", 0.25)


def test_to_resume_it_says_that_this_is_no_approval(rocketjob):
    job = held(rocketjob, "a", "b")
    assert "It waits for approval, and this is none" in text_of(
        browser().get(f"/jobs/{job.id}/resume")
    )


def test_what_something_else_has_written_does_not_end_the_page(rocketjob):
    job = held(rocketjob, "a", "b")
    wrong = {"failure_budget": "x", "canary_end": [], "canary_slices": {}, "held_text": 7}
    Job.collection().update_one({"_id": job.id}, {"$set": wrong})
    page = browser().get(f"/jobs/{job.id}")
    assert page.status_code == 200
    assert "does not fit its class" in text_of(page)


def test_a_job_that_is_not_held_is_not_approved(rocketjob):
    job = WebHeldBatchJob.create()
    page = browser().post(f"/jobs/{job.id}/approve", follow_redirects=True)
    assert "nothing was done" in text_of(page)
    assert job.reload().is_queued
