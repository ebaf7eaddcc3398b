import gzip
import json
import os

import pytest
from bson import ObjectId

from rocketjob import Document, Job, ValidationError, field
from rocketjob.base.errors import RocketJobError
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.encryption.keys import new_key
from rocketjob_plugins.files import ConversionJob, CopyFileJob, UploadFileJob


class TextJob(Job):
    destroy_on_complete = False
    upload_file_name: str | None = None
    number: int = field(default=0)

    def perform(self): ...


class FullNameJob(Job):
    full_file_name: str | None = None

    def perform(self): ...


class RowsJob(Batch, Job):
    destroy_on_complete = False
    collect_output = True

    def perform(self, line):
        return line


class LooseDocument(Document):
    collection_name = "rocket_job.loose"


class BareJob(Job):
    def perform(self): ...


def errors_of(**values):
    try:
        UploadFileJob(**values).validate()
    except ValidationError as error:
        return error.errors
    return {}


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n")
    return path


# --- UploadFileJob ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (" ", "is required: it is blank"),
        ("/nowhere/a.txt", "there is no file /nowhere/a.txt"),
        ("file:///nowhere/a.txt", "there is no file"),
        ("https://example.com/a.txt", None),
        ("s3://bucket/a.txt", None),
    ],
)
def test_a_local_file_must_be_there(rocketjob, name, said):
    errors = errors_of(job_class_name="TextJob", upload_file_name=name)
    assert said is None if not errors else said in errors["upload_file_name"][0]


def test_a_file_url_of_a_file_that_is_there(rocketjob, text):
    assert errors_of(job_class_name="TextJob", upload_file_name=f"file://{text}") == {}


@pytest.mark.parametrize(
    ("cls", "properties", "name"),
    [
        ("BareJob", {}, "job_class_name"),
        ("LooseDocument", {}, "job_class_name"),
        ("TextJob", {"nunber": 1}, "properties"),
        ("TextJob", {"number": "x"}, "properties"),
        ("RowsJob", {"input_categories": [{"nope": 1}]}, "properties"),
        ("NotLoadedHereJob", {"whatever": 1}, None),
    ],
)
def test_class_and_properties_must_fit(rocketjob, text, cls, properties, name):
    values = {"job_class_name": cls, "properties": properties, "upload_file_name": str(text)}
    assert list(errors_of(**values)) == ([name] if name else [])


def test_a_class_with_a_field_for_it_gets_the_name(rocketjob, text):
    for cls, name in ((TextJob, "upload_file_name"), (FullNameJob, "full_file_name")):
        upload = UploadFileJob.create(job_class_name=cls.__name__, upload_file_name=str(text))
        rocketjob.work_off(limit=1)
        assert getattr(cls.find(upload.job_id), name) == str(text)


def test_the_job_has_the_id_and_the_properties_that_were_given(rocketjob, text):
    id = ObjectId()
    values = {"job_class_name": "TextJob", "upload_file_name": str(text), "job_id": id}
    UploadFileJob(**values, properties={"number": "7", "priority": 3}).perform_now()
    job = TextJob.find(id)
    assert (job.number, job.priority) == (7, 3)


def test_a_batch_class_gets_its_input_under_the_original_name(rocketjob, tmp_path):
    path = tmp_path / "5e_a"
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    UploadFileJob.create(
        job_class_name="RowsJob", upload_file_name=str(path), original_file_name="/in/a.txt.gz"
    )
    rocketjob.work_off()
    (job,) = RowsJob.completed()
    assert job.upload_file_name == "/in/a.txt.gz"
    assert [record for slice_ in job.output for record in slice_] == ["one", "two"]


