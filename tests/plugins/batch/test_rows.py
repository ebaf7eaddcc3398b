"""Rows of every format and way in: none is changed, lost or waved through."""

import io

import pytest

from rocketjob import Job
from rocketjob.base.errors import ConfigurationError, ValidationError
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.streams import StreamError


class RowBatchJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 100
    output_category = OutputCategory(nils=True)

    def perform(self, row):
        assert row is not None
        return row


def job_of(**settings):
    return RowBatchJob(input_categories=[InputCategory(**settings)])


def worked_off(rocketjob, job, *sources, **options):
    for source in sources:
        source = io.StringIO(source) if isinstance(source, str) else source
        job.upload(source, **options)
    job.save()
    rocketjob.work_off()
    job.reload()
    assert job.is_completed, job.exception
    return list(job.records())


def reasons(job):
    from rocketjob_plugins.batch.outcome import rejects

    return [(number, error) for number, _, error in rejects.each(job)]


# --- even rows and blank lines ----------------------------------------------------------------


def test_a_row_with_surplus_or_missing_values_is_a_reject(rocketjob):
    job = job_of(format="csv")
    assert worked_off(rocketjob, job, "a,b\n1,2\n1,2,3\n4\n") == [{"a": "1", "b": "2"}]
    assert [number for number, _ in reasons(job)] == [2, 3]
    assert "has 3 values, and there are 2 columns" in reasons(job)[0][1]


def test_without_strict_missing_values_are_none_and_surplus_ones_dropped(rocketjob):
    job = job_of(format="csv", format_options={"strict": False})
    assert worked_off(rocketjob, job, "a,b\n1,2,3\n4\n") == [
        {"a": "1", "b": "2"},
        {"a": "4", "b": None},
    ]


@pytest.mark.parametrize(
    ("settings", "text", "row"),
    [
        ({"format": "csv"}, "a,b\n1,2\n\n  \n1,2\n", {"a": "1", "b": "2"}),
        ({"format": "csv", "mode": "hash"}, "a,b\n1,2\n\n1,2\n\n", {"a": "1", "b": "2"}),
        ({"format": "csv", "mode": "array"}, "a,b\n\n1,2\n1,2\n", ["1", "2"]),
        ({"format": "psv"}, "a|b\n\n1|2\n1|2\n", {"a": "1", "b": "2"}),
        ({"format": "json"}, '{"a":1}\n \n{"a":1}\n', {"a": 1}),
    ],
)
def test_blank_lines_are_no_records(rocketjob, settings, text, row):
    job = job_of(**settings)
    assert worked_off(rocketjob, job, text) == [row, row]
    assert (job.record_count, job.reject_count) == (2, 0)


def test_blank_lines_are_skipped_whichever_way_they_come(rocketjob):
    job = job_of(format="csv", columns=["a", "b"])
    job.upload(["1,2", ""])
    job.upload(line for line in ["", "1,2"])
    job.upload_slice(["", "1,2"])
    job.upload_slice([""])
    with job.upload() as writer:
        writer.append("")
        writer.extend(["", "1,2"])
    assert worked_off(rocketjob, job) == [{"a": "1", "b": "2"}] * 4
    assert job.record_count == 4


def test_blank_lines_of_plain_text_are_records(rocketjob):
    assert worked_off(rocketjob, job_of(), "a\n\nb\n") == ["a", "", "b"]


def test_a_blank_line_that_is_stored_already_is_skipped(rocketjob):
    job = job_of(format="csv", columns=["a", "b"])
    job.upload(["1,2", "3,4", "5,6"])
    slice_ = job.input.first()
    slice_[1] = ""
    slice_.save()
    assert worked_off(rocketjob, job) == [{"a": "1", "b": "2"}, {"a": "5", "b": "6"}]


def test_blank_lines_can_be_rejected(rocketjob):
    job = job_of(format="json", format_options={"blank_lines": "reject"})
    assert worked_off(rocketjob, job, '{"a":1}\n\nnull\n') == [{"a": 1}]
    assert [said.partition(": ")[2] for _, said in reasons(job)] == [
        "record 2: is blank: there is no row in it",
        "record 3: is null: there is no row in it",
    ]


# --- column rules -----------------------------------------------------------------------------

RULES = {"allowed_columns": ["id"], "required_columns": ["id"]}
ROW = {"id": 1, "is_admin": True}
LAYOUT = {"layout": [{"key": "id", "size": 1}, {"key": "is_admin", "size": 4}]}


@pytest.mark.parametrize("mode", ["line", "hash"])
@pytest.mark.parametrize("format", ["json", "hash", "csv", "auto"])
def test_column_rules_hold_for_dicts(rocketjob, format, mode):
    job = job_of(format=format, mode=mode, **RULES)
    assert worked_off(rocketjob, job, [{"id": 1}, ROW, {"x": 1}]) == [{"id": 1}]
    assert [number for number, _ in reasons(job)] == [2, 3]
    lenient = job_of(format=format, mode=mode, skip_unknown=True, **RULES)
    assert worked_off(rocketjob, lenient, [{"id": 1}, ROW]) == [{"id": 1}] * 2


def test_column_rules_hold_for_lines_of_json_and_name_the_record(rocketjob):
    job = job_of(format="auto", **RULES)
    text = '{"id": 1, "is_admin": true}\n{"x": 1}\n7\n{"id": 2}\n'
    assert worked_off(rocketjob, job, text, file_name="a.json") == [{"id": 2}]
    said = [error for _, error in reasons(job)]
    assert "a.json, record 1, column is_admin: unknown columns: is_admin; allowed are id" in said[0]
    assert "a.json, record 2, column id: columns are missing: id; there are x" in said[1]
    assert "record 3: is int and not a row with columns" in said[2]


