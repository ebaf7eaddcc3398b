"""The records at which slices have failed, corrected in a file: only what was edited is changed."""

import csv
import io
import json

import pytest

from rocketjob import Job
from rocketjob.base.acts import acting
from rocketjob_plugins import audit
from rocketjob_plugins.batch import Batch, InputCategory, mending
from rocketjob_plugins.batch.outcome import failed_file
from rocketjob_plugins.batch.streams import StreamError


class FailedFileJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2)

    def perform(self, record):
        if "bad" in str(record):
            raise (TypeError if "type" in str(record) else ValueError)(f"no: {record!r}")


HARD = ["ok", "bad\x00\\,\"'\n\r\u2028é", b"bad\xff", "x", {"a": "bad", "n": [1, 1.0]}, "y"]


def failed_job(rocketjob, records=HARD):
    job = FailedFileJob()
    job.upload(records)
    job.save()
    rocketjob.work_off()
    return job.reload()


def written(job, format="jsonl", **options):
    file = io.BytesIO()
    count = failed_file.write(job, file, format, **options)
    return count, file.getvalue().decode()


def read(job, text, name="bad.jsonl", **options):
    return failed_file.read(job, io.BytesIO(text.encode()), name, **options)


def edited(text, format, change):
    """Return a file as a program writes it that has changed its rows."""
    if format == "jsonl":
        return "".join(json.dumps(change(json.loads(line))) + "\n" for line in text.splitlines())
    rows, file = csv.DictReader(io.StringIO(text, newline="")), io.StringIO()
    writer = csv.DictWriter(file, rows.fieldnames)
    writer.writeheader()
    writer.writerows(change(row) for row in rows)
    return file.getvalue()


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_P33_a_file_that_was_not_edited_changes_nothing(rocketjob, format):
    job = failed_job(rocketjob)
    count, text = written(job, format)
    before = [mending.find(job, id).stored for id in (1, 3, 5)]
    assert count == 3
    assert read(job, edited(text, format, dict), f"x.{format}") == (0, 3)
    assert [mending.find(job, id).stored for id in (1, 3, 5)] == before


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_P33_only_what_was_edited_is_changed_and_the_slices_stay_failed(rocketjob, format):
    job = failed_job(rocketjob)

    def mended(row):
        return row | {"record": row["record"].replace("bad", "good")}

    text = edited(written(job, format)[1], format, mended)
    with acting("ada"):
        assert read(job, text, f"x.{format}") == (3, 0)
    found = [record for slice_ in job.input for record in slice_]
    good = [HARD[0], HARD[1].replace("bad", "good"), b"good\xff", "x", {"a": "good", "n": [1, 1.0]}]
    assert found == [*good, "y"] and type(found[4]["n"][1]) is float
    assert job.input.counts_by_state() == {"failed": 3}
    assert [each.after["record"] for each in audit.records()] == [5, 3, 2]
    assert read(job, text, f"x.{format}") == (0, 3)  # done again, as after a crash
    job.retry()
    rocketjob.work_off()
    assert job.reload().is_completed


def test_P33_those_of_one_class_of_exceptions_alone(rocketjob):
    job = failed_job(rocketjob, ["bad", "x", "bad type", "y"])
    count, text = written(job, class_name="TypeError")
    assert (count, json.loads(text)["_slice"]) == (1, 3)


def test_P33_what_somebody_else_has_changed_is_refused_and_nothing_of_the_file_is_stored(rocketjob):
    job = failed_job(rocketjob, ["bad", "x", "bad", "y"])
    text = edited(written(job)[1], "jsonl", lambda row: row | {"record": "good"})
    mending.replace_record(job, 3, 1, "z", mending.find(job, 3).digest)
    with pytest.raises(StreamError, match=r"line 2, column _slice: slice 3 was changed"):
        read(job, text)
    job.input.requeue_failed()
    with pytest.raises(StreamError, match=r"line 1, column _slice: slice 1 is queued"):
        read(job, text)
    assert list(job.input.find(1)) == ["bad", "x"]


WRONG = {
    "no JSON": ("{", "line 1: is not JSON"),
    "list": ("[]", "line 1: must be a JSON object"),
    "no slice": ({"_slice": None}, "column _slice: must be a number, not None"),
    "true": ({"_row": True}, "column _row: must be a number"),
    "gone": ({"_slice": 99}, "column _slice: there is no slice 99"),
    "no record": ({"_row": 9}, "column _slice: .* none at 8"),
    "kind": ({"kind": "json"}, "column kind: must stay 'text'"),
    "bytes": ({"record": "\\xe9"}, "column record: .*is a byte"),
    "surrogate": ({"record": "\\ud800"}, "column record: cannot be stored"),
    "seen": ({"record": "x", "_seen": "0"}, "slice 1 was changed by somebody else"),
    "number": ({"record": 1}, "column record: must be a string"),
}


@pytest.mark.parametrize(("change", "says"), WRONG.values(), ids=WRONG)
def test_P33_a_row_that_is_wrong_is_refused_with_its_place(rocketjob, change, says):
    job = failed_job(rocketjob, ["bad", "x"])
    row = json.loads(written(job)[1])
    text = change if isinstance(change, str) else json.dumps(row | change)
    with pytest.raises(StreamError, match=says):
        read(job, text)
    with pytest.raises(StreamError, match="slice 1 is there twice"):
        read(job, f"{json.dumps(row)}\n{json.dumps(row)}")
    assert list(job.input.find(1)) == ["bad", "x"]


def test_P33_a_spreadsheet_may_use_another_separator_and_lose_no_column(rocketjob):
    job = failed_job(rocketjob, ["bad", "x"])
    text = written(job, "csv")[1].replace(",", ";").replace("text;bad", "text;good")
    assert read(job, text, "x.csv", separator=";") == (1, 0)
    with pytest.raises(StreamError, match=r"x.csv, line 1, column _slice: the file has no column"):
        read(job, "a,b\n1,2\n", "x.csv")


def test_P33_a_record_without_an_exact_form_as_text_stays_as_it_is(rocketjob):
    job = failed_job(rocketjob, [{"$date": "bad"}, "x"])
    text = written(job)[1]
    assert json.loads(text)["kind"] == "none"
    assert read(job, text) == (0, 1)
    with pytest.raises(StreamError, match="must stay 'json'"):
        read(job, text.replace('"record": ""', '"record": "{}"'))


@pytest.mark.parametrize("values", [{"exception": "text"}, {"records": 5}, {"size": "x"}])
def test_what_something_else_has_written_is_named_by_its_slice(rocketjob, values):
    job = failed_job(rocketjob, ["bad", "x", "bad", "y"])
    text = written(job)[1]
    job.input.collection.update_one({"_id": 3}, {"$set": values})
    with pytest.raises(StreamError, match="slice 3 cannot be read: "):
        written(job)
    edit = edited(text, "jsonl", lambda row: row | {"record": "good"})
    with pytest.raises((StreamError, TypeError)):
        read(job, edit)
    assert list(job.input.find(1)) == ["bad", "x"]
