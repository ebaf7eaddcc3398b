"""Lines to rows and rows to lines, in every format."""

import csv
import enum
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocketjob_plugins.batch.streams import StreamError, open_lines, open_writer
from rocketjob_plugins.batch.tabular import (
    REJECTED,
    Tabular,
    cleanse,
    format_of,
    known_formats,
    rows_in_mode,
)

LAYOUT = [
    {"key": "name", "size": 6},
    {"key": "age", "size": 3, "type": "integer"},
    {"size": 2},
    {"key": "amount", "size": 8, "type": "float", "decimals": 2},
    {"key": "note", "size": "remainder"},
]


def fixed(layout=None):
    return Tabular("fixed", format_options={"layout": LAYOUT if layout is None else layout})


def fails(pattern, call, *arguments, **options):
    with pytest.raises(StreamError, match=pattern) as raised:
        call(*arguments, **options)
    return raised.value


# --- formats by name --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.csv", "csv"),
        ("a.csv.gz.enc", "csv"),
        ("a.json", "json"),
        ("a.ndjson", "json"),
        ("A.JSON", "json"),
        ("ORDERS.CSV.GZ", "csv"),
        ("a.psv.bak", "psv"),
        ("a.json.csv", "csv"),
        ("a.xlsx", "csv"),
        ("a.fixed.zip", "fixed"),
        ("/data.csv/a.txt", None),
        ("https://example.com/a.csv.gz?x=.json", "csv"),
        ("a", None),
        (None, None),
    ],
)
def test_the_format_is_a_part_of_the_name(name, format):
    assert format_of(name) == format


def test_an_unknown_format_has_a_suggestion():
    fails("no format 'cvs' .did you mean csv.*there are array, csv, fixed", Tabular, "cvs")
    assert Tabular("xlsx").format == "csv"


def test_an_unknown_option_is_refused():
    fails("csv has no option 'seperator'", Tabular, "csv", format_options={"seperator": ";"})
    fails("options of the format csv are wrong", Tabular, "csv", format_options={"separator": "ab"})
    fails("header_cleanser must be", Tabular, "csv", header_cleanser="all")


# --- headers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("First Name", "first_name"),
        ("Zip-Code!", "zip_code"),
        ("  A \t B--c ", "a_b_c"),
        ("Straße (m²)", "straße_m²"),
        ("$%", ""),
        ("Cafe\u0301", "caf\u00e9"),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093f\u0928\u094d\u0926\u0940"),
    ],
)
def test_columns_get_their_usual_form(given, name):
    assert cleanse(given) == name


def test_the_header_names_the_columns():
    table = Tabular("csv")
    assert table.needs_header
    assert table.parse_header('ID,"First, Name"') == ["id", "first_name"]
    assert not table.needs_header
    assert table.parse("1,Ann") == {"id": "1", "first_name": "Ann"}
    plain = Tabular("psv", header_cleanser="none")
    assert plain.parse_header("ID|First Name") == ["ID", "First Name"]


def test_columns_that_are_given_need_no_header():
    table = Tabular("csv", columns=["A b", "c"])
    assert not table.needs_header
    assert table.parse("1,2") == {"A b": "1", "c": "2"}


@pytest.mark.parametrize(
    ("header", "message", "column"),
    [
        ("id,ID", "the column id is there twice, at 1 and 2", "id"),
        ("id,,x", "the header names no column 2", 2),
        ("id,$$", "names no column 2 .'..' has no letter or digit", 2),
        ("  ", "the header line is blank", None),
        ('id,"x', "a double quote is opened and never closed", None),
    ],
)
def test_a_header_that_is_wrong_is_named(header, message, column):
    error = fails(message, Tabular("csv").parse_header, header)
    assert (error.line, error.column) == (1, column)


