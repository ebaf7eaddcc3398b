"""What cells hold, as texts; and texts in cells, as they were."""

import importlib.util
import io
import re
import zipfile
from datetime import timedelta
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rocketjob import Job, ValidationError
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.batch.streams import CSV, Dialect, StreamError, open_lines, write_file
from rocketjob_plugins.batch.streams.xlsx import Xlsx, text_of
from rocketjob_plugins.batch.tabular import Tabular
from rocketjob_plugins.files import ConversionJob

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openpyxl") is None, reason="openpyxl is not installed"
)


class SheetJob(Batch, Job):
    destroy_on_complete = False
    output_category = OutputCategory(nils=True)

    def perform(self, record):
        return record


def saved(*rows):
    """Return a workbook in memory."""
    from openpyxl import Workbook

    book, file = Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(file)
    return changed(file.getvalue(), lambda sheet: sheet)


def changed(data, change):
    """Return a workbook whose first sheet was changed."""
    new = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(new, "w") as made:
        for each in old.infolist():
            content = old.read(each)
            made.writestr(each, change(content) if "sheet1" in each.filename else content)
    return new.getvalue()


def write_workbook(path, lines, dialect=CSV):
    write_file(path, [lines], Xlsx, dialect=dialect)


def lines(data, **options):
    return list(open_lines(io.BytesIO(data), streams=["xlsx"], **options))


# --- reading ----------------------------------------------------------------------------------


def calculated(saved_as):
    """Return a workbook as spreadsheet programs save a formula."""
    data = saved(["id", "note"], [1, '=IF(A2>5,A2,"")'])
    cell = rb'<c r="B2"[^>]*><f>(.*?)</f><v ?/?>(</v>)?'
    return changed(data, lambda sheet: re.sub(cell, saved_as, sheet))


@pytest.mark.parametrize("value", [rb"<v></v>", rb"<v/>", rb""])
def test_a_formula_may_give_an_empty_text(rocketjob, value):
    job = SheetJob()
    job.input_categories = [InputCategory(format="xlsx")]
    job.upload(io.BytesIO(calculated(rb'<c r="B2" t="str"><f>\1</f>' + value)), file_name="a.xlsx")
    job.save()
    rocketjob.work_off()
    assert list(job.reload().records()) == [{"id": "1", "note": ""}]


def test_a_formula_that_was_never_calculated_is_named():
    with pytest.raises(StreamError, match=r"line 2, column B2: the formula '=IF.* has no value"):
        lines(calculated(rb'<c r="B2"><f>\1</f><v></v>'))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567890123450.0, "1234567890123450"),
        (1.23456789012345e17, "123456789012345000"),
        (1e23, "100000000000000000000000"),
        (-5e20, "-500000000000000000000"),
        (-0.0, "0"),
        (100.0, "100"),
        (0.1, "0.1"),
        (10**18, "1000000000000000000"),
        (timedelta(hours=-6, minutes=-14, seconds=-24), "-06:14:24"),
        (timedelta(days=3, seconds=1), "72:00:01"),
        (timedelta(seconds=59, milliseconds=999), "00:00:59.999"),
        (-timedelta(milliseconds=500), "-00:00:00.5"),
        (timedelta(), "00:00:00"),
    ],
)
def test_numbers_and_durations_are_as_they_are(value, text):
    assert text_of(value, SimpleNamespace(number_format="0")) == text


@given(st.integers(-(10**15), 10**15), st.integers(0, 20))
def test_whole_numbers_have_all_their_digits(number, zeros):
    assert int(text_of(float(number * 10**zeros))) == pytest.approx(number * 10**zeros, rel=1e-15)


@given(st.timedeltas(timedelta(-900), timedelta(900)))
def test_a_duration_can_be_read_back(value):
    sign, hours, minutes, seconds = re.fullmatch(
        r"(-?)(\d+):(\d\d):(\d\d(?:\.\d+)?)", text_of(value)
    ).groups()
    found = timedelta(hours=int(hours), minutes=int(minutes)) + timedelta(
        microseconds=round(float(seconds) * 1_000_000)
    )
    assert (-found if sign else found) == value


def test_signs_that_are_escaped_in_the_file_are_what_they_mean():
    data = saved(["a"], ["one_x000D_\ntwo"], ["_x005F_x000D_"], ["_xD83D_"], ["_x00e9_"])
    assert lines(data) == ["a", '"one\r\ntwo"', "_x000D_", "_xD83D_", "é"]


def test_a_nul_is_an_error_unless_it_is_removed():
    data = saved(["a"], ["b_x0000_c"])
    with pytest.raises(StreamError, match='column A2: a NUL: encode_cleaner="printable" removes'):
        lines(data)
    assert lines(data, encode_cleaner="printable") == ["a", "bc"]


def test_the_cleaner_is_applied():
    data = saved(["id"], ["a\x85b\tc\nd"])
    assert lines(data, encode_cleaner="printable") == ["id", '"ab\tc\nd"']
    assert lines(data, encode_cleaner=str.upper) == ["ID", '"A\x85B\tC\nD"']


# --- writing ----------------------------------------------------------------------------------

