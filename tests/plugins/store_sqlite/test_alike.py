"""What an update makes of one document is put into others that hold the same."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId
from bson.int64 import Int64

from rocketjob.store.documents.updater import compile_change
from rocketjob.store.documents.values import decode, encode, normalise
from rocketjob.testing.store_contract import declare_indexes
from rocketjob_plugins.store_sqlite import SqliteStore, alike

NOW = datetime(2024, 5, 1, tzinfo=UTC)
ORDER = [("priority", 1), ("_id", 1)]
CLAIM = {
    "$set": {"state": "running", "claimed_by": "me", "started_at": NOW},
    "$inc": {"claim_number": 1},
    "$push": {"history": {"$each": [{"event": "start", "at": NOW}], "$slice": -3}},
    "$unset": {"note": ""},
}
ODD = [
    {"arguments": {"state": "queued", "claim_number": 0}},
    {"arguments": [{"claim_number": 0}], "text": "\x02state"},
    {"raw": encode({"state": "queued", "claim_number": 0})},
    {"claim_number": Int64(0)},
    {"claim_number": 0.0},
    {"claim_number": None},
    {"claim_number": 7},
    {"history": [{"event": "release"}]},
    {"history": []},
    {"claimed_by": "an earlier one", "started_at": NOW - timedelta(days=1)},
    {"claimed_by": None},
    {"note": "x"},
    {"note": True},
    {"note": 1},
    {"active_key": "held"},
]


@pytest.fixture
def store():
    store = SqliteStore("sqlite://:memory:")
    yield store
    store.close()


@pytest.fixture
def jobs(store):
    jobs = store.collection("jobs")
    declare_indexes(jobs)
    return jobs


def queued(number, **fields):
    return {"_id": number, "state": "queued", "claim_number": 0, "priority": 1, **fields}


def updated(document, update):
    """Return a document as an update makes it by itself."""
    alone = normalise(document)
    compile_change(normalise(update)).apply(alone)
    return alone


def claim(store, update=CLAIM, limit=1000):
    filter = {"state": "queued", "claim_number": {"$ne": None}}
    return store.claim_many("jobs", filter, update, sort=ORDER, limit=limit)


def stored(store, number):
    """Return the row of a document, its columns as they would be if it were inserted so."""

    def work(connection):
        table = connection.catalog.find("jobs")
        names = ["id", *(c.name for c in table.fields), *(str(u.column) for u in table.uniques)]
        row = connection.raw.execute(
            f"SELECT {', '.join(names)}, doc FROM {table.name} WHERE id = ?", (number,)
        ).fetchone()
        filled, values = table.row(decode(row[-1]), row[-1])
        expected = dict(zip(filled, values, strict=False))
        assert dict(zip(names, row, strict=False)) == {n: expected.get(n) for n in names}
        return row[-1]

    return store._database.read(work)


@pytest.mark.parametrize("seed", range(5))
def test_each_document_of_a_group_becomes_what_it_would_alone(store, jobs, seed):
    choice = random.Random(seed)
    documents = []
    for number in range(60):
        odd = choice.choice(ODD) if choice.random() < 0.3 else {}
        documents.append(queued(number, **{"created_at": NOW, **odd}))
        if "active_key" in odd:
            documents[-1]["active_key"] = f"key {number}"
    jobs.insert_many(documents)
    claimed = {each["_id"]: each for each in claim(store)}
    for document in documents:
        if document["claim_number"] is None:
            assert jobs.find_one({"_id": document["_id"]}) == document
            continue
        expected = updated(document, CLAIM)
        assert claimed[document["_id"]] == expected
        assert list(claimed[document["_id"]]) == list(expected)
        assert stored(store, document["_id"]) == encode(expected)


def test_what_is_returned_is_shared_by_no_two_documents(store, jobs):
    jobs.insert_many([queued(number) for number in range(5)])
    claimed = claim(store)
    entries = [each["history"][0] for each in claimed]
    assert len({id(each["history"]) for each in claimed}) == len(set(map(id, entries))) == 5


def test_from_the_third_on_nothing_is_encoded_again(store, jobs, monkeypatch):
    jobs.insert_many([queued(number) for number in range(50)])
    encoded = []
    monkeypatch.setattr(alike, "encode", lambda document: encoded.append(1) or encode(document))
    assert len(claim(store)) == 50
    assert len(encoded) == 2


def test_documents_with_unique_keys_of_their_own_are_not_taken_for_one_another(store, jobs):
    jobs.insert_many([queued(number, active_key=f"key {number}") for number in range(5)])
    assert len(claim(store)) == 5
    assert [stored(store, number) is not None for number in range(5)] == [True] * 5
    with pytest.raises(Exception, match="active_key"):
        jobs.insert_one(queued(9, active_key="key 4"))


def test_a_document_that_may_become_too_large_is_worked_out_by_itself(store, jobs, monkeypatch):
    jobs.insert_many([queued(number, text="x" * 100 * (number == 4)) for number in range(6)])
    size = len(encode(queued(4, text="x" * 100)))
    monkeypatch.setattr(alike, "MAX_DOCUMENT_BYTES", size)
    assert [each["_id"] for each in claim(store)] == list(range(6))
    assert stored(store, 4) == encode(updated(queued(4, text="x" * 100), CLAIM))


def test_fields_that_go_and_come_keep_their_places(store, jobs):
    jobs.insert_many([queued(ObjectId(), note="n", last=1) for _ in range(5)])
    update = {"$unset": {"note": ""}, "$rename": {"last": "first"}, "$set": {"state": "running"}}
    for each in claim(store, update):
        assert list(each) == ["_id", "state", "claim_number", "priority", "first"]
        assert stored(store, b"\x07" + each["_id"].binary) == encode(each)


def test_a_change_of_many_goes_the_same_way(store, jobs):
    jobs.insert_many([queued(number, note="n") for number in range(20)])
    assert (
        jobs.update_many({}, {"$set": {"note": None}, "$inc": {"priority": 1}}).modified_count == 20
    )
    assert jobs.update_many({}, {"$set": {"note": None}}).modified_count == 0
    for number in range(20):
        assert stored(store, number) == encode(queued(number, note=None) | {"priority": 2})
