"""Uploads of every kind of source, their numbers, and what is left of those that fail."""

import bz2
import gzip

import pytest

from rocketjob import Job
from rocketjob.base.errors import ConfigurationError, NotFound, StateConflict, ValidationError
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory


class LoadBatchJob(Batch, Job):
    destroy_on_complete = False
    input_categories = [InputCategory(slice_size=10), InputCategory(name="lookup")]
    output_category = OutputCategory()

    def perform(self, record):
        return record


@pytest.fixture
def job(rocketjob):
    return LoadBatchJob()


def records_of(job, category="main"):
    return [record for slice_ in job.input_for(category) for record in slice_]


def finished(rocketjob, job):
    job.save()
    rocketjob.work_off()
    assert job.reload().is_completed
    return list(job.records())


@pytest.mark.parametrize(("count", "slices"), [(10, 5), (11, 6), (0, 0)])
def test_slices_hold_slice_size_records_and_the_rest_is_a_short_one(rocketjob, count, slices):
    job = LoadBatchJob(slice_size=2)
    assert job.upload(range(1, count + 1)) == count
    assert job.record_count == count
    assert job.input.count() == slices
    if count:
        assert list(job.input.last()) == ([9, 10] if count == 10 else [11])


def test_first_record_numbers_count_through_several_uploads(job):
    for source in (["a"] * 12, iter("bcd"), []):
        job.upload(source)
    assert job.record_count == 15
    assert [each.first_record_number for each in job.input] == [1, 11, 13]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (1, 1, [(1, 1)]),
        (1, 10, [(1, 10)]),
        (1, 11, [(1, 10), (11, 11)]),
        (11, 1, [(2, 11), (1, 1)]),
        (44, 5, [(35, 44), (25, 34), (15, 24), (5, 14)]),
    ],
)
def test_an_integer_range_is_one_pair_a_slice(job, first, last, expected):
    assert job.upload_integer_range(first, last) == len(expected)
    assert [tuple(record) for record in records_of(job)] == expected
    assert [each.first_record_number for each in job.input] == [*range(1, len(expected) + 1)]


def test_progress_of_a_range_counts_its_slices(rocketjob, job):
    job.upload_integer_range(1, 40)
    job.save()
    rocketjob.store.collection("rocket_job.jobs").update_one(
        {"_id": job.id}, {"$set": {"state": "running", "sub_state": "processing"}}
    )
    rocketjob.store.collection(job.input.name).delete_one({"_id": 1})
    assert job.reload().percent_complete == 25


def test_a_range_is_an_iterable_of_numbers(rocketjob, job):
    job.upload(range(1, 26))
    assert finished(rocketjob, job) == list(range(1, 26))


def test_a_writer_takes_records_one_by_one(job):
    with job.upload() as records:
        records.append("one")
        records.extend(["two", "three"])
    assert records.count == job.record_count == 3
    assert records_of(job) == ["one", "two", "three"]


def test_a_writer_takes_no_options_of_files(job):
    with pytest.raises(TypeError, match="delimiter"):
        job.upload(delimiter="|")
    with pytest.raises(TypeError, match="encoding"):
        job.upload([1], encoding="latin-1")


def test_a_slice_can_be_uploaded_whatever_its_length(job):
    assert job.upload_slice(["a"] * 25) == 25
    assert [len(each) for each in job.input] == [25]


@pytest.mark.parametrize("mode", ["path", "text", "object", "gz", "category"])
def test_files_are_read_line_by_line(job, tmp_path, mode):
    path = tmp_path / "in.txt"
    path.write_bytes(b"one\r\ntwo\r\nthree")
    source = path
    if mode == "text":
        source = str(path)
    if mode == "gz":
        source = tmp_path / "in.txt.gz"
        source.write_bytes(gzip.compress(path.read_bytes()))
    if mode == "category":
        job.upload_file_name, source = str(path), None
    if mode == "object":
        with path.open("rb") as file:
            assert job.upload(file) == 3
    else:
        assert job.upload(source) == 3
        assert job.upload_file_name == str(source or path)
    assert records_of(job) == ["one", "two", "three"]


def test_the_first_line_can_be_taken_away(job, tmp_path):
    (tmp_path / "in.txt").write_text("head\none\n")
    first = []
    assert job.upload(tmp_path / "in.txt", on_first=first.append) == 1
    assert job.upload(iter("xyz"), on_first=first.append) == 2
    assert first == ["head", "x"]
    assert [each.id for each in job.input] == [1, 2]


