"""Idle processes are woken by what others write, as the server allows it."""

import subprocess
import sys
import textwrap
import threading
import time
from types import SimpleNamespace

import pytest

from rocketjob.base.errors import StoreError
from rocketjob.base.interrupt import Interrupt
from rocketjob.testing.store_contract.quiet import settled, wakes
from rocketjob_plugins.store_mongodb import MongoStore, changes, tailable, trials
from rocketjob_plugins.store_mongodb.deployment import Deployment
from rocketjob_plugins.store_mongodb.judgement import Judgement
from support.mongo import MongoServer, database_url, needs_a_server
from support.runtime import eventually


@pytest.fixture
def two(mongo_url):
    """Two processes' stores on one database: one that waits, one that writes."""
    url = f"{mongo_url}?rocketjobWakeUp=tailable"
    waiting, writing = MongoStore(url), MongoStore(url)
    settled(waiting)
    yield waiting, writing
    writing.close()
    waiting.close()


def told(store):
    return store.database[tailable.COLLECTION].count_documents({})


def test_a_write_wakes_another_process_within_milliseconds(two):
    waiting, writing = two
    seconds = []
    for number in range(5):
        mark = waiting.change_mark()
        began = time.monotonic()
        writing.collection("docs").insert_one({"n": number})
        assert waiting.wait_for_change(mark, 20)
        seconds.append(time.monotonic() - began)
        settled(waiting)
    print(f"woken after {sorted(seconds)[2] * 1000:.1f} ms")
    assert min(seconds) < 0.2  # polling would take longer, and an await would too


WRITES = [
    lambda docs: docs.insert_one({"_id": 1}),
    lambda docs: docs.insert_many([{}, {}]),
    lambda docs: docs.update_one({"_id": 1}, {"$set": {"a": 1}}),
    lambda docs: docs.update_many({"_id": 1}, {"$set": {"a": 2}}),
    lambda docs: docs.find_one_and_update({"_id": 1}, {"$set": {"a": 3}}),
    lambda docs: docs.update_one({"_id": 2}, {"$set": {"a": 1}}, upsert=True),
    lambda docs: docs.delete_one({"_id": 1}),
    lambda docs: docs.delete_many({}),
]


def test_every_kind_of_write_wakes(two):
    waiting, writing = two
    for write in WRITES:
        mark = waiting.change_mark()
        write(writing.collection("docs"))
        assert waiting.wait_for_change(mark, 20)
        settled(waiting)


def test_what_changes_nothing_wakes_nobody(two):
    waiting, writing = two
    docs = writing.collection("docs")
    docs.insert_one({"_id": 1})

    def find_nothing():
        assert docs.find_one_and_update({"_id": 2}, {"$set": {"a": 1}}) is None
        docs.update_one({"_id": 2}, {"$set": {"a": 1}})
        docs.delete_one({"_id": 2})
        assert docs.find_one({"_id": 1}) == {"_id": 1}

    assert not wakes(waiting, find_nothing)


def test_a_transaction_wakes_when_it_is_committed(two):
    waiting, writing = two
    with writing.transaction():
        writing.collection("docs").insert_one({"_id": 1})
        settled(waiting)
        mark = waiting.change_mark()
    assert waiting.wait_for_change(mark, 20)
    assert waiting.collection("docs").find_one({"_id": 1})


def test_many_writes_share_one_word(two):
    waiting, writing = two
    before = told(waiting)
    began = time.monotonic()
    for number in range(200):
        writing.collection("docs").insert_one({"_id": number})
    took = time.monotonic() - began
    settled(waiting)
    assert 1 <= told(waiting) - before <= took / tailable.PAUSE + 3


def test_what_is_written_by_another_thread_of_the_process_wakes_too(two):
    waiting, _ = two
    mark = waiting.change_mark()
    threading.Timer(0.05, lambda: waiting.collection("docs").insert_one({})).start()
    assert waiting.wait_for_change(mark, 20)


