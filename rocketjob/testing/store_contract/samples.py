"""Documents of every shape, filters, updates and claims, and what must come of them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from bson import Binary, Decimal128, Int64, ObjectId, Regex

from rocketjob.store import Collection, Sort, Store, Stored

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
        [("claimed_by", 1), ("claim_number", 1)],
        name="held",
        partialFilterExpression={"claimed_by": EXISTS},
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
