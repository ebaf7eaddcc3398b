"""How records are kept in the document of a slice, and how they leave it."""

import threading

import pytest

from rocketjob import Job
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.serializers import BUILT_IN

SERIALIZERS = [each for each in BUILT_IN if each.name in ("none", "compress", "zstd")]
LINES = [["a", "b"], [""], ["", ""], ["é\r", "\0", "\u2028"], ["one"]]
OTHERS = [[], ["two\nlines", "b"], [1, "a"], [b"bytes"], [None], [["a"]], ["a", {"k": (1, 2)}]]


class KeptBatchJob(Batch, Job):
    destroy_on_complete = False
    output_category = OutputCategory()

    def perform(self, record):
        return record


@pytest.mark.parametrize("serializer", SERIALIZERS, ids=lambda each: each.name)
@pytest.mark.parametrize("records", [*LINES, *OTHERS], ids=repr)
def test_records_come_back_as_they_were(serializer, records):
    stored = serializer.dump(records)
    assert serializer.load(stored) == records
    assert list(map(type, serializer.load(stored))) == list(map(type, records))
    assert serializer.lines(stored) == ("\n".join(records) if records in LINES else None)


def test_each_thread_has_a_compressor_of_its_own():
    compress = SERIALIZERS[1]
    wrong = []

    def work(number):
        for size in range(1, 200):
            records = [f"{number} {index}" for index in range(size)]
            if compress.load(compress.dump(records)) != records:
                wrong.append((number, size))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_texts_are_stored_as_lines_and_anything_else_as_a_list(rocketjob):
    job = KeptBatchJob(input_categories=[InputCategory(slice_size=2, serializer="none")])
    job.upload(["a", "b", "c", "two\nlines", 1])
    stored = job.input.collection.find({}, sort=[("_id", 1)])
    assert [each["records"] for each in stored] == ["a\nb", ["c", "two\nlines"], [1]]


@pytest.mark.parametrize("serializer", SERIALIZERS, ids=lambda each: each.name)
def test_slices_of_lines_and_others_are_downloaded_in_one_file(rocketjob, tmp_path, serializer):
    job = KeptBatchJob(
        input_categories=[InputCategory(slice_size=2)],
        output_categories=[
            OutputCategory(serializer=serializer.name, format_options={"line_breaks": "keep"})
        ],
    )
    job.upload(["a", "", "", "", "two\nlines", "b", 1, "c", ""])
    job.save()
    rocketjob.work_off()
    assert job.reload().download(tmp_path / "out") == 9
    assert (tmp_path / "out").read_text() == "a\n\n\n\ntwo\nlines\nb\n1\nc\n\n"


def test_the_size_of_a_slice_is_that_of_its_records_when_they_were_changed(rocketjob):
    job = KeptBatchJob()
    job.upload(["a", "b", "c"])
    slice_ = job.input.first()
    assert (slice_.size, slice_.lines()) == (3, "a\nb\nc")
    del slice_[0]
    assert (slice_.size, slice_.lines()) == (2, None)
