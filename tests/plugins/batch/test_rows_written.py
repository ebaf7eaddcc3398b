"""Rows on the way out: what a format cannot hold is refused as the record that it is."""

import bz2
import io
import json
from pathlib import Path

import pytest

from rocketjob import Job
from rocketjob.base.errors import ConfigurationError, ValidationError
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory, Result, Results
from rocketjob_plugins.batch.outcome import rejects as stored_rejects
from rocketjob_plugins.batch.statistics import Statistics
from rocketjob_plugins.batch.streams import StreamError


class WrittenBatchJob(Batch, Job):
    destroy_on_complete = False
    values = ()

    def perform(self, index):
        return type(self).values[index]


def worked_off(rocketjob, values, *, cls=WrittenBatchJob, max_rejects=None, slice_size=100, **out):
    cls.values = values
    job = cls(output_categories=[OutputCategory(**out)], max_rejects=max_rejects)
    job.slice_size = slice_size
    job.upload(range(len(values)))
    job.save()
    rocketjob.work_off()
    return job.reload()


def text_of(job, name="out.txt", **options):
    job.download(name, **options)
    return Path(name).read_text()


def reasons(job):
    return [(number, error) for number, _, error in stored_rejects.each(job)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# --- each format ------------------------------------------------------------------------------

BAD = [b"x", {1}, object(), "caf\udce9"]
OF_FORMAT = [
    ({"format": "csv", "columns": ["a"]}, BAD, "1\n3\n"),
    ({"format": "csv"}, BAD, "1\n3\n"),
    ({"format": "psv", "columns": ["a"]}, [*BAD, "x|y", "x\ny", ""], "1\n3\n"),
    ({"format": "json"}, [*BAD, float("nan"), {1: 2}], '{"a":1}\n{"a":3}\n'),
    ({"format": "auto"}, [*BAD, float("inf")], "1\n3\n"),
    ({"format": "auto", "file_name": "x.psv"}, [*BAD, "x|y"], "1\n3\n"),
    (
        {"format": "fixed", "format_options": {"layout": [{"key": "a", "size": 2}]}},
        [*BAD, "too long", "a\nb"],
        "1 \n3 \n",
    ),
]


@pytest.mark.parametrize(("settings", "bad", "text"), OF_FORMAT)
def test_a_row_that_a_format_cannot_hold_is_a_reject(rocketjob, settings, bad, text):
    rows = [{"a": 1}, *({"a": value} for value in bad), {"a": 3}]
    job = worked_off(rocketjob, rows, max_rejects=100, **settings)
    assert job.is_completed
    assert [number for number, _ in reasons(job)] == list(range(2, len(bad) + 2))
    for number, error in reasons(job):
        assert error.startswith(f"StreamError: record {number}")
        assert "object at 0x" not in error
    assert text_of(job).removeprefix("a\n") == text


@pytest.mark.parametrize(("settings", "bad", "text"), OF_FORMAT)
def test_without_rejects_the_record_is_named_and_goes_on_from_there(rocketjob, settings, bad, text):
    job = worked_off(rocketjob, [{"a": 1}, {"a": bad[0]}, {"a": 3}], **settings)
    (failed,) = job.input.failed()
    assert failed.exception.message.startswith("record 2")
    assert failed.processing_record_number == 2
    WrittenBatchJob.values = [None, {"a": 3}, {"a": 3}]
    job.retry()
    rocketjob.work_off()
    assert job.reload().is_completed
    assert len(list(job.records())) == 3


def test_nothing_is_kept_of_a_record_that_gave_one_bad_row(rocketjob):
    class TwoOutputsJob(WrittenBatchJob):
        pass

    good, bad = ({"a": 1}, {"a": 2}), ({"a": 3}, {"a": b"x"})
    TwoOutputsJob.values = [
        Results([Result(one), Result(two, category="other")]) for one, two in (good, bad, good)
    ]
    job = TwoOutputsJob(
        output_categories=[
            OutputCategory(format="json"),
            OutputCategory(name="other", format="csv", columns=["a"]),
        ],
        max_rejects=5,
    )
    job.upload(range(3))
    job.save()
    rocketjob.work_off()
    assert list(job.reload().records()) == ['{"a":1}', '{"a":1}']
    assert list(job.records("other")) == ["2", "2"]
    assert [number for number, _ in reasons(job)] == [2]


# --- values without a format ------------------------------------------------------------------


@pytest.mark.parametrize("serializer", ["none", "compress", "bz2"])
@pytest.mark.parametrize("bad", ["caf\udce9", object(), {"a": 2**70}])
def test_a_value_that_cannot_be_stored_is_a_reject(rocketjob, serializer, bad):
    job = worked_off(
        rocketjob, ["a", bad, "b", bad, "c"], max_rejects=5, serializer=serializer, slice_size=3
    )
    if serializer == "bz2" and isinstance(bad, dict):
        return  # it is a line of JSON
    assert [number for number, _ in reasons(job)] == [2, 4]
    assert "what perform returned cannot be stored" in reasons(job)[0][1]
    if serializer == "bz2":
        job.download("out.bz2")
        assert bz2.decompress(Path("out.bz2").read_bytes()) == b"a\nb\nc\n"
    else:
        assert list(job.records()) == ["a", "b", "c"]


def test_more_of_them_than_may_be_rejected_fail_their_slice_at_the_record(rocketjob):
    job = worked_off(rocketjob, ["a", object(), "b", object(), "c"], max_rejects=1)
    (failed,) = job.input.failed()
    assert failed.processing_record_number == 4
    assert failed.exception.message.startswith("record 4: what perform returned cannot be stored")
    assert list(job.records()) == ["a", "b"]
    assert [number for number, _ in reasons(job)] == [2]


def test_what_a_record_has_counted_is_taken_back_when_it_is_rejected_for_its_output(rocketjob):
    class CountedWrittenJob(Statistics, WrittenBatchJob):
        def perform(self, index):
            self.statistics_inc("seen")
            return super().perform(index)

    job = worked_off(rocketjob, ["a", object(), "b"], cls=CountedWrittenJob, max_rejects=5)
    assert job.statistics == {"seen": 2}
    assert job.reject_count == 1


def test_values_of_other_types_are_written_as_text_and_json(rocketjob):
    job = worked_off(rocketjob, [1, {"a": [True]}, b"x", 1.5])
    assert text_of(job) == '1\n{"a":[true]}\nx\n1.5\n'


def test_a_value_without_a_text_is_named_and_the_file_is_not_written(rocketjob):
    job = worked_off(rocketjob, ["a", {1, 2}])
    with pytest.raises(StreamError, match="a set cannot be written as text"):
        job.download("out.txt")
    assert not Path("out.txt").exists()


KEEP = {"line_breaks": "keep"}


@pytest.mark.parametrize("bad", ["two\nlines", "a\rb", "c\n", b"x\ny", Path("a\nb"), {1, 2}])
@pytest.mark.parametrize("settings", [{"file_name": "out.txt"}, {"serializer": "bz2"}])
def test_what_is_no_line_is_a_reject_where_lines_are_written_to_a_file(rocketjob, settings, bad):
    job = worked_off(rocketjob, ["a", bad, 1, "b"], max_rejects=1, **settings)
    assert job.is_completed
    ((number, error),) = reasons(job)
    assert number == 2
    assert error.startswith("StreamError: record 2: what perform returned cannot be stored: ")
    assert text_of(job) == "a\n1\nb\n"
    job = worked_off(rocketjob, ["a", bad], **settings)
    assert len(job.input.failed()) == 1


def test_texts_of_several_lines_are_kept_for_records_and_refused_in_a_file(rocketjob):
    job = worked_off(rocketjob, ["a", "two\nlines"], slice_size=1)
    assert list(job.records()) == ["a", "two\nlines"]
    with pytest.raises(StreamError, match=r'out.txt: row 2: a text with a line break .*"keep"'):
        job.download("out.txt")
    assert not Path("out.txt").exists()
    job.output_categories[0].format_options = KEEP  # as the message says
    assert text_of(job) == "a\ntwo\nlines\n"


@pytest.mark.parametrize("settings", [{}, {"file_name": "out.txt"}, {"serializer": "bz2"}])
def test_line_breaks_are_written_where_that_is_asked_for(rocketjob, settings):
    job = worked_off(rocketjob, ["a", "two\nlines"], format_options=KEEP, **settings)
    assert text_of(job) == "a\ntwo\nlines\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"line_breaks": "no"}, "line_breaks must be reject or keep, not 'no'"),
        ({"separator": ";"}, "an output without a format has no option 'separator'"),
    ],
)
def test_options_that_an_output_without_a_format_does_not_have_are_refused(options, says):
    with pytest.raises(ConfigurationError, match=says):

        class OptionsWrittenJob(WrittenBatchJob):
            output_category = OutputCategory(format_options=options)


