"""Rejected records in a corrected file: nothing is lost, and nothing comes back as another."""

import csv
import uuid
from datetime import UTC, datetime

import pytest

from rocketjob import Job
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.streams import StreamError

pytestmark = pytest.mark.both_stores

LAYOUT = [{"key": "name", "size": 3}, {"key": "age", "size": 3, "type": "integer"}]


class PickyBatchJob(Batch, Job):
    """Refuses what holds the text `bad`, or is a number below 0."""

    destroy_on_complete = False
    output_category = OutputCategory()
    max_rejects = 10

    def perform(self, record):
        if "bad" in str(record) or (isinstance(record, int) and record < 0):
            raise ValueError("it is bad")
        return repr(record)


class PickyCsvJob(PickyBatchJob):
    input_category = InputCategory(format="csv")


class PickyLenientJob(PickyBatchJob):
    input_category = InputCategory(format="csv", allowed_columns=["a", "c"], skip_unknown=True)


class PickyJsonJob(PickyBatchJob):
    input_category = InputCategory(format="json")


class PickyFixedJob(PickyBatchJob):
    input_category = InputCategory(format="fixed", format_options={"layout": LAYOUT})


class PickyDictJob(PickyBatchJob):
    input_category = InputCategory(format="csv", mode="hash", columns=["name", "age"])


class PickyGoneJob(PickyBatchJob):
    destroy_on_complete = True


def rejected(rocketjob, tmp_path, cls, source):
    job = cls()
    if isinstance(source, str):
        (tmp_path / "in.txt").write_text(source)
        source = tmp_path / "in.txt"
    job.upload(source)
    job.save()
    rocketjob.work_off()
    job.reload().download_rejects(tmp_path / "bad.csv")
    return job


