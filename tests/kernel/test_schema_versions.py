"""Jobs that were stored by another version of their class: `schema_version` and `upcast`."""

import json

import pytest
from click.testing import CliRunner

from rocketjob import Job, UnknownJob, ValidationError
from rocketjob.cli.root import make_cli
from rocketjob_plugins.batch import Batch, InputCategory
from support.deploy import deploy, forget_all, roll_back

seen = []


def perform(self):
    seen.append(self.amount)


@pytest.fixture(autouse=True)
def _nothing_is_left():
    seen.clear()
    yield
    forget_all()


def in_cents(cls, document):
    if document["_version"] < 2:
        document["amount"] = round(document["amount"] * 100)
    return document


def job_of(version, upcast=in_cents, **attributes):
    given = {"amount": 0, "destroy_on_complete": False, "perform": perform}
    if version > 1:
        given |= {"schema_version": version, "upcast": classmethod(upcast)}
    kind = float if version == 1 else int
    return deploy("VersionDeployJob", fields={"amount": kind}, **given | attributes)


def stored(job):
    return Job.collection().find_one({"_id": job.id})


def test_a_document_of_an_earlier_version_is_brought_to_this_one(rocketjob):
    job = job_of(1).create(amount=1.5)
    assert "_version" not in stored(job)
    new = job_of(2)
    assert new.find(job.id).amount == 150
    assert rocketjob.work_off() == 1
    assert seen == [150]
    assert (stored(job)["amount"], stored(job)["_version"]) == (150, 2)
    assert new.find(job.id).amount == 150
    assert new.create(amount=3).reload().amount == 3


def test_it_is_brought_over_several_versions_at_once(rocketjob):
    job = job_of(1).create(amount=1.5)
    versions = []

    def upcast(cls, document):
        versions.append(document["_version"])
        return in_cents(cls, document)

    assert job_of(4, upcast).find(job.id).amount == 150
    assert versions == [1]


def test_what_upcast_removes_is_removed_with_the_first_save(rocketjob):
    job = job_of(1, path="x").create(amount=1.0)
    Job.collection().update_one({"_id": job.id}, {"$set": {"currency": "EUR", "kept": 1}})

    def upcast(cls, document):
        del document["currency"]
        return in_cents(cls, document)

    job_of(2, upcast).find(job.id).update(priority=3)
    assert "currency" not in stored(job)
    assert stored(job)["kept"] == 1


def raises(cls, document):
    raise LookupError(f"no rate for {document['amount']}")


@pytest.mark.parametrize(
    ("upcast", "reason"),
    [
        (raises, "LookupError: no rate for 1.5"),
        (lambda cls, document: None, "TypeError: VersionDeployJob.upcast must return the document"),
        (lambda cls, document: document | {"state": "completed"}, "cannot change state"),
        (lambda cls, document: document | {"amount": "much"}, "ValidationError: .*amount"),
    ],
)
def test_an_upcast_that_goes_wrong_fails_that_job_and_the_rest_goes_on(rocketjob, upcast, reason):
    old = job_of(1)
    bad = old.create(amount=1.5)

    def sometimes(cls, document):
        return in_cents(cls, document) if document["amount"] > 2 else upcast(cls, document)

    good = old.create(amount=2.5)
    job_of(2, sometimes)
    assert rocketjob.work_off() == 1
    assert seen == [250]
    assert stored(good)["state"] == "completed"
    assert stored(bad)["state"] == "failed"
    shown = Job.listed(stored(bad))
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(f"{shown.exception.class_name}: {shown.exception.message}")
    new = job_of(2)  # mended
    new.find(bad.id).retry()
    assert rocketjob.work_off() == 1
    assert seen == [250, 150]


def test_a_job_whose_upcast_raises_is_listed_all_the_same(rocketjob):
    job = job_of(1).create(amount=1.5)
    job_of(2, raises)
    (listed,) = Job.all()
    assert isinstance(listed, UnknownJob)
    assert listed.problem == "LookupError: no rate for 1.5"
    assert listed.id == job.id


def test_a_document_of_a_later_version_is_held_and_says_why(rocketjob):
    old = job_of(1)
    new = job_of(3)
    job = new.create(amount=150)
    roll_back(old)
    mine = old.create(amount=1.5)
    assert rocketjob.work_off() == 1
    assert (seen, stored(mine)["state"]) == ([1.5], "completed")
    held = old.find(job.id)
    assert (held.state, held.throttled_by) == ("queued", "schema_version")
    assert (
        "stored as version 3 of VersionDeployJob, which has version 1 here" in held.throttled_text
    )
    with pytest.raises(ValidationError, match="this code is older"):
        held.perform_now()
    held.update(priority=1)  # what it does not understand it leaves as it is
    assert (stored(job)["amount"], stored(job)["_version"]) == (150, 3)
    roll_back(new)
    rocketjob._queue = None
    assert rocketjob.work_off() == 1
    assert seen == [1.5, 150]


