"""What a claim costs as the queue grows: counted in steps of SQLite's machine, not in seconds."""

from datetime import timedelta

import pytest
from bson import ObjectId

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.jobs.claims import COLLECTION
from rocketjob.queue import head
from rocketjob.queue.dispatch import Queue
from rocketjob_plugins.throttle import Throttle

MANY = 3000  # jobs in front; ten times as many as are passed over without a thought
CLAIMED = 20
PATIENCE = 0.1  # as worker processes have it


class GrowthJob(Job):
    def perform(self): ...


class GrowthHeldJob(Throttle, Job):
    throttle_running_jobs = 1

    def perform(self): ...


class GrowthKeyedJob(Throttle, Job):
    throttle_running_jobs = 1
    account: int = 0
    throttle_key = lambda job: job.account  # noqa: E731

    def perform(self): ...


HOUR = 3600.0  # seconds


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch):
    """Let less than 5,000 jobs be worth it, whatever the speed of the machine."""
    monkeypatch.setattr(head, "MANY", 300)
    monkeypatch.setattr(head, "SLOW", 0.0)
    monkeypatch.setattr(head, "REST", 1e9)
    monkeypatch.setattr(head, "LONGEST", HOUR)
    monkeypatch.setattr(head, "COUNTED_EVERY", 0.0)


@pytest.fixture
def queue(rocketjob):
    return Queue(rocketjob.store, rocketjob.plugins, rocketjob.application.config, "g.1", "g:1")


def put(rocketjob, count, cls=GrowthJob, **fields):
    document = cls().to_document()
    rocketjob.store.collection(COLLECTION).insert_many(
        {**document, "_id": ObjectId(), **fields} for _ in range(count)
    )


def claim(queue, count=CLAIMED):
    return queue.claim(count, patience=PATIENCE)


def steps(queue, count=CLAIMED):
    """Return in how many steps (in tens) a claim is made that gets all it asks for."""
    counted = [0]

    def step():
        counted[0] += 1

    raw = queue.store._database.connections.current().raw
    raw.set_progress_handler(step, 10)
    try:
        assert len(claim(queue, count)) == count
    finally:
        raw.set_progress_handler(None, 0)
    return counted[0]


def in_front(rocketjob, kind):
    """Put very many jobs in front of those that can be claimed."""
    if kind == "unknown":
        put(rocketjob, MANY, _type="NobodyKnowsJob", priority=10)
    elif kind == "scheduled":
        put(rocketjob, MANY, run_at=clock.now().replace(year=9000), priority=10)
    elif kind == "held":
        put(rocketjob, 1, GrowthHeldJob, state="running", claimed_by="x.1", claim_number=1)
        put(rocketjob, MANY, GrowthHeldJob, priority=10)
    elif kind == "queued":
        put(rocketjob, MANY)
    elif kind == "completed":
        put(rocketjob, MANY, state="completed", completed_at=clock.now())


@pytest.mark.parametrize("kind", ["unknown", "scheduled", "held", "queued", "completed"])
def test_claims_cost_no_more_with_thousands_of_jobs_that_are_not_for_them(rocketjob, queue, kind):
    put(rocketjob, 10 * CLAIMED)
    claim(queue)
    before = steps(queue)
    in_front(rocketjob, kind)
    claim(queue)  # the first goes through all of them
    assert [steps(queue) <= 1.5 * before for _ in range(3)] == [True] * 3


