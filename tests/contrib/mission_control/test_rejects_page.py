"""Rejected records: looked at, downloaded, corrected by a file, and merged."""

import json

import pytest

from rocketjob import Job
from rocketjob_contrib.mission_control.errors import BadRequest
from rocketjob_contrib.mission_control.requests import multipart
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.slices import reject_slices
from support.encryption import reversing
from support.web import as_role, browser, counted_calls, links, tags, text_of


class WebRejectedJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 1000
    input_category = InputCategory(format="csv")
    output_category = OutputCategory()

    def perform(self, row):
        return int(row["amount"])


class WebRejectedNamesJob(WebRejectedJob):
    def perform(self, row):
        if row["name"] == "bad":
            raise ValueError("bad")
        return row["name"]


class WebRejectedSecretJob(WebRejectedJob):
    input_category = InputCategory(format="csv", serializer="encrypt")


class WebRejectedLinesJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 1000

    def perform(self, record):
        raise ValueError("no <b>")


CSV = "id,amount\n1,10\n2,bad\n3,30\n4,worse\n"


def rejected(rocketjob, tmp_path, job_class=WebRejectedJob, text=CSV):
    file = tmp_path / "in.csv"
    file.write_text(text)
    job = job_class()
    job.upload(file)
    job.save()
    rocketjob.work_off()
    assert job.reload().is_completed
    return job


def sent(client, job, content, name="bad.csv", **fields):
    files = {"file": (name, content, "text/plain")}
    return client.post(f"/jobs/{job.id}/rejects", files=files, data=fields)


def test_P33_rejects_are_looked_at_downloaded_corrected_and_merge_into_their_places(
    rocketjob, tmp_path
):
    job = rejected(rocketjob, tmp_path)
    client = as_role("editor")
    assert f"/jobs/{job.id}/rejects" in links(client.get(f"/jobs/{job.id}"))
    page = client.get(f"/jobs/{job.id}/rejects")
    assert "2 rejects" in text_of(page) and "invalid literal for int" in text_of(page)
    assert [a["id"] for a in tags(page, "tr") if "id" in a] == ["record-2", "record-4"]
    file = client.get(f"/jobs/{job.id}/rejects/download?format=csv")
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    assert file.headers["content-disposition"].endswith(f"{job.id}-rejects.csv")
    assert file.text.splitlines()[0] == "id,amount,_row,_error"
    corrected = file.text.replace("2,bad", "2,20").replace("4,worse", "4,40")
    answer = sent(client, job, corrected, reason="amounts mended")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{job.id}/rejects")
    page = text_of(client.get(f"/jobs/{job.id}/rejects"))
    assert "2 corrected records queued" in page and "0 rejects" in page
    assert "2 slices are still to be processed" in page
    rocketjob.work_off()
    assert list(job.reload().records()) == [10, 20, 30, 40]
    assert "No slice is waiting" in text_of(client.get(f"/jobs/{job.id}/rejects"))
    record = list(audit.records())[-1]
    assert (record.event, record.by, record.reason) == ("resubmit", "ada", "amounts mended")


def test_P33_so_they_are_as_JSON_lines_with_every_escape(rocketjob, tmp_path):
    job = WebRejectedLinesJob()
    job.upload(["a\x00\\\r\n<b>", b"\xff"])
    job.save()
    rocketjob.work_off()
    client = browser()
    page = client.get(f"/jobs/{job.id}/rejects")
    titles = {a["title"] for a in tags(page, "span", class_="byte")}
    assert "byte 0x00, NUL" in titles and "<b>" not in page.text
    file = client.get(f"/jobs/{job.id}/rejects/download?format=jsonl&plain=1")
    rows = [json.loads(line) for line in file.text.splitlines()]
    assert [row["kind"] for row in rows] == ["text", "bytes"] and "_error" not in rows[0]
    assert sent(client, job, file.content, "bad.jsonl").status_code == 303
    assert [list(each) for each in job.input] == [["a\x00\\\r\n<b>"], [b"\xff"]]


