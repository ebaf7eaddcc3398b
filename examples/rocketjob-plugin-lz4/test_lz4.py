from datetime import UTC, datetime
from decimal import Decimal

import lz4.frame
import pytest
import rocketjob_plugin_lz4 as plugin

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.streams import StreamError
from rocketjob_plugins.batch.testing import SerializerContract, StreamContract


class Lz4Job(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(serializer="lz4", slice_size=2)
    output_category = OutputCategory(serializer="lz4")

    def perform(self, record):
        return record


class TestSerializer(SerializerContract):
    serializer = plugin.OF_SLICES


class TestStream(StreamContract):
    stream = plugin.LZ4


@pytest.fixture(autouse=True)
def rocketjob():
    with sandbox(plugins=["batch", plugin]) as made:
        yield made


def test_slices_are_packed_and_keep_their_types(rocketjob, tmp_path):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    given = ["a", "b\nc", 1, {"x": Decimal("1.5")}, [1, 2], at, b"\0", 1.5, True]
    job = Lz4Job()
    job.upload(given)
    job.save()
    assert job.input.collection.find_one({})["records"].startswith(b"\x04\x22\x4d\x18")
    assert rocketjob.work_off() == 1
    assert list(job.reload().records()) == given


def test_a_file_is_read_and_written(rocketjob, tmp_path):
    content = b"x\ny\n" * 100_000
    (tmp_path / "a.txt.lz4").write_bytes(lz4.frame.compress(content))
    job = Lz4Job(input_categories=[InputCategory(slice_size=10_000)])
    assert job.upload(tmp_path / "a.txt.lz4") == 200_000
    job.save()
    rocketjob.work_off()
    job.reload().download(tmp_path / "b.txt.lz4")
    assert lz4.frame.decompress((tmp_path / "b.txt.lz4").read_bytes()) == content


def test_a_file_that_is_not_lz4_is_refused(tmp_path):
    (tmp_path / "a.txt.lz4").write_text("x\n")
    with pytest.raises(StreamError, match="is not lz4 data: it looks like plain text"):
        Lz4Job().upload(tmp_path / "a.txt.lz4")
