"""Documents that another program has written: no page fails for them, and each says why."""

from datetime import UTC, datetime
from enum import Enum
from operator import eq

import pytest
from bson import Decimal128

from rocketjob import Job
from rocketjob.server.server import Server
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.dirmon.entry import DirmonEntry
from support.web import browser, text_of

VALUES = ("<script>x</script>", {"a": [1]}, True, datetime(1, 1, 1, tzinfo=UTC), Decimal128("1"))
LISTS = ([1, None], [{}])
UNIQUE = {"name", "pattern"}  # an index holds no list


class WebMisfitJob(Job):
    destroy_on_complete = False
    amount: int = 0

    def perform(self): ...


class WebMisfitBatchJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record): ...


class WebMisfitFileJob(Job):
    upload_file_name: str | None = None

    def perform(self): ...

    def upload(self, stream, **options): ...


def _write(document, values, skip=()):
    """Replace a document by copies, each with another type in one of its fields."""
    collection, copies = type(document).collection(), []
    stored = collection.find_one({"_id": document.id})
    keys = {field.key for field in type(document).fields().values()} | {"history"}
    for key in sorted(keys - {"_id", *skip}):
        wrong = values if key in UNIQUE else (*values, *LISTS)
        for number, value in enumerate(wrong):
            id = type(document.id)()
            own = {k: f"{key} {number}" for k in UNIQUE if k in stored}
            copies.append({**stored, **own, "_id": id, key: value})
    collection.delete_many({})
    collection.insert_many(copies)
    return [str(copy["_id"]) for copy in copies]


def _check(client, lists, pages):
    for path in (*lists, *pages):
        answer = client.get(path)
        assert (path, answer.status_code) == (path, 200), text_of(answer)[-300:]
        assert "<script>x" not in answer.text or "json" in answer.headers["content-type"]
        assert "part of this page is missing" not in answer.text


@pytest.mark.parametrize(
    ("kind", "state"),
    [(WebMisfitJob, "queued"), (WebMisfitJob, "failed"), (WebMisfitBatchJob, "running")],
)
def test_a_job_with_a_wrong_type_keeps_no_page_from_anybody(rocketjob, kind, state):
    job = kind.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": state}})
    skip = () if kind is WebMisfitJob else WebMisfitJob.fields()
    ids = _write(job, VALUES, skip)
    client = browser()
    lists = ["/jobs?size=100", f"/jobs/{state}?size=100", f"/jobs/{state}.json?length=-1"]
    lists += ["/active_workers", "/jobs?q=x&sort=class"]
    _check(client, lists, [f"/jobs/{id}" for id in ids[::4]])
    for id in ids[1::9]:
        assert client.get(f"/jobs/{id}/explain").status_code < 400
        assert client.get(f"/jobs/{id}/edit").status_code < 400


def test_it_says_what_is_wrong_in_the_list_and_on_its_page(rocketjob):
    job = WebMisfitJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"priority": "urgent"}})
    for path in ("/jobs", f"/jobs/{job.id}", f"/jobs/{job.id}/explain"):
        assert "does not fit its class: priority" in text_of(browser().get(path))


def test_a_batch_job_whose_main_category_is_gone_has_its_page(rocketjob):
    job = WebMisfitBatchJob.create()
    changes = {"$set": {"input_categories": [], "state": "running", "sub_state": "processing"}}
    Job.collection().update_one({"_id": job.id}, changes)
    _check(browser(), ["/jobs/running", "/jobs/running.json"], [f"/jobs/{job.id}"])
    assert browser().get(f"/jobs/{job.id}/view_slice").headers["location"] == f"/jobs/{job.id}"


def test_a_history_that_no_version_has_written_is_said_to_be(rocketjob):
    job = WebMisfitJob.create()
    entries = [{"event": "pause", "state": "paused", "at": job.created_at}, 5, {"at": "x"}]
    Job.collection().update_one({"_id": job.id}, {"$set": {"history": entries}})
    page = text_of(browser().get(f"/jobs/{job.id}"))
    assert "history has 2 entries that nobody can read" in page
    assert [entry.event for entry in job.reload().history] == ["pause"]