def test_unknown_columns_are_refused_or_left_out():
    allowed = {"allowed_columns": ["id", "name"]}
    message = r"unknown columns: nmae \(did you mean name\?\); allowed are id, name"
    fails(message, Tabular("csv", **allowed).parse_header, "id,nmae")
    table = Tabular("csv", **allowed, skip_unknown=True)
    assert table.parse_header("x,id,y") == [f"{REJECTED}x", "id", f"{REJECTED}y"]


def test_rejected_columns_are_in_no_row():
    table = Tabular("csv", allowed_columns=["id", "name"], skip_unknown=True)
    table.parse_header("x,ID,y,name,")
    assert table.columns == ["__rejected__x", "id", "__rejected__y", "name", "__rejected__"]
    assert table.parse_many(["1,2,3,4,5"]) == [{"id": "2", "name": "4"}]
    lenient = Tabular("csv", columns=table.columns, format_options={"strict": False})
    assert lenient.parse_many(["1,2", "1,2,3,4,5,6"]) == [
        {"id": "2", "name": None},
        {"id": "2", "name": "4"},
    ]
    again = Tabular("csv", columns=table.columns)  # as a worker has them
    assert again.parse("1,2,3,4,5") == {"id": "2", "name": "4"}
    one = Tabular("csv", columns=["id", "__rejected__x"])
    assert one.parse("1,2") == {"id": "1"}


def test_a_header_without_any_known_column_is_refused():
    table = Tabular("csv", allowed_columns=["id"], skip_unknown=True)
    fails("no column is known; allowed are id", table.parse_header, "a,b")


def test_required_columns_have_to_be_there():
    table = Tabular("csv", required_columns=["id", "name", "zip"])
    error = fails("columns are missing: name, zip; there are id", table.parse_header, "ID")
    assert error.column == "name"


def test_without_columns_nothing_can_be_parsed_or_rendered():
    table = Tabular("csv")
    fails("columns of the csv input are not known", table.parse, "1,2")
    fails("columns of the csv output are not known", table.render, {"a": 1})
    fails("columns of the csv output are not known", table.render_header)
    assert table.render([1, 2]) == "1,2"


# --- lines to rows ----------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["csv", "psv"])
def test_uneven_rows_are_refused_unless_they_are_to_be_filled_or_cut(format):
    table = Tabular(format, columns=["a", "b"], format_options={"strict": False})
    lines = [line.replace(",", "|" if format == "psv" else ",") for line in ("1", "1,2", "1,2,3")]
    assert table.parse_many(lines) == [
        {"a": "1", "b": None},
        {"a": "1", "b": "2"},
        {"a": "1", "b": "2"},
    ]
    strict = Tabular(format, columns=["a", "b"])
    error = fails("has 1 value, and there are 2 columns", strict.parse_many, lines[1:2] + lines)
    assert (error.line, error.column) == (2, "b")
    error = fails("has 3 values, and there are 2 columns", strict.parse, lines[2])
    assert error.column == 3


@pytest.mark.parametrize("blank", ["", "  ", "\t"])
@pytest.mark.parametrize("format", ["csv", "psv", "json"])
def test_a_blank_line_is_no_row(format, blank):
    line = {"json": "[1]", "csv": "x,y", "psv": "x|y"}[format]
    row = [1] if format == "json" else {"a": "x", "b": "y"}
    table = Tabular(format, columns=["a", "b"])
    assert table.parse(blank) is None
    assert table.parse_many([blank, line, blank]) == [None, row, None]
    assert fixed().parse("") is None
    fails(
        "is blank: there is no row in it",
        Tabular(format, columns=["a", "b"], format_options={"blank_lines": "reject"}).parse,
        blank,
    )


@pytest.mark.parametrize(
    ("table", "line", "row"),
    [
        (Tabular("csv", columns=["a"]), " ", {"a": " "}),
        (Tabular("psv", columns=["a"]), "\t", {"a": "\t"}),
        (
            Tabular("csv", columns=["a", "b"], format_options={"separator": "\t"}),
            "\t ",
            {"a": "", "b": " "},
        ),
        (fixed(LAYOUT[:2]), " " * 9, {"name": "", "age": None}),
    ],
)
def test_a_row_of_blanks_is_a_row(table, line, row):
    assert table.parse(line) == row
    assert table.parse_many([line, "", line]) == [row, None, row]


