"""Files to lines and lines to files: every stream, every delimiter, all that can be wrong."""

import bz2
import csv
import gzip
import http.server
import importlib.util
import io
import lzma
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import traceback
import zipfile
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rocketjob import application
from rocketjob.base.errors import RocketJobError
from rocketjob_plugins.batch.streams import (
    Dialect,
    Limits,
    StreamError,
    open_binary,
    open_fixed_length,
    open_fixed_length_blocks,
    open_line_blocks,
    open_lines,
    open_writer,
    streams_of,
)
from rocketjob_plugins.batch.streams import lines as lines_module
from rocketjob_plugins.batch.streams import quotes as quotes_module
from rocketjob_plugins.batch.streams.inflate import Inflate
from rocketjob_plugins.batch.streams.known import kind_of, known_streams
from rocketjob_plugins.batch.streams.quotes import open_quote
from rocketjob_plugins.batch.streams.stream import Place

KEY = "test:" + "A" * 43 + "="
LIBRARIES = {"zst": "zstandard", "enc": "cryptography", "xlsx": "openpyxl"}
LINES = ["one", "", "drei €", "  four ", "last"]


def need(*streams):
    for stream in streams:
        if stream in LIBRARIES and importlib.util.find_spec(LIBRARIES[stream]) is None:
            pytest.skip(f"{LIBRARIES[stream]} is not installed")


@pytest.fixture(autouse=True)
def _keys():
    application.configure(encryption_keys=[KEY])


def read(source, **options):
    with open_lines(source, **options) as lines:
        return list(lines)


def read_bytes(data, **options):
    return read(io.BytesIO(data), **options)


def write(path, lines, **options):
    with open_writer(path, **options) as writer:
        writer.write_lines(lines)
    return path


def fails(pattern, *arguments, **options):
    with pytest.raises(StreamError, match=pattern) as raised:
        read(*arguments, **options)
    return raised.value


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "streams"),
    [
        ("a.csv", []),
        ("a.csv.gz", ["gz"]),
        ("a.csv.GZ", ["gz"]),
        ("a.csv.gzip.Enc", ["gz", "enc"]),
        ("a.csv.gz.bak", []),
        ("a.gz.csv", []),
        ("a.xlsx", ["xlsx"]),
        ("a.XLSM.zst", ["xlsx", "zst"]),
        ("a.gpg", ["pgp"]),
        ("gz", []),
        ("/some.gz/a.txt", []),
        ("https://example.com/a%20b.csv.xz?version=1.gz#x.zip", ["xz"]),
        ("s3://bucket/a.csv.bz2", ["bz2"]),
        (None, []),
    ],
)
def test_streams_are_peeled_from_the_right_of_a_name(name, streams):
    assert streams_of(name) == streams


def test_an_unknown_stream_has_a_suggestion():
    fails("There is no stream gzipp; did you mean gzip", "/missing", streams=["gzipp"])


# --- round trips ------------------------------------------------------------------------------

STREAMS = [[], ["gz"], ["bz2"], ["xz"], ["zip"], ["zst"], ["enc"], ["gz", "enc"], ["bz2", "zip"]]


@pytest.mark.parametrize("streams", STREAMS, ids=lambda s: ".".join(s) or "plain")
def test_what_is_written_comes_back_by_the_name(tmp_path, streams):
    need(*streams)
    path = tmp_path / ".".join(["data.csv", *streams])
    write(path, LINES)
    with open_lines(path) as lines:
        assert list(lines) == LINES
        assert lines.blocks.streams == streams
        assert lines.blocks.delimiter == "\n"
        assert lines.blocks.line == 5


@pytest.mark.parametrize("streams", STREAMS, ids=lambda s: ".".join(s) or "plain")
@settings(max_examples=15)
@given(lines=st.lists(st.text(st.characters(exclude_characters="\n\0", codec="utf-8"))))
def test_any_lines_come_back_through_any_streams(streams, lines):
    need(*streams)
    target = io.BytesIO()
    write(target, lines, streams=streams)
    if lines and lines[0].startswith("\ufeff"):
        return  # read as a byte order mark
    assert read_bytes(target.getvalue(), streams=streams, delimiter="\n") == lines