def test_P33_lines_can_be_pasted_too(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path)
    client = browser()
    for text in ("id,amount,_row\r\n2,20,2\r\n", '{"_row": 4, "kind": "text", "record": "4,40"}'):
        assert client.post(f"/jobs/{job.id}/rejects", data={"text": text}).status_code == 303
    rocketjob.work_off()
    assert list(job.reload().records()) == [10, 20, 30, 40]


def test_the_encoding_is_of_a_chosen_file_not_of_what_was_pasted(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path, WebRejectedNamesJob, "name\nbad\n")
    sent = {"text": "name,_row\nzoë,1\n", "encoding": "latin-1"}
    assert browser().post(f"/jobs/{job.id}/rejects", data=sent).status_code == 303
    rocketjob.work_off()
    assert list(job.reload().records()) == ["zoë"]


@pytest.mark.parametrize(
    ("content", "fields", "says"),
    [
        ("id,amount,_row\n2,20,9\n", {}, "row 9 is not among the rejected records"),
        ("id;amount;_row\n2;20;2\n", {}, "the header is separated by ';'"),
        ("id,amount\n2,20\n", {}, "bad.csv, line 1, column _row: the file has no column _row"),
        (b"id,amount,_row\n\xff,20,2\n", {}, "line 2"),
        ("id,amount,_row\n2,20,2\n", {"encoding": "klingon"}, "klingon"),
        ("id,amount,_row\n2,20,2\n", {"separator": "::"}, "separator"),
        ("", {}, "is empty"),
    ],
    ids=["strange", "separator", "no row", "bytes", "encoding", "two characters", "empty"],
)
def test_P33_what_is_wrong_with_a_file_is_said_and_changes_nothing(
    rocketjob, tmp_path, content, fields, says
):
    job = rejected(rocketjob, tmp_path)
    page = sent(browser(), job, content, **fields)
    assert page.status_code == 422
    assert says in text_of(page) and "Nothing was changed" in text_of(page)
    assert job.reload().is_completed and job.reject_count == 2 and job.input.count() == 0
    assert list(audit.records()) == []


def test_without_a_file_one_is_asked_for_and_what_was_typed_stays(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path)
    page = browser().post(f"/jobs/{job.id}/rejects", data={"reason": "why <b>"})
    assert page.status_code == 422 and "Choose the corrected file" in text_of(page)
    assert tags(page, "input", name="reason", value="why <b>")
    assert sent(browser(), job, "", name="").status_code == 422


def test_the_name_of_a_file_says_how_it_is_packed_and_nothing_else(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path)
    text = "id;amount;_row\n2;20;2\n"
    names = r"C:\fake\bad.csv", "../../etc/passwd", "s3://bucket/bad.csv", "http://h/bad.csv"
    for name in names:  # it is read, and from nowhere else
        assert sent(browser(), job, text, name, separator=";").status_code == 303
    assert [list(each) for each in job.input] == [["2,20"]]


def test_of_two_who_upload_the_same_file_one_does_it(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path)
    text = "id,amount,_row\n2,20,2\n"
    assert sent(browser(), job, text).status_code == 303
    rocketjob.work_off()
    assert "it was resubmitted already" in text_of(sent(browser(), job, text))


def test_who_may_look_at_records_may_look_and_who_may_edit_them_may_upload(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path)
    manager = as_role("manager")
    page = manager.get(f"/jobs/{job.id}")
    assert "Rejects Record 2: ValueError" in text_of(
        page
    ) and f"/jobs/{job.id}/rejects" not in links(page)
    for path in ("rejects", "rejects/download"):
        assert manager.get(f"/jobs/{job.id}/{path}").status_code == 403
    assert sent(manager, job, CSV).status_code == 403
    reader = browser(read_only=True)
    page = reader.get(f"/jobs/{job.id}/rejects")
    assert page.status_code == 200 and not tags(page, "form", enctype="multipart/form-data")
    assert sent(reader, job, CSV).status_code == 403