@pytest.mark.parametrize(
    ("format", "options"),
    [("csv", {"strict": "no"}), ("csv", {"strict": None}), ("json", {"blank_lines": "keep"})],
)
def test_options_of_rows_have_to_be_right(format, options):
    fails(f"the option {next(iter(options))} must be", Tabular, format, format_options=options)


# --- column rules -----------------------------------------------------------------------------

ID_ONLY = {"allowed_columns": ["id", "name"], "required_columns": ["id"]}


def test_columns_that_are_given_are_checked_like_a_header_line():
    fails("unknown columns: x", Tabular, "csv", columns=["id", "x"], **ID_ONLY)
    fails("columns are missing: id; there are name", Tabular, "csv", columns=["name"], **ID_ONLY)
    fails("the column id is there twice", Tabular, "csv", columns=["id", "id"])
    fails("must be a list of names", Tabular, "csv", columns=["id", 5])
    fails(
        "unknown columns: age, amount, note",
        Tabular,
        "fixed",
        allowed_columns=["name"],
        format_options={"layout": LAYOUT},
    )
    table = Tabular("csv", columns=["id", "x"], skip_unknown=True, **ID_ONLY)
    assert table.parse("1,2") == {"id": "1"}


@pytest.mark.parametrize("format", ["json", "hash"])
def test_columns_of_rows_that_name_their_values_are_checked(format):
    table, lenient = Tabular(format, **ID_ONLY), Tabular(format, skip_unknown=True, **ID_ONLY)
    fails(
        "unknown columns: nmae .did you mean name..; allowed are id, name; skip_unknown=True",
        table.parse,
        {"id": 1, "nmae": 2},
    )
    error = fails(
        "columns are missing: id; there are name", table.parse_many, [{"id": 1}, {"name": "x"}]
    )
    assert (error.line, error.column) == (2, "id")
    assert lenient.parse({"id": 1, "x": 2}) == {"id": 1}


def test_with_column_rules_a_value_without_columns_is_refused():
    fails("is int and not a row with columns", Tabular("json", **ID_ONLY).parse, "5")
    assert Tabular("json").parse("5") == 5


def test_a_required_value_is_not_filled_with_none():
    table = Tabular("csv", columns=["name", "id"], format_options={"strict": False}, **ID_ONLY)
    fails("has no value for id, which is required", table.parse, "Ann")


def test_the_advice_for_columns_without_a_name_is_an_option_that_there_is():
    fails(
        "column 2: name it, or leave it out with skip_unknown=True",
        Tabular("csv").parse_header,
        "id,,",
    )
    table = Tabular("csv", skip_unknown=True)
    assert table.parse_header("id,,x,") == ["id", f"{REJECTED}2", "x", f"{REJECTED}4"]
    assert table.parse("1,2,3,4") == {"id": "1", "x": "3"}


def test_a_header_cannot_use_the_mark_of_columns_that_are_left_out():
    fails("has a reserved name", Tabular("csv").parse_header, f"id,{REJECTED}x")


# --- rows that are given as dicts and lists ---------------------------------------------------


@pytest.mark.parametrize("format", ["csv", "psv", "fixed"])
def test_dicts_and_lists_are_rows_in_every_format_of_text(format):
    layout = {"layout": [{"key": "a", "size": 1}, {"key": "b", "size": 1}]}
    options = layout if format == "fixed" else None
    table = Tabular(format, columns=["a", "b"], format_options=options)
    assert table.parse({"b": 2, "a": 1}) == {"a": 1, "b": 2}
    assert table.parse_many([[1, 2], {"a": 3, "b": 4}]) == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert fails("has 1 value, and there are 2 columns", table.parse_many, [[1, 2], [1]]).line == 2
    fails("has the column c, and there are a, b", table.parse, {"a": 1, "b": 2, "c": 3})
    fails("has no column b, and there are a, b", table.parse, {"a": 1})
    fails("must be text, a dict or a list, not int", table.parse, 5)
    fails("must be text, a dict or a list, not bytes", table.parse, b"1,2")