DELIMITERS = ["\n", "\r\n", "\r", "|", "<end>", "\x1e", "€"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1", "shift-jis"])
@pytest.mark.parametrize("delimiter", DELIMITERS)
@settings(max_examples=15)
@given(data=st.data())
def test_any_delimiter_in_any_encoding(encoding, delimiter, data, monkeypatch):
    codec = "utf-8" if encoding == "utf-16" else encoding
    try:
        delimiter.encode(codec)
    except UnicodeEncodeError:
        return
    allowed = st.characters(codec=codec, exclude_characters="\0\ufeff\xa5\u203e" + delimiter)
    lines = data.draw(st.lists(st.text(allowed, min_size=1)))
    raw = "".join(line + delimiter for line in lines).encode(encoding)
    monkeypatch.setattr(lines_module, "BLOCK", data.draw(st.integers(1, 40)))
    assert read_bytes(raw, delimiter=delimiter, encoding=encoding) == lines


@settings(max_examples=200)
@given(text=st.text("ab\r\n", max_size=30), size=st.integers(1, 8))
@example("a\r\nb\r\n", 2)
@example("a\r", 1)
def test_the_first_delimiter_that_is_found_holds_for_the_file(text, size):
    found = {"\r\n": text.find("\r\n"), "\n": text.find("\n"), "\r": text.find("\r")}
    places = [(place, -len(name), name) for name, place in found.items() if place >= 0]
    expected = text.split(min(places)[2]) if places else [text]
    expected = expected[:-1] if not expected[-1] else expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "BLOCK", size)
        assert read_bytes(text.encode()) == expected
        assert read(io.StringIO(text, newline="")) == expected


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\nb", ["a", "b"]),
        (b"a\n\n", ["a", ""]),
        (b"\r\n\r\na\r\n", ["", "", "a"]),
        ("\u2028a\x0bb\x0cc\x85\n".encode(), ["\u2028a\x0bb\x0cc\x85"]),
    ],
)
def test_only_the_delimiter_separates(data, lines):
    assert read_bytes(data) == lines


def test_blocks_are_lists_and_say_how_far_they_are(tmp_path):
    path = write(tmp_path / "a.txt", [str(number) for number in range(200_000)])
    seen = 0
    with open_line_blocks(path) as blocks:
        for block in blocks:
            assert blocks.line == seen
            seen += len(block)
            assert 1 <= len(block) < 150_000
    assert seen == blocks.line == 200_000


def test_a_file_object_is_left_open_and_a_path_is_closed(tmp_path):
    source = io.BytesIO(b"a\nb")
    assert read(source) == ["a", "b"]
    assert not source.closed
    with open_lines(write(tmp_path / "a.gz", ["a"])) as lines:
        assert next(lines) == "a"
    assert list(lines) == []


@pytest.mark.parametrize("make", [str, Path, lambda path: f"file://{path}"])
def test_a_source_is_a_path_or_a_file_url(tmp_path, make):
    assert read(make(write(tmp_path / "a b.txt.gz", ["x"]))) == ["x"]


