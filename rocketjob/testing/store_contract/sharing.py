"""The contract of stores: no document is shared between a store and its callers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rocketjob.store import Collection, Insert, Store, Unit, Write

SET = {"$set": {"x": 1}}
HANDED_OUT: dict[str, Callable[[Store, Collection], Any]] = {
    "find": lambda store, docs: next(iter(docs.find({}))),
    "find, some fields": lambda store, docs: next(iter(docs.find({}, {"sub": 1}))),
    "find, sorted": lambda store, docs: next(iter(docs.find({}, sort=[("x", -1)], limit=1))),
    "find_one": lambda store, docs: docs.find_one({"_id": 1}),
    "find_one_and_update, before": lambda store, docs: docs.find_one_and_update({}, SET),
    "find_one_and_update, after": lambda store, docs: docs.find_one_and_update(
        {}, SET, return_document=True
    ),
    "claim_many": lambda store, docs: store.claim_many("docs", {}, SET, sort=[("_id", 1)], limit=1)[
        0
    ],
    "distinct": lambda store, docs: {"sub": docs.distinct("sub")[0]},
}


class Sharing:
    """What a caller hands in, or gets, is the caller's own to change."""

    @pytest.mark.parametrize("way", HANDED_OUT)
    def test_changing_what_was_handed_out_changes_nothing_stored(
        self, store: Store, way: str
    ) -> None:
        docs = store.collection("docs")
        docs.insert_one({"_id": 1, "sub": {"a": [1]}})
        document = HANDED_OUT[way](store, docs)
        assert document["sub"] == {"a": [1]}
        document["sub"]["a"].append(2)
        document["sub"]["b"] = document["more"] = True
        stored = docs.find_one({"_id": 1})
        assert stored is not None
        assert stored["sub"] == {"a": [1]}
        assert "more" not in stored

    def test_changing_what_was_handed_in_changes_nothing_stored(self, store: Store) -> None:
        docs, given = store.collection("docs"), {"a": [1]}
        one, many = {"_id": 1, "sub": given}, {"_id": 2, "sub": given}
        update = {"$set": {"sub": given}, "$push": {"list": given}}
        inserted = {"_id": 5, "sub": given}
        docs.insert_one(one)
        docs.insert_many([many])
        docs.update_one({"_id": 3}, update, upsert=True)
        docs.update_one({"_id": 4, "sub": given}, {"$set": {"x": 1}}, upsert=True)
        docs.update_many({"_id": 2}, update)
        docs.find_one_and_update({"_id": 1}, update)
        store.write_many("docs", [Write({"_id": 3}, {"$set": {"also": given}})])
        unit = Unit(collection="docs", write=None, inserts=[Insert("docs", inserted)])
        assert store.commit([unit])[0].held
        before = list(docs.find({}, sort=[("_id", 1)]))
        assert [each["sub"] for each in before] == [{"a": [1]}] * 5
        given["a"].append(2)
        for each in (one, many, inserted):
            each["more"] = True
        assert list(docs.find({}, sort=[("_id", 1)])) == before
