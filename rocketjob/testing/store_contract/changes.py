"""The contract of stores: waiting for a change, and health."""

from __future__ import annotations

import threading

from rocketjob.base.interrupt import Interrupt
from rocketjob.store import Store


class Changes:
    """Waiting for a change, and health."""

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
