"""A group of documents is claimed in three messages, and nobody claims what another one has."""

import threading

import pytest
from pymongo.errors import AutoReconnect, WriteError
from pymongo.synchronous.collection import Collection

from rocketjob import Job
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.store import Write
from rocketjob.testing.store_contract.samples import BY_PRIORITY, JOBS, claim, queued
from rocketjob_plugins.store_mongodb.groups import ROUNDS, TOKEN, claim_many
from rocketjob_plugins.store_mongodb.store import MongoStore
from support.commands import hear
from support.runtime import eventually, queue_of, running_pool

MINE = {"$set": {"state": "running", "claimed_by": "me"}, "$inc": {"claim_number": 1}}
QUEUED = {"state": "queued"}


class GroupClaimsJob(Job):
    destroy_on_complete = False

    def perform(self): ...


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.fixture
def commands(monkeypatch):
    return hear(monkeypatch)


@pytest.fixture
def store(commands, mongo_url):
    store = MongoStore(mongo_url, wake_up="polling")
    store.collection(JOBS).create_index([("state", 1), *BY_PRIORITY], name="claim")
    yield store
    store.close()


@pytest.fixture
def jobs(store):
    return store.collection(JOBS)


class Between:
    """A collection in which others do something after each look for documents to claim.

    Args:
        steps: what they do, one for each look.
    """

    def __init__(self, documents, *steps):
        self.documents, self.steps, self.looks = documents, list(steps), 0

    def find(self, filter, **options):
        found = list(self.documents.find(filter, **options))
        if options.get("projection") == {"_id": 1}:
            self.looks += 1
            if self.steps:
                self.steps.pop(0)()
        return found

    def __getattr__(self, name):
        return getattr(self.documents, name)


def claimed_by_me(documents, limit, filter=QUEUED):
    return claim_many(documents, filter, MINE, sort=BY_PRIORITY, limit=limit)


def take(jobs, *ids):
    """Let another one claim some jobs."""
    update = {"$set": {"state": "running", "claimed_by": "other"}, "$inc": {"claim_number": 1}}
    for id in ids:
        jobs.update_one({"_id": id}, update)


@pytest.mark.parametrize("limit", [2, 7, 150])
def test_a_group_is_claimed_in_three_messages(store, jobs, commands, limit):
    jobs.insert_many([queued(number) for number in range(200)])
    commands.taken()
    assert len(claim(store, limit)) == limit
    assert commands.counted() == {"find": 2, "update": 1}


def test_one_job_is_claimed_in_one_message(store, jobs, commands):
    jobs.insert_many([queued(1), queued(2)])
    commands.taken()
    assert len(claim(store, 1)) == 1
    assert commands.counted() == {"findAndModify": 1}


@pytest.mark.parametrize("limit", [1, 10])
def test_a_claim_that_finds_nothing_looks_once(store, jobs, commands, limit):
    jobs.insert_one(queued(1, state="paused"))
    commands.taken()
    assert claim(store, limit) == []
    assert sum(commands.counted().values()) == 1


def test_nobody_claims_nothing(store, jobs, commands):
    jobs.insert_one(queued(1))
    assert claim(store, 0) == []


def test_whoever_is_second_at_all_documents_looks_on(jobs):
    jobs.insert_many([queued(number) for number in range(10)])
    seen = Between(jobs, lambda: take(jobs, 0, 1, 2), lambda: take(jobs, 3, 4, 5))
    assert [each["_id"] for each in claimed_by_me(seen, 3)] == [6, 7, 8]


def test_whoever_is_second_at_some_documents_has_the_others(jobs):
    jobs.insert_many([queued(number) for number in range(10)])
    seen = Between(jobs, lambda: take(jobs, 0, 2))
    assert [each["_id"] for each in claimed_by_me(seen, 4)] == [1, 3]
    assert jobs.find_one({"_id": 2})["claimed_by"] == "other"


def test_whoever_is_always_second_takes_one_at_last(jobs):
    jobs.insert_many([queued(number) for number in range(20)])
    steps = [lambda first=3 * n: take(jobs, first, first + 1, first + 2) for n in range(ROUNDS)]
    seen = Between(jobs, *steps)
    assert [each["_id"] for each in claimed_by_me(seen, 3)] == [3 * ROUNDS]
    assert seen.looks == ROUNDS


@pytest.mark.parametrize("met", range(ROUNDS + 1))
def test_whose_update_is_given_up_looks_again(jobs, met):
    """PostgreSQL does so, behind DocumentDB, where two updates wait for each other."""
    jobs.insert_many([queued(number) for number in range(4)])

    class Meets(Between):
        def update_many(self, *args, **kwargs):
            if self.looks <= met:
                raise WriteError("deadlock detected", 16908292)
            return self.documents.update_many(*args, **kwargs)

    claimed = [each["_id"] for each in claimed_by_me(Meets(jobs), 3)]
    assert claimed == ([0, 1, 2] if met < ROUNDS else [0])


def test_whoever_is_second_where_nothing_is_left_has_nothing(jobs):
    jobs.insert_many([queued(number) for number in range(3)])
    seen = Between(jobs, lambda: take(jobs, 0, 1, 2))
    assert claimed_by_me(seen, 3) == []


def test_a_document_that_does_not_match_any_more_is_left(jobs):
    jobs.insert_many([queued(number, customer="a") for number in range(3)])
    seen = Between(jobs, lambda: jobs.update_one({"_id": 1}, {"$set": {"customer": "b"}}))
    claimed = claimed_by_me(seen, 3, {"state": "queued", "customer": "a"})
    assert [each["_id"] for each in claimed] == [0, 2]
    assert jobs.find_one({"_id": 1})["state"] == "queued"


