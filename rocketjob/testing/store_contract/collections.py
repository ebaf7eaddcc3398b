"""The contract of stores: indexes, collections and names."""

from __future__ import annotations

import pytest

from rocketjob.store import Collection, Store
from rocketjob.testing.store_contract.samples import JOBS, declare_indexes, names, queued


class Collections:
    """Indexes, collections and names."""

    @pytest.fixture
    def jobs(self, store: Store) -> Collection:
        """A collection with the indexes of the jobs."""
        jobs = store.collection(JOBS)
        declare_indexes(jobs)
        return jobs

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

    def test_indexes_are_described(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.create_index([("a", 1), ("s.t", -1)], name="a")
        partial = {"key": {"$exists": True}}
        docs.create_index([("key", 1)], name="key", unique=True, partialFilterExpression=partial)
        described = docs.index_information()
        assert {"a", "key"} <= set(described) <= {"a", "key", "_id_"}
        assert [(path, int(way)) for path, way in described["a"]["key"]] == [("a", 1), ("s.t", -1)]
        assert not described["a"].get("unique")
        assert described["key"]["unique"] is True
        assert described["key"]["partialFilterExpression"] == partial

    def test_an_index_that_was_dropped_refuses_nothing_and_leaves_its_name(
        self, store: Store
    ) -> None:
        docs = store.collection("docs")
        docs.create_index([("a", 1)], name="a", unique=True)
        docs.insert_one({"a": 1})
        docs.drop_index("a")
        assert "a" not in docs.index_information()
        docs.insert_one({"a": 1})
        docs.create_index([("a", -1), ("b", 1)], name="a")
        assert docs.count_documents({"a": 1}) == 2

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

    def test_a_dropped_collection_starts_afresh(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.create_index([("a", 1)], name="a", unique=True)
        docs.insert_one({"a": 1})
        docs.drop()
        docs.insert_many([{"a": 1}, {"a": 1}])
        assert docs.count_documents({"a": 1}) == 2