def test_a_text_file_object_is_read_as_it_is(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("ä\nb", encoding="utf-16")
    with open(path, encoding="utf-16") as file:
        assert read(file) == ["ä", "b"]
    fails("open as text", io.StringIO("x"), file_name="a.gz")


def test_the_name_of_a_file_object_counts_only_if_it_is_given(tmp_path):
    path = write(tmp_path / "a.gz", ["x"])
    with gzip.open(path) as file:
        assert read(file) == ["x"]
    with open(path, "rb") as file:
        assert read(file, file_name="a.gz") == ["x"]
    with open(path, "rb") as file:
        fails('a.gz: is not text data: it looks like gzip data.*streams=."gz"', file)


def test_something_else_is_no_source():
    fails("Cannot read from a int: give a path", 5)
    fails("path is empty", "")


# --- text -------------------------------------------------------------------------------------


def test_a_byte_order_mark_is_no_text():
    assert read_bytes(b"\xef\xbb\xbfid\n1") == ["id", "1"]
    assert read_bytes("id\n1".encode("utf-16"), encoding="utf-16") == ["id", "1"]
    fails('looks like UTF-16 text: pass encoding="utf-16"', io.BytesIO("id".encode("utf-16")))


@pytest.mark.parametrize("size", [1, 3, 7, 1 << 18])
def test_an_invalid_byte_is_named_with_line_and_column(monkeypatch, size):
    monkeypatch.setattr(lines_module, "BLOCK", size)
    source = io.BytesIO("eins\nzw€i\nd\n".encode() + b"ab\xe4c\nf")
    source.name = "a.csv"
    error = fails(r"a.csv, line 4, column 3: the byte 0xe4 is not valid utf-8", source)
    assert (error.file, error.line, error.column) == ("a.csv", 4, 3)
    assert isinstance(error, RocketJobError)
    assert isinstance(error, ValueError)


def test_a_file_that_ends_within_a_character_is_invalid():
    fails(
        "line 2, column 2: the byte 0xe2 is not valid utf-8.*end of data",
        io.BytesIO(b"a\nb\xe2\x82"),
    )


@pytest.mark.parametrize(("by", "line"), [("", "ab"), ("?", "a?b"), ("\ufffd", "a\ufffdb")])
def test_invalid_bytes_are_replaced_on_request(by, line):
    assert read_bytes(b"a\xffb\n", encode_replace=by) == [line]


@pytest.mark.parametrize("size", [2, 1 << 18])
def test_a_nul_byte_is_no_text(monkeypatch, size):
    monkeypatch.setattr(lines_module, "BLOCK", size)
    fails("line 3, column 2: a NUL byte: is this text\\?", io.BytesIO(b"a\nb\nc\0d" + b"x" * 20))


def test_control_characters_are_removed_on_request():
    data = "a\x00b\x07c\td\x7fe\x85fé€\n".encode()
    assert read_bytes(data, encode_cleaner="printable") == ["abc\tdefé€"]
    assert read_bytes(b"a\x1e\x01b\x1e", encode_cleaner="printable", delimiter="\x1e") == ["a", "b"]
    assert read_bytes(b"a\nb", encode_cleaner=str.upper) == ["A", "B"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "utf-99"}, "There is no encoding 'utf-99'"),
        ({"encoding": "base64"}, "'base64' is not an encoding of text"),
        ({"delimiter": ""}, "must be a string that is not empty"),
        ({"encode_cleaner": "all"}, "must be printable or a callable"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_opened(options, message):
    fails(message, "/does/not/exist", **options)


def test_a_file_without_line_breaks_is_refused_and_a_small_one_is_a_line(monkeypatch):
    data = b"x" * (100 * 64 * 1024)
    assert len(read_bytes(data)[0]) == len(data)
    fails(r"no line break within the first 6,553,600 characters", io.BytesIO(data + b"x" * 300_000))
    monkeypatch.setattr(lines_module, "MAX_RECORD", 1000)
    big = b"a\n" + b"b" * 600_000
    fails("line 2.*longer than 1,000 characters", io.BytesIO(big))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(b"x", mtime=0), "gzip data"),
        (bz2.compress(b"x"), "bzip2 data"),
        (lzma.compress(b"x"), "xz data"),
        (b"%PDF-1.4 etc.", "a PDF"),
        (b"\x89PNG\r\n\x1a\n etc.", "a picture"),
        (b"PK\x03\x04etc. and so on", "a zip archive or Excel workbook"),
        (b"SQLite format 3\0", "a SQLite database"),
    ],
)
def test_other_content_in_a_text_upload_is_named(data, words):
    fails(f"is not text data: it looks like {words}", io.BytesIO(data))


def test_kinds_of_content():
    assert kind_of("zwölf €uro".encode()[:4]) == ("plain text", None)
    assert kind_of(b"") == ("an empty file", None)
    assert kind_of(b"\x81\x82\x83") == ("binary data", None)


# --- quotes -----------------------------------------------------------------------------------


def test_a_line_break_within_quotes_belongs_to_the_record():
    data = b'id,text\r\n1,"a\r\nb"\r\n2,"c ""d""\r\n\r\n"\r\n3,e'
    assert read_bytes(data, quoted=True) == ["id,text", '1,"a\r\nb"', '2,"c ""d""\r\n\r\n"', "3,e"]
    assert len(read_bytes(data)) == 7


def test_a_quote_within_a_value_is_an_ordinary_character():
    lines = ['1,5" pipe', '2,"x"', 'a"b,""', "3"]
    assert read_bytes("\n".join(lines).encode(), quoted=True) == lines


def test_the_first_line_break_within_quotes_is_not_the_delimiter():
    assert read_bytes(b'"a\nb",c\r\n1,2\r\n', quoted=True) == ['"a\nb",c', "1,2"]


@pytest.mark.parametrize("size", [3, 1 << 18])
def test_a_quote_that_is_never_closed_is_named(monkeypatch, size):
    monkeypatch.setattr(lines_module, "BLOCK", size)
    error = fails("never closed", io.BytesIO(b'a,b\n1,"x"\n2,"y\n3,z\n4,z\n'), quoted=True)
    assert (error.line, error.column) == (3, 3)


def test_a_quote_that_is_closed_too_late_is_named(monkeypatch):
    monkeypatch.setattr(lines_module, "MAX_RECORD", 1000)
    data = b'a,b\n1,"x\n' + b"2,y\n" * 1000 + b'3,"z"\n'
    assert fails("never closed", io.BytesIO(data), quoted=True).line == 2


VALUES = st.text(st.sampled_from("ab\",\n\r'| "), max_size=6)