# --- columns ----------------------------------------------------------------------------------


def test_a_column_that_the_first_row_did_not_have_is_not_dropped(rocketjob):
    rows = [{"a": 1}, {"a": 2, "b": 3}, {"a": 4}]
    job = worked_off(rocketjob, rows, max_rejects=5, format="csv", slice_size=1)
    assert text_of(job) == "a\n1\n4\n"
    assert (
        "record 2, column b: has the column b, and the first row had a: set" in reasons(job)[0][1]
    )


def test_columns_that_are_set_choose_what_is_written(rocketjob):
    job = worked_off(rocketjob, [{"a": 1, "c": 2}], format="csv", columns=["c", "b"])
    assert text_of(job) == "c,b\n2,\n"


# --- auto -------------------------------------------------------------------------------------

ROWS = [{"a": "1", "b": "x,y"}, {"b": None, "c": [True]}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("out.csv", 'a,b,c\n1,"x,y",\n,,[true]\n'),
        ("out.psv", "a|b|c\n1|x,y|\n||[true]\n"),
        ("out.json", '{"a":"1","b":"x,y"}\n{"b":null,"c":[true]}\n'),
        ("out.txt", 'a,b,c\n1,"x,y",\n,,[true]\n'),
    ],
)
def test_rows_of_auto_are_written_in_the_format_of_the_file(rocketjob, name, text):
    job = worked_off(rocketjob, ROWS, format="auto", slice_size=1)
    assert text_of(job, name) == text
    job.download(Path("again") / ".." / name if Path("again").mkdir() is None else "")
    assert Path(name).read_text() == text
    assert list(job.records()) == ROWS


