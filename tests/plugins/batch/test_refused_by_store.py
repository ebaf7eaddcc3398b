"""What nothing but the store refuses: the slice fails alone, and is not tried for ever."""

import os
from datetime import timedelta
from typing import ClassVar

import pytest

from rocketjob import Job, StateConflict, hookimpl
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory, Statistics
from rocketjob_plugins.batch.outcome.commit import add_statistics
from rocketjob_plugins.batch.serializers import Serializer
from rocketjob_plugins.batch.slice import explained


class Unchecked:
    """A plugin whose serializer stores values as they are, and looks at none of them."""

    @hookimpl
    def register_serializers(self):
        return [Serializer("unchecked", list, list)]


class UncheckedBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2)
    output_category = OutputCategory()

    def perform(self, record):
        return object() if record == "bad" else [record]


@pytest.fixture
def unchecked(rocketjob):
    rocketjob.plugins.register(Unchecked())
    return rocketjob


def test_output_that_only_the_store_refuses_fails_its_slice_alone_and_names_the_record(unchecked):
    job = UncheckedBatchJob(output_categories=[OutputCategory(serializer="unchecked")])
    job.upload(["a", "b", "c", "bad", "e"])
    job.save()
    unchecked.work_off()
    assert job.reload().is_failed
    (failed,) = job.input
    assert failed.first_record_number == 3 and failed.failure_count == 1
    assert failed.exception.message.startswith("record 4: what perform returned cannot be stored: ")
    assert [list(each) for each in job.output] == [[["a"], ["b"]], [["e"]]]


def test_input_that_only_the_store_refuses_names_the_record(unchecked):
    job = UncheckedBatchJob(input_categories=[InputCategory(slice_size=2, serializer="unchecked")])
    with pytest.raises(Exception, match=r"record 4: cannot be stored: ") as caught:
        job.upload(["a", "b", "c", object(), "e"])
    assert any("what it had added is removed" in note for note in caught.value.__notes__)
    assert not job.input.count()


def test_what_cannot_be_measured_is_left_to_the_words_of_the_store():
    error = StateConflict("refused")
    assert explained(error, [{"_id": 1, "size": 1, "records": [object()]}]) is error


class CountedRefusedJob(Statistics, Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=1)
    output_category = OutputCategory()

    bad_key: ClassVar = "bad"

    def perform(self, record):
        self.statistics_inc(self.bad_key if record == "bad" else record)
        return record


@pytest.mark.parametrize("key", ["a\0b", "\ud800"])
def test_a_key_that_no_document_holds_fails_at_its_record(rocketjob, monkeypatch, key):
    monkeypatch.setattr(CountedRefusedJob, "bad_key", key)
    job = CountedRefusedJob()
    job.upload(["a", "bad", "c"])
    job.save()
    rocketjob.work_off()
    (failed,) = job.reload().input
    assert failed.first_record_number == 2
    assert failed.exception.message.startswith("statistics_inc: ")
    assert job.statistics == {"a": 1, "c": 1}


def test_a_count_of_more_than_64_bits_is_refused(rocketjob):
    with pytest.raises(ValueError, match="rows must be added a number of 64 bits, not 9223372036"):
        CountedRefusedJob().statistics_inc("rows", 2**63)


def test_slices_that_were_claimed_when_counts_were_refused_are_released(tmp_path, monkeypatch):
    urls = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("jobs", "slices")}
    refusals = [ValueError("refused")]

    def refuse(job, counts):
        if refusals:
            raise refusals.pop()
        add_statistics(job, counts)

    monkeypatch.setattr("rocketjob_plugins.batch.work.slices.add_statistics", refuse)
    with sandbox(urls["jobs"], slices_url=urls["slices"]) as made:
        job = CountedRefusedJob()
        job.upload(["a", "b", "c", "d", "e"])
        job.save()
        made.work_off()
        assert not job.input.count("running")
        made.travel(timedelta(minutes=5))
        made.work_off()
        assert job.reload().is_completed
        assert list(job.records()) == ["a", "b", "c", "d", "e"]


# --- output that is too large --------------------------------------------------------------------


class LargeOutputJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=4)
    output_category = OutputCategory()

    def perform(self, megabytes):
        return None if megabytes is None else os.urandom(megabytes * 1_000_000)


def large(rocketjob, megabytes, **values):
    job = LargeOutputJob(**values)
    job.upload(megabytes)
    job.save()
    rocketjob.work_off()
    return job.reload()


def test_output_that_is_too_large_for_one_slice_becomes_several(rocketjob):
    job = large(rocketjob, [6, 6, 6])
    if not rocketjob.store.capabilities.transactions:  # all of it is noted in one document first
        (failed,) = job.input.failed()
        assert failed.exception.message.startswith("records 1 to 3 have 18,000,")
        return
    assert job.is_completed
    assert [len(record) for record in job.records()] == [6_000_000] * 3


def test_a_record_whose_output_is_too_large_is_rejected_alone(rocketjob):
    job = large(rocketjob, [None, 17, 1, 17], max_rejects=2)
    assert (job.is_completed, job.reject_count) == (True, 2)
    assert [len(record) for record in job.records()] == [1_000_000]


def test_a_record_whose_output_is_too_large_fails_its_slice_and_is_named(rocketjob):
    job = large(rocketjob, [1, None, 17, 1])
    (failed,) = job.input.failed()
    assert failed.exception.message.startswith("record 3 has 17,000,")
    assert failed.processing_record_number == 3
    assert [len(record) for record in job.records()] == [1_000_000]
