"""Separator, quote, encoding and form of a file: used from the first line on, or refused."""

import codecs
import csv
import importlib.util
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rocketjob import Job
from rocketjob.base.errors import ConfigurationError
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.streams import (
    StreamError,
    open_fixed_length,
    open_lines,
    open_writer,
)
from rocketjob_plugins.batch.tabular import Tabular
from rocketjob_plugins.files import ConversionJob

needs_openpyxl = pytest.mark.skipif(
    importlib.util.find_spec("openpyxl") is None, reason="openpyxl is not installed"
)
SEMICOLONS = {"separator": ";"}
MODES = ["line", "hash"]


class EchoJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 100
    output_category = OutputCategory(nils=True)

    def perform(self, record):
        return record


def echo(**category):
    job = EchoJob()
    job.input_categories = [InputCategory(**category)]
    return job


@pytest.fixture
def rows(rocketjob):
    """Return a function that uploads, works off and gives back the records."""

    def run(source, options=None, format="csv", mode="line", **reading):
        job = echo(format=format, mode=mode, format_options=options, slice_size=2)
        job.upload(source, **reading)
        job.save()
        rocketjob.work_off()
        assert job.reload().is_completed
        assert job.reject_count == 0
        return list(job.records())

    return run


def file(text, encoding="utf-8"):
    return io.BytesIO(text if isinstance(text, bytes) else text.encode(encoding))


def workbook(path, *rows):
    from openpyxl import Workbook

    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


# --- separator and quote ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_line_breaks_are_within_the_quotes_of_the_dialect(rows, mode):
    found = rows(file('id;note\n1;"two\nlines"\n2;x\n'), SEMICOLONS, mode=mode)
    assert found == [{"id": "1", "note": "two\nlines"}, {"id": "2", "note": "x"}]
    found = rows(file("id,note\n1,'two\r\n\"lines'\n2,\"x\n"), {"quote": "'"}, mode=mode)
    assert found == [{"id": "1", "note": 'two\r\n"lines'}, {"id": "2", "note": '"x'}]


def test_a_quote_behind_another_separator_is_an_ordinary_character(rows):
    found = rows(file('id;note\n1;a,"b\n2;x\n3;y,"z\n'), SEMICOLONS)
    assert [row["note"] for row in found] == ['a,"b', "x", 'y,"z']


def test_an_open_quote_is_named_as_what_it_is():
    with pytest.raises(StreamError, match="line 2, column 3: a quote ' is opened here"):
        echo(format="csv", format_options={"quote": "'"}).upload(file("id,n\n1,'a\n"))


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    separator=st.sampled_from(",;|\t^:"),
    quote=st.sampled_from("\"'`"),
    break_=st.sampled_from(["\n", "\r\n"]),
    mode=st.sampled_from(MODES),
    bom=st.booleans(),
    values=st.lists(
        st.tuples(st.text("a,;|\t^:\"'`\n €", max_size=6), st.text("b;,\r\n\"' ")), max_size=5
    ),
)
def test_what_a_csv_writer_writes_comes_back(
    rocketjob, separator, quote, break_, mode, bom, values
):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quotechar=quote, lineterminator="\r\n")
    rows = [("id", *row) for row in values]
    writer.writerows([("id", "one", "two"), *rows])
    data = text.getvalue()
    if break_ == "\n":
        data = "".join(_line(row, separator, quote) for row in [("id", "one", "two"), *rows])
    options = {"separator": separator, "quote": quote}
    job = echo(format="csv", mode=mode, format_options=options)
    job.upload(file(codecs.BOM_UTF8 * bom + data.encode()), delimiter=break_)
    job.save()
    rocketjob.work_off()
    assert job.reload().reject_count == 0
    assert [tuple(row.values()) for row in job.records()] == rows


def _line(row, separator, quote):
    values = [quote + each.replace(quote, quote * 2) + quote for each in row]
    return separator.join(values) + "\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"separator": '"'}, "separator and quote are both"),
        ({"separator": "ab"}, "separator must be one character"),
        ({"quote": "\n"}, "quote must be one character"),
        ({"quote": None}, "quote must be one character"),
    ],
)
def test_a_dialect_that_cannot_be_is_refused(rocketjob, options, said):
    job = echo(format="csv", format_options=options)
    with pytest.raises(StreamError, match=f"options of the format csv are wrong: {said}"):
        job.upload(file("id\n1\n"))