@pytest.mark.parametrize("keys", [10, 500])
def test_claims_cost_no_more_with_hundreds_of_limits_that_are_full(rocketjob, queue, keys):
    put(rocketjob, 10 * CLAIMED, priority=60)
    claim(queue)
    before = steps(queue)
    for key in range(keys):
        held = {"account": key, "throttle_value": key}
        put(rocketjob, 1, GrowthKeyedJob, state="running", claimed_by="x.1", claim_number=1, **held)
        put(rocketjob, MANY // keys, GrowthKeyedJob, priority=10, **held)
    while len(claim(queue)) < CLAIMED:
        assert queue.sees_on  # it has looked as long as it may, and goes on
    looks_for_ends = 3 * keys  # of the running jobs that hold the places
    assert steps(queue) <= 2 * before + looks_for_ends


def test_a_page_of_those_that_wait_begins_where_the_last_one_ended(rocketjob, queue):
    """Each page looked at all before it again: a thousand keys took a second."""
    keys = MANY // 2
    for key in range(keys):
        held = {"account": key, "throttle_value": key}
        put(rocketjob, 1, GrowthKeyedJob, state="running", claimed_by="x.1", claim_number=1, **held)
        put(rocketjob, 1, GrowthKeyedJob, **held)
    put(rocketjob, CLAIMED, priority=60)
    counted = [0]
    raw = queue.store._database.connections.current().raw
    raw.set_progress_handler(lambda: counted.__setitem__(0, counted[0] + 1), 100)
    try:
        while len(claim(queue)) < CLAIMED:
            assert queue.sees_on
    finally:
        raw.set_progress_handler(None, 0)
    assert counted[0] * 100 <= 300 * keys  # 30 pages, each a look-up: not each half of the queue


# --- what is left alone, and until when ---------------------------------------------------------


@pytest.fixture
def skipping(rocketjob, queue):
    """A queue that begins behind jobs that nobody knows."""
    put(rocketjob, 400, _type="NobodyKnowsJob", priority=10)
    put(rocketjob, 2 * CLAIMED)
    claim(queue)
    return queue


def test_what_comes_behind_is_claimed_at_once(rocketjob, skipping):
    claim(skipping)
    GrowthJob.create()
    assert len(claim(skipping)) == 1


def test_what_comes_in_front_is_claimed_after_a_while_and_somebody_looks_again(rocketjob, skipping):
    urgent = GrowthJob.create(priority=5)
    assert urgent.id not in {job.id for job in claim(skipping)}
    assert HOUR - 60 < skipping.looks_again_in <= HOUR  # however long the look took
    rocketjob.travel(timedelta(seconds=HOUR))
    assert claim(skipping)[0].id == urgent.id


def test_a_claim_that_began_at_the_head_is_not_repeated_for_nothing(rocketjob, queue):
    put(rocketjob, 400, _type="NobodyKnowsJob", priority=10)
    assert claim(queue) == []
    assert queue.looks_again_in == float("inf")  # it has seen all: a change is waited for
    assert claim(queue) == []
    assert queue.looks_again_in < float("inf")  # this one has not


def test_who_has_all_the_time_there_is_leaves_nothing_alone(rocketjob, skipping):
    urgent = GrowthJob.create(priority=5)
    assert skipping.claim(1)[0].id == urgent.id


def test_few_jobs_in_front_are_looked_at_each_time(rocketjob, queue):
    put(rocketjob, 200, _type="NobodyKnowsJob", priority=10)
    put(rocketjob, 2 * CLAIMED)
    claim(queue)
    urgent = GrowthJob.create(priority=5)
    assert claim(queue)[0].id == urgent.id


def test_jobs_in_front_are_not_counted_at_each_claim(rocketjob, queue, monkeypatch):
    monkeypatch.setattr(head, "COUNTED_EVERY", HOUR)
    counted = []
    are_many = head.Head._are_many
    monkeypatch.setattr(
        head.Head, "_are_many", lambda *asked: counted.append(asked) or are_many(*asked)
    )
    put(rocketjob, 5 * CLAIMED)
    for _ in range(3):
        claim(queue, 1)
    assert len(counted) == 1
    rocketjob.travel(timedelta(seconds=HOUR))
    claim(queue, 1)
    assert len(counted) == 2


def test_where_a_look_was_cut_short_nothing_is_known_of_the_rest(rocketjob, queue, monkeypatch):
    for key in range(600):
        held = {"account": key, "throttle_value": key}
        put(rocketjob, 1, GrowthKeyedJob, state="running", claimed_by="x.1", claim_number=1, **held)
        put(rocketjob, 1, GrowthKeyedJob, **held)
    put(rocketjob, 1, priority=60)
    assert queue.claim(1, patience=0.0) == []
    assert queue.sees_on
    found = [job for _ in range(5) for job in queue.claim(1, patience=0.0)]
    assert [type(job) for job in found] == [GrowthJob]