def test_encrypted_ones_are_shown_to_editors_and_that_is_logged(rocketjob, tmp_path, caplog):
    caplog.set_level("INFO", "rocketjob")
    reversing(rocketjob)
    job = rejected(rocketjob, tmp_path, WebRejectedSecretJob)
    page = as_role("editor").get(f"/jobs/{job.id}/rejects")
    assert "2,bad" in text_of(page) and "stored encrypted" in text_of(page)
    assert "encrypted records were looked at" in caplog.text
    reject_slices(job.id).collection.update_one({"_id": 2}, {"$set": {"record": b"garbage"}})
    page = as_role("editor").get(f"/jobs/{job.id}/rejects")
    assert page.status_code == 200 and "The records cannot be read" in text_of(page)
    assert as_role("editor").get(f"/jobs/{job.id}/rejects/download").status_code == 303


def test_they_are_shown_a_page_at_a_time_with_few_calls_of_the_store(rocketjob, tmp_path):
    rows = "".join(f"{n},bad\n" for n in range(60))
    job = rejected(rocketjob, tmp_path, text=f"id,amount\n{rows}")
    client = browser()
    with counted_calls() as calls:
        page = client.get(f"/jobs/{job.id}/rejects?page=3")
    assert len(calls) <= 8, calls
    assert next(a["id"] for a in tags(page, "tr") if "id" in a) == "record-51"
    with counted_calls() as calls:
        assert client.get(f"/jobs/{job.id}").status_code == 200
    assert len(calls) <= 8, calls
    for odd in ("0", "99", "x", "-1"):
        assert client.get(f"/jobs/{job.id}/rejects?page={odd}").status_code == 200


def test_a_job_that_sets_nothing_aside_says_so(rocketjob, tmp_path):
    job = WebRejectedJob(max_rejects=None)
    job.upload(["id,amount", "1,1"])
    job.save()
    page = browser().get(f"/jobs/{job.id}/rejects")
    assert "sets no records aside" in text_of(page)
    assert "Rejects" not in text_of(browser().get(f"/jobs/{job.id}"))


# --- forms with files -----------------------------------------------------------------------------

KIND = 'multipart/form-data; boundary="x y"'
PART = b'--x y\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'


def body(*parts, end=b"--x y--\r\n"):
    return b"".join(PART % part for part in parts) + end


@pytest.mark.parametrize(
    "content", [b"", b"\r\n", b"a\r\n--x", b"\x00\xff", b"-x y", b"\r\n\r\n--", b"a\n"]
)
def test_the_bytes_of_a_file_are_as_they_were_sent(content):
    form = multipart(KIND, body((b"a", b"", "é".encode()), (b"f", b'; filename="b.csv"', content)))
    assert (form["a"], form.files["f"].name, form.files["f"].content) == ("é", "b.csv", content)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("multipart/form-data", body()),
        (KIND, b""),
        (KIND, b"--x y\r\n"),
        (KIND, body((b"a", b"", b"x"), end=b"")),
        (KIND, b"junk\r\n" + body()),
        (KIND, b"--x y\r\nContent-Type: text/plain\r\n\r\nx\r\n--x y--"),
        (KIND, b"--x y\r\nno head\r\n--x y--"),
    ],
    ids=["no boundary", "empty", "begun", "no end", "junk", "no name", "no head"],
)
def test_a_form_that_is_none_is_refused(kind, data):
    with pytest.raises(BadRequest, match="nothing was changed"):
        multipart(kind, data)


def test_no_file_chosen_is_no_file_and_many_parts_are_too_many():
    form = multipart(KIND, body((b"f", b'; filename=""', b"")))
    assert form.files == {} and dict(form) == {}
    with pytest.raises(ValueError):
        multipart(KIND, body(*[(b"a", b"", b"")] * 10_001))