def test_an_upload_that_fails_leaves_nothing_and_can_be_retried(rocketjob, tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(b"no gzip")
    upload = UploadFileJob.create(job_class_name="RowsJob", upload_file_name=str(path))
    rocketjob.work_off()
    assert upload.reload().is_failed
    assert RowsJob.count() == 0
    assert not [n for n in rocketjob.store.collection_names() if str(upload.job_id) in n]
    path.write_bytes(gzip.compress(b"fine\n"))
    upload.retry()
    rocketjob.work_off()
    assert RowsJob.completed().count() == 1


def test_an_upload_whose_process_died_makes_one_job_when_it_is_run_again(rocketjob, text):
    upload = UploadFileJob.create(
        job_class_name="RowsJob", upload_file_name=str(text), destroy_on_complete=False
    )
    half = RowsJob()
    half.id = upload.job_id
    half.upload(["a", "b", "c"])  # and then it died
    rocketjob.work_off()
    job = RowsJob.find(upload.job_id)
    assert job.record_count == 2
    job.destroy()  # it may be long gone by then
    upload.reload().collection().update_one({"_id": upload.id}, {"$set": {"state": "queued"}})
    rocketjob.work_off()
    assert RowsJob.count() == 0


def test_an_upload_that_was_taken_over_meanwhile_leaves_what_the_other_one_uploaded(
    rocketjob, text, monkeypatch
):
    upload = UploadFileJob.create(job_class_name="RowsJob", upload_file_name=str(text))
    hand_over = UploadFileJob._hand_over

    def slow(self, job):
        hand_over(self, job)
        self.collection().update_one({"_id": self.id}, {"$inc": {"claim_number": 1}})

    monkeypatch.setattr(UploadFileJob, "_hand_over", slow)
    assert rocketjob.work_off(limit=1) == 1
    half = RowsJob()
    half.id = upload.job_id
    assert half.input.count() == 1
    assert RowsJob.count() == 0


def test_a_job_of_that_id_is_never_overwritten(rocketjob, text):
    there = RowsJob()
    there.upload([1, 2, 3])
    there.save()
    upload = UploadFileJob(job_class_name="RowsJob", upload_file_name=str(text), job_id=there.id)
    with pytest.raises(Exception, match="nothing was uploaded"):
        upload.perform_now()
    assert there.input.count() == 1


def test_it_waits_for_a_server_on_which_the_class_is_loaded(rocketjob, text):
    upload = UploadFileJob.create(job_class_name="ElsewhereJob", upload_file_name=str(text))
    assert rocketjob.work_off() == 0
    assert upload.reload().is_queued
    assert "job_class_name" in upload.explain().names()


# --- CopyFileJob -----------------------------------------------------------------------------


def test_a_file_is_copied(rocketjob, text, tmp_path):
    target = tmp_path / "b.txt"
    job = CopyFileJob.create(source_url=str(text), target_url=str(target), collect_output=True)
    assert job.description == f"Copying to {target}"
    assert (job.priority, job.retry_limit) == (30, 10)
    rocketjob.work_off()
    assert job.reload().result == {"bytes": 8}
    assert job.percent_complete == 100
    assert target.read_bytes() == text.read_bytes()


def test_extensions_say_how_it_is_packed(rocketjob, text, tmp_path):
    packed, plain = tmp_path / "a.txt.gz", tmp_path / "b.txt"
    CopyFileJob(source_url=str(text), target_url=str(packed)).perform_now()
    assert gzip.decompress(packed.read_bytes()) == text.read_bytes()
    CopyFileJob(source_url=str(packed), target_url=str(plain)).perform_now()
    assert plain.read_bytes() == text.read_bytes()
    same = tmp_path / "c.gz"
    CopyFileJob(source_url=str(packed), target_url=str(same)).perform_now()
    assert same.read_bytes() == packed.read_bytes()
    raw = tmp_path / "d.txt"
    CopyFileJob(source_url=str(packed), target_url=str(raw), source_streams=[]).perform_now()
    assert raw.read_bytes() == packed.read_bytes()


def test_urls_are_copied_and_appear_when_they_are_whole(rocketjob, text):
    import fsspec

    system = fsspec.filesystem("memory")
    try:
        CopyFileJob(source_url=str(text), target_url="memory://box/a.txt.gz").perform_now()
        assert gzip.decompress(system.cat("/box/a.txt.gz")) == text.read_bytes()
        back = text.with_name("back.txt")
        CopyFileJob(source_url="memory://box/a.txt.gz", target_url=str(back)).perform_now()
        assert back.read_bytes() == text.read_bytes()
    finally:
        system.rm("/box", recursive=True)


def test_a_copy_that_fails_leaves_the_target_and_is_tried_again(rocketjob, tmp_path):
    source, target = tmp_path / "a.txt.gz", tmp_path / "a.txt"
    source.write_bytes(gzip.compress(os.urandom(500_000))[:-100])
    target.write_text("as it was")
    job = CopyFileJob.create(source_url=str(source), target_url=str(target))
    rocketjob.work_off()
    assert job.reload().is_scheduled
    assert job.exception.class_name == "StreamError"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "a.txt.gz"]
    assert target.read_text() == "as it was"
    source.write_bytes(gzip.compress(b"fine"))
    rocketjob.travel(job.run_at)
    rocketjob.work_off()
    assert job.reload().is_completed
    assert target.read_text() == "fine"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"target_url": "b"}, "source_url"),
        ({"target_url": "b", "source_url": "a", "source_data": "x"}, "source_url"),
        ({"source_url": "a"}, "target_url"),
        ({"source_url": "sftp://me:secret@host/a", "target_url": "b"}, "source_url"),
        ({"source_url": "a", "target_url": "sftp://me:secret@host/a"}, "target_url"),
        ({"source_url": "a", "target_url": "b", "source_streams": ["gzz"]}, "source_streams"),
    ],
)
def test_what_cannot_be_copied_is_refused(rocketjob, values, name):
    with pytest.raises(ValidationError) as error:
        CopyFileJob.create(**values)
    assert name in error.value.errors


