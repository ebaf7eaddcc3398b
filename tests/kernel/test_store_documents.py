"""`rocketjob.store.documents`: what stores that are not MongoDB share."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest
from bson import ObjectId

from rocketjob import UnsupportedOperation
from rocketjob.base.errors import DuplicateKey, StoreError
from rocketjob.store import documents
from rocketjob.store.changes import ChangeCounter

NAIVE = datetime(2026, 1, 1, 12)


def test_filters_compare_what_bson_stores():
    id = uuid4()
    kept = documents.normalise({"at": NAIVE, "id": id, "tags": ("a", "b")})
    for filter in (
        {"at": NAIVE},
        {"at": NAIVE.replace(tzinfo=UTC)},
        {"at": datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))},
        {"id": id},
        {"tags": "a"},
        {},
        None,
    ):
        assert documents.compile_filter(filter)(kept), filter
    assert not documents.compile_filter({"tags": "c"})(kept)


def test_an_operator_that_is_not_known_is_named_with_those_that_are():
    with pytest.raises(UnsupportedOperation, match=r"does not support '\$near'.*\$elemMatch"):
        documents.compile_filter({"a": {"$near": 1}})
    with pytest.raises(UnsupportedOperation, match=r"does not support '\$bit'.*\$addToSet"):
        documents.compile_update({"$bit": {"a": 1}})


def test_an_update_changes_a_document_in_place_and_shares_nothing_with_it():
    given = {"by": ["me"]}
    updater = documents.compile_update({"$push": {"log": given}, "$set": {"last": given}})
    one, two = {"_id": 1}, {"_id": 2}
    for document in (one, two):
        updater.apply(document)
    one["last"]["by"].append("you")
    assert two == {"_id": 2, "log": [{"by": ["me"]}], "last": {"by": ["me"]}}
    assert given == {"by": ["me"]}
    assert updater.touched == {"log", "last"}


def test_an_upsert_begins_with_the_filter_and_has_an_id():
    updater = documents.compile_update({"$inc": {"n": 1}, "$setOnInsert": {"at": NAIVE}})
    document = documents.upserted({"a.b": 2, "c": {"$gt": 3}}, updater)
    assert list(document) == ["_id", "a", "at", "n"]
    assert isinstance(document.pop("_id"), ObjectId)
    assert document == {"a": {"b": 2}, "at": NAIVE.replace(tzinfo=UTC), "n": 1}


def test_documents_are_sorted_as_mongodb_sorts_them():
    values = ["b", 2, None, True, "a", 1.5, [0, 9]]
    kept = [{"_id": n, "v": value} for n, value in enumerate(values)]
    upwards = [d["v"] for d in documents.in_order(kept, [("v", 1)])]
    assert upwards == [None, [0, 9], 1.5, 2, "a", "b", True]
    assert documents.in_order(kept, [("v", -1), ("_id", 1)])[0]["v"] is True
    assert documents.in_order(kept, None) == kept
    with pytest.raises(StoreError, match="A sort is a list"):
        documents.in_order(kept, "v")


def test_values_are_told_apart_and_counted():
    kept = [{"a": 1}, {"a": [2, 1]}, {"b": 1}, {"a": None}]
    assert documents.distinct(kept, "a") == [None, 1, 2]
    assert documents.count_by([{"a": 1}, {"a": 1}, {}], "a") == {1: 2, None: 1}
    assert documents.count_by(kept, "a") == {1: 1, None: 3}


def test_a_unique_index_knows_its_documents_and_says_what_is_taken():
    definition = documents.index_definition([("key", 1)], "key", True, {"state": "active"})
    index = documents.Index(definition)
    assert index.values({"key": 1, "state": "done"}) is None
    assert index.values({"state": "active"}) == [documents.MISSING]
    assert index.information() == {
        "key": [("key", 1)],
        "unique": True,
        "partialFilterExpression": {"state": "active"},
    }
    error = index.refusal("docs", {"key": 1, "state": "active"})
    assert isinstance(error, DuplicateKey)
    assert error.details == {"index": "key", "keyPattern": {"key": 1}, "keyValue": {"key": 1}}
    with pytest.raises(UnsupportedOperation, match="'key' of this store cannot hold arrays"):
        index.values({"key": [1], "state": "active"})


def test_a_name_stands_for_one_index():
    one = documents.index_definition([("a", 1)], "a")
    assert documents.is_same(one, documents.index_definition([["a", 1.0]], "a", False, {}), "docs")
    assert not documents.is_same(one, documents.index_definition([("a", 1)], "b"), "docs")
    with pytest.raises(StoreError, match=r"exists with another definition \(a 1\)"):
        documents.is_same(one, documents.index_definition([("a", 1)], "a", True), "docs")
    with pytest.raises(StoreError, match="An index needs a list"):
        documents.index_definition([("a", 2)], "a")


def test_what_cannot_be_stored_is_named():
    with pytest.raises(StoreError, match=r"'a\.1' cannot be stored: object"):
        documents.normalise({"a": [1, object()]})
    with pytest.raises(StoreError, match="An _id cannot be an array"):
        documents.with_id({"_id": [1]})
    with pytest.raises(StoreError, match=r"A field cannot be called '\$a'"):
        documents.with_id({"$a": 1})


def test_a_counter_of_changes_tells_of_those_since_a_mark():
    changes = ChangeCounter()
    mark = changes.count
    assert not changes.wait(mark, 0)
    changes.add()
    assert changes.wait(mark, 30)
    assert not changes.wait(changes.count, 0)
