"""The contract of stores: claims and groups of writes."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from rocketjob.store import Collection, Store, Write
from rocketjob.testing.store_contract.samples import (
    BY_PRIORITY,
    JOBS,
    NOW,
    claim,
    declare_indexes,
    queued,
)


class Groups:
    """Claims and groups of writes."""

    @pytest.fixture
    def jobs(self, store: Store) -> Collection:
        """A collection with the indexes of the jobs."""
        jobs = store.collection(JOBS)
        declare_indexes(jobs)
        return jobs

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
        claimed = claim(store, 2, **{"customer.id": 1, "_id": {"$nin": [1]}})
        assert [job["_id"] for job in claimed] == [4, 7]

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
        claimed = store.claim_many(
            JOBS, filter, {"$set": {"state": "x"}}, sort=BY_PRIORITY, limit=10
        )
        assert [job["_id"] for job in claimed] == [3, 1, 0]

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
            while some := claim(store, 3):
                claimed.extend(job["_id"] for job in some)

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
        document = jobs.find_one(filter, sort=[("run_at", 1)])
        assert document is not None
        assert document["run_at"] == NOW + timedelta(minutes=1)

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

    def test_a_group_of_removals_says_of_each_whether_it_was_made(
        self, store: Store, jobs: Collection
    ) -> None:
        jobs.insert_many([queued(i) for i in range(12)])
        claim(store, 10)
        guard = {"state": "running", "claimed_by": "me", "claim_number": 1}
        ends = [Write({"_id": id, **guard}, None) for id in (0, 1, 2, 1, 11, 99, 3)]
        assert store.write_many(JOBS, ends) == [True, True, True, False, False, False, True]
        assert store.write_many(JOBS, ends) == [False] * 7
        ends = [Write({"_id": id, **guard}, None) for id in (4, 5, 6)]
        others = [Write({"_id": id, **guard, "claim_number": 2}, None) for id in (7, 8)]
        assert store.write_many(JOBS, [*ends, *others]) == [True, True, True, False, False]
        assert sorted(job["_id"] for job in jobs.find()) == [7, 8, 9, 10, 11]

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
