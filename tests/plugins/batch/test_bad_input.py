"""Bad files and records: what is said, what is left, and that the right ones work afterwards."""

import gzip
import io
import lzma
import os
import re
import socket
import tarfile
import zipfile
from pathlib import Path

import pytest

from rocketjob import Job
from rocketjob.base.errors import ConfigurationError, DocumentTooLarge, StateConflict
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.streams import Limits, StreamError, open_lines, open_writer
from rocketjob_plugins.batch.streams import target as target_module
from rocketjob_plugins.batch.tabular import Tabular

GOOD = "id,amount\n1,10\n2,20\n"


class BadPlainJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2)
    output_category = OutputCategory()

    def perform(self, record):
        return record


class BadTableJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(format="csv", slice_size=2)
    output_category = OutputCategory(format="csv")

    def perform(self, row):
        return row


class BadStrictJob(BadTableJob):
    input_category = InputCategory(format="csv", format_options={"strict": True}, slice_size=2)


class BadHashJob(BadTableJob):
    input_category = InputCategory(format="json", mode="hash", slice_size=2)


class BadRequiredJob(BadTableJob):
    input_category = InputCategory(format="csv", required_columns=["id", "amount"])


class BadUnstorableJob(BadPlainJob):
    def perform(self, record):
        return {"number": 2**70}


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name, content):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return name

    return write


def refused(job, source, error=StreamError, **options):
    with pytest.raises(error) as caught:
        job.upload(source, **options)
    assert job.input.count() == 0
    assert job.record_count is None
    return str(caught.value)


def worked_off(rocketjob, job):
    job.save()
    rocketjob.work_off()
    return job.reload()


# --- repeated uploads ----------------------------------------------------------------------------


@pytest.mark.parametrize("saved", [False, True])
def test_after_an_upload_that_failed_the_header_of_the_next_file_is_read(rocketjob, written, saved):
    job = BadTableJob().save() if saved else BadTableJob()
    refused(job, written("bad.csv", b"name,age\n" + b"Ann,1\n" * 90_000 + b"K\xf6ln,2\n"))
    assert job.input_category_for().columns is None
    assert job.upload_file_name is None
    job.upload(written("good.csv", GOOD))
    assert list(worked_off(rocketjob, job).records()) == ["1,10", "2,20"]


def test_an_upload_goes_on_where_workers_begin_the_job_meanwhile(rocketjob):
    job = BadPlainJob().save()
    rocketjob.work_off()
    job.reload()
    rocketjob.store.collection("rocket_job.jobs").update_one(
        {"_id": job.id}, {"$set": {"sub_state": "before"}}
    )
    job.reload()
    with job.upload() as records:
        records.append("one")
        rocketjob.store.collection("rocket_job.jobs").update_one(
            {"_id": job.id}, {"$set": {"sub_state": "processing"}}
        )
    assert job.record_count == 1


def test_the_note_of_an_upload_says_no_record_where_the_error_has_a_place(rocketjob, written):
    with pytest.raises(StreamError) as caught:
        BadPlainJob().upload(written("a.txt", b"a\nb\nK\xf6ln\n"))
    assert caught.value.line == 3
    assert caught.value.__notes__ == ["The upload failed; what it had added is removed."]


# --- the place of what is wrong ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,amount,ID\n", "a.csv, line 1, column id: the column id is there twice, at 1 and 3"),
        ("\n1,2\n", "a.csv, line 1: the header line is blank"),
        ("id,cost\n1,2\n", "a.csv, line 1, column amount: columns are missing: amount"),
        ("", "a.csv: is empty: it has no header line with id, amount"),
    ],
)
def test_what_is_wrong_with_a_header_names_the_file(rocketjob, written, text, says):
    assert says in refused(BadRequiredJob(), written("a.csv", text))


def test_a_bad_row_names_file_record_and_column(rocketjob, written):
    job = BadStrictJob(max_rejects=5)
    job.upload(written("a.csv", "id,amount\n1,2\n3\n4,5,6\n"))
    worked_off(rocketjob, job).download_rejects("bad.csv")
    text = Path("bad.csv").read_text()
    assert "a.csv, record 2, column amount: has 1 value, and there are 2 columns" in text
    assert "a.csv, record 3, column 3: has 3 values, and there are 2 columns" in text


