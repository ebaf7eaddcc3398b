"""The same operations on both stores leave the same documents and give the same answers."""

import os

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from rocketjob.base.errors import is_duplicate_key
from rocketjob.store import Write
from rocketjob_plugins.store_sqlite import SqliteStore
from support.mongo import VARIABLE, database_url, drop

DOCS, UNIQUE = "docs", "key"
ids = st.integers(0, 5)
names = st.sampled_from(["a", "b", "state", "sub.x", "sub.y", "list", UNIQUE])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, 2.0, "", "a", "b", "queued", ObjectId("0" * 24)]),
)
values = st.one_of(scalars, st.lists(st.integers(0, 3), max_size=3))
documents = st.fixed_dictionaries(
    {"_id": ids},
    optional={
        "a": values,
        "b": scalars,
        "state": st.sampled_from(["queued", "running"]),
        "sub": st.fixed_dictionaries({}, optional={"x": scalars, "y": scalars}),
        "list": st.lists(st.integers(0, 3), max_size=3),
        UNIQUE: st.sampled_from(["one", "two"]),
    },
)
conditions = st.one_of(
    scalars,
    st.fixed_dictionaries({"$in": st.lists(scalars, max_size=3)}),
    st.fixed_dictionaries({"$ne": scalars}),
    st.fixed_dictionaries({"$gte": st.integers(-2, 3)}),
    st.fixed_dictionaries({"$exists": st.booleans()}),
)
clauses = st.dictionaries(
    st.sampled_from(["_id", "b", "state", "sub.x", UNIQUE]), conditions, max_size=2
)
filters = st.one_of(
    clauses,
    st.builds(lambda one, two: {"$or": [one, two]}, clauses, clauses),
    st.builds(lambda one, two: {"$and": [one, two]}, clauses, clauses),
)
updates = st.one_of(
    st.builds(lambda name, value: {"$set": {name: value}}, names, scalars),
    st.builds(lambda name: {"$unset": {name: ""}}, names),
    st.builds(lambda name, by: {"$inc": {name: by}}, names, st.integers(-2, 2)),
    st.builds(lambda by: {"$push": {"list": by}}, st.integers(0, 3)),
    st.builds(
        lambda a, by: {"$set": {"state": a}, "$inc": {"claim_number": by}},
        st.sampled_from(["queued", "running"]),
        st.integers(1, 2),
    ),
)
operations = st.one_of(
    st.tuples(st.just("insert_one"), documents),
    st.tuples(st.just("find"), filters),
    st.tuples(st.just("count"), filters),
    st.tuples(st.just("update_one"), ids, filters, updates, st.booleans()),
    st.tuples(st.just("update_many"), clauses, updates),
    st.tuples(st.just("find_one_and_update"), ids, updates, st.booleans()),
    st.tuples(st.just("claim"), st.sampled_from(["queued", "running"]), st.integers(1, 3)),
    st.tuples(st.just("write_many"), st.lists(st.tuples(ids, st.none() | updates), max_size=3)),
    st.tuples(st.just("delete_one"), ids, clauses),
    st.tuples(st.just("delete_many"), clauses),
)


def perform(store, operation):
    """Make an operation and return what can be seen of it; an error is only told apart by kind."""
    docs = store.collection(DOCS)
    try:
        return answer(store, docs, *operation)
    except Exception as error:
        return "duplicate" if is_duplicate_key(error) else "refused"


def answer(store, docs, kind, *args):
    if kind == "insert_one":
        return docs.insert_one(dict(args[0])).inserted_id
    if kind == "find":
        return list(docs.find(args[0], sort=[("_id", 1)]))
    if kind == "count":
        return docs.count_documents(args[0])
    if kind == "update_one":
        filter = {"$and": [{"_id": args[0]}, args[1]]}
        result = docs.update_one(filter, args[2])
        return result.matched_count, result.modified_count
    if kind == "update_many":
        return None if is_partial(args[1]) else docs.update_many(*args).matched_count
    if kind == "find_one_and_update":
        return docs.find_one_and_update({"_id": args[0]}, args[1], return_document=args[2])
    if kind == "claim":
        update = {"$set": {"state": "done"}, "$inc": {"claim_number": 1}}
        order = [("b", 1), ("_id", 1)]
        return store.claim_many(DOCS, {"state": args[0]}, update, sort=order, limit=args[1])
    if kind == "write_many":
        writes = [Write({"_id": id}, update) for id, update in args[0]]
        return store.write_many(DOCS, writes[:1])
    if kind == "delete_one":
        return docs.delete_one({"$and": [{"_id": args[0]}, args[1]]}).deleted_count
    return docs.delete_many(args[0]).deleted_count


def is_partial(update):
    """MongoDB keeps what it changed before the document that is refused; SQLite keeps nothing."""
    return "$inc" in update or "$push" in update or UNIQUE in str(update) or "sub" in str(update)


@pytest.fixture(scope="module")
def stores(mongo_server):
    from rocketjob_plugins.store_mongodb import MongoStore

    url = database_url(mongo_server)
    pair = SqliteStore("sqlite://:memory:"), MongoStore(url)
    for store in pair:
        store.collection(DOCS).create_index([("state", 1), ("b", 1), ("_id", 1)], name="claim")
        store.collection(DOCS).create_index(
            [(UNIQUE, 1)],
            name=UNIQUE,
            unique=True,
            partialFilterExpression={UNIQUE: {"$exists": True}},
        )
    yield pair
    for store in pair:
        store.close()
    drop(url)


@settings(max_examples=80)
@given(st.lists(documents, max_size=4), st.lists(operations, max_size=12))
def test_both_stores_do_the_same(stores, inserted, done):
    for store in stores:
        store.collection(DOCS).delete_many({})
    steps = [("insert_one", document) for document in inserted] + done
    for step in steps:
        one, other = (perform(store, step) for store in stores)
        assert one == other, step
    one, other = (list(store.collection(DOCS).find({}, sort=[("_id", 1)])) for store in stores)
    assert one == other
    if os.environ.get(VARIABLE):  # the test server has another order than MongoDB
        assert [list(each) for each in one] == [list(each) for each in other], "order of the fields"