def test_what_json_gives_may_be_given_to_json():
    table = Tabular("json")
    assert table.parse_many([{"a": 1}, [1], 5, '"x"']) == [{"a": 1}, [1], 5, "x"]
    fails("is null: there is no row in it", table.parse, "null")
    fails("must be text, a dict or a list, not NoneType", table.parse, None)


@pytest.mark.parametrize(
    ("lines", "number", "message"),
    [
        (["1,2", '1,"2', "3,4", '5"'], 2, "never closed"),
        (["1,2", "", '1,"2"x'], 3, "behind a closing double quote"),
        (["1,2", "1\n2,3"], 2, "a line break stands outside of quotes"),
        (['1,"2'], 1, "never closed"),
        (['"a"b', '"'], 1, "behind a closing double quote"),
    ],
)
def test_a_malformed_line_of_csv_is_named(lines, number, message):
    table = Tabular("csv", columns=["a", "b"])
    assert fails(message, table.parse_many, lines).line == number
    fails(message, table.parse, lines[number - 1])
    assert table.parse("1,2") == {"a": "1", "b": "2"}  # nothing is left of it


def test_a_long_value_is_read():
    line = "x" * 1_000_000 + ",y"
    limit = csv.field_size_limit()
    try:
        table = Tabular("csv", columns=["a", "b"])
        assert table.parse_many([line, "1,2"])[0]["b"] == "y"
        csv.field_size_limit(limit)
        assert table.parse(line)["b"] == "y"
    finally:
        csv.field_size_limit(limit)


def test_csv_with_another_separator_and_quote():
    table = Tabular("csv", columns=["a", "b"], format_options={"separator": ";", "quote": "'"})
    assert table.parse("1;'2;3'") == {"a": "1", "b": "2;3"}
    assert table.render({"a": "x;y", "b": 'z"'}) == "'x;y';z\""


@pytest.mark.parametrize("line", ['{"a": 1', "{'a': 1}", '{"a": 1} x', "nonsense"])
def test_a_malformed_line_of_json_is_named(line):
    table = Tabular("json")
    error = fails("is not valid JSON", table.parse_many, ["1", "", line])
    assert error.line == 3
    assert error.column >= 1
    fails("is not valid JSON", table.parse, line)
    fails("nested too deeply", table.parse_many, ["[" * 1_000_000])


def test_json_lines_are_read_as_they_are():
    lines = ['{"a": [1, 2.5, null]}', ' "x" ', "true", "1"]
    rows = [{"a": [1, 2.5, None]}, "x", True, 1]
    assert not Tabular("json").needs_header
    assert Tabular("json").parse_many(lines) == rows
    assert [Tabular("json").parse(line) for line in lines] == rows


def test_arrays_and_hashes_are_rows_already():
    assert Tabular("array", columns=["a", "b"]).parse([1, 2]) == {"a": 1, "b": 2}
    assert Tabular("hash").parse({"a": 1}) == {"a": 1}
    fails("is not a list", Tabular("array", columns=["a"]).parse, "x")
    fails("is not a dict", Tabular("hash").parse, "x")


# --- rows to lines ----------------------------------------------------------------------------


def test_a_dict_is_put_in_the_order_of_the_columns():
    table = Tabular("csv", columns=["b", "a", "c"])
    assert table.render({"a": 1, "b": 'x "y"', "d": 5}) == '"x ""y""",1,'
    assert table.render([1, None, True]) == "1,,true"
    assert table.render_header() == "b,a,c"
    fails("must be a dict or a list, not str", table.render, "text")
    fails("must be a dict or a list, not int", table.render, 5)


class Colour(enum.Enum):
    RED = "red"