def test_a_bad_row_does_not_name_a_file_that_it_is_not_of(rocketjob, written):
    job = BadStrictJob(max_rejects=5)
    job.upload(written("a.csv", "id,amount\n1\n"))
    job.upload(written("b.csv", "id,amount\n2\n"))
    worked_off(rocketjob, job).download_rejects("bad.csv")
    text = Path("bad.csv").read_text()
    assert '"StreamError: record 1, column amount' in text
    assert '"StreamError: b.csv, record 2, column amount' in text


def test_a_row_that_is_parsed_at_upload_names_its_line(rocketjob, written):
    text = '{"a": 1}\n' * 40_000 + "{oops}\n"
    assert "a.json, line 40001, column 2: is not valid JSON" in refused(
        BadHashJob(), written("a.json", text)
    )


# --- foreign words -------------------------------------------------------------------------------


def gz(text):
    return gzip.compress(text.encode(), mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.gz", gz("x" * 1000)[:-4] + b"oops", "a.gz: is damaged or was cut off: fetch it again"),
        ("a.xz", b"", "a.xz: is empty, and xz data never is: fetch it again"),
        ("a.gz", "text\n", "it looks like plain text; rename it, or pass streams=[]"),
        ("a.txt", b"%PDF-1.4 \n", "it looks like a PDF; it can be read if it is saved as text"),
        ("a.zip", b"PK\x03\x04" + bytes(50), "a.zip: is damaged or was cut off: fetch it again"),
        ("a.xlsx", "a,b\n", "a.xlsx: is not xlsx data: it looks like plain text; rename it"),
        ("a.txt", b"a\n\0\n", 'a.txt, line 2, column 1: a NUL byte: .*encode_cleaner="printable"'),
    ],
)
def test_a_file_that_is_not_right_is_refused_in_plain_words(
    rocketjob, written, name, content, says
):
    assert re.search(says.replace("[", r"\["), refused(BadPlainJob(), written(name, content)))


def test_xz_data_that_takes_too_much_memory_is_not_called_damaged(rocketjob, written):
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]
    try:
        data = lzma.compress(b"a\n", filters=filters)
    except MemoryError:
        pytest.skip("not enough memory to make it")
    assert "takes too much memory to be unpacked" in refused(BadPlainJob(), written("a.xz", data))


def test_a_zip_archive_with_a_password_or_other_content_says_what_to_do(rocketjob, written):
    with zipfile.ZipFile("docx.xlsx", "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    pytest.importorskip("openpyxl")
    said = refused(BadPlainJob(), "docx.xlsx")
    assert said.startswith("docx.xlsx: is not an Excel workbook, or a damaged one")
    assert "[Content_Types]" not in said


def test_a_web_address_that_does_not_answer_is_named_without_foreign_words(rocketjob):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a.csv"
    assert refused(BadPlainJob(), url) == f"{url}: cannot be opened: Connection refused"


def test_a_remote_file_without_its_package_names_file_and_package(rocketjob, monkeypatch):
    fsspec = pytest.importorskip("fsspec")

    def missing(*arguments, **options):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "open", missing)
    said = refused(BadPlainJob(), "s3://shop/a.csv")
    assert said == "s3://shop/a.csv: s3:// needs a package: pip install s3fs"


def test_a_missing_file_names_the_machine_on_which_it_was_looked_for(rocketjob):
    assert f"does not exist on {socket.gethostname()}" in refused(BadPlainJob(), "/nowhere/a.csv")


def test_a_bomb_is_refused_and_may_be_allowed(rocketjob, written):
    name = written("a.gz", gz("a\n" * 2000))
    strict = Limits(max_ratio=2, ratio_from=10)
    assert "pass Limits with a higher max_ratio" in refused(BadPlainJob(), name, limits=strict)
    assert BadPlainJob().upload(name, limits=Limits(max_ratio=5000)) == 2000


# --- records that cannot be stored ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (
            2**70,
            "record 4: cannot be stored: must fit into 64 bits, not int 1180591620717411303424",
        ),
        ({1: 2}, "record 4: cannot be stored: must have text as keys, not int 1"),
    ],
)
def test_a_record_that_cannot_be_stored_is_named_in_our_own_words(rocketjob, record, says):
    assert refused(BadPlainJob(), ["a", "b", "c", record]) == says


def test_of_a_record_that_is_to_be_encrypted_nothing_is_shown(rocketjob):
    pytest.importorskip("cryptography")
    job = BadPlainJob(encrypt=True)
    with pytest.raises(ConfigurationError, match="encryption_keys") as caught:
        job.upload(["secret"])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("serializer", ["compress", "none"])
