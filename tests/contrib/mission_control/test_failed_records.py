"""The records at which slices have failed, corrected in one file on the pages."""

import json

import pytest

from rocketjob import Job
from rocketjob.base.errors import DocumentTooLarge, StoreUnavailable
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch, InputCategory, mending
from support.web import as_role, browser, counted_calls, links, tags, text_of


class WebFailedFileJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2)

    def perform(self, record):
        if record == "later":
            raise TimeoutError("too late")
        return int(record)


def failed(rocketjob, records=("1", "x", "later", "4", "5", "6", "y", "8")):
    job = WebFailedFileJob()
    job.upload(list(records))
    job.save()
    rocketjob.work_off()
    return job.reload()


def sent(client, job, content, name="failed.csv", **fields):
    files = {"file": (name, content, "text/csv")}
    return client.post(f"/jobs/{job.id}/failed_records", files=files, data=fields)


def states(job):
    return {each.id: each.state for each in job.input}


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_P33_failed_records_are_downloaded_corrected_uploaded_by_slice_and_retried(
    rocketjob, format
):
    job, client = failed(rocketjob), as_role("editor")
    path = f"/jobs/{job.id}/failed_records?error_type=ValueError"
    assert path in links(client.get(f"/jobs/{job.id}"))
    page = client.get(path)
    assert "2 failed records" in text_of(page)
    (link,) = [each for each in links(page) if f"format={format}" in each]
    file = client.get(link)
    assert file.headers["content-disposition"].endswith(f"{job.id}-failed.{format}")
    rows = len(file.text.splitlines()) - (format == "csv")
    assert rows == 2 and "later" not in file.text
    corrected = file.text.replace(",text,x,", ",text,2,").replace('"record": "x"', '"record": "2"')
    answer = sent(client, job, corrected, f"failed.{format}", reason="mended")
    assert answer.headers["location"] == f"/jobs/{job.id}"
    said = text_of(client.get(f"/jobs/{job.id}"))
    assert "1 corrected record stored, 1 were as they are: now retry them" in said
    (record,) = audit.records()
    assert (record.event, record.by, record.reason) == ("save_record", "ada", "mended")
    assert record.after == {"slice": 1, "record": 2}
    client.post(f"/jobs/{job.id}/retry_slices", data={"error_type": "ValueError"})
    rocketjob.work_off()
    assert states(job.reload()) == {3: "failed", 7: "failed"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("_slice,_row\n1,2\n", "failed.csv, line 1, column kind: the file has no column kind"),
        ("_slice,_row,kind,record,_seen\n99,99,text,1,x\n", "there is no slice 99"),
        ("_slice,_row,kind,record,_seen\n1,2,text,1,x\n", "slice 1 was changed by somebody else"),
        (b"_slice,_row,kind,record,_seen\n1,2,text,\xff,x\n", "line 2"),
    ],
    ids=["columns", "gone", "changed", "bytes"],
)
def test_P33_what_is_wrong_with_it_is_said_and_changes_nothing(rocketjob, content, says):
    job = failed(rocketjob)
    before = [mending.find(job, id).stored for id in (1, 3, 7)]
    page = sent(browser(), job, content)
    assert page.status_code == 422
    assert says in text_of(page) and "Nothing was changed" in text_of(page)
    assert [mending.find(job, id).stored for id in (1, 3, 7)] == before
    assert list(audit.records()) == []
    page = browser().post(f"/jobs/{job.id}/failed_records")
    assert page.status_code == 422 and "Choose the corrected file" in text_of(page)


def test_a_number_that_no_store_has_is_refused(rocketjob):
    row = {"_slice": 2**64, "_row": 2, "kind": "text", "record": "2", "_seen": "x"}
    page = sent(browser(), failed(rocketjob), json.dumps(row), "failed.jsonl")
    assert page.status_code == 422
    assert "must be a number of at most 18 digits" in text_of(page)


def test_P33_who_loses_a_race_is_told_what_is_stored(rocketjob, monkeypatch):
    job = failed(rocketjob)
    text = browser().get(f"/jobs/{job.id}/failed_records/download?format=jsonl").text
    rows = [json.loads(line) | {"record": "2"} for line in text.splitlines()]
    replace = mending.replace_record

    def raced(job, id, index, record, digest):
        if id == 3:
            replace(job, 3, 0, "other", digest)
        return replace(job, id, index, record, digest)

    monkeypatch.setattr(mending, "replace_record", raced)
    page = sent(browser(), job, "\n".join(map(json.dumps, rows)), "failed.jsonl")
    assert page.status_code == 409
    assert "slice 3 was changed by somebody else" in text_of(page)
    assert "What comes before it in the file is stored" in text_of(page)
    assert [list(each) for each in job.input] == [["1", "2"], ["other", "4"], ["y", "8"]]


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (DocumentTooLarge("too large"), 409, "too large. 1 of 3 corrected records are stored"),
        (StoreUnavailable("it is away"), 503, ""),
    ],
    ids=["too large", "away"],
)
def test_what_stops_at_the_second_record_is_not_told_as_if_nothing_was_changed(
    rocketjob, monkeypatch, error, status, says
):
    job = failed(rocketjob)
    text = browser().get(f"/jobs/{job.id}/failed_records/download?format=jsonl").text
    rows = [json.loads(line) | {"record": "2"} for line in text.splitlines()]
    replace = mending.replace_record

    def stopped(job, id, *more):
        if id == 3:
            raise error
        return replace(job, id, *more)

    monkeypatch.setattr(mending, "replace_record", stopped)
    page = sent(browser(), job, "\n".join(map(json.dumps, rows)), "failed.jsonl")
    assert page.status_code == status
    assert says in text_of(page) and "Nothing was changed" not in text_of(page)
    assert list(job.input.find(1)) == ["1", "2"]


def test_P33_who_may_look_at_records_may_download_and_who_may_edit_them_may_upload(rocketjob):
    job = failed(rocketjob)
    manager = as_role("manager")
    assert not [x for x in links(manager.get(f"/jobs/{job.id}")) if "failed_records" in x]
    for path in ("failed_records", "failed_records/download"):
        assert manager.get(f"/jobs/{job.id}/{path}").status_code == 403
    assert sent(manager, job, "").status_code == 403
    page = browser(read_only=True).get(f"/jobs/{job.id}/failed_records")
    assert page.status_code == 200 and not tags(page, "form", enctype="multipart/form-data")


def test_the_page_of_failed_records_asks_the_store_at_most_eight_times(rocketjob):
    job, client = failed(rocketjob), browser()
    with counted_calls() as calls:
        assert client.get(f"/jobs/{job.id}/failed_records").status_code == 200
    assert len(calls) <= 8, calls
