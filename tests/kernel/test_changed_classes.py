"""Stored jobs whose class has changed: none keeps others back, and each says what is wrong."""

import enum
from datetime import date
from decimal import Decimal

import attrs
import pytest

from rocketjob import Job, ValidationError, before, field, validators
from rocketjob.model.document import Document
from rocketjob.model.record import record_of
from support.jobs import stored


class Shade(enum.Enum):
    DARK = "dark"


@attrs.define
class Place:
    city: str
    zip: int


class ChangedJob(Job):
    destroy_on_complete = False
    day: date | None = field(default=None, user_editable=True)
    number: int = 0
    data: bytes = b""
    shade: Shade | None = None
    days: list[date] = []
    marks: set[int] = set()
    options: dict[str, date] = {}
    place: Place | None = None
    pages: range | None = None
    name: str = "x"

    def perform(self):
        return self.number


def as_stored(**values):
    """Return a job whose document holds values that the class would not store."""
    job = ChangedJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": values})
    return job


MISFITS = [
    {"day": "whenever"},
    {"day": 5},
    {"number": "many"},
    {"data": 10**12},
    {"shade": "light"},
    {"days": "today"},
    {"days": ["today"]},
    {"marks": [[1]]},
    {"options": ["a"]},
    {"options": {"a": "today"}},
    {"place": {"city": "Berlin"}},
    {"place": "Berlin"},
    {"pages": {"start": 1}},
    {"name": ["x"]},
]


@pytest.mark.parametrize("values", MISFITS, ids=str)
def test_a_value_that_does_not_fit_stays_as_it_is_stored(rocketjob, values):
    job, other = as_stored(**values), ChangedJob.create()
    ((name, value),) = values.items()
    assert {each.id for each in ChangedJob.all()} == {job.id, other.id}
    for found in (Job.find(job.id), ChangedJob.where(id=job.id).first(), job.reload()):
        assert type(found) is ChangedJob
        assert getattr(found, name) == value
        assert record_of(found).changes(found) == ({}, {})
    assert ChangedJob.where(id=job.id).pluck(name) == [value]


@pytest.mark.parametrize("values", MISFITS, ids=str)
def test_a_job_that_does_not_fit_can_be_aborted_and_is_left_as_it_is(rocketjob, values):
    job = Job.find(as_stored(**values).id)
    ((name, value),) = values.items()
    said = rf"not valid: {name}(: |\[.*\] )must be|place\.zip is missing"
    with pytest.raises(ValidationError, match=said):
        job.save()
    job.status(), job.explain(), repr(job)
    job.fail("wrong")
    with pytest.raises(ValidationError, match=said):
        job.retry()
    job.abort()
    assert (stored(job)["state"], stored(job)[name]) == ("aborted", value)


def test_a_value_that_does_not_fit_can_be_replaced(rocketjob):
    job = Job.find(as_stored(day="whenever").id)
    job.update(day=date(2026, 1, 1))
    assert Job.find(job.id).day == date(2026, 1, 1)


def test_a_worker_fails_a_job_that_does_not_fit_and_goes_on(rocketjob):
    job, other = as_stored(day="whenever"), ChangedJob.create()
    rocketjob.work_off()
    assert other.reload().is_completed
    assert job.reload().is_failed
    assert job.exception.message == (
        "ChangedJob is not valid: day: must be date, not str 'whenever'"
    )


def test_a_field_that_the_class_has_no_more_stays_in_the_document(rocketjob):
    job = as_stored(removed_since=5)
    Job.find(job.id).update(number=3)
    assert stored(job)["removed_since"] == 5
    assert not hasattr(Job.find(job.id), "removed_since")


def test_a_field_that_has_become_required_is_asked_for_when_the_job_is_saved(rocketjob):
    class NowRequiredJob(Job):
        needed: str

        def perform(self): ...

    job = NowRequiredJob.create(needed="x")
    Job.collection().update_one({"_id": job.id}, {"$unset": {"needed": ""}})
    found = Job.find(job.id)
    assert found.needed is None
    with pytest.raises(ValidationError, match="needed: is required"):
        found.save()
    found.abort()


def test_who_is_to_run_a_job_is_told_that_it_does_not_fit(rocketjob):
    document = stored(as_stored(place={"city": "Berlin"}))
    with pytest.raises(ValidationError, match=r"not valid: place\.zip is missing"):
        Job.from_document(document)
    assert Job.listed(document).place == {"city": "Berlin"}


def test_other_documents_raise_what_their_class_raises(rocketjob):
    class StubbornNote(Document):
        collection_name = "tests.stubborn_notes"
        made: int = field(factory=lambda: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        StubbornNote.listed({"_id": 1, "_type": "StubbornNote"})


# --- before perform -----------------------------------------------------------------------------

ran = []


class ShippedJob(Job):
    destroy_on_complete = False
    order_id: int
    courier: str = field(default="ups", validator=validators.in_(["ups", "dhl"]))
    weight: Decimal = Decimal(1)

    @before("start")
    def announce(self):
        ran.append("start")

    def perform(self):
        ran.append(self.order_id)


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"$unset": {"order_id": ""}}, "order_id: is required"),
        ({"$rename": {"order_id": "order_number"}}, "order_id: is required"),
        ({"$set": {"order_id": "7"}}, "order_id: must be int, not str '7'"),
        ({"$set": {"order_id": None}}, "order_id: is required"),
        ({"$set": {"weight": 3}}, "weight: must be Decimal"),
        ({"$set": {"courier": "post"}}, "courier: must be in"),
    ],
    ids=str,
)
def test_a_job_that_does_not_fit_its_class_is_failed_before_anything_of_it_runs(
    rocketjob, update, said
):
    ran.clear()
    job = ShippedJob.create(order_id=7)
    Job.collection().update_one({"_id": job.id}, update)
    rocketjob.work_off()
    assert (job.reload().state, ran) == ("failed", [])
    assert job.exception.class_name == "ValidationError"
    assert said in job.exception.message


def test_every_field_that_does_not_fit_is_named(rocketjob):
    job = ShippedJob.create(order_id=7)
    Job.collection().update_one(
        {"_id": job.id}, {"$unset": {"order_id": ""}, "$set": {"weight": 3}}
    )
    rocketjob.work_off()
    message = job.reload().exception.message
    assert "order_id: is required" in message and "weight: must be Decimal" in message


class CountedUpJob(Job):
    def perform(self, count: int):
        ran.append(count)


def test_stored_arguments_of_another_type_are_refused_before_perform(rocketjob):
    ran.clear()
    job = CountedUpJob.perform_later(5)
    Job.collection().update_one({"_id": job.id}, {"$set": {"arguments.args": ["5"]}})
    rocketjob.work_off()
    assert (job.reload().state, ran) == ("failed", [])
    assert "CountedUpJob.perform(count: int): count must be int" in job.exception.message


def test_a_job_that_was_put_right_can_be_retried(rocketjob):
    ran.clear()
    job = ShippedJob.create(order_id=7)
    Job.collection().update_one({"_id": job.id}, {"$unset": {"order_id": ""}})
    rocketjob.work_off()
    job.reload().update(order_id=8)
    job.retry()
    rocketjob.work_off()
    assert (job.reload().state, ran) == ("completed", ["start", 8])
