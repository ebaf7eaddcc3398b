"""Every reject can be written, corrected and resubmitted, whatever is in it."""

import csv
import io
import json

import pytest

from rocketjob import Job
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.batch.streams import StreamError


class BackBatchJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 100
    output_category = OutputCategory(nils=True)

    def perform(self, row):
        if "bad" in repr(row):
            raise ValueError("bad caf\udce9")
        return row


def rejected(rocketjob, source, **settings):
    job = BackBatchJob(input_categories=[InputCategory(**settings)])
    job.upload(io.StringIO(source, newline="") if isinstance(source, str) else source)
    job.save()
    rocketjob.work_off()
    return job.reload()


def resubmitted(rocketjob, tmp_path, job, change, saved_as="utf-8", separator=",", **options):
    path = tmp_path / "r.csv"
    assert job.download_rejects(path) == job.reject_count
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    rows = [change(dict(zip(header, row, strict=True))) for row in rows]
    with path.open("w", newline="", encoding=saved_as) as file:
        writer = csv.writer(file, delimiter=separator, lineterminator="\r\n")
        writer.writerow(header)
        writer.writerows(list(row.values()) for row in rows)
    count = job.resubmit(path, **options)
    rocketjob.work_off()
    assert count == len(rows)
    return list(job.reload().records())


def good(row):
    return {
        name: text.replace("bad", "good") if name[0] != "_" else text for name, text in row.items()
    }


def test_columns_with_the_names_of_our_own_are_no_obstacle(rocketjob, tmp_path):
    job = rejected(rocketjob, "id,_row,_error,__row\nbad,1,old,x\n", format="csv")
    assert resubmitted(rocketjob, tmp_path, job, good) == [
        {"id": "good", "_row": "1", "_error": "old", "__row": "x"}
    ]


@pytest.mark.parametrize("text", ["a\rb", "a\r\nb", "a\nb", 'a"b', "a\0b", "caf\u00e9", " a "])
@pytest.mark.parametrize("format", ["csv", "hash", "json"])
def test_what_is_in_a_value_is_no_obstacle(rocketjob, tmp_path, format, text):
    record = {"id": "bad", "note": text}
    columns = {"columns": ["id", "note"]} if format == "csv" else {}
    job = rejected(rocketjob, [record], format=format, **columns)
    good_record = {"id": "good", "note": text}
    assert resubmitted(rocketjob, tmp_path, job, good) == [good_record]


def test_half_a_character_is_written_as_its_number(rocketjob, tmp_path):
    job = rejected(rocketjob, ['"bad \\udce9"'], format="json")
    job.download_rejects(tmp_path / "r.csv")
    line = (tmp_path / "r.csv").read_text().splitlines()[1]
    assert line.startswith('"""bad \\udce9""",1,ValueError: bad caf')


@pytest.mark.parametrize("cell", ['{"a": 1180591620717411303424}', '["\\udce9"]'])
def test_a_mended_record_that_cannot_be_stored_is_refused_with_its_line(rocketjob, tmp_path, cell):
    job = rejected(rocketjob, [{"a": "bad"}])
    change = {"record": cell}
    with pytest.raises(StreamError, match=r"r\.csv, line 2: row 1 cannot be stored: \["):
        resubmitted(rocketjob, tmp_path, job, lambda row: {**row, **change})
    assert job.reload().reject_count == 1


LAYOUT = {"layout": [{"key": "id", "size": 4}, {"size": 1}, {"key": "n", "size": 2}]}
ALLOWED = {"allowed_columns": ["id", "n"], "skip_unknown": True}


@pytest.mark.parametrize("mode", ["line", "hash", "array"])
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"format": "csv"}, "id,n\nbad,1\n"),
        ({"format": "csv", **ALLOWED}, "id,,x,n,\nbad,2,3,1,5\n"),
        ({"format": "csv", **ALLOWED}, ",id,n,,y\n0,bad,1,2,3\n"),
        ({"format": "psv"}, "id|n\nbad|1\n"),
        ({"format": "fixed", "format_options": LAYOUT}, "bad   1\n"),
        ({"format": "json"}, '{"id":"bad","n":"1"}\n'),
    ],
)
def test_records_of_every_format_and_mode_come_back(rocketjob, tmp_path, settings, text, mode):
    job = rejected(rocketjob, text, mode=mode, **settings)
    assert job.reject_count == 1
    row = {"id": "good", "n": "1"}
    right = list(row.values()) if mode == "array" else row
    assert resubmitted(rocketjob, tmp_path, job, good) == [right]