def test_data_and_arguments_are_stored_encrypted(tmp_path):
    with sandbox(encryption_keys=[new_key()]) as rocketjob:
        target = tmp_path / "out.txt"
        job = CopyFileJob.create(
            source_data="top secret", target_url=str(target), target_args={"password": "xyzzy"}
        )
        stored = rocketjob.store.collection("rocket_job.jobs").find_one({"_id": job.id})
        assert "secret" not in repr(stored)
        assert "xyzzy" not in repr(stored)
        rocketjob.work_off()
        assert target.read_text() == "top secret"


def test_arguments_reach_the_library_of_the_url(rocketjob, text):
    import fsspec

    seen = []

    class Guarded(fsspec.get_filesystem_class("memory")):
        protocol = "guarded"
        cachable = False

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(path.replace("guarded://", "memory://"))

        def __init__(self, password=None, **kwargs):
            seen.append(password)
            super().__init__(**kwargs)

    fsspec.register_implementation("guarded", Guarded, clobber=True)
    target = text.with_name("copy.txt")
    fsspec.filesystem("memory").pipe("/vault/a.txt", b"inside")
    try:
        CopyFileJob(
            source_url="guarded://vault/a.txt",
            source_args={"password": "open"},
            target_url=str(target),
        ).perform_now()
        assert target.read_text() == "inside"
        CopyFileJob(
            source_url=str(text), target_url="guarded://vault/b.txt", target_args={"password": "in"}
        ).perform_now()
        assert fsspec.filesystem("memory").cat("/vault/b.txt") == text.read_bytes()
        assert set(seen) >= {"open", "in"}
    finally:
        fsspec.filesystem("memory").rm("/vault", recursive=True)


# --- ConversionJob ---------------------------------------------------------------------------

ROWS = [{"First Name": "Jack", "age": "41"}, {"First Name": "Jill, Esq.", "age": "39"}]
CSV = 'First Name,age\nJack,41\n"Jill, Esq.",39\n'


