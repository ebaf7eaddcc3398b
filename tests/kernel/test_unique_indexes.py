"""What unique indexes rest on, and what is known of a document that one has refused."""

import pytest
from bson import ObjectId

from rocketjob import Job
from rocketjob.base.errors import DuplicateKey, StoreError, duplicate_key_details, refused_at
from rocketjob.jobs import job
from rocketjob.states.transitions import KERNEL_STATES
from rocketjob.store import Insert, Unit, Write, outbox
from rocketjob.store.indexes import conditions, serves, unique_while
from rocketjob_plugins.cron import job as cron
from rocketjob_plugins.singleton import ACTIVE
from support.memory_stores import PlainMemoryStore


@pytest.mark.parametrize("active", [ACTIVE, cron.ACTIVE], ids=["singleton", "cron"])
def test_the_active_states_are_the_last_by_the_alphabet(active):
    assert sorted(active) == sorted(KERNEL_STATES)[-len(active) :]
    partial = conditions(unique_while("key", active, KERNEL_STATES)["partialFilterExpression"])
    assert partial["state"] == {"$gte": min(active), "$lte": max(active)}
    assert partial["key"] == {"$exists": True}


def test_each_clause_of_the_filter_asks_one_thing():
    """DocumentDB refuses two operators for a field, and `$and` except as the outermost."""
    partial = unique_while("key", ACTIVE, KERNEL_STATES)["partialFilterExpression"]
    assert list(partial) == ["$and"]
    for clause in partial["$and"]:
        (test,) = clause.values()
        assert len(test) == 1


def test_a_state_in_between_is_not_taken_for_an_active_one():
    def states(*known):
        made = unique_while("key", ACTIVE, [*KERNEL_STATES, *known])
        return conditions(made["partialFilterExpression"])["state"]

    assert states("pending") == {"$in": ["paused", "queued", "running"]}
    assert "$gte" in states("approval", "waiting")


def test_an_index_serves_whose_keys_and_filter_are_those_wanted():
    wanted = unique_while("key", ACTIVE, KERNEL_STATES)
    partial = wanted["partialFilterExpression"]
    made = {"key": [("key", 1.0)], "unique": True, "partialFilterExpression": partial}
    listed = {"key": {"$exists": True}, "state": {"$in": list(ACTIVE)}}
    assert serves(made, wanted)
    for earlier in (conditions(partial), listed):
        assert serves({**made, "partialFilterExpression": earlier}, wanted)
    wanted_listed = unique_while("key", ACTIVE, [*KERNEL_STATES, "pending"])
    assert serves({**made, "partialFilterExpression": listed}, wanted_listed)
    assert not serves(made, wanted_listed)
    for other in (
        {"unique": False},
        {"key": [("key", -1)]},
        {"key": [("key", "text")]},
        {"partialFilterExpression": None},
        {"partialFilterExpression": {**listed, "state": {"$in": ["failed", "running"]}}},
        {"partialFilterExpression": {**listed, "key": {"$type": "string"}}},
        {"partialFilterExpression": {"state": {"$in": list(ACTIVE)}}},
        {"partialFilterExpression": {"$and": partial["$and"][:2]}},
        {"partialFilterExpression": {**partial, "priority": 1}},
        {"sparse": True},
        {"collation": {"locale": "de"}},
    ):
        assert not serves({**made, **other}, wanted), other
    plain = {"keys": [("a", 1), ("b", -1)], "name": "ab"}
    assert serves({"key": [("a", 1), ("b", -1)]}, plain)


def test_no_two_indexes_of_a_collection_have_one_name(rocketjob):
    """A server makes the first of them, and refuses the other at each start."""
    for collection, specs in rocketjob.application.indexes(PlainMemoryStore()).items():
        names = [spec["name"] for spec in specs]
        assert len(names) == len(set(names)), collection


def test_an_index_of_another_name_is_not_made_twice(rocketjob):
    """MongoDB refuses a second one of the same definition."""
    jobs, application = rocketjob.store.collection(Job.collection_name), rocketjob.application
    (spec,) = (each for each in job.INDEXES[Job.collection_name] if each["name"] == "held")
    jobs.drop_index("held")
    jobs.create_index(**{**spec, "name": "claimed_by_1_claim_number_1"})
    assert not [refused for *_, refused in application.create_indexes(rocketjob.store) if refused]
    assert "held" not in jobs.index_information()


def test_notes_of_an_earlier_version_keep_their_index_under_its_old_name():
    store = PlainMemoryStore()
    _, hidden = outbox.indexes_of_notes()
    store.collection("slices").create_index(**{**hidden, "name": "held"})
    inserts = [Insert("slices", {"_id": 2, "state": "queued"}, hidden={"state": "hidden"})]
    store.collection("slices").insert_one({"_id": 1})
    write = Write({"_id": 1}, {"$set": {"a": 1}})
    store.commit([Unit(collection="slices", write=write, inserts=inserts)])
    assert set(store.collection("slices").index_information()) - {"_id_"} == {"held", "successors"}


@pytest.mark.parametrize(
    "message",
    [
        "E11000 duplicate key error collection: db.docs index: active_key dup key: { : 1 }",
        "Duplicate key violation on the requested collection: Index 'active_key'",
    ],
)
def test_an_index_is_known_by_its_name_where_no_more_is_told(message):
    alone = DuplicateKey(message)
    of_group = DuplicateKey("", {"writeErrors": [{"code": 11000, "errmsg": message, "index": 2}]})
    for error in (alone, of_group):
        assert duplicate_key_details(error)["keyPattern"] == {"active_key": 1}
    told = {"keyPattern": {"other": 1}}
    assert duplicate_key_details(DuplicateKey(message, told)) == told
    assert "keyPattern" not in duplicate_key_details(DuplicateKey("no more is said"))


def test_what_was_inserted_before_the_refused_one_is_removed_and_nothing_else():
    """A server may count wrongly: what it says of the place is what counts."""
    store = PlainMemoryStore()
    docs = store.collection("docs")
    ids = [ObjectId() for _ in range(3)]

    def insert_many(documents, **_):
        docs.insert_one(documents[0])
        docs.insert_one({**documents[1], "whose": "somebody else's"})
        writes = [{"code": 11000, "index": 1, "errmsg": "index: _id_"}]
        raise DuplicateKey("taken", {"nInserted": 2, "writeErrors": writes})

    class Liar:
        def __getattr__(self, name):
            return insert_many if name == "insert_many" else getattr(docs, name)

    collection = store.collection
    store.collection = lambda name: Liar() if name == "docs" else collection(name)
    inserts = [Insert("docs", {"_id": id}) for id in ids]
    with pytest.raises(StoreError, match="taken") as refused:
        store.commit([Unit(collection="docs", write=None, inserts=inserts)])
    assert refused_at(refused.value) == 1
    assert list(docs.find({})) == [{"_id": ids[1], "whose": "somebody else's"}]
