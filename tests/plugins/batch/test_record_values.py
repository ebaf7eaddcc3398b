"""Records hold every type that a field may have, wherever the machine is."""

import os
import re
import subprocess
import sys
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from bson import ObjectId

from rocketjob import Job, field
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.streams import StreamError
from rocketjob_plugins.singleton import Singleton
from support.encryption import reversing

SERIALIZERS = ["none", "compress", "zstd", "encrypt"]
NOON = datetime(2024, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
VALUES = [
    NOON,
    uuid.UUID(int=5),
    ObjectId("0123456789abcdef01234567"),
    date(2024, 7, 1),
    timedelta(hours=1, microseconds=1),
    Decimal("1.10"),
    b"\0\xff",
    re.compile("a+"),
    range(3),
    (1, "two"),
    {1, 2},
    {"price.usd": 1, "$ref": None},
    2**40,
    1.5,
    True,
    None,
    "two\nlines",
]
RECORDS = [*VALUES, {"values": VALUES}]


class SameValuesJob(Batch, Job):
    destroy_on_complete = False
    output_category = OutputCategory(nils=True)

    def perform(self, record):
        return record


class NaiveOutputJob(SameValuesJob):
    def perform(self, record):
        return {"at": [datetime(2024, 7, 1)]}


class SecretValuesJob(Job):
    token: uuid.UUID | None = field(default=None, encrypted=True)
    at: datetime | None = field(default=None, encrypted=True)
    anything: object = field(default=None, encrypted=True)

    def perform(self): ...


class OnePerTokenJob(Singleton, Job):
    unique_by = ("token", "at")
    token: uuid.UUID
    at: datetime | None = None

    def perform(self): ...


def categories(serializer):
    return {
        "input_categories": [InputCategory(serializer=serializer, slice_size=4)],
        "output_categories": [OutputCategory(serializer=serializer, nils=True)],
    }


@pytest.fixture
def encryption(rocketjob):
    return reversing(rocketjob)


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_records_of_every_type_come_back_as_they_were(rocketjob, encryption, serializer):
    job = SameValuesJob(**categories(serializer))
    job.upload(RECORDS)
    job.save()
    rocketjob.work_off()
    found = list(job.reload().records())
    assert found == RECORDS
    for came, was in zip([*found, *found[-1]["values"]], [*RECORDS, *VALUES], strict=True):
        assert isinstance(came, type(was))


@pytest.mark.parametrize("serializer", SERIALIZERS[:3])
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {"at": v}, lambda v: [[v]]])
def test_a_time_without_a_zone_is_refused_with_its_record(rocketjob, serializer, wrap):
    job = SameValuesJob(**categories(serializer))
    with pytest.raises(ValueError, match=r"record 2.*must have a time zone"):
        job.upload(["fine", wrap(datetime(2024, 7, 1))])


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"__rocketjob__": "set"}, "marks values of special types"),
        ({1: "one"}, "must have text as keys"),
        ({"a\0b": 1}, r"may not contain '\\0'"),
        ([object()], "not a type that a document holds"),
    ],
)
def test_what_a_field_cannot_hold_no_record_holds(rocketjob, record, said):
    with pytest.raises(ValueError, match=said):
        SameValuesJob().upload([record])


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("bad", ["caf\udce9", {"k": "\ud83d"}, {"\udce9": 1}, ["\udfff"]])
def test_half_a_character_is_refused_with_its_record(rocketjob, encryption, serializer, bad):
    job = SameValuesJob(**categories(serializer))
    for records in (["a", "b", bad], iter(["a", "b", bad])):
        with pytest.raises(StreamError, match="record 3: cannot be stored"):
            job.upload(records)
        assert job.input.count() == 0
    with pytest.raises(StreamError, match="record 2"):
        job.upload_slice(["a", bad])


def test_half_a_character_of_a_file_is_refused_with_file_and_record(rocketjob, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\ncaf\xe9\n")
    with (tmp_path / "a.txt").open(encoding="utf-8", errors="surrogateescape") as file:
        job = SameValuesJob(**categories("compress"))
        with pytest.raises(StreamError, match=r"a\.txt, record 2: cannot be stored"):
            job.upload(file)


def test_an_output_that_has_a_time_without_a_zone_fails_with_the_reason(rocketjob):
    job = NaiveOutputJob()
    job.upload(["a"])
    job.save()
    rocketjob.work_off()
    (failed,) = job.reload().input.failed()
    assert "must have a time zone" in failed.exception.message


def test_encrypted_fields_hold_uuids_and_times(rocketjob, encryption):
    job = SecretValuesJob.create(token=uuid.UUID(int=7), at=NOON, anything={"at": [NOON]})
    found = SecretValuesJob.find(job.id)
    assert (found.token, found.at, found.anything) == (uuid.UUID(int=7), NOON, {"at": [NOON]})


def test_a_singleton_is_unique_by_uuids_and_times(rocketjob):
    OnePerTokenJob.create(token=uuid.UUID(int=7), at=NOON)
    twin = OnePerTokenJob(token=uuid.UUID(int=7), at=NOON.astimezone(UTC))
    assert twin.active_twin() is not None
    OnePerTokenJob.create(token=uuid.UUID(int=8), at=NOON)


@pytest.mark.skipif("ROCKETJOB_TEST_TZ" in os.environ, reason="this is that process")
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/St_Johns"])
def test_all_of_this_holds_in_other_time_zones(zone):
    done = subprocess.run(
        [sys.executable, "-I", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__],
        env={**os.environ, "TZ": zone, "ROCKETJOB_TEST_TZ": zone},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