def write_source(path):
    kind = path.name.split(".")[1]
    if kind == "xlsx":
        import openpyxl

        book = openpyxl.Workbook()
        for row in (list(ROWS[0]), *(list(row.values()) for row in ROWS)):
            book.active.append(row)
        book.save(path)
        return
    text = {
        "csv": CSV,
        "psv": CSV.replace('"Jill, Esq."', "Jill; Esq.").replace(",", "|").replace(";", ","),
        "json": "".join(json.dumps(row) + "\n" for row in ROWS),
    }[kind]
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def read_target(path):
    if path.suffix == ".xlsx":
        import openpyxl

        header, *rows = openpyxl.load_workbook(path).active.values
        return [dict(zip(header, row, strict=True)) for row in rows]
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    if ".json" in path.name:
        return [json.loads(line) for line in text.splitlines()]
    import csv

    mark = "|" if ".psv" in path.name else ","
    return list(csv.DictReader(text.splitlines(), delimiter=mark))


@pytest.mark.parametrize("source", ["a.csv", "a.csv.gz", "a.psv", "a.json", "a.xlsx"])
@pytest.mark.parametrize("target", ["b.csv", "b.psv.gz", "b.json", "b.json.gz", "b.xlsx"])
def test_each_format_becomes_each_other(rocketjob, tmp_path, source, target):
    write_source(tmp_path / source)
    job = ConversionJob.create(
        source=str(tmp_path / source), target=str(tmp_path / target), slice_size=1
    )
    rocketjob.work_off()
    assert job.reload().is_completed, job.exception
    assert read_target(tmp_path / target) == ROWS
    assert not [n for n in rocketjob.store.collection_names() if str(job.id) in n]


def test_a_file_that_has_a_header_only_gives_one(rocketjob, tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n")
    ConversionJob.create(source=str(tmp_path / "a.csv"), target=str(tmp_path / "b.psv"))
    rocketjob.work_off()
    assert (tmp_path / "b.psv").read_text() == "x|y\n"


def test_input_that_was_uploaded_before_is_used(rocketjob, tmp_path):
    job = ConversionJob(target=str(tmp_path / "b.json"))
    write_source(tmp_path / "a.csv")
    job.upload(str(tmp_path / "a.csv"))
    job.save()
    rocketjob.work_off()
    assert read_target(tmp_path / "b.json") == ROWS


@pytest.mark.parametrize(
    "properties",
    [
        {"encoding": "cp1252"},
        {"input_categories": [{"encoding": "cp1252"}]},
        {"input_categories": '[{"name": "main", "encoding": "cp1252"}]'},
        {"input_categories": '{"encoding": "cp1252"}'},
    ],
)
def test_a_file_is_read_in_the_encoding_that_is_given_as_text(rocketjob, tmp_path, properties):
    (tmp_path / "a.csv").write_bytes("id\ncaf\u00e9\n".encode("cp1252"))
    files = {"source": str(tmp_path / "a.csv"), "target": str(tmp_path / "b.json")}
    job = ConversionJob.from_properties({**files, **properties})
    job.save()
    rocketjob.work_off()
    assert job.reload().is_completed
    assert (tmp_path / "b.json").read_text() == '{"id":"caf\u00e9"}\n'


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("input_categories", "csv", "input_categories: is not valid JSON"),
        ("input_categories", '["csv"]', "input_categories: must be a list of settings, such as"),
        ("input_categories", "5", "input_categories: must be a list of settings"),
        ("output_categories", '[{"name": "mian"}]', "Unknown Output Category: 'mian'"),
        ("output_categories", '[{"nils": 1, "nils": 2}]', "the name 'nils' is there twice"),
        ("slice_size", "abc", "slice_size: must be a whole number, not 'abc'"),
        ("encoding", "cp1252x", "There is no encoding 'cp1252x'"),
    ],
)
def test_settings_of_categories_that_are_no_settings_are_refused(rocketjob, name, text, says):
    with pytest.raises(RocketJobError, match=says):
        ConversionJob.from_properties({"source": "a.csv", "target": "b.csv", name: text})


