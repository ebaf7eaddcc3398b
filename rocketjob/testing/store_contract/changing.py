"""The contract of stores: updates and removals."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from rocketjob.store import Collection, Store, Stored
from rocketjob.testing.store_contract.samples import (
    JOBS,
    NOW,
    REFUSED_UPDATES,
    UPDATES,
    declare_indexes,
    queued,
)


class Changing:
    """Updates and removals."""

    @pytest.fixture
    def jobs(self, store: Store) -> Collection:
        """A collection with the indexes of the jobs."""
        jobs = store.collection(JOBS)
        declare_indexes(jobs)
        return jobs

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
        document = docs.find_one_and_update({"_id": 2}, update, upsert=True, return_document=True)
        assert document == {"_id": 2, "at": NOW}
        assert docs.count_documents({}) == 2

    def test_deleting_one_and_many(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_many([{"_id": i, "a": i % 3} for i in range(9)])
        assert docs.delete_one({"a": 1}).deleted_count == 1
        assert docs.delete_one({"a": 7}).deleted_count == 0
        assert docs.delete_many({"a": {"$in": [0, 1]}}).deleted_count == 5
        assert docs.count_documents({}) == 3
        assert docs.delete_many({}).deleted_count == 3