@needs_openpyxl
@pytest.mark.parametrize("options", [SEMICOLONS, {"quote": "'"}, {"separator": "\t"}, None])
@pytest.mark.parametrize("mode", MODES)
def test_the_options_of_text_do_not_cut_a_workbook(rows, tmp_path, options, mode):
    path = workbook(tmp_path / "A.XLSX", ["id", "name"], [1, "c,d;e\t'f\" g\nh"])
    found = rows(str(path), options, format="auto", mode=mode, encoding="cp1252")
    assert found == [{"id": "1", "name": "c,d;e\t'f\" g\nh"}]


@needs_openpyxl
@pytest.mark.parametrize("format", ["psv", "json"])
def test_a_workbook_has_no_lines_of_another_format(rocketjob, tmp_path, format):
    path = workbook(tmp_path / "a.xlsx", ["id"], [1])
    with pytest.raises(StreamError, match=f"cannot be read as {format}: use the format xlsx"):
        echo(format=format).upload(str(path))


# --- another separator ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Nr;Name;Betrag\n1;Meier;1,50\n", '{"separator": ";"}'),
        ("Nr;Betrag, netto;Betrag, brutto;Ort\n1;1;2;3\n", '{"separator": ";"}'),
        ("Nr\tName\n1\tMeier\n", r'{"separator": "\\t"}'),
        ("Nr|Name\n1|Meier\n", '{"separator": "|"}'),
        ("sep=;\nNr;Name\n1;Meier\n", '{"separator": ";"}'),
        ('"sep=\t"\nNr\tName\n1\tMeier\n', r'{"separator": "\\t"}'),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_another_separator_is_named(rocketjob, text, named, mode):
    job = echo(format="csv", mode=mode)
    with pytest.raises(StreamError, match=r"line 1.*separator") as raised:
        job.upload(file(text))
    assert named.replace("\\\\", "\\") in str(raised.value)
    assert job.input.count() == 0


def test_the_option_that_is_named_helps(rows):
    for head in ("", "sep=;\n"):
        found = rows(file(f"{head}Nr;Betrag\n1;1,50\n"), SEMICOLONS)
        assert found == [{"nr": "1", "betrag": "1,50"}]


def test_a_line_that_names_the_separator_is_no_record(rocketjob):
    job = echo(format="csv", columns=["id", "n"], mode="hash")
    job.upload(file("sep=,\r\n1,a\r\n"))
    assert [list(each) for each in job.input] == [[{"id": "1", "n": "a"}]]


def test_names_in_quotes_may_hold_any_separator(rows):
    assert rows(file('"a;b"\n1\n')) == [{"ab": "1"}]
    assert rows(file("a,b;c;d\n1,2\n"), {"separator": ","}) == [{"a": "1", "bcd": "2"}]
    assert rows(file("id\n1\n")) == [{"id": "1"}]


def test_psv_names_another_separator_too(rocketjob):
    with pytest.raises(StreamError, match=r'separated by "," and not by "\|"'):
        echo(format="psv").upload(file("id,name\n1,a\n"))


# --- byte order marks and encodings -----------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_is_no_part_of_the_text(rows, encoding):
    text = '\ufeff"id, no",n\r\n1,a\r\n'
    assert rows(file(text, encoding), encoding=encoding) == [{"id_no": "1", "n": "a"}]
    family = encoding[:6] if encoding != "utf-8" else encoding
    assert rows(file(text, encoding), encoding=family) == [{"id_no": "1", "n": "a"}]


