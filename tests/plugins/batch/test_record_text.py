"""Records as text for people: every record comes back as the very same one."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocketjob_plugins.batch.record_text import kind_of, record_of, same, size_of, text_of, tokens

RECORDS = [
    "",
    "plain",
    "Ünï ✓ 😀 \u2028",
    "a\tb\nc",
    "\r\n",
    "\x00\x1b[31m\x7f",
    "C:\\new\\x41",
    "\\\\x00",
    b"",
    b"caf\xc3\xa9",
    b"\xff\x00\\x41\xed\xa0\x80",
    "00501",
    1,
    1.0,
    True,
    None,
    float("nan"),
    [1, "1", {"a": None}],
    {"b": 1, "a": "\x00"},
    {"$date": "x"},
    Decimal("1.10"),
    date(2026, 1, 31),
    datetime(1969, 12, 31, 23, 59, 59, 1000, tzinfo=UTC),
    timedelta(seconds=1.5),
    (1, 2),
    {"bytes": b"\xff"},
]


@pytest.mark.parametrize("record", RECORDS, ids=repr)
def test_R03_a_record_comes_back_as_it_was_or_is_not_offered(record):
    try:
        text = text_of(record)
    except ValueError as error:
        assert record == {"$date": "x"}, error
        return
    again = record_of(kind_of(record), text)
    assert isinstance(again, type(record)) and same(again, record)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | st.text(st.characters(), max_size=60))
def test_W80_any_bytes_and_any_text_go_through_a_form(record):
    posted = text_of(record).replace("\r\n", "\n").replace("\r", "\n")  # as browsers do
    assert record_of(kind_of(record), posted) == record
    assert "\0" not in posted


def test_W79_what_cannot_be_printed_is_an_escape_with_its_name():
    assert list(tokens("a\x00\tb\x1b", 99)) == [
        ("a", None),
        ("\\x00", "byte 0x00, NUL"),
        ("\tb", None),
        ("\\x1b", "byte 0x1B, ESC"),
    ]
    assert list(tokens(b"\xff\xc3\xa9", 99)) == [("\\xff", "byte 0xFF, not UTF-8"), ("é", None)]
    assert list(tokens("\\", 99)) == [("\\\\", "a backslash")]
    assert list(tokens("\n\r\t é\u202e", 99)) == [("\n\r\t é\u202e", None)]
    assert list(tokens({"a": 1}, 99)) == [('{"a": 1}', None)]


def test_R22_of_a_long_record_the_beginning_is_shown_and_no_half_character():
    assert list(tokens("x" * 50, 10)) == [("x" * 10, None)]
    assert list(tokens("é".encode() * 50, 3)) == [("é", None)]
    assert (size_of("é"), size_of("é".encode()), size_of([1])) == (1, 2, 3)


@pytest.mark.parametrize(
    ("kind", "text", "record"),
    [
        ("text", r"\q \x4 \xzz \u0041", r"\q \x4 \xzz \u0041"),
        ("text", r"\\x41 \x41", r"\x41 A"),
        ("bytes", r"\q\xFF\ud800", b"\\q\xff\\ud800"),
        ("json", "[1, 1.0]", [1, 1.0]),
    ],
)
def test_W80_escapes_that_mean_nothing_are_left_alone(kind, text, record):
    assert record_of(kind, text) == record


def test_a_byte_in_a_text_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"\\xe9 is a byte, and this record is text.*\\\\xe9 for"):
        record_of("text", r"\xe9")
    with pytest.raises(ValueError, match="there is no kind of record"):
        record_of("pickle", "")