@settings(max_examples=300)
@given(rows=st.lists(st.lists(VALUES, min_size=1, max_size=4)), size=st.integers(1, 50))
def test_lines_of_csv_are_cut_where_the_csv_module_cuts_them(rows, size):
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\r\n")
    lines = []
    for row in rows:
        start = target.tell()
        writer.writerow(row)
        lines.append(target.getvalue()[start:-2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "BLOCK", size)
        data = target.getvalue().encode()
        assert read_bytes(data, quoted=True, delimiter="\r\n") == lines
        if "\r\n" in target.getvalue():
            assert read_bytes(data, quoted=True) == lines


@settings(max_examples=300)
@given(line=st.text('a",|', max_size=12), separator=st.sampled_from([",", "|"]))
def test_the_quick_look_at_quotes_agrees_with_the_thorough_one(line, separator):
    if quotes_module._complete(Dialect(separator)).fullmatch(line):
        assert open_quote(line, False, Dialect(separator)) == -1


def test_the_separator_decides_where_a_quote_opens():
    assert open_quote('a;"b', False, Dialect(";")) == 2
    assert open_quote('a;"b', False, Dialect(",")) == -1
    assert read_bytes(b'a|"b\nc"', quoted="|") == ['a|"b\nc"']


# --- packed files that are wrong --------------------------------------------------------------

PACKED = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: importlib.import_module("zstandard").compress(data),
}


def noise(size=300_000):
    return random.Random(1).randbytes(size // 2).hex().encode() + b"\nend\n"


@pytest.mark.parametrize("stream", PACKED)
@pytest.mark.parametrize("keep", [0.99, 0.5, 0.0001])
def test_a_packed_file_that_was_cut_off_is_an_error(tmp_path, stream, keep):
    need(stream)
    path = tmp_path / f"a.txt.{stream}"
    data = PACKED[stream](noise())
    path.write_bytes(data[: int(len(data) * keep)])
    error = fails("ends in the middle: it was cut off", path)
    assert error.file == str(path)


@pytest.mark.parametrize("stream", PACKED)
def test_cut_off_anywhere(stream):
    need(stream)
    data = PACKED[stream](b"one\ntwo\n")
    for size in range(len(data)):
        with pytest.raises(StreamError):
            read_bytes(data[:size], streams=[stream])
    assert read_bytes(data, streams=[stream]) == ["one", "two"]


@pytest.mark.parametrize("stream", PACKED)
def test_packed_files_in_a_row_are_one(stream):
    need(stream)
    pack = PACKED[stream]
    assert read_bytes(pack(b"a\nb") + pack(b"c\nd\n"), streams=[stream]) == ["a", "bc", "d"]
    parts = b"".join(pack(b"%d\n" % number) for number in range(3000))
    assert len(read_bytes(parts, streams=[stream])) == 3000
    fails("something else follows", io.BytesIO(pack(b"a\n") + b"garbage"), streams=[stream])


def test_zeros_behind_gzip_data_are_padding():
    assert read_bytes(gzip.compress(b"a\n") + bytes(100_000), streams=["gz"]) == ["a"]


@pytest.mark.parametrize("stream", PACKED)
def test_a_packed_file_that_was_changed_is_an_error(stream):
    if stream == "zst":
        need(stream)
        zstandard = importlib.import_module("zstandard")
        data = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(noise()))
    else:
        data = bytearray(PACKED[stream](noise()))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(StreamError, match=r"damaged|NUL|not valid utf-8|something else"):
        read_bytes(bytes(data), streams=[stream])


@pytest.mark.parametrize("stream", ["gz", "bz2", "xz", "zst", "zip", "enc", "xlsx"])
def test_a_name_that_is_wrong_for_the_content_is_named(tmp_path, stream):
    need(stream)
    path = tmp_path / f"a.{stream}"
    path.write_text("just some text\n")
    fails(f"a.{stream}: .*(looks like plain text|not encrypted by RocketJob)", path)
    other = "gz" if stream != "gz" else "bz2"
    path.write_bytes(PACKED[other](b"text\n"))
    fails("looks like (gzip|bzip2)|not encrypted by RocketJob", path)


@pytest.mark.parametrize("stream", ["gz", "bz2", "xz"])
def test_a_decompression_bomb_is_stopped(tmp_path, stream):
    path = tmp_path / f"bomb.{stream}"
    opened = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}[stream]
    with opened(path, "wb") as file:
        for _ in range(80):
            file.write(b"\n" * 1_000_000)
    with pytest.raises(StreamError, match="more than 1000 times its size"):
        for _ in open_line_blocks(path):
            pass
    limits = Limits(max_ratio=1e9)
    assert sum(map(len, open_line_blocks(path, limits=limits))) == 80_000_000
    fails("unpacks to more than 1,000 bytes", path, limits=Limits(max_bytes=1000))