def test_both_files_are_required_and_properties_name_them(rocketjob):
    with pytest.raises(ValidationError) as error:
        ConversionJob.create()
    assert set(error.value.errors) == {"input_categories", "output_categories"}
    job = ConversionJob.from_properties({"source": "a.csv", "target": "b.json", "priority": "3"})
    assert (job.source, job.target, job.priority) == ("a.csv", "b.json", 3)


def test_a_row_that_excel_does_not_take_fails_the_job_and_leaves_the_target(rocketjob, tmp_path):
    (tmp_path / "a.json").write_text(
        json.dumps({"x": "fine"}) + "\n" + json.dumps({"x": "x" * 40_000}) + "\n"
    )
    (tmp_path / "b.xlsx").write_text("as it was")
    job = ConversionJob.create(source=str(tmp_path / "a.json"), target=str(tmp_path / "b.xlsx"))
    rocketjob.work_off()
    assert job.reload().is_failed
    assert "record 2, column x: the text has 40,000 characters" in job.exception.message
    assert (tmp_path / "b.xlsx").read_text() == "as it was"


def test_a_copy_is_not_in_clear_under_a_name_that_says_encrypted(rocketjob, tmp_path):
    (tmp_path / "a.csv").write_text("card 4111")
    job = CopyFileJob.create(
        source_url=str(tmp_path / "a.csv"), target_url=str(tmp_path / "b.enc"), target_streams=[]
    )
    rocketjob.work_off()
    assert "written in clear" in job.reload().exception.message
    assert not (tmp_path / "b.enc").exists()


def test_a_copy_of_what_is_encrypted_stays_as_it_is(rocketjob, tmp_path):
    (tmp_path / "a.csv.enc").write_bytes(b"sealed")
    job = CopyFileJob.create(
        source_url=str(tmp_path / "a.csv.enc"), target_url=str(tmp_path / "b.csv.enc")
    )
    rocketjob.work_off()
    assert job.reload().is_completed
    assert (tmp_path / "b.csv.enc").read_bytes() == b"sealed"


def test_recipients_of_a_copy_or_conversion_are_given_as_the_error_says(rocketjob, tmp_path):
    (tmp_path / "a.csv").write_text("id\n1\n")
    paths = {"source_url": str(tmp_path / "a.csv"), "target_url": str(tmp_path / "b.csv.pgp")}
    job = CopyFileJob.create(**paths)
    rocketjob.work_off()
    assert "pgp_recipients" in job.reload().exception.message
    assert CopyFileJob(**paths, pgp_recipients=["ann@example.com"]).pgp_recipients
    job = ConversionJob.create(source=paths["source_url"], target=paths["target_url"])
    rocketjob.work_off()
    assert "pgp_recipients" in job.reload().exception.message
    assert ConversionJob(source="a", target="b", pgp_recipients=["ann@example.com"])


# --- targets that cannot be written -----------------------------------------------------------


class CountedConversionJob(ConversionJob):
    performed = []

    def perform(self, row):
        type(self).performed.append(row)
        return row


def unwritable(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o500)
    (tmp_path / "file").write_text("x")
    return {
        "there is no directory": tmp_path / "nowhere" / "b.csv",
        "is a directory": closed,
        "cannot be written: Not a directory": tmp_path / "file" / "b.csv",
        "Protocol not known": "nosuchscheme://host/b.csv",
        "pgp_recipients": tmp_path / "b.csv.pgp",
        "encryption_key": tmp_path / "b.csv.enc",
        **({} if os.geteuid() == 0 else {"Permission denied": closed / "b.csv"}),
    }