def test_values_are_written_as_text():
    row = [datetime(2024, 1, 2, 3, tzinfo=UTC), date(2024, 1, 2), False, 0.1, Colour.RED, {"a": 1}]
    line = '2024-01-02T03:00:00+00:00,2024-01-02,false,0.1,red,"{""a"":1}"'
    assert Tabular("csv").render(row) == line


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\r\nb", "a,b", 'a"b'])
def test_what_needs_quotes_in_csv_has_them(value):
    table = Tabular("csv", columns=["a", "b"])
    line = table.render([value, "x"])
    assert line.startswith('"')
    assert table.parse(line) == {"a": value, "b": "x"}


def test_psv_has_no_quotes():
    table = Tabular("psv", columns=["a", "b"])
    error = fails("| cannot be written as psv: write csv", table.render, {"a": "x", "b": "y|z"})
    assert error.column == "b"
    fails("a line break cannot be written as psv", table.render, {"a": "two\nlines", "b": ""})
    lenient = Tabular("psv", columns=["a", "b"], format_options={"replace": ":"})
    assert lenient.render({"a": "x|y", "b": "two\nlines"}) == "x:y|two:lines"
    fails("replace must be a string without", Tabular, "psv", format_options={"replace": "|"})
    assert table.render_header() == "a|b"


def test_json_is_one_object_a_line():
    table = Tabular("json")
    assert (
        table.render({"a": "é\n", "when": date(2024, 1, 2)}) == '{"a":"é\\n","when":"2024-01-02"}'
    )
    assert table.render_header() is None
    fails("cannot be written as JSON", table.render, {"a": float("nan")})


class Thing:
    pass


@pytest.mark.parametrize("value", [b"x", {1}, Thing(), 1j, [b"x"], {"a": {1}}])
@pytest.mark.parametrize("format", ["csv", "psv", "json"])
def test_what_a_format_cannot_hold_is_refused_and_not_shown(format, value):
    table = Tabular(format, columns=["n", "a"])
    error = fails("cannot be written as text: make it a str", table.render, {"n": 1, "a": value})
    assert format == "json" or error.column == "a"


@pytest.mark.parametrize("format", ["csv", "psv", "json"])
def test_half_a_character_is_refused(format):
    table = Tabular(format, columns=["a"])
    fails("cannot be written as UTF-8", table.render, {"a": "caf\udce9"})


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"a": float("nan")}, "cannot be written as JSON: Out of range float"),
        ({"a": float("inf")}, "cannot be written as JSON"),
        ({1: "a"}, "the key 1 must be a str"),
        ([{"a": {None: 1}}], "the key None must be a str"),
    ],
)
def test_what_json_would_change_is_refused(row, says):
    fails(says, Tabular("json").render, row)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"a": 1, "a": 2}', "the name 'a' is there twice"),
        ('{"a": NaN}', "NaN is not a number"),
        ("[-Infinity]", "-Infinity is not a number"),
        ("1e999", "1e999 cannot be kept as it is: put it in double quotes"),
        ("0.12345678901234567890123", "0.12345678901234567890123 cannot be kept as it is"),
        ("[9007199254740993.0]", "9007199254740993.0 cannot be kept as it is"),
        ('{"a": {"b": 1, "b": 2}}', "the name 'b' is there twice"),
        ("1" * 5000, "is not valid JSON"),
    ],
)
def test_json_whose_values_would_be_lost_is_refused(line, says):
    fails(says, Tabular("json").parse, line)
    assert fails(says, Tabular("json").parse_many, ["1", line]).line == 2


def test_json_keeps_the_numbers_of_programs_that_write_more_digits_than_a_float_needs():
    parse = Tabular("json").parse
    assert parse("0.10000000000000001") == 0.1
    assert parse("0.30000000000000004") == 0.1 + 0.2
    assert parse("1.5000000000000000000") == 1.5
    assert parse("0.1000000000000000055511151231257827") == 0.1
    assert parse("5e-324") == 5e-324