def test_a_bomb_of_zstandard_stays_small_in_memory():
    need("zst")
    data = PACKED["zst"](bytes(100_000_000))
    place = Place(name="a.zst", limits=Limits(max_ratio=1e9))
    source = Inflate(io.BytesIO(data), known_streams()["zst"], place)
    sizes = [len(each) for each in iter(lambda: source.read(1 << 18), b"")]
    assert sum(sizes) == 100_000_000
    assert max(sizes) <= 64 * 1024 * 1024


# --- zip --------------------------------------------------------------------------------------


def zipped(*members, method=zipfile.ZIP_DEFLATED):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return target.getvalue()


def test_the_one_file_of_a_zip_is_read_whatever_its_name(tmp_path):
    data = zipped(("../../etc/evil", "a\nb\n"))
    assert read_bytes(data, streams=["zip"]) == ["a", "b"]
    data = zipped(("dir/", ""), ("dir/a.txt", "x"), ("__MACOSX/dir/._a.txt", "junk"))
    assert read_bytes(data, streams=["zip"]) == ["x"]
    assert list(tmp_path.iterdir()) == []


class Pipe(io.RawIOBase):
    """A file object in which one cannot move about, and that gives little at a time."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self._file.read(min(len(buffer), 1000))
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize("streams", STREAMS, ids=lambda s: ".".join(s) or "plain")
def test_a_pipe_is_read_too(streams):
    need(*streams)
    target = io.BytesIO()
    write(target, LINES * 500, streams=streams)
    assert read(Pipe(target.getvalue()), streams=streams) == LINES * 500


def test_a_zip_with_other_than_one_file_names_them():
    two = zipped(("a.csv", "1"), ("b.csv", "2"))
    fails("contains 2: 'a.csv', 'b.csv'", io.BytesIO(two), streams=["zip"])
    fails("contains 0: none|empty zip", io.BytesIO(zipped(("d/", ""))), streams=["zip"])
    many = zipped(*((f"{number}.csv", "1") for number in range(40)))
    fails("contains 40: .* and 30 more", io.BytesIO(many), streams=["zip"])


def test_a_zip_that_was_cut_off_or_changed_is_an_error():
    data = zipped(("a.csv", noise()))
    fails("damaged or was cut off", io.BytesIO(data[:-30]), streams=["zip"])
    changed = bytearray(data)
    changed[len(data) // 2] ^= 0xFF
    with pytest.raises(StreamError, match="damaged"):
        read_bytes(bytes(changed), streams=["zip"], encode_replace="?")
    fails(
        "pack it as deflated",
        io.BytesIO(zipped(("a", "b"), method=zipfile.ZIP_BZIP2)),
        streams=["zip"],
    )


def test_a_zip_bomb_is_stopped_before_it_is_unpacked():
    data = zipped(("a.csv", b"\n" * 80_000_000))
    fails("more than 1000 times its size", io.BytesIO(data), streams=["zip"])


# --- encrypted files --------------------------------------------------------------------------


def test_an_encrypted_file_without_its_key_names_the_key(tmp_path):
    need("enc")
    path = write(tmp_path / "a.txt.gz.enc", ["x"])
    application.configure(encryption_keys=["other:" + "B" * 43 + "="])
    error = fails("encrypted with the key test, which is not among encryption_keys", path)
    assert error.file == str(path)
    assert "A" * 10 not in str(error)
    application.configure(encryption_keys=[])
    with pytest.raises(RocketJobError, match="There is no key to encrypt with"):
        write(tmp_path / "b.enc", ["x"])
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt.gz.enc"]


# --- pgp --------------------------------------------------------------------------------------


@pytest.fixture
def gpg(monkeypatch):
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    home = tempfile.mkdtemp(prefix="rj-gpg-")  # short: a socket is made in it
    monkeypatch.setenv("GNUPGHOME", home)
    command = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", "ann@example.com"]
    subprocess.run([*command, "default", "default"], check=True, capture_output=True)
    yield home
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=False, capture_output=True)
    shutil.rmtree(home, ignore_errors=True)


def test_pgp_files_go_through_the_program_gpg(gpg, tmp_path):
    path = tmp_path / "a.txt.gz.pgp"
    lines = [str(number) for number in range(50_000)]
    write(path, lines, pgp_recipients=["ann@example.com"])
    assert read(path) == lines
    path.write_bytes(path.read_bytes()[:-1000])
    fails("a.txt.gz.pgp.*(gpg cannot decrypt it|ends in the middle)", path)
    path.write_text("something else\n")
    fails("gpg cannot decrypt it: .*no valid OpenPGP data", path)
    with pytest.raises(StreamError, match="for whom"):
        write(tmp_path / "b.pgp", ["x"])
    with pytest.raises(StreamError, match=r"gpg cannot encrypt it: .*bob"):
        write(tmp_path / "b.pgp", ["x"], pgp_recipients=["bob@example.com"])
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt.gz.pgp"]


def test_without_the_program_gpg_it_is_asked_for(tmp_path, monkeypatch):
    path = tmp_path / "a.pgp"
    path.write_bytes(b"x")
    monkeypatch.setenv("PATH", str(tmp_path))
    fails("needs the program gpg", path)


# --- workbooks --------------------------------------------------------------------------------


@pytest.fixture
def workbook(tmp_path):
    need("xlsx")
    import openpyxl

    def make(*rows, name="a.xlsx", more=()):
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        for title, content in more:
            sheet = book.create_sheet(title)
            for row in content:
                sheet.append(row)
        book.save(tmp_path / name)
        return tmp_path / name

    return make


def test_a_workbook_is_read_as_csv(workbook):
    path = workbook(
        ["id", "when", "text", "share"],
        [1, date(2024, 2, 29), 'a "quoted", text', 0.5],
        [2, datetime(2024, 2, 29, 13, 30), "two\nlines", 3.0],
        [],
        [True, time(8, 15), timedelta(hours=30), None],
        [None, None],
    )
    assert read(path) == [
        "id,when,text,share",
        '1,2024-02-29,"a ""quoted"", text",0.5',
        '2,2024-02-29T13:30:00,"two\nlines",3',
        "",
        "true,08:15:00,30:00:00,",
    ]


def test_midnight_is_kept_where_the_cell_shows_a_time(workbook, tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append([datetime(2024, 1, 1), datetime(2024, 1, 1)])
    book.active["A1"].number_format = "yyyy-mm-dd hh:mm"
    book.active["B1"].number_format = "yyyy-mm-dd"
    book.save(tmp_path / "t.xlsx")
    assert read(tmp_path / "t.xlsx") == ["2024-01-01T00:00:00,2024-01-01"]


def test_the_sheet_is_chosen(workbook):
    path = workbook(["a"], more=[("Prices", [["b"]])])
    assert read(path) == ["a"]
    assert read(path, format_options={"sheet": "Prices"}) == ["b"]
    assert read(path, format_options={"sheet": 1}) == ["b"]
    fails("has no sheet 'X'; it has 'Sheet', 'Prices'", path, format_options={"sheet": "X"})


def test_a_formula_gives_the_value_that_was_last_calculated(workbook, tmp_path):
    path = workbook(["a", "b"], [1, "=A2+1"])
    error = fails("formula '=A2.1' has no value: open the workbook", path)
    assert (error.line, error.column) == (2, "B2")
    sheet = "xl/worksheets/sheet1.xml"
    calculated = tmp_path / "calculated.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(calculated, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == sheet:
                data = data.replace(b"<v></v>", b"<v>2</v>").replace(b"<v />", b"<v>2</v>")
            new.writestr(name, data)
    assert read(calculated) == ["a,b", "1,2"]


def test_a_workbook_that_is_damaged_or_missing_its_library(workbook, monkeypatch):
    path = workbook(["a"])
    data = path.read_bytes()
    path.write_bytes(data[:-200])
    fails("a.xlsx: is damaged or was cut off", path)
    path.write_bytes(zipped(("a.txt", "x")))
    fails("is not an Excel workbook", path)
    path.write_bytes(data)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    fails(r"pip install 'rocketjob\[excel\]'", path)
    with pytest.raises(StreamError, match=r"a\.xlsx: xlsx is no text and has rows: write_file"):
        open_writer("a.xlsx")


def test_a_packed_workbook_is_read_too(workbook, tmp_path):
    (tmp_path / "a.xlsx.gz").write_bytes(gzip.compress(workbook(["a", 1]).read_bytes()))
    assert read(tmp_path / "a.xlsx.gz") == ["a,1"]


# --- fixed length -----------------------------------------------------------------------------


@settings(max_examples=50)
@given(records=st.lists(st.binary(min_size=7, max_size=7)), size=st.integers(1, 30))
def test_records_of_a_fixed_length(records, size):
    found = open_fixed_length(Pipe(b"".join(records)), 7, encoding=None)
    assert list(found) == records


def test_fixed_length_as_text_and_its_errors(tmp_path):
    assert list(open_fixed_length(io.BytesIO("aébécé".encode()), 3)) == ["aé", "bé", "cé"]
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"abcdefgh"))
    with open_fixed_length_blocks(path, 4) as blocks:
        assert list(blocks) == [["abcd", "efgh"]]
    with pytest.raises(StreamError, match="record 3 has 2 bytes and not 3: the file was cut off"):
        list(open_fixed_length(path, 3))
    with pytest.raises(StreamError, match="record 2: the byte 0xe9 is not valid"):
        list(open_fixed_length(io.BytesIO(b"abc\xe9bc"), 3))
    for wrong in (0, -1, True, "3"):
        with pytest.raises(StreamError, match="whole number above 0"):
            open_fixed_length(path, wrong)


# --- remote files -----------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path.startswith("/missing"):
                return self.send_error(404)
            data = gzip.compress(b"a\nb\n")
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:-4] if "short" in self.path else data)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


def test_a_web_address_is_read_and_never_written(server):
    assert read(f"{server}/a.txt.gz?x=1") == ["a", "b"]
    fails("does not exist: the server answers 404", f"{server}/missing.gz")
    fails("with 4 bytes missing", f"{server}/short.gz")
    with pytest.raises(StreamError, match="can only be read"):
        open_writer(f"{server}/a.txt")


@pytest.mark.parametrize(
    "url",
    [
        "sftp://u:geheim/x@localhost:1/a.csv",
        "sftp://u:gehe?geheim@localhost:1/a.csv",
        "simplecache::sftp://u:geheim@localhost:1/a.csv",
        "http://u:geheim@localhost:1/a.csv",
        "http://localhost:1/a.csv?X-Amz-Signature=geheim",
        "nosuch://u:geheim@h/a.csv",
    ],
)
@pytest.mark.parametrize("open_", [open_lines, open_writer])
def test_no_library_tells_a_password(url, open_):
    pytest.importorskip("fsspec")
    with pytest.raises(StreamError) as raised, open_(url) as file:
        next(file)
    told = traceback.format_exception(raised.value)
    assert "geheim" not in "".join(line for line in told if "url = " not in line)


def test_no_password_is_in_a_message():
    error = fails("cannot be opened", "http://ann:secret@127.0.0.1:9/a.txt?signature=secret")
    assert "secret" not in str(error)
    assert error.file == "http://127.0.0.1:9/a.txt"


def test_other_urls_go_through_fsspec(tmp_path):
    pytest.importorskip("fsspec")
    write("memory://dir/a.txt.gz", ["a", "b"])
    assert read("memory://dir/a.txt.gz") == ["a", "b"]
    fails("does not exist", "memory://dir/missing")
    fails("cannot be opened", "nonsense://x/y")
    with pytest.raises(ZeroDivisionError), open_writer("memory://dir/a.txt.gz") as writer:
        writer.write_lines(["new"])
        raise ZeroDivisionError
    assert read("memory://dir/a.txt.gz") == ["a", "b"]


def test_without_fsspec_it_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    fails(r"pip install 'rocketjob\[remote\]'", "s3://bucket/a")


def test_a_missing_library_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(RocketJobError, match=r"pip install 'rocketjob\[crypto\]'"):
        write(tmp_path / "a.enc", ["x"])


# --- missing and unreadable files -------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path):
    assert fails("does not exist", tmp_path / "a.csv").file == str(tmp_path / "a.csv")
    fails("nor does the directory .*gone", tmp_path / "gone" / "a.csv")
    fails("relative to", "no-such-file.csv")
    fails("s a directory", tmp_path)


def test_an_error_survives_pickling():
    error = StreamError("bad", file="a", line=1, column=2)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.line, again.column) == (str(error), 1, 2)
    assert error.at(line=5, file="b").line == 1


# --- writing ----------------------------------------------------------------------------------


def test_text_and_bytes_are_written_as_they_are_and_lines_with_one_line_feed(tmp_path):
    path = tmp_path / "a.txt"
    with open_writer(path) as writer:
        writer.write("é")
        writer.write(b"\x00\xff")
        writer.write_lines(["x\n", "y"])
        writer.write_lines([])
        writer.write_lines([1, None, b"z"])
    assert path.read_bytes() == b"\xc3\xa9\x00\xffx\n\ny\n1\n\nz\n"
    with pytest.raises(StreamError, match="is closed"):
        writer.write("x")


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.zip", "a.txt.zst", "a.txt.enc"])
def test_an_error_leaves_what_was_there(tmp_path, name):
    need(name.rpartition(".")[2])
    path = write(tmp_path / name, ["good"])
    path.chmod(0o640)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), open_writer(path) as writer:
        writer.write_lines(["bad"] * 100_000)
        raise ZeroDivisionError
    assert path.read_bytes() == before
    write(path, ["better"])
    assert read(path) == ["better"]
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_full_disk_leaves_what_was_there(tmp_path):
    """The file size is limited instead; both fail in the same call."""
    path = write(tmp_path / "a.txt", ["good"])
    code = f"""
        import resource, signal
        from rocketjob_plugins.batch.streams import open_writer, StreamError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            with open_writer({str(path)!r}) as writer:
                for _ in range(100):
                    writer.write_lines(["x" * 99] * 1000)
        except StreamError as error:
            print(error)
    """
    said = run_python(code)
    assert "a.txt: cannot be written: File too large; what was there before is untouched" in said
    assert path.read_text() == "good\n"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_dev_full_is_written_through():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with pytest.raises(StreamError, match="No space left on device"):
        write("/dev/full", ["x"])


def test_a_link_stays_a_link(tmp_path):
    write(tmp_path / "real.txt", ["old"])
    (tmp_path / "link.txt").symlink_to("real.txt")
    write(tmp_path / "link.txt", ["new"])
    assert (tmp_path / "link.txt").is_symlink()
    assert read(tmp_path / "real.txt") == ["new"]


def test_what_cannot_be_written_is_named(tmp_path):
    for target, message in [
        (tmp_path / "gone" / "a", "there is no directory"),
        (tmp_path, "is a directory"),
        ("", "path is empty"),
        (5, "Cannot write to a int"),
    ]:
        with pytest.raises(StreamError, match=message):
            write(target, ["x"])
    with pytest.raises(StreamError, match="cannot be written as UTF-8"):
        write(tmp_path / "a", ["\ud800"])
    assert list(tmp_path.iterdir()) == []


def test_equal_content_makes_equal_files(tmp_path):
    for name in ("a.gz", "a.zip", "a.bz2", "a.xz"):
        first = write(tmp_path / name, LINES).read_bytes()
        assert write(tmp_path / name, LINES).read_bytes() == first
    with zipfile.ZipFile(write(tmp_path / "orders.csv.zip", ["x"])) as archive:
        assert archive.namelist() == ["orders.csv"]


def test_other_programs_read_what_is_written(tmp_path):
    packed = write(tmp_path / "a.gz", LINES).read_bytes()
    assert gzip.decompress(packed).decode().splitlines() == LINES
    with zipfile.ZipFile(write(tmp_path / "a.zip", LINES)) as archive:
        assert archive.testzip() is None


def test_file_objects_are_written_through(tmp_path):
    text, data = io.StringIO(), io.BytesIO()
    write(text, LINES)
    assert text.getvalue().split("\n")[:-1] == LINES
    write(data, LINES, file_name="a.bz2")
    assert bz2.decompress(data.getvalue()).decode().split("\n")[:-1] == LINES
    with pytest.raises(StreamError, match="A text file object cannot take gz"):
        write(io.StringIO(), LINES, file_name="a.gz")


def test_bytes_are_read_through_the_same_streams(tmp_path):
    path = write(tmp_path / "a.gz", LINES)
    with open_binary(path) as file:
        assert file.read(3) == b"one"
        assert file.read().decode().endswith("last\n")
    with open_binary(path) as file, open(tmp_path / "copy", "wb") as copy:
        shutil.copyfileobj(file, copy)
    assert read(tmp_path / "copy") == LINES
    with pytest.raises(StreamError, match="cannot be read as bytes"):
        open_binary(io.StringIO("x"))


# --- memory -----------------------------------------------------------------------------------


def run_python(code, **options):
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=100,
        **options,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_memory_stays_bounded_on_a_file_of_150_mb(tmp_path):
    """Read and written again, by a process that may have 40 MB more than it begins with."""
    plain, packed = tmp_path / "big.csv", tmp_path / "big.csv.gz"
    block = "".join(f"{number:09},some text of the line\n" for number in range(40_000))
    with open(plain, "w") as file:
        for _ in range(115):
            file.write(block)
    assert plain.stat().st_size > 140_000_000
    with gzip.open(packed, "wt", compresslevel=1) as file:
        for _ in range(115):
            file.write(block)
    said = run_python(f"""
        import os, resource
        from rocketjob_plugins.batch.streams import open_line_blocks, open_writer
        size = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + 40_000_000,) * 2)
        for name in {[str(plain), str(packed)]!r}:
            count = 0
            with open_line_blocks(name, quoted=True) as blocks:
                with open_writer({str(tmp_path / "copy.csv.bz2")!r}, streams=[]) as writer:
                    for block in blocks:
                        writer.write_lines(block)
                        count += len(block)
            print(count)
    """)
    assert said.split() == ["4600000", "4600000"]
    assert (tmp_path / "copy.csv.bz2").stat().st_size == plain.stat().st_size


def test_a_misspelt_option_is_named():
    with pytest.raises(TypeError, match="no option encodng to read a file; did you mean encoding"):
        open_lines(io.BytesIO(b""), encodng="utf-8")


def test_an_encoding_that_is_none_is_utf_8():
    assert read_bytes("é".encode(), encoding=None) == ["é"]