def test_records_that_are_too_large_are_named_with_the_cure(rocketjob, serializer):
    job = BadPlainJob()
    job.input_categories[0].serializer = serializer
    noise = os.urandom(4_500_000).hex()
    both = refused(
        job,
        [noise + "x", noise + "y"]
        if serializer == "none"
        else [os.urandom(9_000_000), os.urandom(9_000_000)],
        DocumentTooLarge,
    )
    assert "records 1 to 2 have" in both
    assert "use a smaller slice_size" in both
    one = refused(
        job,
        ["z" * 17_000_000 if serializer == "none" else os.urandom(17_000_000)],
        DocumentTooLarge,
    )
    assert "record 1 has" in one
    assert "keep it in a file" in one


def test_output_that_cannot_be_stored_fails_its_slice_in_our_own_words(rocketjob):
    job = BadUnstorableJob()
    job.upload(["a"])
    worked_off(rocketjob, job)
    assert job.is_failed
    (group,) = job.input.group_exceptions()
    assert group["messages"] == [
        "record 1: what perform returned cannot be stored: [number] must fit into 64 bits, "
        "not int 1180591620717411303424".replace("[number]", "['number']")
    ]
    assert [list(each) for each in job.input] == [["a"]]


class BadLargeJob(BadPlainJob):
    output_category = OutputCategory(serializer="none")

    def perform(self, record):
        return {"data": bytes(17_000_000)} if record == "b" else record


def test_output_that_a_store_refuses_as_too_large_fails_its_slice_alone(rocketjob):
    job = BadLargeJob(slice_size=1)
    job.upload(["a", "b", "c"])
    worked_off(rocketjob, job)
    (group,) = job.input.group_exceptions()
    assert group["class_name"] == "DocumentTooLarge"
    assert group["messages"][0].startswith("record 2 has 17,000,")
    assert [list(each) for each in job.output] == [["a"], ["c"]]


def test_a_slice_that_has_not_failed_cannot_be_retried(rocketjob):
    job = BadPlainJob()
    job.upload(["a"])
    with pytest.raises(StateConflict, match="<Slice 1 queued> has not failed"):
        job.input.first().retry()


# --- downloads -----------------------------------------------------------------------------------


def done(rocketjob, records=("one",), cls=BadPlainJob):
    job = cls()
    job.upload(list(records))
    return worked_off(rocketjob, job)


def test_a_download_that_fails_leaves_the_file_name_as_it_was(rocketjob, written):
    job = done(rocketjob)
    for target in ("nodir/a.txt", "a.xlsx"):
        with pytest.raises(StreamError):
            job.download(target)
        assert job.output_category_for().file_name is None
    assert job.download("a.txt") == 1
    assert job.output_category_for().file_name == "a.txt"


def test_an_empty_output_whose_columns_nobody_knows_is_an_empty_file(rocketjob, written):
    job = BadTableJob()
    job.upload(written("a.csv", "id,name\n"))
    worked_off(rocketjob, job)
    assert job.is_completed
    assert job.download("out.csv") == 0
    assert Path("out.csv").read_text() == ""


def test_output_whose_columns_nobody_knows_can_be_downloaded_with_a_header_line(rocketjob, written):
    job = done(rocketjob, [["1", "x"]], BadTableRowsJob)
    with pytest.raises(StreamError, match=r"^out\.csv: the columns .*or pass header_line="):
        job.download("out.csv")
    assert not os.path.exists("out.csv")
    assert job.download("out.csv", header_line="id,name") == 1
    assert Path("out.csv").read_text() == "id,name\n1,x\n"


class BadTableRowsJob(BadPlainJob):
    output_category = OutputCategory(format="csv")


def test_a_download_to_pgp_takes_recipients(rocketjob, written):
    job = done(rocketjob)
    with pytest.raises(StreamError, match="pgp_recipients"):
        job.download("a.txt.pgp")
    with pytest.raises(
        StreamError, match=r"a\.txt\.pgp: (gpg cannot encrypt it|needs the program)"
    ):
        job.download("a.txt.pgp", pgp_recipients=["nobody@example.invalid"])
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nodir/a.txt", "nodir/a.txt: there is no directory .*nodir: make it first"),
        ("x" * 300, "cannot be written: File name too long"),
        ("http://example.invalid/a", "can only be read: write to a path"),
    ],
)
def test_a_target_that_cannot_be_written_says_what_to_do(written, target, says):
    with pytest.raises(StreamError, match=says):
        open_writer(target)
    assert os.listdir() == []


