"""The contract that every store keeps: run it over yours.

Derive a class whose name begins with `Test` and give it a fixture `store` that is empty::

    from rocketjob.testing.store_contract import StoreContract

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, tmp_path):
            store = MyStore(...)
            yield store
            store.close()

What each test says is what MongoDB does, as far as the kernel and the plugins depend on it.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Regex

from rocketjob.base.errors import is_duplicate_key
from rocketjob.base.interrupt import Interrupt
from rocketjob.store import Collection, Sort, Store, Stored, Write

JOBS = "rocket_job.jobs"
NOW = datetime(2024, 2, 29, 12, 30, 15, 123000, tzinfo=UTC)
BY_PRIORITY: Sort = [("priority", 1), ("_id", 1)]
EXISTS = {"$exists": True}

# Documents of every shape, and which of them a filter finds

A, B, C = ObjectId("0" * 24), ObjectId("1" * 24), ObjectId("2" * 24)
DOCUMENTS: list[Stored] = [
    {"_id": 1, "n": 1, "s": "apple", "t": NOW, "ok": True, "o": A},
    {"_id": 2, "n": 2.5, "s": "Banana", "t": NOW + timedelta(days=1), "ok": False, "o": B},
    {"_id": 3, "n": 2, "s": "cherry", "tags": ["red", "round"], "sub": {"a": 1, "b": {"c": 2}}},
    {"_id": 4, "n": None, "s": None, "tags": [], "sub": {"a": None}, "o": C},
    {
        "_id": 5,
        "n": [1, 3],
        "s": ["x", "apple"],
        "tags": "red",
        "sub": [{"a": 1}, {"a": 5, "b": 7}],
    },
    {"_id": 6, "n": "2", "tags": [["red"], "blue"], "sub": 1, "items": [{"p": 1, "q": 9}]},
    {
        "_id": 7,
        "n": Int64(2**40),
        "items": [{"p": 1, "q": 2}, {"p": 3, "q": 4}],
        "u": uuid.UUID(int=7),
    },
    {"_id": 8, "n": -7, "s": "multi\nLine", "items": [1, 5, 9], "data": b"\x00\x01"},
    {"_id": 9, "n": Decimal128("2.50"), "m": [[1, 2], [3]], "d": {"x": 1, "y": 2}},
]

FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ({"n": 2}, [3]),
    ({"n": 2.0}, [3]),
    ({"n": 2.5}, [2, 9]),
    ({"n": Decimal128("2.5")}, [2, 9]),
    ({"n": "2"}, [6]),
    ({"n": 1}, [1, 5]),
    ({"n": [1, 3]}, [5]),
    ({"n": [3, 1]}, []),
    ({"n": True}, []),
    ({"ok": True}, [1]),
    ({"ok": 1}, []),
    ({"n": None}, [4]),
    ({"s": None}, [4, 6, 7, 9]),
    ({"s": {"$exists": True}}, [1, 2, 3, 4, 5, 8]),
    ({"s": {"$exists": False}}, [6, 7, 9]),
    ({"o": B}, [2]),
    ({"o": {"$gt": A}}, [2, 4]),
    ({"t": NOW}, [1]),
    ({"t": NOW.astimezone(timezone(timedelta(hours=5)))}, [1]),
    ({"t": {"$gt": NOW}}, [2]),
    ({"t": {"$lte": NOW}}, [1]),
    ({"u": uuid.UUID(int=7)}, [7]),
    ({"data": b"\x00\x01"}, [8]),
    ({"n": {"$gt": 2}}, [2, 5, 7, 9]),
    ({"n": {"$gte": 2}}, [2, 3, 5, 7, 9]),
    ({"n": {"$lt": 2}}, [1, 5, 8]),
    ({"n": {"$lte": 2}}, [1, 3, 5, 8]),
    ({"n": {"$gt": 1, "$lt": 3}}, [2, 3, 5, 9]),
    ({"n": {"$gt": ""}}, [6]),
    ({"n": {"$gte": None}}, [4]),
    ({"n": {"$gt": None}}, []),
    ({"ok": {"$gt": False}}, [1]),
    ({"s": {"$gt": "apple"}}, [3, 5, 8]),
    ({"s": {"$lt": "b"}}, [1, 2, 5]),
    ({"n": {"$ne": 2}}, [1, 2, 4, 5, 6, 7, 8, 9]),
    ({"n": {"$ne": None}}, [1, 2, 3, 5, 6, 7, 8, 9]),
    ({"n": {"$in": [1, "2", None]}}, [1, 4, 5, 6]),
    ({"n": {"$in": []}}, []),
    ({"n": {"$nin": [1, "2"]}}, [2, 3, 4, 7, 8, 9]),
    ({"s": {"$nin": ["apple", None]}}, [2, 3, 8]),
    ({"s": {"$in": [re.compile("^ban", re.I), "cherry"]}}, [2, 3]),
    ({"_id": {"$in": [3, 1, 99]}}, [1, 3]),
    ({"_id": {"$gte": 3, "$lt": 5}}, [3, 4]),
    ({"tags": "red"}, [3, 5]),
    ({"tags": ["red"]}, [6]),
    ({"tags": []}, [4]),
    ({"tags": ["red", "round"]}, [3]),
    ({"tags": {"$size": 2}}, [3, 6]),
    ({"tags": {"$size": 0}}, [4]),
    ({"tags": {"$all": ["red", "round"]}}, [3]),
    ({"tags": {"$all": ["red"]}}, [3, 5]),
    ({"tags": {"$all": []}}, []),
    ({"tags": {"$exists": True}}, [3, 4, 5, 6]),
    ({"tags.0": "red"}, [3]),
    ({"tags.1": "blue"}, [6]),
    ({"m": [3]}, [9]),
    ({"m.0.1": 2}, [9]),
    ({"sub.a": 1}, [3, 5]),
    ({"sub.a": None}, [1, 2, 4, 6, 7, 8, 9]),
    ({"sub.a": {"$exists": True}}, [3, 4, 5]),
    ({"sub.a": {"$exists": False}}, [1, 2, 6, 7, 8, 9]),
    ({"sub.b.c": 2}, [3]),
    ({"sub.1.b": 7}, [5]),
    ({"sub.b": {"$gt": 6}}, [5]),
    ({"sub": {"a": 1, "b": {"c": 2}}}, [3]),
    ({"sub": {"b": {"c": 2}, "a": 1}}, []),
    ({"sub": {"a": 1}}, [5]),
    ({"d": {"x": 1, "y": 2}}, [9]),
    ({"d": {"$gt": {"x": 1}}}, [9]),
    ({"items.p": 1}, [6, 7]),
    ({"items.p": 1, "items.q": 4}, [7]),
    ({"items": {"$elemMatch": {"p": 1, "q": 4}}}, []),
    ({"items": {"$elemMatch": {"p": 3, "q": {"$gt": 3}}}}, [7]),
    ({"items": {"$elemMatch": {"$gt": 4, "$lt": 8}}}, [8]),
    ({"items": {"$elemMatch": {"$gt": 9}}}, []),
    ({"items": {"$gt": 4, "$lt": 2}}, [8]),
    ({"items": {"$all": [{"$elemMatch": {"p": 1}}, {"$elemMatch": {"p": 3}}]}}, [7]),
    ({"s": {"$regex": "^a"}}, [1, 5]),
    ({"s": {"$regex": "^LINE$", "$options": "im"}}, [8]),
    ({"s": re.compile("an")}, [2]),
    ({"s": Regex("^B", "i")}, [2]),
    ({"s": {"$not": re.compile("a")}}, [3, 4, 6, 7, 8, 9]),
    ({"n": {"$not": {"$gt": 2}}}, [1, 3, 4, 6, 8]),
    ({"n": {"$mod": [2, 0]}}, [2, 3, 7, 9]),
    ({"n": {"$mod": [3, -1]}}, [8]),
    ({"n": {"$type": "string"}}, [6]),
    ({"n": {"$type": "number"}}, [1, 2, 3, 5, 7, 8, 9]),
    ({"n": {"$type": ["long", "null"]}}, [4, 7]),
    ({"sub": {"$type": "array"}}, [5]),
    ({"sub": {"$type": 3}}, [3, 4, 5]),
    ({"$and": [{"n": {"$gte": 1}}, {"s": "apple"}]}, [1, 5]),
    ({"$or": [{"n": 1}, {"s": "cherry"}]}, [1, 3, 5]),
    ({"$nor": [{"n": {"$type": "number"}}, {"tags": "red"}]}, [4, 6]),
    ({"$or": [{"n": 2}, {"$and": [{"ok": False}, {"n": {"$lt": 3}}]}]}, [2, 3]),
    ({"n": {"$eq": 2}, "s": {"$eq": "cherry"}}, [3]),
]  # fmt: skip

# What an update makes of a document

UPDATES: list[tuple[Stored, dict[str, Any], Stored]] = [
    ({"a": 1}, {"$set": {"a": 2, "b": 3}}, {"a": 2, "b": 3}),
    ({"a": {"x": 1}}, {"$set": {"a.y": 2, "b.c": 3}}, {"a": {"x": 1, "y": 2}, "b": {"c": 3}}),
    ({"a": [1, 2]}, {"$set": {"a.1": 9}}, {"a": [1, 9]}),
    ({"a": [1]}, {"$set": {"a.3": 9}}, {"a": [1, None, None, 9]}),
    ({"a": [{"b": 1}]}, {"$set": {"a.0.b": 2}}, {"a": [{"b": 2}]}),
    ({}, {"$set": {"a.0": 1}}, {"a": {"0": 1}}),
    ({"a": 1, "b": 2}, {"$unset": {"a": "", "x.y": ""}}, {"b": 2}),
    ({"a": {"b": 1, "c": 2}}, {"$unset": {"a.b": 1}}, {"a": {"c": 2}}),
    ({"a": [1, 2, 3]}, {"$unset": {"a.1": 1}}, {"a": [1, None, 3]}),
    ({"a": 1}, {"$inc": {"a": 2, "b": -1}}, {"a": 3, "b": -1}),
    ({"a": 1}, {"$inc": {"a": 0.5}}, {"a": 1.5}),
    ({"a": {"n": 1}}, {"$inc": {"a.n": 1, "a.m": 5}}, {"a": {"n": 2, "m": 5}}),
    ({"a": 3}, {"$mul": {"a": 2, "b": 7}}, {"a": 6, "b": 0}),
    ({"a": 3, "b": 3}, {"$min": {"a": 2, "b": 4, "c": 1}}, {"a": 2, "b": 3, "c": 1}),
    ({"a": 3, "b": 3}, {"$max": {"a": 2, "b": 4, "c": 1}}, {"a": 3, "b": 4, "c": 1}),
    ({"a": "x"}, {"$max": {"a": 5}}, {"a": "x"}),
    ({"a": [1]}, {"$push": {"a": 2, "b": 3}}, {"a": [1, 2], "b": [3]}),
    ({"a": [1]}, {"$push": {"a": [2, 3]}}, {"a": [1, [2, 3]]}),
    ({"a": [1]}, {"$push": {"a": {"$each": [2, 3]}}}, {"a": [1, 2, 3]}),
    ({"a": [1, 2]}, {"$push": {"a": {"$each": [3, 4], "$slice": -3}}}, {"a": [2, 3, 4]}),
    ({"a": [1, 2]}, {"$push": {"a": {"$each": [3], "$slice": 2}}}, {"a": [1, 2]}),
    ({"a": [1, 2]}, {"$push": {"a": {"$each": [], "$slice": 0}}}, {"a": []}),
    ({"a": [1, 2]}, {"$push": {"a": {"$each": [0], "$position": 0}}}, {"a": [0, 1, 2]}),
    ({"a": [1]}, {"$addToSet": {"a": 1}}, {"a": [1]}),
    ({"a": [1]}, {"$addToSet": {"a": {"$each": [1, 2, 2]}}}, {"a": [1, 2]}),
    ({"a": [{"x": 1}]}, {"$addToSet": {"a": {"x": 1}}}, {"a": [{"x": 1}]}),
    ({}, {"$addToSet": {"a": 1}}, {"a": [1]}),
    ({"a": [1, 2, 1]}, {"$pull": {"a": 1}}, {"a": [2]}),
    ({"a": [1, 5, 9]}, {"$pull": {"a": {"$gte": 5}}}, {"a": [1]}),
    ({"a": [1, 5, 9]}, {"$pull": {"a": {"$in": [1, 9]}}}, {"a": [5]}),
    ({"a": [{"x": 1, "y": 1}, {"x": 2}]}, {"$pull": {"a": {"x": 1}}}, {"a": [{"x": 2}]}),
    ({"a": 1}, {"$pull": {"b": 1}}, {"a": 1}),
    ({"a": [1, 2, 3, 2]}, {"$pullAll": {"a": [2, 3]}}, {"a": [1]}),
    ({"a": [1, 2, 3]}, {"$pop": {"a": 1}}, {"a": [1, 2]}),
    ({"a": [1, 2, 3]}, {"$pop": {"a": -1}}, {"a": [2, 3]}),
    ({"a": 1, "b": 2}, {"$rename": {"a": "c"}}, {"b": 2, "c": 1}),
    ({"a": 1, "b": 2}, {"$rename": {"a": "b", "x": "y"}}, {"b": 1}),
    ({"a": {"b": 1}}, {"$rename": {"a.b": "c.d"}}, {"a": {}, "c": {"d": 1}}),
    ({"a": 1}, {"$setOnInsert": {"a": 2}}, {"a": 1}),
    ({"a": 1}, {"$set": {"b": 1}, "$inc": {"a": 1}, "$unset": {"c": 1}}, {"a": 2, "b": 1}),
]  # fmt: skip

REFUSED_UPDATES: list[tuple[Stored, dict[str, Any]]] = [
    ({"a": 1}, {"$set": {"a.b": 1}}),
    ({"a": None}, {"$set": {"a.b": 1}}),
    ({"a": [1]}, {"$set": {"a.b": 1}}),
    ({"a": 1}, {"$set": {"a": 1, "a.b": 2}}),
    ({"a": 1}, {"$set": {"a": 1}, "$inc": {"a": 1}}),
    ({"a": "x"}, {"$inc": {"a": 1}}),
    ({"a": None}, {"$inc": {"a": 1}}),
    ({"a": 1}, {"$inc": {"a": "x"}}),
    ({"a": 1}, {"$push": {"a": 1}}),
    ({"a": 1}, {"$addToSet": {"a": 1}}),
    ({"a": 1}, {"$pull": {"a": 1}}),
    ({"a": 1}, {"$set": {"_id": "other"}}),
    ({"a": 1}, {"$frobnicate": {"a": 1}}),
    ({"a": Int64(2**63 - 1)}, {"$inc": {"a": 1}}),
]

SORTED: list[Any] = [  # in MongoDB's order
    None,
    float("-inf"),
    -3,
    Decimal128("0.5"),
    1,
    2.5,
    Int64(2**53 + 1),
    float("inf"),
    "",
    "B",
    "a",
    "aa",
    "é",
    {"a": 1},
    {"a": 1, "b": 0},
    {"b": 0},
    b"",
    b"z",
    b"aa",
    Binary(b"aa", 5),
    A,
    B,
    False,
    True,
    NOW - timedelta(days=40_000),
    NOW,
]


def names(documents: Iterator[Stored]) -> list[Any]:
    """Return the ids of documents."""
    return [document["_id"] for document in documents]


def declare_indexes(jobs: Collection) -> None:
    """Declare the indexes that the kernel has on jobs."""
    keys = [("state", 1), ("priority", 1), ("_id", 1), ("run_at", 1), ("_type", 1)]
    jobs.create_index(keys, name="claim")
    jobs.create_index([("state", 1), ("run_at", 1)], name="due")
    jobs.create_index([("completed_at", 1)], name="completed_at")
    jobs.create_index(
        [("claimed_by", 1)], name="claimed_by", partialFilterExpression={"claimed_by": EXISTS}
    )
    jobs.create_index(
        [("active_key", 1)],
        name="active_key",
        unique=True,
        partialFilterExpression={"active_key": EXISTS},
    )


def queued(number: int, **fields: Any) -> Stored:
    """Return a queued job."""
    job = {"_id": number, "_type": "ReportJob", "state": "queued", "priority": 50}
    return {**job, "claim_number": 0, **fields}


CLAIM: dict[str, Any] = {
    "$set": {"state": "running", "claimed_by": "me"},
    "$inc": {"claim_number": 1},
}


def claim(store: Store, limit: int, **more: Any) -> list[Stored]:
    """Claim jobs as the kernel does."""
    due = {"$or": [{"run_at": None}, {"run_at": {"$lte": NOW}}]}
    types = {"_type": {"$in": ["ReportJob", "OtherJob"]}}
    filter = {"$and": [{"state": "queued"}, due, types, *([more] if more else [])]}
    return store.claim_many(JOBS, filter, CLAIM, sort=BY_PRIORITY, limit=limit)


class StoreContract:
    """Every test of the contract; a fixture `store` gives an empty store."""

    @pytest.fixture
    def jobs(self, store: Store) -> Collection:
        """A collection with the indexes of the jobs."""
        jobs = store.collection(JOBS)
        declare_indexes(jobs)
        return jobs

    # Documents

    def test_what_comes_back_is_what_was_stored(self, store: Store) -> None:
        document = {
            "_id": ObjectId(),
            "s": "é\0x",
            "i": 7,
            "big": 2**62,
            "f": 1.5,
            "none": None,
            "yes": True,
            "at": NOW,
            "uuid": uuid.uuid4(),
            "bytes": b"\x00\xff",
            "decimal": Decimal128("1.10"),
            "list": [1, [2, {"x": None}]],
            "sub": {"a": {"b": []}},
        }
        store.collection("docs").insert_one(document)
        assert store.collection("docs").find_one({}) == document

    def test_times_come_back_as_aware_utc_in_milliseconds(self, store: Store) -> None:
        docs = store.collection("docs")
        east = datetime(2024, 1, 1, 3, 0, 0, 123456, tzinfo=timezone(timedelta(hours=3)))
        docs.insert_one({"_id": 1, "at": east, "naive": datetime(2024, 1, 1)})
        found = docs.find_one({"_id": 1})
        assert found is not None
        assert found["at"] == datetime(2024, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)
        assert found["at"].utcoffset() == timedelta(0)
        assert found["naive"] == datetime(2024, 1, 1, tzinfo=UTC)

    def test_a_document_without_id_is_given_an_object_id(self, store: Store) -> None:
        document: Stored = {"a": 1}
        result = store.collection("docs").insert_one(document)
        assert isinstance(document["_id"], ObjectId)
        assert result.inserted_id == document["_id"]

    def test_insert_many_returns_the_ids_in_order(self, store: Store) -> None:
        result = store.collection("docs").insert_many([{"_id": "b"}, {"_id": "a"}])
        assert result.inserted_ids == ["b", "a"]
        assert store.collection("docs").count_documents({}) == 2

    def test_a_second_document_of_the_same_id_is_refused(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_one({"_id": 1, "a": 1})
        with pytest.raises(Exception) as caught:
            docs.insert_one({"_id": 1, "a": 2})
        assert is_duplicate_key(caught.value)
        assert docs.find_one({"_id": 1}) == {"_id": 1, "a": 1}

    @pytest.mark.parametrize("id", [7, "seven", ObjectId(), 2.5, NOW, b"x", {"a": 1, "b": 2}])
    def test_an_id_may_be_of_any_type(self, store: Store, id: Any) -> None:
        docs = store.collection("docs")
        docs.insert_many([{"_id": id, "x": 1}, {"_id": "another"}])
        assert docs.find_one({"_id": id}) == {"_id": id, "x": 1}
        assert docs.update_one({"_id": id}, {"$set": {"x": 2}}).matched_count == 1
        assert docs.delete_one({"_id": id}).deleted_count == 1
        assert docs.count_documents({}) == 1

    # Finding

    @pytest.fixture
    def shapes(self, store: Store) -> Collection:
        """A collection with documents of every shape."""
        docs = store.collection("shapes")
        docs.insert_many(DOCUMENTS)
        return docs

    @pytest.mark.parametrize(("filter", "expected"), FILTERS, ids=str)
    def test_a_filter_finds(
        self, shapes: Collection, filter: dict[str, Any], expected: list[int]
    ) -> None:
        assert sorted(names(shapes.find(filter))) == expected
        assert shapes.count_documents(filter) == len(expected)
        found = shapes.find_one(filter)
        assert (found["_id"] in expected) if found else not expected

    @pytest.mark.parametrize("with_index", [False, True], ids=["plain", "indexed"])
    def test_a_filter_finds_the_same_with_indexes(self, store: Store, with_index: bool) -> None:
        docs = store.collection("indexed")
        if with_index:
            for field in ("n", "s", "t", "ok", "o", "sub.a", "tags"):
                docs.create_index([(field, 1)], name=f"by_{field}")
        docs.insert_many(DOCUMENTS)
        found = [sorted(names(docs.find(filter))) for filter, _ in FILTERS]
        assert found == [expected for _, expected in FILTERS]

    @pytest.mark.parametrize("filter", [{"$frob": 1}, {"a": {"$frob": 1}}, {"a": {"$in": 1}}])
    def test_a_filter_that_is_wrong_is_refused(
        self, shapes: Collection, filter: dict[str, Any]
    ) -> None:
        with pytest.raises(Exception):  # noqa: B017 (every store has its own)
            list(shapes.find(filter))

    @pytest.mark.parametrize("indexed", [False, True])
    def test_values_sort_by_type_first(self, store: Store, indexed: bool) -> None:
        docs = store.collection("docs")
        if indexed:
            docs.create_index([("v", 1)], name="v")
        shuffled = sorted(enumerate(SORTED), key=lambda pair: (pair[0] * 7) % len(SORTED))
        docs.insert_many([{"_id": place, "v": value} for place, value in shuffled])
        order = list(range(len(SORTED)))
        assert names(docs.find(sort=[("v", 1)])) == order
        assert names(docs.find(sort=[("v", -1)])) == order[::-1]

    def test_a_missing_field_sorts_as_null_and_an_array_by_its_least_or_greatest(
        self, store: Store
    ) -> None:
        docs = store.collection("docs")
        docs.insert_many(
            [{"_id": 1, "v": 2}, {"_id": 2}, {"_id": 3, "v": [1, 9]}, {"_id": 4, "v": 5}]
        )
        assert names(docs.find(sort=[("v", 1)])) == [2, 3, 1, 4]
        assert names(docs.find(sort=[("v", -1)])) == [3, 4, 1, 2]

    def test_a_sort_by_several_fields(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_many([{"_id": i, "a": i % 2, "b": {"c": -i}} for i in range(6)])
        assert names(docs.find(sort=[("a", -1), ("b.c", 1)])) == [5, 3, 1, 4, 2, 0]

    def test_skip_and_limit(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_many([{"_id": i, "even": i % 2 == 0} for i in range(10)])
        sort = [("_id", -1)]
        assert names(docs.find(sort=sort, skip=2, limit=3)) == [7, 6, 5]
        assert names(docs.find({"even": True}, sort=sort, skip=1, limit=2)) == [6, 4]
        assert names(docs.find(sort=sort, skip=8)) == [1, 0]
        assert names(docs.find(sort=sort, skip=20)) == []

    @pytest.mark.parametrize(
        ("projection", "expected"),
        [
            (["a"], {"_id": 1, "a": 1}),
            (["b.c"], {"_id": 1, "b": {"c": 2}}),
            (["list.x", "none"], {"_id": 1, "list": [{"x": 1}, {"x": 3}]}),
            ({"a": 1, "_id": 0}, {"a": 1}),
            ({"_id": True}, {"_id": 1}),
            ({"b": 0, "list": False}, {"_id": 1, "a": 1}),
            (
                {"b.c": 0, "list.y": 0, "_id": 0},
                {"a": 1, "b": {"d": 3}, "list": [{"x": 1}, {"x": 3}]},
            ),
        ],
    )
    def test_a_projection_picks_fields(
        self, store: Store, projection: Any, expected: Stored
    ) -> None:
        docs = store.collection("docs")
        document = {"_id": 1, "a": 1, "b": {"c": 2, "d": 3}, "list": [{"x": 1, "y": 2}, {"x": 3}]}
        docs.insert_one(document)
        assert docs.find_one({}, projection) == expected
        assert list(docs.find({}, projection)) == [expected]

    def test_a_collection_that_does_not_exist_is_empty(self, store: Store) -> None:
        docs = store.collection("nothing")
        assert docs.find_one({}) is None
        assert list(docs.find({})) == []
        assert docs.count_documents({}) == 0
        assert docs.distinct("a") == []
        assert docs.update_one({}, {"$set": {"a": 1}}).matched_count == 0
        assert docs.delete_many({}).deleted_count == 0
        assert store.count_by("nothing", "a") == {}
        assert store.write_many("nothing", [Write({"_id": 1}, None)]) == [False]
        assert store.collection_names() == []

    def test_each_is_visited_once_while_the_loop_changes_them(self, jobs: Collection) -> None:
        jobs.insert_many([queued(i, state="failed") for i in range(500)])
        visited = []
        for job in jobs.find({"state": "failed"}, sort=[("_id", 1)]):
            visited.append(job["_id"])
            jobs.update_one({"_id": job["_id"]}, {"$set": {"state": "queued", "priority": 1}})
        assert visited == list(range(500))
        assert jobs.count_documents({"state": "queued"}) == 500

    def test_distinct_values_of_a_field(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_many([{"a": 2}, {"a": [3, 1, 2]}, {"a": "x"}, {"b": 1}, {"a": 2, "no": 1}])
        assert sorted(docs.distinct("a"), key=str) == [1, 2, 3, "x"]
        assert sorted(docs.distinct("a", {"no": 1})) == [2]

    def test_count_by_names_the_values_that_occur(self, store: Store, jobs: Collection) -> None:
        states = ["queued", "queued", "running", "failed"]
        jobs.insert_many([queued(i, state=state) for i, state in enumerate(states)])
        assert store.count_by(JOBS, "state") == {"queued": 2, "running": 1, "failed": 1}
        assert store.count_by(JOBS, "state", {"_id": {"$gt": 0}}) == {
            "queued": 1,
            "running": 1,
            "failed": 1,
        }
        assert store.count_by(JOBS, "_type", {"state": "queued"}) == {"ReportJob": 2}
        assert store.count_by(JOBS, "missing") == {None: 4}

    # Changing

    @pytest.mark.parametrize(("before", "update", "after"), UPDATES, ids=str)
    def test_an_update_makes(
        self, store: Store, before: Stored, update: dict[str, Any], after: Stored
    ) -> None:
        docs = store.collection("docs")
        docs.insert_one({"_id": 1, **before})
        assert docs.update_one({"_id": 1}, update).matched_count == 1
        assert docs.find_one({}) == {"_id": 1, **after}

    @pytest.mark.parametrize(("before", "update"), REFUSED_UPDATES, ids=str)
    def test_an_update_that_cannot_be_made_changes_nothing(
        self, store: Store, before: Stored, update: dict[str, Any]
    ) -> None:
        docs = store.collection("docs")
        docs.insert_one({"_id": 1, **before})
        with pytest.raises(Exception):  # noqa: B017 (every store has its own)
            docs.update_one({"_id": 1}, update)
        assert docs.find_one({}) == {"_id": 1, **before}

    def test_a_replacement_is_refused(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_one({"_id": 1, "a": 1})
        with pytest.raises(Exception):  # noqa: B017 (every store has its own)
            docs.update_one({"_id": 1}, {"a": 2})
        assert docs.find_one({}) == {"_id": 1, "a": 1}

    def test_an_update_counts_what_it_matched_and_what_it_modified(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_many([{"_id": i, "a": i % 2} for i in range(6)])
        result = docs.update_many({}, {"$set": {"a": 1}})
        assert (result.matched_count, result.modified_count, result.upserted_id) == (6, 3, None)
        result = docs.update_one({"a": 1}, {"$set": {"a": 1}})
        assert (result.matched_count, result.modified_count) == (1, 0)

    def test_update_many_changes_each_once(self, jobs: Collection) -> None:
        jobs.insert_many([queued(i) for i in range(1200)])
        result = jobs.update_many({"priority": {"$lt": 60}}, {"$inc": {"priority": 5}})
        assert result.modified_count == 1200
        assert jobs.count_documents({"priority": 55}) == 1200

    def test_an_upsert_begins_with_the_equalities_of_the_filter(self, store: Store) -> None:
        docs = store.collection("docs")
        filter = {"_id": "x", "a": {"$eq": 1}, "b.c": 2, "d": {"$gt": 5}, "$and": [{"e": 3}]}
        update = {"$set": {"f": 4}, "$setOnInsert": {"g": 5}}
        result = docs.update_one(filter, update, upsert=True)
        assert (result.matched_count, result.upserted_id) == (0, "x")
        assert docs.find_one({}) == {"_id": "x", "a": 1, "b": {"c": 2}, "e": 3, "f": 4, "g": 5}
        result = docs.update_one({"_id": "x"}, {"$setOnInsert": {"g": 6}}, upsert=True)
        assert (result.matched_count, result.upserted_id) == (1, None)

    def test_an_upsert_makes_an_id(self, store: Store) -> None:
        docs = store.collection("docs")
        result = docs.update_one({"a": 1}, {"$inc": {"n": 1}}, upsert=True)
        assert isinstance(result.upserted_id, ObjectId)
        assert docs.find_one({}) == {"_id": result.upserted_id, "a": 1, "n": 1}

    def test_find_one_and_update_returns_the_document_before_or_after(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_many([{"_id": i, "n": 10 - i} for i in range(3)])
        sort = [("n", 1)]
        before = docs.find_one_and_update({}, {"$set": {"x": 1}}, sort=sort)
        assert before == {"_id": 2, "n": 8}
        after = docs.find_one_and_update({}, {"$inc": {"x": 1}}, sort=sort, return_document=True)
        assert after == {"_id": 2, "n": 8, "x": 2}
        assert docs.find_one_and_update({"n": 99}, {"$set": {"x": 1}}) is None

    def test_find_one_and_update_upserts(self, store: Store) -> None:
        docs = store.collection("docs")
        update = {"$set": {"at": NOW}}
        assert docs.find_one_and_update({"_id": 1}, update, upsert=True) is None
        found = docs.find_one_and_update({"_id": 2}, update, upsert=True, return_document=True)
        assert found == {"_id": 2, "at": NOW}
        assert docs.count_documents({}) == 2

    def test_deleting_one_and_many(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_many([{"_id": i, "a": i % 3} for i in range(9)])
        assert docs.delete_one({"a": 1}).deleted_count == 1
        assert docs.delete_one({"a": 7}).deleted_count == 0
        assert docs.delete_many({"a": {"$in": [0, 1]}}).deleted_count == 5
        assert docs.count_documents({}) == 3
        assert docs.delete_many({}).deleted_count == 3

    # Indexes and collections

    def test_creating_an_index_again_does_nothing(self, jobs: Collection) -> None:
        jobs.insert_one(queued(1))
        declare_indexes(jobs)
        assert jobs.create_index([("completed_at", 1)], name="completed_at") == "completed_at"
        assert jobs.count_documents({}) == 1

    def test_an_index_name_cannot_stand_for_two(self, jobs: Collection) -> None:
        with pytest.raises(Exception):  # noqa: B017 (every store has its own)
            jobs.create_index([("priority", 1)], name="completed_at")

    def test_an_index_on_a_full_collection_serves_what_is_there(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_many([{"_id": i, "a": i % 5, "s": {"t": i}} for i in range(100)])
        docs.create_index([("a", 1), ("s.t", -1)], name="a")
        assert names(docs.find({"a": 3}, sort=[("s.t", -1)], limit=3)) == [98, 93, 88]
        docs.update_one({"_id": 98}, {"$set": {"s.t": 0}})
        assert names(docs.find({"a": 3}, sort=[("s.t", -1)], limit=2)) == [93, 88]

    def test_a_unique_index_refuses_a_second_document(self, jobs: Collection) -> None:
        jobs.insert_one(queued(1, active_key="nightly"))
        for write in (
            lambda: jobs.insert_one(queued(2, active_key="nightly")),
            lambda: jobs.update_one({"_id": 3}, {"$set": {"active_key": "nightly"}}, upsert=True),
        ):
            with pytest.raises(Exception) as caught:
                write()
            assert is_duplicate_key(caught.value)
            details: Any = getattr(caught.value, "details", None)
            assert details["keyPattern"] == {"active_key": 1}
            assert details["keyValue"] == {"active_key": "nightly"}
        assert jobs.count_documents({}) == 1

    def test_an_update_into_a_taken_key_is_refused(self, jobs: Collection) -> None:
        jobs.insert_many([queued(1, active_key="a"), queued(2, active_key="b")])
        with pytest.raises(Exception) as caught:
            jobs.update_one({"_id": 2}, {"$set": {"active_key": "a"}})
        assert is_duplicate_key(caught.value)
        assert jobs.count_documents({"active_key": "b"}) == 1

    def test_a_partial_unique_index_ignores_documents_without_the_field(
        self, jobs: Collection
    ) -> None:
        jobs.insert_many([queued(1), queued(2), queued(3, active_key="x")])
        jobs.update_one({"_id": 3}, {"$unset": {"active_key": 1}})
        jobs.insert_one(queued(4, active_key="x"))
        jobs.insert_one(queued(5, active_key=None))
        with pytest.raises(Exception) as caught:
            jobs.insert_one(queued(6, active_key=None))
        assert is_duplicate_key(caught.value)

    def test_a_unique_index_counts_a_missing_field_as_null(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.create_index([("a", 1), ("b", 1)], name="ab", unique=True)
        docs.insert_many([{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 1}])
        for again in ({"a": 1, "b": None}, {"a": 1.0, "b": 2}):
            with pytest.raises(Exception) as caught:
                docs.insert_one(again)
            assert is_duplicate_key(caught.value)

    def test_a_partial_unique_index_by_value(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.create_index(
            [("key", 1)], name="key", unique=True, partialFilterExpression={"state": "active"}
        )
        docs.insert_many([{"_id": i, "key": "k", "state": "done"} for i in range(3)])
        docs.update_one({"_id": 0}, {"$set": {"state": "active"}})
        with pytest.raises(Exception) as caught:
            docs.update_one({"_id": 1}, {"$set": {"state": "active"}})
        assert is_duplicate_key(caught.value)

    def test_a_unique_index_on_duplicates_is_refused(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_many([{"a": 1}, {"a": 1}])
        with pytest.raises(Exception) as caught:
            docs.create_index([("a", 1)], name="a", unique=True)
        assert is_duplicate_key(caught.value)
        assert docs.count_documents({}) == 2

    def test_collections_are_named_and_dropped(self, store: Store) -> None:
        for name in ("rocket_job.inputs.5e", "rocket_job.outputs.5e", "rocket_job.jobs"):
            store.collection(name).insert_one({"_id": 1})
        assert store.collection_names() == [
            "rocket_job.inputs.5e",
            "rocket_job.jobs",
            "rocket_job.outputs.5e",
        ]
        store.collection("rocket_job.inputs.5e").drop()
        store.collection("rocket_job.inputs.5e").drop()
        assert store.collection_names() == ["rocket_job.jobs", "rocket_job.outputs.5e"]
        assert store.collection("rocket_job.jobs").count_documents({}) == 1

    def test_a_dropped_collection_starts_anew(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.create_index([("a", 1)], name="a", unique=True)
        docs.insert_one({"a": 1})
        docs.drop()
        docs.insert_many([{"a": 1}, {"a": 1}])
        assert docs.count_documents({"a": 1}) == 2

    # Claims and groups of writes

    def test_a_claim_takes_the_most_urgent_first(self, store: Store, jobs: Collection) -> None:
        jobs.insert_many(
            [queued(i, priority=priority) for i, priority in enumerate([50, 1, 99, 1])]
        )
        claimed = claim(store, 3)
        assert [job["_id"] for job in claimed] == [1, 3, 0]
        assert claimed[0] == queued(1, priority=1, state="running", claimed_by="me", claim_number=1)
        assert [job["_id"] for job in claim(store, 3)] == [2]
        assert claim(store, 3) == []
        assert jobs.count_documents({"state": "running", "claim_number": 1}) == 4

    def test_a_claim_leaves_what_is_not_due(self, store: Store, jobs: Collection) -> None:
        jobs.insert_many(
            [
                queued(1, run_at=NOW + timedelta(milliseconds=1)),
                queued(2, run_at=NOW),
                queued(3),
                queued(4, run_at=None),
                queued(5, _type="UnknownJob"),
                queued(6, state="paused"),
            ]
        )
        assert [job["_id"] for job in claim(store, 10)] == [2, 3, 4]

    def test_a_claim_with_further_clauses(self, store: Store, jobs: Collection) -> None:
        jobs.insert_many([queued(i, customer={"id": i % 3}) for i in range(9)])
        found = claim(store, 2, **{"customer.id": 1, "_id": {"$nin": [1]}})
        assert [job["_id"] for job in found] == [4, 7]

    def test_a_claim_in_one_of_several_states(self, store: Store, jobs: Collection) -> None:
        states = ["running", "queued", "running", "queued", "paused"]
        subs = ["processing", None, "loading", None, "processing"]
        jobs.insert_many(
            [
                queued(i, state=state, sub_state=sub, priority=50 - i)
                for i, (state, sub) in enumerate(zip(states, subs, strict=True))
            ]
        )
        either = [{"state": "queued"}, {"state": "running", "sub_state": "processing"}]
        filter = {"state": {"$in": ["queued", "running"]}, "$or": either}
        found = store.claim_many(JOBS, filter, {"$set": {"state": "x"}}, sort=BY_PRIORITY, limit=10)
        assert [job["_id"] for job in found] == [3, 1, 0]

    def test_claimed_documents_share_nothing(self, store: Store, jobs: Collection) -> None:
        jobs.insert_many([queued(1), queued(2)])
        update = {"$set": {"state": "x", "sub": {"a": []}}, "$push": {"history": {"by": ["me"]}}}
        one, two = store.claim_many(JOBS, {}, update, sort=BY_PRIORITY, limit=2)
        one["sub"]["a"].append(1)
        one["history"][0]["by"].append("you")
        assert two["sub"] == {"a": []}
        assert two["history"] == [{"by": ["me"]}]

    def test_what_a_claim_returns_is_what_is_stored(self, store: Store, jobs: Collection) -> None:
        jobs.insert_one(queued(1))
        at = datetime(2024, 1, 1, 5, 0, 0, 987654, tzinfo=timezone(timedelta(hours=5)))
        claimed = store.claim_many(JOBS, {}, {"$set": {"at": at}}, sort=BY_PRIORITY, limit=1)
        assert claimed == [jobs.find_one({"_id": 1})]

    def test_threads_never_claim_the_same(self, store: Store, jobs: Collection) -> None:
        jobs.insert_many([queued(i) for i in range(200)])
        claimed: list[Any] = []

        def work() -> None:
            while found := claim(store, 3):
                claimed.extend(job["_id"] for job in found)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(claimed) == list(range(200))

    def test_the_first_due_time(self, jobs: Collection) -> None:
        jobs.insert_many([queued(i, run_at=NOW + timedelta(minutes=i * 7 % 5)) for i in range(5)])
        jobs.insert_one(queued(9))
        filter = {"state": "queued", "run_at": {"$gt": NOW}}
        found = jobs.find_one(filter, sort=[("run_at", 1)])
        assert found is not None
        assert found["run_at"] == NOW + timedelta(minutes=1)

    def test_a_guarded_write_says_whether_it_matched(self, store: Store, jobs: Collection) -> None:
        jobs.insert_many([queued(i) for i in range(4)])
        claim(store, 4)
        guard = {"state": "running", "claimed_by": "me", "claim_number": 1}
        done = {"$set": {"state": "completed"}, "$unset": {"claimed_by": 1}}
        assert store.write_many(
            JOBS,
            [
                Write({"_id": 0, **guard}, done),
                Write({"_id": 1, **guard, "claim_number": 2}, done),
                Write({"_id": 2, **guard}, None),
                Write({"_id": 2, **guard}, done),
                Write({"_id": 99, **guard}, None),
            ],
        ) == [True, False, True, False, False]
        assert store.count_by(JOBS, "state") == {"completed": 1, "running": 2}
        assert jobs.find_one({"_id": 0}) == queued(0, state="completed", claim_number=1)

    def test_a_group_sees_its_own_writes(self, store: Store, jobs: Collection) -> None:
        jobs.insert_one(queued(1))
        writes = [
            Write({"_id": 1, "state": "queued"}, {"$set": {"state": "running"}}),
            Write({"_id": 1, "state": "queued"}, {"$set": {"state": "failed"}}),
            Write({"state": "running"}, {"$inc": {"claim_number": 5}}),
        ]
        assert store.write_many(JOBS, writes) == [True, False, True]
        assert jobs.find_one({}) == queued(1, state="running", claim_number=5)
        assert store.write_many(JOBS, []) == []

    # Transactions

    @pytest.fixture
    def transactional(self, store: Store) -> Store:
        """The store, if it has transactions."""
        if not store.supports_transactions:
            pytest.skip("the store has no transactions")
        store.collection("docs").insert_one({"_id": 0})
        store.collection("other").insert_one({"_id": 0})
        return store

    def test_a_transaction_is_stored_as_a_whole(self, transactional: Store) -> None:
        docs, other = transactional.collection("docs"), transactional.collection("other")
        with transactional.transaction() as session:
            docs.insert_one({"_id": 1}, session=session)
            other.delete_one({"_id": 0}, session=session)
            assert docs.count_documents({}, session=session) == 2
        assert names(docs.find(sort=[("_id", 1)])) == [0, 1]
        assert other.count_documents({}) == 0

    def test_an_error_in_a_transaction_undoes_all_of_it(self, transactional: Store) -> None:
        docs, other = transactional.collection("docs"), transactional.collection("other")
        with pytest.raises(KeyError), transactional.transaction() as session:
            docs.insert_one({"_id": 1}, session=session)
            with transactional.transaction() as inner:
                other.update_one({"_id": 0}, {"$set": {"a": 1}}, session=inner)
                transactional.write_many("other", [Write({"_id": 0}, None)], session=inner)
            raise KeyError
        assert names(docs.find()) == [0]
        assert list(other.find()) == [{"_id": 0}]

    def test_nobody_sees_a_transaction_before_its_end(self, transactional: Store) -> None:
        docs = transactional.collection("docs")
        inside, seen = threading.Event(), threading.Event()
        counts = []

        def look() -> None:
            inside.wait(10)
            seen.set()  # a store of one connection lets us look only afterwards
            counts.append(docs.count_documents({}))

        thread = threading.Thread(target=look)
        thread.start()
        with pytest.raises(KeyError), transactional.transaction() as session:
            docs.insert_one({"_id": 1}, session=session)
            inside.set()
            seen.wait(10)
            raise KeyError
        thread.join()
        assert counts == [1]

    # Waiting for a change

    def test_a_change_is_noticed(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_one({"_id": 1})
        for write in (
            lambda: docs.insert_one({"_id": 2}),
            lambda: docs.update_one({"_id": 2}, {"$set": {"a": 1}}),
            lambda: docs.delete_one({"_id": 2}),
        ):
            mark = store.change_mark()
            write()
            assert store.wait_for_change(mark, 10)

    def test_a_change_wakes_who_waits(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_one({"_id": 1})
        mark = store.change_mark()
        thread = threading.Thread(target=lambda: docs.insert_one({"_id": 2}))
        thread.start()
        assert store.wait_for_change(mark, 30)
        thread.join()

    def test_waiting_can_be_interrupted(self, store: Store) -> None:
        store.collection("docs").insert_one({"_id": 1})
        interrupt = Interrupt()
        threading.Thread(target=interrupt.set).start()
        assert store.wait_for_change(store.change_mark(), 30, interrupt) is False

    # Health

    def test_a_closed_store_opens_itself_again(self, store: Store) -> None:
        store.collection("docs").find_one({})
        store.close()
        store.collection("docs").insert_one({"_id": 1})
        assert store.collection("docs").count_documents({}) == 1

    def test_a_check_reports_something(self, store: Store) -> None:
        assert store.check()

    def test_an_error_of_the_caller_is_not_transient(self, store: Store) -> None:
        assert not store.is_transient(KeyError("x"))

    def test_it_satisfies_the_port(self, store: Store) -> None:
        assert isinstance(store, Store)
        assert store.url
        assert store.collection("docs").name == "docs"
