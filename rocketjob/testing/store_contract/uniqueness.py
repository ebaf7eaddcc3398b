"""The contract of stores: what unique indexes refuse."""

from __future__ import annotations

from typing import Any

import pytest

from rocketjob.base.errors import is_duplicate_key
from rocketjob.store import Collection, Store
from rocketjob.testing.store_contract.samples import JOBS, declare_indexes, queued


class Uniqueness:
    """What unique indexes refuse."""

    @pytest.fixture
    def jobs(self, store: Store) -> Collection:
        """A collection with the indexes of the jobs."""
        jobs = store.collection(JOBS)
        declare_indexes(jobs)
        return jobs

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