@given(value=st.floats(allow_nan=False, allow_infinity=False), digits=st.integers(16, 40))
def test_json_keeps_every_float_however_it_is_written(value, digits):
    parse = Tabular("json").parse
    assert parse(json.dumps(value)) == value
    assert parse(f"{value:.{digits}e}") == value


def test_lists_that_are_written_have_as_many_values_as_there_are_columns():
    table = Tabular("csv", columns=["a", "b"])
    fails("has 1 value, and there are 2 columns", table.render, [1])
    fails("has 3 values, and there are 2 columns", table.render, [1, 2, 3])
    fails("has none of the columns a, b", table.render, {"A": 1})
    fails("would be a blank line", Tabular("psv", columns=["a"]).render, [""])
    fails("would be a blank line", Tabular("csv").render, [])
    assert Tabular("csv", columns=["a"]).render([""]) == '""'


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@settings(max_examples=200)
@given(
    rows=st.lists(st.lists(TEXTS, min_size=2, max_size=2)), name=st.sampled_from(["csv", "json"])
)
def test_any_texts_come_back(rows, name):
    table = Tabular(name, columns=["a", "b"])
    dicts = [dict(zip("ab", row, strict=True)) for row in rows]
    lines = table.render_many(dicts)
    assert table.parse_many(lines) == dicts
    assert [table.parse(line) for line in lines] == dicts


@settings(max_examples=50)
@given(rows=st.lists(st.lists(TEXTS, min_size=2, max_size=2)))
def test_any_table_comes_back_through_a_file(rows):
    table = Tabular("csv", columns=["a", "b"])
    target = io.BytesIO()
    with open_writer(target, streams=["gz"]) as writer:
        writer.write_lines([table.render_header()])
        writer.write_lines(table.render_many(rows))
    data = io.BytesIO(target.getvalue())
    with open_lines(data, streams=["gz"], quoted=True) as lines:
        again = Tabular("csv")
        again.parse_header(next(lines))
        assert [list(row.values()) for row in again.parse_many(list(lines))] == rows


# --- fixed ------------------------------------------------------------------------------------


def test_a_fixed_line_is_made_by_the_layout():
    row = {"name": "Ann", "age": 7, "amount": 12.5, "note": "hello  "}
    line = fixed().render(row)
    assert line == "Ann   007  00012.50hello  "
    assert fixed().parse(line) == {"name": "Ann", "age": 7, "amount": 12.5, "note": "hello"}
    assert fixed().render(["Annabe", -1, 0, None]) == "Annabe-01  00000.00"
    assert not fixed().needs_header
    assert fixed().render_header() is None


def test_a_fixed_line_of_another_length_is_refused():
    fails("has 5 characters and must have at least 19", fixed().parse, "short")
    exact = fixed(LAYOUT[:2])
    fails("has 10 characters and must have 9", exact.parse, "0123456789")
    assert exact.parse("Ann      ") == {"name": "Ann", "age": None}


def test_a_text_that_does_not_fit_is_refused_or_cut_on_request():
    error = fails(
        'the text has 8 characters, and there are 6: "cut": True',
        fixed().render,
        {"name": "Annabell"},
    )
    assert error.column == "name"
    fails("a line break cannot be written in a fixed width", fixed().render, {"name": "a\nb"})
    cut = fixed([{"key": "name", "size": 6, "cut": True}])
    assert cut.render({"name": "Annabell"}) == "Annabe"
    assert fixed([{"key": "name", "size": 3}]).render({"name": "Ann  "}) == "Ann"


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("age", 4.0, "004"),
        ("age", "042", "042"),
        ("age", Decimal("7"), "007"),
        ("amount", "1.10", "00001.10"),
        ("amount", Decimal("12345.67"), "12345.67"),
        ("amount", 0.1 + 0.2, "00000.30"),
    ],
)
def test_numbers_of_any_type_are_written_in_fixed_widths(column, value, text):
    assert text in fixed().render({column: value})


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("age", 4.7, "4.7 is not a whole number"),
        ("age", "4.7", "'4.7' is not a whole number"),
        ("age", True, "True is not a whole number"),
        ("age", "1_0", "'1_0' is not a whole number"),
        ("amount", 1.234, "1.234 has more than 2 decimals: round it"),
        ("amount", b"1", "bytes cannot be written as text"),
    ],
)
def test_no_fraction_is_dropped_in_fixed_widths(column, value, says):
    fails(says, fixed().render, {column: value})