def test_nor_of_a_text_stream_or_of_lines_in_memory(rows, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(codecs.BOM_UTF8 + b'"id, no",n\r\n1,a\r\n')
    with open(path, encoding="utf-8") as stream:
        assert rows(stream) == [{"id_no": "1", "n": "a"}]
    with open(path, encoding="utf-16") as stream, pytest.raises(StreamError, match="no byte order"):
        rows(stream)
    for lines in (['\ufeff{"a": 1}', "2"], iter(['\ufeff{"a": 1}', "2"])):
        assert rows(lines, format="json") == [{"a": 1}, 2]


def test_nor_of_the_first_record_of_a_fixed_length():
    data = io.BytesIO(codecs.BOM_UTF8 + b"abcd")
    assert list(open_fixed_length(data, 2)) == ["ab", "cd"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("given", ["utf-8", "cp1252", "latin-1"])
@pytest.mark.parametrize("text", ["id,n\n1,a\n", "имя,n\n1,абв\n2,x\n"])
def test_text_of_two_or_four_bytes_is_named(encoding, given, text):
    for mark, right in (("", encoding), ("\ufeff", encoding[:6])):
        named = rf'looks like {encoding[:6].upper()} text.*: pass encoding="{right}"$'
        with pytest.raises(StreamError, match=named):
            list(open_lines(file(mark + text, encoding), encoding=given))
        assert list(open_lines(file(mark + text, encoding), encoding=right)) == text.splitlines()


@pytest.mark.parametrize(
    ("data", "given", "right"),
    [
        (codecs.BOM_UTF8 + b"id\n", "cp1252", "utf-8"),
        (codecs.BOM_UTF8 + b"id\n", "ascii", "utf-8"),
        (codecs.BOM_UTF16_BE + "id\n".encode("utf-16-be"), "utf-16-le", "utf-16"),
        ("id,n\n".encode("utf-16-be"), "utf-16-le", "utf-16-be"),
        ("id,n\n".encode("utf-16-be"), "utf-16", "utf-16-be"),
        (b"id,n\n1", "utf-16", "utf-8"),
        ("标题\n".encode("utf-16-be"), "utf-16", "utf-16-le"),
    ],
)
def test_an_encoding_that_cannot_be_right_is_refused(data, given, right):
    with pytest.raises(StreamError, match=f'pass encoding="{right}"'):
        list(open_lines(io.BytesIO(data), encoding=given))


def test_a_text_stream_that_was_opened_wrongly_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("id,n\n1,a\n", encoding="utf-16-le")
    with (
        open(path, encoding="latin-1") as stream,
        pytest.raises(
            StreamError, match=r'UTF-16 text.*pass encoding="utf-16-le" then: open it in binary'
        ),
    ):
        list(open_lines(stream))
    path.write_bytes(b"caf\xe9\n")
    with (
        open(path, encoding="utf-8") as stream,
        pytest.raises(StreamError, match="open it with the right encoding, or in binary"),
    ):
        list(open_lines(stream))
    with (
        open(path, encoding="latin-1") as stream,
        pytest.raises(StreamError, match='in latin-1, so that encoding="cp1252" does nothing'),
    ):
        list(open_lines(stream, encoding="cp1252"))


def test_the_encoding_that_is_advised_reads_the_text():
    data = "José 5 €\n".encode("cp1252")
    with pytest.raises(StreamError, match='encoding="cp1252" for text of Windows, or encode_repl'):
        list(open_lines(io.BytesIO(data)))
    assert list(open_lines(io.BytesIO(data), encoding="cp1252")) == ["José 5 €"]


@pytest.mark.parametrize(
    ("data", "encoding"),
    [(b"a\x81", "utf-8"), (b"a\x81", "cp1252"), ("é".encode() + b"\xe9", "utf-8")],
)
def test_an_encoding_that_would_do_harm_is_not_advised(data, encoding):
    with pytest.raises(StreamError, match='encode_replace="\\?"') as raised:
        list(open_lines(io.BytesIO(data), encoding=encoding))
    assert "cp1252 for" not in str(raised.value)
    assert 'encoding="' not in str(raised.value)


def test_the_encoding_of_a_category_is_that_of_its_files(rocketjob, tmp_path):
    data = "name\nJosé 5 €\n".encode("cp1252")
    job = echo(format="csv", encoding="cp1252")
    job.upload(file(data))
    job.upload(file("name\nJosé\n"), encoding="utf-8")
    job.save()
    rocketjob.work_off()
    assert [row["name"] for row in job.reload().records()] == ["José 5 €", "José"]
    (tmp_path / "a.csv").write_bytes(data)
    job = ConversionJob(source=str(tmp_path / "a.csv"), target=str(tmp_path / "b.csv"))
    job.input_categories[0].encoding = "cp1252"
    job.save()
    rocketjob.work_off()
    assert (tmp_path / "b.csv").read_text("utf-8") == "name\nJosé 5 €\n"
    with pytest.raises(ConfigurationError, match="category main: There is no encoding 'cp125'"):
        InputCategory(encoding="cp125")


MARKED = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
LETTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff|")


@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(
    format=st.sampled_from(["csv", "psv", "json"]),
    mode=st.sampled_from(MODES),
    encoding=st.sampled_from(MARKED),
    packed=st.sampled_from([[], ["gz"], ["bz2", "xz"]]),
    as_text=st.booleans(),
    break_=st.sampled_from(["\n", "\r\n", "\r"]),
    values=st.lists(
        st.tuples(st.text(LETTERS, max_size=8), st.text(LETTERS, max_size=3)), max_size=6
    ),
)
def test_rows_come_back_in_every_format_encoding_and_stream(
    rocketjob, format, mode, encoding, packed, as_text, break_, values
):
    columns = ["id", "one", "two"]
    rows = [dict(zip(columns, (f"r{n}", *row), strict=True)) for n, row in enumerate(values)]
    table = Tabular(format, columns=columns)
    lines = [*filter(None, [table.render_header()]), *table.render_many(rows)]
    text = "".join(line + break_ for line in lines)
    if as_text:
        source, reading = io.StringIO(text, newline=""), {}
    else:
        data = io.BytesIO()
        with open_writer(data, streams=packed) as writer:
            writer.write(text.encode(encoding))
        source, reading = io.BytesIO(data.getvalue()), {"encoding": encoding, "streams": packed}
    job = echo(format=format, mode=mode, slice_size=2)
    job.upload(source, **reading)
    job.save()
    rocketjob.work_off()
    assert job.reload().reject_count == 0
    assert list(job.records()) == rows


# --- names, and JSON --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["A.JSON", "a.JsonL", "A.NDJSON", "A.Json.BAK"])
def test_the_case_of_a_name_does_not_matter(rows, tmp_path, name):
    path = tmp_path / name
    path.write_text('{"a": 1}\n')
    assert rows(str(path), format="auto") == [{"a": 1}]


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": 1},\n {"id": 2}]\n',
        '[\n{"id": 1}\n]\n',
        '[{"id": 1}, {"id": 2}]',
        "[[1, 2], [3, 4]]\n\n",
        '{\n  "id": 1\n}\n',
        '\n{"a": {\n"b": 1}}\n',
        "[\n  1,\n  2\n]",
        json.dumps([{"id": n, "tags": ["x"]} for n in range(3)], indent=2),
        json.dumps({"id": 1, "tags": {"x": 1}}, indent="\t"),
    ],
)
@pytest.mark.parametrize("mode", ["line", "hash", "array"])
def test_json_that_is_not_in_lines_is_refused(rocketjob, text, mode):
    job = echo(format="json", mode=mode)
    with pytest.raises(StreamError, match=r"not one value on each line: .*jq -c"):
        job.upload(file(text))
    assert job.input.count() == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, 2]\n[3, 4]\n", [[1, 2], [3, 4]]),
        ("[1, 2]\n", [[1, 2]]),
        ('[{"a": 1}]\n[{"a": 2}]\n', [[{"a": 1}], [{"a": 2}]]),
        ('{"a": {"b": [1]}}\n', [{"a": {"b": [1]}}]),
        ("1\n[]\n", [1, []]),
    ],
)
def test_json_in_lines_is_read(rows, text, expected):
    assert rows(file(text), format="json") == expected