@pytest.mark.parametrize(("format", "count"), [(None, 4), ("csv", 3), ("auto", 3)])
def test_a_header_is_read_where_the_format_has_one(rocketjob, tmp_path, format, count):
    (tmp_path / "in.csv").write_text("First Name,Zip-Code!\na,1\nb,2\nc,3\n")
    job = LoadBatchJob(input_categories=[InputCategory(format=format)])
    assert job.upload(tmp_path / "in.csv") == count
    if format:
        assert job.input_category_for("main").columns == ["first_name", "zip_code"]
        assert finished(rocketjob, job)[0] == {"first_name": "a", "zip_code": "1"}


def test_columns_uploaded_after_the_job_was_saved_reach_the_workers(rocketjob, tmp_path):
    (tmp_path / "in.csv").write_text("name\na\n")
    job = LoadBatchJob(input_categories=[InputCategory(format="csv")]).save()
    rocketjob.work_off()
    job.reload().upload(tmp_path / "in.csv")
    rocketjob.work_off()
    assert list(job.reload().records()) == [{"name": "a"}]


@pytest.mark.parametrize(("mode", "first"), [("hash", {"a": "1", "b": "2"}), ("array", ["1", "2"])])
def test_modes_parse_while_uploading(rocketjob, tmp_path, mode, first):
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    job = LoadBatchJob(input_categories=[InputCategory(format="csv", mode=mode)])
    assert job.upload(tmp_path / "in.csv") == 1
    assert finished(rocketjob, job) == [first]


def test_an_auto_json_upload_keeps_its_first_record(rocketjob, tmp_path):
    (tmp_path / "in.json").write_text('{"a": 1}\n{"a": 2}\n')
    job = LoadBatchJob(input_categories=[InputCategory(format="auto")])
    assert job.upload(tmp_path / "in.json") == 2
    assert finished(rocketjob, job) == [{"a": 1}, {"a": 2}]


def test_a_file_name_alone_makes_nothing_tabular(rocketjob, tmp_path):
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    job = LoadBatchJob()
    assert not job.input_category_for("main").is_tabular
    assert job.upload(tmp_path / "in.csv") == 2


# --- tables -----------------------------------------------------------------------------------


def test_a_table_of_pyarrow_is_read_by_record_batch(job):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"a": [1, 2, None], "b": ["x", "y", "z"]})
    assert job.upload(table) == 3
    assert records_of(job)[2] == {"a": None, "b": "z"}
    job.upload(table.to_reader(), "lookup")
    assert len(records_of(job, "lookup")) == 3


def test_a_frame_of_pandas_is_rows(job):
    pandas = pytest.importorskip("pandas")
    job.upload(pandas.DataFrame({"a": [1, 2], "b": ["x", None]}))
    assert records_of(job) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


def test_a_mongo_query_gives_values(job):
    class Found:
        def find(self, filter, projection):
            assert filter == {"state": "FL"}
            assert projection == {"zip": 1, "_id": 0}
            return iter([{"zip": 1}, {"zip": 2}])

    assert job.upload_mongo_query(Found(), {"state": "FL"}, ["zip"]) == 2
    assert records_of(job) == [1, 2]


def test_a_url_is_read_by_fsspec(job):
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://folder/in.txt.gz", "wb") as file:
        file.write(gzip.compress(b"one\ntwo\n"))
    assert job.upload("memory://folder/in.txt.gz") == 2
    assert records_of(job) == ["one", "two"]


@pytest.mark.parametrize("source", [5, b"bytes", {"a": 1}])
def test_what_is_no_input_is_refused(job, source):
    with pytest.raises(TypeError, match="cannot upload"):
        job.upload(source)


# --- failing uploads -----------------------------------------------------------------------------


def broken(count):
    yield from range(count)
    raise OSError("the source broke")


def test_a_failing_upload_removes_only_what_it_added_and_says_where(job):
    job.upload(range(15))
    with pytest.raises(OSError, match="the source broke") as caught:
        job.upload(broken(345))
    assert "stopped at record 346" in caught.value.__notes__[0]
    assert job.record_count == 15
    assert records_of(job) == list(range(15))


def test_a_record_that_cannot_be_stored_is_named(job):
    with pytest.raises(ValueError, match=r"record 13: cannot be stored: object <object object"):
        job.upload([*range(12), object()])
    assert job.record_count is None
    assert job.input.count() == 0


