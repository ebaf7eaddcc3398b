"""The contract of stores: filters, order, projections and counts."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from rocketjob.store import Collection, Counted, Store, Stored, Write
from rocketjob.testing.store_contract.samples import (
    DOCUMENTS,
    FILTERS,
    JOBS,
    NOW,
    SORTED,
    declare_indexes,
    names,
    queued,
)


class Finding:
    """Filters, order, projections and counts."""

    @pytest.fixture
    def jobs(self, store: Store) -> Collection:
        """A collection with the indexes of the jobs."""
        jobs = store.collection(JOBS)
        declare_indexes(jobs)
        return jobs

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
        assert shapes.count_documents(filter, limit=2) == min(2, len(expected))
        document = shapes.find_one(filter)
        assert (document["_id"] in expected) if document else not expected

    @pytest.mark.parametrize("with_index", [False, True], ids=["plain", "indexed"])
    def test_a_filter_finds_the_same_with_indexes(self, store: Store, with_index: bool) -> None:
        docs = store.collection("indexed")
        if with_index:
            for field in ("n", "s", "t", "ok", "o", "sub.a", "tags"):
                docs.create_index([(field, 1)], name=f"by_{field}")
        docs.insert_many(DOCUMENTS)
        before = [sorted(names(docs.find(filter))) for filter, _ in FILTERS]
        assert before == [expected for _, expected in FILTERS]

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

    def test_count_by_counts_what_cannot_be_a_key_as_none(self, store: Store) -> None:
        docs = store.collection("docs")
        docs.insert_many([{"a": 1}, {"a": [2]}, {"a": {"b": 1}}, {"a": []}, {"b": 1}])
        assert store.count_by("docs", "a") == {1: 1, None: 4}

    @pytest.mark.parametrize("indexed", [False, True])
    def test_count_by_range_counts_what_is_in_each(self, store: Store, indexed: bool) -> None:
        docs = store.collection("docs")
        if indexed:
            docs.create_index([("a", 1), ("_id", 1)], name="a")
        odd: list[Any] = [0, 41, -5, 2**62, "12", "x", True, ObjectId("0" * 24)]
        docs.insert_many([{"_id": id, "a": "x"} for id in odd])
        docs.insert_many([{"_id": i, "a": "x"} for i in (1, 10, 11, 19.5, 31, 40)])
        docs.insert_many([{"_id": 12, "a": "y"}, {"_id": 13, "a": "y"}, {"_id": 14}])
        counted = store.count_by_range("docs", "a", start=1, width=10, ranges=4)
        assert counted == {
            (0, "x"): Counted(2, 1, 10),
            (1, "x"): Counted(2, 11, 19.5),
            (1, "y"): Counted(2, 12, 13),
            (1, None): Counted(1, 14, 14),
            (3, "x"): Counted(2, 31, 40),
        }

    @pytest.mark.parametrize("indexed", [False, True])
    def test_count_by_range_counts_what_cannot_be_a_key_as_none(
        self, store: Store, indexed: bool
    ) -> None:
        docs = store.collection("docs")
        if indexed:
            docs.create_index([("a", 1), ("_id", 1)], name="a")
        values: list[Any] = [[2], {"b": 1}, None, "x", 7, True, False, 0.5, NOW]
        docs.insert_many([{"_id": id, "a": value} for id, value in enumerate(values, 1)])
        assert store.count_by_range("docs", "a", start=1, width=9, ranges=1) == {
            (0, None): Counted(3, 1, 3),
            (0, "x"): Counted(1, 4, 4),
            (0, 7): Counted(1, 5, 5),
            (0, True): Counted(1, 6, 6),
            (0, False): Counted(1, 7, 7),
            (0, 0.5): Counted(1, 8, 8),
            (0, NOW): Counted(1, 9, 9),
        }
        assert store.count_by_range("nothing", "a", start=1, width=9, ranges=1) == {}

    @pytest.mark.parametrize("indexed", [False, True])
    def test_count_by_range_of_many_values(self, store: Store, indexed: bool) -> None:
        docs = store.collection("docs")
        if indexed:
            docs.create_index([("a", 1), ("_id", 1)], name="a")
        docs.insert_many([{"_id": i, "a": i % 30} for i in range(1, 91)])
        counted = store.count_by_range("docs", "a", start=1, width=45, ranges=2)
        assert len(counted) == 60
        assert sum(each.number for each in counted.values()) == 90
        assert counted[0, 3] == Counted(2, 3, 33)