def test_what_was_taken_away_before_it_was_read_is_not_handed_out(jobs):
    """It may have been queued again, and be claimed by another one, before the claim is read."""
    jobs.insert_many([queued(number) for number in range(4)])

    class TakenAway(Between):
        def update_many(self, *args, **kwargs):
            made = self.documents.update_many(*args, **kwargs)
            jobs.update_one({"_id": 0}, {"$set": {"state": "queued"}, "$unset": {"claimed_by": ""}})
            take(jobs, 1)
            claim_many(jobs, {"_id": 2}, MINE, sort=BY_PRIORITY, limit=1)  # another thread of mine
            return made

    assert [each["_id"] for each in claimed_by_me(TakenAway(jobs), 4)] == [3]


def test_the_order_is_kept_whatever_the_update_changes(jobs):
    jobs.insert_many([queued(number, priority=50 - number % 7) for number in range(20)])
    update = {"$set": {**MINE["$set"], "priority": 1}}
    claimed = claim_many(jobs, QUEUED, update, sort=BY_PRIORITY, limit=20)
    expected = sorted(range(20), key=lambda number: (50 - number % 7, number))
    assert [each["_id"] for each in claimed] == expected


@pytest.mark.parametrize("limit", [1, 2])
def test_the_token_of_a_claim_is_shown_to_nobody(store, jobs, limit):
    jobs.insert_many([queued(number, **{TOKEN: "earlier"}) for number in range(2)])
    claimed = claim(store, limit)
    assert [TOKEN in each for each in claimed] == [False] * limit


def test_the_token_of_a_claim_goes_with_its_end(store, jobs):
    jobs.insert_many([queued(number) for number in range(3)])
    claim(store, 3)
    assert jobs.count_documents({TOKEN: {"$exists": True}}) == 3
    store.write_many(JOBS, [Write({"_id": n}, {"$set": {"state": "x"}}) for n in range(2)])
    store.write_many(JOBS, [Write({"_id": 2}, {"$set": {"state": "x"}, "$unset": {"a": ""}})])
    assert jobs.count_documents({TOKEN: {"$exists": True}}) == 0


def test_threads_that_claim_groups_have_each_document_once(store, jobs):
    jobs.insert_many([queued(number) for number in range(90)])
    claimed = [[] for _ in range(4)]

    def work(mine):
        while some := claim(store, 7):
            mine.extend(each["_id"] for each in some)

    threads = [threading.Thread(target=work, args=[mine]) for mine in claimed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(id for mine in claimed for id in mine) == list(range(90))


def test_a_document_that_the_server_refuses_to_change_keeps_no_others(mongo):
    good = [GroupClaimsJob.create() for _ in range(4)]
    bad = good.pop(2)
    mongo.store.collection(JOBS).update_one({"_id": bad.id}, {"$set": {"history": "none"}})
    queue = queue_of(mongo)
    claimed = [job.id for _ in range(4) for job in queue.claim(4)]
    assert claimed == [job.id for job in good]
    assert GroupClaimsJob.find(bad.id).is_failed


# --- what is left when an answer is lost, or a process dies --------------------------------------


@pytest.mark.parametrize("call", ["update_many", "find"])
def test_a_claim_whose_process_dies_before_it_is_read_comes_free(mongo, monkeypatch, call):
    GroupClaimsJob.create_many([{} for _ in range(4)])
    made, owner = [], queue_of(mongo, "dead.1")
    with monkeypatch.context() as patch:
        patch.setattr(Collection, call, dying(getattr(Collection, call), made))
        with pytest.raises(Killed):
            owner.claim(4)
    assert made
    # None: where a class with limits is loaded the claim is made within a transaction.
    assert GroupClaimsJob.running().count() in (0, 4)
    requeue_claims(mongo.store, mongo.plugins, "dead.1", crash_limit=3)
    assert GroupClaimsJob.queued().count() == 4
    assert mongo.work_off() == 4
    assert mongo.store.collection(JOBS).count_documents({TOKEN: {"$exists": True}}) == 0


def dying(function, made):
    """Let the process die right after a call, of those that claim or read what was claimed."""

    def call(collection, *args, **kwargs):
        result = function(collection, *args, **kwargs)
        if TOKEN in str(args[:2]):
            made.append(1)
            raise Killed
        return result

    return call


@pytest.mark.parametrize("is_made", [False, True], ids=["not made", "made"])
def test_jobs_of_a_claim_that_was_not_answered_are_performed_all_the_same(
    mongo, monkeypatch, is_made
):
    update_many, lost = Collection.update_many, []

    def unanswered(collection, *args, **kwargs):
        if TOKEN not in str(args[:2]) or lost:
            return update_many(collection, *args, **kwargs)
        if is_made:
            update_many(collection, *args, **kwargs)
        lost.append(1)
        raise AutoReconnect("the connection broke")

    monkeypatch.setattr(Collection, "update_many", unanswered)
    GroupClaimsJob.create_many([{} for _ in range(6)])
    with running_pool(mongo, threads=4):
        eventually(lambda: GroupClaimsJob.completed().count() == 6)
    assert lost
    ends = [[entry.event for entry in job.history][-1] for job in GroupClaimsJob.all()]
    assert ends == ["complete"] * 6