def test_a_number_with_too_many_digits_for_a_float_is_refused():
    table = fixed([{"key": "amount", "size": 20, "type": "float"}])
    fails(
        "has too many digits for a float: use the type string", table.parse, "12345678901234567.89"
    )
    assert table.parse("0000000000001234.50 ") == {"amount": 1234.5}


def test_numbers_that_do_not_fit_are_refused():
    error = fails("1000 is too long for 3 characters", fixed().render, {"age": 1000})
    assert error.column == "age"
    fails("'x' is not a whole number", fixed().render, {"age": "x"})
    fails("nan is not a number", fixed().render, {"amount": float("nan")})
    error = fails("column age: 'abc' is not a whole number", fixed().parse, "Ann   abc  00012.50")
    assert error.column == "age"
    error = fails("line 2, column age", fixed().parse_many, ["", "Ann   abc  00012.50"])
    assert error.line == 2


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (None, "needs its layout"),
        ([], "needs its layout"),
        ([{"key": "a"}], "entry 1: size must be"),
        ([{"key": "a", "size": 0}], "entry 1: size must be"),
        ([{"size": "remainder"}, {"size": 2}], "only the last size can be remainder"),
        ([{"key": "a", "size": 1, "type": "date"}], "type must be one of string, integer, float"),
        ([{"key": "a", "size": 1, "lenght": 1}], "entry 1: must have size"),
        ([{"key": "a", "size": 1}, {"key": "a", "size": 1}], "the key a is there twice"),
        ([{"key": "a", "size": 1, "decimals": -1}], "decimals"),
    ],
)
def test_a_wrong_layout_is_refused(layout, message):
    fails(message, Tabular, "fixed", format_options={"layout": layout})


# --- modes ------------------------------------------------------------------------------------

BLOCKS = [["ID,Name", "1,Ann"], ["", "2,Bob"]]


def test_modes_of_reading():
    assert list(rows_in_mode(BLOCKS, "line", None)) == BLOCKS
    arrays = [[["ID", "Name"], ["1", "Ann"]], [["2", "Bob"]]]
    assert list(rows_in_mode(BLOCKS, "array", Tabular("csv"))) == arrays
    table = Tabular("csv")
    rows = [[{"id": "1", "name": "Ann"}], [{"id": "2", "name": "Bob"}]]
    assert list(rows_in_mode(BLOCKS, "hash", table)) == rows
    assert table.columns == ["id", "name"]
    fails("mode must be one of", lambda: list(rows_in_mode(BLOCKS, "x", None)))
    fails("mode hash needs a format", lambda: list(rows_in_mode(BLOCKS, "hash", None)))


def test_an_error_in_a_mode_names_the_line_of_the_file():
    blocks = [["a,b", "1,2"], ["3,4", '5,"6']]
    error = fails("never closed", lambda: list(rows_in_mode(blocks, "hash", Tabular("csv"))))
    assert error.line == 4


# --- formats of one's own ---------------------------------------------------------------------


class Tabs:
    name, has_header = "tabs", True

    def __init__(self, options):
        self.options = options

    def parse(self, line):
        return line.split("\t")

    def parse_many(self, lines):
        return [self.parse(line) for line in lines]

    def render(self, row):
        return "\t".join(map(str, row))


def test_a_format_of_ones_own():
    table = Tabular("tabs", formats=[Tabs], format_options={"x": 1})
    table.parse_header("A\tB")
    assert table.parse("1\t2") == {"a": "1", "b": "2"}
    assert table.render({"b": 2, "a": 1}) == "1\t2"
    assert format_of("a.tabs.gz", [Tabs]) == "tabs"
    assert known_formats([Tabs])["tabs"] is Tabs
    assert sorted(known_formats()) == ["array", "csv", "fixed", "hash", "json", "psv"]