def test_a_server_with_a_wrong_type_keeps_no_page_from_anybody(rocketjob):
    server = Server.create(name="wrong:1", state="running", heartbeat={"workers": 1})
    ids = _write(server, VALUES)
    beats = [{"updated_at": 5}, {"workers": "x", "performing": 5}, {"clauses": [5, {"name": 1}]}]
    ids += [
        str(Server.create(name=str(beat), state="running", heartbeat=beat).id) for beat in beats
    ]
    client = browser()
    lists = ["/servers?size=100", "/servers.json", "/servers/zombie", "/servers?sort=busy&q=x"]
    _check(client, lists, [f"/servers/{id}" for id in (*ids[::4], *ids[-3:])])
    assert "its document does not fit: " in text_of(client.get(f"/servers/{ids[0]}"))


def test_an_entry_with_a_wrong_type_keeps_no_page_from_anybody(rocketjob):
    entry = DirmonEntry.create(name="in", pattern="/in/*", job_class_name="WebMisfitFileJob")
    ids = _write(entry, VALUES)
    client = browser()
    lists = ["/dirmon_entries?size=100", "/dirmon_entries.json?length=-1", "/dirmon_entries?q=x"]
    _check(client, lists, [f"/dirmon_entries/{id}" for id in ids[::2]])
    wrong = next(id for id in ids if "does not fit" in client.get(f"/dirmon_entries/{id}").text)
    before = DirmonEntry.collection().find_one({"_id": DirmonEntry.find(wrong).id})
    for action in ("enable", "replicate"):
        refused = client.post(f"/dirmon_entries/{wrong}/{action}")
        assert refused.headers["location"] == f"/dirmon_entries/{wrong}"
        assert "destroy it, and create another" in text_of(client.get(f"/dirmon_entries/{wrong}"))
    assert eq(DirmonEntry.collection().find_one({"_id": before["_id"]}), before)
    assert client.post(f"/dirmon_entries/{wrong}/destroy").status_code == 303
    assert DirmonEntry.where(id=before["_id"]).first() is None


class WebMisfitSliceJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record):
        raise ValueError(record)


@pytest.mark.parametrize("key", ["exception", "failure_count", "processing_record_number", "size"])
def test_a_slice_with_a_wrong_type_is_said_to_be_none(rocketjob, key):
    job = WebMisfitSliceJob()
    job.upload(["a", "b"])
    job.save()
    rocketjob.work_off()
    client, pages = browser(), ("exception", "view_slice", "edit_slice", "retry_slice")
    for value in ("<script>x</script>", [{}], 1.5):
        job.input.collection.update_one({"_id": 1}, {"$set": {key: value}})
        for page in pages:
            answer = client.get(f"/jobs/{job.id}/{page}?slice=1&line_index=0")
            assert answer.status_code == 404
            assert "cannot be looked at" in text_of(answer) and "<script>x" not in answer.text
        _check(client, ["/active_workers"], [f"/jobs/{job.id}"])


class WebUnsayableJob(Job):
    destroy_on_complete = False

    class Color(Enum):
        RED = "red"

        def __str__(self):
            raise RuntimeError("no str")

        __repr__ = __str__

    color: Color = Color.RED

    def perform(self): ...

    def remarks(self):
        raise RuntimeError("no remarks")


def test_what_a_class_cannot_say_keeps_its_page_from_nobody(rocketjob):
    job = WebUnsayableJob.create()
    _check(browser(), ["/jobs", "/jobs.json"], [f"/jobs/{job.id}"])
    said = text_of(browser().get(f"/jobs/{job.id}"))
    assert "Its class cannot say more of it: RuntimeError: no remarks" in said
    assert "cannot be shown: RuntimeError" in said
