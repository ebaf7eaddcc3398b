"""The mixin Singleton."""

import multiprocessing

import pytest

from rocketjob import ConfigurationError, Job, UnknownJob, ValidationError, field
from rocketjob_plugins.singleton import Singleton
from support import flow_children as children


class SingleReportJob(Singleton, Job):
    destroy_on_complete = False
    pausable = True

    def perform(self): ...


class PerAccountJob(Singleton, Job):
    unique_by = ("account_id", "kind")
    account_id: int
    kind: str | None = None

    def perform(self): ...


class ReturningJob(PerAccountJob):
    on_conflict = "return"

    def perform(self, *args): ...


SAID = "Another instance of SingleReportJob is already queued, running or paused"


@pytest.mark.parametrize("way", [(), ("start",), ("pause",), ("start", "pause")])
def test_a_second_one_is_refused_while_one_is_active(rocketjob, way):
    job = SingleReportJob.create()
    for event in way:
        getattr(job, event)()
    with pytest.raises(ValidationError) as refused:
        SingleReportJob.create()
    assert refused.value.errors == {"state": [SAID]}
    assert SingleReportJob.create_if_valid() is None


@pytest.mark.parametrize("way", [("start", "complete"), ("fail",), ("abort",)])
def test_an_ended_one_makes_room(rocketjob, way):
    job = SingleReportJob.create()
    for event in way:
        getattr(job, event)()
    SingleReportJob.create()


def test_the_active_one_itself_can_be_saved(rocketjob):
    job = SingleReportJob.create()
    job.update(priority=3)
    job.start()
    job.update(priority=4)


def test_an_ended_one_cannot_become_active_beside_another(rocketjob):
    failed = SingleReportJob.create()
    failed.fail("x")
    SingleReportJob.create()
    with pytest.raises(ValidationError, match=SAID):
        failed.retry()
    assert failed.reload().is_failed
    failed.update(description="it can be saved")


def test_the_index_refuses_what_validation_did_not_see(rocketjob):
    SingleReportJob.create()
    with pytest.raises(ValidationError, match=SAID):
        SingleReportJob().save(validate=False)


def test_each_value_of_unique_by_has_its_own(rocketjob):
    PerAccountJob.create(account_id=1)
    PerAccountJob.create(account_id=2)
    PerAccountJob.create(account_id=1, kind="other")
    with pytest.raises(ValidationError):
        PerAccountJob.create(account_id=1)


def test_a_value_of_the_wrong_type_is_said_as_such(rocketjob):
    with pytest.raises(ValidationError) as refused:
        PerAccountJob.create(account_id="one")
    assert list(refused.value.errors) == ["account_id"]


def test_a_subclass_stands_for_itself(rocketjob):
    class SingleChildJob(SingleReportJob): ...

    SingleReportJob.create()
    SingleChildJob.create()
    with pytest.raises(ValidationError):
        SingleChildJob.create()


def test_on_conflict_return_gives_the_one_that_is_there(rocketjob):
    there = ReturningJob.create(account_id=1)
    assert ReturningJob.create(account_id=1).id == there.id
    assert ReturningJob.set(account_id=1).perform_later("x").id == there.id
    with pytest.raises(ValidationError):
        ReturningJob(account_id=1).save()
    assert ReturningJob.count() == 1


def test_on_conflict_return_still_raises_what_is_wrong_otherwise(rocketjob):
    ReturningJob.create(account_id=1)
    with pytest.raises(ValidationError, match="priority"):
        ReturningJob.create(account_id=1, priority=1000)


def test_on_conflict_return_makes_one_if_the_other_ends_in_between(rocketjob, monkeypatch):
    there = ReturningJob.create(account_id=1)
    find, asked = ReturningJob.active_twin, []

    def find_and_then_end(self):
        found = find(self)
        asked.append(found)
        if len(asked) == 1:  # by the validation: by the time of the next question it has ended
            there.abort()
        return found

    monkeypatch.setattr(ReturningJob, "active_twin", find_and_then_end)
    assert ReturningJob.create(account_id=1).id != there.id


def test_aborting_where_the_class_is_not_loaded_makes_room(rocketjob):
    job = SingleReportJob.create()
    SingleReportJob.collection().update_one({"_id": job.id}, {"$set": {"_type": "GoneSingleJob"}})
    unknown = Job.find(job.id)
    assert isinstance(unknown, UnknownJob)
    unknown.abort()
    SingleReportJob.create()


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"unique_by": "account"}, "unique_by must be a tuple"),
        ({"unique_by": ["account"]}, "unique_by must be a tuple"),
        ({"unique_by": ("acount",)}, "unique_by names no field: 'acount'"),
        ({"unique_by": ("secret",)}, "encrypted form is never the same twice"),
        ({"on_conflict": "ignore"}, 'on_conflict must be "raise" or "return"'),
    ],
)
def test_a_bad_declaration_is_an_error_when_the_class_is_made(attributes, said):
    annotations = {"account": int, "secret": str | None}
    body = {"secret": field(default=None, encrypted=True), "__annotations__": annotations}
    with pytest.raises(ConfigurationError, match=said):
        type("WrongSingleJob", (Singleton, Job), {**body, **attributes, "__module__": __name__})


def test_two_processes_at_the_same_instant_make_one_job(file_store):
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(3), spawn.Queue()
    url = file_store.application.config.url
    rounds = 20
    arguments = (url, barrier, results, rounds)
    workers = [spawn.Process(target=children.create_singletons, args=arguments) for _ in range(2)]
    for worker in workers:
        worker.start()
    for _ in range(rounds):
        barrier.wait(60)  # both create ...
        barrier.wait(60)  # ... and have created
        assert children.SingleAcrossJob.queued().count() == 1
        children.SingleAcrossJob.queued().first().abort()
    for worker in workers:
        worker.join(60)
    outcomes = [results.get(timeout=10) for _ in workers]
    assert [sum(pair) for pair in zip(*outcomes, strict=True)] == [1] * rounds