def test_a_failing_upload_to_a_running_job_removes_its_output_too(rocketjob):
    job = LoadBatchJob().save()
    rocketjob.work_off()
    job.reload()
    with pytest.raises(OSError, match="broke"), job.upload() as records:
        records.extend(range(250))  # stored in groups: some are there
        rocketjob.work_off()
        assert job.output.count()
        raise OSError("it broke")
    assert job.output.count() == 0
    job.upload(["again"])
    rocketjob.work_off()
    assert list(job.reload().records()) == ["again"]


def test_of_two_uploads_at_once_the_second_is_refused(rocketjob, job):
    with job.upload() as records:
        records.append(1)
        with pytest.raises(StateConflict, match="has not ended"):
            job.upload([2])
    assert records_of(job) == [1]


def test_uploads_of_two_processes_to_one_category_do_not_mix(rocketjob):
    job = LoadBatchJob().save()
    mine, others = job.upload(), LoadBatchJob.find(job.id).upload()
    with mine:
        mine.extend(range(200))
        with pytest.raises(StateConflict, match="another upload to main"), others:
            others.extend(range(1000, 1200))
    assert records_of(job) == list(range(200))


@pytest.mark.parametrize("event", ["abort", "destroy"])
def test_an_upload_to_a_job_that_is_given_up_ends_and_leaves_nothing(rocketjob, event):
    job = LoadBatchJob().save()
    other = LoadBatchJob.find(job.id)
    with pytest.raises((StateConflict, NotFound)), job.upload() as records:
        records.extend(range(200))
        getattr(other, event)()
        records.extend(range(400))
    assert [n for n in rocketjob.store.collection_names() if str(job.id) in n] in (
        [],
        [job.input.name],
    )
    assert job.input.count() == 0


def test_numbers_go_on_behind_records_that_are_processed_and_gone(rocketjob):
    job = LoadBatchJob().save()
    rocketjob.work_off()
    job.reload()
    with job.upload() as records:
        records.extend(range(200))
        rocketjob.work_off()
        assert job.input.count() == 0
        records.extend(range(200, 405))
    rocketjob.work_off()
    assert list(job.reload().records()) == list(range(405))


def test_a_forgotten_writer_does_not_block_the_next_upload(job):
    job.upload().append(1)
    assert job.upload([2]) == 1


def test_progress_is_told(job):
    told = []
    job.upload(range(450), progress=told.append)
    assert told == [200, 400, 450]


# --- categories ----------------------------------------------------------------------------------


def test_without_categories_there_is_one_input_and_no_output(rocketjob):
    class PlainBatchJob(Batch, Job):
        def perform(self, record): ...

    job = PlainBatchJob()
    (only,) = job.input_categories
    assert (only.name, only.slice_size, only.serializer) == ("main", 100, "compress")
    with pytest.raises(ValueError, match="Unknown Output Category: 'main'"):
        _ = job.output


def test_categories_of_a_class_do_not_change_its_parent_or_other_jobs(rocketjob):
    class ChildBatchJob(LoadBatchJob):
        input_category = InputCategory(slice_size=7)

    ChildBatchJob().input_category_for("main").slice_size = 99
    assert ChildBatchJob().slice_size == 7
    assert LoadBatchJob().slice_size == 10
    assert [each.name for each in ChildBatchJob().input_categories] == ["main", "lookup"]


def test_a_job_needs_the_input_that_is_processed(rocketjob):
    class OtherBatchJob(Batch, Job):
        input_categories = ["other"]

        def perform(self, record): ...

    with pytest.raises(ValidationError, match="one named main"):
        OtherBatchJob().save()


@pytest.mark.parametrize("serializer", ["none", "compress", "zstd", "encrypt"])
def test_any_serializer_keeps_records_and_their_types(serializer):
    pytest.importorskip({"zstd": "zstandard", "encrypt": "cryptography"}.get(serializer, "json"))
    from rocketjob_plugins.encryption.keys import new_key

    with sandbox(encryption_keys=[new_key()]) as rocketjob:
        job = LoadBatchJob(
            input_categories=[InputCategory(serializer=serializer)],
            output_categories=[OutputCategory(serializer=serializer, nils=True)],
        )
        values = ["text", "two\nlines", "", 1, 1.5, None, True, [1, "a"], {"k": "v"}, b"bytes"]
        job.upload(values)
        assert finished(rocketjob, job) == values