def test_many_of_a_later_version_do_not_keep_others_back(rocketjob):
    old, new = job_of(1), job_of(2)
    new.create_many([{"amount": 1}] * 30)
    roll_back(old)
    old.create(amount=1.5)
    assert len(rocketjob.queue.claim(5)) == 1
    assert rocketjob.queue.claim(5) == []


def test_the_end_of_another_job_is_no_reason_to_ask_again_for_one_of_a_later_version(rocketjob):
    old, new = job_of(1), job_of(2)
    job = new.create(amount=1)
    running = new.create(amount=2)
    running.start()  # by a worker of the new code
    roll_back(old)
    assert rocketjob.queue.claim(5) == []
    number = stored(job)["claim_number"]
    Job.collection().update_one({"_id": running.id}, {"$set": {"state": "completed"}})
    assert rocketjob.queue.claim(5) == []
    assert stored(job)["claim_number"] == number


def test_a_store_that_is_away_while_a_job_is_held_back_does_not_fail_it(rocketjob, monkeypatch):
    old = job_of(1)
    job = job_of(2).create(amount=1)
    roll_back(old)

    def away(*args, **options):
        raise ConnectionError("the store is away")

    monkeypatch.setattr(type(rocketjob.store), "write_many", away)
    monkeypatch.setattr(type(rocketjob.store), "is_transient", lambda self, error: True)
    assert rocketjob.queue.claim(1) == []
    assert stored(job)["state"] == "running"  # until the worker notices that nobody has it


def test_a_batch_of_a_later_version_is_not_joined(rocketjob):
    def each(self, record):
        seen.append(record)

    def batch(**attributes):
        return deploy("VersionDeployBatchJob", Batch, perform=each, **attributes)

    old, new = batch(), batch(schema_version=2)
    job = new(input_categories=[InputCategory(slice_size=1)])
    job.upload(["a", "b"])
    job.save()
    begun = {"$set": {"state": "running", "sub_state": "processing"}}
    Job.collection().update_one({"_id": job.id}, begun)
    roll_back(old)
    assert rocketjob.work_off() == 0
    roll_back(new)
    rocketjob._queue = None
    rocketjob.work_off(1)
    assert seen == ["a", "b"]


@pytest.mark.parametrize("version", ["x", 2.5, None, {}])
def test_a_version_that_is_no_number_fails_its_job(rocketjob, version):
    job = job_of(1).create(amount=1.5)
    Job.collection().update_one({"_id": job.id}, {"$set": {"_version": version}})
    assert rocketjob.work_off() == 0
    assert "its _version must be a whole number" in stored(job)["exception"]["message"]


@pytest.mark.parametrize("wrong", [0, -1, "2", 1.5, True, None])
def test_a_version_that_cannot_be_one_is_refused(wrong):
    with pytest.raises(TypeError, match="schema_version must be a whole number from 1"):
        deploy("VersionDeployJob", schema_version=wrong, perform=perform)


def test_an_upcast_that_would_never_be_called_is_refused():
    with pytest.raises(TypeError, match="is never called: give the class schema_version = 2"):
        deploy("VersionDeployJob", upcast=classmethod(in_cents), perform=perform)


def test_an_upcast_that_is_no_class_method_is_refused():
    with pytest.raises(TypeError, match="must be a @classmethod"):
        deploy("VersionDeployJob", schema_version=2, upcast=in_cents, perform=perform)


def test_what_the_class_does_not_know_survives_a_save(rocketjob):
    job = job_of(1).create(amount=1.5)
    Job.collection().update_one({"_id": job.id}, {"$set": {"currency": "EUR"}})
    job.reload().update(priority=3)
    job.pause()
    assert stored(job)["currency"] == "EUR"
    assert [each.id for each in Job.where({"currency": "EUR"})] == [job.id]


def test_what_the_class_does_not_know_is_shown(rocketjob):
    job = job_of(1).create(amount=1.5)
    more = {"currency": "EUR", "blob": b"\x01\x02", "_of_a_store": 1}
    Job.collection().update_one({"_id": job.id}, {"$set": more})
    shown = CliRunner().invoke(make_cli(), ["jobs", "show", str(job.id)]).stdout
    assert "Stored, but no field of the class here\n  blob" in shown
    assert "currency  EUR" in shown and "(2 bytes)" in shown and "_of_a_store" not in shown
    as_json = CliRunner().invoke(make_cli(), ["jobs", "show", str(job.id), "--json"]).stdout
    assert json.loads(as_json)["unknown_fields"] == {"blob": "(2 bytes)", "currency": "EUR"}
    Job.collection().update_one({"_id": job.id}, {"$set": {"_type": "NowhereJob"}})
    shown = CliRunner().invoke(make_cli(), ["jobs", "show", str(job.id)]).stdout
    assert "amount    1.5" in shown
