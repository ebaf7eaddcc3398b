"""The contract of stores: what is stored comes back."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from bson import Decimal128, ObjectId

from rocketjob.base.errors import is_duplicate_key
from rocketjob.store import MAX_DOCUMENT_BYTES, Store, Stored
from rocketjob.testing.store_contract.samples import (
    NOW,
)


class Documents:
    """What is stored comes back."""

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
        document = docs.find_one({"_id": 1})
        assert document is not None
        assert document["at"] == datetime(2024, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)
        assert document["at"].utcoffset() == timedelta(0)
        assert document["naive"] == datetime(2024, 1, 1, tzinfo=UTC)

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

    def test_a_document_of_more_than_16_mb_is_refused(self, store: Store) -> None:
        docs, most = store.collection("docs"), MAX_DOCUMENT_BYTES
        docs.insert_one({"_id": 1, "text": "x" * (most - 1000)})
        for write in (
            lambda: docs.insert_one({"_id": 2, "text": "x" * most}),
            lambda: docs.insert_many([{"_id": 3}, {"_id": 4, "text": "x" * most}]),
            lambda: docs.update_one({"_id": 1}, {"$set": {"more": "x" * 2000}}),
            lambda: docs.update_one({"_id": 5}, {"$set": {"more": "x" * most}}, upsert=True),
        ):
            with pytest.raises(Exception):  # noqa: B017 (every store has its own)
                write()
        assert docs.count_documents({"_id": {"$in": [2, 4, 5]}}) == 0
        assert docs.find_one({"_id": 1}, {"more": 1}) == {"_id": 1}