def test_a_row_with_too_many_values_can_be_put_in_order(rocketjob, tmp_path):
    job = rejected(rocketjob, "id,n\n1,2,3\n4\n", format="csv")
    right = lambda row: {**row, "id": row["id"][0], "n": "9"}  # noqa: E731 - short
    assert resubmitted(rocketjob, tmp_path, job, right) == [
        {"id": "1", "n": "9"},
        {"id": "4", "n": "9"},
    ]


def test_a_dict_that_breaks_the_rules_is_shown_whole_and_can_be_put_in_order(rocketjob, tmp_path):
    job = rejected(rocketjob, [{"id": 1, "x": b"y"}], format="csv", columns=["id", "n"])
    seen = []

    def right(row):
        seen.append(row["id"])
        return {**row, "id": "1", "n": "2"}

    assert resubmitted(rocketjob, tmp_path, job, right) == [{"id": "1", "n": "2"}]
    assert seen[0].startswith('{"id": 1, "x": ')


def test_values_that_are_no_text_come_back_as_they_were(rocketjob, tmp_path):
    job = rejected(rocketjob, [["bad", b"\xff"]], format="csv", columns=["id", "raw"])
    assert resubmitted(rocketjob, tmp_path, job, good) == [{"id": "good", "raw": b"\xff"}]


def test_column_rules_hold_for_what_is_resubmitted(rocketjob, tmp_path):
    job = rejected(rocketjob, ['{"id": "bad"}'], format="json", allowed_columns=["id"])
    wrong = lambda row: {**row, "record": '{"id": 1, "is_admin": true}'}  # noqa: E731 - short
    assert resubmitted(rocketjob, tmp_path, job, wrong) == []
    assert job.reject_count == 1


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_a_file_that_was_saved_in_another_encoding_can_be_resubmitted(
    rocketjob, tmp_path, encoding
):
    job = rejected(rocketjob, "id,name\nbad,Jos\u00e9\n", format="csv")

    def plain_error(row):
        return {**good(row), "_error": ""}

    rows = resubmitted(rocketjob, tmp_path, job, plain_error, encoding, encoding=encoding)
    assert rows == [{"id": "good", "name": "Jos\u00e9"}]


def test_a_file_that_was_saved_with_another_separator_can_be_resubmitted(rocketjob, tmp_path):
    job = rejected(rocketjob, "id,n\nbad,1\n", format="csv")
    with pytest.raises(StreamError, match="separated by ';' and not by ',': pass separator=';'"):
        resubmitted(rocketjob, tmp_path, job, good, separator=";")
    job.download_rejects(tmp_path / "x.csv")
    text = (tmp_path / "x.csv").read_text().replace(",", ";").replace("bad", "good")
    (tmp_path / "x.csv").write_text(text)
    assert job.resubmit(tmp_path / "x.csv", separator=";") == 1


def test_an_option_that_there_is_not_is_named(rocketjob, tmp_path):
    with pytest.raises(TypeError, match="no option encodng to read a file; did you mean encoding"):
        BackBatchJob().resubmit(tmp_path / "x.csv", encodng="cp1252")


# --- fixed widths -----------------------------------------------------------------------------


@pytest.mark.parametrize("cleaner", ["printable", lambda line: line.replace("\0", " ")])
def test_nul_bytes_that_pad_fixed_widths_do_not_move_the_columns(rocketjob, cleaner):
    layout = {"layout": [{"key": "name", "size": 6}, {"key": "code", "size": 3}]}
    job = BackBatchJob(input_categories=[InputCategory(format="fixed", format_options=layout)])
    job.upload(io.BytesIO(b"Ann\0\0\x00042\n"), encode_cleaner=cleaner)
    job.save()
    rocketjob.work_off()
    assert list(job.reload().records()) == [{"name": "Ann", "code": "042"}]


# --- JSON lines ----------------------------------------------------------------------------------


def in_lines(job, tmp_path, change, name="r.jsonl"):
    """Download the rejects as JSON lines, change each, and resubmit them."""
    path = tmp_path / name
    assert job.download_rejects(path) == job.reject_count
    rows = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return job.resubmit(path)


def mended(row):
    return row | {"record": row["record"].replace("bad", "good")}