CELLS = st.text(
    st.one_of(
        st.sampled_from("=#+-@'\"_xX0D;,\t\r\n \0\x07\x85\ufeff\ufffe"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), max_size=4),
    separator=st.sampled_from(",;\t"),
    quote=st.sampled_from("\"'"),
)
@example([("_x000D_", "_x0041\r"), ("=1+1", "#N/A"), ("_x0041_x0042_", "\r\n")], ",", '"')
def test_texts_come_back_as_they_were(tmp_path, rows, separator, quote):
    options = {"separator": separator, "quote": quote}
    table = Tabular("csv", columns=["id", "one", "two"], format_options=options)
    rows = [(f"r{number}", *row) for number, row in enumerate(rows)]
    path = str(tmp_path / "a.xlsx")
    rendered = [table.render_header(), *map(table.render, rows)]
    write_workbook(path, rendered, table.dialect)
    if any("\0" in text for row in rows for text in row):
        with pytest.raises(StreamError, match="a NUL"):
            list(open_lines(path))
        return
    found = list(open_lines(path, quoted=Dialect(separator, quote)))[1:]
    assert [tuple(table.parse(line).values()) for line in found] == rows


def test_a_text_that_begins_like_a_formula_is_a_text(rocketjob, tmp_path):
    from openpyxl import load_workbook

    (tmp_path / "a.csv").write_text("id,note\n1,=1+1\n2,#N/A\n3,-1\n")
    ConversionJob.create(source=str(tmp_path / "a.csv"), target=str(tmp_path / "a.xlsx"))
    rocketjob.work_off()
    column = load_workbook(tmp_path / "a.xlsx").active["B"]
    assert [(cell.value, cell.data_type) for cell in column] == [
        ("note", "s"),
        ("=1+1", "s"),
        ("#N/A", "s"),
        ("-1", "s"),
    ]


def test_the_longest_text_is_written_and_one_that_is_longer_is_refused(rocketjob, tmp_path):
    path = tmp_path / "a.xlsx"
    for text in ("x" * 32_767, "😀" * 16_383):
        write_workbook(str(path), ["doc", text])
        assert list(open_lines(path)) == ["doc", text]
    before = path.read_bytes()
    for text in ("x" * 32_768, "😀" * 16_384, "x" * 200_000):
        with pytest.raises(StreamError, match="32,767"):
            write_workbook(str(path), ["doc", text])
    assert path.read_bytes() == before
    (tmp_path / "a.csv").write_text("id,doc\n1," + "x" * 40_000 + "\n")
    job = ConversionJob.create(source=str(tmp_path / "a.csv"), target=str(path))
    rocketjob.work_off()
    said = job.reload().exception.message
    assert "record 1, column doc: the text has 40,000 characters" in said
    assert path.read_bytes() == before


def test_a_workbook_can_be_packed_and_has_the_dialect_of_its_rows(rocketjob, tmp_path):
    (tmp_path / "a.csv").write_text("id;note\n1;a,b\n")
    job = ConversionJob(source=str(tmp_path / "a.csv"), target=str(tmp_path / "a.xlsx.gz"))
    for category in (*job.input_categories, *job.output_categories):
        category.format_options = {"separator": ";"}
    job.save()
    rocketjob.work_off()
    assert job.reload().is_completed
    assert list(open_lines(tmp_path / "a.xlsx.gz")) == ["id,note", '1,"a,b"']


def test_a_workbook_is_not_made_of_json(rocketjob, tmp_path):
    (tmp_path / "a.csv").write_text("id\n1\n")
    job = ConversionJob(source=str(tmp_path / "a.csv"), target=str(tmp_path / "a.xlsx"))
    job.output_categories[0].format = "json"
    with pytest.raises(ValidationError, match="an Excel workbook has no rows of json"):
        job.save()


LONG, WIDE = "x" * 40_000, ",".join("x" * 16_385)


@pytest.mark.parametrize("format", ["auto", "csv", "xlsx"])
@pytest.mark.parametrize("columns", [None, ["a", "b"]])
def test_a_value_that_no_cell_holds_is_a_reject_and_the_workbook_is_written(
    rocketjob, tmp_path, format, columns
):
    (tmp_path / "a.csv").write_text(f"a,b\n1,2\n3,{LONG}\n5,6\n")
    job = ConversionJob(
        source=str(tmp_path / "a.csv"),
        max_rejects=1,
        output_categories=[
            OutputCategory(format=format, columns=columns, file_name=str(tmp_path / "a.xlsx"))
        ],
    )
    job.save()
    rocketjob.work_off()
    assert job.reload().is_completed
    ((number, record, error),) = rejects.each(job)
    assert (number, record) == (2, f"3,{LONG}")
    assert "record 2, column b: the text has 40,000 characters" in error
    assert list(open_lines(tmp_path / "a.xlsx")) == ["a,b", "1,2", "5,6"]


def test_a_row_that_no_sheet_holds_is_named_when_it_is_performed(rocketjob, tmp_path):
    (tmp_path / "a.json").write_text(f'[1]\n["{LONG}"]\n')
    job = ConversionJob(source=str(tmp_path / "a.json"), target=str(tmp_path / "a.xlsx.gz"))
    job.save()
    rocketjob.work_off()
    (failed,) = job.reload().input.failed()
    assert failed.exception.message.startswith("record 2, column 1: the text has 40,000 characters")
    header = WIDE.replace("x", "{}").format(*range(16_385))
    (tmp_path / "b.csv").write_text(f"{header}\n{WIDE}\n")
    job = ConversionJob(source=str(tmp_path / "b.csv"), target=str(tmp_path / "b.xlsx"))
    job.save()
    rocketjob.work_off()
    (failed,) = job.reload().input.failed()
    assert "record 1: has 16,385 values, and Excel holds 16,384" in failed.exception.message
