from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

import pyarrow as arrow
import pytest
import rocketjob_plugin_parquet as plugin
from pyarrow import parquet

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.streams import StreamError, open_lines
from rocketjob_plugins.batch.testing import FileFormatContract
from rocketjob_plugins.files import ConversionJob

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class ParquetJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(format="parquet", slice_size=2)
    output_category = OutputCategory(format="parquet")
    max_rejects = 5

    def perform(self, row):
        if row["id"] == 3:
            raise ValueError("bad")
        return {**row, "twice": row["amount"] * 2}


class AutoJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(format="auto", slice_size=2)
    output_category = OutputCategory(format="auto")

    def perform(self, row):
        return row


class TestFormat(FileFormatContract):
    format = plugin.Parquet
    rows = (
        {"id": 1, "amount": Decimal("1.10"), "blob": b"\x00\xff", "tags": ["a"], "none": None},
        {"id": 2, "amount": Decimal("2.20"), "blob": b"", "tags": [], "none": None},
        {"id": 3, "amount": None, "blob": None, "tags": None, "none": None},
    )
    wrong: ClassVar = {"id": "text"}
    blocks_of = plugin.ROWS


@pytest.fixture(autouse=True)
def rocketjob():
    with sandbox(plugins=["batch", "files", plugin]) as made:
        yield made


@pytest.fixture
def file(tmp_path):
    columns = {
        "id": [1, 2, 3, 4, 5],
        "amount": [Decimal("1.10")] * 5,
        "at": [AT] * 5,
        "blob": [b"\x00\xff"] * 5,
        "nested": [{"a": [1, 2]}] * 5,
    }
    parquet.write_table(arrow.table(columns), tmp_path / "in.parquet", row_group_size=2)
    return tmp_path / "in.parquet"


def done(rocketjob, job, source, **options):
    job.upload(source, **options)
    job.save()
    rocketjob.work_off()
    job.reload()
    assert job.is_completed, job.exception or job.input.group_exceptions()
    return job


def test_rows_keep_their_types(rocketjob, file, tmp_path):
    job = done(rocketjob, ParquetJob(), file)
    assert job.record_count == 5
    out = tmp_path / "out.parquet"
    assert job.download(out) == 4
    got = parquet.read_table(out).to_pylist()
    assert [row["id"] for row in got] == [1, 2, 4, 5]
    assert (got[0]["twice"], got[0]["at"], got[0]["blob"]) == (Decimal("2.20"), AT, b"\x00\xff")
    assert job.download_rejects(str(tmp_path / "bad.csv")) == 1
    assert '""id""' in (tmp_path / "bad.csv").read_text()


def test_auto_finds_it_by_the_name_both_ways(rocketjob, tmp_path):
    parquet.write_table(arrow.table({"id": [1], "name": ["ann"]}), tmp_path / "a.pq")
    job = done(rocketjob, AutoJob(), str(tmp_path / "a.pq"))
    assert job.download(tmp_path / "b.csv") == 1
    assert (tmp_path / "b.csv").read_text() == "id,name\n1,ann\n"
    assert job.download(tmp_path / "b.parquet") == 1
    assert parquet.read_table(tmp_path / "b.parquet").to_pylist() == [{"id": 1, "name": "ann"}]


def test_it_is_not_written_under_another_name(rocketjob, file, tmp_path):
    job = done(rocketjob, ParquetJob(), file)
    with pytest.raises(StreamError, match=r"is named \.csv, and it is written as parquet"):
        job.download(tmp_path / "out.csv")


def test_a_conversion_job_converts_it(rocketjob, tmp_path):
    (tmp_path / "a.csv").write_text("id,name\n1,ann\n")
    ConversionJob.create(source=str(tmp_path / "a.csv"), target=str(tmp_path / "b.parquet"))
    rocketjob.work_off()
    assert parquet.read_table(tmp_path / "b.parquet").to_pylist() == [{"id": "1", "name": "ann"}]


def test_a_broken_file_is_refused_and_leaves_no_records(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nonsense")
    job = ParquetJob()
    with pytest.raises(StreamError, match=r"x\.parquet.*not a valid parquet file"):
        job.upload(tmp_path / "x.parquet")
    assert job.input.count() == 0


def test_a_packed_file_is_read_and_written(rocketjob, file, tmp_path):
    job = done(rocketjob, ParquetJob(), file)
    assert job.download(str(tmp_path / "o.parquet.gz")) == 4
    assert ParquetJob().upload(str(tmp_path / "o.parquet.gz")) == 4


def test_only_some_columns_are_read_and_a_misspelt_one_is_named(rocketjob, file):
    options = {"format_options": {"columns": ["id", "amount"]}}
    with open_lines(file, **options) as rows:
        assert next(rows) == {"id": 1, "amount": Decimal("1.10")}
    with (
        open_lines(file, format_options={"columns": ["idd"]}) as rows,
        pytest.raises(StreamError, match="has no column idd; it has id, amount"),
    ):
        next(rows)


def test_row_groups_bound_what_is_in_memory(rocketjob, tmp_path):
    rows = [{"id": number * 10, "amount": number} for number in range(100)]
    options = {"row_group_size": 30, "compression": "snappy"}
    category = OutputCategory(format="parquet", format_options=options)
    job = done(rocketjob, ParquetJob(output_categories=[category]), rows)
    job.download(tmp_path / "out.parquet")
    found = parquet.ParquetFile(tmp_path / "out.parquet").metadata
    sizes = [found.row_group(n).num_rows for n in range(found.num_row_groups)]
    assert sizes == [30, 30, 30, 10]
    assert found.row_group(0).column(0).compression == "SNAPPY"


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({"id": 2, "amount": 1, "extra": 1}, "row 2 has the column extra, and the first had id"),
        ({"id": 2, "amount": "x"}, "rows 1 to 2 do not fit the columns"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_and_what_was_there_stays(
    rocketjob, tmp_path, last, said
):
    (tmp_path / "out.parquet").write_bytes(b"before")
    job = done(rocketjob, ParquetJob(), [{"id": 1, "amount": 1}, last])
    with pytest.raises(StreamError, match=said):
        job.download(tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").read_bytes() == b"before"