@pytest.mark.parametrize(
    ("record", "kind", "shown"),
    [
        ("bad\x00\\\r\n\u2028", "text", "bad\\x00\\\\\\x0d\n\u2028"),
        (b"bad\xff", "bytes", "bad\\xff"),
        ({"a": "bad", "n": [1, 1.0, None]}, "json", '{"a": "bad", "n": [1, 1.0, null]}'),
    ],
    ids=["text", "bytes", "json"],
)
def test_P33_as_JSON_lines_a_record_comes_back_byte_for_byte(
    rocketjob, tmp_path, record, kind, shown
):
    job = rejected(rocketjob, [record])
    seen = []
    assert in_lines(job, tmp_path, lambda row: seen.append(row) or mended(row)) == 1
    assert (seen[0]["_row"], seen[0]["kind"], seen[0]["record"]) == (1, kind, shown)
    assert seen[0]["_error"].startswith("ValueError: bad")
    rocketjob.work_off()
    (found,) = job.reload().records()
    is_bytes = kind == "bytes"
    expected = b"good\xff" if is_bytes else json.loads(json.dumps(record).replace("bad", "good"))
    assert (type(found), found) == (type(record), expected)


def test_P33_only_what_was_edited_is_changed(rocketjob, tmp_path):
    job = rejected(rocketjob, 'id,note\nbad,"a ""b"\nx,bad\n', format="csv")
    assert in_lines(job, tmp_path, lambda row: mended(row) if row["_row"] == 1 else row) == 2
    rocketjob.work_off()
    assert list(job.reload().records()) == [{"id": "good", "note": 'a "b'}]
    (left,) = rejects.each(job)
    assert left[:2] == (2, "x,bad")


def test_P33_a_record_without_an_exact_form_as_text_stays_as_it_is(rocketjob, tmp_path):
    job = rejected(rocketjob, [{"$date": "bad"}])
    path = tmp_path / "r.jsonl"
    job.download_rejects(path)
    assert '"kind": "none"' in path.read_text()
    assert job.resubmit(path) == 1
    rocketjob.work_off()
    assert job.reload().reject_count == 1
    with pytest.raises(StreamError, match="line 1, column record: has no exact form"):
        in_lines(job, tmp_path, mended)


WRONG_LINES = {
    "no JSON": ("{", "line 1: is not JSON"),
    "list": ("[1]", "line 1: must be a JSON object"),
    "no row": ('{"kind": "text", "record": "x"}', "column _row: must be a whole number"),
    "row true": ('{"_row": true, "kind": "text", "record": "x"}', "must be a whole number"),
    "no kind": ('{"_row": 1, "record": "x"}', "column kind: must be a string"),
    "other kind": ('{"_row": 1, "kind": "json", "record": "1"}', "must stay 'text'"),
    "record": ('{"_row": 1, "kind": "text", "record": 1}', "column record: must be a string"),
    "byte": (r'{"_row": 1, "kind": "text", "record": "\\xe9"}', "is a byte"),
    "twice": ('{"_row": 1, "_row": 2, "kind": "text", "record": "x"}', "is there twice"),
    "strange": ('{"_row": 9, "kind": "text", "record": "x"}', "row 9 is not among the rejected"),
    "deep": ("[" * 100_000, "line 1: is not JSON"),
}


@pytest.mark.parametrize(("text", "says"), WRONG_LINES.values(), ids=WRONG_LINES)
def test_P33_lines_that_are_wrong_are_refused_with_the_place_and_change_nothing(
    rocketjob, tmp_path, text, says
):
    job = rejected(rocketjob, ["bad"])
    (tmp_path / "r.jsonl").write_text(text + "\n")
    with pytest.raises(StreamError, match=says):
        job.resubmit(tmp_path / "r.jsonl")
    assert job.reject_count == 1 and job.input.count() == 0


def test_the_format_can_be_said_where_the_name_does_not(rocketjob, tmp_path):
    job = rejected(rocketjob, ["bad"])
    file = io.BytesIO()
    job.download_rejects(file, format="jsonl", reasons=False)
    assert json.loads(file.getvalue()) == {"_row": 1, "kind": "text", "record": "bad"}
    assert job.resubmit(io.BytesIO(file.getvalue()), format="jsonl") == 1
    with pytest.raises(ValueError, match="written as csv or jsonl, not as 'xml'"):
        job.download_rejects(file, format="xml")