def test_the_file_name_of_the_category_decides_for_a_file_object(rocketjob):
    job = worked_off(rocketjob, ROWS, format="auto", file_name="x.json")
    target = io.StringIO()
    job.download(target)
    assert [json.loads(line) for line in target.getvalue().splitlines()] == ROWS


def test_a_row_that_the_other_format_cannot_hold_is_named_and_another_can_be_written(rocketjob):
    job = worked_off(rocketjob, [{"a": 1}, {"a": "x|y"}], format="auto")
    with pytest.raises(StreamError, match=r"out.psv, column a: row 2: \| cannot be written as psv"):
        job.download("out.psv")
    assert not Path("out.psv").exists()
    assert text_of(job, "out.csv") == "a\n1\nx|y\n"


def test_auto_in_files_that_are_packed_by_the_workers_has_one_format(rocketjob):
    job = worked_off(rocketjob, [{"a": 1}], format="auto", serializer="bz2", file_name="x.json.bz2")
    job.download()
    assert bz2.decompress(Path("x.json.bz2").read_bytes()) == b'{"a":1}\n'
    with pytest.raises(StreamError, match="the rows were written as json: set the file_name"):
        job.download("x.csv.bz2")


def test_lists_of_auto_need_names_for_csv(rocketjob):
    job = worked_off(rocketjob, [[1, 2]], format="auto")
    with pytest.raises(StreamError, match="the columns of the csv output are not known"):
        job.download("out.csv")
    assert text_of(job, "out.csv", header_line="a,b") == "a,b\n1,2\n"