# --- many lines of JSON at once ---------------------------------------------------------------

FLAT = '{"a": 1.5, "b": "x"}'
LOSING = {
    '{"a": 1, "a": 2}': "the name 'a' is there twice",
    '{"a" : 1, "a" :2}': "the name 'a' is there twice",
    '{"a": {"b": 1, "b": 2}}': "the name 'b' is there twice",
    '{"a": [{"b": 1, "b": 2}]}': "the name 'b' is there twice",
    '[1, {"b": 1, "b": 2}]': "the name 'b' is there twice",
    '{"a": "b:c", "a": 2}': "the name 'a' is there twice",
    '{"a": 1.5, "\\u0061": 2}': "the name 'a' is there twice",
    '{"a": 9007199254740993.0}': "9007199254740993.0 cannot be kept",
    '{"a": 0.30000000000000001}': "0.30000000000000001 cannot be kept",
    '{"a": 12345678901234567.5, "\u00e9": "\ud83d"}': "12345678901234567.5 cannot be kept",
    '{"a": 1e999}': "1e999 cannot be kept",
    '{"a": -1E+309}': r"-1E\+309 cannot be kept",
    '{"a": 1.5e-0400}': "1.5e-0400 cannot be kept",
    '{"a": 1.25e-322}': "1.25e-322 cannot be kept",
    '{"a": 90071992547409931e5}': "90071992547409931e5 cannot be kept",
    '{"a": NaN}': "NaN is not a number in JSON",
    '{"a": -Infinity}': "-Infinity is not a number",
}


@pytest.mark.parametrize("line", LOSING)
@pytest.mark.parametrize("first", [FLAT, '{"a": "b:c"}', '{"a": {"b": 1}}', "1", "[1.5]"])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_what_many_lines_of_json_would_lose_is_refused_wherever_it_is(line, first, at):
    lines = [first, *[FLAT] * 3]
    lines[at] = line
    fails(rf"^line {at + 1}\b.*{LOSING[line]}", Tabular("json").parse_many, lines)


def test_numbers_that_are_kept_are_read_with_others():
    kept = [
        "0.1",
        "-0.0",
        "1e22",
        "1E-5",
        "1e300",
        "5e-324",
        "0.1234567890123456",
        "1.50000000000000000",
    ]
    kept += [str(10**30), "12345678901234567890", repr(1 / 3), f"{0.1:.20f}", "2.5e+007"]
    rows = Tabular("json").parse_many([FLAT, *[f'{{"a": {each}}}' for each in kept]])
    assert [row["a"] for row in rows[1:]] == [json.loads(each) for each in kept]


def outcome(call, lines):
    try:
        return repr(call(lines))
    except StreamError as error:
        return str(error)


def one_by_one(lines):
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(Tabular("json").parse(line))
        except StreamError as error:
            raise error.at(line=number) from None
    return rows


NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,3})?", fullmatch=True
)
NAMES = st.sampled_from(['"a"', '"b"', '"c:"', r'"\u0061"', '"a" ', '"\\":"'])
VALUES = st.recursive(
    NUMBERS | st.sampled_from(['"x"', '"a:b"', r'"\":"', '"{"', "null", "true", "NaN", '"\u20ac"']),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda each: f"[{', '.join(each)}]")
        | st.lists(st.tuples(NAMES, inner), max_size=3).map(
            lambda each: "{" + ",".join(f"{name}:{value}" for name, value in each) + "}"
        )
    ),
    max_leaves=4,
)


@settings(deadline=None, max_examples=400)
@given(st.lists(VALUES.filter("null".__ne__), min_size=1, max_size=4))
def test_many_lines_of_json_are_what_each_is_alone(lines):
    assert outcome(Tabular("json").parse_many, lines) == outcome(one_by_one, lines)