def test_bz2_output_is_downloaded_as_it_is(rocketjob, tmp_path):
    job = LoadBatchJob(output_categories=[OutputCategory(serializer="bz2")])
    job.upload([f"line {n}" for n in range(25)])
    finished(rocketjob, job)
    assert job.download(tmp_path / "out.bz2") == 3
    text = bz2.decompress((tmp_path / "out.bz2").read_bytes()).decode()
    assert text.splitlines() == [f"line {n}" for n in range(25)]


@pytest.mark.parametrize("name", ["bz2", "nothing"])
def test_an_input_must_have_a_serializer_that_can_be_read(rocketjob, name):
    with pytest.raises(ValidationError, match=name):
        LoadBatchJob(input_categories=[InputCategory(serializer=name)]).save()


def test_short_forms_mean_the_same(rocketjob):
    class ShortBatchJob(Batch, Job):
        slice_size = 7
        collect_output = True
        compress = False
        tabular_output_header = ["a", "b"]

        def perform(self, record):
            return {"a": record}

    job = ShortBatchJob(destroy_on_complete=False)
    assert job.slice_size == 7
    (output,) = job.output_categories
    assert (output.serializer, output.columns, output.format) == ("none", ["a", "b"], "csv")
    assert job.input_categories[0].serializer == "none"
    job.upload([1])
    assert finished(rocketjob, job) == ["1,"]


def test_collect_output_alone_keeps_none(rocketjob):
    class CollectBatchJob(Batch, Job):
        collect_output = True

        def perform(self, record): ...

    assert CollectBatchJob().output_categories[0].nils is True

    class WithoutNilsBatchJob(CollectBatchJob):
        collect_nil_output = False

    assert WithoutNilsBatchJob().output_categories[0].nils is False


def test_from_properties_merges_categories(rocketjob):
    job = LoadBatchJob.from_properties(
        {
            "priority": "20",
            "slice_size": "33",
            "input_categories": [{"format": "csv"}, {"name": "lookup", "slice_size": 5}],
            "output_categories": [{"columns": ["a"]}],
        }
    )
    assert (job.priority, job.slice_size) == (20, 33)
    assert [each.format for each in job.input_categories] == ["csv", None]
    assert job.input_category_for("lookup").slice_size == 5
    assert job.output_category_for("main").columns == ["a"]
    with pytest.raises(ConfigurationError, match="no setting colour"):
        LoadBatchJob.from_properties({"input_categories": [{"colour": "red"}]})


# --- downloads -----------------------------------------------------------------------------------


def test_a_download_is_refused_while_the_job_runs(rocketjob, job, tmp_path):
    job.save()
    rocketjob.work_off()
    with pytest.raises(RuntimeError, match="Cannot download incomplete job"):
        job.reload().download(tmp_path / "out.txt")


def test_a_download_is_refused_to_who_saved_the_job_and_has_not_looked_since(job, tmp_path):
    (tmp_path / "out.txt").write_text("what there was")
    job.upload(["a"])
    job.save()
    type(job).find(job.id).start()
    assert job.is_queued
    with pytest.raises(RuntimeError, match=r"incomplete job: .* Wait for it: job\.wait\(\)"):
        job.download(tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == "what there was"


@pytest.mark.parametrize("name", ["out.txt", "out.txt.gz"])
def test_a_download_is_lines_compressed_by_its_name(rocketjob, job, tmp_path, name):
    job.upload(["a", "b", "c", 4])
    finished(rocketjob, job)
    assert job.download(tmp_path / name) == 4
    data = (tmp_path / name).read_bytes()
    assert (gzip.decompress(data) if name.endswith("gz") else data) == b"a\nb\nc\n4\n"


def test_a_download_needs_a_target(rocketjob, job):
    job.upload([])
    finished(rocketjob, job)
    with pytest.raises(ValueError, match="file_name"):
        job.download()


def test_a_csv_without_columns_takes_them_from_the_first_row(rocketjob, tmp_path):
    class LearnBatchJob(LoadBatchJob):
        output_category = OutputCategory(format="csv")

    job = LearnBatchJob()
    job.upload([{"b": 1, "a": 2}, {"a": 3}])
    finished(rocketjob, job)
    assert job.download(tmp_path / "out.csv") == 2
    assert (tmp_path / "out.csv").read_text() == "b,a\n1,2\n,3\n"


def test_a_misspelt_option_is_named(job):
    with pytest.raises(TypeError, match="no option encodng to read a file; did you mean encoding"):
        job.upload(["a"], encodng="latin-1")
