"""A claim is one range of one index, however long the queue is."""

import os
from datetime import UTC, datetime

import pytest

from rocketjob import Job
from rocketjob.queue.dispatch import ORDER
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.batch.work.begin import begin
from support.mongo import VARIABLE


class MongoClaimedJob(Job):
    def perform(self): ...


class MongoClaimedBatchJob(Batch, Job):
    slice_size = 1

    def perform(self, record): ...


@pytest.fixture
def mongo(mongo_url):
    with sandbox(f"{mongo_url}?rocketjobWakeUp=polling") as made:
        MongoClaimedJob.create_many([{"priority": 1 + number % 100} for number in range(20)])
        yield made


def stages(plan):
    """Name the stages of a plan, outermost first."""
    found = []
    while plan:
        found.append(plan)
        plan = plan.get("inputStage")
    return found


real = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason="the planner of the test server is not MongoDB's"
)


@real
def test_a_claim_is_one_index_range(mongo):
    jobs = mongo.store.collection("rocket_job.jobs")
    plan = jobs.find(mongo.queue.eligible.filter(datetime.now(UTC))).sort(ORDER).limit(1).explain()
    assert_one_range(plan, "claim")


@real
def test_a_claim_of_a_slice_is_one_index_range(mongo):
    slices = uploaded().input.collection
    plan = slices.find({"state": "queued"}).sort([("_id", 1)]).limit(1).explain()
    assert_one_range(plan, "state_1__id_1")


def assert_one_range(plan, index):
    found = stages(plan["queryPlanner"]["winningPlan"])
    assert [each["indexName"] for each in found if each["stage"] == "IXSCAN"] == [index]
    assert "SORT" not in {each["stage"] for each in found}, "the index has the order already"


def test_the_index_of_a_claim_has_its_order_and_all_that_it_asks_for(mongo):
    """Equality, then the order, then what is left: a range that needs no sorting."""
    keys = index_of(mongo.store.collection("rocket_job.jobs"), "claim")
    assert keys[: 1 + len(ORDER)] == [("state", 1), *ORDER]
    clauses = mongo.queue.eligible.filter(datetime.now(UTC))["$and"]
    assert clauses[0] == {"state": "queued"}
    assert {"run_at", "_type"} <= {field for field, _ in keys}
    slices = uploaded().input.collection
    assert index_of(slices, "state_1__id_1") == [("state", 1), ("_id", 1)]


def test_a_claim_uses_an_index(mongo):
    plan = uploaded().input.collection.find({"state": "queued"}).explain()
    found = stages(plan["queryPlanner"]["winningPlan"])
    assert [s["indexName"] for s in found if s["stage"] == "IXSCAN"] == ["state_1__id_1"]


def index_of(collection, name):
    return [(field, int(way)) for field, way in collection.index_information()[name]["key"]]


def uploaded():
    job = MongoClaimedBatchJob()
    job.upload(range(50))
    job.save()
    return job


def test_joining_a_running_batch_writes_nothing_to_the_job(mongo):
    class MongoJoinedJob(Batch, Job):
        slice_size = 1
        priority = 1

        def perform(self, record): ...

    job = MongoJoinedJob()
    job.upload(range(5))
    job.save()
    (first,) = [each for each in mongo.queue.claim(30) if each.id == job.id][:1]
    begin(first)
    before = job.collection().find_one({"_id": job.id})
    assert job.id in {each.id for each in mongo.queue.claim(2)}
    assert job.collection().find_one({"_id": job.id}) == before
