"""Replay capsules on the pages of a job and of its failed slices."""

import pytest

from rocketjob import Job, field
from rocketjob.testing import sandbox
from rocketjob_contrib.mission_control import Policy
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch, InputCategory
from rocketjob_plugins.capsule import form, replaying
from rocketjob_plugins.encryption import keys
from support.web import as_role, browser, counted_calls, links, tags, text_of


class WebCapsuledJob(Job):
    destroy_on_complete = False
    pin: str | None = field(default=None, encrypted=True)

    def perform(self):
        raise ValueError("wrong <b>")


class WebCapsuledBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2)

    def perform(self, record):
        return int(record)


def failed(rocketjob, job, records=()):
    if records:
        job.upload(records)
    job.save()
    rocketjob.work_off()
    assert job.reload().is_failed
    return job


def capsule_in(answer):
    assert answer.status_code == 200, text_of(answer)
    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''WebCaps")
    assert answer.headers["cache-control"] == "no-store"
    return form.read(answer.content)


def test_a_capsule_of_a_failed_job_is_downloaded_and_replays(rocketjob):
    job = failed(rocketjob, WebCapsuledJob())
    client = as_role("editor")
    assert f"/jobs/{job.id}/capsule" in links(client.get(f"/jobs/{job.id}"))
    asked = client.get(f"/jobs/{job.id}/capsule")
    assert "Encrypted values" in text_of(asked) and "secret, in clear" not in text_of(asked)
    (sent,) = tags(asked, "form", method="post")
    assert sent["hx-boost"] == "false"  # the browser is to keep the file, and not to show it
    capsule = capsule_in(client.post(sent["action"], data={"reason": "bug 12"}))
    with replaying.private_store():
        assert replaying.replay(capsule).outcome == "same"
    (record,) = audit.records()
    assert (record.event, record.by, record.reason) == ("capsule", "ada", "bug 12")


@pytest.mark.parametrize("page", ["exception", "view_slice"])
def test_that_of_a_slice_is_on_its_pages(rocketjob, page):
    job = failed(rocketjob, WebCapsuledBatchJob(), ["1", "x", "3", "y"])
    client = browser()
    shown = client.get(f"/jobs/{job.id}/{page}?slice=3")
    (link,) = [each for each in links(shown) if "/capsule" in each]
    data = {each["name"]: each["value"] for each in tags(client.get(link), "input", type="hidden")}
    capsule = capsule_in(client.post(f"/jobs/{job.id}/capsule", data=data))
    assert (capsule.slice.first, capsule.slice.records) == (3, ["3", "y"])
    only = client.post(f"/jobs/{job.id}/capsule", data=data | {"record_only": "on"})
    assert (capsule_in(only).slice.first, capsule_in(only).slice.records) == (4, ["y"])


def test_what_is_secret_needs_an_admin_who_asks_for_it():
    with sandbox(encryption_keys=[keys.new_key("k")]) as rocketjob:
        job = failed(rocketjob, WebCapsuledJob(pin="471147"))
        path = f"/jobs/{job.id}/capsule"
        admin = as_role("admin")
        assert "in clear" in text_of(admin.get(path))
        assert b"471147" not in admin.post(path).content
        assert b"471147" in admin.post(path, data={"secrets": "on"}).content
        refused = as_role("editor").post(path, data={"secrets": "on"})
        assert refused.status_code == 403 and "needs the role admin" in text_of(refused)
        assert [each.after for each in audit.records()] == [{"in_clear": True}, {}]


class NoRecordsPolicy(Policy):
    """Nobody looks at records."""

    def may(self, identity, permission, target=None):
        return permission != "slices.view" and super().may(identity, permission, target)


def test_who_may_not_look_at_records_gets_none(rocketjob):
    job = failed(rocketjob, WebCapsuledBatchJob(), ["x"])
    client = as_role("admin", policy=NoRecordsPolicy)
    assert client.post(f"/jobs/{job.id}/capsule").status_code == 403
    assert list(audit.records()) == []


def test_what_cannot_be_made_is_said_on_the_page_that_asked(rocketjob):
    job = WebCapsuledJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"_type": "GoneWebJob"}})
    client = browser()
    page = client.get(f"/jobs/{job.id}/capsule")
    assert "Its class is not loaded" in text_of(page) and not tags(page, "button", class_="primary")
    answer = client.post(f"/jobs/{job.id}/capsule")
    assert answer.headers["location"] == f"/jobs/{job.id}"
    assert "No capsule was made: GoneWebJob" in text_of(client.get(f"/jobs/{job.id}"))
    batch = failed(rocketjob, WebCapsuledBatchJob(), ["x"])
    client.post(f"/jobs/{batch.id}/capsule", data={"slice": "99"})
    assert "no slice 99 any more" in text_of(client.get("/jobs"))


def test_the_page_asks_the_store_at_most_eight_times(rocketjob):
    job = failed(rocketjob, WebCapsuledBatchJob(), ["x"])
    client = browser()
    for ask in (client.get, client.post):
        with counted_calls() as calls:
            assert ask(f"/jobs/{job.id}/capsule").status_code == 200
        assert len(calls) <= 8, calls
