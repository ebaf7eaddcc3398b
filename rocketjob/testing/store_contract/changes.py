"""The contract of stores: waiting for a change."""

from __future__ import annotations

import threading
import time

import pytest

from rocketjob.base.interrupt import Interrupt
from rocketjob.store import Store
from rocketjob.testing.store_contract.quiet import ATTEMPTS, settled, wakes
from rocketjob.testing.store_contract.samples import JOBS


class Changes:
    """Waiting for a change."""

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
        settled_or_polling(store)
        for _ in range(ATTEMPTS):  # it may be woken without need
            interrupt, began = Interrupt(), time.monotonic()
            threading.Thread(target=interrupt.set).start()
            if not store.wait_for_change(store.change_mark(), 60, interrupt):
                break
        else:
            pytest.fail("an interrupt is no change")
        assert time.monotonic() - began < 30

    def test_a_wait_ends_in_time(self, store: Store) -> None:
        store.collection("docs").insert_one({"_id": 1})
        settled_or_polling(store)
        took = []
        for seconds in (0, 0.3, 0.3):  # the shared machine may be busy elsewhere for one of them
            began = time.monotonic()
            changed = store.wait_for_change(store.change_mark(), seconds)
            took.append(time.monotonic() - began - seconds)
            assert changed or took[-1] > -0.02, "it gave up too early"
        assert min(took) < 1

    def test_a_claim_that_finds_nothing_wakes_nobody(self, store: Store) -> None:
        store.collection(JOBS).insert_one({"_id": 1, "state": "completed"})
        queued, update = {"state": "queued"}, {"$set": {"state": "running"}}

        def find_nothing() -> None:
            for name in (JOBS, "nothing"):
                assert store.claim_many(name, queued, update, sort=[("_id", 1)], limit=5) == []

        assert not wakes(store, find_nothing)


def settled_or_polling(store: Store) -> None:
    """Wait until no earlier write wakes anybody, where the store can tell."""
    if store.capabilities.wake_up:
        settled(store)