def test_a_first_line_that_is_cut_off_is_one_bad_record(rocketjob):
    job = echo(format="json")
    job.upload(file('{"a": 1\n{"a": 2}\n'))
    job.save()
    rocketjob.work_off()
    assert (list(job.reload().records()), job.reject_count) == ([{"a": 2}], 1)


def test_an_array_without_line_breaks_is_named_however_long(monkeypatch):
    monkeypatch.setattr("rocketjob_plugins.batch.streams.lines.DETECT_CHARACTERS", 100)
    with pytest.raises(StreamError, match="is it a JSON array"):
        list(open_lines(io.BytesIO(b"[" + b'{"id": 1},' * 40_000)))


# --- separators that are seldom used ----------------------------------------------------------


@pytest.mark.parametrize("mark", "^~")
@pytest.mark.parametrize("format", ["csv", "psv"])
@pytest.mark.parametrize("mode", MODES)
def test_one_column_that_a_rare_separator_cuts_in_every_line_is_refused(mark, format, mode):
    text = f"id{mark}name\n1{mark}Smith, Ann\n\n2{mark}Bo\n"
    job = echo(format=format, mode=mode)
    with pytest.raises(StreamError) as error:
        job.upload(file(text))
    assert f'the header is separated by "{mark}" and not by' in str(error.value)
    assert f'use the format csv with format_options={{"separator": "{mark}"}}' in str(error.value)
    assert job.input.count() == 0


@pytest.mark.parametrize(
    "text",
    [
        "id^name\n",
        "id^name\n1^Ann\n2\n",
        "x^2\n1\n",
        "path\n~/a\n~/b\n",
        "~path\n~/a\n~/b\n",
        "time:utc\n10:15\n11:20\n",
        "url\nhttp://a/~b\nhttp://c/~d\n",
        "http://head\nhttp://a\nhttp://c\n",
        '"a^b"\n"c^d"\n',
    ],
)
def test_one_column_that_may_well_be_one_is_read(rows, text):
    assert len(rows(file(text))) == text.count("\n") - 1


def test_a_rare_separator_that_is_given_is_used(rows):
    assert rows(file("id^name\n1^a~b\n"), {"separator": "^"}) == [{"id": "1", "name": "a~b"}]
