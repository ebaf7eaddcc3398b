"""Jobs that complete together are removed in one message, and of each it is known whether."""

import pytest
from pymongo.errors import AutoReconnect
from pymongo.synchronous.collection import Collection

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.store import Write, notes
from rocketjob.testing import sandbox
from rocketjob.testing.store_contract.samples import BY_PRIORITY, JOBS, queued
from rocketjob_plugins.store_mongodb import groups
from rocketjob_plugins.store_mongodb.store import MongoStore
from support.commands import hear
from support.runtime import eventually, running_pool

MINE = {"$set": {"state": "running", "claimed_by": "me"}, "$inc": {"claim_number": 1}}
GUARD = {"state": "running", "claimed_by": "me", "claim_number": 1}
NUMBER = 6


class GroupRemovalsJob(Job):
    number: int = 0

    def perform(self):
        performed.append(self.number)


performed = []


@pytest.fixture
def commands(monkeypatch):
    return hear(monkeypatch)


@pytest.fixture
def store(commands, mongo_url):
    """A store without transactions, with some jobs that are claimed."""
    store = MongoStore(mongo_url, transactions=False, wake_up="polling")
    jobs = store.collection(JOBS)
    jobs.insert_many([queued(number) for number in range(NUMBER)])
    claimed = store.claim_many(JOBS, {"state": "queued"}, MINE, sort=BY_PRIORITY, limit=NUMBER)
    assert len(claimed) == NUMBER
    commands.taken()
    yield store
    store.close()


@pytest.fixture
def jobs(store):
    return store.collection(JOBS)


def removals(*ids, **guard):
    return [Write({"_id": id, **GUARD, **guard}, None) for id in ids]


def left(jobs):
    return [each["_id"] for each in jobs.find({}, sort=[("_id", 1)])]


def after_the_look(patch, step):
    """Have others do something between the look and the removal."""
    delete_many = Collection.delete_many

    def delete(*args, **kwargs):
        step()
        return delete_many(*args, **kwargs)

    patch.setattr(Collection, "delete_many", delete)


def test_a_group_takes_two_messages(store, jobs, commands):
    assert store.write_many(JOBS, removals(*range(NUMBER))) == [True] * NUMBER
    assert commands.counted() == {"find": 1, "delete": 1}
    assert left(jobs) == []


def test_one_alone_takes_one_message(store, jobs, commands):
    assert store.write_many(JOBS, removals(3)) == [True]
    assert commands.counted() == {"delete": 1}


def test_other_writes_are_made_beside_them_and_answers_are_in_their_order(store, jobs):
    done = {"$set": {"state": "completed"}}
    kept = [Write({"_id": id, **GUARD}, done) for id in (1, 99, 3)]
    gone = removals(0, 2, 98)
    both = [each for pair in zip(gone, kept, strict=True) for each in pair]
    assert store.write_many(JOBS, both) == [True, True, True, False, False, True]
    assert left(jobs) == [1, 3, 4, 5]
    assert jobs.count_documents({"state": "completed"}) == 2


def test_what_others_have_is_left_to_them(store, jobs):
    jobs.update_many({"_id": {"$in": [1, 4]}}, {"$set": {"claimed_by": "other"}})
    jobs.delete_one({"_id": 5})
    assert store.write_many(JOBS, removals(*range(NUMBER))) == [
        *(True, False, True, True),
        *(False, False),
    ]
    assert left(jobs) == [1, 4]


def test_claims_of_different_numbers_are_removed_one_by_one(store, jobs, commands):
    jobs.update_one({"_id": 1}, {"$set": {"claim_number": 2}})
    commands.taken()
    assert store.write_many(JOBS, [*removals(0), *removals(1, claim_number=2)]) == [True, True]
    assert commands.counted() == {"delete": 2}


def test_what_is_noted_in_a_document_is_stored_before_it_goes(store, jobs):
    note = {"at": clock.now(), "id": "n", "remove": False, "write": None, "undo": None}
    note |= {"documents": [], "also": []}
    jobs.update_one({"_id": 2}, {"$set": {notes.FIELD: note}})
    assert store.write_many(JOBS, removals(*range(NUMBER))) == [True] * NUMBER
    assert left(jobs) == []


def test_what_others_claim_between_look_and_removal_is_left_to_them(store, jobs, monkeypatch):
    other = {"$set": {"claimed_by": "other"}, "$inc": {"claim_number": 1}}
    after_the_look(monkeypatch, lambda: jobs.update_many({"_id": {"$in": [1, 4]}}, other))
    assert store.write_many(JOBS, removals(*range(NUMBER))) == [
        *(True, False, True, True),
        *(False, True),
    ]
    assert left(jobs) == [1, 4]


def test_what_goes_between_look_and_removal_counts_as_removed(store, jobs, monkeypatch):
    after_the_look(monkeypatch, lambda: jobs.delete_one({"_id": 4}))
    assert store.write_many(JOBS, removals(*range(NUMBER))) == [True] * NUMBER
    assert left(jobs) == []


def test_a_note_that_comes_between_look_and_removal_is_stored_first(store, jobs, monkeypatch):
    note = {"at": clock.now(), "id": "n", "remove": False, "write": None, "undo": None}
    note |= {"documents": [{"document": {"_id": 7}, "collection": "docs"}], "also": []}
    noted = {"$set": {notes.FIELD: note}}
    after_the_look(monkeypatch, lambda: jobs.update_one({"_id": 4}, noted))
    assert store.write_many(JOBS, removals(*range(NUMBER))) == [True] * NUMBER
    assert left(jobs) == []
    assert store.collection("docs").count_documents({"_id": 7}) == 1


@pytest.mark.parametrize("writes", [[], [Write({"_id": 1}, None)], [Write({"_id": 1}, {})] * 2])
def test_there_is_no_group_of_fewer_than_two(writes):
    assert groups.removed_together(writes) == []


def test_one_document_twice_is_no_group():
    assert groups.removed_together(removals(1, 2, 1)) == []


@pytest.mark.parametrize("transactions", ["true", "false"])
@pytest.mark.parametrize("is_made", [False, True], ids=["not made", "made"])
def test_jobs_whose_removal_was_not_answered_have_completed_all_the_same(
    mongo_url, monkeypatch, transactions, is_made, capsys
):
    delete_many, lost = Collection.delete_many, []

    def unanswered(collection, *args, **kwargs):
        if collection.name != JOBS or lost:
            return delete_many(collection, *args, **kwargs)
        if is_made and kwargs.get("session") is None:
            delete_many(collection, *args, **kwargs)
        lost.append(1)
        raise AutoReconnect("the connection broke")

    performed.clear()
    options = f"rocketjobTransactions={transactions}&rocketjobWakeUp=polling"
    with sandbox(f"{mongo_url}?{options}", include="^GroupRemovalsJob$") as made:
        GroupRemovalsJob.create_many([{"number": number} for number in range(40)])
        monkeypatch.setattr(Collection, "delete_many", unanswered)
        with running_pool(made, threads=8):
            eventually(lambda: GroupRemovalsJob.count() == 0)
    assert lost
    assert sorted(performed) == list(range(40))
    assert "ClaimLost" not in capsys.readouterr().err