# --- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"format": "csv", "format_options": {"seperator": ";"}}, "no option 'seperator'"),
        ({"format": "fixed"}, "needs its layout"),
        ({"format": "csv", "columns": ["a", "a"]}, "a is there twice"),
        ({"format": "psv", "columns": ["a|b"]}, "| cannot be written as psv"),
        ({"format": "auto", "format_options": {"strict": "no"}}, "strict must be True or False"),
    ],
)
def test_an_output_that_cannot_be_is_refused_when_it_is_made(settings, says):
    import re

    with pytest.raises(ConfigurationError, match=re.escape(says)):
        type("WrongOutputJob", (WrittenBatchJob,), {"output_category": OutputCategory(**settings)})
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        WrittenBatchJob(output_categories=[OutputCategory(**settings)])


def test_an_unknown_output_format_is_refused_before_the_job_is_stored(rocketjob):
    with pytest.raises(ValidationError, match="There is no format 'tsv'"):
        WrittenBatchJob(output_categories=[OutputCategory(format="tsv")]).save()


def test_what_is_rejected_for_its_output_can_be_resubmitted(rocketjob):
    class MendedJob(WrittenBatchJob):
        input_category = InputCategory(format="csv")
        output_category = OutputCategory(format="json")

        def perform(self, row):
            return {"n": float(row["n"])}

    job = MendedJob(max_rejects=5)
    job.upload(io.StringIO("n\n1\nnan\n3\n"))
    job.save()
    rocketjob.work_off()
    job.reload().download_rejects("r.csv")
    Path("r.csv").write_text(Path("r.csv").read_text().replace("nan,2", "2,2"))
    assert job.resubmit("r.csv") == 1
    rocketjob.work_off()
    assert list(job.reload().records()) == ['{"n":1.0}', '{"n":2.0}', '{"n":3.0}']


# --- names of files ---------------------------------------------------------------------------

LAYOUT = {"layout": [{"key": "a", "size": 3}]}


@pytest.mark.parametrize(
    ("settings", "name", "says"),
    [
        (
            {"format": "csv"},
            "o.json",
            "named .json, and it is written as csv: name it .csv, or set",
        ),
        ({"format": "csv"}, "o.json", 'the format of the output category to "auto" before'),
        ({"format": "csv"}, "O.JSONL.gz", "named .jsonl, and it is written as csv"),
        ({"format": "csv"}, "o.csv.ndjson", "named .ndjson, and it is written as csv"),
        ({"format": "csv"}, "o.psv", "named .psv, and it is written as csv"),
        ({"format": "csv"}, "o.tsv", 'format_options={"separator": "\\t"} before the job runs'),
        ({"format": "auto"}, "o.tsv", "named .tsv, and it is written as csv"),
        ({"format": "auto", "file_name": "o.json"}, "o.tab", "named .tab, and it is written as j"),
        ({"format": "json"}, "o.csv", "named .csv, and it is written as json: name it .json"),
        ({"format": "json"}, "o.psv.gz", "named .psv, and it is written as json"),
        ({"format": "psv"}, "o.csv", "named .csv, and it is written as psv: name it .psv"),
        ({"format": "psv"}, "o.tsv", "named .tsv, and it is written as psv: name it .psv"),
        ({"format": "fixed", "format_options": LAYOUT}, "o.csv", "written as fixed: name it .txt"),
    ],
)
def test_an_output_is_not_written_under_the_name_of_another_format(rocketjob, settings, name, says):
    job = worked_off(rocketjob, [{"a": "1"}], **settings)
    before = job.output_category_for().file_name
    for target in (name, Path(name)):
        with pytest.raises(StreamError) as error:
            job.download(target)
        assert says in str(error.value)
        assert str(error.value).startswith(name)
    assert not Path(name).exists()
    assert job.output_category_for().file_name == before
    with open(name, "wb") as file:  # whoever opens it says that it is to have that name
        assert job.download(file) == 1


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"format": "csv"}, "o.txt"),
        ({"format": "csv"}, "json"),
        ({"format": "csv"}, "all.json.csv.gz"),
        ({"format": "csv"}, "all.json.old"),
        ({"format": "csv", "format_options": {"separator": ";"}}, "o.csv"),
        ({"format": "csv", "format_options": {"separator": "\t"}}, "o.tsv"),
        ({"format": "auto", "format_options": {"separator": "\t"}}, "o.TAB.gz"),
        ({"format": "csv", "format_options": {"separator": "|"}}, "o.psv"),
        ({"format": "json"}, "o.jsonl"),
        ({"format": "json"}, "o.ndjson.gz"),
        ({"format": "psv"}, "o.dat"),
        ({"format": None}, "o.json"),
        ({"format": "fixed", "format_options": LAYOUT}, "o.dat"),
    ],
)
def test_other_names_are_free(rocketjob, settings, name):
    job = worked_off(rocketjob, [{"a": "1"}], **settings)
    assert job.download(name) == 1
    assert Path(name).stat().st_size > 0