@pytest.mark.parametrize("is_uploaded", [True, False])
def test_a_conversion_fails_before_its_work_if_its_target_cannot_be_written(
    rocketjob, tmp_path, is_uploaded
):
    write_source(tmp_path / "a.csv")
    for says, target in unwritable(tmp_path).items():
        job = CountedConversionJob(target=str(target))
        if is_uploaded:
            job.upload(str(tmp_path / "a.csv"))
        else:
            job.source = str(tmp_path / "a.csv")
        job.save()
        rocketjob.work_off()
        assert job.reload().is_failed
        assert says in job.exception.message
        assert str(target) in job.exception.message
    assert CountedConversionJob.performed == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "closed", "file"]


def test_a_conversion_whose_folder_is_made_meanwhile_is_retried(rocketjob, tmp_path):
    write_source(tmp_path / "a.csv")
    folder = tmp_path / "new"
    job = ConversionJob.create(source=str(tmp_path / "a.csv"), target=str(folder / "b.csv"))
    rocketjob.work_off()
    folder.mkdir()
    job.reload().retry()
    rocketjob.work_off()
    assert read_target(folder / "b.csv") == ROWS


def test_what_is_at_the_target_stays_until_the_end(rocketjob, tmp_path):
    write_source(tmp_path / "a.csv")
    target = tmp_path / "b.csv"
    target.write_text("as it was")

    class LookingConversionJob(ConversionJob):
        def perform(self, row):
            assert target.read_text() == "as it was"
            assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv"]
            return row

    LookingConversionJob.create(source=str(tmp_path / "a.csv"), target=str(target))
    rocketjob.work_off()
    assert read_target(target) == ROWS


def test_a_remote_target_is_not_touched_before_the_end(rocketjob, tmp_path):
    import fsspec

    write_source(tmp_path / "a.csv")
    system = fsspec.filesystem("memory")
    system.pipe("/kept/b.csv", b"as it was")

    class RemoteConversionJob(ConversionJob):
        def perform(self, row):
            assert system.cat("/kept/b.csv") == b"as it was"
            return row

    try:
        target = "memory://kept/b.csv"
        job = RemoteConversionJob.create(source=str(tmp_path / "a.csv"), target=target)
        rocketjob.work_off()
        assert job.reload().is_completed
        assert system.cat("/kept/b.csv").decode() == CSV
    finally:
        system.rm("/kept", recursive=True)


def test_a_device_is_a_target(rocketjob, tmp_path):
    write_source(tmp_path / "a.csv")
    job = ConversionJob.create(source=str(tmp_path / "a.csv"), target="/dev/null")
    rocketjob.work_off()
    assert job.reload().is_completed


@pytest.mark.parametrize("target", ["http://host/b.csv", "HTTPS://host/b.csv.gz"])
def test_a_web_address_is_no_target_of_a_job(rocketjob, target):
    with pytest.raises(ValidationError, match="a web address can only be read: write to a path"):
        ConversionJob.create(source="a.csv", target=target)
    with pytest.raises(ValidationError) as error:
        CopyFileJob.create(source_url="a.csv", target_url=target)
    assert "a web address can only be read" in str(error.value.errors["target_url"])


@pytest.mark.parametrize("target", ["b.tsv", "b.tab.gz"])
def test_a_conversion_to_tabs_is_not_written_with_commas(rocketjob, tmp_path, target):
    write_source(tmp_path / "a.csv")
    files = {"source": str(tmp_path / "a.csv"), "target": str(tmp_path / target)}
    with pytest.raises(ValidationError, match=r"and it is written as csv: name it \.csv, or set"):
        ConversionJob.create(**files)
    job = ConversionJob(**files)
    job.output_category_for().format_options = {"separator": "\t"}
    job.save()
    rocketjob.work_off()
    data = (tmp_path / target).read_bytes()
    text = gzip.decompress(data) if target.endswith("gz") else data
    assert text.decode().splitlines()[1] == "Jack\t41"


def test_a_copy_fails_before_it_reads_if_its_target_cannot_be_written(rocketjob, tmp_path):
    job = CopyFileJob.create(source_url="/nowhere/a", target_url=str(tmp_path / "no" / "b"))
    rocketjob.work_off()
    assert "there is no directory" in job.reload().exception.message