def test_a_file_object_that_cannot_be_written_is_refused_at_once(written):
    reading = open(written("a.txt", "kept"), "rb")  # noqa: SIM115
    with reading, pytest.raises(StreamError, match='for reading only: open it with "wb"'):
        open_writer(reading)
    with pytest.raises(StreamError, match="is closed: open it again"):
        open_writer(reading)


def test_a_character_that_cannot_be_written_is_shown_with_its_line():
    writer = open_writer(io.BytesIO())
    with pytest.raises(StreamError, match="in the line that begins with 'Ann"), writer:
        writer.write_lines(["one", "Ann \ud800", "three"])


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.zip", "a.txt.xz"])
def test_a_disk_that_is_full_leaves_the_good_file_and_no_debris(
    rocketjob, written, monkeypatch, name
):
    job = done(rocketjob, [os.urandom(400).hex() for _ in range(2000)])
    written(name, "GOOD")

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(target_module._Path, "write", full)
    with pytest.raises(StreamError, match=f"^{name}: cannot be written: No space left on device"):
        job.download(name)
    assert Path(name).read_text() == "GOOD"
    assert os.listdir() == [name]


def test_lines_of_a_file_object_name_it_in_errors(written):
    file = open(written("a.txt", b"\xff\xfeno"), "rb")  # noqa: SIM115
    with file, pytest.raises(StreamError, match=r"^a\.txt: looks like UTF-16 text: pass encoding"):
        list(open_lines(file))


# --- another format than is said --------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"format": "csv"}, {"format": "psv"}, {"format": "auto"}])
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"a":1,"b":2}\n{"a":3,"b":4}\n', 'line 1: looks like JSON and not like .*format="json"'),
        (b"\xef\xbb\xbf[1, 2]\n", "line 1: looks like JSON"),
        (b"\n<!DOCTYPE html><html><body>Log in</body></html>\n", "line 1: looks like a web page"),
        (b"<HTML>\n", "line 1: looks like a web page"),
        (b'<?xml version="1.0"?>\n<a/>\n', "line 1: looks like XML"),
    ],
)
def test_a_first_line_that_can_be_no_header_is_refused(rocketjob, tmp_path, settings, data, says):
    (tmp_path / "a.dat").write_bytes(data)
    job = BadPlainJob(input_categories=[InputCategory(**settings)])
    with pytest.raises(StreamError, match=f"a.dat, {says}"):
        job.upload(tmp_path / "a.dat")


def test_json_is_a_row_of_a_file_whose_columns_are_set(rocketjob, tmp_path):
    (tmp_path / "a.csv").write_text('{"a":1}\n[1]\n')
    job = BadPlainJob(input_categories=[InputCategory(format="csv", columns=["json"])])
    assert job.upload(tmp_path / "a.csv") == 2


def test_a_tar_archive_is_named(rocketjob, tmp_path):
    with tarfile.open(tmp_path / "a.csv.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"))
    with pytest.raises(StreamError, match=r"a.csv.gz: .* it looks like a tar archive"):
        BadPlainJob().upload(tmp_path / "a.csv.gz")


def test_a_file_of_another_format_than_the_first_is_named(rocketjob, tmp_path):
    (tmp_path / "a.csv").write_text("id\n1\n")
    (tmp_path / "b.json").write_text('{"id":2}\n')
    job = BadPlainJob(input_categories=[InputCategory(format="auto")])
    job.upload(tmp_path / "a.csv")
    with pytest.raises(StreamError, match=r"b\.json: is json, and this input has records of csv"):
        job.upload(tmp_path / "b.json")


@pytest.mark.parametrize("format", ["csv", "psv"])
def test_lines_of_an_open_file_are_rows_without_their_line_breaks(rocketjob, format):
    separator = "," if format == "csv" else "|"
    lines = [f"1{separator}2\n", f"3{separator}4\r\n", f"5{separator}6\n7{separator}8"]
    table = Tabular(format, columns=["a", "b"])
    assert table.parse_many(lines[:2]) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    with pytest.raises(StreamError, match=r"line 3: .*a line break stands"):
        table.parse_many(lines)