def test_a_file_name_that_asks_for_another_format_is_refused_before_the_job_is_stored(rocketjob):
    settings = {"format": "csv", "file_name": "o.json"}
    with pytest.raises(ConfigurationError, match=r"o\.json: is named \.json"):
        type("MisnamedJob", (WrittenBatchJob,), {"output_category": OutputCategory(**settings)})
    job = WrittenBatchJob(output_categories=[OutputCategory(format="csv")])
    job.output_category_for().file_name = "o.json"
    with pytest.raises(ValidationError, match=r"is named \.json, and it is written as csv"):
        job.save()


def test_rejects_are_not_written_under_the_name_of_another_format(rocketjob):
    job = worked_off(rocketjob, [object()], format="csv", max_rejects=3)
    for name in ("r.json", "r.psv", "r.tsv.gz"):
        with pytest.raises(StreamError, match=r"and it is written as csv: name it \.csv$"):
            job.download_rejects(name)
        assert not Path(name).exists()
    assert job.download_rejects("r.txt") == 1


# --- header lines that are given --------------------------------------------------------------

WITH_HEADER = [
    ({"format": "csv"}, "o.csv"),
    ({"format": "auto"}, "o.csv"),
    ({"format": None}, "o.txt"),
    ({"format": "csv", "serializer": "bz2", "columns": ["a"]}, "o.csv"),
]


@pytest.mark.parametrize(("settings", "name"), WITH_HEADER)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_one_line_end_of_a_header_line_is_not_written_twice(rocketjob, settings, name, end):
    job = worked_off(rocketjob, ["x"] if settings["format"] is None else [{"a": "x"}], **settings)
    assert text_of(job, name, header_line=f"id{end}") == "id\nx\n"


@pytest.mark.parametrize(("settings", "name"), WITH_HEADER)
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("id\n\n", "holds a line break"),
        ("id\nx", "holds a line break"),
        ("id\rx", "holds a line break"),
        ("", "is blank"),
        (" \n", "is blank"),
    ],
)
def test_a_header_line_is_one_line(rocketjob, settings, name, line, says):
    job = worked_off(rocketjob, ["x"] if settings["format"] is None else [{"a": "x"}], **settings)
    with pytest.raises(ValueError, match=f"header_line {says}"):
        job.download(name, header_line=line)
    assert not Path(name).exists()


@pytest.mark.parametrize("format", ["json", "auto"])
def test_json_takes_no_header_line(rocketjob, format):
    job = worked_off(rocketjob, [{"a": "x"}], format=format)
    with pytest.raises(ValueError, match="json has no header line: leave it out"):
        job.download("o.json", header_line="a")