def test_a_process_that_ends_right_after_its_write_has_told(two, mongo_url):
    waiting, _ = two
    mark = waiting.change_mark()
    program = f"""
        from rocketjob_plugins.store_mongodb import MongoStore
        store = MongoStore({mongo_url!r} + "?rocketjobWakeUp=tailable")
        store.collection("docs").insert_one({{"_id": "last"}})
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)
    assert waiting.wait_for_change(mark, 20)
    assert waiting.collection("docs").find_one({"_id": "last"})


def test_a_collection_that_was_dropped_is_made_again(two):
    waiting, writing = two
    writing.database.drop_collection(tailable.COLLECTION)
    writing.collection("docs").insert_one({})  # the word about it makes one that is not capped
    eventually(lambda: waiting.database[tailable.COLLECTION].options().get("capped"))
    settled(waiting)
    mark = waiting.change_mark()
    writing.collection("docs").insert_one({})
    assert waiting.wait_for_change(mark, 20)


def test_the_collection_is_nobody_elses_business(two):
    waiting, writing = two
    writing.collection("docs").insert_one({})
    assert waiting.collection_names() == ["docs"]


def test_the_best_that_there_is_is_found(mongo_url, monkeypatch):
    def found(**lacks):
        reasons = {name.replace("_", " "): reason for name, reason in lacks.items()}
        judged = Judgement("a server", reasons)
        monkeypatch.setattr(Deployment, "judge", lambda self: setattr(self, "judgement", judged))
        store = MongoStore(mongo_url)
        store.close()
        return store.wake_up

    assert found() == "changeStreams"
    assert found(change_streams="none here") == "tailable"
    assert found(change_streams="none here", tailable_cursors="none there") == "polling"
    for wanted, reason in (("changeStreams", "none here"), ("tailable", "none there")):
        with pytest.raises(
            StoreError, match=f"lacks what rocketjobWakeUp={wanted} needs: {reason}"
        ):
            MongoStore(f"{mongo_url}?rocketjobWakeUp={wanted}")


def test_a_standalone_server_has_a_capped_collection_and_no_transactions():
    needs_a_server()
    server = MongoServer(None, "--standalone")
    try:
        url = database_url(server.url)
        waiting, writing = MongoStore(url), MongoStore(url)
        assert waiting.check()["wake-up"] == "tailable cursor"
        assert waiting.check()["deployment"] == "standalone"
        assert not waiting.supports_transactions
        assert set(waiting.deployment.judgement.lacks) == {"change streams", trials.ORDER}
        with waiting.transaction() as session:
            assert session is None
        waiting.wait_for_change(waiting.change_mark(), 0)
        settled(waiting)
        mark = waiting.change_mark()
        writing.collection("docs").insert_one({})
        assert waiting.wait_for_change(mark, 20)
        for store in (writing, waiting):
            store.close()
    finally:
        server.stop()


def test_without_anything_better_idle_waits_grow(mongo_url, monkeypatch):
    store = MongoStore(f"{mongo_url}?rocketjobWakeUp=polling")
    waits = []

    class Waiting(Interrupt):
        def wait(self, timeout):
            waits.append(timeout)

    monkeypatch.setattr(changes, "time", SimpleNamespace(monotonic=lambda: sum(waits)))
    for _ in range(6):
        assert store.wait_for_change(None, 5, Waiting())
    assert waits[-1] > waits[0]
    assert sum(waits) < 3
    store.close()


def test_waits_grow_for_those_who_look_at_leisure_too(mongo_url, monkeypatch):
    store = MongoStore(f"{mongo_url}?rocketjobWakeUp=polling")
    waits, pauses = [], []

    class Waiting(Interrupt):
        def wait(self, timeout):
            waits.append(timeout)

    monkeypatch.setattr(changes, "time", SimpleNamespace(monotonic=lambda: sum(waits + pauses)))
    for _ in range(20):
        store.wait_for_change(None, 5, Waiting())
        pauses.append(0.25)  # the pause of the supervisor and of the events, with their questions
    assert min(waits[-5:]) > 0.5
    pauses.append(1)  # it was busy
    store.wait_for_change(None, 5, Waiting())
    assert waits[-1] < 0.1
    store.close()