def test_column_rules_hold_for_lines_that_are_parsed_at_upload():
    with pytest.raises(StreamError, match=r"line 2, column x: unknown columns: x"):
        job_of(format="json", mode="hash", allowed_columns=["id"]).upload(
            io.StringIO('{"id": 1}\n{"x": 1}\n')
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"format": "csv", "columns": ["id", "is_admin"]},
        {"format": "fixed", "format_options": LAYOUT},
    ],
)
def test_columns_that_are_set_are_checked_when_the_class_is_made(settings):
    with pytest.raises(ConfigurationError, match=r"category main: .*unknown columns: is_admin"):
        type("RowWrongJob", (RowBatchJob,), {"input_category": InputCategory(**settings, **RULES)})
    with pytest.raises(ConfigurationError, match="unknown columns: is_admin"):
        job_of(**settings, **RULES)


def test_columns_of_fixed_widths_can_be_left_out(rocketjob):
    job = job_of(format="fixed", format_options=LAYOUT, skip_unknown=True, **RULES)
    assert worked_off(rocketjob, job, "1true\n") == [{"id": "1"}]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"columns": ["id", "id"]}, "columns: id is there twice"),
        ({"columns": "id"}, "columns must be a list of names, not 'id'"),
        ({"allowed_columns": "id"}, "allowed_columns must be a list of names"),
        ({"required_columns": ["id", ""]}, "required_columns must be a list of names"),
        ({"allowed_columns": ["id"]}, "allowed_columns needs a format"),
        ({"format": "csv", "format_options": {"strict": "no"}}, "strict must be True or False"),
        ({"format": "auto", "format_options": {"strict": 1}}, "strict must be True or False"),
        ({"format": "csv", "format_options": {"seperator": ";"}}, "no option 'seperator'"),
        ({"format": "fixed"}, "needs its layout"),
    ],
)
def test_settings_that_cannot_be_are_refused_when_they_are_made(settings, says):
    with pytest.raises(ConfigurationError, match=says):
        job_of(**settings)


def test_a_format_that_there_is_not_is_refused_before_the_job_is_stored(rocketjob):
    with pytest.raises(ValidationError, match="There is no format 'tsv'"):
        job_of(format="tsv").save()


# --- lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["array", "csv"])
def test_uneven_lists_are_refused(rocketjob, format):
    job = job_of(format=format, columns=["a", "b"])
    assert worked_off(rocketjob, job, [[1, 2], [1], [1, 2, 3]]) == [{"a": 1, "b": 2}]
    assert [number for number, _ in reasons(job)] == [2, 3]
    lists = job_of(format=format, mode="array", columns=["a", "b"])
    assert worked_off(rocketjob, lists, [[1, 2], [1]]) == [[1, 2]]


# --- several files ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["line", "hash", "array"])
@pytest.mark.parametrize("format", ["csv", "psv"])
def test_each_file_has_its_own_header(rocketjob, format, mode):
    files = ["a,b\n1,2\n", "b,a\n3,4\n\n5,6\n", "A,B\n7,8\n"]
    files = [text.replace(",", "|" if format == "psv" else ",") for text in files]
    job = job_of(format=format, mode=mode)
    rows = [("1", "2"), ("4", "3"), ("6", "5"), ("7", "8")]
    made = [list(row) if mode == "array" else dict(zip("ab", row, strict=True)) for row in rows]
    assert worked_off(rocketjob, job, *files) == made


def test_a_row_of_a_second_file_that_is_no_row_is_rejected_as_it_stands(rocketjob):
    job = job_of(format="csv")
    assert worked_off(rocketjob, job, "a,b\n1,2\n", 'b,a\n3\n"x"y,1\n') == [{"a": "1", "b": "2"}]
    assert [number for number, _ in reasons(job)] == [2, 3]


def test_columns_that_are_left_out_may_differ_between_files(rocketjob):
    job = job_of(format="csv", allowed_columns=["a", "b"], skip_unknown=True)
    rows = worked_off(rocketjob, job, "a,x,b\n1,9,2\n", "b,y,z,a\n3,9,9,4\n")
    assert rows == [{"a": "1", "b": "2"}, {"a": "4", "b": "3"}]


def test_a_file_with_other_columns_is_refused_and_nothing_of_it_stays(rocketjob):
    job = job_of(format="csv")
    job.upload(io.StringIO("a,b\n1,2\n"))
    says = "line 1: has the columns a, c, and a file before it had a, b: each file has a header"
    with pytest.raises(StreamError, match=says):
        job.upload(io.StringIO("a,c\n3,4\n"))
    assert worked_off(rocketjob, job) == [{"a": "1", "b": "2"}]


def test_a_file_of_another_format_is_refused(rocketjob):
    job = job_of(format="auto")
    job.upload(io.StringIO("a,b\n1,2\n"), file_name="a.csv")
    with pytest.raises(StreamError, match="is json, and this input has records of csv already"):
        job.upload(io.StringIO('{"a":1}\n'), file_name="b.json")
    assert worked_off(rocketjob, job) == [{"a": "1", "b": "2"}]


def test_the_columns_of_an_upload_that_left_nothing_are_forgotten(rocketjob):
    job = job_of(format="csv")
    job.upload(io.StringIO("a,b\n"))
    assert worked_off(rocketjob, job, "c,d\n1,2\n") == [{"c": "1", "d": "2"}]


# --- uploads that fail ------------------------------------------------------------------------


def test_an_upload_that_fails_leaves_nothing_in_the_store(rocketjob):
    from rocketjob_plugins.batch.settings import slices_store

    def broken():
        yield "one"
        raise OSError("the line dropped")

    with pytest.raises(OSError, match="the line dropped"):
        RowBatchJob().upload(broken())
    assert not [name for name in slices_store().collection_names() if "inputs." in name]