def rows(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def resubmitted(rocketjob, tmp_path, job, old="", new=""):
    text = (tmp_path / "bad.csv").read_text()
    (tmp_path / "fixed.csv").write_text(text.replace(old, new) if old else text)
    job.resubmit(tmp_path / "fixed.csv")
    rocketjob.work_off()
    return list(job.reload().records())


SOURCES = {
    PickyBatchJob: [1, -3, {"bad": [1.5, None]}, ("bad", datetime(2026, 1, 2, tzinfo=UTC))],
    PickyCsvJob: 'a,b\n1,x\nbad,"y\nz"\nbad"q,1\n"bad"r,2\n',
    PickyJsonJob: '{"a": "bad"}\n7\nbad json\n',
    PickyFixedJob: "Ann001\nbad002\nx\n",
    PickyDictJob: [{"name": "Ann", "age": 3}, {"name": "bad", "age": 4}],
}


@pytest.mark.parametrize("cls", SOURCES)
def test_what_is_not_mended_is_rejected_again_as_it_was(rocketjob, tmp_path, cls):
    job = rejected(rocketjob, tmp_path, cls, SOURCES[cls])
    before = list(rejects_of(job))
    assert before
    resubmitted(rocketjob, tmp_path, job)
    assert list(rejects_of(job)) == before


def rejects_of(job):
    from rocketjob_plugins.batch.outcome import rejects

    return rejects.each(job)


@pytest.mark.parametrize(
    ("cls", "old", "new", "expected"),
    [
        (PickyBatchJob, "-3,2", "5,2", "5"),
        (PickyJsonJob, "bad json", "[1]", "[1]"),
        (PickyJsonJob, '""bad""', '""good""', "{'a': 'good'}"),
        (PickyFixedJob, "bad,2", "Bob,7", "{'name': 'Bob', 'age': 7}"),
        (PickyFixedJob, "x,,3", "Eve,9,3", "{'name': 'Eve', 'age': 9}"),
        (PickyDictJob, "bad", "Bob", "{'name': 'Bob', 'age': 4}"),
    ],
)
def test_a_mended_record_has_the_types_of_the_input(rocketjob, tmp_path, cls, old, new, expected):
    job = rejected(rocketjob, tmp_path, cls, SOURCES[cls])
    assert expected in resubmitted(rocketjob, tmp_path, job, old, new)


def test_records_of_json_and_fixed_widths_are_in_the_file(rocketjob, tmp_path):
    rejected(rocketjob, tmp_path, PickyJsonJob, SOURCES[PickyJsonJob])
    assert [row[:2] for row in rows(tmp_path / "bad.csv")] == [
        ["record", "_row"],
        ['{"a": "bad"}', "1"],
        ["bad json", "3"],
    ]
    rejected(rocketjob, tmp_path, PickyFixedJob, SOURCES[PickyFixedJob])
    assert [row[:3] for row in rows(tmp_path / "bad.csv")] == [
        ["name", "age", "_row"],
        ["bad", "2", "2"],
        ["x", "", "3"],
    ]


def test_columns_that_are_left_out_keep_the_places_of_the_others(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path, PickyLenientJob, "a,b,c\n1,2,bad\n")
    assert resubmitted(rocketjob, tmp_path, job, "bad", "3") == ["{'a': '1', 'c': '3'}"]


def test_a_blank_line_can_be_rejected_and_mended(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path, PickyBlankJob, "a,b\n1,x\n\n")
    assert rows(tmp_path / "bad.csv")[1][:3] == ["", "", "2"]
    assert "is blank: there is no row in it" in rows(tmp_path / "bad.csv")[1][3]
    assert resubmitted(rocketjob, tmp_path, job, ",,2", "5,y,2")[1] == "{'a': '5', 'b': 'y'}"


class PickyBlankJob(PickyCsvJob):
    input_category = InputCategory(format="csv", format_options={"blank_lines": "reject"})


def test_a_long_value_goes_through_the_file(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path, PickyCsvJob, "a,b\nbad," + "y" * 200_000 + "\n")
    assert len(resubmitted(rocketjob, tmp_path, job, "bad", "ok")[0]) > 200_000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b,_error\n", r"fixed.csv, line 1, column _row: the file has no column _row: write it"),
        ("a,_row\n1,2\n", r"line 1, column b: the file has no column b"),
        ("a,b,_row\n1,x,9\n", r"line 2, column _row: row 9 is not among .*take the line out"),
        ("a,b,_row\n1,x,\n", r"line 2, column _row: must be a number, not ''"),
        ('a,b,_row\n"1\n",x,2\n3,x,2\n', r"line 4, column _row: row 2 .*twice, also in line 2"),
        ("a,b,_row\n1,2\n", r"line 2, column _row: has 2 values, and there are 3 columns"),
        ("a,b,_row\n1,x,2,3\n", r"line 2, column 4: has 4 values, and there are 3 columns"),
        ('a,b,_row\n"1,x,2\n', r"line 2, column 1: a double quote is opened here"),
        ("", r"fixed.csv: is empty: write it with download_rejects"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place_and_changes_nothing(
    rocketjob, tmp_path, text, says
):
    job = rejected(rocketjob, tmp_path, PickyCsvJob, "a,b\n1,x\nbad,y\n")
    (tmp_path / "fixed.csv").write_text(text)
    with pytest.raises(StreamError, match=says):
        job.resubmit(tmp_path / "fixed.csv")
    assert job.reload().is_completed
    assert job.reject_count == 1
    assert job.input.count() == 0


def test_json_that_is_wrong_is_refused(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path, PickyBatchJob, [-3])
    with pytest.raises(StreamError, match="line 2, column record: must be JSON, as it was"):
        resubmitted(rocketjob, tmp_path, job, "-3", "minus three")
    assert job.reject_count == 1


def test_columns_that_were_added_are_ignored_and_the_order_does_not_matter(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path, PickyCsvJob, "a,b\n1,x\nbad,y\n")
    (tmp_path / "fixed.csv").write_text("_row,b,note,a\n2,y,by Ann,5\n")
    assert job.resubmit(tmp_path / "fixed.csv") == 1
    rocketjob.work_off()
    assert list(job.reload().records())[1] == "{'a': '5', 'b': 'y'}"


def test_the_same_file_again_is_refused_once_its_records_are_processed(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path, PickyCsvJob, "a,b\nbad,y\n")
    fixed = mended(tmp_path)
    assert job.resubmit(fixed) == 1
    assert job.resubmit(fixed) == 1  # still queued: nothing is doubled
    rocketjob.work_off()
    assert len(list(job.reload().records())) == 1
    with pytest.raises(StreamError, match="it was resubmitted already"):
        job.resubmit(fixed)


def mended(tmp_path):
    path = tmp_path / "fixed.csv"
    path.write_text((tmp_path / "bad.csv").read_text().replace("bad,y", "1,y"))
    return path


def test_a_job_with_rejects_is_kept_until_they_are_processed(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path, PickyGoneJob, [1, -3])
    assert job.reload().is_completed
    assert PickyGoneJob.find(job.id).reject_count == 1
    resubmitted(rocketjob, tmp_path, job, "-3", "3")
    assert PickyGoneJob.where({"_id": job.id}).first() is None


def test_a_paused_job_stays_paused_when_records_are_resubmitted(rocketjob, tmp_path):
    job = rejected(rocketjob, tmp_path, PickyCsvJob, "a,b\nbad,y\n")
    job.reopen()
    job.pause()
    assert job.resubmit(mended(tmp_path)) == 1
    assert job.reload().state == "paused"
    job.resume()
    rocketjob.work_off()
    assert list(job.reload().records()) == ["{'a': '1', 'b': 'y'}"]


class PickyValuesJob(Batch, Job):
    max_rejects = 5

    def perform(self, record):
        raise ValueError("not yet")


def test_rejects_with_uuids_and_times_come_back_as_they_were(rocketjob, tmp_path):
    record = {"id": uuid.UUID(int=5), "at": datetime(2024, 7, 1, 12, tzinfo=UTC)}
    job = rejected(rocketjob, tmp_path, PickyValuesJob, [record])
    job.resubmit(tmp_path / "bad.csv")
    ((found,),) = [list(each) for each in job.input.where({})]
    assert found == record
