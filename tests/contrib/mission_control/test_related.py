"""Links between jobs, and between jobs and what had them created: row P13."""

import pytest

from rocketjob import Job
from rocketjob.jobs import origin
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.dirmon import DirmonEntry
from rocketjob_plugins.files import UploadFileJob
from support.web import browser, counted_calls, links, tags, text_of


class RelatedJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, line): ...


class RelatedParentJob(Job):
    destroy_on_complete = False

    def perform(self):
        RelatedPlainJob.create()


class RelatedPlainJob(Job):
    destroy_on_complete = False

    def perform(self): ...


def page_of(job, **headers):
    return browser().get(f"/jobs/{job.id}/related", headers=headers)


def test_P13_a_page_of_a_job_asks_for_what_is_related(rocketjob):
    job = RelatedPlainJob.create()
    page = browser().get(f"/jobs/{job.id}")
    assert tags(page, "div", hx_get=f"/jobs/{job.id}/related")
    assert f"/jobs/{job.id}/related" in links(page)
    part = page_of(job, **{"HX-Request": "true"})
    assert "<html" not in part.text
    assert "It has created no job that is stored" in text_of(part)


@pytest.fixture
def taken(rocketjob, tmp_path):
    """An entry, the upload job of a file that was found, and the job that got it."""
    file = tmp_path / "a.csv"
    file.write_text("x\n")
    entry = DirmonEntry.create(
        pattern=f"{tmp_path}/*.csv", job_class_name="RelatedJob", name="Orders <b>"
    )
    upload = entry.later(str(file))
    upload.update(destroy_on_complete=False)
    rocketjob.work_off()
    return entry, UploadFileJob.first(), RelatedJob.first()


def test_P13_an_uploaded_file_has_links_both_ways(taken):
    entry, upload, job = taken
    assert {f"/jobs/{upload.id}", f"/dirmon_entries/{entry.id}"} <= set(links(page_of(job)))
    assert {f"/jobs/{job.id}", f"/dirmon_entries/{entry.id}"} <= set(links(page_of(upload)))
    page = browser().get(f"/dirmon_entries/{entry.id}")
    assert {f"/jobs/{job.id}", f"/jobs/{upload.id}"} <= set(links(page))
    assert "Created for Orders <b>" in text_of(page_of(job))
    assert "<b>" not in page_of(job).text


def test_P13_what_is_gone_is_named_without_a_link(taken):
    entry, upload, job = taken
    upload.destroy()
    entry.destroy()
    page = page_of(job)
    assert f"Created in {upload.id} not stored any more" in text_of(page)
    assert f"Created for dirmon entry {entry.id}" in text_of(page)
    assert not {f"/jobs/{upload.id}", f"/dirmon_entries/{entry.id}"} & set(links(page))


def test_P13_a_kind_that_nobody_here_knows_is_shown_as_it_is(rocketjob):
    for created_for in ("order:<7>", "dirmon_entry:nowhere", "odd", ":", "schedule:acme"):
        job = RelatedPlainJob()
        job.created_for = created_for
        job.save()
        kind, id = origin.parts_of(created_for)
        said = text_of(page_of(job))
        assert " ".join(f"Created for {kind.replace('_', ' ')} {id}".split()) in said


def test_P13_a_page_names_the_newest_ten_that_a_job_created(rocketjob):
    parent = RelatedParentJob.create()
    made = []
    for _ in range(origin.SHOWN + 3):
        job = RelatedPlainJob()
        job.created_in = parent.id
        made.append(job.save())
    page = page_of(parent)
    shown = [link for link in links(page) if link in {f"/jobs/{job.id}" for job in made}]
    assert shown == [f"/jobs/{job.id}" for job in reversed(made[3:])]
    (more,) = [link for link in links(page) if link.startswith("/jobs?q=")]
    assert f"of {origin.SHOWN + 3}" in text_of(browser().get(more))
    assert "Created in it" not in text_of(page_of(made[0]))


def test_P13_documents_that_something_else_has_written_are_shown(rocketjob):
    parent = RelatedParentJob.create()
    rocketjob.work_off()
    child = RelatedPlainJob.first()
    odd = {"_type": 7, "state": ["x"], "created_at": "never", "description": {"a": 1}}
    Job.collection().update_one({"_id": child.id}, {"$set": odd})
    assert page_of(parent).status_code == 200
    Job.collection().update_one({"_id": child.id}, {"$set": {"created_in": "x", "created_for": 7}})
    assert page_of(child).status_code == 200


@pytest.mark.parametrize("which", [0, 1, 2])
def test_R11_these_pages_too_make_few_calls_of_the_store(taken, which):
    client, found = browser(), taken[which]
    path = f"/jobs/{found.id}/related" if which else f"/dirmon_entries/{found.id}"
    with counted_calls() as calls:
        assert client.get(path).status_code == 200
    assert 0 < len(calls) <= 8, calls
